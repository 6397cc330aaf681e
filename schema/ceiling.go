package schema

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"armora/fleet"
)

// Ceiling measures the most that a database server can take: rows that were
// packed, sorted and encoded beforehand, by bare COPY into a table points of
// its own, with the same columns, partitions and unique index. The table lies
// in a database of its own on the same server, so that nobody's points are
// touched.
//
// The rows are those of a fleet that moves at 1 Hz: each batch holds the next
// few seconds of every device. A batch that was copied is used again with its
// fix times moved on, which takes some microseconds for thousands of rows.
type Ceiling struct {
	server *DB
	name   string // of the database
	db     *DB
	rows   []row
	size   int // rows in a batch
}

// ceilingBatches are ready before the clock runs; more connections than that
// would wait for each other.
const ceilingBatches = 8

// OpenCeiling makes the database, and ready rows of so many devices in batches
// of size. The role of server needs the right to make databases and to force
// checkpoints, which the private server's has. now decides the day of the rows.
func OpenCeiling(ctx context.Context, server *DB, devices, size int, now time.Time) (*Ceiling, error) {
	c := &Ceiling{server: server, name: "armora_ceiling_" + strings.ToLower(rand.Text()), size: size}
	if _, err := server.pool.Exec(ctx, `CREATE DATABASE `+c.name+` TEMPLATE template0`); err != nil {
		return nil, fmt.Errorf("make the database of the COPY ceiling: %w", err)
	}
	config := server.pool.Config() // a copy
	config.ConnConfig.Database = c.name
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, errors.Join(err, c.drop(ctx))
	}
	c.db = &DB{pool: pool, keep: server.keep, log: server.log, metrics: newMetrics(nil, pool)}
	day := now.UTC().Truncate(24 * time.Hour)
	if err = c.db.Migrate(ctx); err == nil {
		err = Maintenance{DB: c.db}.EnsurePartitions(ctx, day)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the table of the COPY ceiling: %w", err), c.Close(ctx))
	}
	for i := range ceilingBatches * size {
		c.rows = append(c.rows, ceilingRow(i, devices, day))
	}
	return c, nil
}

// ceilingRow is the i-th that the fleet makes.
func ceilingRow(i, devices int, day time.Time) row {
	device, second := i%devices, i/devices
	fix := fleet.MillisOf(day) + fleet.Millis(second*1000)
	return pack(&fleet.Point{
		Fix: fix, Sent: fix + 5, Received: fix + 60,
		Lat: 51.5 + float64(device%100)/1000 + float64(second)/1e5, Lon: -0.1 + float64(device/100)/1000,
		Accuracy: 4.5, Speed: 9.5, Heading: 87.5, Altitude: 21.5, Battery: 0.87,
	}, int32(device+1))
}

// Empty empties the table, as each Run needs it: it begins with the same rows.
func (c *Ceiling) Empty(ctx context.Context) error {
	if _, err := c.db.pool.Exec(ctx, `TRUNCATE points`); err != nil {
		return fmt.Errorf("empty the table of the COPY ceiling: %w", err)
	}
	return c.Checkpoint(ctx)
}

// Run copies batches over so many connections, each its next one when the last
// is committed, until d has passed. It returns how many rows were committed, and
// how long that took.
func (c *Ceiling) Run(ctx context.Context, d time.Duration, connections int) (rows int64, took time.Duration, err error) {
	ready := make(chan *ceilingBatch, ceilingBatches)
	for some := range slices.Chunk(slices.Clone(c.rows), c.size) {
		slices.SortFunc(some, compareRows)
		ready <- &ceilingBatch{encoded: appendCopy(nil, some), rows: len(some)}
	}
	lap := c.rows[len(c.rows)-1].fix - c.rows[0].fix + 1000
	var (
		copied  atomic.Int64
		failed  = make([]error, connections)
		began   = time.Now()
		copying sync.WaitGroup
	)
	for i := range connections {
		copying.Go(func() {
			for failed[i] == nil && time.Since(began) < d {
				b := <-ready
				if failed[i] = c.copy(ctx, b.encoded); failed[i] == nil {
					copied.Add(int64(b.rows))
					b.moveOn(lap)
				}
				ready <- b
			}
		})
	}
	copying.Wait()
	return copied.Load(), time.Since(began), errors.Join(failed...)
}

func (c *Ceiling) copy(ctx context.Context, encoded []byte) error {
	conn, err := c.db.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	_, err = conn.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(encoded),
		`COPY points (`+copyColumns+`) FROM STDIN (FORMAT binary)`)
	return err
}

// Checkpoint makes the server write what it has put off until now, so that the
// next measurement does not pay for it.
func (c *Ceiling) Checkpoint(ctx context.Context) error {
	_, err := c.server.pool.Exec(ctx, `CHECKPOINT`)
	return err
}

// Version is what the server calls itself.
func (c *Ceiling) Version(ctx context.Context) (version string, err error) {
	err = c.server.pool.QueryRow(ctx, `SELECT split_part(version(), ' (', 1)`).Scan(&version)
	return version, err
}

// Close drops the database.
func (c *Ceiling) Close(ctx context.Context) error {
	c.db.Close()
	return c.drop(ctx)
}

func (c *Ceiling) drop(ctx context.Context) error {
	if _, err := c.server.pool.Exec(ctx, `DROP DATABASE IF EXISTS `+c.name+` WITH (FORCE)`); err != nil {
		return fmt.Errorf("drop the database of the COPY ceiling: %w", err)
	}
	return nil
}

// ceilingBatch is the body of one COPY.
type ceilingBatch struct {
	encoded []byte
	rows    int
}

// moveOn makes every fix so many milliseconds later.
func (b *ceilingBatch) moveOn(by int64) {
	for i := range b.rows {
		fix := b.encoded[len(copyHeader)+i*copyRow+6:]
		binary.BigEndian.PutUint64(fix, binary.BigEndian.Uint64(fix)+uint64(by)*1000)
	}
}
