package safety

import (
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"armora/fleet"
	"armora/sim/recorded"
)

// The places of these tests' trip: 10 km due east, which is some 0.144° there.
var (
	alarmStart = fleet.Place{Lat: 51.5, Lon: -0.2}
	alarmEnd   = fleet.Place{Lat: 51.5, Lon: -0.056}
)

const (
	degreeNorth = 111_195.0 // metres of a degree of latitude
	degreeEast  = 69_221.0  // of longitude, at 51.5°
)

// drive is an officer's trip as a test makes it up, a fix a second.
type drive struct {
	*detector
	phone, tracker fleet.DeviceID
	second         int
	found          []string // kind and whether it has begun, with the second
}

func newDrive() *drive {
	d := &drive{detector: newDetector(AlarmRules{}.withDefaults()), phone: fleet.NewID[fleet.Device](), tracker: fleet.NewID[fleet.Device]()}
	d.plan = plan{places: []fleet.Place{alarmStart, alarmEnd}, trackers: map[fleet.DeviceID]bool{d.tracker: true}}
	return d
}

// at has a device say where it is, by metres east and north of the start.
func (d *drive) at(device fleet.DeviceID, east, north, speed float64) {
	at := fleet.MillisOf(noon.Add(time.Duration(d.second) * time.Second))
	p := fleet.NewPoint(at, alarmStart.Lat+north/degreeNorth, alarmStart.Lon+east/degreeEast)
	p.Device, p.Speed = device, float32(speed)
	for _, f := range d.see(&p, at) {
		d.found = append(d.found, fmt.Sprintf("%s %v %d", f.kind, f.is, d.second))
	}
}

// on goes on for some seconds, with the way that is left to go each.
func (d *drive) on(seconds int, step func(i int)) {
	for i := range seconds {
		step(i)
		d.second++
	}
}

func (d *drive) want(t *testing.T, found ...string) {
	t.Helper()
	// The first word is that all is well: after a restart it settles what is left open.
	d.found = slices.DeleteFunc(d.found, func(s string) bool { return s == d.first(s) })
	if !slices.Equal(d.found, found) {
		t.Errorf("found %q, want %q", d.found, found)
	}
}

// first returns a finding that is the first of its kind, if it is that it is over.
func (d *drive) first(s string) string {
	var kind, is string
	if n, _ := fmt.Sscan(s, &kind, &is); n != 2 || is != "false" {
		return ""
	}
	for _, f := range d.found {
		var other, otherIs string
		if n, _ := fmt.Sscan(f, &other, &otherIs); n == 2 && other == kind {
			if otherIs == "false" {
				return f
			}
			return ""
		}
	}
	return ""
}

func TestATripAsPlannedRaisesNothing(t *testing.T) {
	t.Parallel()
	d := newDrive()
	d.on(700, func(i int) { // by a way that is 1.2 km off the straight line, with red lights of two minutes
		east := float64(i) * 15
		if i%200 > 120 {
			east = float64(i-i%200+120) * 15
		}
		d.at(d.phone, min(east, 9900), 1200, 15)
		d.at(d.tracker, min(east, 9900)+15, 1210, 15)
	})
	d.on(1200, func(int) { d.at(d.phone, 9900, 100, 0) }) // waiting there
	d.want(t)
}

func TestOffTheRoute(t *testing.T) {
	t.Parallel()
	d := newDrive()
	d.on(200, func(i int) { d.at(d.phone, float64(i)*15, 0, 15) })
	d.on(90, func(i int) { d.at(d.phone, 3000, 6000, 15) }) // for less than two minutes
	d.on(100, func(i int) { d.at(d.phone, 3000, 0, 15) })
	d.want(t)
	turned := d.second
	d.on(130, func(i int) { d.at(d.phone, 3000, 6000+float64(i), 15) })
	d.on(100, func(i int) { d.at(d.phone, 4000+float64(i)*15, 0, 15) })
	d.want(t, fmt.Sprintf("off_route true %d", turned+120), fmt.Sprintf("off_route false %d", turned+130+60))

	// A stop that far away makes it the way.
	e := newDrive()
	e.plan.places = []fleet.Place{alarmStart, {Lat: alarmStart.Lat + 6000/degreeNorth, Lon: alarmStart.Lon + 3000/degreeEast}, alarmEnd}
	e.on(200, func(i int) { e.at(e.phone, 3000, 6000-float64(i)*10, 15) })
	e.want(t)
}

