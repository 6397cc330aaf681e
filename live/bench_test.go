package live

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidwall/rtree"

	"armora/fleet"
)

// Greater London and around: 60 km by 50 km.
const (
	benchSouth, benchNorth = 51.28, 51.73
	benchWest, benchEast   = -0.55, 0.32
)

// scene is a fleet and the moves that it makes: to and fro by 10 to 20 m, so that
// the density stays what it was.
type scene struct {
	name    string
	units   []traveller
	queries [][2]float64
}

// traveller is a unit and the two places between which it goes.
type traveller struct {
	unit fleet.Unit
	lat  [2]float64
	lon  [2]float64
}

// move is what the traveller tells of its nth.
func (t *traveller) move(n int) Fix {
	at := fleet.Millis(n + 1)
	return Fix{Unit: t.unit, At: at, Received: at, Lat: t.lat[n&1], Lon: t.lon[n&1]}
}

// newScene places units: evenly, or half of them within 500 m of ten points.
// Searches are made where units are.
func newScene(units int, clustered bool) *scene {
	random := rand.New(rand.NewPCG(uint64(units), 7))
	s := &scene{name: fmt.Sprintf("%dk/uniform", units/1000)}
	var hot [10][2]float64
	for i := range hot {
		hot[i] = [2]float64{51.4 + random.Float64()*0.2, -0.3 + random.Float64()*0.4}
	}
	if clustered {
		s.name = fmt.Sprintf("%dk/clustered", units/1000)
	}
	for i := range units {
		lat := benchSouth + random.Float64()*(benchNorth-benchSouth)
		lon := benchWest + random.Float64()*(benchEast-benchWest)
		if clustered && i%2 == 0 {
			centre, radius, angle := hot[i/2%10], 500*math.Sqrt(random.Float64()), random.Float64()*2*math.Pi
			lat = centre[0] + radius*math.Sin(angle)/111195
			lon = centre[1] + radius*math.Cos(angle)/(111195*0.622)
		}
		metres, angle := 10+10*random.Float64(), random.Float64()*2*math.Pi
		s.units = append(s.units, traveller{
			unit: spread(i),
			lat:  [2]float64{lat, lat + metres*math.Sin(angle)/111195},
			lon:  [2]float64{lon, lon + metres*math.Cos(angle)/(111195*0.622)},
		})
	}
	for range 4096 {
		t := &s.units[random.IntN(units)]
		s.queries = append(s.queries, [2]float64{t.lat[0], t.lon[0]})
	}
	return s
}

// search makes the nth search.
func (s *scene) search(c contender, n int, dst []Neighbour) []Neighbour {
	q := s.queries[n%len(s.queries)]
	dst = c.nearest(dst[:0], q[0], q[1])
	if len(dst) != 10 {
		panic("ten were not found")
	}
	return dst
}

// contender is an index under measurement.
type contender interface {
	update(fixes []Fix) int                                // as many as were taken
	nearest(dst []Neighbour, lat, lon float64) []Neighbour // ten
}

type ours struct{ x *Index }

func (o *ours) update(fixes []Fix) (taken int) {
	var shown [inGroup]bool
	for _, s := range o.x.ApplyAll(fixes, shown[:0]) {
		if s {
			taken++
		}
	}
	return taken
}

func (o *ours) nearest(dst []Neighbour, lat, lon float64) []Neighbour {
	return o.x.Nearest(dst, lat, lon, 10, Filter{})
}

// spread returns the nth unit of a fleet whose ids look like real ones.
func spread(n int) fleet.Unit {
	h := uint64(n+1) * 0x9e3779b97f4a7c15
	u := unit(n)
	for i := range 8 {
		u[i] = byte(h >> (8 * i))
	}
	u[15] = byte(h >> 24)
	return u
}

// theirs is tidwall/rtree under one RWMutex, as one would write it to do the same
// job: it keeps the whole fix of each unit, by the same rule of which fix counts,
// and answers with as much. Its records are found by a map and pointed to by the
// tree, so that it copies no ids about.
type theirs struct {
	mu    sync.RWMutex
	tree  rtree.RTreeG[*theirUnit]
	units map[fleet.Unit]*theirUnit
}

type theirUnit struct{ Fix }

func newTheirs(units int) *theirs {
	return &theirs{units: make(map[fleet.Unit]*theirUnit, units)}
}

// update takes the lock once for all.
func (o *theirs) update(fixes []Fix) (taken int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range fixes {
		if o.apply(&fixes[i]) {
			taken++
		}
	}
	return taken
}

func (o *theirs) apply(f *Fix) bool {
	if f.At <= 0 || !onEarth(f.Lat, f.Lon) {
		return false
	}
	to := [2]float64{f.Lon, f.Lat}
	u := o.units[f.Unit]
	if u == nil {
		u = &theirUnit{Fix: *f}
		o.units[f.Unit] = u
		o.tree.Insert(to, to, u)
		return true
	}
	if !u.yields(f) {
		return false
	}
	from := [2]float64{u.Lon, u.Lat}
	u.Fix = *f
	o.tree.Replace(from, from, u, to, to, u)
	return true
}

// yields is that of ours.
func (u *theirUnit) yields(f *Fix) bool {
	switch {
	case f.Source != u.Source:
		return f.At > u.At+fleet.Millis(DefaultHandover.Milliseconds())
	case f.At == u.At:
		return f.Received >= u.Received
	default:
		return f.At > u.At
	}
}

