package schema

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Passwords are how most people sign in. What is called a password here is the
// hash of one.
type Passwords struct{ DB *DB }

// Proof is what a person's sign-in is checked against.
type Proof struct {
	User     fleet.User
	Password string // "" if none is in force
	TOTP     []byte // sealed secret; nil if none was confirmed
}

// Proof returns that of the person with an address.
func (t Passwords) Proof(ctx context.Context, email string) (Proof, error) {
	return t.proof(ctx, `u.email = $1`, email)
}

// ProofOf returns that of a person.
func (t Passwords) ProofOf(ctx context.Context, user fleet.UserID) (Proof, error) {
	return t.proof(ctx, `u.id = $1`, user)
}

func (t Passwords) proof(ctx context.Context, condition string, arg any) (Proof, error) {
	scan := func(row pgx.CollectableRow) (c Proof, err error) {
		var verified, suspended *time.Time
		u := &c.User
		err = row.Scan(&u.ID, &u.Email, &verified, &u.Name, &u.Roles, &u.Created, &suspended, &c.Password, &c.TOTP)
		u.EmailVerified, u.Created, u.Suspended = orZero(verified), u.Created.UTC(), orZero(suspended)
		return c, err
	}
	return one(ctx, t.DB, "user", scan, `
		SELECT u.id, coalesce(u.email, ''), u.email_verified, u.name, u.roles, u.created, u.suspended,
		       coalesce(u.password, ''), t.secret
		FROM users u LEFT JOIN totps t ON t.user_id = u.id AND t.confirmed IS NOT NULL
		WHERE u.erased IS NULL AND `+condition, arg)
}

// KnownSource reports whether the person with an address has signed in from a
// peer before.
func (t Passwords) KnownSource(ctx context.Context, email, address string) (bool, error) {
	return one(ctx, t.DB, "user", pgx.RowTo[bool], `
		SELECT EXISTS (SELECT FROM users u JOIN user_sessions s ON s.user_id = u.id WHERE u.email = $1 AND s.address = $2)`,
		email, address)
}

// Register adds an account that waits for its code, and sends it by the first
// notice. If the address has an account that waits already, the code is one more
// of that; if it has one that is in use, its owner is told by the second notice.
// Of this the caller learns nothing.
func (t Passwords) Register(ctx context.Context, u fleet.User, code Code, verify, exists fleet.Notice) error {
	return t.DB.transact(ctx, "user", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			INSERT INTO users (id, email, name, roles, created) VALUES ($1, $2, $3, $4::text[], $5) ON CONFLICT (email) DO NOTHING`,
			u.ID, u.Email, u.Name, roleStrings(u.Roles), u.Created)
		if err != nil {
			return err
		}
		var user fleet.UserID
		var waits bool
		err = tx.QueryRow(ctx, `SELECT id, email_verified IS NULL FROM users WHERE email = $1 FOR UPDATE`, u.Email).Scan(&user, &waits)
		if err != nil {
			return err
		}
		n := verify
		if !waits {
			// The work is the same, and so is the time that it takes.
			n, code.Expires = exists, code.Created
		}
		if err := addCode(ctx, tx, user, code); err != nil {
			return err
		}
		n.User = user
		return t.DB.notify(ctx, tx, n)
	})
}

// Verify puts an account in force, with the password of the registration that
// the code belongs to. Of one that has come into force in another way meanwhile no
// code is good.
func (t Passwords) Verify(ctx context.Context, email string, hash []byte, now time.Time) (user fleet.UserID, err error) {
	err = t.DB.redeem(ctx, email, VerifyEmail, hash, now, func(tx pgx.Tx, id fleet.UserID, c Code) error {
		user = id
		tag, err := tx.Exec(ctx, `UPDATE users SET email_verified = $2, password = $3 WHERE id = $1 AND email_verified IS NULL`, id, now, c.Password)
		if err == nil && tag.RowsAffected() == 0 {
			err = errWrongCode
		}
		return err
	})
	return user, err
}

// Forget sends the person with an address, if there is one, a code by which the
// password can be replaced.
func (t Passwords) Forget(ctx context.Context, email string, code Code, n fleet.Notice) error {
	return t.DB.transact(ctx, "user", func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `
			SELECT id FROM users WHERE email = $1 AND email_verified IS NOT NULL AND suspended IS NULL FOR UPDATE`, email).Scan(&n.User)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := addCode(ctx, tx, n.User, code); err != nil {
			return err
		}
		return t.DB.notify(ctx, tx, n)
	})
}

// Reset replaces the password of whoever has the code, ends all their sessions,
// which it returns, and tells them.
func (t Passwords) Reset(ctx context.Context, email string, hash []byte, password string, told Telling, now time.Time) (ended []fleet.UserSessionID, err error) {
	err = t.DB.redeem(ctx, email, ResetPassword, hash, now, func(tx pgx.Tx, user fleet.UserID, _ Code) error {
		if _, err := tx.Exec(ctx, `UPDATE users SET password = $2 WHERE id = $1`, user, password); err != nil {
			return err
		}
		if err := t.DB.tell(ctx, tx, user, told); err != nil {
			return err
		}
		ended, err = endSessions(ctx, tx, user, fleet.UserSessionID{}, fleet.EndedByPassword, now)
		return err
	})
	return ended, err
}

// PasswordChange is what a person who knows their password has done to it.
type PasswordChange struct {
	Was, Password string              // hashes; the first is of what they have shown
	From          fleet.UserSessionID // in which they do it
	To            NewSession          // in which they go on
	Told          Telling
}

// Change replaces a person's password and tells them. Their session goes on as another,
// with the app that it is reached by; all but that end, which it returns. If somebody
// else has changed the password meanwhile, it is CodeNotFound.
func (t Passwords) Change(ctx context.Context, c PasswordChange, now time.Time) (ended []fleet.UserSessionID, err error) {
	user := c.To.User
	err = t.DB.transact(ctx, "user", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE users SET password = $3 WHERE id = $1 AND password = $2`, user, c.Was, c.Password)
		if err == nil && tag.RowsAffected() == 0 {
			err = pgx.ErrNoRows
		}
		if err == nil {
			err = RefreshTokens(t).begin(ctx, tx, c.To)
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE push_tokens SET session = $3 WHERE user_id = $1 AND session = $2`, user, c.From, c.To.ID); err != nil {
			return err
		}
		if err := t.DB.tell(ctx, tx, user, c.Told); err != nil {
			return err
		}
		ended, err = endSessions(ctx, tx, user, c.To.ID, fleet.EndedByPassword, now)
		return err
	})
	return ended, err
}
