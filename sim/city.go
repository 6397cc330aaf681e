package sim

import (
	"math"
	"math/rand/v2"
)

// The city is centred on Charing Cross, from where London's distances are
// measured.
const (
	centreLat = 51.5074
	centreLon = -0.1278
)

// metresPerDegree is the length of a degree of latitude on the mean sphere
// (IUGG R1).
const metresPerDegree = 6371008.8 * math.Pi / 180

// Position is a place on the city's plane, in metres east and north of its
// centre. Over the 16 km of the city the plane is true within 0.1 %.
type Position struct{ X, Y float64 }

// LatLon returns the position in degrees, WGS 84.
func (p Position) LatLon() (lat, lon float64) {
	lat = centreLat + p.Y/metresPerDegree
	lon = centreLon + p.X/(metresPerDegree*math.Cos(centreLat*math.Pi/180))
	return lat, lon
}

// PositionAt is the reverse of LatLon.
func PositionAt(lat, lon float64) Position {
	return Position{
		X: (lon - centreLon) * metresPerDegree * math.Cos(centreLat*math.Pi/180),
		Y: (lat - centreLat) * metresPerDegree,
	}
}

// Distance returns the metres between p and q.
func (p Position) Distance(q Position) float64 { return math.Hypot(q.X-p.X, q.Y-p.Y) }

func (p Position) add(dx, dy float64) Position { return Position{p.X + dx, p.Y + dy} }

// Class is the grade of a street.
type Class uint8

// The classes, from the widest.
const (
	Arterial Class = iota
	Primary
	Residential
)

// Limit returns the speed limit in metres a second: 40, 30 and 20 mph, the
// common limits of London's A roads, high streets and 20 mph zones.
func (c Class) Limit() float64 { return [...]float64{17.88, 13.41, 8.94}[c] }

// Junction is the number of a place where streets meet.
type Junction int32

// Street is one piece of road between two junctions, in one direction; its
// opposite is a street of its own.
type Street struct {
	From, To Junction
	Length   float64 // metres
	Class    Class
	Bridge   bool // crosses the river
	Tunnel   bool // out of sight of the satellites
}

// City is a street graph. It is connected, never changes once made, and is
// safe for concurrent use.
type City struct {
	at      []Position // of each junction
	streets []Street   // ordered by From
	first   []int32    // streets[first[j]:first[j+1]] leave junction j
	river   river
}

// The grid before it is bent: 81 × 61 lines, 200 m apart, 16 by 12 km.
const (
	columns = 81
	rows    = 61
	spacing = 200.0
	jitter  = 50.0 // how far a junction is moved from its crossing, at most, each way
)

// missing is the share of residential streets that are not there, which makes
// blocks of uneven size.
const missing = 0.18

// NewCity lays out the streets of a seed. Equal seeds give equal cities.
func NewCity(seed uint64) *City {
	p := plan{random: rand.New(rand.NewPCG(seed, 0xc17f)), tunnels: map[[2]int]bool{}}
	p.river = newRiver(p.random)
	p.columnPhase, p.rowPhase = p.random.IntN(10), p.random.IntN(10)
	p.placeJunctions()
	p.digTunnels()
	p.layStreets()
	return p.city()
}

// Junctions returns how many there are: they are numbered from 0.
func (c *City) Junctions() int { return len(c.at) }

// At returns where a junction is.
func (c *City) At(j Junction) Position { return c.at[j] }

// Nearest returns the junction next to a position.
func (c *City) Nearest(p Position) Junction {
	best, least := Junction(0), math.Inf(1)
	for j, at := range c.at {
		if d := at.Distance(p); d < least {
			best, least = Junction(j), d
		}
	}
	return best
}

// Streets returns every street. The slice is the city's own: read it only.
func (c *City) Streets() []Street { return c.streets }

// From returns the streets that leave j. The slice is the city's own: read it
// only.
func (c *City) From(j Junction) []Street { return c.streets[c.first[j]:c.first[j+1]] }

// Water reports whether a position is in the river.
func (c *City) Water(p Position) bool { return c.river.holds(p) }

// river is the Thames: a band that winds from the west edge to the east.
type river struct {
	amplitude, length, phase float64 // of the wide bends
	ripple, ripplePhase      float64 // of the narrow ones
}

const riverHalfWidth = 110.0

func newRiver(random *rand.Rand) river {
	return river{
		amplitude: 900 + 600*random.Float64(), length: 8000 + 2000*random.Float64(), phase: 2 * math.Pi * random.Float64(),
		ripple: 200, ripplePhase: 2 * math.Pi * random.Float64(),
	}
}

// middle returns how far north the middle of the river is at x, and its slope.
func (r river) middle(x float64) (y, slope float64) {
	wide := 2 * math.Pi / r.length
	narrow := 3.7 * wide
	y = r.amplitude*math.Sin(wide*x+r.phase) + r.ripple*math.Sin(narrow*x+r.ripplePhase)
	slope = r.amplitude*wide*math.Cos(wide*x+r.phase) + r.ripple*narrow*math.Cos(narrow*x+r.ripplePhase)
	return y, slope
}

func (r river) holds(p Position) bool {
	y, slope := r.middle(p.X)
	return math.Abs(p.Y-y) < riverHalfWidth*math.Sqrt(1+slope*slope)
}

// crossed reports whether the straight line from p to q touches the river.
func (r river) crossed(p, q Position) bool {
	const steps = 16 // a step is shorter than the river is wide
	for i := range steps + 1 {
		f := float64(i) / steps
		if r.holds(Position{p.X + f*(q.X-p.X), p.Y + f*(q.Y-p.Y)}) {
			return true
		}
	}
	return false
}
