package plan

import (
	"time"

	"armora/dispatch/match"
)

// Bound returns a value that no plan of the problem serves more than: what the best
// one would serve if the seats of a team could be filled in part, and if who does one
// job after another had to suit each two that follow one another, and not all of
// them by the end of one shift. It counts firm seats like all others: they have to
// be in time.
//
// That is a flow of officers through the jobs. Since a job passes on the one officer
// that it gets, it is solved as an assignment: every seat takes what it follows, an
// officer or another seat, or else itself, which then nobody can follow, at the
// price of its value.
func (s *Planner) Bound(p *Problem) time.Duration {
	s.open(p)
	officers, total := len(p.Officers), match.Cost(0)
	able := s.able()
	s.graph.Reset(officers + len(s.seats))
	var edges []match.Edge
	for i := range s.seats {
		t := &s.seats[i]
		edges = edges[:0]
		for _, o := range t.fits {
			edges = append(edges, match.Edge{Column: o})
		}
		for before := range s.seats {
			way := s.ways[int(s.seats[before].job)*len(s.Jobs)+int(t.job)]
			if way != never && meet(able[before], able[i]) {
				edges = append(edges, match.Edge{Column: int32(officers + before)})
			}
		}
		value := match.Cost(t.worth / int64(p.Rules.Worth))
		total += value
		s.graph.AddRow(match.MaxCost, append(edges, match.Edge{Column: int32(officers + i), Cost: value})...)
	}
	return time.Duration(total-s.solver.Solve(&s.graph).Cost) * time.Millisecond
}

// able is, of each seat, the set of officers who suit it, as bits.
func (s *Planner) able() [][]uint64 {
	able := make([][]uint64, len(s.seats))
	for i := range s.seats {
		able[i] = make([]uint64, len(s.Officers)/64+1)
		for _, o := range s.seats[i].fits {
			able[i][o/64] |= 1 << (o % 64)
		}
	}
	return able
}

func meet(a, b []uint64) bool {
	for n := range a {
		if a[n]&b[n] != 0 {
			return true
		}
	}
	return false
}
