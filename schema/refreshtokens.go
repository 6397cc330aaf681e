package schema

import (
	"bytes"
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// RefreshTokens are what sessions are continued with, kept as keyed hashes.
type RefreshTokens struct{ DB *DB }

// Rotation is what came of showing a refresh token.
type Rotation struct {
	Session fleet.UserSession
	Reused  bool // it was not good any more: the session has been ended
}

type refreshToken struct {
	hash, parent []byte
	seq          int32
	used         *time.Time
}

// NewSession is a session that begins, with its first refresh token.
type NewSession struct {
	fleet.UserSession
	Token      []byte  // hashed
	Password   string  // the hash of the password that was shown for it; "": none was
	Unfamiliar Telling // tells the person of a sign-in from somewhere new
}

// Begin adds a session. It is CodeNotFound if the person may not sign in by now, or
// the password that was shown is not theirs any more: whoever takes that from them
// ends the sessions that there are, and this one was not there yet.
func (t RefreshTokens) Begin(ctx context.Context, s NewSession) error {
	return t.DB.transact(ctx, "session", func(tx pgx.Tx) error {
		var user fleet.UserID
		err := tx.QueryRow(ctx, `
			SELECT id FROM users
			WHERE id = $1 AND suspended IS NULL AND erased IS NULL AND ($2 = '' OR password = $2) FOR SHARE`, s.User, s.Password).Scan(&user)
		if err != nil {
			return err
		}
		return t.begin(ctx, tx, s)
	})
}

// begin adds a session. The person is told if they have had sessions, and none of the
// same agent, or none from the same address.
func (t RefreshTokens) begin(ctx context.Context, tx pgx.Tx, s NewSession) error {
	var familiar bool
	err := tx.QueryRow(ctx, `
		SELECT coalesce(bool_or(agent = $2) AND bool_or(address = $3), true) FROM user_sessions WHERE user_id = $1`,
		s.User, text(s.Agent), s.Address).Scan(&familiar)
	if err == nil && !familiar {
		err = t.DB.tell(ctx, tx, s.User, s.Unfamiliar)
	}
	if err != nil {
		return err
	}
	if err := beginSession(ctx, tx, s.UserSession); err != nil {
		return err
	}
	return addRefreshToken(ctx, tx, s.ID, refreshToken{hash: s.Token, seq: 1}, s.Created)
}

// Rotate exchanges a refresh token for the next one. The session's newest token
// is good. So is the newest one's parent, for a grace after it was used and only
// while the newest was not: the answer to it got lost, and the newest is killed.
// Any other token that was ever good means that somebody has a copy, and ends
// the session. A token that never was, and one of a session that is over, are
// CodeNotFound.
func (t RefreshTokens) Rotate(ctx context.Context, shown, next []byte, grace time.Duration, now time.Time) (r Rotation, err error) {
	err = t.DB.transact(ctx, "session", func(tx pgx.Tx) error {
		r, err = lockSession(ctx, tx, shown, now)
		if err != nil {
			return err
		}
		newest, err := newestToken(ctx, tx, r.Session.ID)
		if err != nil {
			return err
		}
		switch {
		case bytes.Equal(newest.hash, shown) && newest.used == nil:
			_, err = tx.Exec(ctx, `UPDATE refresh_tokens SET used = $2 WHERE hash = $1`, shown, now)
		case bytes.Equal(newest.parent, shown) && newest.used == nil:
			r.Reused, err = killNewest(ctx, tx, newest.hash, shown, grace, now)
		default:
			r.Reused = true
		}
		if err != nil {
			return err
		}
		if r.Reused {
			_, err = tx.Exec(ctx, `UPDATE user_sessions SET ended = $2, end_reason = $3 WHERE id = $1`, r.Session.ID, now, fleet.EndedByReuse)
			return err
		}
		if _, err = tx.Exec(ctx, `UPDATE user_sessions SET used = $2 WHERE id = $1`, r.Session.ID, now); err != nil {
			return err
		}
		var last int32
		if err := tx.QueryRow(ctx, `SELECT max(seq) FROM refresh_tokens WHERE session = $1`, r.Session.ID).Scan(&last); err != nil {
			return err
		}
		return addRefreshToken(ctx, tx, r.Session.ID, refreshToken{hash: next, parent: shown, seq: last + 1}, now)
	})
	return r, err
}

// killNewest makes room for another child of a parent, if it was used within the
// grace; if not, that is a reuse.
func killNewest(ctx context.Context, tx pgx.Tx, newest, parent []byte, grace time.Duration, now time.Time) (reused bool, err error) {
	tag, err := tx.Exec(ctx, `
		UPDATE refresh_tokens SET killed = $3
		WHERE hash = $1 AND (SELECT used FROM refresh_tokens WHERE hash = $2) > $4`, newest, parent, now, now.Add(-grace))
	return err == nil && tag.RowsAffected() == 0, err
}

// lockSession finds the live session of a token and locks it, so that of several
// who show its tokens one comes after the other.
func lockSession(ctx context.Context, tx pgx.Tx, shown []byte, now time.Time) (r Rotation, err error) {
	rows, err := tx.Query(ctx, `
		SELECT `+userSessionColumns+` FROM user_sessions
		WHERE id = (SELECT session FROM refresh_tokens WHERE hash = $1) AND ended IS NULL AND expires > $2
		      AND user_id IN (SELECT id FROM users WHERE suspended IS NULL AND erased IS NULL)
		FOR UPDATE`, shown, now)
	if err != nil {
		return r, err
	}
	r.Session, err = pgx.CollectExactlyOneRow(rows, scanUserSession)
	return r, err
}

func newestToken(ctx context.Context, tx pgx.Tx, session fleet.UserSessionID) (n refreshToken, err error) {
	err = tx.QueryRow(ctx, `
		SELECT hash, parent, seq, used FROM refresh_tokens
		WHERE session = $1 AND killed IS NULL ORDER BY seq DESC LIMIT 1`, session).
		Scan(&n.hash, &n.parent, &n.seq, &n.used)
	return n, err
}

func addRefreshToken(ctx context.Context, tx pgx.Tx, session fleet.UserSessionID, r refreshToken, now time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO refresh_tokens (hash, session, seq, parent, created) VALUES ($1, $2, $3, $4, $5)`,
		r.hash, session, r.seq, r.parent, now)
	return err
}
