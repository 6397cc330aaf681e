package simulate

import (
	"cmp"
	"slices"
	"time"

	"armora/dispatch/match"
)

const (
	// fewest is how many drivers the batch looks at for each request before the
	// solver asks for more.
	fewest = 20

	// swapsEach is how many riders are looked at for each free driver to take over.
	swapsEach = 3
)

// batch solves the assignment of all who wait and all who are free, exactly, as the
// engine does: by match.Round. With swaps it also gives those who have a driver
// another, where match.SwapRules allow it: their drivers are then to be had for others.
type batch struct {
	swaps      bool
	round      match.Round // with the engine's rules of swaps, and of its weights the pick-up time alone
	found      []near
	candidates []match.Candidate
	rows       []batchRow
}

// batchRow is a rider in the graph.
type batchRow struct {
	rider int32
	had   int           // drivers that were given
	left  time.Duration // until the driver whom the rider has is there; 0: has none
}

func newBatch(swaps bool) *batch {
	weights := match.Weights{Farthest: match.DefaultWeights().Farthest}
	return &batch{swaps: swaps, round: match.Round{Weights: weights, Swaps: match.DefaultSwapRules()}}
}

func (p *batch) pair(t *town) []pairing {
	p.round.Open(t.Drivers)
	p.rows = p.rows[:0]
	moved := p.open(t)
	for _, i := range t.queue {
		p.addRow(t, batchRow{rider: i})
	}
	solution := p.round.Solve(func(dst []match.Candidate, row int) ([]match.Candidate, time.Duration) {
		return p.look(dst, t, row, max(fewest, p.rows[row].had))
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
	for n := len(t.stints) - 1; n >= 0 && t.stints[n].from+p.round.Weights.Farthest >= t.now; n-- {
		i := t.stints[n].rider
		r := &t.riders[i]
		if r.stint != n || r.swapped || r.met <= t.now {
			continue
		}
		_, left := t.underway(r)
		if left < p.round.Swaps.Close {
			continue
		}
		p.found = t.free.nearest(p.found[:0], r.from, 1, r.declined)
		if len(p.found) == 0 {
			continue
		}
		if pickup := t.Rules.travel(p.found[0].metres); p.round.Swaps.Allows(left, pickup) {
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
	var seat match.Seat
	if row.left > 0 {
		seat.Holder = &match.Holder{Column: t.riders[row.rider].driver, Left: row.left}
	}
	p.rows = append(p.rows, row)
	p.candidates, seat.Others = p.look(p.candidates[:0], t, len(p.rows)-1, fewest)
	seat.Candidates = p.candidates
	p.round.Add(0, seat) // as if all had waited as long: all requests count alike
}

// look finds the k next drivers who are free and have not declined. It is a match.Look.
func (p *batch) look(dst []match.Candidate, t *town, row, k int) ([]match.Candidate, time.Duration) {
	q := &p.rows[row]
	r := &t.riders[q.rider]
	p.found = t.free.nearest(p.found[:0], r.from, q.had+k, r.declined)
	for _, n := range p.found[min(q.had, len(p.found)):] {
		dst = append(dst, match.Candidate{Column: n.driver, Terms: match.Terms{
			Pickup: t.Rules.travel(n.metres), Acceptance: 1 - t.Rules.Decline, Share: 1,
		}})
	}
	q.had += k
	if len(p.found) < q.had {
		return dst, match.Nobody
	}
	return dst, t.Rules.travel(p.found[len(p.found)-1].metres)
}
