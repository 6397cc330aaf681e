package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Notices are what people are told by mail and text message.
type Notices struct{ DB *DB }

// NoticeStatus is what became of a notice.
type NoticeStatus struct {
	Notice   fleet.Notice // without its data
	State    fleet.NoticeState
	Changed  time.Time // when it came into this state
	Attempts int
	Problem  string // why it could not be sent
}

// notify adds a notice, and the job that sends it, to a transaction: it is sent
// if, and only if, what it tells of has happened.
func (db *DB) notify(ctx context.Context, tx pgx.Tx, n fleet.Notice) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO notices (id, user_id, channel, address, kind, data, created, expires, state, changed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'queued', $7)`,
		n.ID, n.User, n.Channel, n.To, n.Kind, n.Sealed, n.Created, n.Expires)
	if err != nil {
		return err
	}
	return db.enqueue(ctx, tx, fleet.NoticeJob{ID: n.ID}, time.Time{})
}

// Add tells of what no other change belongs to.
func (t Notices) Add(ctx context.Context, notices ...fleet.Notice) error {
	return t.DB.transact(ctx, "notice", func(tx pgx.Tx) error {
		for _, n := range notices {
			if err := t.DB.notify(ctx, tx, n); err != nil {
				return err
			}
		}
		return nil
	})
}

// Claim takes a notice to send it: it is the claimant's alone. If its last
// claimant never said what became of it, its state is unknown from now on; that,
// and any other state in which it is not to be sent, is CodeConflict.
func (t Notices) Claim(ctx context.Context, id fleet.NoticeID, now time.Time) (fleet.Notice, error) {
	scan := func(row pgx.CollectableRow) (n fleet.Notice, err error) {
		err = row.Scan(&n.ID, &n.User, &n.Channel, &n.To, &n.Kind, &n.Sealed, &n.Created, &n.Expires)
		n.Created, n.Expires = n.Created.UTC(), n.Expires.UTC()
		return n, err
	}
	n, err := one(ctx, t.DB, "notice", scan, `
		UPDATE notices SET state = 'sending', changed = $2, attempts = attempts + 1
		WHERE id = $1 AND state = 'queued' AND expires > $2
		RETURNING id, user_id, channel, address, kind, data, created, expires`, id, now)
	if fleet.CodeOf(err) != fleet.CodeNotFound {
		return n, err
	}
	_, err = t.DB.pool.Exec(ctx, `
		UPDATE notices SET state = CASE state WHEN 'sending' THEN 'unknown' ELSE 'expired' END, changed = $2
		WHERE id = $1 AND (state = 'sending' OR state = 'queued' AND expires <= $2)`, id, now)
	if err != nil {
		return n, translate("notice", err)
	}
	return n, &fleet.Error{Code: fleet.CodeConflict, Message: "this notice is not to be sent"}
}

// Finish says what became of a claimed notice: queued is to be tried again.
func (t Notices) Finish(ctx context.Context, id fleet.NoticeID, state fleet.NoticeState, problem string, now time.Time) error {
	return t.DB.exec(ctx, "notice", `
		UPDATE notices SET state = $2, problem = $3, changed = $4 WHERE id = $1 AND state = 'sending'`, id, state, text(problem), now)
}

// List returns up to limit notices with ids before the given one, the newest
// first. The zero id starts with the newest.
func (t Notices) List(ctx context.Context, before fleet.NoticeID, limit int) ([]NoticeStatus, error) {
	scan := func(row pgx.CollectableRow) (s NoticeStatus, err error) {
		n := &s.Notice
		err = row.Scan(&n.ID, &n.User, &n.Channel, &n.To, &n.Kind, &n.Created, &n.Expires, &s.State, &s.Changed, &s.Attempts, &s.Problem)
		n.Created, n.Expires, s.Changed = n.Created.UTC(), n.Expires.UTC(), s.Changed.UTC()
		return s, err
	}
	return all(ctx, t.DB, "notice", scan, `
		SELECT id, user_id, channel, address, kind, created, expires, state, changed, attempts, problem
		FROM notices WHERE $1::uuid IS NULL OR id < $1 ORDER BY id DESC LIMIT $2`, before, limit)
}
