package live

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"armora/fleet"
)

// Where there are many, a search rules out nearly all without looking at them,
// and the list does not.
func TestCrowdsAgainstAList(t *testing.T) {
	t.Parallel()
	for _, place := range []struct{ lat, lon float64 }{
		{51.5, -0.1}, {0, 0}, {0, 180}, {-36.8, -179.99}, {71, 25}, {-85, 100}, {89.6, 10}, {89.99, -170}, {-90, 0},
	} {
		for _, metres := range []float64{30, 800, 12_000} {
			t.Run(fmt.Sprintf("%v,%v/%v", place.lat, place.lon, metres), func(t *testing.T) {
				t.Parallel()
				random := rand.New(rand.NewPCG(uint64(metres), uint64(place.lat+90)))
				x := newIndex(t)
				model := &naive{map[fleet.Unit]Fix{}, map[fleet.Unit]Class{}, map[fleet.Unit]Status{}}
				for i := range 2000 {
					lat, lon := about(random, place.lat, place.lon, metres)
					f := fix(i, 1, lat, lon)
					x.Apply(f)
					x.Describe(f.Unit, Class(i%2), 1<<(i%3))
					model.fixes[f.Unit], model.class[f.Unit], model.status[f.Unit] = f, Class(i%2), 1<<(i%3)
				}
				for i := range 60 {
					lat, lon := about(random, place.lat, place.lon, 1.5*metres)
					f := []Filter{{}, {Class: 1}, {Status: 3}, {Within: metres / 3}, {Class: 1, Status: 4, Within: metres}}[i%5]
					checkSearch(t, x, model, lat, lon, []int{1, 10, 60, 500}[i%4], f)
				}
			})
		}
	}
}

// about returns a position at random, some metres from a place at most. The
// farther out, the fewer.
func about(random *rand.Rand, lat, lon, metres float64) (float64, float64) {
	distance, bearing := metres/earthRadius*random.Float64(), 2*math.Pi*random.Float64()
	sin, cos := math.Sincos(lat * radian)
	north := math.Asin(sin*math.Cos(distance) + cos*math.Sin(distance)*math.Cos(bearing))
	east := math.Atan2(math.Sin(bearing)*math.Sin(distance)*cos, math.Cos(distance)-sin*math.Sin(north))
	lon += east / radian
	if lon > 180 {
		lon -= 360
	} else if lon < -180 {
		lon += 360
	}
	return degrees(packE7(north/radian, lon))
}

// Whoever is found is where it was or is, and never where another one is: while
// the units of a cell change places, and its tree its shape.
func TestWhatIsFoundIsTrue(t *testing.T) {
	t.Parallel()
	x := newIndex(t)
	const units, searches = 90, 6000
	stop := func(n, i int) (lat, lon float64) { // its ith
		return degrees(packE7(51.499+float64(n)*1e-6+float64(i%2)*1.6e-3, 0.0055+float64(i%3)*0.9e-3+float64(n)*1e-6))
	}
	for i := range 6 { // all in one cell: what passes between cells is seen by other means
		if x.place(packE7(stop(0, i))).cell != x.place(packE7(stop(units, 0))).cell {
			t.Fatal("the stops are not in one cell")
		}
	}
	at := func(n, i int) Fix {
		lat, lon := stop(n, i)
		return fix(n, fleet.Millis(i+1), lat, lon)
	}
	for n := range units {
		x.Apply(at(n, 0))
	}
	var writers, readers sync.WaitGroup
	var done atomic.Bool
	for side := range 2 {
		writers.Go(func() {
			for i := 1; !done.Load(); i++ {
				for n := side; n < units; n += 2 {
					x.Apply(at(n, i))
				}
			}
		})
	}
	readers.Go(func() {
		var dst []Neighbour
		for i := range searches {
			dst = x.Nearest(dst[:0], 51.499+float64(i%2)*1.6e-3, 0.0055+float64(i%3)*0.9e-3, 8, Filter{})
			for _, n := range dst {
				number := int(n.Unit[15])
				known := false
				for i := range 6 {
					lat, lon := stop(number, i)
					known = known || lat == n.Lat && lon == n.Lon
				}
				if !known {
					t.Errorf("unit %d was found at %v %v, where it never was", number, n.Lat, n.Lon)
					return
				}
			}
		}
	})
	readers.Wait()
	done.Store(true)
	writers.Wait()
}
