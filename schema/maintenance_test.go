package schema_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

const day = 24 * time.Hour

// column is the one text column that sql selects.
func column(ctx context.Context, t testing.TB, db *schema.DB, sql string, args ...any) []string {
	t.Helper()
	rows, err := db.Pool().Query(ctx, sql, args...)
	must(t, err)
	values, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	return values
}

func partitions(ctx context.Context, t testing.TB, db *schema.DB, table string) []string {
	t.Helper()
	return column(ctx, t, db, `SELECT relname::text FROM pg_class JOIN pg_inherits ON inhrelid = oid
		WHERE inhparent = to_regclass($1) ORDER BY 1`, table)
}

func TestPartitionsAreMadeAheadAndNothingIsLostWithoutThem(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t)
	ctx, maintain, points := t.Context(), schema.Maintenance{DB: db}, schema.NewPoints(db)
	device := newDevice(t, db, fleet.Tracker)
	want := make([]fleet.Point, 0, 10)
	for d := range 10 {
		want = append(want, newPoint(device, noon.Add(time.Duration(d-5)*day), 51, 0))
	}
	insert(t, points, want, len(want)) // there is no partition yet
	wantPoints(t, readAll(ctx, t, points, schema.PointQuery{Device: device}), want)

	must(t, maintain.EnsurePartitions(ctx, noon))
	must(t, maintain.EnsurePartitions(ctx, noon.Add(time.Hour))) // there is nothing left to do
	made := partitions(ctx, t, db, "points")
	if len(made) != 30+1+7+1 || !slices.Contains(made, "points_"+noon.Add(7*day).Format("20060102")) {
		t.Fatalf("%d partitions: %v", len(made), made)
	}
	if got := column(ctx, t, db, `SELECT DISTINCT tableoid::regclass::text FROM points`); len(got) != 10 || slices.Contains(got, "points_default") {
		t.Fatalf("points lie in %v", got)
	}
	wantPoints(t, readAll(ctx, t, points, schema.PointQuery{Device: device}), want)
	insert(t, points, want, 0) // they are still known

	must(t, maintain.EnsurePartitions(ctx, noon.Add(day)))
	if n := len(partitions(ctx, t, db, "points")); n != len(made)+1 {
		t.Fatalf("a day later %d partitions, want one more than %d", n, len(made))
	}
}

// TestMaintenanceGivesWay: it neither waits for ever for a long transaction nor
// makes everybody else wait behind it.
func TestMaintenanceGivesWay(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t)
	ctx, maintain := t.Context(), schema.Maintenance{DB: db}
	must(t, maintain.EnsurePartitions(ctx, noon))
	tx, err := db.Pool().Begin(ctx)
	must(t, err)
	_, err = tx.Exec(ctx, `SELECT * FROM points`)
	must(t, err)
	wantCode(t, maintain.EnsurePartitions(ctx, noon.Add(day)), fleet.CodeUnavailable)
	if err := maintain.Retain(ctx, noon.Add(2*day)); err == nil || !strings.Contains(err.Error(), "retention of points") {
		t.Fatalf("a partition in use was dropped: %v", err)
	}
	must(t, tx.Rollback(ctx))
	must(t, maintain.EnsurePartitions(ctx, noon.Add(day)))
	must(t, maintain.Retain(ctx, noon.Add(2*day)))
}

