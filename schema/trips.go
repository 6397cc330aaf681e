package schema

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Trips are what is kept of bookings that have their officers. They change with
// their booking, through BookingTx.
type Trips struct{ DB *DB }

const tripCommandColumns = `t.id, t.booking_id, t.driver_id, t.kind, t.occurred, t.received, t.conflict, t.resolved, t.resolution`

func scanTripCommand(row pgx.CollectableRow) (t fleet.TripCommand, err error) {
	var resolved *time.Time
	err = row.Scan(&t.ID, &t.Booking, &t.Driver, &t.Kind, &t.Occurred, &t.Received, &t.Conflict, &resolved, &t.Resolution)
	t.Occurred, t.Received, t.Resolved = t.Occurred.UTC(), t.Received.UTC(), orZero(resolved)
	return t, err
}

// Conflicts returns up to limit taps that do not fit their trips and wait for
// ops, of those whose principals a member of the staff sees, the first received
// first. To go on, pass the last one of the page before.
func (t Trips) Conflicts(ctx context.Context, staff fleet.UserID, after fleet.TripCommand, limit int) ([]fleet.TripCommand, error) {
	return all(ctx, t.DB, "command", scanTripCommand, `
		SELECT `+tripCommandColumns+` FROM trip_commands t JOIN bookings b ON b.id = t.booking_id
		WHERE t.conflict <> '' AND t.resolved IS NULL AND `+seen+` AND ($2::uuid IS NULL OR (t.received, t.id) > ($3, $2))
		ORDER BY t.received, t.id LIMIT $4`, staff, after.ID, after.Received, limit)
}

// Command returns a command that the booking was given; ok is false if it was not.
func (c *BookingTx) Command(id fleet.TripCommandID) (cmd fleet.TripCommand, ok bool, err error) {
	rows, err := c.tx.Query(c.ctx, `SELECT `+tripCommandColumns+` FROM trip_commands t WHERE t.booking_id = $1 AND t.id = $2`, c.ID, id)
	if err != nil {
		return cmd, false, err
	}
	cmd, err = pgx.CollectExactlyOneRow(rows, scanTripCommand)
	if errors.Is(err, pgx.ErrNoRows) {
		return cmd, false, nil
	}
	return cmd, err == nil, err
}

// Waiting returns the taps that do not fit the trip and are not resolved, in the
// order in which they are said to have been made.
func (c *BookingTx) Waiting() ([]fleet.TripCommand, error) {
	rows, err := c.tx.Query(c.ctx, `
		SELECT `+tripCommandColumns+` FROM trip_commands t
		WHERE t.booking_id = $1 AND t.conflict <> '' AND t.resolved IS NULL ORDER BY t.occurred, t.received, t.id`, c.ID)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanTripCommand)
}

// Keep keeps a command, or what has become of one that is kept already.
func (c *BookingTx) Keep(cmd *fleet.TripCommand) error {
	_, err := c.tx.Exec(c.ctx, `
		INSERT INTO trip_commands (booking_id, id, driver_id, kind, occurred, received, conflict, resolved, resolution)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (booking_id, id) DO UPDATE SET conflict = excluded.conflict, resolved = excluded.resolved, resolution = excluded.resolution`,
		c.ID, cmd.ID, cmd.Driver, cmd.Kind, cmd.Occurred, cmd.Received, text(cmd.Conflict), null(cmd.Resolved), text(cmd.Resolution))
	return translate("command", err)
}

// LastCame returns when the booking last came to a status, by the hub's clock;
// zero if it never has.
func (c *BookingTx) LastCame(to fleet.BookingStatus) (time.Time, error) {
	var at *time.Time
	err := c.tx.QueryRow(c.ctx, `SELECT max(at) FROM booking_events WHERE booking_id = $1 AND to_status = $2`, c.ID, to).Scan(&at)
	return orZero(at), err
}

