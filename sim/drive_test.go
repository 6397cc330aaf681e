package sim

import (
	"math"
	"slices"
	"testing"
)

// TestDrivingIsPlausible follows officers for two hours each, a second at a
// time.
func TestDrivingIsPlausible(t *testing.T) {
	t.Parallel()
	const hours = 2
	city := NewCity(1)
	var standing, total int
	fastest := map[Class]float64{}
	for number := range 8 {
		officer := NewOfficer(city, 1, number)
		before, driven := officer.Motion(), 0.0
		for second := int64(1); second <= hours*3600; second++ {
			officer.Advance(1000 * second)
			now := officer.Motion()
			if now.Speed > now.Street.Class.Limit()+1e-9 {
				t.Fatalf("%.1f m/s on a street of %.1f", now.Speed, now.Street.Class.Limit())
			}
			if change := now.Speed - before.Speed; change > acceleration+1e-6 || change < -2.5*braking {
				t.Fatalf("officer %d, second %d: from %.2f to %.2f m/s", number, second, before.Speed, now.Speed)
			}
			// A corner within the second makes the straight line shorter, never longer.
			if moved := before.Distance(now.Position); moved > max(before.Speed, now.Speed)+acceleration {
				t.Fatalf("officer %d, second %d: %.1f m at %.1f to %.1f m/s", number, second, moved, before.Speed, now.Speed)
			}
			if now.Heading < 0 || now.Heading >= 360 {
				t.Fatalf("heading %v", now.Heading)
			}
			driven += before.Distance(now.Position)
			fastest[now.Street.Class] = max(fastest[now.Street.Class], now.Speed)
			if total++; now.Speed == 0 {
				standing++
			}
			before = now
		}
		// Cars in London make 12 to 35 km/h door to door.
		if mean := driven / hours / 1000; mean < 8 || mean > 40 {
			t.Errorf("officer %d made %.1f km/h on the whole", number, mean)
		}
	}
	for class := Arterial; class <= Residential; class++ {
		if fastest[class] < 0.8*class.Limit() {
			t.Errorf("nobody went faster than %.1f m/s where %.1f are allowed", fastest[class], class.Limit())
		}
	}
	if share := float64(standing) / float64(total); share < 0.1 || share > 0.6 {
		t.Errorf("cars stand %.0f %% of the time", 100*share)
	}
}

func TestSameOfficerSameWay(t *testing.T) {
	t.Parallel()
	city := NewCity(2)
	one, again, other := NewOfficer(city, 2, 5), NewOfficer(city, 2, 5), NewOfficer(city, 2, 6)
	for ms := int64(0); ms < 3_600_000; ms += 500 {
		one.Advance(ms)
		again.Advance(ms)
		again.Advance(ms - 400) // the past changes nothing
		other.Advance(ms)
		if one.Motion() != again.Motion() {
			t.Fatalf("after %d ms: %v and %v", ms, one.Motion(), again.Motion())
		}
	}
	if one.Motion() == other.Motion() {
		t.Error("two officers are in the same place")
	}
}

// drive returns the readings of one officer's device, once a second.
func drive(city *City, kind Kind, officer int, seconds int64) (readings []reading, gaps int) {
	o, in := NewOfficer(city, 1, officer), newInstrument(kind, 1, officer)
	for s := range seconds {
		o.Advance(1000 * s)
		if r, ok := in.read(1_800_000_000_000, 1000*s+417, o.Motion()); ok {
			readings = append(readings, r)
		} else {
			gaps++
		}
	}
	return readings, gaps
}

// TestNoiseIsRealistic compares what devices report with the truth.
func TestNoiseIsRealistic(t *testing.T) {
	t.Parallel()
	city := NewCity(1)
	for kind, limits := range map[Kind]struct{ least, most float64 }{Phone: {2.5, 8}, Tracker: {1.4, 5}} {
		var clean, within, reflected, gaps, total int
		var squares, far float64
		var steps []float64
		for officer := range 12 {
			readings, missed := drive(city, kind, officer, 3600)
			gaps += missed
			total += len(readings)
			var last Position
			for i, r := range readings {
				miss := r.miss()
				switch {
				case r.jumped:
					continue
				case r.reflected:
					reflected++
					far = max(far, miss)
					continue
				}
				clean++
				squares += miss * miss
				if miss <= float64(r.point.Accuracy) {
					within++
				}
				off := r.offset()
				if i > 0 && !readings[i-1].reflected && !readings[i-1].jumped {
					steps = append(steps, off.Distance(last))
				}
				last = off
			}
		}
		rms := math.Sqrt(squares / float64(clean))
		if rms < limits.least || rms > limits.most {
			t.Errorf("%s: error %.1f m rms, want %.1f to %.1f", kind, rms, limits.least, limits.most)
		}
		// Accuracy is the radius of 68 %.
		if share := float64(within) / float64(clean); share < 0.58 || share > 0.8 {
			t.Errorf("%s: %.0f %% of fixes are within the accuracy they report", kind, 100*share)
		}
		// The error drifts: from a second to the next it changes by far less
		// than its size.
		slices.Sort(steps)
		if median := steps[len(steps)/2]; median > rms/1.5 {
			t.Errorf("%s: the error changes by %.1f m a second at %.1f m rms", kind, median, rms)
		}
		if share := float64(reflected) / float64(total); share == 0 || share > 0.03 || far < 25 || far > 100 {
			t.Errorf("%s: %.2f %% reflected, up to %.0f m", kind, 100*share, far)
		}
		if gaps == 0 {
			t.Errorf("%s: no gaps in twelve hours with tunnels", kind)
		}
	}
}

