package live

import (
	"cmp"
	"math"
	"math/bits"
	"runtime"
	"slices"
	"sync/atomic"
)

// farthestRing is the last ring of cells; beyond it, some 8 km away, a search
// goes by pages.
const farthestRing = 12

// bandsInSight is how many bands the rings touch at most.
const bandsInSight = 2*farthestRing/pageSide + 2

// lens is the view in the units of a band.
type lens struct {
	band        *band
	row, column float64 // of the view
	square      float64 // of a unit of columns, on the plane and at its shortest in the band
}

func (q *search) lens(b *band) *lens {
	for i := range q.lenses {
		if q.lenses[i].band == b {
			return &q.lenses[i]
		}
	}
	q.lenses = append(q.lenses, lens{
		band: b, row: q.lat + turn/4, column: (q.lon + turn/2) / b.unit,
		square: b.unit * b.unit * q.cos * b.minCos,
	})
	return &q.lenses[len(q.lenses)-1]
}

// rings looks at cells around the view, ring by ring, until nothing nearer can
// be outside. It returns false when it gave up on the way.
func (q *search) rings() bool {
	x := q.index
	q.plane = true
	row := min(rows-1, int(q.lat+turn/4)>>cellBits)
	step := cellSize * x.bands[row>>(pageBits-cellBits)].unit // a cell's width, in 1e-7 degrees
	ring := 0
	if !math.IsInf(q.flatBest, 1) {
		ring = min(farthestRing, int(math.Sqrt(q.flatBest)/cellSize)+1)
	}
	for seen := -1; ring <= farthestRing; ring, seen = q.nextRing(row, ring), ring {
		from, to := max(0, row-ring), min(rows-1, row+ring)
		if reach := math.Sqrt(q.flatBest); reach < cellSize*farthestRing { // farther rows are of no use
			from = max(from, int(q.lat+turn/4-reach)>>cellBits)
			to = min(to, int(q.lat+turn/4+reach)>>cellBits)
		}
		width, inner := (float64(ring)+0.5)*step, (float64(seen)+0.5)*step // to either side
		if width+2*step > flatReach {
			return false // about a pole
		}
		q.near = q.near[:0]
		for r := from; r <= to; r++ {
			q.row(r, width, inner, max(r-row, row-r) <= seen)
		}
		q.visit()
		if q.beyond(row, ring, width) > q.flatBest {
			return true
		}
	}
	return false
}

// nearCell is a cell to be looked at.
type nearCell struct {
	least       float64 // square of the distance, on the plane
	page        *page
	index       int // in the page
	lens        *lens
	row, column int // of its south-western corner
}

// visit looks at the cells of a ring, the nearest first.
func (q *search) visit() {
	for i := range q.near { // near together, so that the processor waits for all at once
		q.near[i].page.cells[q.near[i].index].prefetch(q.entries(cellSize))
	}
	for i := range q.near {
		c := &q.near[i]
		if root := c.page.cells[c.index].root.Load(); root != nil && root.n.Load() == divided {
			q.prefetchKids(root, c.lens, c.row, c.column, cellSize/2)
		}
	}
	q.order = q.order[:0]
	for i := range q.near {
		// Numbers that are not negative are in the order of their bits.
		q.order = append(q.order, uint64(math.Float32bits(float32(q.near[i].least)))<<32|uint64(i))
	}
	slices.Sort(q.order)
	for _, o := range q.order {
		if c := &q.near[uint32(o)]; c.least <= q.flatBest {
			q.cell(c.page, c.index, c.lens, c.row, c.column)
		}
	}
	q.judge()
}

// nextRing returns up to where to look next: as far as the kth found is, and
// without k, as far as the density of the page lets hope for.
func (q *search) nextRing(row, ring int) int {
	if len(q.found) == q.k {
		return max(ring+1, min(farthestRing, int(math.Sqrt(q.flatBest)/cellSize+0.5)))
	}
	if ring > 0 {
		return ring + 1 + ring/4
	}
	b := &q.index.bands[row>>(pageBits-cellBits)]
	p := q.index.page(row>>(pageBits-cellBits), int((q.lon+turn/2)/b.unit)>>pageBits%b.pageColumns())
	if p == nil {
		return 1
	}
	each := float64(p.count.Load()) / (pageSide * pageSide)
	return int(min(maxJump, max(1, math.Sqrt(float64(q.k)/max(each, 1e-3))/2)))
}

