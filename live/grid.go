package live

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
)

// Sizes of the grid, in units of 1e-7 degrees of latitude (11 mm): bits of a
// coordinate say which cell it is in, and where there.
const (
	turn     = 3_600_000_000 // around the globe
	cellBits = 15
	cellSize = 1 << cellBits
	pageSide = 16 // cells along a page
	pageBits = cellBits + 4
	bands    = turn/2>>pageBits + 1
	rows     = turn/2>>cellBits + 1
	radian   = math.Pi / 180
	radianE7 = radian * 1e-7
)

// band is what the pages of one row have in common. Columns count from 180°
// west, in units that are on the ground about as long as those of latitude.
type band struct {
	columns int     // of cells around the globe
	scale   uint64  // units for each 1e-7 degrees of longitude, times 2^32; at most 2^32
	unit    float64 // 1e-7 degrees of longitude for each unit
	minCos  float64 // at most the least cosine of a latitude in the band
	pages   atomic.Pointer[[]atomic.Pointer[page]]
}

// page is 16 × 16 cells. Its memory is never given back: where somebody has
// been, somebody will be.
type page struct {
	index        *Index
	band, column int // which one it is

	paused atomic.Int32 // searches that keep moves from beginning
	_      [32]byte     // what follows is written often

	// Moves between cells, begun and ended. No search that saw one under way is
	// believed.
	begun, ended atomic.Uint64
	count        atomic.Int32 // units in the page; a search's guess at how far to look
	_            [44]byte

	occupied [pageSide]atomic.Uint32 // a bit for each cell of a row: set if it has a root
	cells    [pageSide * pageSide]cell

	spareMu sync.Mutex
	spare   *node // nodes to use again, linked by their first kid
}

// spot is a position in units of the grid, from the south pole and from 180°
// west.
type spot struct{ row, column uint32 }

// quadrant returns which of four is the way at a depth of less than cellBits.
func (s spot) quadrant(depth int) int {
	shift := cellBits - 1 - depth
	return int(s.row>>shift&1<<1 | s.column>>shift&1)
}

// place is where a position belongs.
type place struct {
	page  *page
	cell  *cell
	index int // of the cell: row × 16 + column in the page
	spot  spot
}

func (x *Index) initBands() {
	for i := range x.bands {
		b := &x.bands[i]
		south := (float64(i<<pageBits) - turn/4) * radianE7
		north := min((float64((i+1)<<pageBits)-turn/4)*radianE7, math.Pi/2)
		a, c := math.Cos(south), math.Cos(north)
		b.columns = max(1, int(turn/cellSize*max(a, c)))
		b.scale = uint64(b.columns) << (cellBits + 32) / turn
		b.unit = (1 << 32) / float64(b.scale)
		b.minCos = max(0, min(a, c)-1e-9)
	}
}

// spot returns a position in the units of its band.
func (x *Index) spot(position uint64) spot {
	row := uint32(int32(position>>32) + turn/4)
	lon := uint32(int32(position)) + turn/2
	// 180° east is in the last column, since scale is rounded down.
	return spot{row, uint32(uint64(lon) * x.bands[row>>pageBits].scale >> 32)}
}

// place returns where a position belongs, making the page if need be.
func (x *Index) place(position uint64) place {
	s := x.spot(position)
	p := x.page(int(s.row>>pageBits), int(s.column>>pageBits))
	if p == nil {
		p = x.makePage(int(s.row>>pageBits), int(s.column>>pageBits))
	}
	i := int(s.row>>cellBits%pageSide*pageSide + s.column>>cellBits%pageSide)
	return place{p, &p.cells[i], i, s}
}

// prefetch begins to load the leaf to which the place belongs. The cell is not
// locked, and what this comes upon may not be it.
func (p *place) prefetch() {
	n := p.cell.root.Load()
	for depth := 0; n != nil && depth < cellBits; depth++ {
		if n.n.Load() != divided {
			n.entries[4].position.Load()
			return
		}
		n = n.kids[p.spot.quadrant(depth)].Load()
	}
}

// page returns a page, nil if nobody was ever there.
func (x *Index) page(band, column int) *page {
	pages := x.bands[band].pages.Load()
	if pages == nil {
		return nil
	}
	return (*pages)[column].Load()
}

func (x *Index) makePage(i, column int) *page {
	x.pagesMu.Lock()
	defer x.pagesMu.Unlock()
	b := &x.bands[i]
	pages := b.pages.Load()
	if pages == nil {
		made := make([]atomic.Pointer[page], b.pageColumns())
		pages = &made
		b.pages.Store(pages)
	}
	p := (*pages)[column].Load()
	if p == nil {
		p = &page{index: x, band: i, column: column}
		(*pages)[column].Store(p)
		// Whoever has the shorter list does not see beyond its end.
		all := append(*x.pages.Load(), p)
		x.pages.Store(&all)
	}
	return p
}

// begin lets a move between two cells begin, of these pages, once no search
// keeps it from it. A pause that comes between the two is no harm: the search
// will see that the move has begun.
func begin(from, to *page) {
	for from.paused.Load() != 0 || to.paused.Load() != 0 {
		runtime.Gosched()
	}
	from.begun.Add(1)
	if to != from {
		to.begun.Add(1)
	}
}

func end(from, to *page) {
	from.ended.Add(1)
	if to != from {
		to.ended.Add(1)
	}
}

// insert puts an entry into the place.
func (p *place) insert(v *vehicle, position uint64) {
	p.page.count.Add(1)
	p.cell.lock()
	defer p.cell.unlock()
	root := p.cell.root.Load()
	if root == nil {
		root = p.page.takeNode()
		p.cell.root.Store(root)
		p.page.occupied[p.index/pageSide].Or(1 << (p.index % pageSide))
	}
	p.page.insert(root, v.ref, where{position, p.spot}, 0)
}

// remove takes a vehicle's entry out of the place.
func (p *place) remove(v *vehicle, position uint64) {
	p.page.count.Add(-1)
	p.cell.lock()
	defer p.cell.unlock()
	root := p.cell.root.Load()
	p.page.remove(root, v.ref, where{position, p.spot}, 0)
	if root.below == 0 {
		p.cell.root.Store(nil)
		p.page.giveNode(root)
		p.page.occupied[p.index/pageSide].And(^uint32(1 << (p.index % pageSide)))
	}
}
