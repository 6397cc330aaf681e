package live

import (
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	leafSize   = 59            // entries of a leaf: a node is 512 bytes
	mergeBelow = leafSize / 2  // a node with so many entries or fewer is a leaf again
	maxDepth   = cellBits + 64 // ground is divided down to 1e-7°, then units by the bits of their ids
	divided    = 1 << 31       // in place of the entries of a leaf
)

// cell is the root of a quadtree. All below is written with the cell locked, and
// read at any time: what was read counts if the sequence says so.
type cell struct {
	// A bit that is set while the cell is locked, one that is set while it is changing,
	// and above them how often it has. An entry that is written in its place is no change:
	// who reads sees it before or after, and either is true.
	sequence atomic.Uint32
	root     atomic.Pointer[node]
}

// node is a leaf, or has kids: south-west, south-east, north-west, north-east;
// nil is an empty one. A node that was given back may be used again at once,
// while somebody still reads it: then its first cell's sequence has moved on.
type node struct {
	n       atomic.Uint32 // entries, or divided
	below   uint32        // entries here and below; guarded by the cell
	kids    [4]atomic.Pointer[node]
	entries [leafSize]atomic.Uint64
}

// entry is who is where in a cell: the record's ref, and how far north and east
// of the cell's corner it is, in units of 1e-7 degrees. What a search loads from
// memory is what it takes its time for.
type entry uint64

const (
	northBits = cellBits
	eastBits  = 64 - refBits - northBits // enough: cells about the poles are no wider
)

func makeEntry(ref, north, east uint32) entry {
	return entry(ref)<<(northBits+eastBits) | entry(north)<<eastBits | entry(east)
}

func (e entry) ref() uint32   { return uint32(e >> (northBits + eastBits)) }
func (e entry) north() uint32 { return uint32(e>>eastBits) & (1<<northBits - 1) }
func (e entry) east() uint32  { return uint32(e) & (1<<eastBits - 1) }

// spins is how often a lock is tried before the processor is given away: it is
// held for less than a microsecond, unless its holder lost the processor.
const spins = 64

// Parts of a sequence.
const (
	locked   = 1
	changing = 2
	aChange  = 4
)

func (c *cell) lock() {
	for i := 1; ; i++ {
		if s := c.sequence.Load(); s&locked == 0 && c.sequence.CompareAndSwap(s, s|locked) {
			return
		}
		if i%spins == 0 {
			runtime.Gosched()
		}
	}
}

// change is called, with the cell locked, before entries come or go and nodes are
// divided or gathered.
func (c *cell) change() { c.sequence.Or(changing) }

func (c *cell) unlock() {
	s := c.sequence.Load()
	if s&changing != 0 {
		s += aChange
	}
	c.sequence.Store(s &^ (locked | changing))
}

// settled returns the sequence at a moment when the cell is not changing.
func (c *cell) settled() uint32 {
	for i := 1; ; i++ {
		if s := c.sequence.Load(); s&changing == 0 {
			return s &^ locked
		}
		if i%spins == 0 {
			runtime.Gosched()
		}
	}
}

// unchanged reports whether the cell has not changed since its sequence was settled.
func (c *cell) unchanged(settled uint32) bool { return c.sequence.Load()&^locked == settled }

// prefetch begins to load the root, as prefetch of a node does.
func (c *cell) prefetch(entries int) {
	if root := c.root.Load(); root != nil {
		root.prefetch(entries)
	}
}

// prefetch begins to load a leaf, as far as its first entries go.
func (n *node) prefetch(entries int) {
	prefetch32(&n.n)
	for i := 4; i < min(entries+4, leafSize); i += 8 { // a line of eight
		prefetch64(&n.entries[i])
	}
}

