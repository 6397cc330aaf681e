package live

import (
	"runtime"
	"sync/atomic"
)

const (
	leafSize   = 6  // entries; with the head a leaf's positions fill a cache line
	mergeBelow = 3  // a node with so many entries or fewer is a leaf again
	gridDepth  = 6  // levels of nodes that divide a cell's ground
	maxDepth   = 38 // with those that divide units by the 64 bits of their hash
	subSide    = 1 << gridDepth
)

// head is a leaf, or what holds a node. All is written with the cell locked, and
// read at any time: what was read counts if the cell's sequence says so.
type head struct {
	sequence  atomic.Uint32 // of a cell; odd: locked
	n         atomic.Uint32 // entries here and below
	child     atomic.Pointer[node]
	positions [leafSize]atomic.Uint64 // latitude and longitude, E7; of a leaf
}

// tail says whose the positions of a leaf are.
type tail [leafSize]atomic.Pointer[vehicle]

// node is four leaves, or more nodes: south-west, south-east, north-west,
// north-east. One that was given back may be used again at once, while somebody
// still reads it: then its first cell's sequence has moved on.
type node struct {
	heads [4]head
	tails [4]tail
}

// path says which way an entry lies below its cell.
type path struct {
	row, column uint32 // within the cell, in 64ths from the south-west
	hash        uint64
}

// quadrant returns which of four is the way at a depth.
func (p *path) quadrant(depth int) int {
	if depth >= gridDepth {
		return int(p.hash>>(62-2*(depth-gridDepth))) & 3
	}
	shift := gridDepth - 1 - depth
	return int(p.row>>shift&1<<1 | p.column>>shift&1)
}

// spins is how often a lock is tried before the processor is given away: it is
// held for less than a microsecond, unless its holder lost the processor.
const spins = 64

func (h *head) lock() {
	for i := 1; ; i++ {
		if s := h.sequence.Load(); s&1 == 0 && h.sequence.CompareAndSwap(s, s+1) {
			return
		}
		if i%spins == 0 {
			runtime.Gosched()
		}
	}
}

func (h *head) unlock() { h.sequence.Add(1) }

// agrees reports whether two ways are the same down to a depth.
func (p *path) agrees(q *path, depth uint8) bool {
	shift := max(0, gridDepth-int(depth))
	return p.row>>shift == q.row>>shift && p.column>>shift == q.column>>shift
}

// put writes an entry of a leaf.
func put(h *head, t *tail, slot int, v *vehicle, position uint64, depth int) {
	h.positions[slot].Store(position)
	t[slot].Store(v)
	v.leaf, v.slot, v.depth = h, uint8(slot), uint8(depth)
}

// insert puts an entry below h, whose cell is locked, as are those of all that
// follow.
func (p *page) insert(h *head, t *tail, v *vehicle, position uint64, way path, depth int) {
	for {
		n := h.n.Load()
		h.n.Store(n + 1)
		child := h.child.Load()
		if child == nil && n < leafSize {
			put(h, t, int(n), v, position, depth)
			return
		}
		if child == nil {
			child = p.split(h, t, depth)
		}
		i := way.quadrant(depth)
		h, t, depth = &child.heads[i], &child.tails[i], depth+1
	}
}

// split makes a full leaf a node.
func (p *page) split(h *head, t *tail, depth int) *node {
	child := p.takeNode()
	for i := range leafSize {
		v, position := t[i].Load(), h.positions[i].Load()
		way := p.path(v, position)
		q := way.quadrant(depth)
		p.insert(&child.heads[q], &child.tails[q], v, position, way, depth+1)
		t[i].Store(nil)
	}
	h.child.Store(child)
	return child
}

// remove takes the entry of v out from below h, and makes leaves again of nodes
// that then hold little.
func (p *page) remove(h *head, t *tail, v *vehicle, way path, depth int) {
	n := h.n.Load() - 1
	h.n.Store(n)
	child := h.child.Load()
	if child == nil {
		if gap := int(v.slot); gap != int(n) {
			put(h, t, gap, t[n].Load(), h.positions[n].Load(), depth)
		}
		t[n].Store(nil)
		return
	}
	q := way.quadrant(depth)
	p.remove(&child.heads[q], &child.tails[q], v, way, depth+1)
	if n <= mergeBelow {
		h.child.Store(nil)
		p.gather(child, h, t, 0, depth)
	}
}

// gather moves all that is below a node to the leaf (h, t) at a depth, which has
// filled entries by then, and gives the node back.
func (p *page) gather(from *node, h *head, t *tail, filled, depth int) int {
	for q := range from.heads {
		fh, ft := &from.heads[q], &from.tails[q]
		if child := fh.child.Load(); child != nil {
			fh.child.Store(nil)
			filled = p.gather(child, h, t, filled, depth)
		} else {
			for i := range int(fh.n.Load()) {
				put(h, t, filled, ft[i].Load(), fh.positions[i].Load(), depth)
				ft[i].Store(nil)
				filled++
			}
		}
		fh.n.Store(0)
	}
	p.giveNode(from)
	return filled
}

// takeNode returns a node that is empty.
func (p *page) takeNode() *node {
	p.spareMu.Lock()
	defer p.spareMu.Unlock()
	n := p.spare
	if n == nil {
		return new(node)
	}
	p.spare = n.heads[0].child.Load()
	n.heads[0].child.Store(nil)
	return n
}

// giveNode keeps an empty node to be used again.
func (p *page) giveNode(n *node) {
	p.spareMu.Lock()
	defer p.spareMu.Unlock()
	n.heads[0].child.Store(p.spare)
	p.spare = n
}
