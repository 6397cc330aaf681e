package live

import (
	"fmt"
	"testing"

	"armora/fleet"
)

// check returns what is wrong with an index that nobody is writing to.
func (x *Index) check() error {
	positioned := 0
	var wrong error
	x.units.each(func(v *vehicle) {
		if x.units.find(v.unit, hash(v.unit)) != v {
			wrong = fmt.Errorf("unit %v is not found", v.unit)
		}
		if v.at == 0 {
			return
		}
		positioned++
		if err := x.checkPlace(v); err != nil {
			wrong = err
		}
	})
	if wrong != nil {
		return wrong
	}
	if x.Len() != positioned {
		return fmt.Errorf("Len is %d, and %d units have a position", x.Len(), positioned)
	}
	entries := 0
	for _, p := range *x.pages.Load() {
		n, err := x.checkPage(p)
		if err != nil {
			return fmt.Errorf("page %d/%d: %w", p.band, p.column, err)
		}
		entries += n
	}
	if entries != positioned {
		return fmt.Errorf("%d entries for %d units with a position", entries, positioned)
	}
	return nil
}

// checkPlace finds the vehicle's entry where its position belongs.
func (x *Index) checkPlace(v *vehicle) error {
	p := x.placeOf(v)
	h, t := &p.page.heads[p.cell], &p.page.tails[p.cell]
	depth := 0
	for ; h.child.Load() != nil; depth++ {
		q, child := p.way.quadrant(depth), h.child.Load()
		h, t = &child.heads[q], &child.tails[q]
	}
	switch {
	case int(v.depth) != depth:
		return fmt.Errorf("unit %v believes to be at depth %d of %d", v.unit, v.depth, depth)
	case v.leaf != h || uint32(v.slot) >= h.n.Load() || t[v.slot].Load() != v:
		return fmt.Errorf("unit %v has no entry where its position belongs", v.unit)
	case h.positions[v.slot].Load() != v.position:
		return fmt.Errorf("the entry of unit %v is not up to date", v.unit)
	}
	return nil
}

func (x *Index) checkPage(p *page) (entries int, err error) {
	if x.page(p.band, p.column) != p {
		return 0, fmt.Errorf("it is not found")
	}
	if p.begun.Load() != p.ended.Load() || p.paused.Load() != 0 {
		return 0, fmt.Errorf("%d moves begun, %d ended, %d searches wait", p.begun.Load(), p.ended.Load(), p.paused.Load())
	}
	for i := range p.heads {
		n, err := checkHead(&p.heads[i], &p.tails[i], 0)
		if err != nil {
			return 0, fmt.Errorf("cell %d: %w", i, err)
		}
		if marked := p.occupied[i/pageSide].Load()>>(i%pageSide)&1 == 1; marked != (n > 0) {
			return 0, fmt.Errorf("cell %d holds %d, occupied is %v", i, n, marked)
		}
		entries += n
	}
	for n := p.spare; n != nil; n = n.heads[0].child.Load() {
		for i := range n.heads {
			if n.heads[i].n.Load() != 0 || n.tails[i][0].Load() != nil {
				return 0, fmt.Errorf("a spare node is not empty")
			}
		}
	}
	return entries, nil
}

// checkHead counts what is below a head.
func checkHead(h *head, t *tail, depth int) (int, error) {
	n := int(h.n.Load())
	if h.sequence.Load()&1 == 1 {
		return 0, fmt.Errorf("it is locked")
	}
	child := h.child.Load()
	for i := range t {
		if held := child == nil && i < n; held != (t[i].Load() != nil) {
			return 0, fmt.Errorf("depth %d: entry %d of %d is held: %v", depth, i, n, !held)
		}
	}
	if child == nil {
		if n > leafSize {
			return 0, fmt.Errorf("depth %d: a leaf of %d", depth, n)
		}
		return n, nil
	}
	sum := 0
	for i := range child.heads {
		below, err := checkHead(&child.heads[i], &child.tails[i], depth+1)
		if err != nil {
			return 0, err
		}
		sum += below
	}
	if sum != n || n <= mergeBelow {
		return 0, fmt.Errorf("depth %d: a node of %d has %d below", depth, n, sum)
	}
	return n, nil
}

// newIndex returns an index whose invariants are checked when the test ends.
func newIndex(t testing.TB) *Index {
	t.Helper()
	x := New(Options{})
	t.Cleanup(func() {
		if err := x.check(); err != nil {
			t.Error(err)
		}
	})
	return x
}

// unit returns the nth unit.
func unit(n int) fleet.Unit {
	return fleet.Unit{12: byte(n >> 24), 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}
}

// device returns the nth device.
func device(n int) fleet.DeviceID { return fleet.DeviceID(unit(n)) }
