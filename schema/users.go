package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Users are the people with an account.
type Users struct{ DB *DB }

const userColumns = `id, coalesce(email, ''), email_verified, name, coalesce(phone, ''), phone_verified,
	roles, restricted, created, suspended, erased`

func scanUser(row pgx.CollectableRow) (u fleet.User, err error) {
	var verified, phoneVerified, suspended, erased *time.Time
	err = row.Scan(&u.ID, &u.Email, &verified, &u.Name, &u.Phone, &phoneVerified,
		&u.Roles, &u.Restricted, &u.Created, &suspended, &erased)
	u.EmailVerified, u.PhoneVerified = orZero(verified), orZero(phoneVerified)
	u.Created, u.Suspended, u.Erased = u.Created.UTC(), orZero(suspended), orZero(erased)
	return u, err
}

// Create adds a user with a hashed password; "" for one who signs in in another
// way. An address that has an account is CodeConflict.
func (t Users) Create(ctx context.Context, u fleet.User, password string) error {
	return t.DB.exec(ctx, "user", `
		INSERT INTO users (id, email, email_verified, name, phone, phone_verified, password, roles, restricted, created)
		VALUES ($1, $2, $3, $4, nullif($5, ''), $6, nullif($7, ''), $8::text[], $9, $10)`,
		u.ID, u.Email, null(u.EmailVerified), u.Name, u.Phone, null(u.PhoneVerified), password, roleStrings(u.Roles), u.Restricted, u.Created)
}

// roleStrings are roles as PostgreSQL's text[], never NULL.
func roleStrings(roles []fleet.Role) []string {
	s := make([]string, len(roles))
	for i, role := range roles {
		s[i] = string(role)
	}
	return s
}

// Get returns one user, an erased one too.
func (t Users) Get(ctx context.Context, id fleet.UserID) (fleet.User, error) {
	return one(ctx, t.DB, "user", scanUser, `SELECT `+userColumns+` FROM users WHERE id = $1`, id)
}

// Reachable returns the users with any of the roles who may be written to.
func (t Users) Reachable(ctx context.Context, roles ...fleet.Role) ([]fleet.User, error) {
	return all(ctx, t.DB, "user", scanUser, `
		SELECT `+userColumns+` FROM users
		WHERE roles && $1::text[] AND email_verified IS NOT NULL AND suspended IS NULL AND erased IS NULL ORDER BY id`, roleStrings(roles))
}

// UserSessions are the sign-ins of users.
type UserSessions struct{ DB *DB }

const userSessionColumns = `id, user_id, method, second_factor, agent, address,
	created, authenticated, used, expires, ended, end_reason`

func scanUserSession(row pgx.CollectableRow) (s fleet.UserSession, err error) {
	var ended *time.Time
	err = row.Scan(&s.ID, &s.User, &s.Method, &s.SecondFactor, &s.Agent, &s.Address,
		&s.Created, &s.Authenticated, &s.Used, &s.Expires, &ended, &s.EndReason)
	s.Created, s.Authenticated, s.Used = s.Created.UTC(), s.Authenticated.UTC(), s.Used.UTC()
	s.Expires, s.Ended = s.Expires.UTC(), orZero(ended)
	return s, err
}

func beginSession(ctx context.Context, tx pgx.Tx, s fleet.UserSession) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO user_sessions (id, user_id, method, second_factor, agent, address, created, authenticated, used, expires)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		s.ID, s.User, s.Method, s.SecondFactor, text(s.Agent), s.Address, s.Created, s.Authenticated, s.Used, s.Expires)
	return err
}

// Prove notes that the person of a live session has proved who they are again;
// a second factor, once shown, counts until the session ends.
func (t UserSessions) Prove(ctx context.Context, user fleet.UserID, id fleet.UserSessionID, secondFactor bool, now time.Time) error {
	return t.DB.exec(ctx, "session", `
		UPDATE user_sessions SET authenticated = $4, second_factor = second_factor OR $3
		WHERE id = $2 AND user_id = $1 AND ended IS NULL AND expires > $4`, user, id, secondFactor, now)
}

// SignedIn is a session with what its user may do by now.
type SignedIn struct {
	Session   fleet.UserSession
	Roles     []fleet.Role
	Suspended bool
}

// signedIn selects sessions with what their users may do.
const signedIn = `
	SELECT s.id, s.user_id, s.second_factor, s.created, s.authenticated, s.expires, s.ended,
	       u.roles, u.suspended IS NOT NULL OR u.erased IS NOT NULL
	FROM user_sessions s JOIN users u ON u.id = s.user_id`

func scanSignedIn(row pgx.CollectableRow) (s SignedIn, err error) {
	var ended *time.Time
	f := &s.Session
	err = row.Scan(&f.ID, &f.User, &f.SecondFactor, &f.Created, &f.Authenticated, &f.Expires, &ended, &s.Roles, &s.Suspended)
	f.Created, f.Authenticated, f.Expires, f.Ended = f.Created.UTC(), f.Authenticated.UTC(), f.Expires.UTC(), orZero(ended)
	return s, err
}

// SignedIn returns a session and its user's roles.
func (t UserSessions) SignedIn(ctx context.Context, id fleet.UserSessionID) (SignedIn, error) {
	return one(ctx, t.DB, "session", scanSignedIn, signedIn+` WHERE s.id = $1`, id)
}

// Live returns a user's sessions that are neither ended nor expired, the newest
// first.
func (t UserSessions) Live(ctx context.Context, user fleet.UserID, now time.Time) ([]fleet.UserSession, error) {
	return all(ctx, t.DB, "session", scanUserSession, `
		SELECT `+userSessionColumns+` FROM user_sessions
		WHERE user_id = $1 AND ended IS NULL AND expires > $2 ORDER BY created DESC, id`, user, now)
}

// End ends one session of a user. One that is not the user's, or is over, is
// CodeNotFound.
func (t UserSessions) End(ctx context.Context, user fleet.UserID, id fleet.UserSessionID, why fleet.EndReason, now time.Time) error {
	return t.DB.exec(ctx, "session", `
		UPDATE user_sessions SET ended = $4, end_reason = $3 WHERE id = $2 AND user_id = $1 AND ended IS NULL`, user, id, why, now)
}

// EndAll ends a user's sessions but one, which may be zero, and returns those
// that it ended.
func (t UserSessions) EndAll(ctx context.Context, user fleet.UserID, but fleet.UserSessionID, why fleet.EndReason, now time.Time) (ended []fleet.UserSessionID, err error) {
	err = t.DB.transact(ctx, "session", func(tx pgx.Tx) error {
		ended, err = endSessions(ctx, tx, user, but, why, now)
		return err
	})
	return ended, err
}

func endSessions(ctx context.Context, tx pgx.Tx, user fleet.UserID, but fleet.UserSessionID, why fleet.EndReason, now time.Time) ([]fleet.UserSessionID, error) {
	rows, err := tx.Query(ctx, `
		UPDATE user_sessions SET ended = $4, end_reason = $3
		WHERE user_id = $1 AND ended IS NULL AND id IS DISTINCT FROM $2::uuid RETURNING id`, user, but, why, now)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[fleet.UserSessionID])
}
