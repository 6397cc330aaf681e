package schema

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Chats are the conversations of trips.
type Chats struct{ DB *DB }

// Participant is who wants something of a conversation.
type Participant struct {
	User fleet.UserID // zero: the bootstrap admin, who may but look
	Ops  bool         // they are of ops as well
	// Since is when a trip has to have ended at the earliest for its officers to be
	// still shown what was written.
	Since time.Time
}

const (
	// atWork is the condition under which the officer of a seat s of a booking b takes
	// part in its conversation: while they are assigned, and if they were at the end,
	// until $3 has passed it. It is the rule by which dispatch shows them the principal.
	atWork = `(s.state IN ('committed', 'active') AND b.ended IS NULL OR s.state = 'released' AND s.reason = b.status AND b.ended > $3::timestamptz)`
	// chatsAs is as whom a user, $1, takes part in the conversation of a booking b;
	// NULL: they do not. $2: they are of ops.
	chatsAs = `CASE
		WHEN b.user_id = $1::uuid THEN 'principal'
		WHEN EXISTS (SELECT FROM booking_seats s JOIN drivers d ON d.id = s.driver_id
			WHERE s.booking_id = b.id AND d.user_id = $1::uuid AND ` + atWork + `) THEN 'officer'
		WHEN $2::boolean AND ` + seen + ` THEN 'ops' END`
)

// chatNotHeld keeps what belongs to a booking b that a hold is about: on its
// principal, or on anybody who has written there.
const chatNotHeld = ` AND NOT EXISTS (SELECT FROM legal_holds h WHERE h.released IS NULL AND h.user_id IS NOT NULL
	AND (h.user_id = b.user_id OR h.user_id IN (SELECT w.author FROM chat_messages w WHERE w.booking_id = b.id)))`

// args are the arguments of chatsAs, and more.
func (p Participant) args(more ...any) []any { return append([]any{p.User, p.Ops, p.Since}, more...) }

// ChatView is a conversation as a whole, to one who takes part.
type ChatView struct {
	As        fleet.ActorKind
	Principal fleet.UserID
	Ended     time.Time // zero: the trip has not; then it may be written
	Seq       int64     // of the booking's last event
	Marks     []fleet.ChatMark
}

// View returns the conversation of a booking to who takes part in it; to anybody
// else there is no such booking. The marks are those of the principal and of the
// officers who are, or at the end were, assigned.
func (t Chats) View(ctx context.Context, who Participant, booking fleet.BookingID) (ChatView, error) {
	v, err := one(ctx, t.DB, "booking", func(row pgx.CollectableRow) (v ChatView, err error) {
		var ended *time.Time
		err = row.Scan(&v.As, &v.Principal, &ended, &v.Seq)
		v.Ended = orZero(ended)
		return v, err
	}, `SELECT `+chatsAs+`, b.user_id, b.ended, b.seq FROM bookings b WHERE b.id = $4 AND `+chatsAs+` IS NOT NULL`, who.args(booking)...)
	if err != nil {
		return v, err
	}
	v.Marks, err = all(ctx, t.DB, "mark", scanMark, `
		SELECT 'principal', NULL::uuid, k.delivered, k.delivered_at, k.read, k.read_at
		FROM chat_marks k JOIN bookings b ON b.id = k.booking_id AND b.user_id = k.user_id WHERE b.id = $1
		UNION ALL
		SELECT DISTINCT 'officer', d.id, k.delivered, k.delivered_at, k.read, k.read_at
		FROM chat_marks k JOIN bookings b ON b.id = k.booking_id
		JOIN drivers d ON d.user_id = k.user_id JOIN booking_seats s ON s.booking_id = b.id AND s.driver_id = d.id
		WHERE b.id = $1 AND (s.state IN ('committed', 'active') OR s.state = 'released' AND s.reason = b.status AND b.ended IS NOT NULL)
		ORDER BY 1 DESC, 2`, booking)
	return v, err
}

