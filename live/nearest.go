package live

import (
	"bytes"
	"math"
	"runtime"
	"slices"
	"sync"

	"armora/fleet"
)

// Filter says which units a search is for. The zero value lets all pass.
type Filter struct {
	Class         Class        // the unit has all of these bits
	Status        Status       // the unit has one of these bits; 0: whatever it does
	ReceivedSince fleet.Millis // its fix was received at this time or later; 0: whenever
	Within        float64      // metres; 0: wherever
}

// Neighbour is a unit that a search found.
type Neighbour struct {
	Unit     fleet.Unit
	Distance float64 // metres, as fleet.Distance
	Lat, Lon float64 // degrees, WGS 84
	Received fleet.Millis
}

// Nearest appends to dst up to k units that pass the filter, the nearest first,
// and of two at the same distance the one with the lesser id. Distances agree
// with fleet.Distance to 1 µm + 1e-9 of themselves (1 m about the antipode). A
// unit that is moving meanwhile is found once, where it was or where it is.
//
// A search looks no farther than the kth that it has found, or than Within. With
// a filter that few pass and no Within, it looks at every unit: some 10 ms for
// 200,000. It keeps the k best in order by insertion: k is meant to be tens.
func (x *Index) Nearest(dst []Neighbour, lat, lon float64, k int, f Filter) []Neighbour {
	if k <= 0 || !onEarth(lat, lon) {
		return dst
	}
	q := searches.Get().(*search)
	defer searches.Put(q)
	q.open(x, lat, lon, k, f)
	for try := 1; ; try++ {
		q.scan()
		if q.undisturbed() {
			break
		}
		if try == patience || len(q.stamps) > manyPages {
			q.insist()
			break
		}
	}
	for i := range q.found {
		prefetch64(&x.units.at(q.found[i].ref).traits)
	}
	for i := range q.found {
		c := &q.found[i]
		v := x.units.at(c.ref)
		dst = append(dst, Neighbour{})
		n := &dst[len(dst)-1]
		n.Unit, n.Distance, n.Received = v.unit, metres(c.hav), fleet.Millis(v.received.Load())
		n.Lat, n.Lon = degrees(c.position)
	}
	return dst
}

const (
	// patience is how often a search that was disturbed starts again before it
	// insists.
	patience = 3
	// manyPages is how many pages make a search too long to be done again.
	manyPages = 16
)

// search is one call of Nearest. Distances are compared by their haversine,
// sin²(d / 2R), which rises with the distance and needs no square root.
type search struct {
	view
	index         *Index
	k             int
	class, status uint64
	filters       bool // there is something to pass
	since         int64
	limit         float64 // haversine of Within; above 1: none
	best          float64 // what is not nearer than this is of no use
	flatBest      float64 // the same on the plane, rounded up

	found   []candidate   // the k nearest of those that were judged, in their order
	sorted  []candidate   // scratch of sort
	sights  [128]sight    // not judged yet: within the best when they were seen
	sighted int           // of sights
	plane   bool          // distances are taken on the plane before anything else
	stamps  []stamp       // of the pages that were looked at
	lenses  []lens        // of the bands in sight; as many as room was made for
	near    []nearCell    // of a ring
	level   []inSight     // nodes of the same depth
	below   []inSight     // and their kids
	ordered []distantPage // when there is no end to rings
	pages   *[]*page      // those that there were when it began
	corner  corner        // of the cell that is being looked at
	// The leaf about the view: its side, and how many entries those like it may hold.
	leafSide, crowd int

	torn    bool // a cell was written while it was read
	insists bool // cells are locked while they are read
}

type candidate struct {
	hav      float64
	position uint64
	ref      uint32
}

// stamp is how many moves had ended in a page before it was looked at.
type stamp struct {
	page   *page
	ended  uint64
	paused bool // by us
}

var searches = sync.Pool{New: func() any { return &search{lenses: make([]lens, 0, bandsInSight)} }}

func (q *search) open(x *Index, lat, lon float64, k int, f Filter) {
	q.view.open(lat, lon)
	q.index, q.k, q.insists = x, k, false
	q.class, q.status, q.since = uint64(f.Class), uint64(f.Status), int64(f.ReceivedSince)
	q.filters = f.Class != 0 || f.Status != 0 || f.ReceivedSince != 0
	q.limit = 2
	if f.Within > 0 {
		s := math.Sin(min(f.Within/(2*earthRadius), math.Pi/2))
		q.limit = s * s
	}
}

// scan finds the nearest, if nobody moves meanwhile.
func (q *search) scan() {
	q.pages, q.torn = q.index.pages.Load(), false
	for reach := q.reach(); ; reach *= wider {
		q.restart(min(reach, q.limit))
		if !q.rings() {
			q.restart(q.limit)
			q.everywhere()
			return
		}
		if len(q.found) == q.k || reach >= q.limit {
			return
		}
	}
}

// restart forgets what was found and begins with what is not farther than reach, a
// haversine.
func (q *search) restart(reach float64) {
	q.found, q.stamps, q.lenses, q.sighted = q.found[:0], q.stamps[:0], q.lenses[:0], 0
	q.setBest(reach)
}

