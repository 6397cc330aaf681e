package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Enlisted is an account that is made or completed at the hub's machine.
type Enlisted struct {
	User     fleet.User
	Password string   // hashed; "" leaves what is there
	TOTP     []byte   // sealed secret of the second factor; nil leaves what is there
	Recovery [][]byte // hashes of its recovery codes
}

// Enlist adds the account, or what it lacks to one of the same id, and returns
// the sessions that ended by it.
func (t Users) Enlist(ctx context.Context, e Enlisted, now time.Time) (ended []fleet.UserSessionID, err error) {
	u := &e.User
	err = t.DB.transact(ctx, "user", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			INSERT INTO users AS u (id, email, email_verified, name, password, roles, created)
			VALUES ($1, $2, $3, $4, nullif($5, ''), $6::text[], $7)
			ON CONFLICT (id) DO UPDATE SET
				email_verified = coalesce(u.email_verified, excluded.email_verified),
				password = coalesce(excluded.password, u.password),
				roles = ARRAY(SELECT DISTINCT unnest(u.roles || excluded.roles) ORDER BY 1)`,
			u.ID, u.Email, u.EmailVerified, u.Name, e.Password, roleStrings(u.Roles), u.Created)
		if err != nil {
			return err
		}
		if e.TOTP != nil {
			_, err := tx.Exec(ctx, `
				INSERT INTO totps (user_id, secret, confirmed) VALUES ($1, $2, $3)
				ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, confirmed = excluded.confirmed, step = 0`, u.ID, e.TOTP, now)
			if err != nil {
				return err
			}
			if err := replaceRecovery(ctx, tx, u.ID, e.Recovery); err != nil {
				return err
			}
		}
		ended, err = endSessions(ctx, tx, u.ID, fleet.UserSessionID{}, fleet.EndedByRoles, now)
		return err
	})
	return ended, err
}
