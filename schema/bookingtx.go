package schema

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"armora/fleet"
)

// changeTries is how often a change of a booking is made anew when the database
// has sacrificed it to another one: two teams that take each other's officers
// wait for each other.
const changeTries = 5

// BookingTx is a booking whose row is locked, and the one place where bookings,
// seats and offers change. Whoever holds it sees the booking as it is, and
// everything done through it happens with the commit or not at all.
type BookingTx struct {
	fleet.Booking           // as it is, kept true by the methods
	Now           time.Time // of the change

	ctx   context.Context
	db    *DB
	tx    pgx.Tx
	moved bool // to a status that is not saved yet
	told  []fleet.DeviceID
}

// Event is what happened to a booking, to be told with the change.
type Event struct {
	Kind     string
	By       fleet.Actor // zero: the system
	Occurred time.Time   // zero: now
	Data     any         // JSON; nil: none
}

// Change locks a booking and lets do change it. If do fails nothing has changed,
// and its error is returned. do may run several times, each time on the booking
// as it then is, and keeps nothing of a run that failed.
func (t Bookings) Change(ctx context.Context, id fleet.BookingID, now time.Time, do func(*BookingTx) error) (fleet.Booking, error) {
	return t.change(ctx, anyBooking(id), now, Term{}, do)
}

// ChangeOf is Change of a booking of the user's own.
func (t Bookings) ChangeOf(ctx context.Context, user fleet.UserID, id fleet.BookingID, now time.Time, do func(*BookingTx) error) (fleet.Booking, error) {
	return t.change(ctx, which{`b.id = $1 AND b.user_id = $2`, []any{id, user}}, now, Term{}, do)
}

// ChangeFor is Change for a member of the staff, who has to be one that sees the
// principal.
func (t Bookings) ChangeFor(ctx context.Context, staff fleet.UserID, id fleet.BookingID, now time.Time, do func(*BookingTx) error) (fleet.Booking, error) {
	return t.change(ctx, which{seen + ` AND b.id = $2`, []any{staff, id}}, now, Term{}, do)
}

// which is a condition on bookings b, with its arguments.
type which struct {
	where string
	args  []any
}

func anyBooking(id fleet.BookingID) which { return which{`b.id = $1`, []any{id}} }

// ChangeIn is Change by a dispatcher. One whose term is over is ErrTermOver.
func (t Bookings) ChangeIn(ctx context.Context, term Term, id fleet.BookingID, now time.Time, do func(*BookingTx) error) (fleet.Booking, error) {
	return t.change(ctx, anyBooking(id), now, term, do)
}

func (t Bookings) change(ctx context.Context, of which, now time.Time, term Term, do func(*BookingTx) error) (b fleet.Booking, err error) {
	for range changeTries {
		err = pgx.BeginFunc(ctx, t.DB.pool, func(tx pgx.Tx) error {
			if err := inTerm(ctx, tx, term); err != nil {
				return err
			}
			c, err := lockBooking(ctx, t.DB, tx, of, now)
			if err != nil {
				return err
			}
			seq, version := c.Seq, c.Version
			if err := do(c); err != nil {
				return err
			}
			if c.Seq != seq || c.Version != version {
				err = c.save()
			}
			b = c.Booking
			return err
		})
		if state := sqlState(err); state != deadlock && state != serializationFailure {
			break
		}
	}
	if err != nil {
		b = fleet.Booking{}
	}
	return b, translate("booking", err)
}

func lockBooking(ctx context.Context, db *DB, tx pgx.Tx, of which, now time.Time) (*BookingTx, error) {
	rows, err := tx.Query(ctx, `SELECT `+bookingColumns+` FROM bookings b WHERE `+of.where+` FOR UPDATE OF b`, of.args...)
	if err != nil {
		return nil, err
	}
	c := &BookingTx{Now: now, ctx: ctx, db: db, tx: tx}
	if c.Booking, err = pgx.CollectExactlyOneRow(rows, scanBooking); err != nil {
		return nil, err
	}
	if rows, err = tx.Query(ctx, `SELECT `+seatColumns+` FROM booking_seats s WHERE s.booking_id = $1 ORDER BY s.number, s.id`, c.ID); err != nil {
		return nil, err
	}
	c.Seats, err = pgx.CollectRows(rows, scanSeat)
	return c, err
}

