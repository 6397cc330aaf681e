package sim

import (
	"math"
	"math/rand/v2"
)

// quality says how good a satellite receiver is.
type quality struct {
	drift  float64 // standard deviation of the slow error, metres on each axis
	memory float64 // seconds over which the slow error changes
	white  float64 // standard deviation of the error of each fix, metres on each axis
}

// A phone lies in a pocket; a tracker has an antenna under the windscreen.
// Drift and its memory are of the size found for phones and car receivers in
// the open and in streets (a first-order Gauss-Markov process is the usual
// model, e.g. Groves, Principles of GNSS, 2nd ed., §9.4).
var (
	phoneQuality   = quality{drift: 3, memory: 45, white: 1}
	trackerQuality = quality{drift: 1.8, memory: 90, white: 0.5}
)

// receiver turns the truth into fixes: a slow error that wanders, a small one
// of each fix, and now and then a reflection that pulls it tens of metres
// aside for some seconds. It sees nothing in tunnels.
type receiver struct {
	quality
	random *rand.Rand

	now          int64 // milliseconds, of the last fix
	errX, errY   float64
	errAlt       float64
	belief       float64 // what the receiver makes of its own error, as a share of the truth
	aside        Position
	asideUntil   int64
	lastHeading  float64
	blindUntil   int64 // after a tunnel, the time to find the satellites again
	headingKnown bool
}

// fix is what a receiver believes.
type fix struct {
	Position
	accuracy, speed, heading, altitude float64 // heading is NaN until the car has moved
	reflected                          bool    // pulled aside, which the receiver does not know
}

func newReceiver(q quality, random *rand.Rand) *receiver {
	r := &receiver{quality: q, random: random, belief: 1, now: math.MinInt64 / 2}
	return r
}

// measure returns the fix at a moment, ms milliseconds after the start; false
// when the receiver has none. Moments must not go backwards.
func (r *receiver) measure(ms int64, truth Motion) (fix, bool) {
	dt := min(float64(ms-r.now)/1000, 1e6)
	r.now = ms
	crowding := canyon(truth.Position)
	r.wander(dt)
	r.reflect(ms, dt, crowding)
	if truth.Street.Tunnel {
		r.blindUntil = ms + 2000
	}
	if ms < r.blindUntil {
		return fix{}, false
	}
	f := fix{
		Position: truth.add(
			crowding*r.errX+r.white*r.random.NormFloat64(),
			crowding*r.errY+r.white*r.random.NormFloat64()),
		speed:    max(truth.Speed+0.15*r.random.NormFloat64(), 0),
		altitude: 12 + r.errAlt,
		accuracy: max(r.belief*radius68*math.Hypot(crowding*r.drift, r.white), 2),
		heading:  r.course(truth),
	}
	if ms < r.asideUntil {
		f.Position = f.add(r.aside.X, r.aside.Y)
		f.accuracy += 0.5 * math.Hypot(r.aside.X, r.aside.Y)
		f.reflected = true
	}
	return f, true
}

// radius68 is the radius, in standard deviations of one axis, that holds 68 %
// of a two-dimensional normal distribution: √(−2 ln 0.32). Phones report it as
// their accuracy.
const radius68 = 1.5096

// wander moves the slow errors on by dt seconds.
func (r *receiver) wander(dt float64) {
	keep := math.Exp(-dt / r.memory)
	fresh := math.Sqrt(1 - keep*keep)
	r.errX = keep*r.errX + fresh*r.drift*r.random.NormFloat64()
	r.errY = keep*r.errY + fresh*r.drift*r.random.NormFloat64()
	r.errAlt = keep*r.errAlt + fresh*2*r.drift*r.random.NormFloat64()
	r.belief = min(max(r.belief+0.02*r.random.NormFloat64(), 0.8), 1.25)
}

// reflect begins a reflection, rarely in the open and every few minutes in the
// middle of the city.
func (r *receiver) reflect(ms int64, dt, crowding float64) {
	rate := 1.0 / 1200
	if crowding > 1.4 {
		rate = 1.0 / 240
	}
	if r.random.Float64() >= rate*min(dt, 1) || ms < r.asideUntil {
		return
	}
	direction, far := 2*math.Pi*r.random.Float64(), 15+45*r.random.Float64()
	r.aside = Position{far * math.Cos(direction), far * math.Sin(direction)}
	r.asideUntil = ms + 1000 + r.random.Int64N(5000)
}

// course returns the heading over ground: standing, a receiver holds the last.
func (r *receiver) course(truth Motion) float64 {
	if truth.Speed > 1 {
		r.lastHeading = math.Mod(truth.Heading+r.random.NormFloat64()*4/math.Sqrt(truth.Speed)+360, 360)
		r.headingKnown = true
	}
	if !r.headingKnown {
		return math.NaN()
	}
	return r.lastHeading
}

// canyon returns by how much high buildings widen the errors at a place.
func canyon(p Position) float64 {
	d := p.Distance(Position{}) / 2500
	return 1 + 0.8*math.Exp(-d*d)
}
