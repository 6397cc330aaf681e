package fence_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"armora/fleet"
	"armora/live/fence"
)

// London, about 60 km across.
const south, west, high, wide = 51.25, -0.55, 0.5, 0.85

// city is a set of fences all over London: half circles of 50 to 500 m, half
// polygons of 20 corners of about that size.
func city(b *testing.B, n int) *fence.Set {
	b.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	s := fence.NewSet()
	for i := range n {
		lat, lon := south+high*r.Float64(), west+wide*r.Float64()
		shape := circle(b, lat, lon, 50+450*r.Float64())
		if i%2 == 0 {
			shape = polygon(b, round(lat, lon, (50+450*r.Float64())/111_000, 20))
		}
		f := newFence(shape)
		f.Confirm = fence.Confirm{}
		put(b, s, f)
	}
	return s
}

func BenchmarkObserve(b *testing.B) {
	for _, n := range []int{0, 1_000, 10_000} {
		b.Run(fmt.Sprintf("fences=%d", n), func(b *testing.B) {
			set := city(b, n)
			const fleetSize = 10_000
			r := rand.New(rand.NewPCG(3, 4))
			type vehicle struct {
				id       fleet.Unit
				lat, lon float64
			}
			vehicles := make([]vehicle, fleetSize)
			for i := range vehicles {
				vehicles[i] = vehicle{fleet.Unit(fleet.NewID[fleet.Device]()), south + high*r.Float64(), west + wide*r.Float64()}
			}
			events := make([]fence.Event, 0, 64)
			step := func(i int) {
				v := &vehicles[i%fleetSize]
				v.lat += (r.Float64() - 0.5) * 2e-4 // up to 11 m a second
				v.lon += (r.Float64() - 0.5) * 3e-4
				events = set.Observe(events[:0], v.id, fleet.Millis(i/fleetSize+1)*1000, v.lat, v.lon, 8)
			}
			const warm = 30 * fleetSize
			for i := range warm {
				step(i)
			}
			told, i := 0, warm
			b.ReportAllocs()
			for b.Loop() {
				step(i)
				told += len(events)
				i++
			}
			b.ReportMetric(float64(told)/float64(b.N), "events/op")
		})
	}
}
