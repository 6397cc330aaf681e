package schema

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Keep says how long what is stored is kept.
type Keep struct {
	Points     time.Duration // by fix time; the longest that any point is kept outside quarantine
	Phone      time.Duration // points of phones, by fix time; 0: as Points
	Quarantine time.Duration // by received time
	Rollups    time.Duration // by hour
	Messages   time.Duration // commands after they expired, dead letters after they came, fence events after their fix
}

// DefaultKeep is what the design promises: the positions of a person's phone
// for a day, a vehicle's for 30.
func DefaultKeep() Keep {
	const day = 24 * time.Hour
	return Keep{Points: 30 * day, Phone: day, Quarantine: 30 * day, Rollups: 730 * day, Messages: 30 * day}
}

func (k Keep) orDefault() Keep {
	if k == (Keep{}) {
		return DefaultKeep()
	}
	if k.Phone == 0 {
		k.Phone = k.Points
	}
	return k
}

// Maintenance keeps the tables in shape. A hub calls its three methods on
// start and then every few minutes, the refresh before the retention, so that
// nothing leaves before it was counted. Calling them more often, or from
// several hubs, changes nothing.
type Maintenance struct{ DB *DB }

// How far ahead of now, and how far behind what is kept, there is a partition
// for every day. Ahead is how long a hub may be down, or its maintenance fail,
// before points land in the default partition.
const daysAhead = 7

// lockPatience bounds how long a change of partitions may wait for readers and
// writers, and they behind it. When it runs out the change comes with the next run.
const lockPatience = "2s"

// partitioned is a table with a partition for each day.
type partitioned struct {
	table  string
	column string // of the partition key
}

var (
	pointDays      = partitioned{"points", "fix"}
	quarantineDays = partitioned{"points_quarantine", "received"}
)

// EnsurePartitions makes a partition for each day from the first that is kept
// to a week ahead of now. What waits in the default partition for such a day is
// moved into it. TimescaleDB makes the chunks of points itself.
func (m Maintenance) EnsurePartitions(ctx context.Context, now time.Time) error {
	if !m.DB.timescale {
		if err := m.ensure(ctx, pointDays, now.Add(-m.DB.keep.Points), now); err != nil {
			return translate("partition", err)
		}
	}
	// What is received is received now: there is no need for days that are over.
	return translate("partition", m.ensure(ctx, quarantineDays, now.AddDate(0, 0, -1), now))
}

func (m Maintenance) ensure(ctx context.Context, p partitioned, first, now time.Time) error {
	existing, err := m.days(ctx, p)
	if err != nil {
		return err
	}
	there := make(map[time.Time]bool, len(existing))
	for _, day := range existing {
		there[day] = true
	}
	last := now.AddDate(0, 0, daysAhead)
	for day := startOfDay(first); !day.After(last); day = day.AddDate(0, 0, 1) {
		if there[day] {
			continue
		}
		if err := m.makeDay(ctx, p, day); err != nil {
			return fmt.Errorf("make the partition of %s for %s: %w", p.table, day.Format(time.DateOnly), err)
		}
	}
	return nil
}

// makeDay attaches a table for one day, unless another hub has just done so. Attaching,
// unlike CREATE … PARTITION OF, lets readers and writers go on; only the default
// partition is locked.
func (m Maintenance) makeDay(ctx context.Context, p partitioned, day time.Time) error {
	from, to := day.Format(time.DateOnly)+" 00:00:00+00", day.AddDate(0, 0, 1).Format(time.DateOnly)+" 00:00:00+00"
	r := strings.NewReplacer("{table}", p.table, "{column}", p.column, "{name}", p.name(day), "{from}", from, "{to}", to)
	return pgx.BeginFunc(ctx, m.DB.pool, func(tx pgx.Tx) error {
		do := func(statements ...string) error {
			for _, statement := range statements {
				if _, err := tx.Exec(ctx, r.Replace(statement)); err != nil {
					return err
				}
			}
			return nil
		}
		if err := do(`SET LOCAL lock_timeout = '`+lockPatience+`'`, `LOCK TABLE {table}_default IN ACCESS EXCLUSIVE MODE`); err != nil {
			return err
		}
		var there bool
		if err := tx.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, p.name(day)).Scan(&there); err != nil || there {
			return err
		}
		return do(`CREATE TABLE {name} (LIKE {table} INCLUDING ALL)`,
			`WITH moved AS (DELETE FROM {table}_default WHERE {column} >= '{from}' AND {column} < '{to}' RETURNING *)
			 INSERT INTO {name} SELECT * FROM moved`,
			`ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{from}') TO ('{to}')`)
	})
}

// days are the days that have a partition, in order.
func (m Maintenance) days(ctx context.Context, p partitioned) ([]time.Time, error) {
	rows, err := m.DB.pool.Query(ctx, `
		SELECT to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC' AS day
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = to_regclass($1) AND c.relname ~ '_[0-9]{8}$'
		ORDER BY day`, p.table)
	if err != nil {
		return nil, err
	}
	days, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	for i := range days {
		days[i] = days[i].UTC()
	}
	return days, err
}

func (p partitioned) name(day time.Time) string { return p.table + "_" + day.Format("20060102") }

func startOfDay(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

func startOfHour(t time.Time) time.Time { return t.UTC().Truncate(time.Hour) }
