package match

import "slices"

// Solver solves assignments and owns the memory for it, which it uses again: once
// it has grown to its work it allocates nothing. It is not for concurrent use.
type Solver struct {
	graph *Graph
	Solution
	search

	skips []Cost   // of rows; of seats that are filled, more than anything
	left  []int32  // rows that the reduction could not place
	saved Solution // before a team was tried

	relaxed Graph // of Bound

	more    More   // nil: the graph has all edges
	rest    []Cost // what of each row more gives costs no less
	fetched []Edge
}

// Solution is an optimal assignment and the prices that prove it. The slices are
// the solver's, until it solves again.
type Solution struct {
	Column []int32 // each row's column, or None
	Row    []int32 // each column's row, or None

	// U and V are the dual variables: U[i] + V[j] ≤ cost for each edge (i, j), U[i]
	// ≤ skip(i), V[j] ≤ 0, with equality for the pairs of the solution, for the
	// rows left out and for the columns that nobody has. So Σ U + Σ V = Cost,
	// and no assignment costs less. With teams that holds without the seats of
	// those left out: none costs less that serves the same teams.
	U, V []Cost

	Cost    Cost // of all pairs, and the skip prices of the rows left out
	Matched int  // rows that have a column
	Widened int  // times that Widen asked for more edges
}

// Solve finds an assignment of the least cost. See the package's documentation
// for what that is.
func (s *Solver) Solve(g *Graph) *Solution {
	s.more, s.rest = nil, nil
	return s.solve(g)
}

func (s *Solver) solve(g *Graph) *Solution {
	s.open(g)
	s.reduce()
	for _, row := range s.left {
		s.augment(row)
	}
	for _, team := range g.teams {
		s.admit(team)
	}
	s.sum()
	return &s.Solution
}

// open begins with nothing assigned: prices of zero are feasible.
func (s *Solver) open(g *Graph) {
	s.graph = g
	s.skips = append(s.skips[:0], g.skips...)
	s.Column, s.Row = refill(s.Column, g.Rows(), None), refill(s.Row, g.Columns(), None)
	s.U, s.V = refill(s.U, g.Rows(), 0), refill(s.V, g.Columns(), 0)
	s.search.open(g.Columns())
	s.left, s.Widened = s.left[:0], 0
}

// refill returns a slice of n times the value, in the old one's memory if it fits.
func refill[T any](old []T, n int, value T) []T {
	if cap(old) < n {
		old = make([]T, n, n+n/4)
	}
	old = old[:n]
	for i := range old {
		old[i] = value
	}
	return old
}

// bids is how many times, on average, a row may bid for a column in the
// reduction. Rows that fight over too few columns outbid one another by little
// for long; a path of augment settles that at once.
const bids = 4

// reduce places most rows at little cost, as the augmenting row reduction of
// Jonker and Volgenant does: a row takes the column that is best for it, and if
// another row has that, raises its price to where the second best is as good. It
// leaves rows whose best column is taken and no better than their second best.
func (s *Solver) reduce() {
	budget := bids * s.graph.Rows()
	teams := s.graph.teams
	for first := 0; first < s.graph.Rows(); first++ {
		if len(teams) > 0 && first == teams[0].from {
			first, teams = teams[0].to-1, teams[1:]
			continue
		}
		for row := int32(first); row != None; {
			column, best, second := s.twoBest(row)
			for s.wants(row, second) {
				s.fetch(row, second)
				column, best, second = s.twoBest(row)
			}
			if column == None {
				s.U[row] = s.skips[row]
				break
			}
			owner := s.Row[column]
			if owner != None {
				if best == second || budget == 0 {
					s.left = append(s.left, row)
					break
				}
				budget--
				s.Column[owner] = None
				s.V[column] -= second - best
				best = second
			}
			s.pair(row, column)
			s.U[row] = best
			row = owner
		}
	}
}

func (s *Solver) pair(row, column int32) { s.Column[row], s.Row[column] = column, row }

// twoBest finds the column that is best for a row at the present prices, at best,
// and what the next best way, which may be to be left out, would cost. Of columns
// that are as good it takes one that nobody has. There is None when to be left
// out is as good as any.
func (s *Solver) twoBest(row int32) (column int32, best, second Cost) {
	column, best, second = None, s.skips[row], s.skips[row]
	for _, e := range s.graph.Edges(int(row)) {
		if e.Cost >= second { // and so are those that follow, at any price
			break
		}
		switch c := e.Cost - s.V[e.Column]; {
		case c < best:
			column, best, second = e.Column, c, best
		case c < second:
			second = c
			if c == best && column != None && s.Row[column] != None && s.Row[e.Column] == None {
				column = e.Column
			}
		}
	}
	return column, best, second
}

// sum adds up what the pairs cost, and the rows and teams that are left out.
func (s *Solver) sum() {
	s.Cost, s.Matched = 0, 0
	for row, column := range s.Column {
		if column == None {
			s.Cost += s.graph.skips[row]
			continue
		}
		s.Cost += s.U[row] + s.V[column]
		s.Matched++
	}
	for _, team := range s.graph.teams {
		if s.Column[team.from] == None { // its price was counted for each seat
			s.Cost -= Cost(team.to-team.from-1) * s.graph.skips[team.from]
		}
	}
}

// Clone returns a copy that is the caller's to keep.
func (s *Solution) Clone() *Solution {
	c := *s
	c.Column, c.Row = slices.Clone(s.Column), slices.Clone(s.Row)
	c.U, c.V = slices.Clone(s.U), slices.Clone(s.V)
	return &c
}
