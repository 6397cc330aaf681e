package schema

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Bookings are the orders that were placed, with their seats and what happened to
// them. They are changed by Change alone.
type Bookings struct{ DB *DB }

const bookingColumns = `b.id, b.user_id, b.series_id, b.quote_id, b.status, b.version, b.seq, b.starts, b.zone, b.local_start, b.minutes,
	b.asked::text, b.tariff::text, b.price::text, b.total, b.currency, b.metres, b.member, b.created, b.since,
	b.funded, b.sought, b.en_route, b.arrived, b.started, b.ended, b.ended_by, b.end_reason, b.fee`

func scanBooking(row pgx.CollectableRow) (b fleet.Booking, err error) {
	var asked, tariff, price string
	var funded, sought, enRoute, arrived, started, ended *time.Time
	err = row.Scan(&b.ID, &b.User, &b.Series, &b.Quote, &b.Status, &b.Version, &b.Seq, &b.Start, &b.Zone, &b.LocalStart, &b.Minutes,
		&asked, &tariff, &price, &b.Total.Amount, &b.Total.Currency, &b.Metres, &b.Member, &b.Created, &b.Since,
		&funded, &sought, &enRoute, &arrived, &started, &ended, &b.EndedBy, &b.EndReason, &b.Fee.Amount)
	if err != nil {
		return b, err
	}
	b.Start, b.Created, b.Since = b.Start.UTC(), b.Created.UTC(), b.Since.UTC()
	b.Funded, b.Sought, b.EnRoute = orZero(funded), orZero(sought), orZero(enRoute)
	b.Arrived, b.Started, b.Ended = orZero(arrived), orZero(started), orZero(ended)
	b.Tariff, b.Price, b.Fee.Currency = json.RawMessage(tariff), json.RawMessage(price), b.Total.Currency
	return b, json.Unmarshal([]byte(asked), &b.Order)
}

// Get returns a booking with all its seats, whoever it belongs to: for the hub
// itself.
func (t Bookings) Get(ctx context.Context, id fleet.BookingID) (fleet.Booking, error) {
	return t.get(ctx, `b.id = $1`, id)
}

// Of returns a booking of a user's own.
func (t Bookings) Of(ctx context.Context, user fleet.UserID, id fleet.BookingID) (fleet.Booking, error) {
	return t.get(ctx, `b.id = $1 AND b.user_id = $2`, id, user)
}

// ByOfficer returns a booking in which the driver who signs in as a user has or
// had a seat.
func (t Bookings) ByOfficer(ctx context.Context, user fleet.UserID, id fleet.BookingID) (fleet.Booking, error) {
	return t.get(ctx, `b.id = $1 AND EXISTS (
		SELECT FROM booking_seats s JOIN drivers d ON d.id = s.driver_id WHERE s.booking_id = b.id AND d.user_id = $2)`, id, user)
}

func (t Bookings) get(ctx context.Context, where string, args ...any) (fleet.Booking, error) {
	bookings, err := t.list(ctx, where, args...)
	if err == nil && len(bookings) == 0 {
		err = translate("booking", pgx.ErrNoRows)
	}
	if err != nil {
		return fleet.Booking{}, err
	}
	return bookings[0], nil
}

// Open returns every booking in one of the statuses that starts before a time, in
// the order of their starts. There are no more of them than there is work.
func (t Bookings) Open(ctx context.Context, before time.Time, statuses ...fleet.BookingStatus) ([]fleet.Booking, error) {
	return t.list(ctx, `b.status = ANY($1::text[]) AND b.ended IS NULL AND b.starts < $2 ORDER BY b.starts, b.id`, texts(statuses), before)
}

// ByIDs returns those of the bookings that exist, in order of id.
func (t Bookings) ByIDs(ctx context.Context, ids []fleet.BookingID) ([]fleet.Booking, error) {
	return t.list(ctx, `b.id = ANY($1::uuid[]) ORDER BY b.id`, idStrings(ids))
}

// Wanting returns every booking that starts before a time and for which nobody, or
// not everybody, has been found: those on their way with a seat that is open, and
// all that are not on their way. They come in the order in which they were made.
func (t Bookings) Wanting(ctx context.Context, before time.Time) ([]fleet.Booking, error) {
	return t.list(ctx, `b.ended IS NULL AND b.starts < $1 AND (b.status IN ('scheduled', 'searching', 'offered') OR EXISTS (
		SELECT FROM booking_seats s WHERE s.booking_id = b.id AND s.state IN ('open', 'held'))) ORDER BY b.id`, before)
}

// History returns up to limit bookings of a user with ids before the given one,
// the newest first. The zero id starts with the newest.
func (t Bookings) History(ctx context.Context, user fleet.UserID, before fleet.BookingID, limit int) ([]fleet.Booking, error) {
	return t.list(ctx, `b.user_id = $1 AND ($2::uuid IS NULL OR b.id < $2) ORDER BY b.id DESC LIMIT $3`, user, before, limit)
}

