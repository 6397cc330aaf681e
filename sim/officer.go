package sim

import (
	"math"
	"math/rand/v2"
	"sync/atomic"
)

// How a car is driven: a calm driver's acceleration and braking, in m/s².
const (
	acceleration = 1.6
	braking      = 2.2
)

// Officer drives from place to place through the city: to a destination by the
// quickest way, a while there, and on; or on an errand. An officer is not safe
// for concurrent use, but for Send and Release.
type Officer struct {
	city   *City
	random *rand.Rand
	pace   float64 // of this driver, as a share of the speed limit

	route []Street
	ends  []end   // of each street of route
	leg   int     // the street of route that the car is on
	along float64 // metres from its beginning
	speed float64
	wait  float64 // seconds still to stand where the car is
	now   int64   // milliseconds since the officer came on duty

	errand atomic.Pointer[errand] // the latest; nil: none
	on     *errand                // the one that the route is for
	parked bool                   // at the end of the route, for as long as the errand lasts
}

// errand is where an officer has been sent.
type errand struct {
	to    Junction
	there chan struct{} // closed when the officer is
}

// end is what the far end of a street asks of a driver.
type end struct {
	speed float64 // at most, when passing it
	wait  float64 // seconds to stand there; 0: drive on
}

// NewOfficer puts an officer at a place of the city, about to leave it. The
// same seed and number give the same officer.
func NewOfficer(city *City, seed uint64, number int) *Officer {
	o := &Officer{city: city, random: stream(seed, number, streamOfficer)}
	o.pace = 0.85 + 0.15*o.random.Float64()
	o.depart(o.somewhere())
	o.wait = 30 * o.random.Float64()
	return o
}

// The streams of random numbers that a seed holds for each officer: one for
// each thing that must not change when another one does.
const (
	streamOfficer = iota
	streamPhone
	streamTracker
	streamPhoneCoverage
	streamTrackerCoverage
	streamApp
	streamRider // of a principal
)

func stream(seed uint64, officer, use int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(officer)<<8|uint64(use)))
}

// Motion is where a car is and how it moves.
type Motion struct {
	Position
	Street  Street
	Speed   float64 // metres a second
	Heading float64 // degrees clockwise from north, [0, 360)
}

// Motion returns the truth, which no receiver knows.
func (o *Officer) Motion() Motion {
	s := o.route[o.leg]
	from, to := o.city.At(s.From), o.city.At(s.To)
	share := o.along / s.Length
	return Motion{
		Position: from.add(share*(to.X-from.X), share*(to.Y-from.Y)),
		Street:   s,
		Speed:    o.speed,
		Heading:  bearing(from, to),
	}
}

// Advance drives on until the officer has been on duty for ms milliseconds. An
// earlier moment changes nothing.
func (o *Officer) Advance(ms int64) {
	const step = 250 // fine enough to brake smoothly
	for o.now < ms {
		d := min(step, ms-o.now)
		o.now += d
		o.step(float64(d) / 1000)
	}
}

// Send has the officer drive to the junction next to a place, from the end of the
// street on, and stand there until they are sent elsewhere or released. The
// channel is closed when they are there; never, if they are sent elsewhere before.
func (o *Officer) Send(to Position) <-chan struct{} {
	e := &errand{to: o.city.Nearest(to), there: make(chan struct{})}
	o.errand.Store(e)
	return e.there
}

// Release ends an errand: the officer drives about again.
func (o *Officer) Release() { o.errand.Store(nil) }

func (o *Officer) step(dt float64) {
	sent := o.errand.Load() != o.on
	if o.parked {
		if sent {
			o.depart(o.route[o.leg].To)
		}
		return
	}
	if o.wait > 0 && !sent {
		o.wait -= dt
		return
	}
	s, e := o.route[o.leg], o.ends[o.leg]
	left := max(s.Length-o.along-o.speed*dt, 0)
	allowed := min(s.Class.Limit()*o.pace, math.Sqrt(e.speed*e.speed+2*braking*left))
	// The last of the way is rolled at a crawl: a square root alone would
	// never arrive.
	o.speed = max(min(o.speed+acceleration*dt, allowed), 0.4)
	o.along += o.speed * dt
	if o.along >= s.Length {
		o.pass(e)
	}
}