const maxJump = 4 // rings

// beyond returns the least square, on the plane, of a distance to what is outside
// of the rings.
func (q *search) beyond(row, ring int, width float64) float64 {
	first, last := max(0, row-ring)>>(pageBits-cellBits), min(rows-1, row+ring)>>(pageBits-cellBits)
	minCos := min(q.index.bands[first].minCos, q.index.bands[last].minCos)
	y := q.lat + turn/4
	south := y - float64((row-ring)<<cellBits)
	north := float64((row+ring+1)<<cellBits) - y
	height, width := min(south, north), width-margin
	return min(height*height, width*width*q.cos*minCos)
}

// row looks at the cells of a row that are at most width to either side, in 1e-7
// degrees, but for those that are at most inner, if they have been seen.
func (q *search) row(row int, width, inner float64, seen bool) {
	b := &q.index.bands[row>>(pageBits-cellBits)]
	pages := b.pages.Load()
	if pages == nil {
		return
	}
	l := q.lens(b)
	column := func(offset float64) int { return int(math.Floor((l.column + offset/b.unit) / cellSize)) }
	west, east := column(-width), column(width)
	if east-west >= b.columns {
		east = west + b.columns - 1
	}
	if !seen {
		q.columns(b, *pages, l, row, west, east)
		return
	}
	q.columns(b, *pages, l, row, west, min(east, column(-inner)-1))
	q.columns(b, *pages, l, row, max(west, column(inner)+1), east)
}

// columns looks at the cells of a row from one column to another, which may lie
// beyond the antimeridian.
func (q *search) columns(b *band, pages []atomic.Pointer[page], l *lens, row, from, to int) {
	for from <= to {
		c := from
		if c < 0 {
			c += b.columns
		} else if c >= b.columns {
			c -= b.columns
		}
		// As far as the page reaches, and the globe.
		last := min(to-from, pageSide-1-c%pageSide, b.columns-1-c)
		if p := pages[c/pageSide].Load(); p != nil {
			q.touch(p)
			mask := uint32(1<<(last+1)-1) << (c % pageSide)
			for occupied := p.occupied[row%pageSide].Load() & mask; occupied != 0; occupied &= occupied - 1 {
				i := bits.TrailingZeros32(occupied)
				west := (from + i - c%pageSide) << cellBits
				least := q.flatToSquare(l, row<<cellBits, west, cellSize)
				if least > q.flatBest {
					continue
				}
				i += row % pageSide * pageSide
				q.near = append(q.near, nearCell{least, p, i, l, row << cellBits, west})
			}
		}
		from += last + 1
	}
}

// flatToSquare returns the least square of a distance to some ground, on the
// plane, or a little less.
func (q *search) flatToSquare(l *lens, row, column, size int) float64 {
	y, x := float64(row)-l.row, float64(column)-l.column
	y = max(y, -y-float64(size), 0)
	x = max(x, -x-float64(size), margin) - margin
	return y*y + x*x*l.square
}

// cell looks at what is in the ith cell of a page. The cell's south-western corner
// is given, in the units of the band.
func (q *search) cell(p *page, i int, l *lens, row, column int) {
	c := &p.cells[i]
	q.corner = p.corner(i)
	if q.insists {
		c.lock()
		defer c.unlock()
		if root := c.root.Load(); root != nil {
			q.read(root, l, row, column, 0)
		}
		return
	}
	sequence := c.sequence.Load()
	for spin := 1; sequence&1 == 1; spin++ {
		if spin%spins == 0 {
			runtime.Gosched()
		}
		sequence = c.sequence.Load()
	}
	if root := c.root.Load(); root != nil {
		q.read(root, l, row, column, 0)
	}
	if c.sequence.Load() != sequence {
		q.torn = true
	}
}

