package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"armora/sim/latency"
)

// Stats is how a simulation stands. Counts are of points since the start,
// unless they say otherwise.
type Stats struct {
	Devices      int           `json:"devices"`
	Offline      int           `json:"offline"`      // devices without a connection now
	Handed       uint64        `json:"handed"`       // given to the MQTT client library
	Published    uint64        `json:"published"`    // written to a connection at least once
	Acknowledged uint64        `json:"acknowledged"` // answered by a PUBACK of success
	Rejected     uint64        `json:"rejected"`     // answered by a PUBACK of failure
	Lost         uint64        `json:"lost"`         // thrown away by the library because the hub lost the session
	Refused      uint64        `json:"refused"`      // dropped because the device's own outbox was full
	Pending      int           `json:"pending"`      // messages of any kind not answered yet
	Commands     uint64        `json:"commands"`     // messages: commands that were received
	Reconnects   uint64        `json:"reconnects"`   // connections made after a device's first
	Failures     uint64        `json:"failures"`     // attempts to connect that failed
	P50          time.Duration `json:"p50_ns"`       // from publish to PUBACK, over the last ten seconds
	P99          time.Duration `json:"p99_ns"`       // likewise
	Trips        TripStats     `json:"trips"`
}

// ErrUnanswered is returned when a simulation stopped before the hub had
// answered everything that it was sent.
var ErrUnanswered = errors.New("sim: messages were left without an answer")

// tally counts for Stats.
type tally struct {
	devices                                                  int
	online                                                   atomic.Int64
	handed, published, acknowledged, rejected, lost, refused atomic.Uint64
	commands, reconnects, connectErrors                      atomic.Uint64
	pending                                                  pending
	latency                                                  *latency.Window
}

func newTally(devices int) *tally {
	return &tally{devices: devices, latency: latency.NewWindow(10, time.Second)}
}

func (t *tally) stats() Stats {
	quantiles := t.latency.Quantiles(time.Now(), 0.5, 0.99)
	return Stats{
		Devices:      t.devices,
		Offline:      t.devices - int(t.online.Load()),
		Handed:       t.handed.Load(),
		Published:    t.published.Load(),
		Acknowledged: t.acknowledged.Load(),
		Rejected:     t.rejected.Load(),
		Lost:         t.lost.Load(),
		Refused:      t.refused.Load(),
		Pending:      t.pending.count(),
		Commands:     t.commands.Load(),
		Reconnects:   t.reconnects.Load(),
		Failures:     t.connectErrors.Load(),
		P50:          quantiles[0],
		P99:          quantiles[1],
	}
}

// drain waits until every message is answered, at most for patience.
func (t *tally) drain(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if t.pending.wait(ctx) != nil {
		return fmt.Errorf("%w: %d after %v", ErrUnanswered, t.pending.count(), patience)
	}
	return nil
}

// pending counts the messages that wait for an answer, and lets somebody wait
// until there are none.
type pending struct {
	mu    sync.Mutex
	n     int
	empty chan struct{} // closed when n reaches 0; nil while nobody waits
}

func (p *pending) add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n += n; p.n == 0 && p.empty != nil {
		close(p.empty)
		p.empty = nil
	}
}

func (p *pending) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}

// wait returns nil once nothing is pending, or ctx's error.
func (p *pending) wait(ctx context.Context) error {
	p.mu.Lock()
	if p.n == 0 {
		p.mu.Unlock()
		return nil
	}
	if p.empty == nil {
		p.empty = make(chan struct{})
	}
	empty := p.empty
	p.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
