package ingest

import (
	"time"

	"armora/fleet"
)

// The bounds of the memory of recent points. What is no longer in it, or never
// got in, is caught by the database, which stores a point once in any case; the
// window only saves the database that work, and the hub a second copy of what
// waits for a commit. A device that floods pushes out what the others of its
// shard have committed, and costs them no more than that.
const (
	shards     = 64               // locks that the devices share
	windowKeys = 1 << 13          // keys a shard, and so of one device; 524,288 in all, 50 MB
	windowAge  = 10 * time.Minute // for which a committed point is remembered
)

// key is a fleet.PointKey in the terms of one shard: smaller, and quicker to hash.
type key struct {
	device   uint64 // device.number, never 0
	fix      fleet.Millis
	lat, lon int32
}

// window remembers the points of late, so that one that is told twice is known
// for a repeat, and by which batch its first copy is or was committed.
//
// It is a queue, oldest first, with an index. Points that wait for their commit
// are never dropped from it: while the queue is full of them, new ones don't
// get in.
type window struct {
	index      map[key]uint64 // position in the queue
	ring       []entry        // a power of two long; position p is at p % len(ring)
	head, tail uint64         // positions of the oldest, and of the next to come
	limit      int            // the ring grows up to this length
}

type entry struct {
	key      key // zero once taken out
	received fleet.Millis
	batch    uint64
}

// unassigned is the batch of a point that has yet to be given to one: it came
// earlier in the same message.
const unassigned = 0

func newWindow(limit int) window {
	return window{index: make(map[key]uint64), ring: make([]entry, min(64, limit)), limit: limit}
}

func (w *window) at(position uint64) *entry { return &w.ring[position&uint64(len(w.ring)-1)] }

// find returns the batch that holds the first copy of the point.
func (w *window) find(k key) (batch uint64, found bool) {
	position, found := w.index[k]
	if !found {
		return 0, false
	}
	return w.at(position).batch, true
}

// add remembers a point that is not in the window, if there is room for it.
// Batches before horizon are committed or given up: their points may be dropped.
func (w *window) add(k key, received fleet.Millis, horizon uint64) {
	w.expire(received, horizon)
	if !w.room() {
		return
	}
	*w.at(w.tail) = entry{key: k, received: received, batch: unassigned}
	w.index[k] = w.tail
	w.tail++
}

// expire drops what is too old, and the oldest of a full window.
func (w *window) expire(now fleet.Millis, horizon uint64) {
	tooOld := now.Add(-windowAge)
	for w.head < w.tail {
		e := w.at(w.head)
		full := w.tail-w.head == uint64(w.limit)
		if e.key.device != 0 && (e.batch == unassigned || e.batch >= horizon || !full && e.received >= tooOld) {
			return
		}
		w.drop(e)
		w.head++
	}
}

// room makes the ring longer when it is full, and reports whether it may be.
func (w *window) room() bool {
	used := w.tail - w.head
	if used < uint64(len(w.ring)) {
		return true
	}
	if used >= uint64(w.limit) {
		return false
	}
	old := *w
	w.ring = make([]entry, 2*len(w.ring))
	for position := w.head; position < w.tail; position++ {
		*w.at(position) = *old.at(position)
	}
	return true
}

// assign gives everything that was added since mark to a batch.
func (w *window) assign(mark, batch uint64) {
	for position := mark; position < w.tail; position++ {
		w.at(position).batch = batch
	}
}

// remove takes out a point, if it is still there on behalf of that batch.
func (w *window) remove(k key, batch uint64) {
	if position, found := w.index[k]; found && w.at(position).batch == batch {
		w.drop(w.at(position))
	}
}

func (w *window) drop(e *entry) {
	if e.key.device == 0 {
		return
	}
	delete(w.index, e.key)
	*e = entry{}
}