func scanMark(row pgx.CollectableRow) (m fleet.ChatMark, err error) {
	var delivered, read *time.Time
	err = row.Scan(&m.As, &m.Driver, &m.Delivered, &delivered, &m.Read, &read)
	m.DeliveredAt, m.ReadAt = orZero(delivered), orZero(read)
	return m, err
}

const chatColumns = `m.booking_id, m.seq, m.client_id, m.author, m.wrote_as, m.driver_id, m.sealed, m.sent`

func scanChatMessage(row pgx.CollectableRow) (m fleet.ChatMessage, err error) {
	err = row.Scan(&m.Booking, &m.Seq, &m.ID, &m.Author, &m.As, &m.Driver, &m.Sealed, &m.Sent)
	m.Sent = m.Sent.UTC()
	return m, err
}

// After returns up to limit messages with a seq beyond after, in order, to who takes
// part in the conversation; none to anybody else.
func (t Chats) After(ctx context.Context, who Participant, booking fleet.BookingID, after int64, limit int) ([]fleet.ChatMessage, error) {
	return t.messages(ctx, `m.seq > $5 ORDER BY m.seq`, who, booking, after, limit)
}

// Before is After of those with a seq below before, the newest first.
func (t Chats) Before(ctx context.Context, who Participant, booking fleet.BookingID, before int64, limit int) ([]fleet.ChatMessage, error) {
	return t.messages(ctx, `m.seq < $5 ORDER BY m.seq DESC`, who, booking, before, limit)
}

func (t Chats) messages(ctx context.Context, where string, who Participant, booking fleet.BookingID, from int64, limit int) ([]fleet.ChatMessage, error) {
	return all(ctx, t.DB, "message", scanChatMessage, `
		SELECT `+chatColumns+` FROM chat_messages m JOIN bookings b ON b.id = m.booking_id
		WHERE b.id = $4 AND `+chatsAs+` IS NOT NULL AND `+where+` LIMIT $6`, who.args(booking, from, limit)...)
}

// ConversationPlace is where a list of conversations goes on. The zero value is its
// beginning.
type ConversationPlace struct {
	Sent    time.Time
	Booking fleet.BookingID
}

// Conversations returns up to limit conversations in which a user takes part and in
// which something was written, beyond a place, that in which was written last first.
func (t Chats) Conversations(ctx context.Context, who Participant, after ConversationPlace, limit int) ([]fleet.Conversation, error) {
	who.Ops = false // which conversations ops look at, they choose by the booking
	return all(ctx, t.DB, "conversation", func(row pgx.CollectableRow) (c fleet.Conversation, err error) {
		var ended *time.Time
		m := &c.Last
		err = row.Scan(&c.Booking, &c.Status, &c.Start, &ended, &c.As, &c.Unread,
			&m.Booking, &m.Seq, &m.ID, &m.Author, &m.As, &m.Driver, &m.Sealed, &m.Sent)
		c.Start, c.Ended, m.Sent = c.Start.UTC(), orZero(ended), m.Sent.UTC()
		return c, err
	}, `
		SELECT b.id, b.status, b.starts, b.ended, `+chatsAs+`,
			(SELECT count(*) FROM chat_messages u WHERE u.booking_id = b.id AND u.author <> $1 AND u.seq > coalesce(k.read, 0)), `+chatColumns+`
		FROM bookings b
		CROSS JOIN LATERAL (SELECT * FROM chat_messages l WHERE l.booking_id = b.id ORDER BY l.seq DESC LIMIT 1) m
		LEFT JOIN chat_marks k ON k.booking_id = b.id AND k.user_id = $1
		WHERE (b.user_id = $1 OR b.id IN (SELECT s.booking_id FROM booking_seats s JOIN drivers d ON d.id = s.driver_id WHERE d.user_id = $1))
			AND `+chatsAs+` IS NOT NULL AND ($4::timestamptz IS NULL OR (m.sent, b.id) < ($4, $5::uuid))
		ORDER BY m.sent DESC, b.id DESC LIMIT $6`, who.args(null(after.Sent), after.Booking, limit)...)
}

// ChatLimit is how much one person may write in a conversation: Most messages
// Within.
type ChatLimit struct {
	Most   int
	Within time.Duration
}