// setBest rules out what is farther.
func (q *search) setBest(hav float64) {
	q.best, q.flatBest = hav, hav*flatSquare*(1+2*flatness)
	if hav > 1 {
		q.flatBest = math.Inf(1)
	}
}

// sight is who was seen in a cell.
type sight struct {
	entry entry
	cell  corner
}

// judge takes those in sight that pass the filter among the k best.
func (q *search) judge() {
	sights := q.sights[:q.sighted]
	q.sighted = 0
	if q.filters { // begins to load them all
		for i := range sights {
			prefetch64(&q.index.units.at(sights[i].entry.ref()).traits)
		}
	}
	for i := range sights {
		s := &sights[i]
		ref, position := s.entry.ref(), s.cell.position(s.entry)
		if q.filters && !q.passes(ref) || q.insists && q.has(ref) {
			continue
		}
		var hav float64
		if north, east := q.offset(position); q.plane {
			hav = q.nearHaversine(north, east)
		} else {
			hav = q.haversine(north, east)
		}
		if hav <= q.best {
			q.found = append(q.found, candidate{hav, position, ref})
		}
	}
	q.sort()
	if len(q.found) >= q.k {
		q.found = q.found[:q.k]
		q.setBest(q.found[q.k-1].hav)
	}
}

// sort puts who was found in order. It counts for each how many are nearer, which
// takes no branches, that would be guessed wrongly.
func (q *search) sort() {
	n := len(q.found)
	if n > maxCounted {
		slices.SortFunc(q.found, func(a, b candidate) int {
			if q.before(&a, &b) {
				return -1
			}
			return 1
		})
		return
	}
	// Numbers that are not negative are in the order of their bits.
	var keys [maxCounted]uint64
	for i := range q.found {
		keys[i] = math.Float64bits(q.found[i].hav)
	}
	q.sorted = slices.Grow(q.sorted[:0], n)[:n]
	for i := range q.found {
		key, nearer := keys[i], uint64(0)
		for _, k := range keys[:i] {
			nearer += (k - key - 1) >> 63 // also those that are as near
		}
		for _, k := range keys[i+1 : n] {
			nearer += (k - key) >> 63
		}
		q.sorted[nearer] = q.found[i]
	}
	q.found, q.sorted = q.sorted, q.found
	for i := 1; i < n; i++ { // those that are as near
		for j := i; j > 0 && q.found[j].hav == q.found[j-1].hav && q.before(&q.found[j], &q.found[j-1]); j-- {
			q.found[j], q.found[j-1] = q.found[j-1], q.found[j]
		}
	}
}

// maxCounted is up to how many are sorted by counting: the work is their square.
const maxCounted = 64

func (q *search) passes(ref uint32) bool {
	v := q.index.units.at(ref)
	traits := v.traits.Load()
	return traits>>32&q.class == q.class && (q.status == 0 || traits&q.status != 0) && v.received.Load() >= q.since
}

func (q *search) has(ref uint32) bool {
	return slices.ContainsFunc(q.found, func(c candidate) bool { return c.ref == ref })
}

func (q *search) before(c, d *candidate) bool {
	return c.hav < d.hav || c.hav == d.hav && q.lesser(c.ref, d.ref)
}

func (q *search) lesser(c, d uint32) bool {
	units := &q.index.units
	return bytes.Compare(units.at(c).unit[:], units.at(d).unit[:]) < 0
}

// touch takes a page's stamp before it is first looked at.
func (q *search) touch(p *page) {
	for i := len(q.stamps) - 1; i >= 0; i-- {
		if q.stamps[i].page == p {
			return
		}
	}
	q.stamps = append(q.stamps, stamp{page: p, ended: p.ended.Load()})
}

// moved reports whether a unit has moved from cell to cell in the page since it
// was first looked at, or was moving then.
func (s *stamp) moved() bool { return s.page.begun.Load() != s.ended }

// undisturbed reports whether what was found is what there was: no cell was
// written while it was read, nobody moved from a cell that was still to be
// looked at to one that had been, nor to a page that was not there.
func (q *search) undisturbed() bool {
	return !q.torn && q.index.pages.Load() == q.pages && !slices.ContainsFunc(q.stamps, func(s stamp) bool { return s.moved() })
}

// insist finds the nearest whatever moves. Cells are locked one at a time, so
// that what is read is true. Then the pages in which somebody has moved, and
// those that are new, are looked at again, and moves from cell to cell in those
// pages wait until that is done. Whoever was found before they moved stays
// found where they were.
func (q *search) insist() {
	q.insists = true
	q.scan()
	seen := len(*q.pages)
	for again := true; again; {
		again = false
		for i := range q.stamps {
			if s := &q.stamps[i]; s.moved() {
				s.pause()
				s.ended = s.page.ended.Load()
				q.wholePage(s.page)
				again = true
			}
		}
		pages := *q.index.pages.Load()
		for _, p := range pages[seen:] {
			q.touch(p)
			q.wholePage(p)
			again = true
		}
		seen = len(pages)
	}
	for i := range q.stamps {
		if s := &q.stamps[i]; s.paused {
			s.page.paused.Add(-1)
		}
	}
}

// pause keeps moves from beginning in the page.
func (s *stamp) pause() {
	if !s.paused {
		s.paused = true
		s.page.paused.Add(1)
	}
	runtime.Gosched() // lets those finish that are in the middle of one
}
