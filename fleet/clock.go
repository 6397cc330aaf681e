package fleet

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Clock is the one source of time of the hub. Nothing else calls time.Now for
// a decision and no SQL statement calls now(), so a test steps a deadline
// instead of waiting for it.
type Clock interface {
	Now() time.Time
	// NewTimer returns a channel that receives once, d from now, and a
	// function that stops it. Stop reports whether it was in time.
	NewTimer(d time.Duration) (fired <-chan time.Time, stop func() bool)
}

// Wait returns nil after d by the clock, or ctx's error when that is done before.
func Wait(ctx context.Context, clock Clock, d time.Duration) error {
	fired, stop := clock.NewTimer(d)
	defer stop()
	select {
	case <-fired:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// SystemClock reads the machine's clock, to the microsecond: the database keeps no
// more, and what the hub says of a moment is the same before and after it was stored.
type SystemClock struct{}

// Now implements Clock.
func (SystemClock) Now() time.Time { return microseconds(time.Now()) }

// microseconds cuts a time to whole ones. Unlike Truncate it leaves it able to tell
// durations, whatever the machine's clock is set to.
func microseconds(t time.Time) time.Time {
	return t.Add(-time.Duration(t.Nanosecond() % int(time.Microsecond)))
}

// NewTimer implements Clock.
func (SystemClock) NewTimer(d time.Duration) (<-chan time.Time, func() bool) {
	t := time.NewTimer(d)
	return t.C, t.Stop
}

// CorrectedClock is the machine's clock, set right by another's. The zero value
// is not corrected. It is safe for concurrent use.
type CorrectedClock struct {
	SystemClock
	offset atomic.Int64 // nanoseconds
}

// Now implements Clock.
func (c *CorrectedClock) Now() time.Time {
	return microseconds(time.Now().Add(time.Duration(c.offset.Load())))
}

// Correct sets by how much the machine's clock is behind.
func (c *CorrectedClock) Correct(offset time.Duration) { c.offset.Store(int64(offset)) }

// Offset is by how much the machine's clock is behind, as was last said.
func (c *CorrectedClock) Offset() time.Duration { return time.Duration(c.offset.Load()) }

// ManualClock stands still until it is stepped. It is safe for concurrent use.
type ManualClock struct {
	mu     sync.Mutex
	now    time.Time
	timers map[*manualTimer]struct{}
}

type manualTimer struct {
	at    time.Time
	fired chan time.Time
}

// NewManualClock returns a clock that stands at now.
func NewManualClock(now time.Time) *ManualClock {
	return &ManualClock{now: now, timers: make(map[*manualTimer]struct{})}
}

// Now implements Clock.
func (c *ManualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// NewTimer implements Clock. A timer of no or negative duration fires at once.
func (c *ManualClock) NewTimer(d time.Duration) (<-chan time.Time, func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &manualTimer{at: c.now.Add(d), fired: make(chan time.Time, 1)}
	c.timers[t] = struct{}{}
	c.fireDue()
	return t.fired, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, waiting := c.timers[t]
		delete(c.timers, t)
		return waiting
	}
}

// Advance steps the clock and fires every timer that has come due.
func (c *ManualClock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.fireDue()
}

// Waiting reports how many timers have yet to fire: a test waits for it to
// know that the code under test has reached its deadline.
func (c *ManualClock) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.timers)
}

func (c *ManualClock) fireDue() {
	for t := range c.timers {
		if !t.at.After(c.now) {
			delete(c.timers, t)
			t.fired <- c.now
		}
	}
}
