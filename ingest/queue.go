package ingest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"armora/fleet"
)

// batch is what one transaction commits, and who waits for it. Until it is
// taken the queue's lock guards it; then it belongs to the worker that took it,
// but for waiting, which repeats still join.
type batch struct {
	id      uint64 // rises from 1
	opened  time.Time
	points  []fleet.Point
	letters []fleet.DeadLetter
	waiting []*receipt
}

// queue gathers messages into batches. One batch is open; it is sealed when it
// is full, and taken as it is when it has waited for long enough.
//
// Nothing here limits how much may wait: that is the broker's to do, which
// knows each connection's share (and the HTTP handler's, for its own).
type queue struct {
	clock  fleet.Clock
	size   int           // points at which a batch is sealed
	linger time.Duration // for which an open one waits for more

	horizon atomic.Uint64 // every batch before it is settled
	wake    chan struct{} // holds a token when there may be something new to take

	mu       sync.Mutex
	lastID   uint64
	open     *batch            // nil, or holds at least one receipt
	sealed   []*batch          // oldest first
	inflight map[uint64]*batch // all that are not settled: open, sealed and taken
	held     int               // what is to be waited for beside: keys to come, acks to be written
	hurry    bool              // lingering is over: drain
	closed   bool              // nothing more is let in
	idle     *sync.Cond        // on mu: nothing is in flight or held
	spare    []*batch          // settled ones, to use again
}

func newQueue(clock fleet.Clock, size int, linger time.Duration) *queue {
	q := &queue{
		clock: clock, size: size, linger: linger,
		wake: make(chan struct{}, 1), inflight: make(map[uint64]*batch),
	}
	q.idle = sync.NewCond(&q.mu)
	q.horizon.Store(1)
	return q
}

// add puts points and letters, which it copies, into the open batch and returns
// its id; the receipt waits for it. It refuses when the queue is closed.
func (q *queue) add(points []fleet.Point, letters []fleet.DeadLetter, r *receipt) (id uint64, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return 0, false
	}
	if q.open != nil && len(q.open.points)+len(points) > q.size {
		q.seal()
	}
	if q.open == nil {
		q.begin()
	}
	b := q.open
	b.points = append(b.points, points...)
	b.letters = append(b.letters, letters...)
	b.join(r)
	if len(b.points) >= q.size {
		q.seal()
	}
	return b.id, true
}

// join lets the receipt wait for a batch, unless that is settled already.
func (q *queue) join(id uint64, r *receipt) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if b := q.inflight[id]; b != nil {
		b.join(r)
	}
}

// join is called with the queue's lock held.
func (b *batch) join(r *receipt) {
	if n := len(b.waiting); n > 0 && b.waiting[n-1] == r {
		return // another point of the same message
	}
	r.waiting.Add(1)
	b.waiting = append(b.waiting, r)
}

func (q *queue) begin() {
	if n := len(q.spare); n > 0 {
		q.open, q.spare = q.spare[n-1], q.spare[:n-1]
	} else {
		q.open = new(batch)
	}
	q.lastID++
	q.open.id, q.open.opened = q.lastID, q.clock.Now()
	q.inflight[q.lastID] = q.open
	q.signal()
}

func (q *queue) seal() {
	q.sealed = append(q.sealed, q.open)
	q.open = nil
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns the batch to commit next or, without one, after how long the
// open batch is due; 0 when there is none.
func (q *queue) take() (*batch, time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.sealed) > 0 {
		b := q.sealed[0]
		q.sealed = append(q.sealed[:0], q.sealed[1:]...)
		if len(q.sealed) > 0 || q.open != nil {
			q.signal()
		}
		return b, 0
	}
	if q.open == nil {
		return nil, 0
	}
	if due := q.linger - q.clock.Now().Sub(q.open.opened); due > 0 && !q.hurry {
		return nil, due
	}
	b := q.open
	q.open = nil
	return b, 0
}

// settle ends a batch. It returns who waits for it; from now on nobody can
// begin to. The queue is not idle before recycle, when they have been told.
func (q *queue) settle(b *batch) []*receipt {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.inflight, b.id)
	oldest := q.lastID + 1
	for id := range q.inflight {
		oldest = min(oldest, id)
	}
	q.horizon.Store(oldest)
	q.held++
	return b.waiting
}

func (q *queue) tellIdle() {
	if len(q.inflight) == 0 && q.held == 0 {
		q.idle.Broadcast()
	}
}

// hold makes drain wait for a message that is on its way to the queue, until
// unhold. It refuses when the queue is closed.
func (q *queue) hold() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.held++
	return true
}

func (q *queue) unhold() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held--
	q.tellIdle()
}

// recycle gives back a settled batch of which everybody has been told.
func (q *queue) recycle(b *batch) {
	clear(b.letters)
	clear(b.waiting)
	b.points, b.letters, b.waiting = b.points[:0], b.letters[:0], b.waiting[:0]
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held--
	q.tellIdle()
	if len(q.spare) < workers+1 && cap(b.points) <= 2*q.size {
		q.spare = append(q.spare, b)
	}
}

// drain makes lingering end and waits until everything is settled.
func (q *queue) drain(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.idle.Broadcast()
	})
	defer stop()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.hurry = true
	defer func() { q.hurry = false }()
	q.signal()
	for len(q.inflight) > 0 || q.held > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		q.idle.Wait()
	}
	return nil
}

// close lets nothing more in and returns the batches that nobody has taken.
func (q *queue) close() []*batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	left := q.sealed
	if q.open != nil {
		left = append(left, q.open)
	}
	q.sealed, q.open = nil, nil
	return left
}

// depth returns how many points wait, and in how many batches.
func (q *queue) depth() (points, batches int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range q.inflight {
		points += len(b.points)
	}
	return points, len(q.inflight)
}