// SaidSince reports whether an event of a kind was told since the booking last came
// to a status.
func (c *BookingTx) SaidSince(kind string, status fleet.BookingStatus) (said bool, err error) {
	err = c.tx.QueryRow(c.ctx, `
		SELECT EXISTS (SELECT FROM booking_events WHERE booking_id = $1 AND kind = $2 AND seq > coalesce(
			(SELECT max(seq) FROM booking_events WHERE booking_id = $1 AND to_status = $3), 0))`, c.ID, kind, status).Scan(&said)
	return said, err
}

// FeeBefore returns the most that cancelling would have cost at any of the times when
// the principal changed what it costs by.
func (c *BookingTx) FeeBefore() (fee fleet.Money, err error) {
	fee.Currency = c.Total.Currency
	err = c.tx.QueryRow(c.ctx, `
		SELECT coalesce(max((data -> 'fee_before' ->> 'amount')::bigint), 0) FROM booking_events WHERE booking_id = $1 AND kind = 'edited'`,
		c.ID).Scan(&fee.Amount)
	return fee, err
}

// StopsReached returns where the stops were that the lead of a trip has reached, in
// that order.
func (t Trips) StopsReached(ctx context.Context, booking fleet.BookingID) ([]fleet.Place, error) {
	return all(ctx, t.DB, "trip", func(row pgx.CollectableRow) (p fleet.Place, err error) {
		return p, row.Scan(&p.Lat, &p.Lon)
	}, `
		SELECT (data ->> 'lat')::float8, (data ->> 'lon')::float8 FROM booking_events
		WHERE booking_id = $1 AND kind = 'reached_stop' AND data IS NOT NULL ORDER BY seq`, booking)
}

// Elsewhere returns the seats of other bookings that take a driver's time between
// two times, or on which they are at work now, in order of time.
func (c *BookingTx) Elsewhere(driver fleet.DriverID, from, to time.Time) ([]fleet.Seat, error) {
	rows, err := c.tx.Query(c.ctx, `
		SELECT `+seatColumns+` FROM booking_seats s
		WHERE s.driver_id = $1 AND s.booking_id <> $2 AND s.state IN ('held', 'committed', 'active')
		      AND (s.during && tstzrange($3, $4) OR s.state = 'active')
		ORDER BY s.during`, driver, c.ID, from, to)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanSeat)
}

const presenceColumns = `p.booking_id, p.driver_id, p.place, p.lat, p.lon, p.inside, p.since`

func scanPresence(row pgx.CollectableRow) (p fleet.TripPresence, err error) {
	err = row.Scan(&p.Booking, &p.Driver, &p.Place, &p.Lat, &p.Lon, &p.Inside, &p.Since)
	p.Since = p.Since.UTC()
	return p, err
}

// Presence returns who of its officers was last known to be, or not to be any
// more, at the places of a trip, wherever these were then.
func (t Trips) Presence(ctx context.Context, booking fleet.BookingID) ([]fleet.TripPresence, error) {
	return all(ctx, t.DB, "trip", scanPresence,
		`SELECT `+presenceColumns+` FROM trip_presence p WHERE p.booking_id = $1 ORDER BY p.driver_id, p.place`, booking)
}

// Presence is Trips.Presence of the booking.
func (c *BookingTx) Presence() ([]fleet.TripPresence, error) {
	rows, err := c.tx.Query(c.ctx, `SELECT `+presenceColumns+` FROM trip_presence p WHERE p.booking_id = $1`, c.ID)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanPresence)
}

