package fleet_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"armora/fleet"
)

func TestIDHasOneSpelling(t *testing.T) {
	t.Parallel()
	id := fleet.NewID[fleet.Device]()
	parsed, err := fleet.ParseID[fleet.Device](id.String())
	if err != nil || parsed != id {
		t.Fatalf("ParseID(%s) = %s, %v", id, parsed, err)
	}
	for _, other := range []string{
		"", "x", "{" + id.String() + "}", "urn:uuid:" + id.String(),
		"00000000-0000-0000-0000-00000000000g", "00000000000000000000000000000000",
	} {
		if got, err := fleet.ParseID[fleet.Device](other); err == nil {
			t.Errorf("ParseID(%q) = %s, want an error", other, got)
		}
	}
}

func TestIDsMadeLaterSortLater(t *testing.T) {
	t.Parallel()
	previous := fleet.NewID[fleet.Device]().String()
	for range 1000 {
		next := fleet.NewID[fleet.Device]().String()
		if next <= previous {
			t.Fatalf("%s was made after %s and sorts before it", next, previous)
		}
		previous = next
	}
}

func TestIDThroughJSONAndSQL(t *testing.T) {
	t.Parallel()
	want := struct{ ID fleet.DeviceID }{fleet.NewID[fleet.Device]()}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got := want
	got.ID = fleet.DeviceID{}
	if err := json.Unmarshal(text, &got); err != nil || got != want {
		t.Fatalf("%s read back as %v, %v", text, got, err)
	}
	if err := json.Unmarshal([]byte(`{"ID":"nonsense"}`), &got); err == nil {
		t.Error("nonsense was read as an id")
	}

	value, err := want.ID.Value()
	if err != nil {
		t.Fatal(err)
	}
	var scanned fleet.DeviceID
	if err := scanned.Scan(value); err != nil || scanned != want.ID {
		t.Fatalf("Scan(%v) = %s, %v", value, scanned, err)
	}
	if value, err := (fleet.DeviceID{}).Value(); value != nil || err != nil {
		t.Errorf("zero id is stored as %v, %v; want NULL", value, err)
	}
	if err := scanned.Scan(nil); err != nil || !scanned.IsZero() {
		t.Errorf("NULL is read as %s, %v; want the zero id", scanned, err)
	}
}

func TestPointKeyIsTimeAndPlace(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := fleet.NewPoint(fleet.Millis(rapid.Int64Range(0, 4e12).Draw(t, "fix")),
			rapid.Float64Range(-90, 90).Draw(t, "lat"), rapid.Float64Range(-180, 180).Draw(t, "lon"))
		same := p
		same.Speed, same.Sent, same.Received, same.Verdict = 3, 4, 5, fleet.Mock
		if p.Key() != same.Key() {
			t.Fatal("what is measured beside time and place changed the identity")
		}
		later, elsewhere := p, p
		later.Fix++
		elsewhere.Lat = math.Mod(p.Lat+1, 90)
		if p.Key() == later.Key() || p.Key() == elsewhere.Key() {
			t.Fatal("another time or place has the same identity")
		}
		if math.Abs(float64(fleet.E7(p.Lon))/1e7-p.Lon) > 0.5e-7+1e-13 { // a float64 of 180 is good to 3e-14
			t.Fatalf("E7(%v) = %d loses more than half a unit", p.Lon, fleet.E7(p.Lon))
		}
	})
}

func TestValidateNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	for _, c := range []struct {
		fix      fleet.Millis
		lat, lon float64
		wrong    bool
	}{
		{0, 0, 0, false}, {1, 90, 180, false}, {1, -90, -180, false},
		{1, 90.0000001, 0, true}, {1, 0, 180.0000001, true}, {1, nan, 0, true}, {1, 0, nan, true},
		{1, math.Inf(1), 0, true}, {-1, 0, 0, true}, {math.MaxInt64, 0, 0, true},
	} {
		p := fleet.NewPoint(c.fix, c.lat, c.lon)
		if err := p.Validate(); (err != nil) != c.wrong {
			t.Errorf("Validate(%v, %v, %v) = %v", c.fix, c.lat, c.lon, err)
		}
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                   string
		lat1, lon1, lat2, lon2 float64
		metres                 float64
	}{
		{"the same place", 51.5, -0.12, 51.5, -0.12, 0},
		{"a degree of latitude", 0, 0, 1, 0, 111195.08},
		{"across the antimeridian", 0, 179.5, 0, -179.5, 111195.08},
		{"pole to pole", 90, 0, -90, 0, 20015114.44},
		{"London to Paris", 51.5074, -0.1278, 48.8566, 2.3522, 343556.5},
	} {
		if got := fleet.Distance(c.lat1, c.lon1, c.lat2, c.lon2); math.Abs(got-c.metres) > 0.5 {
			t.Errorf("%s: %.2f m, want %.2f", c.name, got, c.metres)
		}
	}
}

