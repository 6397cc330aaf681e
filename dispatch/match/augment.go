package match

import "math"

// search is the memory of a search for a shortest augmenting path.
type search struct {
	first    int32    // the row that is to be placed
	distance []Cost   // of a column from it
	from     []int32  // the row from which a column was reached
	seen     []uint32 // the search in which a column was last reached
	round    uint32   // the number of this search
	heap     heap     // columns that were reached and not settled
	ready    []int32  // those of them that are as near as the last settled one
	settled  []int32

	best   Cost  // the length of the best way that was found to an end,
	column int32 // which is a column that nobody has,
	out    int32 // or, with no column, a row that is left out
}

func (q *search) open(columns int) {
	q.distance, q.from = refill(q.distance, columns, 0), refill(q.from, columns, None)
	q.seen, q.round = refill(q.seen, columns, 0), 0
}

// augment gives a row that has no column its place: it finds the shortest way, in
// reduced costs, from the row over columns and the rows that have them to a
// column that nobody has or to a row that is best left out, which may be this
// one, and moves everybody along it. Only the columns nearer than that end, and
// their rows, have their prices changed.
//
// This is Dijkstra's algorithm, over columns: reduced costs are never negative.
func (s *Solver) augment(row int32) {
	s.round++
	s.heap, s.ready, s.settled = s.heap[:0], s.ready[:0], s.settled[:0]
	s.first, s.U[row] = row, 0
	s.best, s.column, s.out = s.skips[row], None, row
	s.relax(row, math.MinInt64)
	for {
		at, ok := s.nearest()
		if !ok {
			break
		}
		if at.column < 0 { // stands for what a row has beyond the edges that are known
			s.widenFrom(^at.column, at.distance)
			continue
		}
		s.settled = append(s.settled, at.column)
		owner := s.Row[at.column]
		if out := at.distance + s.skips[owner] - s.U[owner]; out < s.best {
			s.best, s.column, s.out = out, None, owner
		}
		s.relax(owner, at.distance)
	}
	s.reprice()
	s.flip()
}

// base is the length of the way to a row, less what the row pays.
func (s *Solver) base(row int32) Cost {
	if row == s.first {
		return 0
	}
	return s.distance[s.Column[row]] - s.U[row]
}

// relax looks at the columns that can be reached from a row, when the search has
// come as far as now.
func (s *Solver) relax(row int32, now Cost) {
	base := s.base(row)
	for _, e := range s.graph.Edges(int(row)) {
		if base+e.Cost >= s.best { // and so is what follows, as no price is above 0
			break
		}
		d := base + e.Cost - s.V[e.Column]
		if d >= s.best || s.seen[e.Column] == s.round && d >= s.distance[e.Column] {
			continue
		}
		s.seen[e.Column], s.distance[e.Column], s.from[e.Column] = s.round, d, row
		switch {
		case s.Row[e.Column] == None:
			s.best, s.column = d, e.Column
		case d == now:
			s.ready = append(s.ready, e.Column)
		default:
			s.heap.push(d, e.Column)
		}
	}
	if s.wants(row, s.best-base) {
		s.heap.push(base+s.rest[row], ^row)
	}
}

// nearest takes the nearest of what is nearer than the best end.
func (s *Solver) nearest() (at node, ok bool) {
	if n := len(s.ready); n > 0 {
		at.column, s.ready = s.ready[n-1], s.ready[:n-1]
		at.distance = s.distance[at.column]
		return at, at.distance < s.best
	}
	for len(s.heap) > 0 {
		at = s.heap.pop()
		if at.distance >= s.best {
			break
		}
		if at.column < 0 || at.distance == s.distance[at.column] { // else a shorter way was found since
			return at, true
		}
	}
	return node{}, false
}

// reprice keeps reduced costs from being negative, and makes them zero along the
// path that was found.
func (s *Solver) reprice() {
	for _, column := range s.settled {
		rise := s.best - s.distance[column]
		s.V[column] -= rise
		s.U[s.Row[column]] += rise
	}
	s.U[s.first] = s.best
}

// flip moves the rows along the path, from its end to the row where it begins.
func (s *Solver) flip() {
	column := s.column
	if column == None {
		column, s.Column[s.out] = s.Column[s.out], None
	}
	for column != None { // which is what the first row leaves behind
		row := s.from[column]
		s.Row[column] = row
		column, s.Column[row] = s.Column[row], column
	}
}

// heap is a binary heap, the nearest first.
type heap []node

type node struct {
	distance Cost
	column   int32 // or the complement of a row
}

func (h *heap) push(distance Cost, column int32) {
	*h = append(*h, node{})
	a, i := *h, len(*h)-1
	for i > 0 {
		up := (i - 1) / 2
		if a[up].distance <= distance {
			break
		}
		a[i], i = a[up], up
	}
	a[i] = node{distance, column}
}

func (h *heap) pop() node {
	a := *h
	top, last := a[0], a[len(a)-1]
	a = a[:len(a)-1]
	*h = a
	if len(a) == 0 {
		return top
	}
	i := 0
	for {
		down := 2*i + 1
		if down >= len(a) {
			break
		}
		if down+1 < len(a) && a[down+1].distance < a[down].distance {
			down++
		}
		if a[down].distance >= last.distance {
			break
		}
		a[i], i = a[down], down
	}
	a[i] = last
	return top
}
