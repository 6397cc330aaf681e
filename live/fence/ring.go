package fence

import (
	"fmt"
	"slices"
)

// ring is a closed line without crossings: its corners, at least three, the
// first of them not repeated at the end.
type ring []point

// place says where a point lies to a ring.
type place int

const (
	outside place = iota
	within
	onEdge
)

// Polygon returns the polygon with an outer ring and, after it, its holes. Each
// ring ends with the position that it began with; its direction does not matter.
// The edges of a polygon meet nowhere but at the corners between neighbours: a
// hole that touches the outer ring or another hole is refused too.
func Polygon(rings [][]Position) (Shape, error) {
	if len(rings) == 0 {
		return Shape{}, flawed(NoRing, "a polygon takes at least one ring")
	}
	total := 0
	for _, r := range rings {
		total += len(r)
	}
	if total > MaxVertices+len(rings) { // the repeated ends are no vertices
		return Shape{}, flawed(TooManyPoints, "the polygon has %d vertices, which is more than %d", total-len(rings), MaxVertices)
	}
	s := Shape{rings: make([]ring, 0, len(rings))}
	for i, positions := range rings {
		r, err := newRing(ringName(i), positions)
		if err != nil {
			return Shape{}, err
		}
		if i == 0 {
			s.box = r.bounds()
			s.box.normal()
		}
		r.normal(&s.box)
		s.rings = append(s.rings, r)
	}
	if err := s.check(); err != nil {
		return Shape{}, err
	}
	return s, nil
}

func ringName(i int) string {
	if i == 0 {
		return "the outer ring"
	}
	return fmt.Sprintf("hole %d", i)
}

// newRing returns the ring through the positions, as continuous longitudes.
func newRing(name string, positions []Position) (ring, error) {
	if len(positions) < 4 {
		return nil, flawed(TooFewPoints, "%s has %d positions: it takes at least 4, the last being the first again", name, len(positions))
	}
	for _, p := range positions {
		if err := checkPosition(p); err != nil {
			return nil, err
		}
	}
	first, last := positions[0], positions[len(positions)-1]
	if at(first.Lat, first.Lon) != at(last.Lat, last.Lon) {
		return nil, flawed(NotClosed, "%s is not closed: its last position must repeat its first", name)
	}
	r := make(ring, 0, len(positions))
	r = append(r, at(first.Lat, first.Lon))
	for _, position := range positions[1:] {
		p, before := at(position.Lat, position.Lon), r[len(r)-1]
		step := (p.x - before.x) % fullTurn
		switch {
		case step > halfTurn:
			step -= fullTurn
		case step < -halfTurn:
			step += fullTurn
		}
		if step == halfTurn || step == -halfTurn {
			return nil, flawed(TooWide, "%s has an edge of 180° of longitude, which may go either way around the globe", name)
		}
		p.x = before.x + step
		if p != before { // a corner that is told twice is one
			r = append(r, p)
		}
	}
	if r[0] != r[len(r)-1] {
		return nil, flawed(AroundPole, "%s goes around a pole", name)
	}
	if r = r[:len(r)-1]; len(r) < 3 {
		return nil, noArea(name)
	}
	if b := r.bounds(); b.east-b.west > halfTurn {
		return nil, flawed(TooWide, "%s spans more than 180° of longitude", name)
	}
	return r, r.checkArea(name)
}

func (r ring) checkArea(name string) error {
	for _, p := range r {
		if cross(r[0], r[1], p) != 0 {
			return nil
		}
	}
	return noArea(name)
}

func noArea(name string) error {
	return flawed(ZeroArea, "%s has no area: all its corners are on one line", name)
}

// bounds is a box that is not yet normal.
func (r ring) bounds() box {
	b := box{west: r[0].x, east: r[0].x, south: r[0].y, north: r[0].y}
	for _, p := range r {
		b.west, b.east = min(b.west, p.x), max(b.east, p.x)
		b.south, b.north = min(b.south, p.y), max(b.north, p.y)
	}
	return b
}

// normal moves the ring to the side of the antimeridian that the box is on.
func (r ring) normal(b *box) {
	own := r.bounds()
	shift := own.normal()
	if own.west < b.west && own.east+fullTurn <= b.east {
		shift += fullTurn
	}
	for i := range r {
		r[i].x += shift
	}
}

