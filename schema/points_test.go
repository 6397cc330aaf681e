package schema_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

func insert(t testing.TB, points *schema.Points, batch []fleet.Point, want int) {
	t.Helper()
	stored, err := points.Insert(t.Context(), batch)
	must(t, err)
	if stored != want {
		t.Fatalf("stored %d of %d, want %d", stored, len(batch), want)
	}
}

func TestInsertAndRangeKeepEverything(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		points := schema.NewPoints(db)
		device, other := newDevice(t, db, fleet.Phone), newDevice(t, db, fleet.Tracker)
		want := make([]fleet.Point, 0, 21)
		for i := range 20 {
			p := newPoint(device, noon.Add(time.Duration(i/2)*time.Second), 51.5, -0.1234567)
			p.Lat = float64(fleet.E7(51.5)+int32(i%2)) / 1e7 // same stamp, other position
			p.Verdict, p.Format, p.Flags = fleet.Verdict(i%7), fleet.Format(i%8), fleet.Flags(i*12)&^fleet.FlagQuarantine
			want = append(want, p)
		}
		bare := fleet.NewPoint(fleet.MillisOf(noon.Add(time.Minute)), -90, 180)
		bare.Device, bare.Received = device, bare.Fix-200
		want = append(want, bare)

		batch := slices.Clone(want)
		slices.Reverse(batch)
		batch = append(batch, newPoint(other, noon, 0, 0), want[3])
		insert(t, points, batch, len(want)+1) // the last one is a repeat within the batch
		wantPoints(t, readAll(t.Context(), t, points, schema.PointQuery{Device: device}), want)
	})
}

func TestMeasurementsSaturate(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		points := schema.NewPoints(db)
		device := newDevice(t, db, fleet.Phone)
		p := newPoint(device, noon, 1, 2)
		p.Accuracy, p.Speed, p.Heading, p.Altitude, p.Battery = 50_000, float32(math.Inf(1)), 359.97, -20_000, 0.1234
		insert(t, points, []fleet.Point{p}, 1)
		p.Accuracy, p.Speed, p.Heading, p.Altitude, p.Battery = 3276.7, 327.67, 0, -6553.4, 0.123
		wantPoints(t, readAll(t.Context(), t, points, schema.PointQuery{Device: device}), []fleet.Point{p})
	})
}

// TestFarTimesAreKept: an offset of more than 24.8 days needs more than 32 bits.
func TestFarTimesAreKept(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		points := schema.NewPoints(db)
		device := newDevice(t, db, fleet.Tracker)
		want := make([]fleet.Point, 0, 6)
		for i, clocks := range []struct{ sent, received time.Duration }{
			{29 * 24 * time.Hour, 29 * 24 * time.Hour},
			{-56 * 365 * 24 * time.Hour, time.Second},
			{0, 40 * 24 * time.Hour},
			{math.MaxInt32 * time.Millisecond, math.MaxInt32 * time.Millisecond},
			{(math.MaxInt32 + 1) * time.Millisecond, (math.MinInt32 + 2) * time.Millisecond},
			{(math.MinInt32 + 1) * time.Millisecond, math.MinInt32 * time.Millisecond},
		} {
			p := newPoint(device, noon.Add(-29*24*time.Hour+time.Duration(i)*time.Second), 51, 0)
			p.Sent, p.Received = p.Fix.Add(clocks.sent), p.Fix.Add(clocks.received)
			if i == 2 {
				p.Sent = 0
			}
			want = append(want, p)
		}
		insert(t, points, want, len(want))
		insert(t, points, want, 0)
		wantPoints(t, readAll(t.Context(), t, points, schema.PointQuery{Device: device}), want)

		var sent, received *time.Time
		must(t, db.Pool().QueryRow(t.Context(),
			`SELECT sent, received FROM telemetry WHERE device = $1 ORDER BY fix OFFSET 2 LIMIT 1`, device).Scan(&sent, &received))
		if sent != nil || received.UnixMilli() != int64(want[2].Received) {
			t.Fatalf("telemetry says sent %v, received %v, want nil and %v", sent, received, want[2].Received.Time())
		}
	})
}