func TestRetention(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, maintain, points := t.Context(), schema.Maintenance{DB: db}, schema.NewPoints(db)
		now := time.Now().UTC() // TimescaleDB's own clock drops the chunks
		must(t, maintain.EnsurePartitions(ctx, now))
		phone, tracker := newDevice(t, db, fleet.Phone), newDevice(t, db, fleet.Tracker)
		ages := []time.Duration{40 * day, 32 * day, 29 * day, 25 * time.Hour, 23 * time.Hour, 0}
		keep := map[fleet.DeviceID]int{phone: 2, tracker: 4} // of the youngest
		all := make(map[fleet.DeviceID][]fleet.Point)
		for _, device := range []fleet.DeviceID{phone, tracker} {
			for _, age := range ages {
				p := newPoint(device, now.Add(-age).Truncate(time.Millisecond), 51, 0)
				p.Received = fleet.MillisOf(now)
				all[device] = append(all[device], p)
			}
			insert(t, points, all[device], len(ages))
		}
		quarantined := newPoint(tracker, time.Unix(0, 0), 51, 0)
		quarantined.Flags, quarantined.Received = fleet.FlagQuarantine, fleet.MillisOf(now)
		insert(t, points, []fleet.Point{quarantined}, 1)
		outbox, letters := schema.Outbox{DB: db, Clock: fleet.NewManualClock(now)}, schema.DeadLetters{DB: db}
		for _, age := range []time.Duration{31 * day, day} {
			_, err := outbox.Add(ctx, fleet.Command{Device: phone, Kind: "x", Created: now.Add(-age), Expires: now.Add(-age)})
			must(t, err)
			must(t, letters.Add(ctx, []fleet.DeadLetter{{ID: fleet.NewID[fleet.DeadLetter](), Received: now.Add(-age)}}))
		}

		if db.Timescale() {
			compress(ctx, t, db, 3) // a phone's late points leave the columnstore too
		}
		must(t, maintain.Retain(ctx, now))
		must(t, maintain.Retain(ctx, now))
		for device, n := range keep {
			wantPoints(t, readAll(ctx, t, points, schema.PointQuery{Device: device}), all[device][len(ages)-n:])
		}
		var far, quarantine, commands, dead int
		must(t, db.Pool().QueryRow(ctx, `SELECT (SELECT count(*) FROM points_far), (SELECT count(*) FROM points_quarantine),
			(SELECT count(*) FROM commands), (SELECT count(*) FROM dead_letters)`).Scan(&far, &quarantine, &commands, &dead))
		if far != 2 || quarantine != 1 || commands != 1 || dead != 1 {
			t.Fatalf("left: %d far times, %d in quarantine, %d commands, %d dead letters", far, quarantine, commands, dead)
		}
		must(t, maintain.EnsurePartitions(ctx, now.Add(40*day)))
		must(t, maintain.Retain(ctx, now.Add(40*day)))
		must(t, db.Pool().QueryRow(ctx, `SELECT count(*) FROM points_quarantine`).Scan(&quarantine))
		if quarantine != 0 {
			t.Fatalf("%d left in quarantine after 40 days", quarantine)
		}
	})
}

// fleetDay is three days of five devices, made from a seed: with junk, unknown
// speeds, late ones, and hours without any.
func fleetDay(devices []fleet.DeviceID, now time.Time, seed uint64) []fleet.Point {
	r := rand.New(rand.NewPCG(seed, 1))
	all := make([]fleet.Point, 0, 3000)
	for i := range 3000 {
		fix := now.Add(-time.Duration(r.Int64N(int64(70*time.Hour/time.Millisecond))) * time.Millisecond)
		p := newPoint(devices[r.IntN(len(devices))], fix, 51+r.Float64(), r.Float64())
		p.Received = p.Fix + fleet.Millis(r.IntN(4000))
		if i%10 == 0 {
			p.Received = fleet.MillisOf(now)
		}
		p.Speed = float32(r.IntN(4000)) / 100
		if i%7 == 0 {
			p.Speed = fleet.Unknown
		}
		p.Verdict = fleet.Verdict(max(0, r.IntN(12)-5))
		all = append(all, p)
	}
	return all
}

