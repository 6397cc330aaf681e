package live

import (
	"fmt"
	"testing"

	"armora/fleet"
)

// check returns what is wrong with an index that nobody is writing to.
func (x *Index) check() error {
	positioned := 0
	for ref := range x.units.made {
		v := x.units.at(ref)
		if !x.finds(v) {
			return fmt.Errorf("unit %v is not found", v.unit)
		}
		if v.at == 0 {
			continue
		}
		positioned++
		if err := x.checkPlace(v); err != nil {
			return err
		}
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
	return x.checkFeeds()
}

// finds reports whether the directory leads to a vehicle.
func (x *Index) finds(v vehicle) bool {
	found, ok := x.units.find(&v.unit, hash(&v.unit))
	return ok && found == v
}

// checkPlace finds the vehicle's entry where its position belongs.
func (x *Index) checkPlace(v vehicle) error {
	p := x.place(v.position)
	n := p.cell.root.Load()
	for depth := 0; n != nil && n.n.Load() == divided; depth++ {
		n = n.kids[p.quadrant(p.entry(v.ref), depth)].Load()
	}
	for i := range leafSize {
		if n != nil && i < int(n.n.Load()) && entry(n.entries[i].Load()) == p.entry(v.ref) {
			return nil
		}
	}
	return fmt.Errorf("unit %v has no entry where its position belongs", v.unit)
}

func (x *Index) checkPage(p *page) (entries int, err error) {
	if x.page(p.band, p.column) != p {
		return 0, fmt.Errorf("it is not found")
	}
	if p.begun.Load() != p.ended.Load() || p.paused.Load() != 0 {
		return 0, fmt.Errorf("%d moves begun, %d ended, %d searches wait", p.begun.Load(), p.ended.Load(), p.paused.Load())
	}
	for i := range p.cells {
		c := &p.cells[i]
		root := c.root.Load()
		if c.sequence.Load()&(locked|changing) != 0 {
			return 0, fmt.Errorf("cell %d is locked", i)
		}
		if marked := p.occupied[i/pageSide].Load()>>(i%pageSide)&1 == 1; marked != (root != nil) {
			return 0, fmt.Errorf("cell %d: root %v, occupied %v", i, root != nil, marked)
		}
		if root == nil {
			continue
		}
		n, err := checkNode(root, 0)
		if err != nil {
			return 0, fmt.Errorf("cell %d: %w", i, err)
		}
		entries += n
	}
	if int(p.count.Load()) != entries {
		return 0, fmt.Errorf("count is %d, and it holds %d", p.count.Load(), entries)
	}
	for n := p.spare; n != nil; n = n.kids[0].Load() {
		if n.n.Load() != 0 || n.below != 0 || n.kids[1].Load() != nil || n.kids[2].Load() != nil || n.kids[3].Load() != nil {
			return 0, fmt.Errorf("a spare node is not empty")
		}
	}
	return entries, nil
}

// checkNode counts what is below a node, which is not nothing.
func checkNode(n *node, depth int) (int, error) {
	sum := int(n.n.Load())
	inner := sum == divided
	if inner {
		sum = 0
	} else if sum > leafSize {
		return 0, fmt.Errorf("depth %d: a leaf of %d", depth, sum)
	}
	for i := range n.kids {
		kid := n.kids[i].Load()
		if kid == nil {
			continue
		}
		if !inner {
			return 0, fmt.Errorf("depth %d: a leaf with kids", depth)
		}
		below, err := checkNode(kid, depth+1)
		if err != nil {
			return 0, err
		}
		sum += below
	}
	if int(n.below) != sum || sum == 0 || inner && sum <= mergeBelow {
		return 0, fmt.Errorf("depth %d: a node of %d has %d below, divided: %v", depth, n.below, sum, inner)
	}
	return sum, nil
}

// checkFeeds looks whether each note is there once, and its vehicle knows of it.
func (x *Index) checkFeeds() error {
	notes := make(map[uint32]uint64)
	for bit := range x.feeds.slots {
		f := x.feeds.slots[bit].Load()
		if f == nil {
			continue
		}
		for i := range f.shards {
			for _, ref := range f.shards[i].changed {
				if notes[ref]>>bit&1 == 1 {
					return fmt.Errorf("feed %d holds two notes of unit %v", bit, x.units.at(ref).unit)
				}
				notes[ref] |= 1 << bit
			}
		}
	}
	for ref := range x.units.made {
		if v := x.units.at(ref); v.pending != notes[ref] {
			return fmt.Errorf("unit %v believes to be noted by %b, and is by %b", v.unit, v.pending, notes[ref])
		}
	}
	return nil
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
