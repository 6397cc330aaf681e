package live

import (
	"cmp"
	"math"
	"math/bits"
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
	row, column int // of its south-western corner, in the units of the band
	sequence    uint32
	corner      corner
}

// together is how many cells are looked at together, so that the processor waits for
// all of them at once.
const together = 16

// visit looks at the cells of a ring: of many, the nearest first.
func (q *search) visit() {
	for i := range q.near {
		q.near[i].page.cells[q.near[i].index].prefetch(q.entries(cellSize))
	}
	if len(q.near) > together {
		slices.SortFunc(q.near, func(a, b nearCell) int { return cmp.Compare(a.least, b.least) })
	}
	for cells := range slices.Chunk(q.near, together) {
		q.look(cells)
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
				q.near = append(q.near, nearCell{least: least, page: p, index: i, lens: l, row: row << cellBits, column: west})
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

// look looks at what is in some cells, and notes if one of them changes meanwhile,
// which it cannot if the search insists.
func (q *search) look(cells []nearCell) {
	if q.insists {
		for i := range cells {
			c := cells[i].cell()
			c.lock()
			q.read(cells[i : i+1])
			c.unlock()
		}
		return
	}
	for i := range cells {
		cells[i].sequence = cells[i].cell().settled()
	}
	q.read(cells)
	q.torn = q.torn || !unchanged(cells)
}

func (n *nearCell) cell() *cell { return &n.page.cells[n.index] }

// unchanged reports whether none of the cells has changed since its sequence was
// settled.
func unchanged(cells []nearCell) bool {
	for i := range cells {
		if !cells[i].cell().unchanged(cells[i].sequence) {
			return false
		}
	}
	return true
}

// inSight is a node to be looked at. Its memory was asked for.
type inSight struct {
	least       float64 // square of the distance, on the plane
	node        *node
	row, column int // of its south-western corner, in the units of the band
	cell        int
}

// read looks at all that is below some cells, level by level, so that the nodes of one
// are loaded while those of the one above are looked at. They may be written meanwhile:
// then what is below them may be of any shape, but has an end.
func (q *search) read(cells []nearCell) {
	q.level = q.level[:0]
	for i := range cells {
		c := &cells[i]
		if root := c.cell().root.Load(); root != nil && c.least <= q.flatBest {
			c.corner = c.page.corner(c.index)
			q.level = append(q.level, inSight{c.least, root, c.row, c.column, i})
		}
	}
	for depth := 0; len(q.level) > 0 && depth <= maxDepth; depth++ {
		if len(q.level) > manyNodes && !q.insists && !unchanged(cells) {
			return // do not get lost
		}
		q.below = q.below[:0]
		for i := range q.level {
			if n := &q.level[i]; n.least > q.flatBest {
				continue
			} else if count := n.node.n.Load(); count != divided {
				q.corner = cells[n.cell].corner
				q.leaf(n.node, int(count))
			} else {
				q.kids(n, cells[n.cell].lens, depth)
			}
		}
		q.level, q.below = q.below, q.level
	}
}

// manyNodes is more than a search for some ten looks at.
const manyNodes = 256

// kids begins to load the kids of a node that are not too far, the nearest first, the
// farthest last.
func (q *search) kids(n *inSight, l *lens, depth int) {
	half, nearest := cellSize>>(depth+1), 0
	if l.row > float64(n.row+half) {
		nearest = 2
	}
	if l.column > float64(n.column+half) {
		nearest++
	}
	for i := range 4 {
		i ^= nearest
		kid := n.node.kids[i].Load()
		if kid == nil {
			continue
		}
		k := inSight{n.least, kid, n.row + half*(i>>1), n.column + half*(i&1), n.cell}
		if q.plane && half > 0 {
			if k.least = q.flatToSquare(l, k.row, k.column, half); k.least > q.flatBest {
				continue
			}
		}
		kid.prefetch(q.entries(half))
		q.below = append(q.below, k)
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
				q.look([]nearCell{{page: p, index: i, lens: &lens{}}})
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