// TestRollupsAgreeAfterRetention: the continuous aggregate of TimescaleDB, the
// table of plain PostgreSQL and a sum in plain Go give the same hours, before
// the points have left and after.
func TestRollupsAgreeAfterRetention(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC().Truncate(time.Hour).Add(20 * time.Minute)
	ids := make([]fleet.DeviceID, 5)
	for i := range ids {
		ids[i] = fleet.NewID[fleet.Device]()
	}
	history := fleetDay(ids, now, 7)
	late := fleetDay(ids, now, 8)[:200]
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, maintain, points := t.Context(), schema.Maintenance{DB: db}, schema.NewPoints(db)
		must(t, maintain.EnsurePartitions(ctx, now))
		for i, id := range ids {
			kind := []fleet.DeviceKind{fleet.Phone, fleet.Tracker}[i%2]
			must(t, schema.Devices{DB: db}.Create(ctx, fleet.Device{ID: id, Kind: kind, Created: now}))
		}
		// Two days ago, yesterday and now, the hub refreshes and then forgets.
		counted := make(map[hourKey]*hourly)
		var known []fleet.Point
		for _, at := range []time.Time{now.Add(-48 * time.Hour), now.Add(-24 * time.Hour), now} {
			for _, p := range history {
				if p.Fix <= fleet.MillisOf(at) && !slices.ContainsFunc(known, func(k fleet.Point) bool { return k.Key() == p.Key() }) {
					known = append(known, p)
				}
			}
			_, err := points.Insert(ctx, known)
			must(t, err)
			must(t, maintain.RefreshRollups(ctx, at))
			count(counted, known, at)
			wantHours(t, db, counted)
			must(t, maintain.Retain(ctx, at))
			must(t, maintain.RefreshRollups(ctx, at)) // does not take away what was counted
			wantHours(t, db, counted)
		}
		_, err := points.Insert(ctx, late)
		must(t, err)
		must(t, maintain.RefreshRollups(ctx, now))
		count(counted, append(known, late...), now)
		wantHours(t, db, counted)
		if len(counted) < 200 {
			t.Fatalf("only %d hours were compared", len(counted))
		}
	})
}

type hourKey struct {
	device fleet.DeviceID
	hour   fleet.Millis
}

type hourly struct {
	ok, junk    int
	first, last fleet.Millis
	speeds      []float32
}

// count is the naive rollup: of the hours that are over and lie whole within
// the last day, everything is counted afresh.
func count(into map[hourKey]*hourly, points []fleet.Point, now time.Time) {
	const hour = fleet.Millis(3600 * 1000)
	end := fleet.MillisOf(now.Truncate(time.Hour))
	fresh := make(map[hourKey]*hourly)
	for _, p := range points {
		key := hourKey{p.Device, p.Fix / hour * hour}
		if key.hour >= end || key.hour < fleet.MillisOf(now.Add(-day)) {
			continue
		}
		h := fresh[key]
		if h == nil {
			h = &hourly{first: p.Fix, last: p.Fix}
			fresh[key] = h
		}
		h.first, h.last = min(h.first, p.Fix), max(h.last, p.Fix)
		if p.Verdict != fleet.OK {
			h.junk++
			continue
		}
		h.ok++
		if fleet.Known(p.Speed) {
			h.speeds = append(h.speeds, p.Speed)
		}
	}
	for key, h := range fresh {
		into[key] = h
	}
}

func wantHours(t *testing.T, db *schema.DB, counted map[hourKey]*hourly) {
	t.Helper()
	want := make([]string, 0, len(counted))
	for key, h := range counted {
		top, average := "-", "-"
		if len(h.speeds) > 0 {
			var sum int // of whole cm/s, since a tie may round either way otherwise
			for _, v := range h.speeds {
				sum += int(math.Round(float64(v) * 100))
			}
			top = fmt.Sprintf("%.2f", slices.Max(h.speeds))
			average = fmt.Sprintf("%.2f", float32(float64(sum)/100/float64(len(h.speeds))))
		}
		want = append(want, fmt.Sprintf("%s %d: %d ok, %d junk, %d to %d, %s and %s m/s",
			key.device, key.hour, h.ok, h.junk, h.first, h.last, top, average))
	}
	rows, err := db.Pool().Query(t.Context(), `
		SELECT device, hour, ok, junk, first_fix, last_fix, max_speed, avg_speed FROM points_hourly`)
	must(t, err)
	got, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var device fleet.DeviceID
		var hour, first, last time.Time
		var ok, junk int64
		var top, average *float32
		err := row.Scan(&device, &hour, &ok, &junk, &first, &last, &top, &average)
		speed := func(v *float32) string {
			if v == nil {
				return "-"
			}
			return fmt.Sprintf("%.2f", *v)
		}
		return fmt.Sprintf("%s %d: %d ok, %d junk, %d to %d, %s and %s m/s", device, hour.UnixMilli(), ok, junk,
			first.UnixMilli(), last.UnixMilli(), speed(top), speed(average)), err
	})
	must(t, err)
	slices.Sort(got)
	slices.Sort(want)
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("%d hours, want %d; from the first that differs:\n%v\nwant\n%v",
				len(got), len(want), got[min(i, len(got)):min(i+2, len(got))], want[min(i, len(want)):min(i+2, len(want))])
		}
	}
}

