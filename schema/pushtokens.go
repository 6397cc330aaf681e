package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// PushTokens are the apps that people let the hub push to.
type PushTokens struct{ DB *DB }

// SealedPushToken is a push token as it is stored.
type SealedPushToken struct {
	ID      fleet.PushTokenID
	User    fleet.UserID
	Session fleet.UserSessionID // in which the app is signed in
	Hash    []byte              // keyed: the same for the same token
	Sealed  []byte
	Created time.Time
}

// Put registers a token. One that is registered already is this user's from now
// on. Of more than limit tokens the user loses the oldest: apps that are gone do
// not say so.
func (t PushTokens) Put(ctx context.Context, p SealedPushToken, limit int) error {
	return t.DB.transact(ctx, "user", func(tx pgx.Tx) error {
		// Two that are added at once count each other.
		var id fleet.UserID
		if err := tx.QueryRow(ctx, `SELECT id FROM users WHERE id = $1 AND erased IS NULL FOR UPDATE`, p.User).Scan(&id); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			INSERT INTO push_tokens (id, user_id, session, hash, sealed, created) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (hash) DO UPDATE SET id = excluded.id, user_id = excluded.user_id, session = excluded.session,
				sealed = excluded.sealed, created = excluded.created`,
			p.ID, p.User, p.Session, p.Hash, p.Sealed, p.Created)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			DELETE FROM push_tokens WHERE id IN (
				SELECT id FROM push_tokens WHERE user_id = $1 ORDER BY created DESC, id DESC OFFSET $2)`, p.User, limit)
		return err
	})
}

// Delete forgets a token of the user's.
func (t PushTokens) Delete(ctx context.Context, user fleet.UserID, hash []byte) error {
	return t.DB.exec(ctx, "push token", `DELETE FROM push_tokens WHERE user_id = $1 AND hash = $2`, user, hash)
}

// Unregistered forgets a token that the push service does not know any more,
// unless it has been registered anew since it was read.
func (t PushTokens) Unregistered(ctx context.Context, id fleet.PushTokenID) error {
	_, err := t.DB.pool.Exec(ctx, `DELETE FROM push_tokens WHERE id = $1`, id)
	return translate("push token", err)
}

// Of returns the tokens of a user's apps that are signed in, the newest first.
func (t PushTokens) Of(ctx context.Context, user fleet.UserID, now time.Time) ([]SealedPushToken, error) {
	scan := func(row pgx.CollectableRow) (p SealedPushToken, err error) {
		err = row.Scan(&p.ID, &p.User, &p.Session, &p.Hash, &p.Sealed, &p.Created)
		p.Created = p.Created.UTC()
		return p, err
	}
	return all(ctx, t.DB, "push token", scan, `
		SELECT p.id, p.user_id, p.session, p.hash, p.sealed, p.created
		FROM push_tokens p JOIN user_sessions s ON s.id = p.session
		WHERE p.user_id = $1 AND s.ended IS NULL AND s.expires > $2 ORDER BY p.created DESC, p.id DESC`, user, now)
}
