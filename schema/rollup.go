package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// refreshLock is the advisory lock of the one who refreshes the rollups.
const refreshLock = quarantineLock + 1

// RefreshRollups brings the hours that are over up to date in points_hourly. It
// never reaches behind what is kept of every device's points: an hour of which
// some have left already stays as it was counted.
func (m Maintenance) RefreshRollups(ctx context.Context, now time.Time) error {
	from := startOfHour(now.Add(-min(m.DB.keep.Points, m.DB.keep.Phone))).Add(time.Hour)
	to := startOfHour(now)
	if !from.Before(to) {
		return nil
	}
	if m.DB.timescale {
		// It knows what has changed, and refreshes no more than that.
		_, err := m.DB.pool.Exec(ctx,
			`CALL refresh_continuous_aggregate('points_rollup', $1::timestamptz, $2::timestamptz)`, from, to)
		return translate("rollup", err)
	}
	// One snapshot for all: what leaves points_dirty are exactly the hours whose
	// points this transaction sees.
	err := pgx.BeginTxFunc(ctx, m.DB.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		return refresh(ctx, tx, from, to)
	})
	return translate("rollup", err)
}

func refresh(ctx context.Context, tx pgx.Tx, from, to time.Time) error {
	var mine bool
	if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock($1)`, int64(refreshLock)).Scan(&mine); err != nil || !mine {
		return err
	}
	hours, late, err := takeDirty(ctx, tx, from, to)
	if err != nil {
		return err
	}
	for _, hour := range hours {
		if err := rollUp(ctx, tx, hour, nil); err != nil {
			return err
		}
	}
	for hour, devices := range late {
		if err := rollUp(ctx, tx, hour, devices); err != nil {
			return err
		}
	}
	return nil
}

// takeDirty takes out what is dirty before to: the hours of all devices, and
// for other hours the devices. What lies before from is forgotten.
func takeDirty(ctx context.Context, tx pgx.Tx, from, to time.Time) (hours []time.Time, late map[time.Time][]int32, err error) {
	rows, err := tx.Query(ctx, `
		WITH taken AS (DELETE FROM points_dirty WHERE hour < $1 RETURNING hour, device)
		SELECT DISTINCT hour, device FROM taken ORDER BY hour, device NULLS FIRST`, to)
	if err != nil {
		return nil, nil, err
	}
	late = make(map[time.Time][]int32)
	var hour time.Time
	var device *int32
	_, err = pgx.ForEachRow(rows, []any{&hour, &device}, func() error {
		switch {
		case hour.Before(from):
		case device == nil:
			hours = append(hours, hour)
		case len(hours) == 0 || !hours[len(hours)-1].Equal(hour):
			late[hour] = append(late[hour], *device)
		}
		return nil
	})
	return hours, late, err
}

// rollUp counts one hour again, of the given devices or, if nil, of all.
func rollUp(ctx context.Context, tx pgx.Tx, hour time.Time, devices []int32) error {
	_, err := tx.Exec(ctx, `
		DELETE FROM points_rollup WHERE hour = $1 AND ($2::integer[] IS NULL OR device = ANY($2))`, hour, devices)
	if err != nil {
		return err
	}
	// The same columns as the continuous aggregate's.
	_, err = tx.Exec(ctx, `
		INSERT INTO points_rollup (device, hour, ok, junk, first_fix, last_fix, max_speed, speed_sum, speed_count)
		SELECT device, $1::timestamptz,
		       count(*) FILTER (WHERE meta & 15 = 0),
		       count(*) FILTER (WHERE meta & 15 <> 0),
		       min(fix), max(fix),
		       max(speed) FILTER (WHERE meta & 15 = 0 AND speed > -32768),
		       sum(speed) FILTER (WHERE meta & 15 = 0 AND speed > -32768),
		       count(*)   FILTER (WHERE meta & 15 = 0 AND speed > -32768)
		FROM points
		WHERE fix >= $1 AND fix < $1::timestamptz + interval '1 hour' AND ($2::integer[] IS NULL OR device = ANY($2))
		GROUP BY device`, hour, devices)
	return err
}
