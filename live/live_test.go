package live

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"armora/fleet"
)

func fix(n int, at fleet.Millis, lat, lon float64) Fix {
	return Fix{Unit: unit(n), Source: device(n), At: at, Received: at, Lat: lat, Lon: lon}
}

func TestTheNewestFixCounts(t *testing.T) {
	t.Parallel()
	x := newIndex(t)
	if !x.Apply(fix(1, 1000, 51, 0)) || x.Apply(fix(1, 999, 52, 0)) {
		t.Error("an older fix moved the unit")
	}
	early := fix(1, 1000, 53, 0)
	early.Received = 900
	if x.Apply(early) {
		t.Error("of two fixes with the same time, the one received earlier counted")
	}
	later := fix(1, 1000, 51.5, 0.25)
	later.Received, later.Speed, later.Battery = 1100, 12, fleet.Unknown
	if !x.Apply(later) {
		t.Error("of two fixes with the same time, the one received later did not count")
	}
	got, ok := x.Get(unit(1))
	if !ok || got.Lat != 51.5 || got.Lon != 0.25 || got.Received != 1100 || got.Speed != 12 || fleet.Known(got.Battery) || got.Source != device(1) {
		t.Errorf("the map shows %+v", got)
	}
	if _, ok := x.Get(unit(2)); ok || x.Len() != 1 {
		t.Errorf("there is a unit that never was; Len is %d", x.Len())
	}
}

func TestOneDeviceLeadsAUnit(t *testing.T) {
	t.Parallel()
	x := New(Options{Handover: 10 * time.Second})
	at := func(source int, seconds fleet.Millis) Fix {
		f := fix(1, seconds*1000+1, 51, 0)
		f.Source = device(source)
		return f
	}
	for _, step := range []struct {
		source int
		at     fleet.Millis
		moves  bool
	}{
		{1, 0, true},
		{2, 1, false}, // the first one leads
		{2, 10, false},
		{1, 5, true},
		{2, 15, false},
		{2, 16, true}, // the leader has not been heard for more than ten seconds
		{1, 17, false},
		{2, 18, true},
	} {
		if got := x.Apply(at(step.source, step.at)); got != step.moves {
			t.Errorf("device %d at %d s moved the unit: %v", step.source, step.at, got)
		}
	}
}

// naive is the map as a list.
type naive struct {
	fixes  map[fleet.Unit]Fix
	class  map[fleet.Unit]Class
	status map[fleet.Unit]Status
}

// nearest returns the distances of all that pass, by fleet.Distance, ascending.
func (m *naive) nearest(lat, lon float64, f Filter) (found []Neighbour) {
	for u, at := range m.fixes {
		distance := fleet.Distance(lat, lon, at.Lat, at.Lon)
		if m.class[u]&f.Class == f.Class && (f.Status == 0 || m.status[u]&f.Status != 0) &&
			at.Received >= f.ReceivedSince && (f.Within == 0 || distance <= f.Within) {
			found = append(found, Neighbour{Unit: u, Distance: distance})
		}
	}
	return found
}

// places are where random units are: crowded, scattered, about the antimeridian,
// the poles and the edges of cells.
func drawPosition(t *rapid.T) (lat, lon float64) {
	spread := rapid.SampledFrom([]float64{0, 1e-6, 1e-4, 1e-3, 0.02, 1, 30}).Draw(t, "spread")
	centre := rapid.SampledFrom([][2]float64{{51.5, -0.12}, {51.5, -0.12}, {0, 180}, {-17, -180}, {90, 0}, {-90, 77}, {0, 0}}).Draw(t, "centre")
	lat = centre[0] + spread*rapid.Float64Range(-1, 1).Draw(t, "north")
	lon = centre[1] + spread*rapid.Float64Range(-1, 1).Draw(t, "east")
	if lon > 180 {
		lon -= 360
	} else if lon < -180 {
		lon += 360
	}
	return degrees(packE7(max(-90, min(90, lat)), lon))
}

func drawFilter(t *rapid.T) (f Filter) {
	if rapid.Bool().Draw(t, "filtered") {
		f.Class = Class(rapid.IntRange(0, 3).Draw(t, "class"))
		f.Status = Status(rapid.IntRange(0, 3).Draw(t, "status"))
		f.ReceivedSince = fleet.Millis(rapid.IntRange(0, 500).Draw(t, "since"))
		f.Within = rapid.SampledFrom([]float64{0, 1, 300, 20_000, 5_000_000}).Draw(t, "within")
	}
	return f
}

