package safety

import (
	"time"

	"armora/fleet"
)

// AlarmRules are what is taken for a danger on a trip, and for how long it has to
// last before ops are told, or told that it is over. A zero field is the default;
// docs/safety.md says where each comes from.
type AlarmRules struct {
	// Off the route: the way through a place, from one stop to the next, is longer than
	// Detour times the straight line, and Slack besides.
	Detour float64       // 1.25
	Slack  float64       // metres: 1,500
	OffFor time.Duration // 2 min

	// An unplanned stop: all fixes within StopRadius, and none within PlaceRadius of a
	// place of the trip.
	StopRadius, PlaceRadius float64       // metres: 60 and 300
	StopFor                 time.Duration // 5 min

	// Tracker and phone apart: further than Apart while one of them moves faster than
	// on foot.
	Apart    float64       // metres: 300
	OnWheels float64       // metres a second: 5
	ApartFor time.Duration // 2 min

	Speed    float64       // metres a second: 35.3, which is 79 mph
	SpeedFor time.Duration // 20 s

	Over time.Duration // for which it has to be as it should before that is told: 1 min
	// Gap is how long nothing may come from a device without which nobody knows what was
	// in between: then the time is counted anew. 1 min.
	Gap time.Duration
}

func (r AlarmRules) withDefaults() AlarmRules {
	for _, n := range []struct {
		is *float64
		or float64
	}{{&r.Detour, 1.25}, {&r.Slack, 1500}, {&r.StopRadius, 60}, {&r.PlaceRadius, 300}, {&r.Apart, 300}, {&r.OnWheels, 5}, {&r.Speed, 35.3}} {
		if *n.is == 0 {
			*n.is = n.or
		}
	}
	for _, d := range []struct {
		is *time.Duration
		or time.Duration
	}{
		{&r.OffFor, 2 * time.Minute}, {&r.StopFor, 5 * time.Minute}, {&r.ApartFor, 2 * time.Minute}, {&r.SpeedFor, 20 * time.Second},
		{&r.Over, time.Minute}, {&r.Gap, time.Minute},
	} {
		if *d.is == 0 {
			*d.is = d.or
		}
	}
	return r
}

// condition is one kind of danger, debounced: it holds once it was seen in every fix
// for a while, and is over once it was seen in none for a while. At first nobody
// knows, so that the first word after a start, that it is over, is news too.
type condition struct {
	state conditionState
	next  conditionState // what the last fixes say, if it is something else
	since fleet.Millis   // of the first of them; 0: there are none
}

type conditionState byte

const (
	unclear conditionState = iota
	over
	holds
)

// see takes what a fix of a time says, and reports whether that is news.
func (c *condition) see(is bool, at fleet.Millis, raise, clear time.Duration) bool {
	state, wait := over, clear
	if is {
		state, wait = holds, raise
	}
	switch {
	case c.state == state:
		c.since = 0
	case c.since == 0 || c.next != state:
		c.next, c.since = state, at
	case at.Sub(c.since) >= wait:
		c.state, c.since = state, 0
		return true
	}
	return false
}

// finding is a danger that has begun, or is over.
type finding struct {
	kind fleet.AlertKind
	is   bool
	data map[string]any // of one that has begun
}

// plan is what is known of a trip beforehand.
type plan struct {
	// places are the commencement point, the stops and the destination, in order, if the
	// principal is being taken along them; else none.
	places   []fleet.Place
	trackers map[fleet.DeviceID]bool // devices that are fixed to the officer's car
}

// sighting is what a device has said last.
type sighting struct {
	device   fleet.DeviceID
	at       fleet.Millis
	lat, lon float64
	speed    float64 // metres a second; negative: nobody knows
	from     *sighting
}

const (
	// maxSighted is of how many devices of one officer is remembered where they are.
	maxSighted = 8
	// speedOver is over how long a speed is measured that a device does not tell: over
	// less, the error of two fixes is too much of the way between them.
	speedOver = 10 * time.Second
)

// detector sees dangers in the fixes of one officer on one trip: of their phones, and
// of the tracker of their car. It goes by the times of the fixes alone. It is for one
// goroutine at a time.
type detector struct {
	rules AlarmRules
	plan  plan
	seen  map[fleet.DeviceID]*sighting
	lead  fleet.DeviceID // whose fixes tell of the officer's way
	still *sighting      // since when, and where, they have not moved

	off, stopped, apart, fast condition
}

func newDetector(rules AlarmRules) *detector {
	return &detector{rules: rules, seen: make(map[fleet.DeviceID]*sighting)}
}

// see takes a good fix, and returns what it makes known. Fixes that are older than
// another of the same device tell nothing.
func (d *detector) see(p *fleet.Point, at fleet.Millis) (found []finding) {
	last := d.seen[p.Device]
	if last != nil && at <= last.at || last == nil && len(d.seen) >= maxSighted {
		return nil
	}
	s := &sighting{device: p.Device, at: at, lat: p.Lat, lon: p.Lon, speed: -1}
	s.measure(last, p, d.rules.Gap)
	d.seen[p.Device] = s
	found = d.seeApart(s, found)
	if !d.leads(s) {
		return found
	}
	if last == nil || at.Sub(last.at) > d.rules.Gap {
		d.off.since, d.stopped.since, d.fast.since, d.still = 0, 0, 0, nil
	}
	found = d.seeSpeed(s, found)
	if len(d.plan.places) > 1 {
		found = d.seeRoute(s, found)
		found = d.seeStop(s, found)
	}
	return found
}

