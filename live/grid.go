package live

import (
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// Sizes of the grid. See the package's comment.
const (
	bands    = 4896
	pageSide = 16               // cells along a page
	rows     = bands * pageSide // of cells, from the south pole
	rowStep  = 180.0 / rows     // degrees of latitude
	radian   = math.Pi / 180
)

// band is what the pages of one row have in common.
type band struct {
	columns   int     // of cells around the globe
	perDegree float64 // columns a degree of longitude
	minCos    float64 // least cosine of a latitude in the band
	pages     atomic.Pointer[[]atomic.Pointer[page]]
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
	_            [48]byte

	count atomic.Int32 // units in the page; a search's guess at how far to look
	_     [60]byte

	occupied [pageSide]atomic.Uint32 // a bit for each cell of a row: set if it holds entries
	heads    [pageSide * pageSide]head
	tails    [pageSide * pageSide]tail

	spareMu sync.Mutex
	spare   *node // nodes to use again, linked by their first child
}

// place is where a position belongs.
type place struct {
	page *page
	cell int // row × 16 + column in the page
	way  path
}

func (x *Index) initBands() {
	for i := range x.bands {
		b := &x.bands[i]
		south := float64(i)*pageSide*rowStep - 90
		a, c := math.Cos(south*radian), math.Cos((south+pageSide*rowStep)*radian)
		b.columns = max(1, int(math.Round(360/rowStep*max(a, c))))
		b.perDegree = float64(b.columns) / 360
		b.minCos = max(0, min(a, c)-1e-9)
	}
}

// coordinates cuts a position into the row and the column of its cell, and its
// place in there.
func (x *Index) coordinates(lat, lon float64) (row, column int, way path) {
	fineRow := min(rows*subSide-1, int((lat+90)*(subSide/rowStep)))
	row = fineRow / subSide
	b := &x.bands[row/pageSide]
	fineColumn := int((lon + 180) * (b.perDegree * subSide))
	column = fineColumn / subSide
	if column >= b.columns { // 180° is −180°
		column, fineColumn = 0, 0
	}
	return row, column, path{row: uint32(fineRow % subSide), column: uint32(fineColumn % subSide)}
}

// path returns the way of an entry below its cell.
func (p *page) path(v *vehicle, position uint64) path {
	_, _, way := p.index.coordinates(degrees(position))
	way.hash = hash(v.unit)
	return way
}

// place returns where a position belongs, making the page if need be. The hash of
// its way is left to the caller.
func (x *Index) place(position uint64) place {
	row, column, way := x.coordinates(degrees(position))
	p := x.page(row/pageSide, column/pageSide)
	if p == nil {
		p = x.makePage(row/pageSide, column/pageSide)
	}
	return place{page: p, cell: row%pageSide*pageSide + column%pageSide, way: way}
}

// placeOf returns where a vehicle is. The vehicle is locked.
func (x *Index) placeOf(v *vehicle) place {
	p := x.place(v.position)
	p.way.hash = hash(v.unit)
	return p
}

// prefetch begins to load the cell while the vehicle is being looked up.
func (p *place) prefetch() { p.page.heads[p.cell].n.Load() }

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
		made := make([]atomic.Pointer[page], (b.columns+pageSide-1)/pageSide)
		pages = &made
		b.pages.Store(pages)
	}
	p := (*pages)[column].Load()
	if p == nil {
		p = &page{index: x, band: i, column: column}
		(*pages)[column].Store(p)
		all := slices.Concat(*x.pages.Load(), []*page{p})
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

// lock locks the cell and returns its root.
func (p *place) lock() (*head, *tail) {
	h := &p.page.heads[p.cell]
	h.lock()
	return h, &p.page.tails[p.cell]
}

// insert puts an entry into the place.
func (p *place) insert(v *vehicle, position uint64) {
	h, t := p.lock()
	defer h.unlock()
	p.page.insert(h, t, v, position, p.way, 0)
	if h.n.Load() == 1 {
		p.page.occupied[p.cell/pageSide].Or(1 << (p.cell % pageSide))
	}
}

// remove takes a vehicle's entry out.
func (p *place) remove(v *vehicle) {
	h, t := p.lock()
	defer h.unlock()
	p.page.remove(h, t, v, p.way, 0)
	if h.n.Load() == 0 {
		p.page.occupied[p.cell/pageSide].And(^uint32(1 << (p.cell % pageSide)))
	}
}
