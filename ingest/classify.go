package ingest

import (
	"math"
	"time"

	"armora/fleet"
)

// Thresholds are the numbers behind the verdicts.
type Thresholds struct {
	// MaxAccuracy is the largest radius of error, in metres, that the device
	// itself may report. Satellites give 3 to 20 m and Wi-Fi 20 to 100 m;
	// beyond that is a cell tower.
	MaxAccuracy float32
	// GroundSpeed is the speed, in metres a second, at which anything may be
	// found without having been seen to speed up: 250 km/h.
	GroundSpeed float64
	// Acceleration, in metres a second squared, is by how much a device may
	// have sped up since it was last seen: an airliner's take-off. What speeds
	// up more briskly is held by GroundSpeed.
	Acceleration float64
	// TopSpeed is the speed, in metres a second, beyond which nothing carries a
	// phone: an airliner with a jet stream behind it, 1,260 km/h.
	TopSpeed float64
	// Slack is how far, in metres, a fix of unknown accuracy may be off.
	Slack float64
	// Recovery is how many consecutive fixes that agree with one another, but
	// not with the last good one, replace it: after a bad fix was believed, or
	// a device was carried where it could not be seen.
	Recovery int
	// FutureLimit is how far ahead of the hub's clock a fix may be dated.
	FutureLimit time.Duration
	// StaleLimit is how old a fix may be and still move the live map. It is the
	// shortest time for which positions are kept.
	StaleLimit time.Duration
	// Retention is the longest time for which points are kept. Older ones, and
	// those beyond FutureLimit, go to quarantine by the date they bear.
	Retention time.Duration
}

// DefaultThresholds returns the thresholds that fit phones and vehicle trackers.
func DefaultThresholds() Thresholds {
	return Thresholds{
		MaxAccuracy:  100,
		GroundSpeed:  70,
		Acceleration: 3,
		TopSpeed:     350,
		Slack:        30,
		Recovery:     3,
		FutureLimit:  5 * time.Minute,
		StaleLimit:   24 * time.Hour,
		Retention:    30 * 24 * time.Hour,
	}
}

// nullIsland is how close to 0, 0, in degrees either way (110 m), a position is
// taken for a receiver without a fix. Nobody drives there.
const nullIsland = 1e-3

// motion is a fix as later ones are measured against it.
type motion struct {
	at       fleet.Millis // fix time, corrected; 0: there is none
	lat, lon float64
	slack    float64 // metres by which it may be off
	speed    float64 // metres a second, of the step that led here
}

// track follows one sequence of fixes of a device.
type track struct {
	anchor motion // the last good fix
	rival  motion // the last fix that could not be reached from anchor
	streak int    // how many rivals in a row agreed with one another
}

// judge reports whether m may follow what was seen, and takes it in.
func (t *track) judge(th *Thresholds, m motion) bool {
	if t.anchor.at == 0 || th.reaches(&t.anchor, &m, false) {
		t.anchor, t.streak = m, 0
		return true
	}
	// A stamp that does not move on proves nothing: the same bad fix may come
	// several times.
	if t.streak > 0 && m.at > t.rival.at && th.reaches(&t.rival, &m, true) {
		t.streak++
	} else {
		t.streak = 1
		m.speed = 0
	}
	t.rival = m
	if t.streak < th.Recovery {
		return false
	}
	t.anchor, t.streak = m, 0
	return true
}

// reaches reports whether a device at from could be at to in the time between
// them, giving it the benefit of what the stamps and the positions may be off,
// and sets to.speed. Where the device came from a place unknown, flying says
// that it may already have been in flight.
func (th *Thresholds) reaches(from, to *motion, flying bool) bool {
	seconds, stamp := math.Abs(float64(to.at-from.at))/1000, 0.1
	if to.at%1000 == 0 && from.at%1000 == 0 {
		stamp = 1 // both are cut to whole seconds
	}
	metres := fleet.Distance(from.lat, from.lon, to.lat, to.lon)
	to.speed = metres / max(seconds, stamp)
	limit := th.TopSpeed
	if !flying {
		limit = min(limit, max(th.GroundSpeed, from.speed+th.Acceleration*seconds))
	}
	return metres-from.slack-to.slack <= limit*(seconds+stamp)
}

// device is what the pipeline remembers of one device. The lock of its shard
// guards it.
type device struct {
	number  uint64       // names the device in the keys of the shard's window
	newest  fleet.Millis // live time of the newest good fix
	track   track
	backlog track // what arrives after newer fixes: mostly one older stretch, in order
	skew    *skew // nil until the device says when it sends
}

// judge sets p's verdict and flags, and returns the time by which the live map
// orders it: the fix time, corrected for the device's clock, and never later
// than the time it was received, so that no date can lock the device out.
func (d *device) judge(th *Thresholds, p *fleet.Point) fleet.Millis {
	at := p.Fix
	if d.skew != nil && d.skew.applied != 0 {
		at += d.skew.applied
		p.Flags |= fleet.FlagSkewed
	}
	if p.Fix < p.Received.Add(-th.Retention) || p.Fix > p.Received.Add(th.FutureLimit) {
		p.Flags |= fleet.FlagQuarantine
	}
	seen := min(at, p.Received)
	late := seen < d.newest
	if late {
		p.Flags |= fleet.FlagLate
	}
	p.Verdict = th.alone(p, at)
	if p.Verdict != fleet.OK {
		return seen
	}
	m := th.motion(p, at)
	if late {
		p.Verdict = d.judgeLate(th, m)
		return seen
	}
	if !d.track.judge(th, m) {
		p.Verdict = fleet.ImpossibleJump
		return seen
	}
	d.newest = seen
	return seen
}

// motion returns p as a fix of the given corrected time.
func (th *Thresholds) motion(p *fleet.Point, at fleet.Millis) motion {
	m := motion{at: at, lat: p.Lat, lon: p.Lon, slack: th.Slack}
	if fleet.Known(p.Accuracy) && p.Accuracy > 0 {
		m.slack = float64(p.Accuracy)
	}
	return m
}

// judgeLate judges a fix that is older than the newest: it must be reachable
// from where the device is known to have been later, and from what came before
// it in the backlog.
func (d *device) judgeLate(th *Thresholds, m motion) fleet.Verdict {
	probe := m
	if !th.reaches(&d.track.anchor, &probe, false) || !d.backlog.judge(th, m) {
		return fleet.ImpossibleJump
	}
	return fleet.OK
}

// alone judges what a point says by itself, at its corrected time.
func (th *Thresholds) alone(p *fleet.Point, at fleet.Millis) fleet.Verdict {
	switch {
	case p.Flags&fleet.FlagMock != 0:
		return fleet.Mock
	case math.Abs(p.Lat) < nullIsland && math.Abs(p.Lon) < nullIsland:
		return fleet.NullIsland
	case at > p.Received.Add(th.FutureLimit):
		return fleet.Future
	case at < p.Received.Add(-th.StaleLimit):
		return fleet.Stale
	case fleet.Known(p.Accuracy) && p.Accuracy > th.MaxAccuracy:
		return fleet.Inaccurate
	default:
		return fleet.OK
	}
}