func TestAnUnplannedStop(t *testing.T) {
	t.Parallel()
	d := newDrive()
	d.on(310, func(int) { d.at(d.phone, 100, 0, 0) }) // at the start
	d.on(100, func(i int) { d.at(d.phone, 1000+float64(i)*15, 0, 15) })
	stopped := d.second
	d.on(290, func(i int) { d.at(d.phone, 2500+float64(i%30), float64(i%25), 0) }) // fixes that differ by what phones do
	d.want(t)
	d.on(60, func(i int) { d.at(d.phone, 2500, 0, 0) })
	d.want(t, fmt.Sprintf("unplanned_stop true %d", stopped+301))
	d.on(100, func(i int) { d.at(d.phone, 2600+float64(i)*15, 0, 15) })
	if n := len(d.found); n != 2 || !strings.HasPrefix(d.found[1], "unplanned_stop false") {
		t.Errorf("found %q", d.found)
	}

	// Of a phone that is not heard of nobody knows that it has stood.
	e := newDrive()
	e.at(e.phone, 2500, 0, 0)
	e.second += 3600
	e.on(100, func(i int) { e.at(e.phone, 2500, 0, 0) })
	e.want(t)
}

func TestTrackerAndPhoneApart(t *testing.T) {
	t.Parallel()
	d := newDrive()
	d.on(300, func(i int) { // the officer walks away from the parked car
		d.at(d.tracker, 200, 0, 0)
		d.at(d.phone, 200+float64(i)*1.5, 0, 1.5)
	})
	d.want(t)
	left := d.second
	d.on(150, func(i int) { // and it is driven off
		d.at(d.tracker, 200-float64(i)*10, 0, 10)
		d.at(d.phone, 650, 0, 0)
	})
	back := d.second
	d.on(70, func(i int) {
		d.at(d.tracker, 640, 0, 0)
		d.at(d.phone, 650, 0, 0)
	})
	d.want(t, fmt.Sprintf("apart true %d", left+120), fmt.Sprintf("apart false %d", back+60))

	// A second phone that was left at home is not the officer's way.
	e, home := newDrive(), fleet.NewID[fleet.Device]()
	e.on(300, func(i int) {
		e.at(home, -5000, 0, 0)
		e.at(e.tracker, float64(i)*15, 0, 15)
		e.at(e.phone, float64(i)*15, 5, 15)
	})
	if slices.ContainsFunc(e.found, func(s string) bool { return strings.HasPrefix(s, "apart true") }) {
		t.Errorf("found %q", e.found)
	}
}

func TestTooFast(t *testing.T) {
	t.Parallel()
	for name, speed := range map[string]float64{"told": 40, "measured": float64(fleet.Unknown)} {
		d := newDrive()
		d.on(60, func(i int) { d.at(d.phone, float64(i)*30, 0, min(speed, 30)) })
		d.on(15, func(i int) { d.at(d.phone, 1800+float64(i)*40, 0, speed) }) // overtaking
		d.on(60, func(i int) { d.at(d.phone, 2400+float64(i)*20, 0, min(speed, 20)) })
		d.want(t)
		d.on(60, func(i int) { d.at(d.phone, 3600+float64(i)*40, 0, speed) })
		d.on(90, func(i int) { d.at(d.phone, 6000+float64(i)*20, 0, min(speed, 20)) })
		d.found = slices.DeleteFunc(d.found, func(s string) bool { return s == d.first(s) })
		if len(d.found) != 2 || !strings.HasPrefix(d.found[0], "speeding true") || !strings.HasPrefix(d.found[1], "speeding false") {
			t.Errorf("%s: found %q", name, d.found)
		}
	}
}

// A fix that comes late, or twice, tells nothing; and what one officer's devices make
// the hub remember is bounded.
func TestLateFixesAndManyDevices(t *testing.T) {
	t.Parallel()
	d := newDrive()
	d.on(100, func(i int) { d.at(d.phone, float64(i)*15, 0, 15) })
	now := d.second
	for d.second = 0; d.second < now; d.second++ {
		d.at(d.phone, 9e5, 0, 300)
	}
	for range 100 {
		d.at(fleet.NewID[fleet.Device](), 9e5, 0, 300)
	}
	d.want(t)
	if n := len(d.seen); n > maxSighted {
		t.Errorf("%d devices are remembered", n)
	}
}