func TestAgainstAList(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x := New(Options{})
		model := &naive{map[fleet.Unit]Fix{}, map[fleet.Unit]Class{}, map[fleet.Unit]Status{}}
		feed, err := x.Subscribe()
		if err != nil {
			t.Fatal(err)
		}
		defer feed.Close()
		told := make(map[fleet.Unit]Fix)
		units := rapid.SampledFrom([]int{3, 40, 400}).Draw(t, "units")
		for step := range rapid.IntRange(1, 5*units).Draw(t, "steps") {
			u := unit(rapid.IntRange(0, units).Draw(t, "unit"))
			switch rapid.IntRange(0, 11).Draw(t, "what") {
			case 0:
				x.Remove(u)
				delete(model.fixes, u)
				delete(model.class, u)
				delete(model.status, u)
			case 1:
				class, status := Class(rapid.IntRange(0, 3).Draw(t, "class")), Status(rapid.IntRange(0, 3).Draw(t, "status"))
				x.Describe(u, class, status)
				model.class[u], model.status[u] = class, status
			case 2:
				follow(t, x, feed, model, told)
			case 3:
				applyAll(t, x, model, units, fleet.Millis(step+1))
			default:
				lat, lon := drawPosition(t)
				f := Fix{Unit: u, At: fleet.Millis(step + 1), Received: fleet.Millis(step + 1), Lat: lat, Lon: lon}
				if !x.Apply(f) {
					t.Fatal("a newer fix did not count")
				}
				model.fixes[u] = f
			}
		}
		follow(t, x, feed, model, told)
		if x.Len() != len(model.fixes) {
			t.Fatalf("%d units, want %d", x.Len(), len(model.fixes))
		}
		for range 5 {
			lat, lon := drawPosition(t)
			checkSearch(t, x, model, lat, lon, rapid.SampledFrom([]int{1, 2, 10, 1000}).Draw(t, "k"), drawFilter(t))
		}
		if err := x.check(); err != nil {
			t.Fatal(err)
		}
	})
}

// applyAll shows many fixes at once: of units old and new, of some twice, old ones
// and some that are nowhere. Each counts or not as if it had come alone.
func applyAll(t *rapid.T, x *Index, model *naive, units int, now fleet.Millis) {
	fixes := make([]Fix, rapid.IntRange(0, 3*groupSize).Draw(t, "fixes"))
	for i := range fixes {
		lat, lon := drawPosition(t)
		if rapid.IntRange(0, 9).Draw(t, "nowhere") == 0 {
			lat = 91
		}
		at := rapid.SampledFrom([]fleet.Millis{0, now - 1, now, now}).Draw(t, "at")
		fixes[i] = Fix{Unit: unit(rapid.IntRange(0, units).Draw(t, "unit")), At: at, Received: fleet.Millis(i), Lat: lat, Lon: lon}
	}
	shown := x.ApplyAll(fixes, []bool{true})
	if len(shown) != 1+len(fixes) || !shown[0] {
		t.Fatalf("%d answers for %d fixes", len(shown), len(fixes))
	}
	for i, f := range fixes {
		last, known := model.fixes[f.Unit]
		counts := f.At > 0 && f.Lat <= 90 && (!known || f.At > last.At || f.At == last.At && f.Received >= last.Received)
		if shown[1+i] != counts {
			t.Fatalf("%+v after %+v: shown %v", f, last, shown[1+i])
		}
		if counts {
			model.fixes[f.Unit] = f
		}
	}
}

// follow takes from the feed and compares what it has told with what is.
func follow(t *rapid.T, x *Index, feed *Feed, model *naive, told map[fleet.Unit]Fix) {
	seen, gone := make(map[fleet.Unit]bool), make(map[fleet.Unit]bool)
	for _, c := range feed.Take(nil) {
		if seen[c.Unit] && (!c.Gone || !gone[c.Unit]) {
			t.Fatalf("unit %v was told of twice", c.Unit)
		}
		seen[c.Unit], gone[c.Unit] = true, c.Gone
		if c.Gone {
			delete(told, c.Unit)
		} else {
			told[c.Unit] = c.Fix
		}
	}
	if len(told) != len(model.fixes) {
		t.Fatalf("the feed knows %d units, want %d", len(told), len(model.fixes))
	}
	for u, f := range model.fixes {
		if told[u] != f {
			t.Fatalf("the feed told %+v, want %+v", told[u], f)
		}
		if got, ok := x.Get(u); !ok || got != f {
			t.Fatalf("the map shows %+v, want %+v", got, f)
		}
	}
}

