package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// TOTPs are people's second factors (RFC 6238), with the recovery codes for whom
// the phone is gone.
type TOTPs struct{ DB *DB }

// Propose keeps a sealed secret that counts once it has been confirmed, and
// forgets an earlier one that was not. A person who has one is CodeConflict.
func (t TOTPs) Propose(ctx context.Context, user fleet.UserID, sealed []byte) error {
	tag, err := t.DB.pool.Exec(ctx, `
		INSERT INTO totps (user_id, secret) VALUES ($1, $2)
		ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, step = 0 WHERE totps.confirmed IS NULL`, user, sealed)
	if err == nil && tag.RowsAffected() == 0 {
		return &fleet.Error{Code: fleet.CodeConflict, Message: "there is a second factor already: remove it first"}
	}
	return translate("second factor", err)
}

// Proposed returns the sealed secret that a person has yet to confirm.
func (t TOTPs) Proposed(ctx context.Context, user fleet.UserID) ([]byte, error) {
	return one(ctx, t.DB, "second factor to be confirmed", pgx.RowTo[[]byte],
		`SELECT secret FROM totps WHERE user_id = $1 AND confirmed IS NULL`, user)
}

// Confirm puts the proposed secret in force, of which the code of a step has
// been seen, replaces the recovery codes, and tells the person.
func (t TOTPs) Confirm(ctx context.Context, user fleet.UserID, sealed []byte, step int64, recovery [][]byte, told Telling, now time.Time) error {
	return t.DB.transact(ctx, "second factor to be confirmed", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			UPDATE totps SET confirmed = $4, step = $3 WHERE user_id = $1 AND secret = $2 AND confirmed IS NULL`, user, sealed, step, now)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return pgx.ErrNoRows
		}
		if err := replaceRecovery(ctx, tx, user, recovery); err != nil {
			return err
		}
		return t.DB.tell(ctx, tx, user, told)
	})
}

// Use takes the code of a step, or fails with CodeConflict if that or a later
// one was taken before.
func (t TOTPs) Use(ctx context.Context, user fleet.UserID, step int64) error {
	err := t.DB.exec(ctx, "second factor", `
		UPDATE totps SET step = $2 WHERE user_id = $1 AND step < $2 AND confirmed IS NOT NULL`, user, step)
	return usedBefore(err)
}

// Recover uses up a recovery code; one that is not good is CodeConflict.
func (t TOTPs) Recover(ctx context.Context, user fleet.UserID, hash []byte, now time.Time) error {
	err := t.DB.exec(ctx, "recovery code", `
		UPDATE recovery_codes SET used = $3 WHERE user_id = $1 AND hash = $2 AND used IS NULL`, user, hash, now)
	return usedBefore(err)
}

func usedBefore(err error) error {
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return &fleet.Error{Code: fleet.CodeConflict, Message: "this was used before, or never good"}
	}
	return err
}

// ReplaceRecovery replaces the recovery codes of a person who has a second
// factor, and tells them.
func (t TOTPs) ReplaceRecovery(ctx context.Context, user fleet.UserID, recovery [][]byte, told Telling) error {
	return t.DB.transact(ctx, "second factor", func(tx pgx.Tx) error {
		var has bool
		err := tx.QueryRow(ctx, `SELECT true FROM totps WHERE user_id = $1 AND confirmed IS NOT NULL FOR UPDATE`, user).Scan(&has)
		if err != nil {
			return err
		}
		if err := replaceRecovery(ctx, tx, user, recovery); err != nil {
			return err
		}
		return t.DB.tell(ctx, tx, user, told)
	})
}

func replaceRecovery(ctx context.Context, tx pgx.Tx, user fleet.UserID, recovery [][]byte) error {
	if _, err := tx.Exec(ctx, `DELETE FROM recovery_codes WHERE user_id = $1`, user); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO recovery_codes (user_id, hash) SELECT $1::uuid, unnest($2::bytea[])`, user, recovery)
	return err
}

// Remove forgets a person's second factor and recovery codes, ends all their sessions,
// which it returns, and tells them.
func (t TOTPs) Remove(ctx context.Context, user fleet.UserID, told Telling, now time.Time) (ended []fleet.UserSessionID, err error) {
	err = t.DB.transact(ctx, "second factor", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM totps WHERE user_id = $1`, user)
		if err == nil && tag.RowsAffected() == 0 {
			err = pgx.ErrNoRows
		}
		if err == nil {
			err = replaceRecovery(ctx, tx, user, nil)
		}
		if err == nil {
			err = t.DB.tell(ctx, tx, user, told)
		}
		if err != nil {
			return err
		}
		ended, err = endSessions(ctx, tx, user, fleet.UserSessionID{}, fleet.EndedByUser, now)
		return err
	})
	return ended, err
}
