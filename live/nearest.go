package live

import (
	"bytes"
	"math"
	"math/bits"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

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
// and of two at the same distance the one with the lesser id. A unit that is
// moving meanwhile is found where it was or where it is.
func (x *Index) Nearest(dst []Neighbour, lat, lon float64, k int, f Filter) []Neighbour {
	if k <= 0 || !(math.Abs(lat) <= 90) || !(math.Abs(lon) <= 180) {
		return dst
	}
	q := searches.Get().(*search)
	defer searches.Put(q)
	q.begin(x, lat, lon, k, f)
	for try := 1; ; try++ {
		q.found, q.stamps, q.pages = q.found[:0], q.stamps[:0], x.pages.Load()
		if !q.rings() {
			q.found = q.found[:0]
			q.everywhere()
		}
		if q.undisturbed() {
			break
		}
		if q.torn, q.locking = false, try >= patience; q.locking {
			q.pause()
		}
	}
	q.resume()
	for i := range q.found {
		c := &q.found[i]
		lat, lon := degrees(c.position)
		dst = append(dst, Neighbour{
			Unit: c.vehicle.unit, Distance: metres(c.hav),
			Lat: lat, Lon: lon, Received: fleet.Millis(c.vehicle.received.Load()),
		})
		c.vehicle = nil // a pooled search keeps nobody alive
	}
	return dst
}

const (
	// earthRadius is that of fleet.Distance, in metres.
	earthRadius = 6371008.8
	// patience is how often a search that was disturbed looks again before it
	// makes the writers wait.
	patience = 4
	// farthestRing is the last ring of cells; beyond it, some 8 km away, a search
	// goes by pages.
	farthestRing = 32
)

// search is one call of Nearest. Distances are compared by their haversine,
// sin²(d / 2R), which rises with the distance and needs no square root.
type search struct {
	index         *Index
	lat, lon      float64 // degrees
	latE7, lonE7  int64
	sin, cos      float64 // of lat
	k             int
	class, status uint64
	filters       bool // there is something to pass
	since         int64
	limit         float64 // haversine of Within; above 1: none
	best          float64 // what is not nearer than this is of no use

	found   []candidate
	stamps  []stamp
	paused  []*page
	ordered []distantPage
	pages   *[]*page // those that there were at the beginning
	torn    bool     // a cell was written while it was read
	locking bool     // cells are locked while they are read
}

type candidate struct {
	hav      float64
	vehicle  *vehicle
	position uint64
}

// stamp is how many moves had ended in a page before it was looked at.
type stamp struct {
	page  *page
	ended uint64
}

var searches = sync.Pool{New: func() any { return new(search) }}

func (q *search) begin(x *Index, lat, lon float64, k int, f Filter) {
	position := packE7(lat, lon)
	q.index, q.k, q.torn, q.locking = x, k, false, false
	q.latE7, q.lonE7 = int64(int32(position>>32)), int64(int32(position))
	q.lat, q.lon = degrees(position)
	q.sin, q.cos = math.Sincos(q.lat * radian)
	q.class, q.status, q.since = uint64(f.Class), uint64(f.Status), int64(f.ReceivedSince)
	q.filters = f.Class != 0 || f.Status != 0 || f.ReceivedSince != 0
	q.limit = 2
	if f.Within > 0 {
		s := math.Sin(min(f.Within/(2*earthRadius), math.Pi/2))
		q.limit = s * s
	}
	q.best = q.limit
}

// haversine returns sin²(d/2R) of the way to a position.
func (q *search) haversine(position uint64) float64 {
	dLat := float64(int64(int32(position>>32))-q.latE7) * (1e-7 * radian)
	e7 := int64(int32(position)) - q.lonE7
	if e7 > 180e7 {
		e7 -= 360e7
	} else if e7 < -180e7 {
		e7 += 360e7
	}
	dLon := float64(e7) * (1e-7 * radian)
	a := sinSquareHalf(dLat)
	// cos(lat + dLat), by the addition theorem.
	cosLat := q.cos*(1-2*a) - q.sin*sin(dLat)
	return a + q.cos*cosLat*sinSquareHalf(dLon)
}

// sinSquareHalf returns sin²(x/2), for small x by its series, to within 1e-15
// of itself.
func sinSquareHalf(x float64) float64 {
	if math.Abs(x) > seriesLimit {
		s := math.Sin(x / 2)
		return s * s
	}
	xx := x * x
	return xx / 4 * (1 - xx/12*(1-xx/30*(1-xx/56)))
}

// metres returns the distance of a haversine: 2R·asin(√h), by its series where
// that is exact.
func metres(h float64) float64 {
	if h > 1e-5 {
		return 2 * earthRadius * math.Asin(math.Sqrt(min(1, h)))
	}
	return 2 * earthRadius * math.Sqrt(h) * (1 + h/6*(1+h*9/20*(1+h*25/42)))
}

// sin is math.Sin, for small x by its series.
func sin(x float64) float64 {
	if math.Abs(x) > seriesLimit {
		return math.Sin(x)
	}
	xx := x * x
	return x * (1 - xx/6*(1-xx/20*(1-xx/42)))
}

// seriesLimit is the angle, 3°, up to which the next term of either series is
// below the precision of a float64.
const seriesLimit = 0.05

// rings looks at cells around the position, ring by ring, until nothing nearer
// can be outside. It returns false when it gave up on the way.
func (q *search) rings() bool {
	x := q.index
	q.best = q.limit
	row, _, _ := x.coordinates(q.lat, q.lon)
	step := 1 / x.bands[row/pageSide].perDegree // degrees of longitude
	// Half the width of what has been looked at, in rows and degrees.
	for ring, seen := 0, -1; ring <= farthestRing; ring, seen = q.nextRing(row, ring), ring {
		from, to := max(0, row-ring), min(rows-1, row+ring)
		width := (float64(ring) + 0.5) * step
		if width > 90 || min(x.bands[from/pageSide].columns, x.bands[to/pageSide].columns) < 16 {
			return false // about a pole, where east meets west
		}
		inner := (float64(seen) + 0.5) * step
		for i := range 2*ring + 1 { // from the middle outwards
			r := row + (i+1)/2
			if i&1 == 1 {
				r = row - (i+1)/2
			}
			switch {
			case r < from || r > to:
			case i < 2*seen+1:
				q.row(r, q.lon-width, q.lon-inner, q.lon+inner, q.lon+width)
			default:
				q.row(r, q.lon-width, q.lon+width, 1, 0)
			}
		}
		if q.beyond(row, from, to, ring, width) > q.best {
			return true
		}
	}
	return false
}

// nextRing returns up to where to look next. Where the cell itself did not hold
// enough, it guesses from the density of the page: to look at whole rows is
// quicker than ring by ring.
func (q *search) nextRing(row, ring int) int {
	if ring > 0 || len(q.found) == q.k {
		return ring + 1 + ring/4
	}
	_, column, _ := q.index.coordinates(q.lat, q.lon)
	p := q.index.page(row/pageSide, column/pageSide)
	if p == nil {
		return 1
	}
	each := float64(p.count.Load()) / (pageSide * pageSide)
	return int(min(maxJump, max(1, math.Sqrt(enough*float64(q.k)/max(each, 1e-3))/2)))
}

const (
	enough  = 2.5 // times as many units as are wanted, on average
	maxJump = 8   // rings
)

// beyond returns the least haversine of what is outside of the rows and of half
// the width, in degrees, around the position.
func (q *search) beyond(row, from, to, ring int, width float64) float64 {
	minCos := min(q.index.bands[from/pageSide].minCos, q.index.bands[to/pageSide].minCos)
	side := sinSquareHalf((width-margin)*radian) * q.cos * minCos
	south := q.lat - (float64(row-ring)*rowStep - 90)
	north := float64(row+ring+1)*rowStep - 90 - q.lat
	return min(side, sinSquareHalf(max(0, min(south, north)-margin)*radian))
}

// row looks at the cells of a row that touch one of two spans of longitude; a
// span that ends before it begins is none. What both touch is looked at once.
func (q *search) row(row int, west, toWest, east, toEast float64) {
	b := &q.index.bands[row/pageSide]
	pages := b.pages.Load()
	if pages == nil {
		return
	}
	column := func(lon float64) int { return int(math.Floor((lon + 180) * b.perDegree)) }
	if east > toEast { // one span
		q.columns(b, *pages, row, column(west), column(toWest))
		return
	}
	// The cells at toWest and east were looked at with what is between them.
	q.columns(b, *pages, row, column(west), column(toWest)-1)
	q.columns(b, *pages, row, column(east)+1, column(toEast))
}

// columns looks at the cells of a row from one column to another, which may lie
// beyond the antimeridian.
func (q *search) columns(b *band, pages []atomic.Pointer[page], row, from, to int) {
	if to-from >= b.columns {
		from, to = 0, b.columns-1
	}
	for from <= to {
		c := from % b.columns
		if c < 0 {
			c += b.columns
		}
		// As far as the page reaches, and the globe.
		last := min(to-from, pageSide-1-c%pageSide, b.columns-1-c)
		if p := pages[c/pageSide].Load(); p != nil {
			q.touch(p)
			mask := uint32(1<<(last+1)-1) << (c % pageSide)
			q.cells(p, row%pageSide, p.occupied[row%pageSide].Load()&mask)
		}
		from += last + 1
	}
}

// cells looks at the cells of a page's row that are set in occupied.
func (q *search) cells(p *page, row int, occupied uint32) {
	if occupied == 0 {
		return
	}
	b := &q.index.bands[p.band]
	ground := box{
		south: float64(p.band*pageSide+row)*rowStep - 90, height: rowStep,
		width: 1 / b.perDegree, minCos: b.minCos,
	}
	for ; occupied != 0; occupied &= occupied - 1 {
		column := bits.TrailingZeros32(occupied)
		ground.west = float64(p.column*pageSide+column)*ground.width - 180
		if len(q.found) < q.k && q.limit > 1 || q.distance(&ground) <= q.best {
			q.cell(p, row*pageSide+column, &ground)
		}
	}
}

// cell looks at what is in a cell.
func (q *search) cell(p *page, i int, ground *box) {
	h, t := &p.heads[i], &p.tails[i]
	if q.locking {
		h.lock()
		defer h.unlock()
		q.read(h, t, ground, 0)
		return
	}
	sequence := h.sequence.Load()
	for spin := 1; sequence&1 == 1; spin++ {
		if spin%spins == 0 {
			runtime.Gosched()
		}
		sequence = h.sequence.Load()
	}
	q.read(h, t, ground, 0)
	if h.sequence.Load() != sequence {
		q.torn = true
	}
}

// read looks at what is below a head, which may be written meanwhile. A torn
// tree may have any shape, but ends at its deepest level.
func (q *search) read(h *head, t *tail, ground *box, depth int) {
	child := h.child.Load()
	if child == nil {
		for i := range min(leafSize, h.n.Load()) {
			position := h.positions[i].Load()
			if hav := q.haversine(position); hav <= q.best {
				q.take(candidate{hav, t[i].Load(), position})
			}
		}
		return
	}
	if depth >= maxDepth {
		return
	}
	quarter, nearest := *ground, 0
	if depth < gridDepth {
		quarter.height, quarter.width = ground.height/2, ground.width/2
		if q.lat > ground.south+quarter.height {
			nearest = 2
		}
		if q.lon > ground.west+quarter.width {
			nearest++
		}
	}
	for i := range 4 { // the nearest first, the farthest last
		i ^= nearest
		if depth < gridDepth {
			quarter.south = ground.south + float64(i>>1)*quarter.height
			quarter.west = ground.west + float64(i&1)*quarter.width
			if q.distance(&quarter) > q.best {
				continue
			}
		}
		// Only now is the child's memory touched, which is in no cache.
		q.read(&child.heads[i], &child.tails[i], &quarter, depth+1)
	}
}

// margin is taken off a distance in degrees before it rules anything out. Edges
// of boxes are exact to some 1e-13, positions are multiples of 1e-7.
const margin = 1e-9

// box is a piece of ground, in degrees. minCos is at most the least cosine of a
// latitude in it.
type box struct{ south, height, west, width, minCos float64 }

// distance returns the least haversine of the way to a box, or a little less.
func (q *search) distance(b *box) float64 {
	dLat := max(b.south-q.lat-margin, q.lat-b.south-b.height-margin, 0)
	east := q.lon - b.west // of the box's western edge, 0 to 360
	if east < 0 {
		east += 360
	}
	dLon := 0.0
	if east > b.width {
		dLon = max(0, min(east-b.width, 360-east)-margin)
	}
	return sinSquareHalf(dLat*radian) + q.cos*b.minCos*sinSquareHalf(dLon*radian)
}

// take puts a candidate that passes the filter in its place among the k best.
func (q *search) take(c candidate) {
	v := c.vehicle
	if v == nil {
		return // torn
	}
	if q.filters && !q.passes(v) {
		return
	}
	if len(q.found) == q.k {
		if !c.before(&q.found[q.k-1]) {
			return
		}
		q.found = q.found[:q.k-1]
	}
	i := len(q.found)
	q.found = append(q.found, c)
	for ; i > 0 && c.before(&q.found[i-1]); i-- {
		q.found[i] = q.found[i-1]
	}
	q.found[i] = c
	if len(q.found) == q.k {
		q.best = q.found[q.k-1].hav
	}
}

func (q *search) passes(v *vehicle) bool {
	traits := v.traits.Load()
	return traits>>32&q.class == q.class && (q.status == 0 || traits&q.status != 0) && v.received.Load() >= q.since
}

func (c *candidate) before(d *candidate) bool {
	if c.hav != d.hav {
		return c.hav < d.hav
	}
	return bytes.Compare(c.vehicle.unit[:], d.vehicle.unit[:]) < 0
}

// everywhere looks at every page, the nearest first: for a search that found too
// little in its rings.
func (q *search) everywhere() {
	q.best, q.ordered = q.limit, q.ordered[:0]
	for _, p := range *q.index.pages.Load() {
		b := &q.index.bands[p.band]
		least := q.distance(&box{
			south: float64(p.band*pageSide)*rowStep - 90, height: pageSide * rowStep,
			west: float64(p.column*pageSide)/b.perDegree - 180, width: pageSide / b.perDegree, minCos: b.minCos,
		})
		if least <= q.best {
			q.ordered = append(q.ordered, distantPage{least, p})
		}
	}
	slices.SortFunc(q.ordered, func(a, b distantPage) int {
		if a.least < b.least {
			return -1
		}
		return 1
	})
	for i := range q.ordered {
		if q.ordered[i].least > q.best {
			return
		}
		p := q.ordered[i].page
		q.touch(p)
		for row := range p.occupied {
			q.cells(p, row, p.occupied[row].Load())
		}
	}
}

type distantPage struct {
	least float64 // haversine
	page  *page
}

// touch takes a page's stamp before it is first looked at.
func (q *search) touch(p *page) {
	for i := len(q.stamps) - 1; i >= 0; i-- {
		if q.stamps[i].page == p {
			return
		}
	}
	q.stamps = append(q.stamps, stamp{p, p.ended.Load()})
}

// undisturbed reports whether nothing moved from leaf to leaf, in the pages that
// were looked at, since each was first looked at, nor into a page that was not
// there.
func (q *search) undisturbed() bool {
	if q.torn || q.index.pages.Load() != q.pages {
		return false
	}
	for _, s := range q.stamps {
		if s.page.begun.Load() != s.ended {
			return false
		}
	}
	return true
}

// pause keeps moves from beginning, in the pages that were looked at, until
// resume.
func (q *search) pause() {
	for _, s := range q.stamps {
		if !slices.Contains(q.paused, s.page) {
			s.page.paused.Add(1)
			q.paused = append(q.paused, s.page)
		}
	}
	runtime.Gosched() // lets those finish that are in the middle of it
}

func (q *search) resume() {
	for _, p := range q.paused {
		p.paused.Add(-1)
	}
	clear(q.paused)
	clear(q.ordered)
	clear(q.stamps)
	q.paused = q.paused[:0]
}