// OfDriver is History of those in which a driver has or had a seat.
func (t Bookings) OfDriver(ctx context.Context, driver fleet.DriverID, before fleet.BookingID, limit int) ([]fleet.Booking, error) {
	return t.list(ctx, `b.id IN (SELECT s.booking_id FROM booking_seats s WHERE s.driver_id = $1)
		AND ($2::uuid IS NULL OR b.id < $2) ORDER BY b.id DESC LIMIT $3`, driver, before, limit)
}

func (t Bookings) list(ctx context.Context, where string, args ...any) ([]fleet.Booking, error) {
	bookings, err := all(ctx, t.DB, "booking", scanBooking, `SELECT `+bookingColumns+` FROM bookings b WHERE `+where, args...)
	if err != nil || len(bookings) == 0 {
		return nil, err
	}
	ids := make([]fleet.BookingID, len(bookings))
	byID := make(map[fleet.BookingID]*fleet.Booking, len(bookings))
	for i := range bookings {
		ids[i] = bookings[i].ID
		byID[ids[i]] = &bookings[i]
	}
	seats, err := all(ctx, t.DB, "seat", scanSeat, `
		SELECT `+seatColumns+` FROM booking_seats s WHERE s.booking_id = ANY($1::uuid[]) ORDER BY s.number, s.id`, idStrings(ids))
	for _, s := range seats {
		b := byID[s.Booking]
		b.Seats = append(b.Seats, s)
	}
	return bookings, err
}

// Events returns up to limit events of a booking with a seq beyond after, in
// order.
func (t Bookings) Events(ctx context.Context, id fleet.BookingID, after int64, limit int) ([]fleet.BookingEvent, error) {
	return t.events(ctx, `true`, id, after, limit)
}

// Told is Events, of those alone in which the status changed or that the principal
// caused: how officers were looked for is not told to everybody.
func (t Bookings) Told(ctx context.Context, id fleet.BookingID, after int64, limit int) ([]fleet.BookingEvent, error) {
	return t.events(ctx, `(to_status IS NOT NULL OR actor = 'principal')`, id, after, limit)
}

func (t Bookings) events(ctx context.Context, where string, id fleet.BookingID, after int64, limit int) ([]fleet.BookingEvent, error) {
	scan := func(row pgx.CollectableRow) (e fleet.BookingEvent, err error) {
		var data *string
		err = row.Scan(&e.Booking, &e.Seq, &e.Kind, &e.From, &e.To, &e.Actor.Kind, &e.Actor.User, &e.Occurred, &e.At, &data)
		e.Occurred, e.At, e.Data = e.Occurred.UTC(), e.At.UTC(), fromBody(data)
		return e, err
	}
	return all(ctx, t.DB, "event", scan, `
		SELECT booking_id, seq, kind, coalesce(from_status, ''), coalesce(to_status, ''), actor, actor_id, occurred, at, data::text
		FROM booking_events WHERE booking_id = $1 AND seq > $2 AND `+where+` ORDER BY seq LIMIT $3`, id, after, limit)
}

// Place adds a booking, scheduled, with as many open seats as it has officers. One
// that is not funded by terms is paid by card, and its money looked at at once. A
// quote that was booked already is CodeConflict.
func (t Bookings) Place(ctx context.Context, b *fleet.Booking, by fleet.Actor) error {
	return t.place(ctx, b, by, nil)
}

// place does first before the rest, in the same transaction.
func (t Bookings) place(ctx context.Context, b *fleet.Booking, by fleet.Actor, first func(pgx.Tx) error) error {
	asked, err := json.Marshal(b.Order)
	if err != nil {
		return err
	}
	b.Status, b.Version, b.Seq, b.Since, b.Seats = fleet.Scheduled, 0, 0, b.Created, nil
	return t.DB.transact(ctx, "booking", func(tx pgx.Tx) error {
		if first != nil {
			if err := first(tx); err != nil {
				return err
			}
		}
		if b.Account != nil {
			if err := openAccount(ctx, tx, b); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `
			INSERT INTO bookings (id, user_id, series_id, quote_id, status, version, starts, zone, local_start, minutes, asked, tariff, price,
			                      total, currency, metres, member, created, since, funded)
			VALUES ($1, $2, $3, $18, $4, 0, $5, $6, $7, $8, $9::text::jsonb, $10::text::jsonb, $11::text::jsonb, $12, $13, $14, $15, $16, $16, $17)`,
			b.ID, b.User, b.Series, b.Status, b.Start, b.Zone, b.LocalStart, b.Minutes, string(asked), string(b.Tariff), string(b.Price),
			b.Total.Amount, b.Total.Currency, b.Metres, b.Member, b.Created, null(b.Funded), b.Quote)
		if sqlState(err) == uniqueViolation && !b.Quote.IsZero() {
			return &fleet.Error{Code: fleet.CodeConflict, Message: "this quote was booked already", Err: err}
		}
		if err != nil {
			return err
		}
		change := BookingTx{Booking: *b, Now: b.Created, ctx: ctx, db: t.DB, tx: tx}
		for number := range b.Officers {
			if _, err := change.OpenSeat(number+1, fleet.SeatID{}); err != nil {
				return err
			}
		}
		if err := change.Note(Event{Kind: "booked", By: by}); err != nil {
			return err
		}
		switch {
		case b.Account != nil:
			err = change.onAccount(b.Account)
		case b.Funded.IsZero():
			err = change.payable()
		}
		if err != nil {
			return err
		}
		if err := change.save(); err != nil {
			return err
		}
		*b = change.Booking
		return nil
	})
}

