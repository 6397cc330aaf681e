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
	teams   []span // of rows; they follow the bookings of one seat
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
	for row := range d.singles() {
		g.AddRow(d.skips[row], d.edges(row)...)
	}
	for _, team := range d.teams {
		var seats [][]Edge
		for row := team.from; row < team.to; row++ {
			seats = append(seats, d.edges(row))
		}
		g.AddTeam(d.skips[team.from], seats...)
	}
	return &g
}

// singles returns how many rows are bookings of one seat.
func (d *table) singles() int {
	if len(d.teams) > 0 {
		return d.teams[0].from
	}
	return len(d.skips)
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

// prove checks a solution without teams: that it is an assignment, that its prices
// are feasible for every edge of the table, and that it costs what they promise.
func (d *table) prove(s *Solution) error {
	var dual Cost
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
	}
	for column, row := range s.Row {
		dual += s.V[column]
		if s.V[column] > 0 || row == None && s.V[column] != 0 {
			return fmt.Errorf("column %d of row %d has the price %d", column, row, s.V[column])
		}
	}
	if dual != s.Cost {
		return fmt.Errorf("the prices add up to %d, and the cost is said to be %d", dual, s.Cost)
	}
	return d.check(s)
}

// check checks that a solution is an assignment, with teams served whole or not at
// all, and costs what it says.
func (d *table) check(s *Solution) error {
	var cost Cost
	matched := 0
	for row, column := range s.Column {
		switch {
		case column == None:
			cost += d.skips[row]
		case d.costs[row][column] == forbidden || s.Row[column] != int32(row):
			return fmt.Errorf("row %d has column %d, which it may not have or row %d has", row, column, s.Row[column])
		default:
			cost += d.costs[row][column]
			matched++
		}
	}
	for column, row := range s.Row {
		if row != None && s.Column[row] != int32(column) {
			return fmt.Errorf("column %d has row %d, which has column %d", column, row, s.Column[row])
		}
	}
	for _, team := range d.teams {
		for row := team.from + 1; row < team.to; row++ {
			if (s.Column[row] == None) != (s.Column[team.from] == None) {
				return fmt.Errorf("of the team %v only some seats are filled", team)
			}
			if s.Column[row] == None { // the team's price is counted once
				cost -= d.skips[row]
			}
		}
	}
	if cost != s.Cost || matched != s.Matched {
		return fmt.Errorf("cost %d with %d matched; said to be %d with %d", cost, matched, s.Cost, s.Matched)
	}
	return nil
}

func TestARoundLikeTheLastAllocatesNothing(t *testing.T) {
	crush, _ := newCity(1, 500, crowds[4]).graph(nearestFew)
	team := [][]Edge{crush.Edges(0), crush.Edges(1), crush.Edges(2)}
	var g Graph
	var s Solver
	round := func() {
		g.Reset(crush.Columns())
		for row := range crush.Rows() {
			g.AddRow(crush.Skip(row), crush.Edges(row)...)
		}
		g.AddTeam(3*patience, team...)
		s.Solve(&g)
	}
	round()
	if n := testing.AllocsPerRun(10, round); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAGraphRefusesWhatItCannotHold(t *testing.T) {
	t.Parallel()
	for name, add := range map[string]func(g *Graph){
		"a column too many": func(g *Graph) { g.AddRow(10, Edge{2, 1}) },
		"a negative column": func(g *Graph) { g.AddRow(10, Edge{-1, 1}) },
		"a cost too high":   func(g *Graph) { g.AddRow(10, Edge{0, MaxCost + 1}) },
		"a price too low":   func(g *Graph) { g.AddRow(-MaxCost-1, Edge{0, 1}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("was taken")
				}
			}()
			var g Graph
			g.Reset(2)
			add(&g)
		})
	}
}

func TestTheHighestCostsDoNotOverflow(t *testing.T) {
	t.Parallel()
	var g Graph
	g.Reset(40)
	for range 50 {
		var edges []Edge
		for column := range int32(40) {
			edges = append(edges, Edge{column, MaxCost*Cost(1-column%2*2) + Cost(column%2)})
		}
		g.AddRow(MaxCost, edges...)
	}
	var s Solver
	// Twenty columns cost as much as to be left out, and twenty one more than the least.
	if got := s.Solve(&g); got.Matched != 20 || got.Cost != 30*MaxCost-20*(MaxCost-1) {
		t.Errorf("%d matched at %d", got.Matched, got.Cost)
	}
}

func TestAsManyAreServedAsCanBeIfLeavingOutIsDear(t *testing.T) {
	t.Parallel()
	var s Solver
	rapid.Check(t, func(t *rapid.T) {
		d := drawTable(t, 9)
		var low, high Cost
		for _, costs := range d.costs {
			for _, c := range costs {
				if c != forbidden {
					low, high = min(low, c), max(high, c)
				}
			}
		}
		for row := range d.skips {
			d.skips[row] = Cost(len(d.skips))*(high-low) + high + 1
		}
		matched := s.Solve(d.graph()).Matched
		// Kuhn's algorithm counts no costs.
		owner := make(map[int]int)
		var place func(row int, tried map[int]bool) bool
		place = func(row int, tried map[int]bool) bool {
			for column, c := range d.costs[row] {
				if c == forbidden || tried[column] {
					continue
				}
				tried[column] = true
				if other, taken := owner[column]; !taken || place(other, tried) {
					owner[column] = row
					return true
				}
			}
			return false
		}
		for row := range d.skips {
			place(row, map[int]bool{})
		}
		if matched != len(owner) {
			t.Fatalf("%d are matched, and %d can be", matched, len(owner))
		}
	})
}