// read looks at what is below a node, which may be written meanwhile: then it
// may be of any shape, but has an end.
func (q *search) read(n *node, l *lens, row, column, depth int) {
	count := n.n.Load()
	if count != divided {
		q.leaf(n, int(count))
		return
	}
	if depth >= maxDepth {
		return
	}
	half, nearest := 0, 0
	if depth < cellBits {
		half = cellSize >> (depth + 1)
		if l.row > float64(row+half) {
			nearest = 2
		}
		if l.column > float64(column+half) {
			nearest++
		}
	}
	if q.plane && depth > 0 {
		q.prefetchKids(n, l, row, column, half)
	}
	for i := range 4 { // the nearest first, the farthest last
		i ^= nearest
		r, c := row+half*(i>>1), column+half*(i&1)
		if half > 0 && q.plane && q.flatToSquare(l, r, c, half) > q.flatBest {
			continue
		}
		if kid := n.kids[i].Load(); kid != nil {
			q.read(kid, l, r, c, depth+1)
		}
	}
}

// leaf looks at the entries of a leaf.
func (q *search) leaf(n *node, count int) {
	entries := n.entries[:min(count, leafSize)]
	if q.sighted+leafSize > len(q.sights) {
		q.judge()
	}
	if !q.plane {
		for i := range entries {
			e := entry(entries[i].Load())
			if q.haversine(q.offset(q.corner.position(e))) <= q.best {
				q.sights[q.sighted] = sight{e, q.corner}
				q.sighted++
			}
		}
		return
	}
	v, cell, best, sighted := q.view, q.corner, q.flatBest, uint(q.sighted) // in registers
	south, west := v.offset(q.corner.position(0))
	for i := range entries {
		e := entry(entries[i].Load())
		// Each is written down, and the next over it if it is too far: without a branch
		// that would be guessed wrongly.
		q.sights[sighted%uint(len(q.sights))] = sight{e, cell}
		tooFar := best - v.flat(south+float64(e.north()), west+float64(e.east()))
		sighted += uint(^math.Float64bits(tooFar) >> 63)
	}
	q.sighted = int(sighted)
}

// corner is the south-western one of a cell, in 1e-7 degrees.
type corner struct{ south, west int32 }

func (p *page) corner(i int) corner {
	return corner{
		south: int32((p.band*pageSide+i/pageSide)<<cellBits - turn/4),
		west:  int32(int(p.index.bands[p.band].west(p.column*pageSide+i%pageSide)) - turn/2),
	}
}

// position returns where an entry of the cell is.
func (c corner) position(e entry) uint64 {
	return uint64(uint32(c.south+int32(e.north())))<<32 | uint64(uint32(c.west+int32(e.east())))
}

type distantPage struct {
	least float64 // haversine
	page  *page
}

// everywhere looks at every page, the nearest first: for a search that found too
// little in its rings.
func (q *search) everywhere() {
	q.plane = false
	q.ordered = q.ordered[:0]
	for _, p := range *q.pages {
		b := p.ground(0, pageSide)
		if least := q.toBox(&b); least <= q.best {
			q.ordered = append(q.ordered, distantPage{least, p})
		}
	}
	slices.SortFunc(q.ordered, func(a, b distantPage) int { return cmp.Compare(a.least, b.least) })
	for _, d := range q.ordered {
		if d.least > q.best {
			return
		}
		q.stamps = append(q.stamps, stamp{page: d.page, ended: d.page.ended.Load()})
		q.wholePage(d.page)
	}
}

// wholePage looks at the cells of a page, wherever on earth it is.
func (q *search) wholePage(p *page) {
	for row := range p.occupied {
		for occupied := p.occupied[row].Load(); occupied != 0; occupied &= occupied - 1 {
			i := row*pageSide + bits.TrailingZeros32(occupied)
			if b := p.ground(i, 1); q.toBox(&b) <= q.best {
				q.cell(p, i, &lens{}, 0, 0)
			}
		}
	}
	q.judge()
}

// ground returns where some cells of the page are, as many in height and width,
// from the ith on.
func (p *page) ground(i, side int) box {
	b := &p.index.bands[p.band]
	size := float64(side << cellBits)
	return box{
		south: float64((p.band*pageSide+i/pageSide)<<cellBits) - turn/4, height: size,
		west: float64((p.column*pageSide+i%pageSide)<<cellBits)*b.unit - turn/2, width: size * b.unit,
		minCos: b.minCos,
	}
}

// pageColumns returns how many pages there are around the globe.
func (b *band) pageColumns() int { return (b.columns + pageSide - 1) / pageSide }
