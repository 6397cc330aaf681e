package live

import "math"

// reach guesses how far the kth is, as a haversine: as far as it would be if units
// were everywhere as dense as they are in the leaf about the view. Without any
// there, it has no limit.
func (q *search) reach() float64 {
	row := min(int(q.lat+turn/4), rows<<cellBits-1)
	b := &q.index.bands[row>>pageBits]
	column := min(int((q.lon+turn/2)/b.unit), b.columns<<cellBits-1)
	q.leafSide, q.crowd = cellSize, 0
	p := q.index.page(row>>pageBits, column>>pageBits)
	if p == nil {
		return q.limit
	}
	p.prefetchAbout(row, column)
	n := p.cells[row>>cellBits%pageSide*pageSide+column>>cellBits%pageSide].root.Load()
	count, side := uint32(0), cellSize
	for n != nil {
		if count = n.n.Load(); count != divided || side == 1 {
			break
		}
		side /= 2
		count, n = 0, n.kids[(row&side*2+column&side)/side].Load()
	}
	q.leafSide, q.crowd = side, int(min(count+count/2, leafSize))
	if side < cellSize {
		count = max(count, mergeBelow/4) // the leaves beside it hold more
		q.crowd = leafSize * 3 / 4
	}
	if n != nil {
		n.prefetch(q.crowd)
	}
	if count == 0 {
		return q.limit
	}
	return plenty * float64(q.k) * float64(side*side) / (math.Pi * flatSquare * float64(count))
}

// prefetchAbout begins to load the roots of the four cells of the page that are
// nearest to a place, in units of the band.
func (p *page) prefetchAbout(row, column int) {
	const half = cellSize / 2
	south, west := (row-half)>>cellBits, (column-half)>>cellBits
	for i := range 4 {
		r, c := south+i>>1, west+i&1
		if root := p.cells[r&(pageSide-1)*pageSide+c&(pageSide-1)].root.Load(); root != nil {
			prefetch32(&root.n)
		}
	}
}

const (
	// plenty is by how much more than k are hoped for within the reach: each time
	// that there are fewer, a search begins anew, with a reach that is wider in
	// square.
	plenty = 1.4
	wider  = 4
)

// entries returns how many a node of such a side may hold: none if it is likely to be
// divided.
func (q *search) entries(side int) int {
	if side > q.leafSide {
		return 0
	}
	return q.crowd
}