// nearest measures distances on the plane that touches the query, which is as
// cheap as can be, and true nearby and away from the poles and the antimeridian
// alone.
func (o *theirs) nearest(dst []Neighbour, lat, lon float64) []Neighbour {
	cos := math.Cos(lat * radian)
	return o.search(dst, func(low, high [2]float64, _ *theirUnit, _ bool) float64 {
		dLon := max(low[0]-lon, lon-high[0], 0) * cos
		dLat := max(low[1]-lat, lat-high[1], 0)
		return dLon*dLon + dLat*dLat
	}, func(d float64) float64 { return math.Sqrt(d) * radian * earthRadius })
}

// search takes ten in the order of a metric, which another function turns into
// metres.
func (o *theirs) search(
	dst []Neighbour, metric func(low, high [2]float64, _ *theirUnit, item bool) float64, metres func(float64) float64,
) []Neighbour {
	o.mu.RLock()
	defer o.mu.RUnlock()
	o.tree.Nearby(metric, func(at, _ [2]float64, u *theirUnit, d float64) bool {
		dst = append(dst, Neighbour{Unit: u.Unit, Distance: metres(d), Lat: at[1], Lon: at[0], Received: u.Received})
		return len(dst) < 10
	})
	return dst
}

// sphere is theirs, with distances that are true everywhere, as ours are.
type sphere struct{ *theirs }

func (o sphere) nearest(dst []Neighbour, lat, lon float64) []Neighbour {
	var v view
	v.open(lat, lon)
	return o.search(dst, func(low, high [2]float64, _ *theirUnit, item bool) float64 {
		if item {
			east := low[0]*1e7 - v.lon
			if math.Abs(east) > turn/2 {
				east -= math.Copysign(turn, east)
			}
			return v.haversine(low[1]*1e7-v.lat, east)
		}
		return v.toBox(&box{
			south: low[1] * 1e7, height: (high[1] - low[1]) * 1e7, west: low[0] * 1e7, width: (high[0] - low[0]) * 1e7,
			minCos: math.Cos(max(math.Abs(low[1]), math.Abs(high[1])) * radian),
		})
	}, metres)
}

// BenchmarkRatio measures ours and an R-tree in turn, in slices of the same run,
// and reports the medians of the slices, which what else runs on the machine moves
// less than their sums, and how many times as fast ours is.
func BenchmarkRatio(b *testing.B) {
	for _, units := range []int{100_000, 1_000_000} {
		for _, clustered := range []bool{false, true} {
			s := newScene(units, clustered)
			b.Run(s.name, func(b *testing.B) { compare(b, s) })
		}
	}
}

func compare(b *testing.B, s *scene) {
	us, them := &ours{x: New(Options{})}, newTheirs(len(s.units))
	for _, c := range []contender{us, them} {
		for i := range s.units {
			c.update([]Fix{s.units[i*stride%len(s.units)].move(0)})
		}
	}
	updates := func(c contender, r *round, n int) {
		for done := 0; done < n; done += inGroup {
			r.update(c, s, 0, len(s.units), min(inGroup, n-done))
		}
	}
	searches := func(c contender, _ *round, n int) {
		var dst []Neighbour
		for i := range n {
			dst = s.search(c, i, dst)
		}
	}
	runtime.GC() // what is left of making them is nobody's to clean up
	last := 1
	for _, work := range []struct {
		name  string
		slice int // operations of one before the other's turn: after that, caches are filled anew
		peer  contender
		do    func(c contender, r *round, n int)
	}{
		{"update", 100_000, them, updates},
		{"nearest10", 10_000, sphere{them}, searches},
		{"nearest10flat", 10_000, them, searches},
		{"mixed", 50_000, them, func(c contender, r *round, n int) { r.mixed(c, s, n) }},
	} {
		b.Run(work.name, func(b *testing.B) {
			var took [2][]float64 // ns for an operation, of each slice
			rounds := [2]round{{n: last}, {n: last}}
			for done := 0; done < b.N; done += work.slice {
				for i, c := range []contender{us, work.peer} {
					n := min(work.slice, b.N-done)
					began := time.Now()
					work.do(c, &rounds[i], n)
					took[i] = append(took[i], float64(time.Since(began).Nanoseconds())/float64(n))
				}
			}
			last = rounds[0].n + 1
			ours, rtree := median(took[0]), median(took[1])
			b.ReportMetric(ours, "ours-ns/op")
			b.ReportMetric(rtree, "rtree-ns/op")
			b.ReportMetric(rtree/ours, "x-rtree")
			b.ReportMetric(0, "ns/op")
		})
	}
	if err := us.x.check(); err != nil {
		b.Error(err)
	}
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// round is how far a contender's fleet has come. Units are moved one after the
// other, which for the contender is an order that jumps about in its memory: it
// got to know them in another.
type round struct {
	i, n  int
	fixes []Fix
}

const (
	stride  = 7919 // prime, and so each unit is met once
	inGroup = 16   // updates that are handed over together
)

// update moves the next of the units from first on.
func (r *round) update(c contender, s *scene, first, units, count int) {
	r.fixes = r.fixes[:0]
	for range count {
		r.fixes = append(r.fixes, s.units[first+r.i].move(r.n))
		if r.i++; r.i == units {
			r.i, r.n = 0, r.n+1
		}
	}
	if c.update(r.fixes) != count {
		panic("a fix was not taken")
	}
}

// mixed is nine updates, handed over together, to one search, on two goroutines, each with its half of
// the fleet.
func (r *round) mixed(c contender, s *scene, n int) {
	var both sync.WaitGroup
	half := len(s.units) / 2
	for side := range 2 {
		both.Go(func() {
			mine, dst := round{i: r.i, n: r.n}, []Neighbour(nil)
			for i := range n / (2 * (9 + 1)) {
				mine.update(c, s, side*half, half, 9)
				dst = s.search(c, i+side*997, dst)
			}
			if side == 0 {
				defer func() { *r = mine }()
			}
		})
	}
	both.Wait()
}