// Said is what became of a message.
type Said struct {
	Message fleet.ChatMessage
	Again   bool // it was there already
}

// Say keeps a message, as whoever its author takes part in the conversation, and has
// pushed to the others' apps what has not come to them by then. The booking's
// version, and with it its ETag, stays. A message of the author's that has this id
// already is returned as it was kept. Of a trip that is over, CodeConflict; of more
// than the limit, CodeTooMany; to who takes no part, CodeNotFound.
func (t Chats) Say(ctx context.Context, who Participant, m fleet.ChatMessage, limit ChatLimit, pushAfter time.Duration, now time.Time) (said Said, err error) {
	m.Author, now = who.User, now.Truncate(time.Microsecond) // as the database keeps it: an answer is the same later
	err = t.DB.transact(ctx, "booking", func(tx pgx.Tx) error {
		c, err := lockBooking(ctx, t.DB, tx, anyBooking(m.Booking), now)
		if err != nil {
			return err
		}
		// Once the lock is there: who was replaced meanwhile takes no part any more.
		err = tx.QueryRow(ctx, `
			SELECT `+chatsAs+`, (SELECT d.id FROM drivers d WHERE d.user_id = $1) FROM bookings b WHERE b.id = $4 AND `+chatsAs+` IS NOT NULL`,
			who.args(m.Booking)...).Scan(&m.As, &m.Driver)
		if err != nil {
			return err
		}
		if m.As != fleet.ByOfficer {
			m.Driver = fleet.DriverID{}
		}
		if said, err = c.saidBefore(&m); err != nil || said.Again {
			return err
		}
		if err := c.maySay(&m, limit); err != nil {
			return err
		}
		said.Message, err = c.say(m)
		if err != nil {
			return err
		}
		return c.pushLater(&said.Message, pushAfter)
	})
	return said, err
}

func (c *BookingTx) saidBefore(m *fleet.ChatMessage) (said Said, err error) {
	rows, err := c.tx.Query(c.ctx, `SELECT `+chatColumns+` FROM chat_messages m WHERE m.booking_id = $1 AND m.author = $2 AND m.client_id = $3`,
		m.Booking, m.Author, m.ID)
	if err != nil {
		return said, err
	}
	found, err := pgx.CollectRows(rows, scanChatMessage)
	if err == nil && len(found) > 0 {
		said = Said{Message: found[0], Again: true}
	}
	return said, err
}

func (c *BookingTx) maySay(m *fleet.ChatMessage, limit ChatLimit) error {
	if !c.Ended.IsZero() {
		return &fleet.Error{Code: fleet.CodeConflict, Message: "the assignment is over: its conversation can be read, and nothing written"}
	}
	var lately int
	var first *time.Time
	err := c.tx.QueryRow(c.ctx, `SELECT count(*), min(sent) FROM chat_messages WHERE booking_id = $1 AND author = $2 AND sent > $3`,
		m.Booking, m.Author, c.Now.Add(-limit.Within)).Scan(&lately, &first)
	if err == nil && lately >= limit.Most {
		err = &fleet.Error{Code: fleet.CodeTooMany, Retry: max(first.Add(limit.Within).Sub(c.Now), time.Second),
			Message: fmt.Sprintf("%d messages in %v are the most", limit.Most, limit.Within)}
	}
	return err
}