// save writes the booking's row. It is guarded by the version although the row is
// locked: it holds also for whoever changes a booking by hand.
func (c *BookingTx) save() error {
	asked, err := json.Marshal(c.Order)
	if err != nil {
		return err
	}
	c.Version++
	tag, err := c.tx.Exec(c.ctx, `
		UPDATE bookings SET status = $2, version = $3, seq = $4, starts = $5, zone = $6, local_start = $7, minutes = $8,
			asked = $9::text::jsonb, tariff = $10::text::jsonb, price = $11::text::jsonb, total = $12, currency = $13, metres = $14,
			member = $15, since = $16, funded = $17, sought = $18, en_route = $19, arrived = $20, started = $21, ended = $22,
			ended_by = $23, end_reason = $24, fee = $25
		WHERE id = $1 AND version = $3 - 1`,
		c.ID, c.Status, c.Version, c.Seq, c.Start, c.Zone, c.LocalStart, c.Minutes,
		string(asked), string(c.Tariff), string(c.Price), c.Total.Amount, c.Total.Currency, c.Metres,
		c.Member, c.Since, null(c.Funded), null(c.Sought), null(c.EnRoute), null(c.Arrived), null(c.Started), null(c.Ended),
		c.EndedBy, text(c.EndReason), c.Fee.Amount)
	if err == nil && tag.RowsAffected() == 0 {
		err = fmt.Errorf("booking %s: its version is not %d", c.ID, c.Version-1)
	}
	c.moved = false
	return err
}

// Attempt is a part of the change that may fail without the rest: if do does, what
// it has changed is as it was before, and its error is returned.
func (c *BookingTx) Attempt(do func() error) error {
	booking, moved, told, outer := c.Booking, c.moved, c.told, c.tx
	booking.Seats = slices.Clone(c.Seats)
	err := pgx.BeginFunc(c.ctx, outer, func(tx pgx.Tx) error { // a savepoint
		c.tx = tx
		return do()
	})
	if c.tx = outer; err != nil {
		c.Booking, c.moved, c.told = booking, moved, told
	}
	return err
}

// Move takes the booking to another status, and tells of it. A status to which it
// cannot come from where it is, is CodeConflict. The times of the booking follow
// the status; an end closes its seats and offers.
func (c *BookingTx) Move(to fleet.BookingStatus, e Event) error {
	from := c.Status
	if !slices.Contains(from.Next(), to) {
		return &fleet.Error{Code: fleet.CodeConflict, Message: fmt.Sprintf("the booking is %s: it cannot become %s", from, to)}
	}
	if c.moved { // the database sees each step
		if err := c.save(); err != nil {
			return err
		}
	}
	if e.Occurred.IsZero() {
		e.Occurred = c.Now
	}
	c.Status, c.Since, c.moved = to, c.Now, true
	switch to {
	case fleet.Searching, fleet.Offered:
		if c.Sought.IsZero() {
			c.Sought = c.Now
		}
		c.EnRoute, c.Arrived = time.Time{}, time.Time{}
	default:
		c.Sought = time.Time{}
	}
	switch {
	case to == fleet.EnRoute:
		c.EnRoute = e.Occurred
	case to == fleet.Arrived:
		c.Arrived = e.Occurred
	case to == fleet.InProgress:
		c.Started = e.Occurred
	case to.Ended():
		c.Ended = e.Occurred
		if err := c.close(); err != nil {
			return err
		}
	}
	return c.tell(e, from, to)
}

// close ends what is open of a booking that has ended. An officer for whom a seat
// was but held was never assigned, and is not the officer of a seat that ends so.
func (c *BookingTx) close() error {
	err := c.Settle(fleet.DriverID{}, "the booking is over", fleet.AlertLate, fleet.AlertSilent, fleet.AlertUnfit, fleet.AlertRelief, fleet.AlertUnplanned,
		fleet.AlertOffRoute, fleet.AlertStop, fleet.AlertApart, fleet.AlertSpeed)
	if err != nil {
		return err
	}
	if err := c.EndOffers(fleet.OfferWithdrawn, string(c.Status), nil); err != nil {
		return err
	}
	for i := range c.Seats {
		s := c.Seats[i]
		if s.State == fleet.SeatReleased {
			continue
		}
		if s.State == fleet.SeatHeld {
			if err := c.Vacate(s.ID, string(c.Status)); err != nil {
				return err
			}
		}
		if err := c.Release(s.ID, string(c.Status)); err != nil {
			return err
		}
	}
	return nil
}

