package match

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// table is an assignment problem written out: each row's cost of each column,
// forbidden where there is no edge, and the price of leaving it out.
type table struct {
	columns int
	costs   [][]Cost
	skips   []Cost
}

const forbidden = MaxCost + 1

// drawTable draws a table of up to limit rows and columns. Some have few different
// costs, so that many are the same.
func drawTable(t *rapid.T, limit int) *table {
	spread := rapid.SampledFrom([]int{1, 5, 100, 1 << 30}).Draw(t, "spread")
	density := rapid.IntRange(1, 5).Draw(t, "density")
	d := &table{columns: rapid.IntRange(0, limit).Draw(t, "columns")}
	for range rapid.IntRange(0, limit).Draw(t, "rows") {
		row := make([]Cost, d.columns)
		for j := range row {
			if row[j] = forbidden; rapid.IntRange(1, 5).Draw(t, "edge") <= density {
				row[j] = Cost(rapid.IntRange(-spread/5, spread).Draw(t, "cost"))
			}
		}
		d.costs = append(d.costs, row)
		d.skips = append(d.skips, Cost(rapid.SampledFrom([]int{spread / 2, spread + 1, 100 * spread, -1}).Draw(t, "skip")))
	}
	return d
}

// edges returns a row's edges, the cheapest first.
func (d *table) edges(row int) []Edge {
	var edges []Edge
	for column, cost := range d.costs[row] {
		if cost != forbidden {
			edges = append(edges, Edge{int32(column), cost})
		}
	}
	slices.SortStableFunc(edges, byCost)
	return edges
}

func (d *table) graph() *Graph {
	var g Graph
	g.Reset(d.columns)
	for row, skip := range d.skips {
		g.AddRow(skip, d.edges(row)...)
	}
	return &g
}

func TestSolveIsOptimal(t *testing.T) {
	t.Parallel()
	var s Solver // of all cases, so that nothing of one may tell in the next
	rapid.Check(t, func(t *rapid.T) {
		d := drawTable(t, 12)
		solution := s.Solve(d.graph())
		if err := d.prove(solution); err != nil {
			t.Fatal(err)
		}
		if want := d.hungarian(); solution.Cost != want {
			t.Fatalf("cost %d, and the Hungarian algorithm finds %d", solution.Cost, want)
		}
	})
}

// prove checks that a solution is an assignment, that its prices are feasible for
// every edge of the table, and that it costs what they promise.
func (d *table) prove(s *Solution) error {
	var cost, dual Cost
	matched := 0
	for row, skip := range d.skips {
		dual += s.U[row]
		if s.U[row] > skip {
			return fmt.Errorf("row %d: price %d is above its skip price %d", row, s.U[row], skip)
		}
		for column, c := range d.costs[row] {
			if s.U[row]+s.V[column] > c {
				return fmt.Errorf("row %d, column %d: prices %d + %d are above the cost %d", row, column, s.U[row], s.V[column], c)
			}
		}
		if column := s.Column[row]; column == None {
			cost += skip
		} else {
			if d.costs[row][column] == forbidden || s.Row[column] != int32(row) {
				return fmt.Errorf("row %d has column %d, which it may not have or row %d has", row, column, s.Row[column])
			}
			cost += d.costs[row][column]
			matched++
		}
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

func TestWidenIsOptimalOnTheCompleteGraph(t *testing.T) {
	t.Parallel()
	var s Solver
	rapid.Check(t, func(t *rapid.T) {
		d := drawTable(t, 12)
		slack := Cost(rapid.IntRange(0, 20).Draw(t, "slack")) // how much too low bounds are
		chunk := rapid.IntRange(0, 3)
		given := make([]int, len(d.skips))
		rest := make([]Cost, len(d.skips))
		more := func(dst []Edge, row int, below Cost) ([]Edge, Cost) {
			all := d.edges(row)
			from := given[row]
			to := min(from+chunk.Draw(t, "chunk"), len(all))
			if from == to && from < len(all) && all[from].Cost < below {
				to++
			}
			given[row] = to
			if to == len(all) {
				return append(dst, all[from:to]...), MaxCost
			}
			return append(dst, all[from:to]...), all[to].Cost - slack
		}
		var g Graph
		g.Reset(d.columns)
		for row, skip := range d.skips {
			var edges []Edge
			edges, rest[row] = more(nil, row, -MaxCost)
			g.AddRow(skip, edges...)
		}
		solution := s.Widen(&g, rest, more)
		if err := d.prove(solution); err != nil {
			t.Fatal(err)
		}
		if want := d.hungarian(); solution.Cost != want {
			t.Fatalf("cost %d, and the Hungarian algorithm finds %d", solution.Cost, want)
		}
		for row, all := range rest {
			if solution.U[row] > all {
				t.Fatalf("row %d pays %d, and what it was not given may cost %d", row, solution.U[row], all)
			}
		}
	})
}
