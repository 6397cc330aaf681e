package schema

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Contacts are the addresses and telephone numbers by which people are reached.
// One is in force once its owner has shown the code that was sent there.
type Contacts struct{ DB *DB }

// AskEmail sends a code, by the first notice, to the address that a person wants
// to have. If it is somebody's already, that one is told, by the second, and
// nobody learns the code.
func (t Contacts) AskEmail(ctx context.Context, user fleet.UserID, c Code, change, exists fleet.Notice) error {
	return t.DB.transact(ctx, "user", func(tx pgx.Tx) error {
		if err := addCode(ctx, tx, user, c); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `SELECT id FROM users WHERE email = $1`, c.Target).Scan(&exists.User)
		if errors.Is(err, pgx.ErrNoRows) {
			return t.DB.notify(ctx, tx, change)
		}
		if err != nil {
			return err
		}
		return t.DB.notify(ctx, tx, exists)
	})
}

// ChangeEmail puts the address in force that a code was sent to, and tells the
// person, who has the new one by then. An address that has become somebody's
// meanwhile is a wrong code.
func (t Contacts) ChangeEmail(ctx context.Context, email string, hash []byte, told Telling, now time.Time) error {
	err := t.DB.redeem(ctx, email, ChangeEmail, hash, now, func(tx pgx.Tx, user fleet.UserID, c Code) error {
		_, err := tx.Exec(ctx, `UPDATE users SET email = $2, email_verified = $3 WHERE id = $1`, user, c.Target, now)
		if err != nil {
			return err
		}
		return t.DB.tell(ctx, tx, user, told)
	})
	if fleet.CodeOf(err) == fleet.CodeConflict {
		return errWrongCode
	}
	return err
}

// AskPhone sends a code to the number that a person wants to have.
func (t Contacts) AskPhone(ctx context.Context, user fleet.UserID, c Code, n fleet.Notice) error {
	return t.DB.transact(ctx, "user", func(tx pgx.Tx) error {
		if err := addCode(ctx, tx, user, c); err != nil {
			return err
		}
		return t.DB.notify(ctx, tx, n)
	})
}

// ChangePhone puts the number in force that a code was sent to, and tells the
// person.
func (t Contacts) ChangePhone(ctx context.Context, email string, hash []byte, told Telling, now time.Time) error {
	return t.DB.redeem(ctx, email, VerifyPhone, hash, now, func(tx pgx.Tx, user fleet.UserID, c Code) error {
		_, err := tx.Exec(ctx, `UPDATE users SET phone = $2, phone_verified = $3 WHERE id = $1`, user, c.Target, now)
		if err != nil {
			return err
		}
		return t.DB.tell(ctx, tx, user, told)
	})
}