// TakeBack takes back a booking that nobody has yet, and that is not funded any more:
// officers who were asked, or had accepted for a team that is not complete, are free.
func (c *BookingTx) TakeBack(reason string, e Event) error {
	c.Funded = time.Time{}
	if err := c.EndOffers(fleet.OfferWithdrawn, reason, nil); err != nil {
		return err
	}
	for _, s := range c.Seats {
		if s.State == fleet.SeatHeld {
			if err := c.Vacate(s.ID, reason); err != nil {
				return err
			}
		}
	}
	if err := c.db.enqueue(c.ctx, c.tx, fleet.BookingFunded{Booking: c.ID}, time.Time{}); err != nil {
		return err
	}
	if c.Status == fleet.Scheduled {
		return c.Note(e)
	}
	return c.Move(fleet.Scheduled, e)
}

// Note tells of something that leaves the status as it is.
func (c *BookingTx) Note(e Event) error { return c.tell(e, "", "") }

func (c *BookingTx) tell(e Event, from, to fleet.BookingStatus) error {
	if e.By.Kind == "" {
		e.By.Kind = fleet.BySystem
	}
	if e.Occurred.IsZero() {
		e.Occurred = c.Now
	}
	var data json.RawMessage
	if e.Data != nil {
		var err error
		if data, err = json.Marshal(e.Data); err != nil {
			return err
		}
	}
	c.Seq++
	_, err := c.tx.Exec(c.ctx, `
		INSERT INTO booking_events (booking_id, seq, kind, from_status, to_status, actor, actor_id, occurred, at, data)
		VALUES ($1, $2, $3, nullif($4, ''), nullif($5, ''), $6, $7, $8, $9, $10::text::jsonb)`,
		c.ID, c.Seq, e.Kind, from, to, e.By.Kind, e.By.User, e.Occurred, c.Now, body(data))
	if err == nil && aboutMoney(e.Kind, to) {
		err = c.LookAtMoney()
	}
	if err == nil && slices.Contains(fleet.EventsToTell(), e.Kind) {
		err = c.Enqueue(c.db, fleet.TellBooking{Booking: c.ID, Seq: c.Seq}, c.tellAt(&e))
	}
	if err == nil && (to != "" && to.Ended() || e.Kind == fleet.EventFeeWaived) {
		err = c.writeDown()
	}
	if err == nil && to != "" && to.Ended() { // should nobody know by then what was paid
		err = c.db.enqueue(c.ctx, c.tx, fleet.InvoiceBooking{Booking: c.ID}, c.Now.Add(fleet.InvoicePatience))
	}
	return err
}

// writeDown leaves the jobs that write down what the booking's money has come to:
// its papers, and what its officers are owed.
func (c *BookingTx) writeDown() error {
	if err := c.db.enqueue(c.ctx, c.tx, fleet.InvoiceBooking{Booking: c.ID}, time.Time{}); err != nil {
		return err
	}
	return c.db.enqueue(c.ctx, c.tx, fleet.EarnBooking{Booking: c.ID}, time.Time{})
}

// seriesPatience is how long people are not told of a booking of a series: others
// are made with it, and they are told of all at once.
const seriesPatience = time.Minute

// tellAt is when people are told of an event; zero: at once.
func (c *BookingTx) tellAt(e *Event) time.Time {
	if e.Kind == "booked" && !c.Series.IsZero() {
		return c.Now.Add(seriesPatience)
	}
	return time.Time{}
}

// Enqueue makes a job of the change.
func (c *BookingTx) Enqueue(db *DB, job river.JobArgs, due time.Time) error {
	return db.enqueue(c.ctx, c.tx, job, due)
}
