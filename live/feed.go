package live

import (
	"errors"
	"math/bits"
	"sync"
	"sync/atomic"
)

// MaxFeeds is how many feeds may be open at a time.
const MaxFeeds = 64

// ErrTooManyFeeds is returned when MaxFeeds are open.
var ErrTooManyFeeds = errors.New("live: too many feeds are open")

// Change is what a feed tells of a unit: where it is now, or that it is gone.
type Change struct {
	Fix
	Gone bool
}

// Feed tells which units have changed since it was last asked. What a unit did
// in between is not told: a reader that is slow misses steps, and never the
// last. It holds one note for each unit at most, whatever the unit does, and
// keeps nobody waiting.
type Feed struct {
	index *Index
	bit   int
	ready chan struct{}

	mu      sync.Mutex // serialises readers
	shards  [shards]notes
	reading []uint32 // refs
}

// notes are the vehicles of one shard that have changed.
type notes struct {
	mu      sync.Mutex
	changed []uint32 // refs
	closed  bool     // nothing comes any more
	_       [24]byte
}

// feeds are those that are open. Updates look at the set alone when there are
// none.
type feeds struct {
	open  atomic.Uint64 // a bit for each
	mu    sync.Mutex
	slots [MaxFeeds]atomic.Pointer[Feed]
}

// Subscribe opens a feed, which begins with what changes from now on.
func (x *Index) Subscribe() (*Feed, error) {
	s := &x.feeds
	s.mu.Lock()
	defer s.mu.Unlock()
	bit := bits.TrailingZeros64(^s.open.Load())
	if bit == MaxFeeds {
		return nil, ErrTooManyFeeds
	}
	f := &Feed{index: x, bit: bit, ready: make(chan struct{}, 1)}
	s.slots[bit].Store(f)
	s.open.Or(1 << bit)
	return f, nil
}

// Close ends the feed. It may be called more than once.
func (f *Feed) Close() {
	s := &f.index.feeds
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slots[f.bit].Load() != f {
		return
	}
	for i := range f.shards {
		f.shards[i].mu.Lock()
		f.shards[i].closed = true
		f.shards[i].mu.Unlock()
	}
	f.drain(nil) // clears the bit, so that the next to have it is told
	s.open.And(^uint64(1 << f.bit))
	s.slots[f.bit].Store(nil)
}

// Ready receives when there may be something to take.
func (f *Feed) Ready() <-chan struct{} { return f.ready }

// Take appends what has changed to dst, in no order, each unit once. That a unit
// is gone may be told of one that was never told of: it came and went in between.
func (f *Feed) Take(dst []Change) []Change {
	f.drain(func(v vehicle) { dst = append(dst, Change{Fix: v.fix(), Gone: v.at == 0}) })
	return dst
}

// drain takes every note and calls yield, if there is one, with the vehicle
// locked.
func (f *Feed) drain(yield func(vehicle)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.shards {
		n := &f.shards[i]
		n.mu.Lock()
		f.reading, n.changed = n.changed, f.reading[:0]
		n.mu.Unlock()
		for _, ref := range f.reading {
			v := f.index.units.at(ref)
			v.mu.Lock()
			v.pending &^= 1 << f.bit // what changes from here on is told again
			if yield != nil {
				yield(v)
			}
			v.mu.Unlock()
		}
	}
}

// tell notes a change of v, which is locked, for every feed that has none of it.
func (s *feeds) tell(v vehicle) {
	for untold := s.open.Load() &^ v.pending; untold != 0; untold &= untold - 1 {
		bit := bits.TrailingZeros64(untold)
		f := s.slots[bit].Load()
		if f == nil {
			continue // it is being closed
		}
		n := &f.shards[v.ref%shards]
		n.mu.Lock()
		if !n.closed {
			n.changed = append(n.changed, v.ref)
			v.pending |= 1 << bit
		}
		n.mu.Unlock()
		select {
		case f.ready <- struct{}{}:
		default: // it has been told
		}
	}
}
