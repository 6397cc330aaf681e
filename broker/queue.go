package broker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"armora/fleet"
)

// retryAfter is how long a worker rests after the store has failed it.
const retryAfter = time.Second

// queue has a few workers call a function for each key that was added: never
// twice at a time for one key, once more if the key was added meanwhile, and
// again later if it failed. Adding does not block, and the queue holds each key
// at most once, so it is bounded by the number of keys.
type queue[K comparable] struct {
	work  func(context.Context, K) error
	clock fleet.Clock

	failing atomic.Bool // the last call failed: the store is away
	workers sync.WaitGroup

	mu      sync.Mutex
	ready   []K
	entries map[K]*entry
	wake    chan struct{} // closed and replaced when something becomes ready or done
}

type entry struct {
	queued, running bool
	waiting         []chan struct{} // closed when a call that starts from now on succeeds
}

func newQueue[K comparable](clock fleet.Clock, work func(context.Context, K) error) *queue[K] {
	return &queue[K]{work: work, clock: clock, entries: make(map[K]*entry), wake: make(chan struct{})}
}

// add queues k and returns a channel that is closed when the work has been
// done.
func (q *queue[K]) add(k K) <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.entries[k]
	if e == nil {
		e = new(entry)
		q.entries[k] = e
	}
	done := make(chan struct{})
	e.waiting = append(e.waiting, done)
	q.enqueue(k, e)
	return done
}

// enqueue makes k ready unless it is or will be. q.mu is held.
func (q *queue[K]) enqueue(k K, e *entry) {
	if e.queued {
		return
	}
	e.queued = true
	if !e.running {
		q.ready = append(q.ready, k)
		q.signal()
	}
}

// signal wakes everybody who waits for a change. q.mu is held.
func (q *queue[K]) signal() {
	close(q.wake)
	q.wake = make(chan struct{})
}

// start starts n workers, which stop when ctx ends.
func (q *queue[K]) start(ctx context.Context, n int) {
	for range n {
		q.workers.Go(func() { q.run(ctx) })
	}
}

func (q *queue[K]) run(ctx context.Context) {
	for {
		k, ok := q.next(ctx)
		if !ok {
			return
		}
		if q.do(ctx, k) {
			continue
		}
		fired, stop := q.clock.NewTimer(retryAfter)
		select {
		case <-fired:
		case <-ctx.Done():
			stop()
			return
		}
	}
}

// next takes the key that has been ready for longest.
func (q *queue[K]) next(ctx context.Context) (K, bool) {
	for {
		q.mu.Lock()
		if len(q.ready) > 0 {
			k := q.ready[0]
			q.ready = q.ready[1:]
			q.mu.Unlock()
			return k, ctx.Err() == nil
		}
		wake := q.wake
		q.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			var none K
			return none, false
		}
	}
}

// do calls the function for k and reports whether it succeeded. If not, k is
// ready again.
func (q *queue[K]) do(ctx context.Context, k K) bool {
	q.mu.Lock()
	e := q.entries[k]
	waiting := e.waiting
	e.waiting, e.queued, e.running = nil, false, true
	q.mu.Unlock()

	err := q.work(ctx, k)
	q.failing.Store(err != nil)

	q.mu.Lock()
	defer q.mu.Unlock()
	e.running = false
	if err != nil {
		e.waiting = append(waiting, e.waiting...)
		e.queued = true
	} else {
		for _, done := range waiting {
			close(done)
		}
	}
	if e.queued {
		q.ready = append(q.ready, k)
	} else {
		delete(q.entries, k)
	}
	q.signal()
	return err == nil
}

// drain waits until nothing is queued or running, or gives up when ctx ends or
// the store is away. It reports how many keys were left.
func (q *queue[K]) drain(ctx context.Context) int {
	for {
		q.mu.Lock()
		left, wake := len(q.entries), q.wake
		q.mu.Unlock()
		if left == 0 || q.failing.Load() {
			return left
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return left
		}
	}
}
