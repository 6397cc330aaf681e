package schema_test

import (
	"context"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(hubFolder); dir != "" {
		beHub(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// noon is when most tests happen. It is of today, because TimescaleDB's own
// policies go by the server's clock.
var noon = time.Now().UTC().Truncate(24 * time.Hour).Add(12 * time.Hour)

// must ends the test when err is not nil.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantCode ends the test unless err carries the code.
func wantCode(t testing.TB, err error, code fleet.Code) {
	t.Helper()
	if err == nil || fleet.CodeOf(err) != code {
		t.Fatalf("error %v has code %q, want %q", err, fleet.CodeOf(err), code)
	}
}

func newDevice(t testing.TB, db *schema.DB, kind fleet.DeviceKind) fleet.DeviceID {
	t.Helper()
	d := fleet.Device{ID: fleet.NewID[fleet.Device](), Kind: kind, Name: "test " + string(kind), Created: noon}
	must(t, schema.Devices{DB: db}.Create(t.Context(), d))
	return d.ID
}

// newPoint is a point with every measurement known and storable without loss.
func newPoint(device fleet.DeviceID, fix time.Time, lat, lon float64) fleet.Point {
	p := fleet.NewPoint(fleet.MillisOf(fix), float64(fleet.E7(lat))/1e7, float64(fleet.E7(lon))/1e7)
	p.Device, p.Sent, p.Received = device, p.Fix+500, p.Fix+1500
	p.Accuracy, p.Speed, p.Heading, p.Altitude, p.Battery = 4.5, 13.25, 271.5, 35.2, 0.875
	p.Format = fleet.FormatProtobuf
	return p
}

// readAll is everything that Range yields.
func readAll(ctx context.Context, t testing.TB, points *schema.Points, q schema.PointQuery) []fleet.Point {
	t.Helper()
	var got []fleet.Point
	must(t, points.Range(ctx, q, func(p fleet.Point) error {
		got = append(got, p)
		return nil
	}))
	return got
}

// same compares points, taking two unknowns for equal.
func same(a, b fleet.Point) bool {
	for _, pair := range [][2]*float32{{&a.Accuracy, &b.Accuracy}, {&a.Speed, &b.Speed}, {&a.Heading, &b.Heading},
		{&a.Altitude, &b.Altitude}, {&a.Battery, &b.Battery}} {
		if math.IsNaN(float64(*pair[0])) && math.IsNaN(float64(*pair[1])) {
			*pair[0], *pair[1] = 0, 0
		}
	}
	return a == b
}

func wantPoints(t testing.TB, got, want []fleet.Point) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d points, want %d", len(got), len(want))
	}
	for i := range want {
		if !same(got[i], want[i]) {
			t.Fatalf("point %d is\n%+v, want\n%+v", i, got[i], want[i])
		}
	}
}

func TestReadyAndMigrateAgain(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		must(t, db.Ready(t.Context()))
		must(t, db.Migrate(t.Context()))
		must(t, db.Ready(t.Context()))
		off, err := db.Durability(t.Context())
		must(t, err)
		if slices.ContainsFunc(off, func(s string) bool { return strings.HasPrefix(s, "synchronous_commit") }) {
			t.Errorf("what is off: %v", off) // a connection of ours sets it, whatever the server's default
		}
	})
}

func TestClockOffset(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		slow := new(fleet.CorrectedClock)
		slow.Correct(-time.Hour)
		behind, answered, err := db.ClockOffset(t.Context(), slow)
		must(t, err)
		if (behind - time.Hour).Abs() > answered+time.Second { // one machine: the rest is rounding
			t.Errorf("an hour behind is measured as %v, answered in %v", behind, answered)
		}
	})
}
