package schema

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// This file writes what a batch of points seldom has: times that do not fit
// their column, points for quarantine, hours that have to be rolled up again.

// pointColumns are points as arrays, one of each column.
type pointColumns struct {
	device, lat, lon []int32
	fix, received    []time.Time
	sent             []*time.Time
}

func (t *Points) columns(points []*fleet.Point) (c pointColumns) {
	for _, p := range points {
		c.device = append(c.device, t.number(p.Device))
		c.lat = append(c.lat, fleet.E7(p.Lat))
		c.lon = append(c.lon, fleet.E7(p.Lon))
		c.fix = append(c.fix, p.Fix.Time())
		c.received = append(c.received, p.Received.Time())
		var sent *time.Time
		if p.Sent != 0 {
			sent = new(p.Sent.Time())
		}
		c.sent = append(c.sent, sent)
	}
	return c
}

// writeFar keeps the true times of points whose offsets do not fit. Of a repeat
// the first one's are kept, like the point itself.
func (t *Points) writeFar(ctx context.Context, tx pgx.Tx, points []*fleet.Point) error {
	if len(points) == 0 {
		return nil
	}
	c := t.columns(points)
	_, err := tx.Exec(ctx, `
		INSERT INTO points_far (device, fix, lat, lon, sent, received)
		SELECT * FROM unnest($1::integer[], $2::timestamptz[], $3::integer[], $4::integer[], $5::timestamptz[], $6::timestamptz[])
		ON CONFLICT DO NOTHING`, c.device, c.fix, c.lat, c.lon, c.sent, c.received)
	return err
}

// quarantineLock is the advisory lock of those who write to quarantine.
const quarantineLock = 0x61726d6f7261 // "armora"

// writeQuarantine stores what quarantine does not have yet. Its partitions are
// by received time, so no index can keep a point unique that comes twice; a lock
// does. It is taken last and held to the commit.
func (t *Points) writeQuarantine(ctx context.Context, tx pgx.Tx, points []*fleet.Point) (int, error) {
	if len(points) == 0 {
		return 0, nil
	}
	points = firstOfEach(points)
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(quarantineLock)); err != nil {
		return 0, err
	}
	c := t.columns(points)
	var measured [5][]*float32
	var verdict, format, flags []int16
	for _, p := range points {
		for i, v := range [5]float32{p.Accuracy, p.Speed, p.Heading, p.Altitude, p.Battery} {
			measured[i] = append(measured[i], known(v))
		}
		verdict, format, flags = append(verdict, int16(p.Verdict)), append(format, int16(p.Format)), append(flags, int16(p.Flags))
	}
	tag, err := tx.Exec(ctx, `
		INSERT INTO points_quarantine (device, fix, lat, lon, sent, received,
		                               accuracy, speed, heading, altitude, battery, verdict, format, flags)
		SELECT * FROM unnest($1::integer[], $2::timestamptz[], $3::integer[], $4::integer[], $5::timestamptz[], $6::timestamptz[],
		                     $7::real[], $8::real[], $9::real[], $10::real[], $11::real[],
		                     $12::smallint[], $13::smallint[], $14::smallint[]) AS n (device, fix, lat, lon)
		WHERE NOT EXISTS (SELECT FROM points_quarantine q
		                  WHERE (q.device, q.fix, q.lat, q.lon) = (n.device, n.fix, n.lat, n.lon))`,
		c.device, c.fix, c.lat, c.lon, c.sent, c.received,
		measured[0], measured[1], measured[2], measured[3], measured[4], verdict, format, flags)
	return int(tag.RowsAffected()), err
}

// firstOfEach drops repeats within points.
func firstOfEach(points []*fleet.Point) []*fleet.Point {
	seen := make(map[fleet.PointKey]bool, len(points))
	return slices.DeleteFunc(points, func(p *fleet.Point) bool {
		repeat := seen[p.Key()]
		seen[p.Key()] = true
		return repeat
	})
}

// markDirty notes the hour of a row. One that was received within its hour (or
// before it) stands for all devices, because the first refresh after the hour
// takes them all; a late one stands for its device.
func (b *batch) markDirty(r *row, received fleet.Millis) {
	hour := r.fix - r.fix%hourMillis
	d := dirtyHour{hour: hour}
	if int64(received) >= hour+hourMillis {
		d.device = r.device
	}
	if n := len(b.dirty); n == 0 || b.dirty[n-1] != d {
		b.dirty = append(b.dirty, d)
	}
}

func (b *batch) tidyDirty() {
	slices.SortFunc(b.dirty, func(x, y dirtyHour) int {
		return cmp.Or(cmp.Compare(x.hour, y.hour), cmp.Compare(x.device, y.device))
	})
	b.dirty = slices.Compact(b.dirty)
}

// writeDirty adds to the hours that the next refresh rolls up.
func writeDirty(ctx context.Context, tx pgx.Tx, dirty []dirtyHour) error {
	if len(dirty) == 0 {
		return nil
	}
	hours := make([]time.Time, len(dirty))
	devices := make([]int32, len(dirty))
	for i, d := range dirty {
		hours[i], devices[i] = fleet.Millis(d.hour).Time(), d.device
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO points_dirty (hour, device)
		SELECT hour, nullif(device, 0) FROM unnest($1::timestamptz[], $2::integer[]) AS d (hour, device)`, hours, devices)
	return err
}