// recordedPieces reads phone-tracks.csv, raw fixes of phones, in pieces of at least ten
// minutes between which nothing was heard for two. What no phone can have moved is left
// out, as the hub's verdicts do.
func recordedPieces(t *testing.T) (pieces [][]fleet.Point, names []string) {
	t.Helper()
	file := recorded.Open(t, "phone-tracks.csv")
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var piece []fleet.Point
	track := ""
	end := func() {
		if n := len(piece); n > 1 && piece[n-1].Fix.Sub(piece[0].Fix) >= 10*time.Minute {
			pieces, names = append(pieces, piece), append(names, track)
		}
		piece = nil
	}
	for _, row := range rows[1:] {
		at, err1 := time.Parse(time.RFC3339, row[1])
		lat, err2 := strconv.ParseFloat(row[2], 64)
		lon, err3 := strconv.ParseFloat(row[3], 64)
		if err1 != nil || err2 != nil || err3 != nil {
			t.Fatalf("row %v", row)
		}
		p := fleet.NewPoint(fleet.MillisOf(at), lat, lon)
		if n := len(piece); row[0] != track || n > 0 && p.Fix.Sub(piece[n-1].Fix) > 2*time.Minute {
			end()
			track = row[0]
		}
		if n := len(piece); n > 0 {
			last := &piece[n-1]
			if passed := p.Fix.Sub(last.Fix).Seconds(); passed <= 0 || fleet.Distance(last.Lat, last.Lon, lat, lon)/passed > 70 {
				continue
			}
		}
		piece = append(piece, p)
	}
	end()
	return pieces, names
}

// Nobody was in danger on the recorded tracks: what is raised has to be so, by a rule
// that shares nothing with the detector's.
func TestNoFalseAlarmsOnRecordedTracks(t *testing.T) {
	t.Parallel()
	pieces, names := recordedPieces(t)
	hours, counts := 0.0, make(map[fleet.AlertKind]int)
	for n, piece := range pieces {
		rules := AlarmRules{}.withDefaults()
		d, phone, tracker := newDetector(rules), fleet.NewID[fleet.Device](), fleet.NewID[fleet.Device]()
		first, last := piece[0], piece[len(piece)-1]
		d.plan = plan{
			places:   []fleet.Place{{Lat: first.Lat, Lon: first.Lon}, {Lat: last.Lat, Lon: last.Lon}},
			trackers: map[fleet.DeviceID]bool{tracker: true},
		}
		hours += last.Fix.Sub(first.Fix).Hours()
		for i, p := range piece {
			p.Device = phone
			if i%2 == 1 { // the same way, as two devices tell it
				p.Device = tracker
			}
			for _, f := range d.see(&p, p.Fix) {
				if !f.is {
					continue
				}
				counts[f.kind]++
				if why := refuted(f.kind, rules, piece[:i+1], &first, &last); why != "" {
					t.Errorf("track %s, piece %d, fix %d at %v: %s %v: %s", names[n], n, i, p.Fix.Time(), f.kind, f.data, why)
				}
			}
		}
	}
	if len(pieces) < 20 || hours < 10 {
		t.Errorf("there are %d pieces of %.1f h only", len(pieces), hours)
	}
	if counts[fleet.AlertApart] > 0 {
		t.Errorf("%d times one way was two", counts[fleet.AlertApart])
	}
	t.Logf("%d pieces, %.1f h: %v", len(pieces), hours, counts)
}

// refuted says why an alarm at the last of some fixes is false; "": it is not.
func refuted(kind fleet.AlertKind, rules AlarmRules, fixes []fleet.Point, first, last *fleet.Point) string {
	at := &fixes[len(fixes)-1]
	back := func(d time.Duration) []fleet.Point {
		i, _ := slices.BinarySearchFunc(fixes, at.Fix.Add(-d), func(p fleet.Point, to fleet.Millis) int { return int(p.Fix - to) })
		return fixes[i:]
	}
	switch kind {
	case fleet.AlertSpeed: // from one end to the other of the time that it takes
		some := back(rules.SpeedFor)
		speed := fleet.Distance(some[0].Lat, some[0].Lon, at.Lat, at.Lon) / at.Fix.Sub(some[0].Fix).Seconds()
		if speed < rules.Speed*0.9 {
			return fmt.Sprintf("it went %.1f m/s", speed)
		}
	case fleet.AlertStop: // the fixes of half the time, around their middle
		var lats, lons []float64
		for _, p := range back(rules.StopFor / 2) {
			lats, lons = append(lats, p.Lat), append(lons, p.Lon)
		}
		slices.Sort(lats)
		slices.Sort(lons)
		lat, lon := lats[len(lats)/2], lons[len(lons)/2]
		for _, p := range back(rules.StopFor / 2) {
			if away := fleet.Distance(lat, lon, p.Lat, p.Lon); away > 2*rules.StopRadius {
				return fmt.Sprintf("it was %.0f m away", away)
			}
		}
	case fleet.AlertOffRoute: // further from both ends than these are from each other
		between := fleet.Distance(first.Lat, first.Lon, last.Lat, last.Lon)
		through := fleet.Distance(first.Lat, first.Lon, at.Lat, at.Lon) + fleet.Distance(at.Lat, at.Lon, last.Lat, last.Lon)
		if through < between+rules.Slack {
			return fmt.Sprintf("the way through there is %.0f m, and %.0f m without", through, between)
		}
	}
	return ""
}