// quadrant returns which of four is the way to an entry at a depth.
func (p *place) quadrant(e entry, depth int) int {
	if depth < cellBits {
		// Its column grows with the way to the east, in the units of the band.
		column := uint32(uint64(p.west+e.east()) * p.band.scale >> 32)
		shift := cellBits - 1 - depth
		return int(e.north()>>shift&1<<1 | column>>shift&1)
	}
	// Both halves of the id together are different for any two units.
	unit := &p.page.index.units.at(e.ref()).unit
	if depth < cellBits+32 {
		return int(hash(unit)>>(62-2*(depth-cellBits))) & 3
	}
	return int(upper(unit)>>(62-2*(depth-cellBits-32))) & 3
}

// insert puts an entry below n. The cell is locked, as it is in all that follow.
func (p *place) insert(n *node, e entry, depth int) {
	for ; ; depth++ {
		n.below++
		count := n.n.Load()
		if count < leafSize {
			n.entries[count].Store(uint64(e))
			n.n.Store(count + 1)
			return
		}
		if count != divided {
			p.divide(n, depth)
		}
		n = p.kid(n, p.quadrant(e, depth))
	}
}

// kid returns one of the kids of n, and makes it if need be.
func (p *place) kid(n *node, i int) *node {
	kid := n.kids[i].Load()
	if kid == nil {
		kid = p.page.takeNode()
		n.kids[i].Store(kid)
	}
	return kid
}

// divide gives the entries of a full leaf to kids.
func (p *place) divide(n *node, depth int) {
	for i := range n.entries {
		e := entry(n.entries[i].Load())
		p.insert(p.kid(n, p.quadrant(e, depth)), e, depth+1)
	}
	n.n.Store(divided)
}

// find returns where in a leaf an entry is.
func (n *node) find(e entry) uint32 {
	entries := n.entries[:n.n.Load()]
	for i := range entries {
		if entries[i].Load() == uint64(e) {
			return uint32(i)
		}
	}
	panic("live: an entry is not in its leaf")
}

// shift puts an entry below n in place of another of the same unit.
func (p *place) shift(n *node, from, to entry) {
	for depth := 0; ; depth++ {
		if n.n.Load() != divided {
			n.entries[n.find(from)].Store(uint64(to))
			return
		}
		q := p.quadrant(from, depth)
		if q != p.quadrant(to, depth) {
			p.cell.change()
			p.remove(n, from, depth)
			p.insert(n, to, depth)
			return
		}
		n = n.kids[q].Load()
	}
}

// remove takes an entry out from below n, and makes leaves again of nodes that
// then hold little.
func (p *place) remove(n *node, e entry, depth int) {
	n.below--
	if count := n.n.Load(); count != divided {
		if i := n.find(e); i != count-1 {
			n.entries[i].Store(n.entries[count-1].Load())
		}
		n.n.Store(count - 1)
		return
	}
	way := &n.kids[p.quadrant(e, depth)]
	kid := way.Load()
	p.remove(kid, e, depth+1)
	if n.below <= mergeBelow {
		n.n.Store(0)
		p.page.gather(n, n)
	} else if kid.below == 0 {
		way.Store(nil)
		p.page.giveNode(kid)
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
				into.entries[filled+i].Store(kid.entries[i].Load())
			}
			into.n.Store(filled + kid.n.Load())
		}
		kid.n.Store(0)
		kid.below = 0
		p.giveNode(kid)
	}
}

// nodes is memory for nodes, a piece of 4 MB at a time, which the kernel can back by
// large pages. None is ever given back to it: pages keep those that they do not need.
type nodes struct {
	mu   sync.Mutex
	left []node
}

func (m *nodes) take() *node {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.left) == 0 {
		m.left = huge(new([8192]node))[:]
	}
	n := &m.left[0]
	m.left = m.left[1:]
	return n
}

// takeNode returns a leaf that is empty.
func (p *page) takeNode() *node {
	p.spareMu.Lock()
	defer p.spareMu.Unlock()
	n := p.spare
	if n == nil {
		return p.index.nodes.take()
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