// measure finds out how fast the device is: as it says, else from a fix of at least
// speedOver ago.
func (s *sighting) measure(last *sighting, p *fleet.Point, gap time.Duration) {
	if fleet.Known(p.Speed) {
		s.speed = float64(p.Speed)
		return
	}
	if last == nil || s.at.Sub(last.at) > gap {
		return
	}
	s.speed, s.from = last.speed, last.from
	if s.from == nil {
		s.from = &sighting{at: last.at, lat: last.lat, lon: last.lon}
	}
	if passed := s.at.Sub(s.from.at); passed >= speedOver {
		s.speed = fleet.Distance(s.from.lat, s.from.lon, s.lat, s.lon) / passed.Seconds()
		s.from = &sighting{at: s.at, lat: s.lat, lon: s.lon}
	}
}

// leads reports whether a fix is of the device that tells of the officer's way: one,
// until it falls silent, so that two that differ a little are no movement.
func (d *detector) leads(s *sighting) bool {
	lead := d.seen[d.lead]
	if s.device == d.lead || lead == nil || s.at.Sub(lead.at) > d.rules.Gap/2 {
		if d.lead != s.device {
			d.lead, d.still = s.device, nil
		}
		return true
	}
	return false
}

func (d *detector) seeSpeed(s *sighting, found []finding) []finding {
	if s.speed < 0 {
		return found
	}
	if d.fast.see(s.speed > d.rules.Speed, s.at, d.rules.SpeedFor, d.rules.Over) {
		found = append(found, finding{fleet.AlertSpeed, d.fast.state == holds, map[string]any{"speed_mps": s.speed, "limit_mps": d.rules.Speed}})
	}
	return found
}

// seeRoute looks for a detour: a place is on the way if it is on that from some place
// of the trip to the next. Which of them lies ahead does not matter: who goes back
// along the way is not off it.
func (d *detector) seeRoute(s *sighting, found []finding) []finding {
	excess := 0.0
	for i := range d.plan.places[1:] {
		a, b := &d.plan.places[i], &d.plan.places[i+1]
		through := fleet.Distance(a.Lat, a.Lon, s.lat, s.lon) + fleet.Distance(s.lat, s.lon, b.Lat, b.Lon)
		beyond := through - d.rules.Detour*fleet.Distance(a.Lat, a.Lon, b.Lat, b.Lon) - d.rules.Slack
		if i == 0 || beyond < excess {
			excess = beyond
		}
	}
	if d.off.see(excess > 0, s.at, d.rules.OffFor, d.rules.Over) {
		found = append(found, finding{fleet.AlertOffRoute, d.off.state == holds, map[string]any{"lat": s.lat, "lon": s.lon, "detour_m": int(excess)}})
	}
	return found
}

// seeStop looks for a stop where none was planned. It lasts since it began: the
// condition need not last any longer.
func (d *detector) seeStop(s *sighting, found []finding) []finding {
	if d.still == nil || fleet.Distance(d.still.lat, d.still.lon, s.lat, s.lon) > d.rules.StopRadius {
		d.still = s
	}
	is := s.at.Sub(d.still.at) >= d.rules.StopFor
	for i := range d.plan.places {
		p := &d.plan.places[i]
		is = is && fleet.Distance(p.Lat, p.Lon, s.lat, s.lon) > d.rules.PlaceRadius
	}
	if d.stopped.see(is, s.at, 0, d.rules.Over) {
		found = append(found, finding{fleet.AlertStop, d.stopped.state == holds,
			map[string]any{"lat": s.lat, "lon": s.lon, "since": d.still.at.Time().Format(time.RFC3339)}})
	}
	return found
}

// seeApart looks whether the car moves without its officer, or the officer in another
// one: all of their phones that are heard of are far from the tracker. Who walks away
// from a parked car is not apart from it.
func (d *detector) seeApart(s *sighting, found []finding) []finding {
	var tracker *sighting
	for _, o := range d.seen {
		if d.plan.trackers[o.device] && s.at.Sub(o.at) <= d.rules.Gap && (tracker == nil || o.at > tracker.at) {
			tracker = o
		}
	}
	if tracker == nil {
		return found
	}
	nearest, fastest := -1.0, tracker.speed
	for _, o := range d.seen {
		if d.plan.trackers[o.device] || s.at.Sub(o.at) > d.rules.Gap {
			continue
		}
		// By how far they may have come since: the two are not heard at one time.
		moved := max(o.speed, tracker.speed, 0) * max(o.at.Sub(tracker.at), tracker.at.Sub(o.at)).Seconds()
		away := max(fleet.Distance(o.lat, o.lon, tracker.lat, tracker.lon)-moved, 0)
		if nearest < 0 || away < nearest {
			nearest = away
		}
		fastest = max(fastest, o.speed)
	}
	if nearest < 0 {
		d.apart.since = 0 // nobody knows
		return found
	}
	is := nearest > d.rules.Apart && (fastest > d.rules.OnWheels || d.apart.state == holds)
	if d.apart.see(is, s.at, d.rules.ApartFor, d.rules.Over) {
		found = append(found, finding{fleet.AlertApart, d.apart.state == holds,
			map[string]any{"apart_m": int(nearest), "lat": tracker.lat, "lon": tracker.lon}})
	}
	return found
}

// raised lists the dangers that hold.
func (d *detector) raised() (kinds []fleet.AlertKind) {
	for kind, c := range map[fleet.AlertKind]*condition{
		fleet.AlertOffRoute: &d.off, fleet.AlertStop: &d.stopped, fleet.AlertApart: &d.apart, fleet.AlertSpeed: &d.fast,
	} {
		if c.state == holds {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}
