package sim

import (
	"math"
	"reflect"
	"testing"
)

func TestSeedMakesTheCity(t *testing.T) {
	t.Parallel()
	first, again, other := NewCity(7), NewCity(7), NewCity(8)
	if !reflect.DeepEqual(first, again) {
		t.Error("the same seed made two different cities")
	}
	if reflect.DeepEqual(first.at, other.at) {
		t.Error("two seeds made the same city")
	}
}

func TestCityIsPlausible(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		city := NewCity(seed)
		if n := city.Junctions(); n < columns*rows*8/10 {
			t.Errorf("seed %d: only %d junctions are connected", seed, n)
		}
		bridges, tunnels := make(map[int]bool), 0
		var classes [3]int
		for _, s := range city.Streets() {
			from, to := city.At(s.From), city.At(s.To)
			if s.Length < spacing-2*jitter-1 || s.Length > 1.7*spacing || s.Length != from.Distance(to) {
				t.Fatalf("seed %d: a street of %.0f m", seed, s.Length)
			}
			wet := city.Water(Position{(from.X + to.X) / 2, (from.Y + to.Y) / 2})
			if wet && !s.Bridge {
				t.Fatalf("seed %d: a street from %v to %v swims", seed, from, to)
			}
			if s.Bridge {
				bridges[int(math.Round(from.X/spacing))] = true
			}
			if s.Tunnel {
				tunnels++
			}
			classes[s.Class]++
		}
		// 17 columns of the grid, at most, are wide enough to be carried over.
		if len(bridges) < 8 || len(bridges) > 17 {
			t.Errorf("seed %d: %d bridges", seed, len(bridges))
		}
		if tunnels == 0 {
			t.Errorf("seed %d: no tunnels", seed)
		}
		if classes[Residential] < classes[Arterial] || classes[Arterial] == 0 || classes[Primary] == 0 {
			t.Errorf("seed %d: streets by class: %v", seed, classes)
		}
	}
}

// TestCityIsConnectedBothWays walks from one junction to all others, and finds
// every street's opposite.
func TestCityIsConnectedBothWays(t *testing.T) {
	t.Parallel()
	city := NewCity(3)
	seen := make([]bool, city.Junctions())
	seen[0] = true
	for reached := []Junction{0}; len(reached) > 0; reached = reached[1:] {
		for _, s := range city.From(reached[0]) {
			if s.From != reached[0] {
				t.Fatalf("street %v is listed under junction %d", s, reached[0])
			}
			back := s
			back.From, back.To = s.To, s.From
			found := false
			for _, other := range city.From(s.To) {
				found = found || other == back
			}
			if !found {
				t.Fatalf("street %v has no opposite", s)
			}
			if !seen[s.To] {
				seen[s.To] = true
				reached = append(reached, s.To)
			}
		}
	}
	for j, ok := range seen {
		if !ok {
			t.Fatalf("junction %d is cut off", j)
		}
	}
}

// TestRouteIsTheQuickest compares A* with Bellman-Ford from one junction.
func TestRouteIsTheQuickest(t *testing.T) {
	t.Parallel()
	city := NewCity(5)
	const from = 17
	best := make([]float64, city.Junctions())
	for j := range best {
		best[j] = 1e9
	}
	best[from] = 0
	for changed := true; changed; {
		changed = false
		for _, s := range city.Streets() {
			if d := best[s.From] + s.Length/s.Class.Limit(); d < best[s.To]-1e-9 {
				best[s.To], changed = d, true
			}
		}
	}
	for to := 0; to < city.Junctions(); to += 61 {
		at, seconds := Junction(from), 0.0
		for _, s := range city.Route(from, Junction(to)) {
			if s.From != at {
				t.Fatalf("the route to %d jumps from %d to %d", to, at, s.From)
			}
			at, seconds = s.To, seconds+s.Length/s.Class.Limit()
		}
		if at != Junction(to) || seconds > best[to]+1e-6 {
			t.Errorf("the route to %d ends at %d after %.1f s; the best takes %.1f s", to, at, seconds, best[to])
		}
	}
}

func TestLatLonIsTrueToTheMetre(t *testing.T) {
	t.Parallel()
	lat, lon := Position{}.LatLon()
	if lat != centreLat || lon != centreLon {
		t.Errorf("the centre is at %v, %v", lat, lon)
	}
	// One degree of latitude is 111.195 km on the mean sphere.
	lat, _ = Position{Y: 11119.5}.LatLon()
	if d := lat - centreLat; d < 0.09999 || d > 0.10001 {
		t.Errorf("11.1195 km north are %v degrees", d)
	}
}

func BenchmarkNewCity(b *testing.B) {
	for b.Loop() {
		NewCity(1)
	}
}

func BenchmarkRoute(b *testing.B) {
	city := NewCity(1)
	last := Junction(city.Junctions() - 1)
	for b.Loop() {
		city.Route(0, last)
	}
}
