package eta

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"armora/fleet"
)

var (
	bank  = Point{51.5134, -0.0890} // of England
	ritz  = Point{51.5074, -0.1419} // 3.7 km away
	luton = Point{51.8763, -0.3717}
)

func TestModelAddsUpTheBands(t *testing.T) {
	t.Parallel()
	m := Model{
		Start: time.Minute,
		Bands: []Band{{From: 0, Speed: 6.5}, {From: 1000, Speed: 13}, {From: 3000, Speed: 26}},
		Hours: [24]float64{8: 1.5, 12: 1},
	}
	for _, c := range []struct {
		hour   int
		metres float64
		want   time.Duration
	}{
		{12, 0, 60 * time.Second},
		{12, 500, 160 * time.Second},
		{12, 1000, 260 * time.Second},
		{12, 2000, 360 * time.Second},
		{12, 3000, 460 * time.Second},
		{12, 5000, 560 * time.Second},
		{8, 2000, 540 * time.Second},
	} {
		if got := m.Time(c.hour, c.metres); (got - c.want).Abs() > time.Millisecond {
			t.Errorf("%.0f m at %d o'clock: %v, want %v", c.metres, c.hour, got, c.want)
		}
	}
}

// The table that is committed is one that a person would believe.
func TestDefaultModel(t *testing.T) {
	t.Parallel()
	m := Default()
	leg := m.Leg(12, bank, ritz)
	crow := fleet.Distance(bank.Lat, bank.Lon, ritz.Lat, ritz.Lon)
	if math.Abs(leg.Metres-Detour*crow) > 1 || leg.Source != FromModel {
		t.Errorf("%+v, want 1.3 × %.0f m by the model", leg, crow)
	}
	if leg.Time < 8*time.Minute || leg.Time > 15*time.Minute {
		t.Errorf("from the bank to the Ritz in %v", leg.Time)
	}
	if rush, night := m.Leg(17, bank, ritz).Time, m.Leg(3, bank, ritz).Time; rush <= leg.Time || night >= leg.Time {
		t.Errorf("%v at five, %v at noon, %v at night", rush, leg.Time, night)
	}
	if m.Bands[0].From != 0 {
		t.Errorf("the bands begin at %v m", m.Bands[0].From)
	}
	rapid.Check(t, func(t *rapid.T) {
		hour := rapid.IntRange(0, 23).Draw(t, "hour")
		near := rapid.Float64Range(0, 200_000).Draw(t, "near")
		more := rapid.Float64Range(0, 1000).Draw(t, "more")
		a, b := m.Time(hour, near), m.Time(hour, near+more)
		// Nothing is quicker for being further, and a metre more is not more than a
		// metre's worth, at a walk.
		if b < a || (b-a).Seconds() > more+0.001 {
			t.Fatalf("%v for %.1f m, %v for %.1f m more", a, near, b, more)
		}
		if drive := a - time.Duration(m.Hours[hour]*float64(m.Start)); near*Detour > 40*drive.Seconds()+1 {
			t.Fatalf("%.0f m in %v", near, drive)
		}
	})
}

func TestModelAllocatesNothing(t *testing.T) {
	m := Default()
	if n := testing.AllocsPerRun(100, func() { m.Leg(12, bank, luton) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkModel(b *testing.B) {
	m := Default()
	for b.Loop() {
		m.Leg(12, bank, luton)
	}
}