// offset returns by how much a reading is off, in metres east and north.
func (r *reading) offset() Position {
	lat, lon := r.truth.LatLon()
	return Position{
		X: (float64(r.point.Lon)/1e7 - lon) * metresPerDegree * math.Cos(centreLat*math.Pi/180),
		Y: (float64(r.point.Lat)/1e7 - lat) * metresPerDegree,
	}
}

func (r *reading) miss() float64 { return r.offset().Distance(Position{}) }

func TestReadingsFollowFromTheSeed(t *testing.T) {
	t.Parallel()
	one, _ := drive(NewCity(1), Phone, 3, 2000)
	again, _ := drive(NewCity(1), Phone, 3, 2000)
	same := func(a, b reading) bool {
		if math.IsNaN(float64(a.point.Heading)) && math.IsNaN(float64(b.point.Heading)) {
			a.point.Heading, b.point.Heading = 0, 0 // not known yet, in both
		}
		return a == b
	}
	if !slices.EqualFunc(one, again, same) {
		t.Error("the same seed made two different tracks")
	}
}

// TestDevicesGoWrongAsOften counts over enough points to see the rare.
func TestDevicesGoWrongAsOften(t *testing.T) {
	t.Parallel()
	city := NewCity(1)
	var mocks, jumps, points int
	for officer := range 60 {
		readings, _ := drive(city, Phone, officer, 7200)
		for _, r := range readings {
			points++
			if r.point.Mock {
				mocks++
			}
			if r.jumped {
				jumps++
				if r.miss() < 2500 {
					t.Errorf("a jump of only %.0f m", r.miss())
				}
			}
			if r.point.Fix%1000 != 0 {
				t.Fatalf("a phone stamped %d", r.point.Fix)
			}
		}
	}
	expected := float64(points) * mockRate
	for name, n := range map[string]int{"mocks": mocks, "jumps": jumps} {
		if float64(n) < expected/3 || float64(n) > expected*3 {
			t.Errorf("%d %s in %d points, want about %.0f", n, name, points, expected)
		}
	}
	skewed := 0
	for officer := range 2000 {
		if in := newInstrument(Phone, 1, officer); in.skew != 0 {
			skewed++
			if size := max(in.skew, -in.skew); size < 30_000 || size > 600_000 {
				t.Errorf("a clock is off by %d ms", in.skew)
			}
		}
		if in := newInstrument(Tracker, 1, officer); in.skew != 0 {
			t.Error("a tracker's clock is off: it is set by the satellites")
		}
	}
	if skewed < 40 || skewed > 140 {
		t.Errorf("%d of 2000 phones have a wrong clock, want about 80", skewed)
	}
}

func TestCoverageComesAndGoes(t *testing.T) {
	t.Parallel()
	var spells, offline, total int
	for officer := range 50 {
		c := newCoverage(stream(1, officer, streamPhoneCoverage), 600)
		was := false
		for second := range int64(36_000) {
			is, changed := c.at(1000 * second)
			if changed != (is != was) {
				t.Fatal("a change was not told")
			}
			if was = is; is {
				offline++
			}
			if changed && is {
				spells++
			}
			total++
		}
	}
	if mean := float64(total) / float64(spells); mean < 550 || mean > 800 {
		t.Errorf("a spell every %.0f s, want one in 600 s online and 75 s offline", mean)
	}
	if mean := float64(offline) / float64(spells); mean < 50 || mean > 100 {
		t.Errorf("a spell lasts %.0f s, want about 75", mean)
	}
	if offline, _ := newCoverage(stream(1, 1, 0), -1).at(math.MaxInt64 - 1); offline {
		t.Error("never is not never")
	}
}

func TestOfficersGoOnErrands(t *testing.T) {
	t.Parallel()
	city := NewCity(1)
	officer := NewOfficer(city, 1, 3)
	ms := int64(0)
	drive := func(until <-chan struct{}) {
		t.Helper()
		for range 2 * 3600 {
			select {
			case <-until:
				return
			default:
				ms += 1000
				officer.Advance(ms)
			}
		}
		t.Fatal("two hours were not enough to get there")
	}
	for _, to := range []Position{{3000, 2000}, {-4000, -2500}, {-4000, -2500}} { // the last is where they are
		drive(officer.Send(to))
		if d := officer.Motion().Distance(city.At(city.Nearest(to))); d > 1 || officer.Motion().Speed != 0 {
			t.Errorf("stands %.0f m from where they were sent", d)
		}
		at := officer.Motion().Position
		ms += 600_000
		officer.Advance(ms)
		if officer.Motion().Position != at {
			t.Error("did not wait there")
		}
	}
	first := officer.Send(Position{6000, 4000})
	ms += 20_000
	officer.Advance(ms)
	drive(officer.Send(Position{-6000, 4000})) // changed on the way
	select {
	case <-first:
		t.Error("came to where they no longer were to go")
	default:
	}
	at := officer.Motion().Position
	officer.Release()
	ms += 60_000
	officer.Advance(ms)
	if officer.Motion().Position == at {
		t.Error("stands still once released")
	}
}