// check reports what is wrong between the edges and rings of a polygon.
func (s *Shape) check() error {
	for i, hole := range s.rings[1:] {
		b := hole.bounds()
		if b.west < s.box.west || b.east > s.box.east || b.south < s.box.south || b.north > s.box.north {
			return flawed(HoleOutside, "%s is not inside the outer ring", ringName(i+1))
		}
	}
	for i, r := range s.rings {
		if err := r.checkSimple(ringName(i)); err != nil {
			return err
		}
		for j := range i {
			if r.touches(s.rings[j]) {
				return flawed(Intersects, "%s and %s touch or cross", ringName(j), ringName(i))
			}
		}
	}
	// Now that no two rings meet, a ring is inside another as a whole or not at all.
	for i, hole := range s.rings[1:] {
		if s.rings[0].locate(hole[0]) != within {
			return flawed(HoleOutside, "%s is not inside the outer ring", ringName(i+1))
		}
		nested := slices.IndexFunc(s.rings[1:], func(other ring) bool { return other.locate(hole[0]) == within })
		if nested >= 0 {
			return flawed(HolesNested, "%s is inside %s", ringName(i+1), ringName(nested+1))
		}
	}
	return nil
}

// checkSimple compares every edge with every other but its neighbours. Where a
// ring turns back on itself, the edge after the turn, or the one before, meets
// the one that is no neighbour of it.
func (r ring) checkSimple(name string) error {
	n := len(r)
	for i := range n {
		a, b := r[i], r[(i+1)%n]
		for j := i + 2; j < n; j++ {
			if i == 0 && j == n-1 {
				continue // neighbours
			}
			if meet(a, b, r[j], r[(j+1)%n]) {
				return flawed(Intersects, "%s crosses or touches itself between %s and %s", name, a, b)
			}
		}
	}
	return nil
}

func (r ring) touches(other ring) bool {
	for i := range r {
		for j := range other {
			if meet(r[i], r[(i+1)%len(r)], other[j], other[(j+1)%len(other)]) {
				return true
			}
		}
	}
	return false
}

// degrees returns longitude and latitude, the first in [-180°, 180°).
func (p point) degrees() [2]float64 {
	if p.x >= halfTurn {
		p.x -= fullTurn
	}
	return [2]float64{float64(p.x) / 1e7, float64(p.y) / 1e7}
}

func (p point) String() string {
	d := p.degrees()
	return fmt.Sprintf("[%v, %v]", d[0], d[1])
}

// cross is twice the signed area of a triangle: positive when c is to the left
// of the line from a to b. It is exact: within a box that is 180° wide at most,
// each product is below 3.3e18.
func cross(a, b, c point) int64 {
	return (b.x-a.x)*(c.y-a.y) - (b.y-a.y)*(c.x-a.x)
}

// between reports whether c, on the line through a and b, is on the edge.
func between(a, b, c point) bool {
	return min(a.x, b.x) <= c.x && c.x <= max(a.x, b.x) && min(a.y, b.y) <= c.y && c.y <= max(a.y, b.y)
}

// meet reports whether two edges have a point in common.
func meet(a, b, c, d point) bool {
	if max(a.x, b.x) < min(c.x, d.x) || max(c.x, d.x) < min(a.x, b.x) ||
		max(a.y, b.y) < min(c.y, d.y) || max(c.y, d.y) < min(a.y, b.y) {
		return false
	}
	abc, abd, cda, cdb := sign(cross(a, b, c)), sign(cross(a, b, d)), sign(cross(c, d, a)), sign(cross(c, d, b))
	if abc*abd < 0 && cda*cdb < 0 {
		return true
	}
	return abc == 0 && between(a, b, c) || abd == 0 && between(a, b, d) ||
		cda == 0 && between(c, d, a) || cdb == 0 && between(c, d, b)
}

func sign(v int64) int {
	switch {
	case v > 0:
		return 1
	case v < 0:
		return -1
	}
	return 0
}

// locate says where p, which is in the box of the polygon, lies to the ring: a
// ray to the east crosses it an odd number of times from within.
func (r ring) locate(p point) place {
	in := outside
	a := r[len(r)-1]
	for _, b := range r {
		if min(a.y, b.y) <= p.y && p.y <= max(a.y, b.y) {
			c := cross(a, b, p)
			if c == 0 && between(a, b, p) {
				return onEdge
			}
			if (a.y > p.y) != (b.y > p.y) && (c > 0) == (b.y > a.y) {
				in ^= within
			}
		}
		a = b
	}
	return in
}
