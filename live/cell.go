package live

import (
	"runtime"
	"sync/atomic"
)

const (
	leafSize   = 29            // entries of a leaf
	mergeBelow = leafSize / 2  // a node with so many entries or fewer is a leaf again
	maxDepth   = cellBits + 64 // ground is divided down to 1e-7°, then units by the bits of their ids
	divided    = 1 << 31       // in place of the entries of a leaf
)

// cell is the root of a quadtree. All below is written with the cell locked, and
// read at any time: what was read counts if the sequence says so.
type cell struct {
	sequence atomic.Uint32 // odd: locked
	root     atomic.Pointer[node]
}

// node is a leaf, or has kids: south-west, south-east, north-west, north-east;
// nil is an empty one. A node that was given back may be used again at once,
// while somebody still reads it: then its first cell's sequence has moved on.
type node struct {
	n       atomic.Uint32 // entries, or divided
	below   uint32        // entries here and below; guarded by the cell
	kids    [4]atomic.Pointer[node]
	entries [leafSize]entry
}

// entry is a position and whose it is.
type entry struct {
	position atomic.Uint64 // latitude and longitude, E7
	ref      atomic.Uint64
}

func (e *entry) put(position, ref uint64) {
	e.position.Store(position)
	e.ref.Store(ref)
}

func (e *entry) copy(from *entry) { e.put(from.position.Load(), from.ref.Load()) }

// where is where an entry is, twice.
type where struct {
	position uint64
	spot     spot
}

// spins is how often a lock is tried before the processor is given away: it is
// held for less than a microsecond, unless its holder lost the processor.
const spins = 64

func (c *cell) lock() {
	for i := 1; ; i++ {
		if s := c.sequence.Load(); s&1 == 0 && c.sequence.CompareAndSwap(s, s+1) {
			return
		}
		if i%spins == 0 {
			runtime.Gosched()
		}
	}
}

// prefetch begins to load the root.
func (c *cell) prefetch() {
	if root := c.root.Load(); root != nil {
		root.n.Load()
	}
}

func (c *cell) unlock() { c.sequence.Add(1) }

// quadrant returns which of four is the way at a depth.
func (p *page) quadrant(s spot, ref uint32, depth int) int {
	if depth < cellBits {
		return s.quadrant(depth)
	}
	// Both halves of the id together are different for any two units.
	unit := &p.index.units.at(ref).unit
	if depth < cellBits+32 {
		return int(hash(unit)>>(62-2*(depth-cellBits))) & 3
	}
	return int(upper(unit)>>(62-2*(depth-cellBits-32))) & 3
}

// insert puts an entry below n. The cell is locked, as it is in all that follow.
func (p *page) insert(n *node, ref uint32, e where, depth int) {
	for ; ; depth++ {
		n.below++
		count := n.n.Load()
		if count < leafSize {
			n.entries[count].put(e.position, uint64(ref))
			n.n.Store(count + 1)
			return
		}
		if count != divided {
			p.divide(n, depth)
		}
		n = p.kid(n, p.quadrant(e.spot, ref, depth))
	}
}

// kid returns one of the kids of n, and makes it if need be.
func (p *page) kid(n *node, i int) *node {
	kid := n.kids[i].Load()
	if kid == nil {
		kid = p.takeNode()
		n.kids[i].Store(kid)
	}
	return kid
}

// divide gives the entries of a full leaf to kids.
func (p *page) divide(n *node, depth int) {
	for i := range n.entries {
		position, ref := n.entries[i].position.Load(), uint32(n.entries[i].ref.Load())
		e := where{position, p.index.spot(position)}
		p.insert(p.kid(n, p.quadrant(e.spot, ref, depth)), ref, e, depth+1)
	}
	n.n.Store(divided)
}

// find returns where in a leaf an entry is.
func (n *node) find(ref uint32, position uint64) int {
	for i := range n.n.Load() {
		if e := &n.entries[i]; e.position.Load() == position && e.ref.Load() == uint64(ref) {
			return int(i)
		}
	}
	panic("live: an entry is not in its leaf")
}

// shift brings an entry from one place below n to another.
func (p *page) shift(n *node, ref uint32, from, to where) {
	for depth := 0; ; depth++ {
		if n.n.Load() != divided {
			n.entries[n.find(ref, from.position)].position.Store(to.position)
			return
		}
		q := p.quadrant(from.spot, ref, depth)
		if q != p.quadrant(to.spot, ref, depth) {
			p.remove(n, ref, from, depth)
			p.insert(n, ref, to, depth)
			return
		}
		n = n.kids[q].Load()
	}
}

// remove takes an entry out from below n, and makes leaves again of nodes that
// then hold little.
func (p *page) remove(n *node, ref uint32, e where, depth int) {
	n.below--
	if count := n.n.Load(); count != divided {
		if i := n.find(ref, e.position); i != int(count-1) {
			n.entries[i].copy(&n.entries[count-1])
		}
		n.n.Store(count - 1)
		return
	}
	way := &n.kids[p.quadrant(e.spot, ref, depth)]
	kid := way.Load()
	p.remove(kid, ref, e, depth+1)
	if n.below <= mergeBelow {
		n.n.Store(0)
		p.gather(n, n)
	} else if kid.below == 0 {
		way.Store(nil)
		p.giveNode(kid)
	}
}

// gather moves all that is below from to the leaf into, and gives the nodes back.
func (p *page) gather(from, into *node) {
	for i := range from.kids {
		kid := from.kids[i].Load()
		if kid == nil {
			continue
		}
		from.kids[i].Store(nil)
		if kid.n.Load() == divided {
			p.gather(kid, into)
		} else {
			filled := into.n.Load()
			for i := range kid.n.Load() {
				into.entries[filled+i].copy(&kid.entries[i])
			}
			into.n.Store(filled + kid.n.Load())
		}
		kid.n.Store(0)
		kid.below = 0
		p.giveNode(kid)
	}
}

// takeNode returns a leaf that is empty.
func (p *page) takeNode() *node {
	p.spareMu.Lock()
	defer p.spareMu.Unlock()
	n := p.spare
	if n == nil {
		return new(node)
	}
	p.spare = n.kids[0].Load()
	n.kids[0].Store(nil)
	return n
}

// giveNode keeps an empty leaf, to be used again.
func (p *page) giveNode(n *node) {
	p.spareMu.Lock()
	defer p.spareMu.Unlock()
	n.kids[0].Store(p.spare)
	p.spare = n
}
