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
	cellBits = 16
	cellSize = 1 << cellBits
	pageSide = 16 // cells along a page
	pageBits = cellBits + 4
	bands    = turn/2>>pageBits + 1
	// leastColumns keeps cells so narrow that an entry has room for where it is.
	leastColumns = turn>>eastBits + 1
	rows         = turn/2>>cellBits + 1
	radian       = math.Pi / 180
	radianE7     = radian * 1e-7
)

// band is what the pages of one row have in common. Columns count from 180°
// west, in units that are on the ground about as long as those of latitude.
type band struct {
	columns int     // of cells around the globe, at least leastColumns
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

// place is where a position belongs.
type place struct {
	band        *band
	page        *page
	cell        *cell
	index       int    // of the cell: row × 16 + column in the page
	west        uint32 // of the cell, in 1e-7 degrees from 180° west
	north, east uint32 // of its corner, in 1e-7 degrees
}

// entry returns what stands for a unit in its place.
func (p *place) entry(ref uint32) entry { return makeEntry(ref, p.north, p.east) }

// west returns where a column of cells begins, in 1e-7 degrees from 180° west:
// the least longitude that is in it.
func (b *band) west(column int) uint32 {
	return uint32((uint64(column)<<(cellBits+32) + b.scale - 1) / b.scale)
}

func (x *Index) initBands() {
	for i := range x.bands {
		b := &x.bands[i]
		south := (float64(i<<pageBits) - turn/4) * radianE7
		north := min((float64((i+1)<<pageBits)-turn/4)*radianE7, math.Pi/2)
		a, c := math.Cos(south), math.Cos(north)
		b.columns = max(leastColumns, int(turn/cellSize*max(a, c)))
		b.scale = uint64(b.columns) << (cellBits + 32) / turn
		b.unit = (1 << 32) / float64(b.scale)
		b.minCos = max(0, min(a, c)-1e-9)
	}
}

// place returns where a position belongs, making the page if need be.
func (x *Index) place(position uint64) place {
	row := uint32(int32(position>>32) + turn/4)
	lon := uint32(int32(position)) + turn/2
	b := &x.bands[row>>pageBits]
	// 180° east is in the last column, since scale is rounded down.
	column := uint32(uint64(lon) * b.scale >> 32)
	p := x.page(int(row>>pageBits), int(column>>pageBits))
	if p == nil {
		p = x.makePage(int(row>>pageBits), int(column>>pageBits))
	}
	i := int(row>>cellBits%pageSide*pageSide + column>>cellBits%pageSide)
	west := b.west(int(column >> cellBits))
	return place{b, p, &p.cells[i], i, west, row % cellSize, lon - west}
}

// updateEntries is as far as a leaf is loaded for an update, which looks for one entry.
const updateEntries = leafSize * 2 / 3

// prefetch begins to load the leaf to which the place belongs. The cell is not
// locked, and what this comes upon may not be it.
func (p *place) prefetch() {
	n, e := p.cell.root.Load(), p.entry(0)
	for depth := 0; n != nil && depth < cellBits; depth++ {
		if n.n.Load() != divided {
			n.prefetch(updateEntries)
			return
		}
		n = n.kids[p.quadrant(e, depth)].Load()
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

// add puts a vehicle's entry into the place.
func (p *place) add(v vehicle) {
	p.page.count.Add(1)
	p.cell.lock()
	p.cell.change()
	defer p.cell.unlock()
	root := p.cell.root.Load()
	if root == nil {
		root = p.page.takeNode()
		p.cell.root.Store(root)
		p.page.occupied[p.index/pageSide].Or(1 << (p.index % pageSide))
	}
	p.insert(root, p.entry(v.ref), 0)
}

// drop takes a vehicle's entry out of the place.
func (p *place) drop(v vehicle) {
	p.page.count.Add(-1)
	p.cell.lock()
	p.cell.change()
	defer p.cell.unlock()
	root := p.cell.root.Load()
	p.remove(root, p.entry(v.ref), 0)
	if root.below == 0 {
		p.cell.root.Store(nil)
		p.page.giveNode(root)
		p.page.occupied[p.index/pageSide].And(^uint32(1 << (p.index % pageSide)))
	}
}
