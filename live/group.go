package live

import "math/bits"

// groupSize is how many updates wait for memory at the same time. One needs some
// eight lines of it, in three steps of which each says what the next one needs; a
// processor has about twenty loads under way at once.
const groupSize = 16

// ApplyAll shows fixes as Apply does one after the other, and appends to shown of
// each whether it was what is shown, then. It is faster than that: most of an update
// is waiting for memory, and they wait together.
func (x *Index) ApplyAll(fixes []Fix, shown []bool) []bool {
	var group [groupSize]step
	for len(fixes) > 0 {
		n := min(groupSize, len(fixes))
		valid := x.look(group[:n], fixes)
		for i := range group[:n] {
			shown = append(shown, valid>>i&1 == 1 && x.apply(&fixes[i], &group[i]))
		}
		fixes = fixes[n:]
	}
	return shown
}

// look begins to load what a group of updates is about to touch: the slots and the
// roots of cells, then the records, then the leaves. Nothing depends on what it sees,
// so that others may change it meanwhile. It returns which of the fixes are valid, a
// bit for each.
func (x *Index) look(group []step, fixes []Fix) (valid uint) {
	for i := range group {
		if !x.aim(&fixes[i], &group[i]) {
			continue
		}
		valid |= 1 << i
		if root := group[i].to.cell.root.Load(); root != nil {
			prefetch32(&root.n)
		}
	}
	for left := valid; left != 0; left &= left - 1 {
		x.units.prefetchRecord(group[bits.TrailingZeros(left)].hash)
	}
	for left := valid; left != 0; left &= left - 1 {
		group[bits.TrailingZeros(left)].to.prefetch()
	}
	return valid
}
