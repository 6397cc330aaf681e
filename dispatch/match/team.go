package match

// never is the price of leaving out a seat that is filled: more than any path
// costs.
const never Cost = 1 << 58

// admit fills the seats of a team, if that adds less to the cost of all than the
// team's price, and changes nothing otherwise: see Graph.AddTeam. What a seat adds
// is the length of the path that places it.
func (s *Solver) admit(team span) {
	s.save()
	left, least := s.graph.skips[team.from], Cost(0) // of the price; what the seats to come add at least
	for row := team.from; row < team.to; row++ {
		least += s.least(row)
	}
	for row := team.from; row < team.to; row++ {
		least -= s.least(row)
		s.skips[row] = left - least // if it adds as much, what follows cannot make up for it
		s.augment(int32(row))
		if s.Column[row] == None {
			s.restore(team)
			return
		}
		left -= s.best
		s.skips[row] = never
	}
}

// least is what a row adds at least.
func (s *Solver) least(row int) Cost {
	least := s.graph.skips[row]
	if edges := s.graph.Edges(row); len(edges) > 0 {
		least = edges[0].Cost
	}
	if s.more != nil {
		least = min(least, s.rest[row])
	}
	return least
}

func (s *Solver) save() {
	s.saved.Column, s.saved.Row = append(s.saved.Column[:0], s.Column...), append(s.saved.Row[:0], s.Row...)
	s.saved.U, s.saved.V = append(s.saved.U[:0], s.U...), append(s.saved.V[:0], s.V...)
}

// restore leaves a team out.
func (s *Solver) restore(team span) {
	s.Column, s.saved.Column = s.saved.Column, s.Column
	s.Row, s.saved.Row = s.saved.Row, s.Row
	s.U, s.saved.U = s.saved.U, s.U
	s.V, s.saved.V = s.saved.V, s.V
	for row := team.from; row < team.to; row++ {
		s.U[row] = s.graph.skips[row]
	}
}

// Bound returns a cost below which no assignment of the graph is: that of the best
// one if teams could be served in part, at a part of their price. Without teams it
// is the optimum. It uses the solver's memory: a solution is to be read before.
func (s *Solver) Bound(g *Graph) Cost {
	s.relaxed.Reset(g.Columns())
	for row := range g.Rows() {
		s.relaxed.AddRow(g.Skip(row), g.Edges(row)...)
	}
	for _, team := range g.teams {
		seats := Cost(team.to - team.from)
		for row := team.from; row < team.to; row++ {
			s.relaxed.skips[row] = floorDiv(g.Skip(row), seats)
		}
	}
	return s.Solve(&s.relaxed).Cost
}

func floorDiv(c, by Cost) Cost {
	if c < 0 {
		return -((-c + by - 1) / by)
	}
	return c / by
}
