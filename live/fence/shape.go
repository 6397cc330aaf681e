package fence

import (
	"fmt"
	"math"

	"armora/fleet"
)

// The limits of a shape.
const (
	MinRadius = 1.0      // metres
	MaxRadius = 200_000. // metres
	// MaxVertices bounds all rings of a polygon together: a position near the
	// polygon is compared with every edge.
	MaxVertices = 2000
	// MaxLat is how near to a pole a shape may come, in degrees: where meridians
	// run together, edges that are straight in longitude and latitude are not
	// what anybody means.
	MaxLat = 89.0
)

// Position is a place in degrees, WGS 84.
type Position struct{ Lat, Lon float64 }

// Shape is a circle or a polygon. It is immutable and made by Circle, Polygon
// or UnmarshalJSON; the zero Shape contains nothing and is in no Set.
//
// The edge belongs to the shape, that of a hole as well. A circle is all that is
// no further from its centre than its radius by fleet.Distance. The edges of a
// polygon are straight in longitude and latitude, as RFC 7946 §3.1.1 has it, and
// go the short way around the globe: one that is more than 180° of longitude
// long crosses the antimeridian.
type Shape struct {
	box    box
	radius float64  // metres; 0: a polygon
	centre Position // of a circle
	rings  []ring   // of a polygon: the outer one and its holes
}

// point is a position in units of 1e-7 degrees. Longitudes of a shape are
// continuous: across the antimeridian they go on beyond 180°.
type point struct{ x, y int64 }

const (
	halfTurn = 180 * 1e7
	fullTurn = 360 * 1e7
)

// at returns a position as a point with a longitude in [-180°, 180°).
func at(lat, lon float64) point {
	p := point{x: int64(fleet.E7(lon)), y: int64(fleet.E7(lat))}
	if p.x == halfTurn {
		p.x = -halfTurn
	}
	return p
}

// box bounds a shape. Its west is in [-180°, 180°), and it is at most 180° wide.
type box struct{ west, south, east, north int64 }

// normal moves the longitudes so that west is where it should be, and returns
// by how much.
func (b *box) normal() (shift int64) {
	for b.west+shift < -halfTurn {
		shift += fullTurn
	}
	for b.west+shift >= halfTurn {
		shift -= fullTurn
	}
	b.west += shift
	b.east += shift
	return shift
}

// into moves p to the box's side of the antimeridian and reports whether the
// box holds it.
func (b *box) into(p *point) bool {
	if p.y < b.south || p.y > b.north {
		return false
	}
	if p.x < b.west {
		p.x += fullTurn
	}
	return p.x >= b.west && p.x <= b.east
}

// Circle returns the circle of a radius in metres around a centre.
func Circle(centre Position, radius float64) (Shape, error) {
	if !(radius >= MinRadius && radius <= MaxRadius) {
		return Shape{}, flawed(BadRadius, "radius %v m is not within %v..%v m", radius, MinRadius, MaxRadius)
	}
	if err := checkPosition(centre); err != nil {
		return Shape{}, err
	}
	// The smallest box around a cap of the sphere: its meridians touch the
	// circle north of the centre (asin(sin r / cos lat)). It is only a sieve;
	// margin keeps its own rounding on the safe side.
	const rad, margin = math.Pi / 180, 2
	angle := radius / metresPerDegree
	if math.Abs(centre.Lat)+angle > MaxLat {
		return Shape{}, flawed(NearPole, "the circle reaches beyond latitude %v", MaxLat)
	}
	wide := math.Asin(math.Sin(angle*rad)/math.Cos(centre.Lat*rad)) / rad
	c, high, broad := at(centre.Lat, centre.Lon), int64(math.Ceil(angle*1e7))+margin, int64(math.Ceil(wide*1e7))+margin
	s := Shape{radius: radius, centre: centre, box: box{west: c.x - broad, south: c.y - high, east: c.x + broad, north: c.y + high}}
	s.box.normal()
	return s, nil
}

// metresPerDegree is the length of a degree of a great circle by fleet.Distance.
var metresPerDegree = fleet.Distance(0, 0, 1, 0)

// checkPosition reports what keeps a position from being a corner or a centre.
func checkPosition(p Position) error {
	if !(p.Lat >= -90 && p.Lat <= 90) {
		return flawed(BadPosition, "latitude %v is not within -90..90", p.Lat)
	}
	if !(p.Lon >= -180 && p.Lon <= 180) {
		return flawed(BadPosition, "longitude %v is not within -180..180 (positions are [longitude, latitude])", p.Lon)
	}
	if math.Abs(p.Lat) > MaxLat {
		return flawed(NearPole, "latitude %v is beyond %v, too near to a pole", p.Lat, MaxLat)
	}
	return nil
}

// Contains reports whether a position is in the shape.
func (s *Shape) Contains(lat, lon float64) bool {
	return onEarth(lat, lon) && s.contains(at(lat, lon))
}

func onEarth(lat, lon float64) bool {
	return lat >= -90 && lat <= 90 && lon >= -180 && lon <= 180
}

func (s *Shape) contains(p point) bool {
	stored := p
	if !s.box.into(&p) {
		return false
	}
	if s.radius > 0 {
		return fleet.Distance(s.centre.Lat, s.centre.Lon, float64(stored.y)/1e7, float64(stored.x)/1e7) <= s.radius
	}
	for i, r := range s.rings {
		switch where := r.locate(p); {
		case where == onEdge:
			return true
		case (where == within) != (i == 0):
			return false
		}
	}
	return len(s.rings) > 0
}

// IsZero reports whether the shape was never made.
func (s *Shape) IsZero() bool { return s.radius == 0 && s.rings == nil }

// Flaw names what is wrong with a shape. The words are part of the API.
type Flaw string

// The flaws.
const (
	BadRadius     Flaw = "radius_out_of_range"
	BadPosition   Flaw = "position_out_of_range"
	NearPole      Flaw = "too_near_pole"
	NoRing        Flaw = "no_ring"
	TooFewPoints  Flaw = "ring_too_short"
	TooManyPoints Flaw = "too_many_vertices"
	NotClosed     Flaw = "ring_not_closed"
	ZeroArea      Flaw = "zero_area"
	Intersects    Flaw = "self_intersection"
	HoleOutside   Flaw = "hole_outside"
	HolesNested   Flaw = "holes_nested"
	TooWide       Flaw = "too_wide"
	AroundPole    Flaw = "around_pole"
	NotUnderstood Flaw = "shape_not_understood"
	UnknownKind   Flaw = "shape_type_unknown"
)

// ShapeError says why something is no shape.
type ShapeError struct {
	Flaw   Flaw
	Detail string // for the person who drew it
}

func (e *ShapeError) Error() string { return e.Detail }

func flawed(flaw Flaw, format string, args ...any) error {
	return &ShapeError{Flaw: flaw, Detail: fmt.Sprintf(format, args...)}
}
