package match

import (
	"testing"

	"pgregory.net/rapid"
)

// drip gives the edges of a table a few at a time.
type drip struct {
	*table
	t     *rapid.T
	given []int
	slack Cost // how much too low its bounds are
}

func (d *drip) more(dst []Edge, row int, below Cost) ([]Edge, Cost) {
	all := d.edges(row)
	from := d.given[row]
	to := min(from+rapid.IntRange(0, 3).Draw(d.t, "chunk"), len(all))
	if from == to && from < len(all) && all[from].Cost < below {
		to++
	}
	d.given[row] = to
	if to == len(all) {
		return append(dst, all[from:to]...), MaxCost
	}
	return append(dst, all[from:to]...), all[to].Cost - d.slack
}

// widen solves a table of which the solver is given little to begin with.
func (d *table) widen(t *rapid.T, s *Solver) (*Solution, []Cost) {
	tap := &drip{d, t, make([]int, len(d.skips)), Cost(rapid.IntRange(0, 20).Draw(t, "slack"))}
	known, rest := *d, make([]Cost, len(d.skips))
	known.costs = nil
	for row := range d.skips {
		costs := make([]Cost, d.columns)
		for column := range costs {
			costs[column] = forbidden
		}
		var edges []Edge
		edges, rest[row] = tap.more(nil, row, -MaxCost)
		for _, e := range edges {
			costs[e.Column] = e.Cost
		}
		known.costs = append(known.costs, costs)
	}
	return s.Widen(known.graph(), rest, tap.more), rest
}

func TestWidenIsOptimalOnTheCompleteGraph(t *testing.T) {
	t.Parallel()
	var s Solver
	rapid.Check(t, func(t *rapid.T) {
		d := drawTable(t, 12)
		solution, rest := d.widen(t, &s)
		if err := d.prove(solution); err != nil {
			t.Fatal(err)
		}
		if want := d.hungarian(); solution.Cost != want {
			t.Fatalf("cost %d, and the Hungarian algorithm finds %d", solution.Cost, want)
		}
		for row, left := range rest {
			if solution.U[row] > left {
				t.Fatalf("row %d pays %d, and what it was not given may cost %d", row, solution.U[row], left)
			}
		}
	})
}

func TestWidenServesTheTeamsThatTheCompleteGraphDoes(t *testing.T) {
	t.Parallel()
	var s Solver
	rapid.Check(t, func(t *rapid.T) {
		d := drawTeams(t)
		want := s.Solve(d.graph()).Cost
		solution, _ := d.widen(t, &s)
		if err := d.check(solution); err != nil || solution.Cost != want {
			t.Fatalf("cost %d, and with all edges known %d: %v", solution.Cost, want, err)
		}
	})
}

func TestWidenAsksNothingWhereTheNearestSuffice(t *testing.T) {
	t.Parallel()
	c := newCity(1, 300, crowds[0])
	g, rest := c.graph(nearestFew)
	var s Solver
	if solution := s.Widen(g, rest, c.more); solution.Widened != 0 || solution.Matched != 300 {
		t.Errorf("asked %d times, matched %d", solution.Widened, solution.Matched)
	}
}

func TestWidenBringsOfficersFromFarToACrush(t *testing.T) {
	t.Parallel()
	c := newCity(1, 300, crowd{"", 2, 0.9, 0})
	g, rest := c.graph(nearestFew)
	var s Solver
	nearby := s.Solve(g).Matched
	if solution := s.Widen(g, rest, c.more); solution.Matched != 300 || nearby >= 300 {
		t.Errorf("matched %d, and %d by the nearest alone", solution.Matched, nearby)
	}
}

func TestAnEdgeCheaperThanPromisedCostsWhatWasPromised(t *testing.T) {
	t.Parallel()
	var g Graph
	g.Reset(2)
	g.AddRow(1000, Edge{0, 100})
	g.AddRow(1000, Edge{0, 100})
	rest := []Cost{200, 200}
	var s Solver
	solution := s.Widen(&g, rest, func(dst []Edge, _ int, _ Cost) ([]Edge, Cost) {
		return append(dst, Edge{1, 50}), MaxCost
	})
	if solution.Cost != 300 || solution.Matched != 2 {
		t.Errorf("cost %d, %d matched", solution.Cost, solution.Matched)
	}
}

func TestASourceThatGivesNothingIsNotAskedForEver(t *testing.T) {
	t.Parallel()
	var g Graph
	g.Reset(1)
	g.AddRow(1000)
	var s Solver
	solution := s.Widen(&g, []Cost{0}, func(dst []Edge, _ int, _ Cost) ([]Edge, Cost) { return dst, 0 })
	if solution.Matched != 0 || solution.Widened != 1 {
		t.Errorf("%d matched, asked %d times", solution.Matched, solution.Widened)
	}
}
