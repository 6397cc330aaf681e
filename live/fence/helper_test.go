package fence_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"armora/fleet"
	"armora/live/fence"
)

// ring closes a ring of [lat, lon] corners.
func ring(corners ...[2]float64) []fence.Position {
	r := make([]fence.Position, 0, len(corners)+1)
	for _, c := range append(corners, corners[0]) {
		r = append(r, fence.Position{Lat: c[0], Lon: c[1]})
	}
	return r
}

// square is the ring of a square in degrees.
func square(south, west, side float64) []fence.Position {
	return ring([2]float64{south, west}, [2]float64{south, west + side},
		[2]float64{south + side, west + side}, [2]float64{south + side, west})
}

func polygon(t testing.TB, rings ...[]fence.Position) fence.Shape {
	t.Helper()
	s, err := fence.Polygon(rings)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func circle(t testing.TB, lat, lon, radius float64) fence.Shape {
	t.Helper()
	s, err := fence.Circle(fence.Position{Lat: lat, Lon: lon}, radius)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newFence(shape fence.Shape) fence.Fence {
	return fence.Fence{ID: fleet.NewID[fence.Fence](), Shape: shape, Confirm: fence.Immediately()}
}

func put(t testing.TB, s *fence.Set, fences ...fence.Fence) {
	t.Helper()
	for _, f := range fences {
		if err := s.Put(f); err != nil {
			t.Fatal(err)
		}
	}
}

// drawn is a shape with what it was drawn from, for the model.
type drawn struct {
	shape  fence.Shape
	rings  [][]fence.Position // of a polygon, with continuous longitudes
	centre fence.Position
	radius float64
}

// contains is the model: the sum of the angles under which the edges are seen
// (the winding number), in floating point, for a polygon, and for a circle the
// angle between two vectors. certain is false next to an edge, where only exact
// arithmetic can tell.
func (d *drawn) contains(lat, lon float64) (in, certain bool) {
	const rad = math.Pi / 180
	if d.rings == nil {
		vector := func(lat, lon float64) (x, y, z float64) {
			return math.Cos(lat*rad) * math.Cos(lon*rad), math.Cos(lat*rad) * math.Sin(lon*rad), math.Sin(lat * rad)
		}
		ax, ay, az := vector(d.centre.Lat, d.centre.Lon)
		bx, by, bz := vector(lat, lon)
		cx, cy, cz := ay*bz-az*by, az*bx-ax*bz, ax*by-ay*bx
		metres := 6371008.8 * math.Atan2(math.Sqrt(cx*cx+cy*cy+cz*cz), ax*bx+ay*by+az*bz)
		return metres <= d.radius, math.Abs(metres-d.radius) > 0.05
	}
	certain = true
	for i, r := range d.rings {
		best := 0.0
		for _, turn := range []float64{-360, 0, 360} {
			angle := 0.0
			for j := range len(r) - 1 {
				ax, ay, bx, by := r[j].Lon-lon-turn, r[j].Lat-lat, r[j+1].Lon-lon-turn, r[j+1].Lat-lat
				angle += math.Atan2(ax*by-ay*bx, ax*bx+ay*by)
				if distance(ax, ay, bx, by) < 1e-6 {
					certain = false
				}
			}
			if math.Abs(angle) > math.Abs(best) {
				best = angle
			}
		}
		if within := math.Abs(best) > math.Pi; within != (i == 0) {
			return false, certain
		}
	}
	return true, certain
}

// distance of the origin from an edge.
func distance(ax, ay, bx, by float64) float64 {
	dx, dy := bx-ax, by-ay
	along := 0.0
	if length := dx*dx + dy*dy; length > 0 {
		along = math.Max(0, math.Min(1, -(ax*dx+ay*dy)/length))
	}
	return math.Hypot(ax+along*dx, ay+along*dy)
}

// drawShape makes a star-shaped polygon, with or without a hole, or a circle,
// somewhere around a place, which may be the antimeridian.
func drawShape(t *rapid.T, lat, lon, size float64) drawn {
	lat += rapid.Float64Range(-size, size).Draw(t, "north")
	lon += rapid.Float64Range(-size, size).Draw(t, "east")
	if rapid.Bool().Draw(t, "circle") {
		d := drawn{centre: fence.Position{Lat: lat, Lon: wrap(lon)}, radius: rapid.Float64Range(50, size*100_000).Draw(t, "radius")}
		var err error
		if d.shape, err = fence.Circle(d.centre, d.radius); err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := drawn{rings: [][]fence.Position{star(t, lat, lon, size/4, size)}}
	if rapid.Bool().Draw(t, "hole") {
		d.rings = append(d.rings, star(t, lat, lon, size/20, size/16))
	}
	given := make([][]fence.Position, len(d.rings))
	for i, r := range d.rings {
		for _, p := range r {
			given[i] = append(given[i], fence.Position{Lat: p.Lat, Lon: wrap(p.Lon)})
		}
	}
	var err error
	if d.shape, err = fence.Polygon(given); err != nil {
		t.Fatalf("%v: %v", given, err)
	}
	return d
}

// star is a ring with corners in order of their bearing, which cannot cross
// itself.
func star(t *rapid.T, lat, lon, least, most float64) []fence.Position {
	n := rapid.IntRange(5, 12).Draw(t, "corners")
	r := make([]fence.Position, 0, n+1)
	for i := range n {
		angle := 2 * math.Pi * (float64(i) + rapid.Float64Range(0, 0.8).Draw(t, "angle")) / float64(n)
		far := rapid.Float64Range(least, most).Draw(t, "far")
		r = append(r, fence.Position{Lat: lat + far*math.Sin(angle), Lon: lon + far*math.Cos(angle)})
	}
	if rapid.Bool().Draw(t, "clockwise") {
		for i, j := 0, n-1; i < j; i, j = i+1, j-1 {
			r[i], r[j] = r[j], r[i]
		}
	}
	return append(r, r[0])
}

func wrap(lon float64) float64 {
	switch {
	case lon >= 180:
		return lon - 360
	case lon < -180:
		return lon + 360
	}
	return lon
}

// round is a ring with n corners at a distance in degrees of latitude.
func round(lat, lon, far float64, n int) []fence.Position {
	r := make([]fence.Position, 0, n+1)
	for i := range n {
		angle := 2 * math.Pi * float64(i) / float64(n)
		r = append(r, fence.Position{Lat: lat + far*math.Sin(angle), Lon: lon + far*math.Cos(angle)/math.Cos(lat*math.Pi/180)})
	}
	return append(r, r[0])
}
