package schema

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Points are the position reports. It is safe for concurrent use.
type Points struct {
	db      *DB
	batches sync.Pool // of *batch

	// numbers are the devices' numbers, which never change, so an entry is
	// good for as long as the process lives. There is one for each device seen.
	mu      sync.RWMutex
	numbers map[fleet.DeviceID]int32
}

// NewPoints returns the points of db.
func NewPoints(db *DB) *Points {
	return &Points{
		db:      db,
		batches: sync.Pool{New: func() any { return new(batch) }},
		numbers: make(map[fleet.DeviceID]int32),
	}
}

// batch is the memory of one Insert, reused by the next.
type batch struct {
	rows        []row          // for points: sorted, without repeats
	far         []*fleet.Point // of which sent or received is far from fix
	quarantined []*fleet.Point // by FlagQuarantine
	dirty       []dirtyHour    // hours to roll up again; plain PostgreSQL only
	encoded     []byte         // the body of COPY
}

// dirtyHour is an hour of one device, or of all if device is 0.
type dirtyHour struct {
	hour   int64 // Unix milliseconds
	device int32
}

// Insert stores points in one transaction and returns how many were new: the
// rest of len(points) are true repeats, of each other or of what was there.
// When it returns without an error, every one of them is on disk.
//
// Points flagged FlagQuarantine go to quarantine. A point of a day that has no
// partition yet goes to points_default and is read like any other. An unknown
// device, like a value that cannot be, makes an error for which IsBadRow is
// true, and nothing is stored.
func (t *Points) Insert(ctx context.Context, points []fleet.Point) (stored int, err error) {
	if len(points) == 0 {
		return 0, nil
	}
	if err := t.learnNumbers(ctx, points); err != nil {
		return 0, translate("point", err)
	}
	b := t.batches.Get().(*batch)
	if err := t.fill(b, points); err != nil {
		t.reuse(b)
		return 0, err
	}
	stored, quarantined, err := t.commit(ctx, b, t.copyRows)
	if sqlState(err) == uniqueViolation {
		t.db.metrics.fallbacks.Inc()
		stored, quarantined, err = t.commit(ctx, b, t.insertRows)
	}
	if err != nil {
		// A COPY that broke off may still be reading b.encoded: b is not reused.
		return 0, translate("point", err)
	}
	t.reuse(b)
	t.db.metrics.stored.Add(float64(stored))
	t.db.metrics.quarantined.Add(float64(quarantined))
	t.db.metrics.repeats.Add(float64(len(points) - stored))
	return stored, nil
}

// reuse gives b to the next Insert, without the caller's points.
func (t *Points) reuse(b *batch) {
	clear(b.far)
	clear(b.quarantined)
	t.batches.Put(b)
}

// learnNumbers asks the database for the numbers of devices not seen before.
func (t *Points) learnNumbers(ctx context.Context, points []fleet.Point) error {
	var unknown []fleet.DeviceID
	t.mu.RLock()
	for i := range points {
		if _, ok := t.numbers[points[i].Device]; !ok {
			unknown = append(unknown, points[i].Device)
		}
	}
	t.mu.RUnlock()
	if len(unknown) == 0 {
		return nil
	}
	rows, err := t.db.pool.Query(ctx, `SELECT id, number FROM devices WHERE id = ANY($1::uuid[])`, idStrings(unknown))
	if err != nil {
		return err
	}
	var id fleet.DeviceID
	var number int32
	_, err = pgx.ForEachRow(rows, []any{&id, &number}, func() error {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.numbers[id] = number
		return nil
	})
	return err
}

// number is the device's number, 0 if the device is unknown.
func (t *Points) number(id fleet.DeviceID) int32 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.numbers[id]
}

