package ingest

import (
	"testing"
	"time"

	"armora/fleet"
)

// judged gives points to a new device, each received as it is fixed, and
// returns their verdicts.
func judged(points ...fleet.Point) []fleet.Verdict {
	th, d := DefaultThresholds(), new(device)
	verdicts := make([]fleet.Verdict, len(points))
	for i := range points {
		points[i].Received = points[i].Fix
		d.judge(&th, &points[i])
		verdicts[i] = points[i].Verdict
	}
	return verdicts
}

func TestVerdictOfAPointAlone(t *testing.T) {
	t.Parallel()
	th := DefaultThresholds()
	for name, c := range map[string]struct {
		change func(*fleet.Point)
		want   fleet.Verdict
		apart  bool
	}{
		"good":                      {func(*fleet.Point) {}, fleet.OK, false},
		"mock":                      {func(p *fleet.Point) { p.Flags = fleet.FlagMock }, fleet.Mock, false},
		"null island":               {func(p *fleet.Point) { p.Lat, p.Lon = 0, 0 }, fleet.NullIsland, false},
		"near null island":          {func(p *fleet.Point) { p.Lat, p.Lon = 0.0009, -0.0009 }, fleet.NullIsland, false},
		"off null island":           {func(p *fleet.Point) { p.Lat, p.Lon = 0.0011, 0 }, fleet.OK, false},
		"on the equator":            {func(p *fleet.Point) { p.Lat, p.Lon = 0, 32.6 }, fleet.OK, false},
		"accurate enough":           {func(p *fleet.Point) { p.Accuracy = 100 }, fleet.OK, false},
		"too inaccurate":            {func(p *fleet.Point) { p.Accuracy = 100.5 }, fleet.Inaccurate, false},
		"accuracy not said":         {func(p *fleet.Point) { p.Accuracy = fleet.Unknown }, fleet.OK, false},
		"a little ahead":            {func(p *fleet.Point) { p.Fix += 300_000 }, fleet.OK, false},
		"too far ahead":             {func(p *fleet.Point) { p.Fix += 300_001 }, fleet.Future, true},
		"a day old":                 {func(p *fleet.Point) { p.Fix -= 24 * 3600_000 }, fleet.OK, false},
		"more than a day old":       {func(p *fleet.Point) { p.Fix -= 24*3600_000 + 1 }, fleet.Stale, false},
		"as old as points are kept": {func(p *fleet.Point) { p.Fix -= 30 * 24 * 3600_000 }, fleet.Stale, false},
		"older than that":           {func(p *fleet.Point) { p.Fix -= 30*24*3600_000 + 1 }, fleet.Stale, true},
		"1970":                      {func(p *fleet.Point) { p.Fix = 1 }, fleet.Stale, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := fix(0, 0)
			p.Received = p.Fix
			c.change(&p)
			new(device).judge(&th, &p)
			if p.Verdict != c.want || (p.Flags&fleet.FlagQuarantine != 0) != c.apart {
				t.Errorf("verdict %v, flags %b; want %v, quarantine %v", p.Verdict, p.Flags, c.want, c.apart)
			}
		})
	}
}

func TestVerdictsOfAMovingDevice(t *testing.T) {
	t.Parallel()
	const ok, jump = fleet.OK, fleet.ImpossibleJump
	for name, c := range map[string]struct {
		points []fleet.Point
		want   []fleet.Verdict
	}{
		"driving": {
			[]fleet.Point{fix(0, 0), fix(1, 30), fix(2, 60), fix(60, 1800)},
			[]fleet.Verdict{ok, ok, ok, ok},
		},
		"one outlier": {
			[]fleet.Point{fix(0, 0), fix(1, 5000), fix(2, 20), fix(3, 30)},
			[]fleet.Verdict{ok, jump, ok, ok},
		},
		"outliers that alternate with good fixes never win": {
			[]fleet.Point{fix(0, 0), fix(1, 5000), fix(2, 0), fix(3, 5000), fix(4, 0), fix(5, 5000), fix(6, 0), fix(7, 5000)},
			[]fleet.Verdict{ok, jump, ok, jump, ok, jump, ok, jump},
		},
		"a first fix that is bad": {
			[]fleet.Point{fix(0, 9000), fix(1, 0), fix(2, 10), fix(3, 20), fix(4, 30)},
			[]fleet.Verdict{ok, jump, jump, ok, ok},
		},
		"outliers that do not agree never win": {
			[]fleet.Point{fix(0, 0), fix(1, 50e3), fix(2, 90e3), fix(3, 20e3), fix(4, 70e3), fix(5, 10)},
			[]fleet.Verdict{ok, jump, jump, jump, jump, ok},
		},
		"the same stamp again is no agreement": {
			[]fleet.Point{fix(0, 0), fix(1, 9000), fix(1, 9001), fix(1, 9002), fix(1, 9003), fix(2, 10)},
			[]fleet.Verdict{ok, jump, jump, jump, jump, ok},
		},
		"far away after a long silence": {
			[]fleet.Point{fix(0, 0), fix(7200, 300e3)},
			[]fleet.Verdict{ok, ok},
		},
		"an airliner that takes off": {
			[]fleet.Point{fix(0, 0), fix(10, 400), fix(20, 1000), fix(30, 1850), fix(40, 2950), fix(50, 4300)},
			[]fleet.Verdict{ok, ok, ok, ok, ok, ok},
		},
		"a phone switched on in flight": {
			[]fleet.Point{fix(0, 0), fix(1, 240), fix(2, 480), fix(3, 720), fix(4, 960), fix(5, 1200)},
			[]fleet.Verdict{ok, jump, jump, ok, ok, ok},
		},
		"faster than anything": {
			[]fleet.Point{fix(0, 0), fix(1, 2000), fix(2, 4000), fix(3, 6000), fix(4, 8000)},
			[]fleet.Verdict{ok, jump, jump, jump, jump},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := judged(c.points...)
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("fix %d: %v, want %v", i, got[i], c.want[i])
				}
			}
		})
	}
}