// say numbers a message among the booking's events and keeps it. It leaves the
// version as it is: nobody who edits a booking is told that it has changed because
// somebody has written.
func (c *BookingTx) say(m fleet.ChatMessage) (fleet.ChatMessage, error) {
	if err := c.Note(Event{Kind: "message", By: fleet.Actor{Kind: m.As, User: m.Author}}); err != nil {
		return m, err
	}
	m.Seq, m.Sent = c.Seq, c.Now
	if _, err := c.tx.Exec(c.ctx, `UPDATE bookings SET seq = $2 WHERE id = $1`, c.ID, c.Seq); err != nil {
		return m, err
	}
	_, err := c.tx.Exec(c.ctx, `
		INSERT INTO chat_messages (booking_id, seq, client_id, author, wrote_as, driver_id, sealed, sent) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		m.Booking, m.Seq, m.ID, m.Author, m.As, m.Driver, m.Sealed, m.Sent)
	return m, err
}

// pushLater makes, for everybody else who takes part, the job that looks whether the
// message has come to them.
func (c *BookingTx) pushLater(m *fleet.ChatMessage, after time.Duration) error {
	rows, err := c.tx.Query(c.ctx, `
		SELECT user_id FROM bookings WHERE id = $1 AND user_id <> $2
		UNION
		SELECT d.user_id FROM booking_seats s JOIN drivers d ON d.id = s.driver_id
		WHERE s.booking_id = $1 AND s.state IN ('committed', 'active') AND d.user_id <> $2`, m.Booking, m.Author)
	if err != nil {
		return err
	}
	others, err := pgx.CollectRows(rows, pgx.RowTo[fleet.UserID])
	for _, user := range others {
		if err == nil {
			err = c.db.enqueue(c.ctx, c.tx, fleet.ChatPushJob{Booking: m.Booking, Seq: m.Seq, User: user}, c.Now.Add(after))
		}
	}
	return err
}

// Mark keeps how far a conversation has come to the principal or an officer, and
// reports whether that is news. What was read was delivered. A mark does not go back,
// and not beyond what there is. Ops leave none: CodeForbidden.
func (t Chats) Mark(ctx context.Context, who Participant, booking fleet.BookingID, delivered, read int64, now time.Time) (news bool, err error) {
	as, err := one(ctx, t.DB, "booking", pgx.RowTo[fleet.ActorKind],
		`SELECT `+chatsAs+` FROM bookings b WHERE b.id = $4 AND `+chatsAs+` IS NOT NULL`, who.args(booking)...)
	if err != nil {
		return false, err
	}
	if as == fleet.ByOps {
		return false, &fleet.Error{Code: fleet.CodeForbidden, Message: "ops leave no marks in a conversation"}
	}
	tag, err := t.DB.pool.Exec(ctx, `
		INSERT INTO chat_marks AS k (booking_id, user_id, delivered, delivered_at, read, read_at)
		SELECT b.id, $1::uuid, least(greatest($5::bigint, $6::bigint), b.seq), $7::timestamptz, least($6, b.seq), CASE WHEN $6 > 0 THEN $7 END
		FROM bookings b WHERE b.id = $4 AND `+chatsAs+` IN ('principal', 'officer') AND greatest($5, $6) > 0
		ON CONFLICT (booking_id, user_id) DO UPDATE SET
			delivered = greatest(k.delivered, excluded.delivered),
			delivered_at = CASE WHEN excluded.delivered > k.delivered THEN excluded.delivered_at ELSE k.delivered_at END,
			read = greatest(k.read, excluded.read),
			read_at = CASE WHEN excluded.read > k.read THEN excluded.read_at ELSE k.read_at END
		WHERE excluded.delivered > k.delivered OR excluded.read > k.read`, who.args(booking, delivered, read, now)...)
	return err == nil && tag.RowsAffected() > 0, translate("mark", err)
}

// Push adds the notice that tells somebody of a message, unless it, or a later one,
// has come to them or they were told of it already, or they take no part any more.
func (t Chats) Push(ctx context.Context, who Participant, job fleet.ChatPushJob, notice fleet.Notice) (pushed bool, err error) {
	err = t.DB.transact(ctx, "notice", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			INSERT INTO chat_marks AS k (booking_id, user_id, pushed)
			SELECT b.id, $1::uuid, $5::bigint FROM bookings b WHERE b.id = $4 AND `+chatsAs+` IN ('principal', 'officer')
			ON CONFLICT (booking_id, user_id) DO UPDATE SET pushed = excluded.pushed
			WHERE k.delivered < excluded.pushed AND k.pushed < excluded.pushed`, who.args(job.Booking, job.Seq)...)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		pushed = true
		return t.DB.notify(ctx, tx, notice)
	})
	return pushed && err == nil, err
}