func TestRepeatsAreCounted(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		points := schema.NewPoints(db)
		device := newDevice(t, db, fleet.Phone)
		batch := make([]fleet.Point, 0, 100)
		for i := range 100 {
			batch = append(batch, newPoint(device, noon.Add(time.Duration(i)*time.Second), 51, float64(i)*1e-5))
		}
		insert(t, points, batch[:50], 50)
		late := slices.Clone(batch)
		for i := range late {
			late[i].Received += 60_000 // the first copy stays
		}
		insert(t, points, late, 50)
		insert(t, points, batch, 0)
		insert(t, points, nil, 0)
		want := append(slices.Clone(batch[:50]), late[50:]...)
		wantPoints(t, readAll(t.Context(), t, points, schema.PointQuery{Device: device}), want)
	})
}

func TestRangePagesAndFilters(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, points := t.Context(), schema.NewPoints(db)
		device := newDevice(t, db, fleet.Phone)
		const n = 5000 + 700 // more than a page
		all := make([]fleet.Point, n)
		for i := range all {
			all[i] = newPoint(device, noon.Add(time.Duration(i/2)*time.Second), 51+float64(i%2)*1e-5, 0)
			all[i].Verdict = fleet.Verdict(i % 2)
		}
		insert(t, points, all, n)
		q := schema.PointQuery{Device: device}
		wantPoints(t, readAll(ctx, t, points, q), all)
		q.Limit = 5001
		wantPoints(t, readAll(ctx, t, points, q), all[:5001])
		q.Limit = 3
		key := all[6].Key()
		q.After = &key
		wantPoints(t, readAll(ctx, t, points, q), all[7:10])
		q.Verdicts = []fleet.Verdict{fleet.OK}
		wantPoints(t, readAll(ctx, t, points, q), []fleet.Point{all[8], all[10], all[12]})
		// A key before From does not reach behind From.
		wantPoints(t, readAll(ctx, t, points, schema.PointQuery{Device: device, From: all[100].Fix, To: all[102].Fix, After: &key}), all[100:102])

		stop := errors.New("enough")
		if err := points.Range(ctx, schema.PointQuery{Device: device}, func(fleet.Point) error { return stop }); !errors.Is(err, stop) {
			t.Fatalf("Range returned %v, want the error of yield", err)
		}
		wantCode(t, points.Range(ctx, schema.PointQuery{Device: fleet.NewID[fleet.Device]()}, nil), fleet.CodeNotFound)
	})
}

func TestLatestAndLast(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, points := t.Context(), schema.NewPoints(db)
		a, b, c, silent := newDevice(t, db, fleet.Phone), newDevice(t, db, fleet.Phone), newDevice(t, db, fleet.Phone), newDevice(t, db, fleet.Phone)
		early := newPoint(a, noon, 51, 0)
		tie := newPoint(a, noon.Add(time.Second), 51, 0.2)
		newest := newPoint(a, noon.Add(time.Second), 51, 0.1) // the same stamp, received later
		newest.Received++
		junk := newPoint(a, noon.Add(time.Minute), 0, 0)
		junk.Verdict = fleet.NullIsland
		old := newPoint(b, noon.Add(-20*24*time.Hour), 52, 0)
		onlyJunk := newPoint(c, noon, 0, 0)
		onlyJunk.Verdict = fleet.NullIsland
		insert(t, points, []fleet.Point{early, tie, newest, junk, old, onlyJunk}, 6)

		latest := func(since time.Time) map[fleet.DeviceID]fleet.Point {
			got := make(map[fleet.DeviceID]fleet.Point)
			must(t, points.Latest(ctx, fleet.MillisOf(since), func(p fleet.Point) error {
				got[p.Device] = p
				return nil
			}))
			return got
		}
		if got := latest(noon.Add(-time.Hour)); len(got) != 1 || got[a] != newest {
			t.Fatalf("latest since an hour: %+v", got)
		}
		if got := latest(noon.Add(-30 * 24 * time.Hour)); len(got) != 2 || got[b] != old {
			t.Fatalf("latest since a month: %+v", got)
		}
		stop := errors.New("enough")
		if err := points.Latest(ctx, 0, func(fleet.Point) error { return stop }); !errors.Is(err, stop) {
			t.Fatalf("Latest returned %v, want the error of yield", err)
		}
		for device, want := range map[fleet.DeviceID]fleet.Point{a: newest, b: old} {
			got, err := points.Last(ctx, device)
			must(t, err)
			if got != want {
				t.Fatalf("last is %+v, want %+v", got, want)
			}
		}
		for _, device := range []fleet.DeviceID{c, silent, fleet.NewID[fleet.Device]()} {
			_, err := points.Last(ctx, device)
			wantCode(t, err, fleet.CodeNotFound)
		}
	})
}