// Present keeps whether an officer is at a place of the trip, as the place is now,
// and reports whether that is something new. Never to have been there is the same as
// not to be there.
func (c *BookingTx) Present(driver fleet.DriverID, place fleet.TripPlace, inside bool, since time.Time) (news bool, err error) {
	at, ok := c.At(place)
	if !ok {
		return false, nil
	}
	tag, err := c.tx.Exec(c.ctx, `
		INSERT INTO trip_presence AS p (booking_id, driver_id, place, inside, since, lat, lon)
		SELECT $1::uuid, $2::uuid, $3::text, $4::boolean, $5::timestamptz, $6::float8, $7::float8
		WHERE $4::boolean OR EXISTS (SELECT FROM trip_presence o WHERE o.booking_id = $1 AND o.driver_id = $2 AND o.place = $3)
		ON CONFLICT (booking_id, driver_id, place) DO UPDATE
		SET inside = excluded.inside, since = excluded.since, lat = excluded.lat, lon = excluded.lon
		WHERE (p.inside AND (p.lat, p.lon) = (excluded.lat, excluded.lon)) <> excluded.inside
		      AND (p.since < excluded.since OR (p.lat, p.lon) <> (excluded.lat, excluded.lon))`,
		c.ID, driver, place, inside, since, at.Lat, at.Lon)
	return err == nil && tag.RowsAffected() > 0, err
}

// UnderWay returns up to limit bookings that have their officers and are under
// way, or start before a time, with ids after the given one, in order of id.
func (t Trips) UnderWay(ctx context.Context, before time.Time, after fleet.BookingID, limit int) ([]fleet.Booking, error) {
	return Bookings(t).list(ctx, `
		(b.status IN ('en_route', 'arrived', 'in_progress') OR b.status = 'assigned' AND b.starts < $1)
		AND b.ended IS NULL AND ($2::uuid IS NULL OR b.id > $2) ORDER BY b.id LIMIT $3`, before, after, limit)
}

// UnderWayFor is UnderWay of those whose principals a member of the staff sees.
func (t Trips) UnderWayFor(ctx context.Context, staff fleet.UserID, before time.Time, after fleet.BookingID, limit int) ([]fleet.Booking, error) {
	return Bookings(t).list(ctx, seen+` AND
		(b.status IN ('en_route', 'arrived', 'in_progress') OR b.status = 'assigned' AND b.starts < $2)
		AND b.ended IS NULL AND ($3::uuid IS NULL OR b.id > $3) ORDER BY b.id LIMIT $4`, staff, before, after, limit)
}

// Protects reports whether a driver is at work for a user: on a trip of theirs
// that is under way.
func (t Trips) Protects(ctx context.Context, driver fleet.DriverID, user fleet.UserID) (bool, error) {
	return one(ctx, t.DB, "trip", pgx.RowTo[bool], `
		SELECT EXISTS (
			SELECT FROM bookings b JOIN booking_seats s ON s.booking_id = b.id
			WHERE b.user_id = $1 AND s.driver_id = $2 AND s.state IN ('committed', 'active') AND s.relieves IS NULL
			      AND b.status IN ('en_route', 'arrived', 'in_progress'))`, user, driver)
}

// Trackers returns the devices that are fixed to the car that a driver drives.
func (t Trips) Trackers(ctx context.Context, driver fleet.DriverID) ([]fleet.DeviceID, error) {
	return all(ctx, t.DB, "device", pgx.RowTo[fleet.DeviceID], `
		SELECT d.id FROM devices d JOIN vehicles v ON v.id = d.vehicle WHERE v.driver = $1 AND d.kind = 'tracker' ORDER BY d.id`, driver)
}

// Heard returns when the newest ok fix was received of the phones of a driver, or of the
// trackers of their car, of those that were made since a time; zero if there is none.
func (t Trips) Heard(ctx context.Context, driver fleet.DriverID, since time.Time) (time.Time, error) {
	var s rowScanner
	err := t.DB.pool.QueryRow(ctx, `
		SELECT n.* FROM devices d CROSS JOIN LATERAL (`+newest+`) n
		WHERE d.driver = $2 OR d.vehicle IN (SELECT v.id FROM vehicles v WHERE v.driver = $2) ORDER BY n.fix DESC LIMIT 1`,
		since, driver).Scan(s.targets()...)
	if errors.Is(err, pgx.ErrNoRows) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, translate("position", err)
	}
	p := s.point()
	return p.Received.Time(), nil
}
