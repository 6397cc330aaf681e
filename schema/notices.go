package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Notices are what people are told by mail, text message and push, and in the app.
type Notices struct{ DB *DB }

const noticeColumns = `id, user_id, channel, address, kind, data, created, expires, offer, booking, once`

func scanNotice(row pgx.CollectableRow) (n fleet.Notice, err error) {
	err = row.Scan(&n.ID, &n.User, &n.Channel, &n.To, &n.Kind, &n.Sealed, &n.Created, &n.Expires, &n.Offer, &n.Booking, &n.Once)
	n.Created, n.Expires = n.Created.UTC(), n.Expires.UTC()
	return n, err
}

// NoticeStatus is what became of a notice.
type NoticeStatus struct {
	Notice   fleet.Notice // without its data
	State    fleet.NoticeState
	Changed  time.Time // when it came into this state
	Attempts int
	Problem  string // why it could not be sent
}

// notify adds notices, and the jobs that send them, to a transaction: they are
// sent if, and only if, what they tell of has happened. One in the app is there
// with the commit. A push to somebody who has no app that is signed in is none, and
// so is what they were told already (fleet.Notice.Once).
func (db *DB) notify(ctx context.Context, tx pgx.Tx, notices ...fleet.Notice) error {
	for _, n := range notices {
		state := fleet.NoticeQueued
		if n.Channel == fleet.InboxChannel {
			state = fleet.NoticeSent
		}
		tag, err := tx.Exec(ctx, `
			INSERT INTO notices (id, user_id, channel, address, kind, data, created, expires, state, changed, offer, booking, once)
			SELECT $1::uuid, $2::uuid, $3::text, $4::text, $5::text, coalesce($6::bytea, ''), $7::timestamptz, $8::timestamptz, $9::text, $7,
				$10::uuid, $11::uuid, $12::text
			WHERE $3 <> 'push' OR EXISTS (SELECT FROM push_tokens p JOIN user_sessions s ON s.id = p.session
				WHERE p.user_id = $2 AND s.ended IS NULL AND s.expires > $7)
			ON CONFLICT (once, channel, coalesce(user_id, '00000000-0000-0000-0000-000000000000')) WHERE once <> '' DO NOTHING`,
			n.ID, n.User, n.Channel, n.To, n.Kind, n.Sealed, n.Created, n.Expires, state, n.Offer, n.Booking, n.Once)
		if err == nil && state == fleet.NoticeQueued && tag.RowsAffected() == 1 {
			err = db.enqueue(ctx, tx, fleet.NoticeJob{ID: n.ID}, time.Time{})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Telling makes the notices by which somebody is told of a change, when the
// transaction of the change has found out who that is. A nil one tells nobody.
type Telling func(to fleet.User) ([]fleet.Notice, error)

// tell tells a person of what a transaction does. Who is erased is told nothing.
func (db *DB) tell(ctx context.Context, tx pgx.Tx, user fleet.UserID, what Telling) error {
	return db.tellAll(ctx, tx, what, `id = $1`, user)
}

// tellAll tells the people that a condition on users selects.
func (db *DB) tellAll(ctx context.Context, tx pgx.Tx, what Telling, condition string, args ...any) error {
	if what == nil {
		return nil
	}
	rows, err := tx.Query(ctx, `SELECT `+userColumns+` FROM users WHERE erased IS NULL AND `+condition+` ORDER BY id`, args...)
	if err != nil {
		return err
	}
	people, err := pgx.CollectRows(rows, scanUser)
	if err != nil {
		return err
	}
	for _, person := range people {
		notices, err := what(person)
		if err == nil {
			err = db.notify(ctx, tx, notices...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Add tells of what no other change belongs to.
func (t Notices) Add(ctx context.Context, notices ...fleet.Notice) error {
	return t.DB.transact(ctx, "notice", func(tx pgx.Tx) error { return t.DB.notify(ctx, tx, notices...) })
}

// Tell tells a person of what no other change belongs to.
func (t Notices) Tell(ctx context.Context, user fleet.UserID, what Telling) error {
	return t.DB.transact(ctx, "notice", func(tx pgx.Tx) error { return t.DB.tell(ctx, tx, user, what) })
}

// Inbox returns up to limit notices that a person was told in the app, with ids
// before the given one, the newest first. The zero id starts with the newest.
func (t Notices) Inbox(ctx context.Context, user fleet.UserID, before fleet.NoticeID, limit int) ([]fleet.Notice, error) {
	return all(ctx, t.DB, "notice", scanNotice, `
		SELECT `+noticeColumns+` FROM notices
		WHERE user_id = $1 AND channel = 'inbox' AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3`, user, before, limit)
}

// Deliveries returns, by what they tell of (fleet.Notice.Once), how a person was told
// of it besides in the app, without their data, in order of channel.
func (t Notices) Deliveries(ctx context.Context, user fleet.UserID, of []string) (map[string][]NoticeStatus, error) {
	scan := func(row pgx.CollectableRow) (s NoticeStatus, err error) {
		err = row.Scan(&s.Notice.ID, &s.Notice.Channel, &s.Notice.Once, &s.State, &s.Changed)
		s.Changed = s.Changed.UTC()
		return s, err
	}
	found, err := all(ctx, t.DB, "notice", scan, `
		SELECT id, channel, once, state, changed FROM notices
		WHERE user_id = $1 AND channel <> 'inbox' AND once = ANY($2::text[]) AND once <> '' ORDER BY once, channel`, user, of)
	by := make(map[string][]NoticeStatus)
	for _, s := range found {
		by[s.Notice.Once] = append(by[s.Notice.Once], s)
	}
	return by, err
}

// Get returns a notice.
func (t Notices) Get(ctx context.Context, id fleet.NoticeID) (fleet.Notice, error) {
	return one(ctx, t.DB, "notice", scanNotice, `SELECT `+noticeColumns+` FROM notices WHERE id = $1`, id)
}

// Claim takes a notice to send it: it is the claimant's alone. If its last
// claimant never said what became of it, its state is unknown from now on; that,
// and any other state in which it is not to be sent, is CodeConflict. One of safety
// of which nobody knows whether it was sent is claimed again.
func (t Notices) Claim(ctx context.Context, id fleet.NoticeID, now time.Time) (fleet.Notice, error) {
	n, err := one(ctx, t.DB, "notice", scanNotice, `
		UPDATE notices SET state = 'sending', changed = $2, attempts = attempts + 1
		WHERE id = $1 AND (state = 'queued' OR state IN ('sending', 'unknown') AND starts_with(kind, 'safety_')) AND expires > $2
		RETURNING `+noticeColumns, id, now)
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

// Finish says what became of a claimed notice: queued is to be tried again. With
// one that was sent the offer is delivered that it brings.
func (t Notices) Finish(ctx context.Context, id fleet.NoticeID, state fleet.NoticeState, problem string, now time.Time) error {
	return t.DB.transact(ctx, "notice", func(tx pgx.Tx) error {
		var offer fleet.OfferID
		err := tx.QueryRow(ctx, `
			UPDATE notices SET state = $2, problem = $3, changed = $4 WHERE id = $1 AND state = 'sending' RETURNING offer`,
			id, state, text(problem), now).Scan(&offer)
		if err != nil || offer.IsZero() || state != fleet.NoticeSent {
			return err
		}
		return delivered(ctx, tx, offer, now)
	})
}

// List returns up to limit notices to those whom a member of the staff sees, and to
// who has no account, with ids before the given one, the newest first. The zero id
// starts with the newest.
func (t Notices) List(ctx context.Context, staff fleet.UserID, before fleet.NoticeID, limit int) ([]NoticeStatus, error) {
	scan := func(row pgx.CollectableRow) (s NoticeStatus, err error) {
		n := &s.Notice
		err = row.Scan(&n.ID, &n.User, &n.Channel, &n.To, &n.Kind, &n.Booking, &n.Once, &n.Created, &n.Expires, &s.State, &s.Changed, &s.Attempts, &s.Problem)
		n.Created, n.Expires, s.Changed = n.Created.UTC(), n.Expires.UTC(), s.Changed.UTC()
		return s, err
	}
	return all(ctx, t.DB, "notice", scan, `
		SELECT id, user_id, channel, address, kind, booking, once, created, expires, state, changed, attempts, problem
		FROM notices n WHERE `+shows("n.user_id")+` AND `+showsBooking("n.booking")+` AND ($2::uuid IS NULL OR n.id < $2)
		ORDER BY n.id DESC LIMIT $3`, staff, before, limit)
}
