package match

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// drawGraph draws a graph of up to limit rows and columns. Its costs are few, so
// that many of them are the same.
func drawGraph(t *rapid.T, limit int) *Graph {
	var g Graph
	columns := rapid.IntRange(0, limit).Draw(t, "columns")
	spread := rapid.SampledFrom([]int{1, 5, 100, 1 << 20}).Draw(t, "spread")
	cost := rapid.IntRange(-spread/5, spread)
	density := rapid.IntRange(1, 5).Draw(t, "density")
	g.Reset(columns)
	for range rapid.IntRange(0, limit).Draw(t, "rows") {
		var edges []Edge
		for j := range columns {
			if rapid.IntRange(1, 5).Draw(t, "edge") <= density {
				edges = append(edges, Edge{int32(j), Cost(cost.Draw(t, "cost"))})
			}
		}
		g.AddRow(Cost(rapid.SampledFrom([]int{spread / 2, spread + 1, 1000 * spread, -1}).Draw(t, "skip")), edges...)
	}
	return &g
}

func TestSolveIsOptimal(t *testing.T) {
	t.Parallel()
	var s Solver // of all cases, so that nothing of one may tell in the next
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t, 12)
		solution := s.Solve(g)
		if err := prove(g, solution); err != nil {
			t.Fatal(err)
		}
		if want := hungarian(g); solution.Cost != want {
			t.Fatalf("cost %d, and the Hungarian algorithm finds %d", solution.Cost, want)
		}
	})
}

// prove checks that a solution is an assignment, that its prices are feasible and
// that what it costs is what they promise.
func prove(g *Graph, s *Solution) error {
	var cost, dual Cost
	matched := 0
	for row := range g.Rows() {
		column, skip := s.Column[row], g.Skip(row)
		dual += s.U[row]
		if s.U[row] > skip {
			return fmt.Errorf("row %d: price %d is above its skip price %d", row, s.U[row], skip)
		}
		least, has := skip, false
		for _, e := range g.Edges(row) {
			if s.U[row]+s.V[e.Column] > e.Cost {
				return fmt.Errorf("row %d, column %d: prices %d + %d are above the cost %d", row, e.Column, s.U[row], s.V[e.Column], e.Cost)
			}
			if e.Column == column && (!has || e.Cost < least) {
				least, has = e.Cost, true
			}
		}
		if column != None {
			if !has || s.Row[column] != int32(row) {
				return fmt.Errorf("row %d has column %d, which it may not have or row %d has", row, column, s.Row[column])
			}
			matched++
		}
		cost += least
	}
	for column, row := range s.Row {
		dual += s.V[column]
		switch {
		case s.V[column] > 0 || row == None && s.V[column] != 0:
			return fmt.Errorf("column %d of row %d has the price %d", column, row, s.V[column])
		case row != None && s.Column[row] != int32(column):
			return fmt.Errorf("column %d has row %d, which has column %d", column, row, s.Column[row])
		}
	}
	if cost != s.Cost || dual != s.Cost || matched != s.Matched {
		return fmt.Errorf("cost %d, sum of prices %d, %d matched; said to be %d, %d matched", cost, dual, matched, s.Cost, s.Matched)
	}
	return nil
}