func TestBadRowsAreNamedAndNothingIsStored(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		points := schema.NewPoints(db)
		device := newDevice(t, db, fleet.Phone)
		good := newPoint(device, noon, 51, 0)
		for name, bad := range map[string]fleet.Point{
			"unknown device":  newPoint(fleet.NewID[fleet.Device](), noon, 51, 0),
			"latitude":        newPoint(device, noon, 90.1, 0),
			"not a number":    newPoint(device, noon, math.NaN(), 0),
			"before 1970":     newPoint(device, time.UnixMilli(-1), 51, 0),
			"unknown verdict": func() fleet.Point { p := good; p.Verdict = 16; return p }(),
		} {
			_, err := points.Insert(t.Context(), []fleet.Point{good, bad})
			if !schema.IsBadRow(err) {
				t.Fatalf("%s: %v is not a bad row", name, err)
			}
		}
		if got := readAll(t.Context(), t, points, schema.PointQuery{Device: device}); len(got) != 0 {
			t.Fatalf("stored %+v", got)
		}
		// A device that is made later is found then.
		_, err := points.Insert(t.Context(), []fleet.Point{newPoint(newDevice(t, db, fleet.Phone), noon, 51, 0)})
		must(t, err)
	})
}

func TestQuarantineIsKeptOnce(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, points := t.Context(), schema.NewPoints(db)
		must(t, schema.Maintenance{DB: db}.EnsurePartitions(ctx, noon))
		device := newDevice(t, db, fleet.Phone)
		odd := make([]fleet.Point, 0, 1000)
		for i := range 1000 { // a thousand odd dates
			p := newPoint(device, time.Date(1971+i%280, 1, 1+i/280, 0, 0, 0, 0, time.UTC), 51.1234567, -0.5)
			p.Sent, p.Received, p.Verdict = 0, fleet.MillisOf(noon), fleet.Stale
			p.Flags = fleet.FlagQuarantine | fleet.FlagLate
			p.Heading = fleet.Unknown
			odd = append(odd, p)
		}
		good := newPoint(device, noon, 51, 0)
		insert(t, points, append(slices.Clone(odd), good, odd[0]), len(odd)+1)
		again := slices.Clone(odd)
		for i := range again {
			again[i].Received += 36 * 3600 * 1000 // another day's partition
		}
		insert(t, points, append(again, good), 0)

		wantPoints(t, readAll(ctx, t, points, schema.PointQuery{Device: device}), []fleet.Point{good})
		var got []fleet.Point
		must(t, points.Quarantined(ctx, schema.PointQuery{Device: device}, func(p fleet.Point) error {
			got = append(got, p)
			return nil
		}))
		slices.SortFunc(odd, func(a, b fleet.Point) int { return int(a.Fix/1000 - b.Fix/1000) })
		wantPoints(t, got, odd)
		var shown int
		must(t, db.Pool().QueryRow(ctx, `
			SELECT count(*) FROM telemetry_quarantine
			WHERE device = $1 AND verdict = 'stale' AND format = 'protobuf' AND lat = 51.1234567`, device).Scan(&shown))
		if shown != len(odd) {
			t.Fatalf("telemetry_quarantine shows %d, want %d", shown, len(odd))
		}
	})
}

