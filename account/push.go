package account

import (
	"context"

	"armora/fleet"
	"armora/schema"
)

// MaxPushTokens is how many apps of a person are pushed to.
const MaxPushTokens = 20

// PushTokens are the apps that people let the hub push to. It is safe for
// concurrent use.
type PushTokens struct {
	store   schema.PushTokens
	keyring *Keyring
	clock   fleet.Clock
}

// NewPushTokens returns the push tokens of a hub.
func NewPushTokens(db *schema.DB, keyring *Keyring, clock fleet.Clock) *PushTokens {
	return &PushTokens{store: schema.PushTokens{DB: db}, keyring: keyring, clock: clock}
}

// Register lets the hub push to the app that the caller is signed in with, until
// that session ends. Whoever the app was registered for before is not told there
// any more. With more than MaxPushTokens, the oldest is forgotten.
func (p *PushTokens) Register(ctx context.Context, caller *Caller, token string) error {
	id := fleet.NewID[fleet.PushToken]()
	return p.store.Put(ctx, schema.SealedPushToken{
		ID: id, User: caller.User, Session: caller.Session, Created: p.clock.Now(),
		Hash: p.hash(token), Sealed: p.keyring.Seal([]byte(token), fleet.PushPurpose(id)),
	}, MaxPushTokens)
}

// Forget ends that for one of the user's own apps.
func (p *PushTokens) Forget(ctx context.Context, user fleet.UserID, token string) error {
	return p.store.Delete(ctx, user, p.hash(token))
}

func (p *PushTokens) hash(token string) []byte { return p.keyring.Hash("push token " + token) }
