package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// SOSRota is who is called, in order, until somebody sees to an SOS.
type SOSRota struct{ DB *DB }

// List returns the steps in their order.
func (t SOSRota) List(ctx context.Context) ([]fleet.SOSStep, error) {
	return all(ctx, t.DB, "rota", scanSOSStep, `SELECT channel, user_id, since, until FROM sos_rota ORDER BY position`)
}

// rotaOf returns the steps, of those who are of ops still.
func rotaOf(ctx context.Context, tx pgx.Tx) ([]fleet.SOSStep, error) {
	rows, err := tx.Query(ctx, `SELECT r.channel, r.user_id, r.since, r.until FROM sos_rota r JOIN users u ON u.id = r.user_id WHERE `+isOps+` ORDER BY r.position`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanSOSStep)
}

func scanSOSStep(row pgx.CollectableRow) (s fleet.SOSStep, err error) {
	var since, until *time.Time
	err = row.Scan(&s.Channel, &s.User, &since, &until)
	s.Since, s.Until = orZero(since), orZero(until)
	return s, err
}

// Replace puts steps in the place of all that there are. Whoever is called has to be
// of ops, so that they can acknowledge; anybody else is CodeInvalid.
func (t SOSRota) Replace(ctx context.Context, steps []fleet.SOSStep) error {
	return t.DB.transact(ctx, "rota", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM sos_rota`); err != nil {
			return err
		}
		for i, s := range steps {
			tag, err := tx.Exec(ctx, `
				INSERT INTO sos_rota (position, channel, user_id, since, until)
				SELECT $1::integer, $2::text, u.id, $4::timestamptz, $5::timestamptz FROM users u WHERE u.id = $3 AND `+isOps,
				i+1, s.Channel, s.User, null(s.Since), null(s.Until))
			if err != nil {
				return err
			}
			if tag.RowsAffected() == 0 {
				return &fleet.Error{Code: fleet.CodeInvalid, Message: "a step of the rota calls somebody who is not of ops"}
			}
		}
		return nil
	})
}

// isOps is whether a user, u, may see to an SOS.
const isOps = `u.roles && ARRAY['dispatcher', 'admin'] AND u.suspended IS NULL AND u.erased IS NULL`

// DuressCodes are what people say when somebody makes them cancel.
type DuressCodes struct{ DB *DB }

// Set keeps the keyed hash of a user's code in place of the one before.
func (t DuressCodes) Set(ctx context.Context, user fleet.UserID, hash []byte, now time.Time) error {
	return t.DB.exec(ctx, "user", `
		INSERT INTO duress_codes (user_id, hash, changed) SELECT id, $2, $3 FROM users WHERE id = $1 AND erased IS NULL
		ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, changed = excluded.changed`, user, hash, now)
}

// Delete forgets a user's code.
func (t DuressCodes) Delete(ctx context.Context, user fleet.UserID) error {
	_, err := t.DB.pool.Exec(ctx, `DELETE FROM duress_codes WHERE user_id = $1`, user)
	return translate("duress code", err)
}
