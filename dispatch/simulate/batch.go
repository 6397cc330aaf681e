package simulate

import (
	"cmp"
	"slices"
	"time"

	"armora/dispatch/match"
	"armora/fleet"
)

const (
	// fewest is how many drivers the batch looks at for each request before the
	// solver asks for more.
	fewest = 20

	// swapsEach is how many riders are looked at for each free driver to take over.
	swapsEach = 3

	// kept is what it costs that somebody who has a driver has none: it never pays.
	kept = match.MaxCost
)

// batch solves the assignment of all who wait and all who are free, exactly, by the
// engine's weights. With swaps it also gives those who have a driver another, where
// match.SwapRules allow it: their drivers are then to be had for others.
type batch struct {
	swaps   bool
	weights match.Weights // of the engine; of them pick-up time and how far at most
	rules   match.SwapRules
	graph   match.Graph
	solver  match.Solver
	found   []near
	edges   []match.Edge
	rows    []batchRow
	rest    []match.Cost
}

// batchRow is a rider in the graph.
type batchRow struct {
	rider int32
	had   int           // drivers that were given
	left  time.Duration // until the driver whom the rider has is there; 0: has none
}

func newBatch(swaps bool) *batch {
	weights := match.Weights{Farthest: match.DefaultWeights().Farthest}
	return &batch{swaps: swaps, weights: weights, rules: match.DefaultSwapRules()}
}

func (p *batch) pair(t *town) []pairing {
	p.graph.Reset(t.Drivers)
	p.rows, p.rest = p.rows[:0], p.rest[:0]
	moved := p.open(t)
	for _, i := range t.queue {
		p.addRow(t, batchRow{rider: i})
	}
	solution := p.solver.Widen(&p.graph, p.rest, func(dst []match.Edge, row int, _ match.Cost) ([]match.Edge, match.Cost) {
		p.edges = dst
		rest := p.more(t, row, max(fewest, p.rows[row].had))
		return p.edges, rest
	})
	for _, driver := range moved {
		t.free.take(driver)
	}
	var pairs []pairing
	for row := range p.rows {
		i, column := p.rows[row].rider, solution.Column[row]
		if column != match.None && column != t.riders[i].driver {
			pairs = append(pairs, pairing{i, column})
		}
	}
	return pairs
}

// open adds the rows of those who may be swapped for somebody who is free, and has
// their drivers found where they are now.
func (p *batch) open(t *town) (moved []int32) {
	if !p.swaps {
		return nil
	}
	open := p.movable(t)
	for _, row := range open {
		r := &t.riders[row.rider]
		at, _ := t.underway(r)
		t.free.put(r.driver, at)
		moved = append(moved, r.driver)
	}
	for _, row := range open {
		p.addRow(t, row)
	}
	return moved
}

// movable are the riders who may be swapped: of those who have the same free driver
// nearest, the few who would gain the most.
func (p *batch) movable(t *town) []batchRow {
	var all []gain
	for n := len(t.stints) - 1; n >= 0 && t.stints[n].from+p.weights.Farthest >= t.now; n-- {
		i := t.stints[n].rider
		r := &t.riders[i]
		if r.stint != n || r.swapped || r.met <= t.now {
			continue
		}
		_, left := t.underway(r)
		if left < p.rules.Close {
			continue
		}
		p.found = t.free.nearest(p.found[:0], r.from, 1, r.declined)
		if len(p.found) == 0 {
			continue
		}
		if pickup := t.Rules.travel(p.found[0].metres); p.allows(left, pickup) {
			all = append(all, gain{batchRow{rider: i, left: left}, p.found[0].driver, left - pickup})
		}
	}
	slices.SortFunc(all, func(a, b gain) int {
		return cmp.Or(cmp.Compare(a.by, b.by), cmp.Compare(b.gains, a.gains), cmp.Compare(a.rider, b.rider))
	})
	var open []batchRow
	for n, g := range all {
		if n < swapsEach || all[n-swapsEach].by != g.by {
			open = append(open, g.batchRow)
		}
	}
	return open
}

// gain is what a rider gains by the nearest driver who is free.
type gain struct {
	batchRow
	by    int32
	gains time.Duration
}

func (p *batch) addRow(t *town, row batchRow) {
	p.rows = append(p.rows, row)
	p.edges = p.edges[:0]
	skip := p.weights.Skip(0) // of everybody the same: all requests count alike
	if row.left > 0 {
		skip = kept
		p.edges = append(p.edges, match.Edge{Column: t.riders[row.rider].driver, Cost: p.rules.Keep(row.left)})
	}
	p.rest = append(p.rest, p.more(t, len(p.rows)-1, fewest))
	p.graph.AddRow(skip, p.edges...)
}

// more appends a row's next k edges, and returns what the others cost at least.
func (p *batch) more(t *town, row, k int) match.Cost {
	q := &p.rows[row]
	r := &t.riders[q.rider]
	p.found = t.free.nearest(p.found[:0], r.from, q.had+k, r.declined)
	for _, n := range p.found[min(q.had, len(p.found)):] {
		pickup := t.Rules.travel(n.metres)
		if q.left > 0 && n.driver != r.driver && !p.allows(q.left, pickup) {
			return match.MaxCost // nor any who is farther away
		}
		if q.left == 0 || n.driver != r.driver {
			p.edges = append(p.edges, match.Edge{Column: n.driver, Cost: p.cost(t, pickup)})
		}
	}
	q.had += k
	if len(p.found) < q.had {
		return match.MaxCost
	}
	return p.cost(t, t.Rules.travel(p.found[len(p.found)-1].metres))
}

// allows reports whether a rider whose driver is so far away may get another.
func (p *batch) allows(left, pickup time.Duration) bool {
	return p.rules.Decide(match.SwapMove{Status: fleet.EnRoute, Now: left, Then: pickup}) == match.SwapAllowed
}

func (p *batch) cost(t *town, pickup time.Duration) match.Cost {
	return p.weights.Cost(&match.Terms{Pickup: pickup, Acceptance: 1 - t.Rules.Decline, Share: 1})
}
