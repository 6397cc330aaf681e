package ingest

import (
	"context"
	"sync"

	"armora/fleet"
)

// Move is a good fix on its way to the live map, which orders the fixes of a unit
// by At: the fix time, corrected for the device's clock, and never later than
// Point.Received.
type Move struct {
	Unit  fleet.Unit
	At    fleet.Millis
	Point fleet.Point
}

// mover hands moves to the live map in groups, since the map takes eight about as
// soon as two (live.Index.ApplyAll), and fences and alarms keep no connection
// waiting. A group is whatever has come since the one before: one fix when there is
// little to do. What waits is part of what is in flight, which the broker bounds:
// the writer settles before it commits.
type mover struct {
	apply func([]Move)
	wake  chan struct{} // holds a token when there may be something to apply

	mu      sync.Mutex
	waiting []Move

	turn     sync.Mutex // held by who applies; taken before mu
	applying []Move     // guarded by turn
}

func newMover(apply func([]Move)) *mover {
	return &mover{apply: apply, wake: make(chan struct{}, 1)}
}

// add has a move made soon, after those that were added before. It does not block.
func (m *mover) add(move Move) {
	m.mu.Lock()
	m.waiting = append(m.waiting, move)
	first := len(m.waiting) == 1
	m.mu.Unlock()
	if !first {
		return
	}
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *mover) run(ctx context.Context) {
	for {
		select {
		case <-m.wake:
			m.settle()
		case <-ctx.Done():
			return
		}
	}
}

// settle returns when all that was added before is on the map.
func (m *mover) settle() {
	m.turn.Lock()
	defer m.turn.Unlock()
	for {
		m.mu.Lock()
		m.waiting, m.applying = m.applying[:0], m.waiting
		m.mu.Unlock()
		if len(m.applying) == 0 {
			return
		}
		m.apply(m.applying)
	}
}
