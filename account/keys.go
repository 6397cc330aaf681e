package account

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"armora/fleet"
	"armora/schema"
)

// The life of a signing key: it is shown in the key set before it signs, signs
// until its successor does, and is shown for as long again, so that every
// token outlives neither its key nor a verifier's copy of the key set.
const (
	keyPeriod  = 30 * 24 * time.Hour // a new key is made this long after the last
	keyLead    = 15 * time.Minute    // shown before it signs
	keyLife    = 3 * keyPeriod       // shown in all; the slack is for a hub that was off
	keyRefresh = 5 * time.Minute     // how often another node's new key is looked for; shorter than keyLead
)

// algorithm is the only one that is ever signed with or believed.
const algorithm = "EdDSA"

// KeysConfig is what Keys needs. All is required.
type KeysConfig struct {
	DB      *schema.DB
	Keyring *Keyring
	Clock   fleet.Clock
	Log     *slog.Logger
	Issuer  string // what the tokens say under iss: the hub's public URL, or a name
}

// Keys signs tokens and verifies them, with keys that are kept sealed in the
// database and replaced every month. It is safe for concurrent use.
type Keys struct {
	store   schema.SigningKeys
	keyring *Keyring
	clock   fleet.Clock
	log     *slog.Logger
	issuer  string

	mu   sync.RWMutex
	keys []signingKey // by creation, the oldest first
}

type signingKey struct {
	id      string
	private ed25519.PrivateKey
	created time.Time
	retires time.Time
}

// NewKeys returns a key set without keys: Open loads them.
func NewKeys(cfg KeysConfig) *Keys {
	return &Keys{
		store: schema.SigningKeys{DB: cfg.DB}, keyring: cfg.Keyring,
		clock: cfg.Clock, log: cfg.Log, issuer: cfg.Issuer,
	}
}

// Open loads the keys and makes the first one, or the next one when it is due.
func (k *Keys) Open(ctx context.Context) error {
	if err := k.load(ctx); err != nil {
		return err
	}
	if newest, ok := k.newest(); ok && k.clock.Now().Before(newest.created.Add(keyPeriod)) {
		return nil
	}
	return k.Rotate(ctx)
}

// Run keeps the key set up to date until ctx ends. A database that is away
// costs nothing but the delay.
func (k *Keys) Run(ctx context.Context) {
	for {
		fired, stop := k.clock.NewTimer(keyRefresh)
		select {
		case <-ctx.Done():
			stop()
			return
		case <-fired:
		}
		if err := k.Open(ctx); err != nil && ctx.Err() == nil {
			k.log.Warn("the signing keys could not be refreshed", "error", err)
		}
	}
}

// Rotate makes a new key now. It signs once keyLead has passed, or at once when
// there is no other.
func (k *Keys) Rotate(ctx context.Context) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("make a signing key: %w", err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return fmt.Errorf("encode a signing key: %w", err)
	}
	id := newKeyID()
	now := k.clock.Now()
	err = k.store.Add(ctx, schema.SigningKey{
		ID: id, Algorithm: algorithm,
		Public:  public,
		Private: k.keyring.Seal(encoded, keyPurpose(id)),
		Created: now, Retires: now.Add(keyLife),
	})
	if err != nil {
		return err
	}
	return k.load(ctx)
}

// JWKS returns the public keys as a JSON Web Key Set (RFC 7517), for everybody
// who verifies the hub's tokens.
func (k *Keys) JWKS() jose.JSONWebKeySet {
	k.mu.RLock()
	defer k.mu.RUnlock()
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	now := k.clock.Now()
	for i := range k.keys {
		if key := &k.keys[i]; now.Before(key.retires) {
			set.Keys = append(set.Keys, jose.JSONWebKey{
				Key: key.private.Public(), KeyID: key.id, Algorithm: algorithm, Use: "sig",
			})
		}
	}
	return set
}

func (k *Keys) load(ctx context.Context) error {
	stored, err := k.store.List(ctx)
	if err != nil {
		return fmt.Errorf("load the signing keys: %w", err)
	}
	return k.open(stored)
}

func (k *Keys) open(stored []schema.SigningKey) error {
	keys := make([]signingKey, 0, len(stored))
	for _, s := range stored {
		private, err := k.unseal(s)
		if err != nil {
			return fmt.Errorf("load the signing keys: %w", err)
		}
		keys = append(keys, signingKey{id: s.ID, private: private, created: s.Created, retires: s.Retires})
	}
	slices.SortFunc(keys, func(a, b signingKey) int { return a.created.Compare(b.created) })
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = keys
	return nil
}

func (k *Keys) unseal(s schema.SigningKey) (ed25519.PrivateKey, error) {
	encoded, err := k.keyring.Unseal(s.Private, keyPurpose(s.ID))
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(encoded)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", s.ID, err)
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok || s.Algorithm != algorithm {
		return nil, fmt.Errorf("signing key %s is for %s, not %s", s.ID, s.Algorithm, algorithm)
	}
	return private, nil
}

func (k *Keys) newest() (signingKey, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if len(k.keys) == 0 {
		return signingKey{}, false
	}
	return k.keys[len(k.keys)-1], true
}

// errNoKey means that Open was not called or that every key has retired.
var errNoKey = errors.New("there is no signing key in force")

// signing returns the newest key that has been shown for keyLead, else the
// oldest there is, so that nodes that start together soon agree.
func (k *Keys) signing() (signingKey, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	now := k.clock.Now()
	var fallback *signingKey
	for i := len(k.keys) - 1; i >= 0; i-- {
		key := &k.keys[i]
		if now.Add(MaxTokenLife).After(key.retires) {
			continue
		}
		if !now.Before(key.created.Add(keyLead)) {
			return *key, nil
		}
		fallback = key
	}
	if fallback == nil {
		return signingKey{}, errNoKey
	}
	return *fallback, nil
}

// verifying returns the public key of an id, unless it has retired.
func (k *Keys) verifying(id string) (ed25519.PublicKey, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for i := range k.keys {
		key := &k.keys[i]
		if key.id == id && k.clock.Now().Before(key.retires) {
			return key.private.Public().(ed25519.PublicKey), nil
		}
	}
	return nil, fmt.Errorf("signing key %.40q is not in force", id)
}

func newKeyID() string {
	random := make([]byte, 12)
	rand.Read(random)
	return base64.RawURLEncoding.EncodeToString(random)
}

func keyPurpose(id string) string { return "signing-key/" + id }
