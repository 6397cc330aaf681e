package match

// search is the memory of a search for a shortest augmenting path.
type search struct {
	distance []Cost   // of a column from the row that looks for one
	from     []int32  // the row from which a column was reached
	seen     []uint32 // the search in which a column was last reached
	round    uint32   // the number of this search
	heap     heap     // columns that were reached and not settled
	ready    []int32  // those of them that are as near as the last settled one
	settled  []int32

	best   Cost  // the length of the best way that was found to an end,
	column int32 // which is a column that nobody has,
	row    int32 // or, with no column, a row that is left out
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
// This is Dijkstra's algorithm, over columns: reduced costs of edges are never
// negative.
func (s *Solver) augment(row int32) {
	s.round++
	s.heap, s.ready, s.settled = s.heap[:0], s.ready[:0], s.settled[:0]
	s.best, s.column, s.row = s.graph.skips[row], None, row
	s.relax(row, 0, 0)
	for {
		column, ok := s.nearest()
		if !ok {
			break
		}
		s.settled = append(s.settled, column)
		owner, distance := s.Row[column], s.distance[column]
		if out := distance + s.graph.skips[owner] - s.U[owner]; out < s.best {
			s.best, s.column, s.row = out, None, owner
		}
		s.relax(owner, distance, distance-s.U[owner])
	}
	s.reprice()
	s.U[row] = s.best
	s.flip(row)
}

// relax looks at the columns that can be reached from a row. The way to it is of
// length distance, and base is that less what the row pays.
func (s *Solver) relax(row int32, distance, base Cost) {
	for _, e := range s.graph.Edges(int(row)) {
		if base+e.Cost >= s.best { // and so is what follows, as no price is above 0
			return
		}
		d := base + e.Cost - s.V[e.Column]
		if d >= s.best || s.seen[e.Column] == s.round && d >= s.distance[e.Column] {
			continue
		}
		s.seen[e.Column], s.distance[e.Column], s.from[e.Column] = s.round, d, row
		switch {
		case s.Row[e.Column] == None:
			s.best, s.column = d, e.Column
		case d == distance:
			s.ready = append(s.ready, e.Column)
		default:
			s.heap.push(d, e.Column)
		}
	}
}

// nearest takes the nearest of the columns that are nearer than the best end.
func (s *Solver) nearest() (column int32, ok bool) {
	if n := len(s.ready); n > 0 {
		column, s.ready = s.ready[n-1], s.ready[:n-1]
		return column, s.distance[column] < s.best
	}
	for len(s.heap) > 0 {
		top := s.heap.pop()
		if top.distance >= s.best {
			break
		}
		if top.distance == s.distance[top.column] { // else it was reached by a shorter way since
			return top.column, true
		}
	}
	return None, false
}

// reprice keeps reduced costs from being negative, and makes them zero along the
// path that was found.
func (s *Solver) reprice() {
	for _, column := range s.settled {
		rise := s.best - s.distance[column]
		s.V[column] -= rise
		s.U[s.Row[column]] += rise
	}
}

// flip moves the rows along the path from its end to the row where it begins.
func (s *Solver) flip(first int32) {
	column := s.column
	if column == None {
		column = s.Column[s.row]
		s.Column[s.row] = None
	}
	for row := s.row; column != None; {
		row = s.from[column]
		column, s.Column[row], s.Row[column] = s.Column[row], column, row
		if row == first {
			return
		}
	}
}

// heap is a binary heap of columns, the nearest first.
type heap []node

type node struct {
	distance Cost
	column   int32
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
