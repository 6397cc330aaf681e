package load

import (
	"context"
	"sync/atomic"
	"time"
)

// pace spreads the messages of all connections evenly over time. The zero value
// holds nobody back.
type pace struct {
	each  time.Duration // of one message
	most  int64         // messages that one place is for
	began time.Time
	given atomic.Int64 // time that was given away, in nanoseconds
}

// wait takes the next place, for as many messages as a place holds, and waits
// for it to come. A run that has fallen behind is not held back until it has
// caught up. It reports false when ctx ends first.
func (p *pace) wait(ctx context.Context) bool {
	if p.each == 0 {
		return true
	}
	length := p.most * int64(p.each)
	place := time.Duration(p.given.Add(length) - length)
	timer := time.NewTimer(time.Until(p.began.Add(place)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// giveBack returns what is left of a place that was used for n messages.
func (p *pace) giveBack(n int64) { p.given.Add(int64(p.each) * (n - p.most)) }
