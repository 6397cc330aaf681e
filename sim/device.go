package sim

import (
	"math"
	"math/rand/v2"

	"armora/sim/wire"
)

// Kind says what a device is.
type Kind string

// The kinds, by the names of the hub's contract.
const (
	Phone   Kind = "phone"
	Tracker Kind = "tracker"
)

// What goes wrong with devices, and how often.
const (
	skewedPhones = 0.04     // share of phones with a wrong clock
	mockRate     = 1. / 2e4 // share of a phone's points that say they are made up
	jumpRate     = 1. / 2e4 // share of points that are kilometres off
)

// instrument is the measuring half of a device: a receiver, a clock, and what
// can go wrong with them. It is not safe for concurrent use.
type instrument struct {
	kind     Kind
	random   *rand.Rand
	receiver *receiver
	skew     int64 // milliseconds that the device's clock is ahead
	battery  float64
	seq      uint32
}

// reading is one report together with what is true, for tests.
type reading struct {
	point     wire.Point
	truth     Position
	reflected bool
	jumped    bool
}

func newInstrument(kind Kind, seed uint64, officer int) *instrument {
	use, q := streamPhone, phoneQuality
	if kind == Tracker {
		use, q = streamTracker, trackerQuality
	}
	random := stream(seed, officer, use)
	in := &instrument{kind: kind, random: random, receiver: newReceiver(q, random), battery: math.NaN()}
	if kind == Phone {
		in.battery = 0.35 + 0.65*random.Float64()
		if random.Float64() < skewedPhones {
			in.skew = 30_000 + random.Int64N(570_000)
			if random.IntN(2) == 0 {
				in.skew = -in.skew
			}
		}
	}
	return in
}

// read measures and stamps. start is when the simulation began in Unix
// milliseconds, ms how long it has run.
func (in *instrument) read(start, ms int64, truth Motion) (reading, bool) {
	f, ok := in.receiver.measure(ms, truth)
	if !ok {
		return reading{}, false
	}
	r := reading{truth: truth.Position, reflected: f.reflected}
	if in.random.Float64() < jumpRate {
		r.jumped = true
		direction, far := 2*math.Pi*in.random.Float64(), 3000+27000*in.random.Float64()
		f.Position = f.add(far*math.Cos(direction), far*math.Sin(direction))
	}
	in.seq++
	lat, lon := f.LatLon()
	r.point = wire.Point{
		Fix: start + ms + in.skew, Sent: start + ms + in.skew,
		Lat: wire.E7(lat), Lon: wire.E7(lon),
		Accuracy: float32(f.accuracy), Speed: float32(f.speed), Heading: float32(f.heading),
		Altitude: float32(f.altitude), Battery: float32(in.battery),
		Seq: in.seq,
	}
	if in.kind == Phone {
		r.point.Fix -= r.point.Fix % 1000 // phones stamp whole seconds
		r.point.Mock = in.random.Float64() < mockRate
		in.battery = max(in.battery-1./36_000, 0.05)
	}
	return r, true
}

// coverage decides when a device has no network.
type coverage struct {
	random  *rand.Rand
	every   float64 // mean seconds between spells without
	offline bool
	change  int64 // when it is next lost or found, milliseconds since the start
}

func newCoverage(random *rand.Rand, every float64) *coverage {
	c := &coverage{random: random, every: every, change: math.MaxInt64}
	if every > 0 {
		c.change = int64(1000 * every * random.ExpFloat64())
	}
	return c
}

// at returns whether the device is offline at a moment, and whether that has
// just changed. Moments must not go backwards.
func (c *coverage) at(ms int64) (offline, changed bool) {
	for ms >= c.change {
		c.offline, changed = !c.offline, !changed
		seconds := c.every * c.random.ExpFloat64()
		if c.offline {
			seconds = 15 + 60*c.random.ExpFloat64() // a dead spot, a lift, a car park
		}
		c.change += int64(1000 * seconds)
	}
	return c.offline, changed
}
