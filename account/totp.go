package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"armora/fleet"
	"armora/schema"
)

// A code is good in its own 30 seconds and in those beside it, for clocks that
// are off and people who type slowly.
const (
	totpPeriod = 30 // seconds
	totpSkew   = 1
)

var totpOptions = totp.ValidateOpts{Period: totpPeriod, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}

// recoveryCodes is how many a person gets.
const recoveryCodes = 10

// EnrolTOTP returns a new secret, as text and as the address that authenticator
// apps read from a QR code. It counts once ConfirmTOTP has seen a code of it.
func (p *People) EnrolTOTP(ctx context.Context, c *Caller) (secret, url string, err error) {
	user, err := p.users.Get(ctx, c.User)
	if err != nil {
		return "", "", err
	}
	key, err := totp.Generate(totp.GenerateOpts{Issuer: "ARMORA", AccountName: user.Email, SecretSize: 20})
	if err != nil {
		return "", "", fmt.Errorf("make a second factor: %w", err)
	}
	sealed := p.keyring.Seal([]byte(key.Secret()), totpPurpose(c.User))
	return key.Secret(), key.URL(), p.totps.Propose(ctx, c.User, sealed)
}

// ConfirmTOTP puts the secret of EnrolTOTP in force, counts as the second factor
// of the session, and returns recovery codes, which are told this once.
func (p *People) ConfirmTOTP(ctx context.Context, c *Caller, code string) ([]string, error) {
	sealed, err := p.totps.Proposed(ctx, c.User)
	if err != nil {
		return nil, err
	}
	step, err := p.totpStep(c.User, sealed, code)
	if err != nil {
		return nil, invalid("this is not the code that the app shows now")
	}
	codes, hashes := p.newRecovery(c.User)
	if err := p.totps.Confirm(ctx, c.User, sealed, step, hashes, p.secondFactorTold("a second factor was put in force"), p.clock.Now()); err != nil {
		return nil, err
	}
	return codes, p.sessions.Prove(ctx, c.User, c.Session, true)
}

// ReplaceRecoveryCodes makes new recovery codes, and the old ones worthless.
func (p *People) ReplaceRecoveryCodes(ctx context.Context, c *Caller) ([]string, error) {
	codes, hashes := p.newRecovery(c.User)
	if err := p.totps.ReplaceRecovery(ctx, c.User, hashes, p.secondFactorTold("the recovery codes were replaced")); err != nil {
		return nil, err
	}
	return codes, nil
}

// RemoveTOTP takes a person's second factor away, and ends all their sessions:
// what they may do rests on it.
func (p *People) RemoveTOTP(ctx context.Context, c *Caller) error {
	told := p.secondFactorTold("the second factor was removed, and all your sessions were ended")
	ended, err := p.totps.Remove(ctx, c.User, told, p.clock.Now())
	if err != nil {
		return err
	}
	p.sessions.tell(ended)
	return nil
}

func (p *People) secondFactorTold(what string) schema.Telling {
	return p.telling("second_factor", map[string]string{"what": what})
}

// secondFactor takes a code of the second factor, or a recovery code, which is
// good once.
func (p *People) secondFactor(ctx context.Context, user fleet.UserID, sealed []byte, code string) error {
	var err error
	if len(code) == otp.DigitsSix.Length() {
		var step int64
		if step, err = p.totpStep(user, sealed, code); err != nil {
			return err
		}
		err = p.totps.Use(ctx, user, step)
	} else {
		err = p.totps.Recover(ctx, user, p.recoveryHash(user, code), p.clock.Now())
	}
	if fleet.CodeOf(err) == fleet.CodeConflict {
		return errBadLogin
	}
	return err
}

// totpStep returns the time step of a code; one that is of none near now is
// errBadLogin.
func (p *People) totpStep(user fleet.UserID, sealed []byte, code string) (int64, error) {
	secret, err := p.keyring.Unseal(sealed, totpPurpose(user))
	if err != nil {
		return 0, err
	}
	now := p.clock.Now().Unix() / totpPeriod
	for step := now - totpSkew; step <= now+totpSkew; step++ {
		want, err := totp.GenerateCodeCustom(string(secret), time.Unix(step*totpPeriod, 0), totpOptions)
		if err != nil {
			return 0, fmt.Errorf("compute a code: %w", err)
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			return step, nil
		}
	}
	return 0, errBadLogin
}

// newRecovery makes recovery codes of 60 random bits, in two halves that can be
// read out.
func (p *People) newRecovery(user fleet.UserID) (codes []string, hashes [][]byte) {
	for range recoveryCodes {
		text := strings.ToLower(rand.Text()[:12])
		codes = append(codes, text[:6]+"-"+text[6:])
		hashes = append(hashes, p.recoveryHash(user, text))
	}
	return codes, hashes
}

func (p *People) recoveryHash(user fleet.UserID, code string) []byte {
	code = strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(code))
	return p.keyring.Hash("recovery/" + user.String() + "/" + code)
}

func totpPurpose(user fleet.UserID) string { return "totp/" + user.String() }
