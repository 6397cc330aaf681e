package schema

import (
	"context"
	"crypto/subtle"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// CodePurpose is what a code that was sent to a person is good for.
type CodePurpose string

// The purposes.
const (
	VerifyEmail   CodePurpose = "verify_email"
	ResetPassword CodePurpose = "reset_password"
)

// Code is a code that is sent to a person.
type Code struct {
	Purpose  CodePurpose
	Hash     []byte // keyed
	Password string // hashed: what the code puts in force; "" if nothing
	Created  time.Time
	Expires  time.Time
}

const (
	codeTries   = 5 // guesses at a code
	codesAtOnce = 3 // codes of a person and a purpose that are good; the oldest goes
)

// errWrongCode does not say whether there is such a person, or such a code.
var errWrongCode = &fleet.Error{Code: fleet.CodeUnauthenticated, Message: "the code is wrong or has expired"}

func addCode(ctx context.Context, tx pgx.Tx, user fleet.UserID, c Code) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO codes (id, user_id, purpose, hash, password, created, expires) VALUES ($1, $2, $3, $4, nullif($5, ''), $6, $7)`,
		fleet.NewID[Code](), user, c.Purpose, c.Hash, c.Password, c.Created, c.Expires)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		DELETE FROM codes WHERE user_id = $1 AND purpose = $2 AND id NOT IN
			(SELECT id FROM codes WHERE user_id = $1 AND purpose = $2 ORDER BY id DESC LIMIT $3)`, user, c.Purpose, codesAtOnce)
	return err
}

// redeem has do act on a person's code in a transaction, if hash is that of one,
// and takes all of that purpose away. A wrong guess is counted at each of them,
// and is errWrongCode.
func (db *DB) redeem(ctx context.Context, email string, purpose CodePurpose, hash []byte, now time.Time,
	do func(tx pgx.Tx, user fleet.UserID, password string) error) error {
	wrong := false // in which case the count is committed
	err := db.transact(ctx, "code", func(tx pgx.Tx) error {
		var user fleet.UserID
		var password string
		err := guessCode(ctx, tx, email, purpose, hash, now, &user, &password)
		if wrong = errors.Is(err, errWrongCode); wrong {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM codes WHERE user_id = $1 AND purpose = $2`, user, purpose); err != nil {
			return err
		}
		return do(tx, user, password)
	})
	if err == nil && wrong {
		return errWrongCode
	}
	return err
}

func guessCode(ctx context.Context, tx pgx.Tx, email string, purpose CodePurpose, hash []byte, now time.Time, user *fleet.UserID, password *string) error {
	rows, err := tx.Query(ctx, `
		UPDATE codes SET tries = tries + 1
		WHERE user_id = (SELECT id FROM users WHERE email = $1 AND suspended IS NULL FOR UPDATE)
		      AND purpose = $2 AND tries < $3 AND expires > $4
		RETURNING user_id, hash, coalesce(password, '')`, email, purpose, codeTries, now)
	if err != nil {
		return err
	}
	found, whose, its, code := false, fleet.UserID{}, "", []byte(nil)
	_, err = pgx.ForEachRow(rows, []any{&whose, &code, &its}, func() error {
		if subtle.ConstantTimeCompare(code, hash) == 1 {
			found, *user, *password = true, whose, its
		}
		return nil
	})
	if err == nil && !found {
		err = errWrongCode
	}
	return err
}
