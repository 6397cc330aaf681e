package match

import (
	"cmp"
	"fmt"
	"slices"
)

// Cost is what a pairing costs, or what leaving a request unserved costs, in
// milliseconds of pick-up time or what is worth as much. It may be negative.
// Costs are integers, so that an optimum is one exactly and no tolerance decides.
type Cost int64

const (
	// MaxCost bounds costs and skip prices, on both sides: 34 years. It leaves
	// room for the sums: of the costs of a million rows, and along any path.
	MaxCost Cost = 1 << 40

	// None is the column of a row that has none, and the row of such a column.
	None int32 = -1
)

// Edge says that a row may have a column, and at what cost.
type Edge struct {
	Column int32
	Cost   Cost
}

// Graph is who may have whom: rows (requests) with their edges to columns
// (officers), and of each row the price of leaving it out. The zero value has no
// rows and no columns. It keeps its memory when it is Reset.
type Graph struct {
	columns int
	spans   []span // where a row's edges are among all
	edges   []Edge // of each row the cheapest first
	skips   []Cost
	teams   []span // rows that are the seats of a team, the oldest team first
}

type span struct{ from, to int }

// Reset empties the graph and says how many columns it has.
func (g *Graph) Reset(columns int) {
	g.columns = columns
	g.spans, g.edges, g.skips, g.teams = g.spans[:0], g.edges[:0], g.skips[:0], g.teams[:0]
}

// AddRow adds a row and returns its number; the edges are copied. Edges that cost
// as much as skip, or more, are left out: none of them is ever better. It panics
// if a column does not exist or a cost is beyond MaxCost.
func (g *Graph) AddRow(skip Cost, edges ...Edge) int {
	checkCost(skip)
	from := len(g.edges)
	g.spans, g.skips = append(g.spans, span{from, from}), append(g.skips, skip)
	row := len(g.skips) - 1
	g.extend(row, edges)
	return row
}

// AddTeam adds a row for each seat of a team, and returns the number of the first.
// All seats are filled or none, and skip is the price of leaving out the team as a
// whole: no seat is filled by an edge that costs as much. It panics as AddRow does.
//
// Teams are added the oldest first, and tried in that order, when the bookings of
// one seat have been placed. A team is served if that adds less to the cost of all
// than its price. What it adds is the cost of the cheapest way to fill its seats
// and keep those of every team before it filled: bookings of one seat make room by
// moving to another officer or by being left out at their price, and teams by
// moving alone. So no team is pushed out by a younger one, and of two that block
// each other the older wins.
func (g *Graph) AddTeam(skip Cost, seats ...[]Edge) int {
	first := g.Rows()
	for _, edges := range seats {
		g.AddRow(skip, edges...)
	}
	g.teams = append(g.teams, span{first, g.Rows()})
	return first
}

// extend gives a row more edges. Unless they are the last, its edges move to the
// end of all, and leave behind a gap.
func (g *Graph) extend(row int, edges []Edge) {
	at := &g.spans[row]
	if at.to != len(g.edges) {
		from := len(g.edges)
		g.edges = append(g.edges, g.edges[at.from:at.to]...)
		*at = span{from, len(g.edges)}
	}
	for _, e := range edges {
		checkCost(e.Cost)
		if e.Column < 0 || int(e.Column) >= g.columns {
			panic(fmt.Sprintf("match: column %d of %d", e.Column, g.columns))
		}
		if e.Cost < g.skips[row] {
			g.edges = append(g.edges, e)
		}
	}
	at.to = len(g.edges)
	slices.SortStableFunc(g.edges[at.from:at.to], byCost)
}

func checkCost(c Cost) {
	if c > MaxCost || c < -MaxCost {
		panic(fmt.Sprintf("match: a cost of %d", c))
	}
}

func byCost(a, b Edge) int { return cmp.Compare(a.Cost, b.Cost) }

// Rows returns how many rows there are.
func (g *Graph) Rows() int { return len(g.skips) }

// Columns returns how many columns there are.
func (g *Graph) Columns() int { return g.columns }

// Skip returns the price of leaving out a row, or the team whose seat it is.
func (g *Graph) Skip(row int) Cost { return g.skips[row] }

// Edges returns a row's edges that are cheaper than its skip price, the cheapest
// first. They are the graph's own, until it is changed.
func (g *Graph) Edges(row int) []Edge { return g.edges[g.spans[row].from:g.spans[row].to] }