// pass moves the car from the end of a street to the beginning of the next.
func (o *Officer) pass(e end) {
	over := o.along - o.route[o.leg].Length
	if e.wait > 0 {
		o.speed, o.wait, over = 0, e.wait, 0
	}
	switch {
	case o.errand.Load() != o.on:
		o.depart(o.route[o.leg].To)
	case o.leg < len(o.route)-1:
		o.leg, o.along = o.leg+1, over
	case o.on != nil:
		o.park()
	default:
		o.depart(o.route[o.leg].To)
	}
}

// depart plans the way from a junction, where the officer is, to the next
// destination.
func (o *Officer) depart(from Junction) {
	o.on, o.parked = o.errand.Load(), false
	to := from
	if o.on != nil {
		to = o.on.to
	} else {
		for d := 0.0; d < 800 || d > 7000; d = o.city.At(from).Distance(o.city.At(to)) {
			to = o.somewhere()
		}
	}
	if to == from {
		o.park()
		return
	}
	o.route = o.city.Route(from, to)
	o.leg, o.along = 0, 0
	o.planEnds()
}

// park stands at the end of the street, where the errand leads.
func (o *Officer) park() {
	o.parked, o.speed, o.wait = true, 0, 0
	o.along = o.route[o.leg].Length
	close(o.on.there)
}

func (o *Officer) somewhere() Junction { return Junction(o.random.IntN(o.city.Junctions())) }

// planEnds decides, for the whole route, where the car will stop and how fast
// it may pass each junction, so that it never has to brake harder than braking.
func (o *Officer) planEnds() {
	last := len(o.route) - 1
	o.ends = make([]end, len(o.route))
	for i := range last {
		o.ends[i] = o.junction(o.route[i], o.route[i+1])
	}
	// At the destination: half a minute to drop off, or several to wait.
	o.ends[last] = end{wait: 30 + 90*o.random.ExpFloat64()}
	for i := last - 1; i >= 0; i-- {
		next := o.ends[i+1].speed
		o.ends[i].speed = min(o.ends[i].speed, math.Sqrt(next*next+2*braking*o.route[i+1].Length))
	}
}

// junction decides how the car goes from one street into the next: through
// traffic lights where a wide street is met, giving way where it is joined,
// slower the sharper the turn.
func (o *Officer) junction(s, next Street) end {
	widest := s.Class
	for _, other := range o.city.From(s.To) {
		widest = min(widest, other.Class)
	}
	switch chance := o.random.Float64(); {
	case s.Tunnel && next.Tunnel:
	case widest <= Primary && len(o.city.From(s.To)) > 2 && chance < 0.3:
		return end{wait: 5 + 40*o.random.Float64()}
	case s.Class == Residential && next.Class < Residential && chance < 0.7:
		return end{wait: 1 + 5*o.random.Float64()}
	}
	turn := math.Abs(math.Remainder(bearing(o.city.At(next.From), o.city.At(next.To))-
		bearing(o.city.At(s.From), o.city.At(s.To)), 360))
	speed := o.pace * min(s.Class.Limit(), next.Class.Limit())
	switch {
	case turn > 110:
		speed = 3
	case turn > 50:
		speed = min(speed, 5)
	case turn > 30:
		speed = min(speed, 9)
	}
	return end{speed: speed}
}

// bearing returns the direction from p to q in degrees clockwise from north.
func bearing(p, q Position) float64 {
	return math.Mod(math.Atan2(q.X-p.X, q.Y-p.Y)*180/math.Pi+360, 360)
}
