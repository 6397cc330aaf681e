package schema

import (
	"context"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// TrackedEvent is an event of a booking as those are told of it who watch the trip,
// each audience what it may know. What comes before an event is told with it, so that
// who was told of the one before knows that nothing is missing.
type TrackedEvent struct {
	fleet.BookingEvent
	ToParty, ToGuest         bool  // ops are told of every one here
	BeforeOps                int64 // seq of the last event before it that ops are told of; 0: none
	BeforeParty, BeforeGuest int64
}

// What is told to whom, of events e: of messages the conversation tells.
const (
	toOps   = `e.kind <> 'message'`
	fenced  = `e.kind IN ('officer_arriving', 'officer_arrive', 'reached_stop', 'departed', 'left_pickup', 'reached_destination', 'left_destination')`
	toParty = toOps + ` AND (e.to_status IS NOT NULL OR e.actor = 'principal' OR ` + fenced + `)`
	toGuest = toOps + ` AND (e.to_status IS NOT NULL OR ` + fenced + `)`
)

// Tracked returns up to limit events of a booking with a seq beyond after, in
// order, that somebody who watches it is told of.
func (t Bookings) Tracked(ctx context.Context, id fleet.BookingID, after int64, limit int) ([]TrackedEvent, error) {
	before := func(told string) string {
		return `coalesce((SELECT e.seq FROM booking_events e WHERE e.booking_id = f.booking_id AND e.seq < f.seq AND ` + told +
			` ORDER BY e.seq DESC LIMIT 1), 0)`
	}
	scan := func(row pgx.CollectableRow) (e TrackedEvent, err error) {
		var data *string
		err = row.Scan(&e.Booking, &e.Seq, &e.Kind, &e.From, &e.To, &e.Actor.Kind, &e.Actor.User, &e.Occurred, &e.At, &data,
			&e.ToParty, &e.ToGuest, &e.BeforeOps, &e.BeforeParty, &e.BeforeGuest)
		e.Occurred, e.At, e.Data = e.Occurred.UTC(), e.At.UTC(), fromBody(data)
		return e, err
	}
	return all(ctx, t.DB, "event", scan, `
		SELECT f.booking_id, f.seq, f.kind, coalesce(f.from_status, ''), coalesce(f.to_status, ''), f.actor, f.actor_id, f.occurred, f.at, f.data::text,
		       f.party, f.guest, `+before(toOps)+`, `+before(toParty)+`, `+before(toGuest)+`
		FROM (SELECT e.*, `+toParty+` AS party, `+toGuest+` AS guest FROM booking_events e
		      WHERE e.booking_id = $1 AND e.seq > $2 AND `+toOps+`) f
		ORDER BY f.seq LIMIT $3`, id, after, limit)
}

// Reached reports whether the lead of a booking has come to the destination.
func (t Bookings) Reached(ctx context.Context, id fleet.BookingID) (bool, error) {
	return one(ctx, t.DB, "booking", pgx.RowTo[bool],
		`SELECT EXISTS (SELECT FROM booking_events WHERE booking_id = $1 AND kind = 'reached_destination')`, id)
}

// ByDriver returns a booking in which a driver has or had a seat.
func (t Bookings) ByDriver(ctx context.Context, driver fleet.DriverID, id fleet.BookingID) (fleet.Booking, error) {
	return t.get(ctx, `b.id = $1 AND EXISTS (SELECT FROM booking_seats s WHERE s.booking_id = b.id AND s.driver_id = $2)`, id, driver)
}

// SharedBy returns a booking by a share of it that was not revoked.
func (t Bookings) SharedBy(ctx context.Context, share fleet.ShareID, id fleet.BookingID) (fleet.Booking, error) {
	return t.get(ctx, `b.id = $1 AND b.ended IS NULL AND EXISTS (SELECT FROM shares h WHERE h.id = $2 AND h.booking_id = b.id AND h.revoked IS NULL)`, id, share)
}