// fill sorts points into b, dropping repeats within the batch (the first one
// stays). b refers to points until reuse.
func (t *Points) fill(b *batch, points []fleet.Point) error {
	b.rows, b.far, b.quarantined, b.dirty = b.rows[:0], b.far[:0], b.quarantined[:0], b.dirty[:0]
	for i := range points {
		p := &points[i]
		if err := storable(p); err != nil {
			return err
		}
		number := t.number(p.Device)
		if number == 0 {
			return &fleet.Error{Code: fleet.CodeInvalid, Message: fmt.Sprintf("a point names device %s, which does not exist", p.Device)}
		}
		if p.Flags&fleet.FlagQuarantine != 0 {
			b.quarantined = append(b.quarantined, p)
			continue
		}
		r := pack(p, number)
		r.order = int32(i)
		b.rows = append(b.rows, r)
	}
	if !slices.IsSortedFunc(b.rows, compareRows) {
		slices.SortFunc(b.rows, compareRows)
	}
	b.rows = slices.CompactFunc(b.rows, samePoint)
	for i := range b.rows {
		if r := &b.rows[i]; r.isFar() {
			b.far = append(b.far, &points[r.order])
		}
		if !t.db.timescale {
			b.markDirty(&b.rows[i], points[b.rows[i].order].Received)
		}
	}
	b.tidyDirty()
	return nil
}

// commit writes the batch in one transaction, with write for points itself.
func (t *Points) commit(ctx context.Context, b *batch,
	write func(context.Context, pgx.Tx, *batch) (int64, error)) (stored, quarantined int, err error) {
	err = pgx.BeginFunc(ctx, t.db.pool, func(tx pgx.Tx) error {
		if len(b.rows) > 0 {
			n, err := write(ctx, tx, b)
			if err != nil {
				return err
			}
			stored = int(n)
		}
		if err := t.writeFar(ctx, tx, b.far); err != nil {
			return err
		}
		if err := writeDirty(ctx, tx, b.dirty); err != nil {
			return err
		}
		quarantined, err = t.writeQuarantine(ctx, tx, b.quarantined)
		return err
	})
	return stored + quarantined, quarantined, err
}

// copyRows is the fast path. A row that is there already fails the whole COPY
// with a unique violation.
func (t *Points) copyRows(ctx context.Context, tx pgx.Tx, b *batch) (int64, error) {
	b.encoded = appendCopy(b.encoded[:0], b.rows)
	tag, err := tx.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(b.encoded),
		`COPY points (`+copyColumns+`) FROM STDIN (FORMAT binary)`)
	return tag.RowsAffected(), err
}

// insertRows stores what is not there already. unnest keeps the order.
func (t *Points) insertRows(ctx context.Context, tx pgx.Tx, b *batch) (int64, error) {
	n := len(b.rows)
	fix := make([]int64, n)
	wide := [5][]int32{}
	for i := range wide {
		wide[i] = make([]int32, n)
	}
	narrow := [6][]int16{}
	for i := range narrow {
		narrow[i] = make([]int16, n)
	}
	for i, r := range b.rows {
		fix[i] = r.fix
		for j, v := range [5]int32{r.device, r.lat, r.lon, r.received, r.sent} {
			wide[j][i] = v
		}
		for j, v := range [6]int16{r.accuracy, r.speed, r.heading, r.altitude, r.battery, r.meta} {
			narrow[j][i] = v
		}
	}
	tag, err := tx.Exec(ctx, `
		INSERT INTO points (`+copyColumns+`)
		SELECT timestamptz 'epoch' + fix * interval '1 ms', device, lat, lon, received, sent,
		       accuracy, speed, heading, altitude, battery, meta
		FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::integer[], $5::integer[], $6::integer[],
		            $7::smallint[], $8::smallint[], $9::smallint[], $10::smallint[], $11::smallint[], $12::smallint[])
		     AS r (`+copyColumns+`)
		ON CONFLICT DO NOTHING`,
		fix, wide[0], wide[1], wide[2], wide[3], wide[4],
		narrow[0], narrow[1], narrow[2], narrow[3], narrow[4], narrow[5])
	return tag.RowsAffected(), err
}
