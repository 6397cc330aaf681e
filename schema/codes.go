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
	ChangeEmail   CodePurpose = "change_email"
	VerifyPhone   CodePurpose = "verify_phone"
)

// Code is a code that is sent to a person.
type Code struct {
	Purpose  CodePurpose
	Hash     []byte // keyed
	Password string // hashed: what the code puts in force; "" if none
	Target   string // an address or a number that it puts in force; "" if none
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
		INSERT INTO codes (id, user_id, purpose, hash, password, target, created, expires)
		VALUES ($1, $2, $3, $4, nullif($5, ''), nullif($6, ''), $7, $8)`,
		fleet.NewID[Code](), user, c.Purpose, c.Hash, c.Password, c.Target, c.Created, c.Expires)
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
	do func(tx pgx.Tx, user fleet.UserID, c Code) error) error {
	wrong := false // in which case the count is committed
	err := db.transact(ctx, "code", func(tx pgx.Tx) error {
		var user fleet.UserID
		var c Code
		err := guessCode(ctx, tx, email, purpose, hash, now, &user, &c)
		if wrong = errors.Is(err, errWrongCode); wrong {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM codes WHERE user_id = $1 AND purpose = $2`, user, purpose); err != nil {
			return err
		}
		return do(tx, user, c)
	})
	if err == nil && wrong {
		return errWrongCode
	}
	return err
}

func guessCode(ctx context.Context, tx pgx.Tx, email string, purpose CodePurpose, hash []byte, now time.Time, user *fleet.UserID, c *Code) error {
	rows, err := tx.Query(ctx, `
		UPDATE codes SET tries = tries + 1
		WHERE user_id = (SELECT id FROM users WHERE email = $1 AND suspended IS NULL FOR UPDATE)
		      AND purpose = $2 AND tries < $3 AND expires > $4
		RETURNING user_id, hash, coalesce(password, ''), coalesce(target, '')`, email, purpose, codeTries, now)
	if err != nil {
		return err
	}
	found, whose, one := false, fleet.UserID{}, Code{}
	_, err = pgx.ForEachRow(rows, []any{&whose, &one.Hash, &one.Password, &one.Target}, func() error {
		if subtle.ConstantTimeCompare(one.Hash, hash) == 1 {
			found, *user, *c = true, whose, one
		}
		return nil
	})
	if err == nil && !found {
		err = errWrongCode
	}
	return err
}
