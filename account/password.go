package account

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"fmt"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"
	"golang.org/x/sync/semaphore"

	"armora/fleet"
)

// Lengths of a password, in characters and bytes. There are no rules of
// composition: they make passwords that are written down (NIST SP 800-63B).
const (
	minPassword = 10
	maxPassword = 256
)

// commonList holds passwords that are tried first, one a line, in lower case;
// none is shorter than minPassword.
//
//go:embed passwords.txt
var commonList string

var common = func() map[string]bool {
	set := make(map[string]bool)
	for line := range strings.Lines(commonList) {
		set[strings.TrimSpace(line)] = true
	}
	return set
}()

// checkPassword refuses a new password that would be guessed.
func checkPassword(password, email string) error {
	lower := strings.ToLower(password)
	mailbox, _, _ := strings.Cut(email, "@")
	switch {
	case utf8.RuneCountInString(password) < minPassword || len(password) > maxPassword:
		return invalid("a password has at least %d characters and at most %d bytes", minPassword, maxPassword)
	case common[lower]:
		return invalid("this password is one of those that are tried first: choose another")
	case email != "" && (lower == email || lower == mailbox):
		return invalid("a password is not one's own address")
	}
	return nil
}

// hashing bounds how many passwords are hashed at once: each takes the memory
// and the processor that make guessing dear.
const hashing = 2

// hasher hashes passwords with Argon2id (RFC 9106).
type hasher struct {
	cost  *argon2id.Params
	turns *semaphore.Weighted
	dummy string        // a hash that no password has
	count atomic.Uint64 // of hashes computed
}

func newHasher(cost *argon2id.Params) *hasher {
	if cost == nil {
		cost = argon2id.DefaultParams
	}
	return &hasher{cost: cost, turns: semaphore.NewWeighted(hashing), dummy: dummyHash(cost)}
}

// dummyHash makes a hash of a cost up, which no password has: to compute one
// would take the hub 64 MiB and a while at every start.
func dummyHash(cost *argon2id.Params) string {
	salt, key := make([]byte, cost.SaltLength), make([]byte, cost.KeyLength)
	rand.Read(salt)
	rand.Read(key)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, cost.Memory, cost.Iterations, cost.Parallelism,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}

func (h *hasher) hash(ctx context.Context, password string) (hash string, err error) {
	err = h.inTurn(ctx, func() error {
		hash, err = argon2id.CreateHash(password, h.cost)
		return err
	})
	return hash, err
}

// matches reports whether a password has a hash. With none it takes as long, and
// says no.
func (h *hasher) matches(ctx context.Context, password, hash string) (ok bool, err error) {
	against := hash
	if against == "" {
		against = h.dummy
	}
	err = h.inTurn(ctx, func() error {
		ok, err = argon2id.ComparePasswordAndHash(password, against)
		return err
	})
	return ok && hash != "", err
}

func (h *hasher) inTurn(ctx context.Context, do func() error) error {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	if err := h.turns.Acquire(ctx, 1); err != nil {
		return &fleet.Error{Code: fleet.CodeUnavailable, Message: "too many people sign in just now: try again", Err: err}
	}
	defer h.turns.Release(1)
	h.count.Add(1)
	return do()
}
