package schema_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// durable is a migrated database with partitions on a private server that
// syncs, as in production.
func durable(b *testing.B) *schema.DB {
	b.Helper()
	p, err := schema.StartPrivate(b.Context(), schematest.Dir(b), nil)
	must(b, err)
	b.Cleanup(func() { must(b, p.Close(context.Background())) })
	db, err := schema.Open(b.Context(), p.DSN(), schema.Options{})
	must(b, err)
	b.Cleanup(db.Close)
	must(b, db.Migrate(b.Context()))
	must(b, schema.Maintenance{DB: db}.EnsurePartitions(b.Context(), noon))
	return db
}

// traffic makes the batches of a fleet that moves at 1 Hz: each second every
// device has one fix, in no order.
type traffic struct {
	devices []fleet.DeviceID
	next    int // fixes made so far
	random  *rand.Rand
}

func newTraffic(b testing.TB, db *schema.DB, devices int) *traffic {
	t := &traffic{random: rand.New(rand.NewPCG(1, 2))}
	for range devices {
		t.devices = append(t.devices, newDevice(b, db, fleet.Phone))
	}
	return t
}

func (t *traffic) batch(size int) []fleet.Point {
	points := make([]fleet.Point, size)
	for i := range points {
		device, second := t.devices[t.next%len(t.devices)], t.next/len(t.devices)
		t.next++
		points[i] = newPoint(device, noon.Add(time.Duration(second-1800)*time.Second), 51+t.random.Float64(), t.random.Float64())
		points[i].Received += fleet.Millis(t.random.IntN(2000))
	}
	t.random.Shuffle(size, func(i, j int) { points[i], points[j] = points[j], points[i] })
	return points
}

// BenchmarkInsert measures rows a second into points, durable, beside the
// ceiling: the same rows, sorted and encoded beforehand, by bare COPY.
func BenchmarkInsert(b *testing.B) {
	db := durable(b)
	fleetOf := newTraffic(b, db, 1000)
	points := schema.NewPoints(db)
	numbers := make(map[fleet.DeviceID]int32)
	for _, id := range fleetOf.devices {
		var n int32
		must(b, db.Pool().QueryRow(b.Context(), `SELECT number FROM devices WHERE id = $1`, id).Scan(&n))
		numbers[id] = n
	}
	for _, size := range []int{500, 5000} {
		for _, writers := range []int{1, 2} {
			name := fmt.Sprintf("batch=%d/writers=%d", size, writers)
			run(b, "copy/"+name, fleetOf, size, writers, func(batch []fleet.Point) func(context.Context) error {
				encoded := schema.Encode(batch, func(id fleet.DeviceID) int32 { return numbers[id] })
				return func(ctx context.Context) error {
					conn, err := db.Pool().Acquire(ctx)
					if err != nil {
						return err
					}
					defer conn.Release()
					_, err = conn.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(encoded), schema.CopyStatement)
					return err
				}
			})
			run(b, "insert/"+name, fleetOf, size, writers, func(batch []fleet.Point) func(context.Context) error {
				return func(ctx context.Context) error {
					_, err := points.Insert(ctx, batch)
					return err
				}
			})
		}
	}
	repeated := fleetOf.batch(5000)
	insert(b, points, repeated, len(repeated))
	run(b, "repeats/batch=5000/writers=1", fleetOf, 5000, 1, func([]fleet.Point) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := points.Insert(ctx, repeated)
			return err
		}
	})
}

// run stores b.N batches that were made ready before the clock starts.
func run(b *testing.B, name string, fleetOf *traffic, size, writers int, ready func([]fleet.Point) func(context.Context) error) {
	b.Run(name, func(b *testing.B) {
		work := make(chan func(context.Context) error, b.N)
		for range b.N {
			work <- ready(fleetOf.batch(size))
		}
		close(work)
		var group sync.WaitGroup
		b.ReportAllocs()
		b.ResetTimer()
		for range writers {
			group.Go(func() {
				for store := range work {
					if err := store(b.Context()); err != nil {
						b.Error(err)
					}
				}
			})
		}
		group.Wait()
		b.StopTimer()
		b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "rows/s")
		b.ReportMetric(0, "ns/op")
	})
}

// TestBytesPerRow guards the width of a row and its index on plain PostgreSQL:
// half the write-ahead log is half the cost of ingest. Run with -v for the figures.
//
// The position makes the index key 24 bytes, and PostgreSQL splits a page behind
// an ascending run, instead of in its middle, only up to 16: the index is half
// full (71 to 78 bytes a row, where device and fix alone take 35 to 42).
func TestBytesPerRow(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t)
	ctx, points := t.Context(), schema.NewPoints(db)
	must(t, schema.Maintenance{DB: db}.EnsurePartitions(ctx, noon))
	fleetOf := newTraffic(t, db, 20)
	const rows = 40_000
	var log float64
	position := func() (at float64) {
		must(t, db.Pool().QueryRow(ctx, `SELECT (pg_current_wal_insert_lsn() - '0/0')::float8`).Scan(&at))
		return at
	}
	before := position()
	for range rows / 1000 {
		insert(t, points, fleetOf.batch(1000), 1000)
	}
	log = position() - before // other tests write too: shown, not asserted
	var table, index float64
	must(t, db.Pool().QueryRow(ctx, `
		SELECT sum(pg_relation_size(inhrelid))::float8, sum(pg_indexes_size(inhrelid))::float8
		FROM pg_inherits WHERE inhparent = 'points'::regclass`).Scan(&table, &index))
	t.Logf("%.1f bytes a row: %.1f in the table, %.1f in the unique index; %.0f in the write-ahead log, with whatever else wrote",
		(table+index)/rows, table/rows, index/rows, log/rows)
	if perRow := (table + index) / rows; perRow > 150 {
		t.Errorf("a row takes %.1f bytes with its index, want at most 150", perRow)
	}
}