// checkSearch compares a search with the list. Two units whose distances differ by
// less than the arithmetic is good for may come in either order.
func checkSearch(t rapid.TB, x *Index, model *naive, lat, lon float64, k int, f Filter) {
	got := x.Nearest([]Neighbour{{Distance: -1}}, lat, lon, k, f)
	if got[0].Distance != -1 {
		t.Fatal("what was in dst is gone")
	}
	got = got[1:]
	all := model.nearest(lat, lon, f)
	distances := make(map[fleet.Unit]float64)
	for _, n := range all {
		distances[n.Unit] = n.Distance
	}
	tolerance := func(d float64) float64 { return 1e-6 + 1e-9*d }
	if len(got) != min(k, len(all)) && (f.Within == 0 || math.Abs(float64(len(got)-min(k, len(all)))) > 2) {
		t.Fatalf("%d found near %v %v with %+v, want %d of %d", len(got), lat, lon, f, k, len(all))
	}
	taken := make(map[fleet.Unit]bool)
	for i, n := range got {
		want, ok := distances[n.Unit]
		if !ok || taken[n.Unit] {
			t.Fatalf("%v was found, and does not pass %+v or was found before", n.Unit, f)
		}
		taken[n.Unit] = true
		if math.Abs(n.Distance-want) > tolerance(want)+1e-7*math.Max(0, want-1e7) {
			t.Fatalf("%v is at %v m, want %v", n.Unit, n.Distance, want)
		}
		at := model.fixes[n.Unit]
		if n.Lat != at.Lat || n.Lon != at.Lon || n.Received != at.Received {
			t.Fatalf("found at %+v, want %+v", n, at)
		}
		if i > 0 && (got[i-1].Distance > n.Distance || got[i-1].Distance == n.Distance && fleet.E7(n.Lat) == fleet.E7(got[i-1].Lat) &&
			fleet.E7(n.Lon) == fleet.E7(got[i-1].Lon) && got[i-1].Unit.String() >= n.Unit.String()) {
			t.Fatalf("out of order: %+v before %+v", got[i-1], n)
		}
	}
	if len(got) < k {
		return
	}
	farthest := got[len(got)-1].Distance
	for u, d := range distances {
		if !taken[u] && d < farthest-2*tolerance(farthest) {
			t.Fatalf("%v at %v m was not found, and the last of %d is at %v m from %v %v", u, d, k, farthest, lat, lon)
		}
	}
}

func TestSearchesThatAskForNothing(t *testing.T) {
	t.Parallel()
	x := newIndex(t)
	x.Apply(fix(1, 1, 51, 0))
	for _, q := range [][2]float64{{math.NaN(), 0}, {0, math.NaN()}, {91, 0}, {0, -181}, {math.Inf(1), 0}} {
		if got := x.Nearest(nil, q[0], q[1], 1, Filter{}); got != nil {
			t.Errorf("%v is near %v", got, q)
		}
	}
	if got := x.Nearest(nil, 51, 0, 0, Filter{}); got != nil {
		t.Errorf("none of %v was asked for", got)
	}
	if got := New(Options{}).Nearest(nil, 51, 0, 10, Filter{}); got != nil {
		t.Errorf("%v in an empty map", got)
	}
}

// The far side of the earth is found, however little there is on the way.
func TestFarAway(t *testing.T) {
	t.Parallel()
	x := newIndex(t)
	x.Apply(fix(1, 1, -41.3, 174.8)) // Wellington
	x.Apply(fix(2, 1, 40.4, -3.7))   // Madrid, its antipode
	got := x.Nearest(nil, 40.4, -3.7, 2, Filter{})
	if len(got) != 2 || got[0].Unit != unit(2) || got[0].Distance != 0 || math.Abs(got[1].Distance-19_850_000) > 50_000 {
		t.Errorf("found %+v", got)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	x := newIndex(t)
	random := rand.New(rand.NewPCG(1, 2))
	const units = 5000
	places := make([][2]float64, units)
	for i := range places {
		places[i] = [2]float64{51.4 + random.Float64()*0.2, random.Float64() * 0.2}
		x.Apply(fix(i, 1, places[i][0], places[i][1]))
	}
	// Once about, so that every page and node that is needed is there.
	round, fixes, shown := fleet.Millis(1), []Fix(nil), []bool(nil)
	move := func() {
		round++
		fixes = fixes[:0]
		for i, p := range places {
			shift := float64(round%2) * 0.001
			f := fix(i, round, p[0]+shift, p[1]-shift)
			if i%2 == 0 {
				x.Apply(f)
			} else {
				fixes = append(fixes, f)
			}
		}
		shown = x.ApplyAll(fixes, shown[:0])
	}
	feed, err := x.Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	var changes []Change
	take := func() { changes = feed.Take(changes[:0]) }
	for range 4 {
		move()
		take()
	}
	if n := testing.AllocsPerRun(4, func() { move(); take() }); n > 0 {
		t.Errorf("%v allocations for %d updates that are taken from a feed", n, units)
	}
	dst := make([]Neighbour, 0, 10)
	for _, p := range places { // room for all that a search keeps
		dst = x.Nearest(dst[:0], p[0], p[1], 10, Filter{})
	}
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		p := places[i%units]
		i++
		dst = x.Nearest(dst[:0], p[0], p[1], 10, Filter{})
	}); n > 0 && !raceEnabled {
		t.Errorf("%v allocations for a search", n)
	}
}
