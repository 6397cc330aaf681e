package schema

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Series are the bookings that repeat.
type Series struct{ DB *DB }

const seriesColumns = `s.id, s.user_id, s.rule::text, s.zone, s.local_start, s.minutes, s.asked::text, s.made, s.created, s.ended`

func scanSeries(row pgx.CollectableRow) (s fleet.Series, err error) {
	var rule, asked string
	var ended *time.Time
	err = row.Scan(&s.ID, &s.User, &rule, &s.Order.Zone, &s.Order.LocalStart, &s.Order.Minutes, &asked, &s.Made, &s.Created, &ended)
	if err != nil {
		return s, err
	}
	s.Created, s.Ended = s.Created.UTC(), orZero(ended)
	if err := json.Unmarshal([]byte(rule), &s.Rule); err != nil {
		return s, err
	}
	return s, json.Unmarshal([]byte(asked), &s.Order)
}

// Add adds a series of which nothing is made yet, unless the user has limit of
// them that go on.
func (t Series) Add(ctx context.Context, s *fleet.Series, limit int) error {
	rule, err := json.Marshal(s.Rule)
	if err != nil {
		return err
	}
	asked, err := json.Marshal(s.Order)
	if err != nil {
		return err
	}
	return t.DB.addOwned(ctx, "series", s.User, `SELECT count(*) FROM booking_series WHERE user_id = $1 AND ended IS NULL`, limit, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			INSERT INTO booking_series (id, user_id, rule, zone, local_start, minutes, asked, created)
			VALUES ($1, $2, $3::text::jsonb, $4, $5, $6, $7::text::jsonb, $8)`,
			s.ID, s.User, string(rule), s.Order.Zone, s.Order.LocalStart, s.Order.Minutes, string(asked), s.Created)
		return err
	})
}

// Of returns a series of a user's own.
func (t Series) Of(ctx context.Context, user fleet.UserID, id fleet.SeriesID) (fleet.Series, error) {
	return one(ctx, t.DB, "series", scanSeries, `SELECT `+seriesColumns+` FROM booking_series s WHERE s.id = $1 AND s.user_id = $2`, id, user)
}

// Get returns a series, whoever it belongs to: for the hub itself.
func (t Series) Get(ctx context.Context, id fleet.SeriesID) (fleet.Series, error) {
	return one(ctx, t.DB, "series", scanSeries, `SELECT `+seriesColumns+` FROM booking_series s WHERE s.id = $1`, id)
}

// List returns up to limit series of a user with ids before the given one, the
// newest first. The zero id starts with the newest.
func (t Series) List(ctx context.Context, user fleet.UserID, before fleet.SeriesID, limit int) ([]fleet.Series, error) {
	return all(ctx, t.DB, "series", scanSeries, `
		SELECT `+seriesColumns+` FROM booking_series s
		WHERE s.user_id = $1 AND ($2::uuid IS NULL OR s.id < $2) ORDER BY s.id DESC LIMIT $3`, user, before, limit)
}

// Unfinished returns up to limit series that go on, with ids after the given one,
// in order of id.
func (t Series) Unfinished(ctx context.Context, after fleet.SeriesID, limit int) ([]fleet.Series, error) {
	return all(ctx, t.DB, "series", scanSeries, `
		SELECT `+seriesColumns+` FROM booking_series s
		WHERE s.ended IS NULL AND s.made < (s.rule ->> 'count')::integer AND ($1::uuid IS NULL OR s.id > $1) ORDER BY s.id LIMIT $2`, after, limit)
}

// Place adds the booking of a series that comes next, when made of them have been
// made. If that has been done meanwhile, or the series was ended, it is
// CodeConflict, and nothing is added.
func (t Series) Place(ctx context.Context, b *fleet.Booking, made int, by fleet.Actor) error {
	return Bookings(t).place(ctx, b, by, func(tx pgx.Tx) error { return passed(ctx, tx, b.Series, made) })
}

// Pass passes over the booking of a series that comes next, likewise.
func (t Series) Pass(ctx context.Context, id fleet.SeriesID, made int) error {
	return t.DB.transact(ctx, "series", func(tx pgx.Tx) error { return passed(ctx, tx, id, made) })
}

func passed(ctx context.Context, tx pgx.Tx, id fleet.SeriesID, made int) error {
	tag, err := tx.Exec(ctx, `UPDATE booking_series SET made = made + 1 WHERE id = $1 AND made = $2 AND ended IS NULL`, id, made)
	if err == nil && tag.RowsAffected() == 0 {
		err = &fleet.Error{Code: fleet.CodeConflict, Message: "the series has gone on, or was ended"}
	}
	return err
}

// End ends a series of a user's own, and leaves the job of cancelling what has
// not begun. One that has ended is left as it is.
func (t Series) End(ctx context.Context, user fleet.UserID, id fleet.SeriesID, now time.Time) error {
	return t.DB.transact(ctx, "series", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE booking_series SET ended = coalesce(ended, $3) WHERE id = $1 AND user_id = $2`, id, user, now)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return pgx.ErrNoRows
		}
		return t.DB.enqueue(ctx, tx, fleet.EndSeries{Series: id}, time.Time{})
	})
}

// Ahead says how many bookings of a series are to come after a time, when the last
// of them starts, and which of the series was made last.
func (t Series) Ahead(ctx context.Context, id fleet.SeriesID, now time.Time) (count int, last time.Time, latest fleet.BookingID, err error) {
	err = t.DB.pool.QueryRow(ctx, `
		SELECT count(*) FILTER (WHERE starts > $2 AND ended IS NULL), coalesce(max(starts) FILTER (WHERE ended IS NULL), $2),
			(SELECT b.id FROM bookings b WHERE b.series_id = $1 ORDER BY b.created DESC, b.id DESC LIMIT 1)
		FROM bookings WHERE series_id = $1`, id, now).Scan(&count, &last, &latest)
	return count, last.UTC(), latest, translate("series", err)
}

// NotBegun returns those bookings of a series whose lead has not set out, in the
// order of their starts.
func (t Series) NotBegun(ctx context.Context, id fleet.SeriesID) ([]fleet.Booking, error) {
	return Bookings(t).list(ctx, `b.series_id = $1 AND b.status IN ('scheduled', 'searching', 'offered', 'assigned') ORDER BY b.starts, b.id`, id)
}
