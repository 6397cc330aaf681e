package live

import "math"

const (
	// earthRadius is that of fleet.Distance, in metres.
	earthRadius = 6371008.8
	// flatSquare turns a haversine into the square of a distance on the plane, in
	// units of 1e-7 degrees: sin²(d/2R) is about (d/2R)².
	flatSquare = 4 / (radianE7 * radianE7)
	// flatness is by how much, of themselves, squares on the plane are off, of
	// positions up to flatReach from the view: as the series of sin² and cos say,
	// θ²/12 for a difference of θ in either coordinate.
	flatness  = 1e-4
	flatReach = 0.03 / radianE7
)

// view is a place from which distances are taken.
type view struct {
	lat, lon  float64 // in 1e-7 degrees
	sin, cos  float64 // of lat
	cos2, tip float64 // cos², and how it changes to the north, per 1e-7 degrees
}

func (v *view) open(lat, lon float64) {
	v.lat, v.lon = lat*1e7, lon*1e7
	v.sin, v.cos = math.Sincos(lat * radian)
	v.cos2, v.tip = v.cos*v.cos, -v.cos*v.sin*radianE7
}

// offset returns how far north and east of the view a position is, in 1e-7
// degrees, on the shorter way.
func (v *view) offset(position uint64) (north, east float64) {
	north, east = float64(int32(position>>32))-v.lat, float64(int32(position))-v.lon
	if east > turn/2 {
		east -= turn
	} else if east < -turn/2 {
		east += turn
	}
	return north, east
}

// flat returns the square of a distance on the plane that touches the view.
func (v *view) flat(north, east float64) float64 {
	return north*north + east*east*(v.cos2+v.tip*north)
}

// haversine returns sin²(d/2R) of the way to a position.
func (v *view) haversine(north, east float64) float64 {
	dLat := north * radianE7
	a := sinSquareHalf(dLat)
	// cos(lat + dLat), by the addition theorem.
	cosLat := v.cos*(1-2*a) - v.sin*sin(dLat)
	return a + v.cos*cosLat*sinSquareHalf(east*radianE7)
}

// nearHaversine is haversine for what is within flatReach, by series whose next
// terms are below 1e-13 of the sum.
func (v *view) nearHaversine(north, east float64) float64 {
	y, x := north*radianE7, east*radianE7
	yy, xx := y*y, x*x
	cosLat := v.cos*(1-yy*(1./2-yy*(1./24))) - v.sin*y*(1-yy*(1./6))
	return yy*(1./4-yy*(1./48-yy*(1./1440))) + v.cos*cosLat*(xx*(1./4-xx*(1./48-xx*(1./1440))))
}

// box is a piece of ground, in 1e-7 degrees. minCos is at most the least cosine
// of a latitude in it.
type box struct{ south, height, west, width, minCos float64 }

// toBox returns the least haversine of the way to a box, or a little less.
func (v *view) toBox(b *box) float64 {
	dLat := max(b.south-v.lat-margin, v.lat-b.south-b.height-margin, 0)
	west := v.lon - b.west // of the view is the western edge, 0 to a turn
	if west < 0 {
		west += turn
	}
	dLon := 0.0
	if west > b.width {
		dLon = max(0, min(west-b.width, turn-west)-margin)
	}
	return sinSquareHalf(dLat*radianE7) + v.cos*b.minCos*sinSquareHalf(dLon*radianE7)
}

// margin, in 1e-7 degrees, is taken off a distance before it rules anything out:
// longitudes are cut to units of their bands.
const margin = 4

// sinSquareHalf returns sin²(x/2), for small x by its series, to within 1e-15
// of itself.
func sinSquareHalf(x float64) float64 {
	if math.Abs(x) > seriesLimit {
		s := math.Sin(x / 2)
		return s * s
	}
	xx := x * x
	return xx * (1./4 - xx*(1./48-xx*(1./1440-xx*(1./80640))))
}

// sin is math.Sin, for small x by its series.
func sin(x float64) float64 {
	if math.Abs(x) > seriesLimit {
		return math.Sin(x)
	}
	xx := x * x
	return x * (1 - xx*(1./6-xx*(1./120-xx*(1./5040))))
}

// seriesLimit is the angle, 3°, up to which the next term of either series is
// below the precision of a float64.
const seriesLimit = 0.05

// metres returns the distance of a haversine: 2R·asin(√h), by its series where
// that is exact.
func metres(h float64) float64 {
	if h > 1e-5 {
		return 2 * earthRadius * math.Asin(math.Sqrt(min(1, h)))
	}
	return 2 * earthRadius * math.Sqrt(h) * (1 + h*(1./6)*(1+h*(9./20)*(1+h*(25./42))))
}
