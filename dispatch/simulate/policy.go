package simulate

import (
	"container/heap"
	"fmt"
)

// Policies are the names of the policies, the simplest first.
var Policies = []string{"fifo", "nearest", "batch"}

// pairing is a rider and the driver who is to be asked.
type pairing struct{ rider, driver int32 }

// policy pairs those in the queue with drivers who are free, each at most once. What
// it does to the town meanwhile, it undoes.
type policy interface {
	pair(t *town) []pairing
}

func newPolicy(name string, swaps bool) (policy, error) {
	switch name {
	case "fifo":
		return new(fifo), nil
	case "nearest":
		return new(greedy), nil
	case "batch":
		return newBatch(swaps), nil
	}
	return nil, fmt.Errorf("no policy %q", name)
}

// fifo gives each request in turn, the oldest first, its nearest free driver.
type fifo struct {
	found []near
}

func (p *fifo) pair(t *town) []pairing {
	var pairs []pairing
	for _, i := range t.queue {
		r := &t.riders[i]
		p.found = t.free.nearest(p.found[:0], r.from, 1, r.declined)
		if len(p.found) == 0 {
			continue
		}
		pairs = append(pairs, pairing{i, p.found[0].driver})
		t.free.take(p.found[0].driver)
	}
	return t.giveBack(pairs)
}

// giveBack makes drivers free again who were taken while pairs were sought.
func (t *town) giveBack(pairs []pairing) []pairing {
	for _, pair := range pairs {
		t.free.put(pair.driver, t.free.at[pair.driver])
	}
	return pairs
}

// greedy pairs the two of all that are nearest, and goes on with the rest.
type greedy struct {
	found []near
	queue byNearest
}

// candidate is a rider's nearest driver when it was last looked for.
type candidate struct {
	near
	rider int32
}

func (p *greedy) pair(t *town) []pairing {
	p.queue = p.queue[:0]
	for _, i := range t.queue {
		p.push(t, i)
	}
	var pairs []pairing
	for len(p.queue) > 0 {
		c := heap.Pop(&p.queue).(candidate)
		if t.free.where[c.driver] == gone {
			p.push(t, c.rider)
			continue
		}
		pairs = append(pairs, pairing{c.rider, c.driver})
		t.free.take(c.driver)
	}
	return t.giveBack(pairs)
}

// push looks for a rider's nearest driver.
func (p *greedy) push(t *town, i int32) {
	r := &t.riders[i]
	p.found = t.free.nearest(p.found[:0], r.from, 1, r.declined)
	if len(p.found) > 0 {
		heap.Push(&p.queue, candidate{p.found[0], i})
	}
}

// byNearest is a heap of candidates, the nearest first.
type byNearest []candidate

func (h byNearest) Len() int { return len(h) }
func (h byNearest) Less(i, j int) bool {
	return h[i].metres < h[j].metres || h[i].metres == h[j].metres && h[i].rider < h[j].rider
}
func (h byNearest) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push is for container/heap.
func (h *byNearest) Push(x any) { *h = append(*h, x.(candidate)) }

// Pop is for container/heap.
func (h *byNearest) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
