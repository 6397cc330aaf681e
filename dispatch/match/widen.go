package match

// More gives a row's next edges. It appends to dst some that it has not given
// before, and returns what those that are still left cost at least (MaxCost, if
// none is left). It chooses how many, but appends none only if none is left that
// is cheaper than below.
//
// The edges have to cost no less than was said of them before; one that does,
// because an officer has come nearer since, is taken to cost as much. One that is
// given twice does no harm.
type More func(dst []Edge, row int, below Cost) (edges []Edge, rest Cost)

// Widen is Solve on a graph of which each row has some edges only, say to the
// nearest officers, and finds what is optimal with all edges. rest is what each
// row's other edges cost at least, and more gives them.
//
// An edge that nobody has looked at costs no less than rest, and no column's price
// is above 0. So if a row's price is at most rest, its other edges cannot improve
// on the solution, and that holds for each row in the end. On the way there, a row
// is asked about again only when its other edges might be on a shortest path: in a
// search they are one entry of the queue, at the least distance that they can be.
//
// The edges that were given stay in the graph, and what is then true of the others
// in rest.
func (s *Solver) Widen(g *Graph, rest []Cost, more More) *Solution {
	s.rest, s.more = rest, more
	return s.solve(g)
}

// wants reports whether edges that are not known of a row, cheaper than below,
// may be of use.
func (s *Solver) wants(row int32, below Cost) bool { return s.more != nil && s.rest[row] < below }

// fetch gets more edges of a row. Of those cheaper than below it gets at least
// one, or learns that there are none.
func (s *Solver) fetch(row int32, below Cost) {
	known := s.rest[row]
	edges, rest := s.more(s.fetched[:0], int(row), below)
	if len(edges) == 0 {
		rest = max(rest, below)
	}
	for i := range edges {
		edges[i].Cost = max(edges[i].Cost, known)
	}
	s.graph.extend(int(row), edges)
	s.rest[row], s.fetched = max(rest, known), edges
	s.Widened++
}

// widenFrom gets more edges of a row that a search has reached, and looks at them.
func (s *Solver) widenFrom(row int32, now Cost) {
	s.fetch(row, s.best-s.base(row))
	s.relax(row, now)
}