// A device at 5 Hz that stamps whole seconds has five positions for each.
func TestFiveHertzWithWholeSeconds(t *testing.T) {
	t.Parallel()
	points := make([]fleet.Point, 0, 200)
	for i := range 200 {
		points = append(points, fix(float64(i/5), float64(i)*6)) // 30 m/s
	}
	for i, v := range judged(points...) {
		if v != fleet.OK {
			t.Fatalf("fix %d at second %d: %v", i, i/5, v)
		}
		if points[i].Flags&fleet.FlagLate != 0 {
			t.Fatalf("fix %d is called late", i)
		}
	}
}

func TestBacklogIsLateAndJudgedByItself(t *testing.T) {
	t.Parallel()
	th, d := DefaultThresholds(), new(device)
	judge := func(p fleet.Point, received float64) fleet.Point {
		p.Received = at(received)
		d.judge(&th, &p)
		return p
	}
	judge(fix(100, 1000), 100)
	for i, c := range []struct {
		point fleet.Point
		want  fleet.Verdict
	}{
		{fix(10, 100), fleet.OK},
		{fix(11, 110), fleet.OK},
		{fix(12, 3000), fleet.ImpossibleJump}, // can be left in time for 100 s, not reached from 11 s
		{fix(13, 130), fleet.OK},
		{fix(5, 50), fleet.OK}, // another stretch, further back
		{fix(6, 60), fleet.OK},
		{fix(99, 200e3), fleet.ImpossibleJump}, // not to be left in time
	} {
		got := judge(c.point, 101)
		if got.Verdict != c.want || got.Flags&fleet.FlagLate == 0 {
			t.Errorf("backlog fix %d: %v, flags %b; want %v and late", i, got.Verdict, got.Flags, c.want)
		}
	}
	if now := judge(fix(102, 1020), 102); now.Verdict != fleet.OK || now.Flags&fleet.FlagLate != 0 {
		t.Errorf("the fix after the backlog: %v, flags %b", now.Verdict, now.Flags)
	}
}

// A date ahead of the hub's clock must not hold back what comes after it.
func TestDateAheadDoesNotLockOut(t *testing.T) {
	t.Parallel()
	th, d := DefaultThresholds(), new(device)
	odd := fix(200, 0)
	odd.Received = at(0)
	if seen := d.judge(&th, &odd); odd.Verdict != fleet.OK || seen != at(0) {
		t.Fatalf("verdict %v, live time %d; want ok, by the time received", odd.Verdict, seen)
	}
	next := fix(1, 10)
	next.Received = at(1)
	if d.judge(&th, &next); next.Verdict != fleet.OK || next.Flags&fleet.FlagLate != 0 {
		t.Errorf("next fix: %v, flags %b", next.Verdict, next.Flags)
	}
}

// A device whose clock is off stays visible: the verdict uses corrected time.
func TestWrongClockStaysVisible(t *testing.T) {
	t.Parallel()
	for name, off := range map[string]time.Duration{
		"hours ahead": 3 * time.Hour, "days behind": -50 * 24 * time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			th, d := DefaultThresholds(), new(device)
			var last fleet.Point
			for i := range 30 {
				p := fix(float64(i), float64(10*i))
				p.Fix = p.Fix.Add(off)
				p.Sent = p.Fix + 20
				d.listen([]fleet.Point{p}, at(float64(i))+100)
				p.Received = at(float64(i)) + 100
				d.judge(&th, &p)
				last = p
			}
			if last.Verdict != fleet.OK || last.Flags&fleet.FlagSkewed == 0 || last.Flags&fleet.FlagQuarantine == 0 {
				t.Errorf("verdict %v, flags %b; want ok, skewed, and quarantine by its own date", last.Verdict, last.Flags)
			}
			if last.Fix != at(29).Add(off) {
				t.Error("the fix time itself was changed")
			}
		})
	}
}
