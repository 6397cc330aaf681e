package match

import (
	"math"
	"time"
)

// Round is one matching of seats with officers, as the engine of a hub and the
// simulator run it: seats go in with some of those who could have them, and come out
// assigned at the least cost that there is with everybody. It makes the edges, prices
// them by Weights, and holds to Swaps who may be replaced. It keeps its memory when it
// is opened again, and is not for concurrent use.
type Round struct {
	Weights Weights
	Swaps   SwapRules

	graph   Graph
	solver  Solver
	holders []*Holder // of each row
	rest    []Cost    // of each row, what those cost at least who were not looked at
	edges   []Edge
	found   []Candidate
}

// Seat is one for which somebody is looked for.
type Seat struct {
	Holder     *Holder       // nil: nobody has it
	Candidates []Candidate   // some of those who could have it
	Others     time.Duration // the least pick-up time of all others; Nobody, if there are none
}

// Holder is an officer who has a seat, and may be replaced before the pick-up. Their
// column may be had by other seats then.
type Holder struct {
	Column int32
	Left   time.Duration // until they are there
}

// Candidate is an officer who could have a seat.
type Candidate struct {
	Column int32
	Terms
}

// Nobody is the pick-up time of those who do not exist.
const Nobody time.Duration = math.MaxInt64

// Look finds more who could have the seat of a row. It appends to dst some whom it has
// not given before, and returns the least pick-up time of those who are still left, or
// Nobody. If it finds nobody who suits, it is asked again as long as others may be of
// use.
type Look func(dst []Candidate, row int) (found []Candidate, others time.Duration)

// Open begins a round, with so many columns.
func (r *Round) Open(columns int) {
	r.graph.Reset(columns)
	r.holders, r.rest = r.holders[:0], r.rest[:0]
}

// Add adds the seats of a booking that has waited so long, each as a row, and copies
// what it needs of them. They are filled together or not at all, and a team counts as
// much as so many bookings of one seat: teams are added the oldest first
// (Graph.AddTeam). A seat that has a Holder is the only one of its booking, and keeps
// them if it is given nobody else.
func (r *Round) Add(waited time.Duration, seats ...Seat) {
	price := Cost(len(seats)) * r.Weights.Skip(waited)
	if len(seats) > 1 {
		edges := make([][]Edge, len(seats))
		for i := range seats {
			edges[i] = r.row(nil, &seats[i])
		}
		r.graph.AddTeam(price, edges...)
		return
	}
	if seats[0].Holder != nil {
		price = MaxCost // nobody is let go for somebody who is not there
	}
	r.edges = r.row(r.edges[:0], &seats[0])
	r.graph.AddRow(price, r.edges...)
}

// row begins a row, and appends its edges.
func (r *Round) row(edges []Edge, s *Seat) []Edge {
	row := len(r.holders)
	r.holders, r.rest = append(r.holders, s.Holder), append(r.rest, r.least(s.Holder, s.Others))
	if s.Holder != nil {
		edges = append(edges, Edge{s.Holder.Column, r.Swaps.keep(s.Holder.Left)})
	}
	return r.price(edges, row, s.Candidates)
}

// price appends the edges to candidates who may have the seat of a row.
func (r *Round) price(edges []Edge, row int, found []Candidate) []Edge {
	had := r.holders[row]
	for i := range found {
		c := &found[i]
		if had == nil || c.Column != had.Column && r.Swaps.Allows(had.Left, c.Pickup) {
			edges = append(edges, Edge{c.Column, r.Weights.Cost(&c.Terms)})
		}
	}
	return edges
}

// least is what those cost at least who need so long.
func (r *Round) least(had *Holder, others time.Duration) Cost {
	if others == Nobody || had != nil && !r.Swaps.Allows(had.Left, others) {
		return MaxCost
	}
	return r.Weights.Least(others)
}

// Solve assigns the seats, in the order in which they were added. The solution is the
// round's until it is opened again; a seat that keeps its holder has their column.
func (r *Round) Solve(look Look) *Solution {
	return r.solver.Widen(&r.graph, r.rest, func(edges []Edge, row int, below Cost) ([]Edge, Cost) {
		for {
			var others time.Duration
			r.found, others = look(r.found[:0], row)
			edges = r.price(edges, row, r.found)
			if rest := r.least(r.holders[row], others); len(edges) > 0 || rest >= below {
				return edges, rest
			}
		}
	})
}