// TestLateRowsReachTheColumnstore: a day that is compressed already takes
// late points, and knows repeats.
func TestLateRowsReachTheColumnstore(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, points := t.Context(), schema.NewPoints(db)
		device := newDevice(t, db, fleet.Tracker)
		want := make([]fleet.Point, 0, 400)
		for i := range 400 {
			p := newPoint(device, noon.Add(-5*day+time.Duration(i)*time.Second), 51, 0)
			want = append(want, p)
		}
		early, late := want[:300], want[200:]
		insert(t, points, early, 300)
		if db.Timescale() {
			compress(ctx, t, db, 1)
		}
		insert(t, points, late, 100)
		wantPoints(t, readAll(ctx, t, points, schema.PointQuery{Device: device}), want)
		insert(t, points, want, 0)
		last, err := points.Last(ctx, device)
		must(t, err)
		wantPoints(t, []fleet.Point{last}, want[len(want)-1:])
	})
}

// compress runs the columnstore policy, as a background worker would.
func compress(ctx context.Context, t testing.TB, db *schema.DB, chunks int) {
	t.Helper()
	var job int
	must(t, db.Pool().QueryRow(ctx, `SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = 'policy_compression'`).Scan(&job))
	_, err := db.Pool().Exec(ctx, `CALL run_job($1)`, job)
	must(t, err)
	var compressed int
	must(t, db.Pool().QueryRow(ctx, `SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_name = 'points' AND is_compressed`).Scan(&compressed))
	if compressed != chunks {
		t.Fatalf("%d chunks are in the columnstore, want %d", compressed, chunks)
	}
}

// TestRetentionPolicyFollowsKeep: what the hub is told to keep is what
// TimescaleDB keeps.
func TestRetentionPolicyFollowsKeep(t *testing.T) {
	t.Parallel()
	db := schematest.Timescale(t)
	keep := schema.DefaultKeep()
	keep.Points = 90 * day
	longer, err := schema.Open(t.Context(), db.Pool().Config().ConnString(), schema.Options{Keep: keep, MaxConns: 1})
	must(t, err)
	defer longer.Close()
	for range 2 {
		must(t, longer.Migrate(t.Context()))
		got := column(t.Context(), t, db, `SELECT extract(epoch FROM (config ->> 'drop_after')::interval)::bigint::text
			FROM timescaledb_information.jobs WHERE proc_name = 'policy_retention'`)
		if len(got) != 1 || got[0] != fmt.Sprint(90*24*3600) {
			t.Fatalf("drop_after is %v s, want 90 days", got)
		}
	}
}

// Hubs that start at the same time see to the tables together.
func TestHubsThatStartAtOnceAllMakePartitions(t *testing.T) {
	t.Parallel()
	dsn := schematest.PlainDSN(t)
	hubs := make([]schema.Maintenance, 4)
	for i := range hubs {
		db, err := schema.Open(t.Context(), dsn, schema.Options{MaxConns: 2})
		must(t, err)
		t.Cleanup(db.Close)
		hubs[i].DB = db
	}
	for _, do := range []func(schema.Maintenance) error{
		func(m schema.Maintenance) error { return m.EnsurePartitions(t.Context(), noon) },
		func(m schema.Maintenance) error { return m.Retain(t.Context(), noon.AddDate(0, 0, 40)) },
	} {
		var working sync.WaitGroup
		for _, m := range hubs {
			working.Go(func() {
				if err := do(m); err != nil {
					t.Error(err)
				}
			})
		}
		working.Wait()
	}
}