const seatColumns = `s.id, s.booking_id, s.number, s.state, s.driver_id, s.vehicle_id, lower(s.during), upper(s.during), s.held_until, s.relieves, s.reason`

func scanSeat(row pgx.CollectableRow) (s fleet.Seat, err error) {
	var from, to, held *time.Time
	err = row.Scan(&s.ID, &s.Booking, &s.Number, &s.State, &s.Driver, &s.Vehicle, &from, &to, &held, &s.Relieves, &s.Reason)
	s.From, s.To, s.Held = orZero(from), orZero(to), orZero(held)
	return s, err
}

// Taken returns the seats that take time of the drivers, in order of driver and
// time.
func (t Bookings) Taken(ctx context.Context, drivers []fleet.DriverID) ([]fleet.Seat, error) {
	return all(ctx, t.DB, "seat", scanSeat, `
		SELECT `+seatColumns+` FROM booking_seats s
		WHERE s.driver_id = ANY($1::uuid[]) AND s.state IN ('held', 'committed', 'active') ORDER BY s.driver_id, s.during`, idStrings(drivers))
}

// AllTaken is Taken of every driver.
func (t Bookings) AllTaken(ctx context.Context) ([]fleet.Seat, error) {
	return all(ctx, t.DB, "seat", scanSeat, `
		SELECT `+seatColumns+` FROM booking_seats s WHERE s.state IN ('held', 'committed', 'active') ORDER BY s.driver_id, s.during`)
}

// Finishing returns the bookings in progress whose officers are about to be free:
// those whose booked end is between two times, and the transfers whose lead came to
// the destination since a third.
func (t Bookings) Finishing(ctx context.Context, from, to, there time.Time) ([]fleet.Booking, error) {
	return t.list(ctx, `b.status = 'in_progress' AND b.ended IS NULL AND (
		b.starts + b.minutes * interval '1 minute' BETWEEN $1 AND $2
		OR b.asked->>'type' = 'secure_transfer' AND EXISTS (
			SELECT FROM trip_presence p JOIN booking_seats s ON s.booking_id = p.booking_id AND s.driver_id = p.driver_id
			WHERE p.booking_id = b.id AND p.place = 'destination' AND p.inside AND p.since >= $3 AND s.number = 1 AND s.state = 'active'))
		ORDER BY b.id`, from, to, there)
}

// Swappable returns the bookings that wait for their one officer, since their start
// was before a time, and may be given another: none that was given another before,
// and none whose officer ops have chosen.
func (t Bookings) Swappable(ctx context.Context, now time.Time) ([]fleet.Booking, error) {
	return t.list(ctx, `b.status IN ('assigned', 'en_route') AND b.ended IS NULL AND b.starts <= $1 AND (b.asked->>'officers')::int = 1
		AND NOT EXISTS (SELECT FROM booking_events e WHERE e.booking_id = b.id AND e.kind IN ('swapped', 'assigned_by_ops'))
		ORDER BY b.id`, now)
}

// Excluded returns, for each of the bookings, the drivers to whom it is not
// offered: those excluded from it, whom its principal has blocked, and its principal.
func (t Bookings) Excluded(ctx context.Context, ids []fleet.BookingID) (map[fleet.BookingID][]fleet.DriverID, error) {
	rows, err := t.DB.pool.Query(ctx, `
		SELECT booking_id, driver_id FROM booking_exclusions WHERE booking_id = ANY($1::uuid[])
		UNION
		SELECT b.id, w.driver_id FROM bookings b JOIN officer_wishes w ON w.user_id = b.user_id AND w.wish = 'blocked'
		WHERE b.id = ANY($1::uuid[])
		UNION
		SELECT b.id, d.id FROM bookings b JOIN drivers d ON d.user_id = b.user_id WHERE b.id = ANY($1::uuid[])`, idStrings(ids))
	if err != nil {
		return nil, translate("booking", err)
	}
	excluded := make(map[fleet.BookingID][]fleet.DriverID)
	var booking fleet.BookingID
	var driver fleet.DriverID
	_, err = pgx.ForEachRow(rows, []any{&booking, &driver}, func() error {
		excluded[booking] = append(excluded[booking], driver)
		return nil
	})
	return excluded, translate("booking", err)
}