func TestNamesOfStoredNumbers(t *testing.T) {
	t.Parallel()
	// These numbers are in databases: this list only grows.
	want := []string{"ok", "inaccurate", "impossible_jump", "future", "stale", "null_island", "mock"}
	for i, v := range fleet.Verdicts() {
		if v.String() != want[i] {
			t.Errorf("verdict %d is %q, want %q", i, v, want[i])
		}
	}
	if len(fleet.Verdicts()) != len(want) {
		t.Errorf("%d verdicts, want %d", len(fleet.Verdicts()), len(want))
	}
	for f := fleet.FormatJSON; f <= fleet.FormatOsmAnd; f++ {
		var back fleet.Format
		if err := back.UnmarshalText([]byte(f.String())); err != nil || back != f {
			t.Errorf("format %d is %q and read back as %d, %v", f, f, back, err)
		}
	}
	if got := fleet.Verdict(200).String(); got != "unknown(200)" {
		t.Errorf("a verdict from a newer hub is %q", got)
	}
}

func TestUnitOfAnIdentity(t *testing.T) {
	t.Parallel()
	device, driver, vehicle := fleet.NewID[fleet.Device](), fleet.NewID[fleet.Driver](), fleet.NewID[fleet.Vehicle]()
	for _, c := range []struct {
		id   fleet.Identity
		want fleet.Unit
	}{
		{fleet.Identity{Device: device}, fleet.Unit(device)},
		{fleet.Identity{Device: device, Vehicle: vehicle}, fleet.Unit(vehicle)},
		{fleet.Identity{Device: device, Driver: driver, Vehicle: vehicle}, fleet.Unit(driver)},
	} {
		if got := c.id.Unit(); got != c.want {
			t.Errorf("unit of %+v is %s, want %s", c.id, got, c.want)
		}
	}
}

func TestCodeOfWrappedError(t *testing.T) {
	t.Parallel()
	cause := errors.New("no route to host")
	err := fmt.Errorf("loading: %w", &fleet.Error{Code: fleet.CodeUnavailable, Message: "the database is away", Err: cause})
	if fleet.CodeOf(err) != fleet.CodeUnavailable || !errors.Is(err, cause) {
		t.Errorf("%v: code %s", err, fleet.CodeOf(err))
	}
	if fleet.CodeOf(cause) != fleet.CodeInternal {
		t.Errorf("an error without a code is %s", fleet.CodeOf(cause))
	}
}

func TestManualClockFiresWhatIsDue(t *testing.T) {
	t.Parallel()
	clock := fleet.NewManualClock(time.Unix(1000, 0))
	soon, _ := clock.NewTimer(time.Second)
	late, stop := clock.NewTimer(time.Minute)
	if clock.Waiting() != 2 {
		t.Fatalf("%d timers wait, want 2", clock.Waiting())
	}
	clock.Advance(time.Second)
	select {
	case at := <-soon:
		if !at.Equal(time.Unix(1001, 0)) {
			t.Errorf("fired at %s", at)
		}
	default:
		t.Error("a timer that is due did not fire")
	}
	if !stop() {
		t.Error("stopping a waiting timer was too late")
	}
	clock.Advance(time.Hour)
	select {
	case <-late:
		t.Error("a stopped timer fired")
	default:
	}
	if at, _ := clock.NewTimer(0); len(at) != 1 {
		t.Error("a timer of no duration waits")
	}
}

func TestCorrectedClock(t *testing.T) {
	t.Parallel()
	var c fleet.CorrectedClock
	if behind := time.Since(c.Now()).Abs(); behind > time.Minute || c.Offset() != 0 {
		t.Errorf("uncorrected, it is off by %v", behind)
	}
	c.Correct(-time.Hour)
	if behind := time.Since(c.Now()); behind < 59*time.Minute || behind > 61*time.Minute || c.Offset() != -time.Hour {
		t.Errorf("set back by an hour, it is behind by %v", behind)
	}
}

// A moment is the same before and after the database has kept it, and durations are
// told by the machine's monotonic clock.
func TestClocksTickInMicroseconds(t *testing.T) {
	t.Parallel()
	var corrected fleet.CorrectedClock
	corrected.Correct(1234567 * time.Nanosecond)
	for name, clock := range map[string]fleet.Clock{"system": fleet.SystemClock{}, "corrected": &corrected} {
		for range 1000 {
			now := clock.Now()
			if now.Nanosecond()%1000 != 0 {
				t.Fatalf("the %s clock says %v", name, now)
			}
			if !strings.Contains(now.String(), "m=") {
				t.Fatalf("the %s clock tells no durations: %v", name, now)
			}
		}
	}
}