func TestTelemetrySpeaksPlainly(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, points := t.Context(), schema.NewPoints(db)
		device := newDevice(t, db, fleet.Phone)
		batch := make([]fleet.Point, 0, 100)
		for _, v := range fleet.Verdicts() {
			for f := range fleet.FormatOsmAnd + 1 {
				p := newPoint(device, noon.Add(time.Duration(len(batch))*time.Second), 51.5073509, -0.1277583)
				p.Verdict, p.Format, p.Flags = v, f, fleet.Flags(0xf7)
				batch = append(batch, p)
			}
		}
		bare := fleet.NewPoint(fleet.MillisOf(noon.Add(-time.Second)), 1, 2)
		bare.Device, bare.Received = device, bare.Fix
		insert(t, points, append(batch, bare), len(batch)+1)
		rows, err := db.Pool().Query(ctx, `
			SELECT fix, sent, received, lat, lon, accuracy, speed, heading, altitude, battery, verdict, format, flags
			FROM telemetry WHERE device = $1 AND fix >= $2 ORDER BY fix`, device, noon)
		must(t, err)
		defer rows.Close()
		n := 0
		for ; rows.Next(); n++ {
			p := batch[n]
			var fix, sent, received time.Time
			var lat, lon float64
			var m [5]float32
			var verdict, format string
			var flags int32
			must(t, rows.Scan(&fix, &sent, &received, &lat, &lon, &m[0], &m[1], &m[2], &m[3], &m[4], &verdict, &format, &flags))
			got := fmt.Sprint(fix.UnixMilli(), sent.UnixMilli(), received.UnixMilli(), lat, lon, m, verdict, format, flags)
			want := fmt.Sprint(int64(p.Fix), int64(p.Sent), int64(p.Received), p.Lat, p.Lon,
				[5]float32{p.Accuracy, p.Speed, p.Heading, p.Altitude, p.Battery}, p.Verdict.String(), p.Format.String(), p.Flags)
			if got != want {
				t.Fatalf("telemetry says\n%s, want\n%s", got, want)
			}
		}
		must(t, rows.Err())
		if n != len(batch) {
			t.Fatalf("%d rows, want %d", n, len(batch))
		}
		var unknown bool
		must(t, db.Pool().QueryRow(ctx, `
			SELECT sent IS NULL AND coalesce(accuracy, speed, heading, altitude, battery) IS NULL
			FROM telemetry WHERE device = $1 AND fix < $2`, device, noon).Scan(&unknown))
		if !unknown {
			t.Fatal("telemetry shows what the device never said")
		}
	})
}

// TestConcurrentInsertsOfTheSamePoints: every writer sends all points, cut and
// ordered in its own way, over two days. Each is stored once, and nobody is
// told a deadlock.
func TestConcurrentInsertsOfTheSamePoints(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t)
	must(t, schema.Maintenance{DB: db}.EnsurePartitions(t.Context(), noon))
	points := schema.NewPoints(db)
	all := make([]fleet.Point, 0, 2000)
	for range 10 {
		device := newDevice(t, db, fleet.Phone)
		for i := range 200 {
			all = append(all, newPoint(device, noon.Add(12*time.Hour+time.Duration(i-100)*time.Second), 51, float64(i)*1e-5))
		}
	}
	var mu sync.Mutex
	var group sync.WaitGroup
	total := 0
	for w := range 4 {
		mine := slices.Clone(all)
		if w%2 == 1 {
			slices.Reverse(mine)
		}
		group.Go(func() {
			for chunk := range slices.Chunk(mine, 300+w*150) {
				stored, err := points.Insert(t.Context(), chunk)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				total += stored
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if total != len(all) {
		t.Fatalf("stored %d in all, want %d", total, len(all))
	}
}

// TestInsertWithoutADatabase: what cannot be stored now is not the data's fault.
func TestInsertWithoutADatabase(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t)
	points := schema.NewPoints(db)
	device := newDevice(t, db, fleet.Phone)
	insert(t, points, []fleet.Point{newPoint(device, noon, 51, 0)}, 1)
	_, err := db.Pool().Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	must(t, err)
	db.Close()
	db.Close() // twice is fine
	_, err = points.Insert(t.Context(), []fleet.Point{newPoint(device, noon, 52, 0)})
	wantCode(t, err, fleet.CodeUnavailable)
	if schema.IsBadRow(err) {
		t.Fatalf("%v blames the data", err)
	}
}

func TestMetricsCountWhatBecameOfPoints(t *testing.T) {
	t.Parallel()
	dsn := schematest.PlainDSN(t)
	registry := prometheus.NewRegistry()
	for range 2 { // a database that was closed leaves its place in the registry
		db, err := schema.Open(t.Context(), dsn, schema.Options{Metrics: registry})
		must(t, err)
		points := schema.NewPoints(db)
		p := newPoint(newDevice(t, db, fleet.Phone), noon, 51, 0)
		odd := p
		odd.Flags = fleet.FlagQuarantine
		insert(t, points, []fleet.Point{p, odd}, 2)
		insert(t, points, []fleet.Point{p, odd, odd}, 0)
		families, err := registry.Gather()
		must(t, err)
		got := make(map[string]float64)
		for _, f := range families {
			got[f.GetName()] = f.GetMetric()[0].GetCounter().GetValue()
		}
		for name, want := range map[string]float64{"points_stored_total": 2, "points_repeated_total": 3,
			"points_quarantined_total": 1, "insert_fallbacks_total": 1} {
			if got["armora_schema_"+name] != want {
				t.Errorf("%s is %v, want %v", name, got["armora_schema_"+name], want)
			}
		}
		db.Close()
	}
}
