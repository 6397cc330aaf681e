// Package fences lets the way of a point run by the fences: it shows them each
// fix that moved the live map, and stores what they tell, with who is in them.
package fences

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"armora/fleet"
	"armora/live/fence"
	"armora/schema"
)

// Store keeps fences and what they tell; schema.Fences does.
type Store interface {
	List(ctx context.Context, after schema.FenceID, limit int) ([]schema.Fence, error)
	Stays(ctx context.Context) ([]schema.FenceStay, error)
	AddEvents(ctx context.Context, events []schema.FenceEvent) error
}

// Config is what Fences is made of. Set, Store, Clock and Log are required.
type Config struct {
	Set     *fence.Set
	Store   Store
	Clock   fleet.Clock
	Log     *slog.Logger
	Metrics prometheus.Registerer
	// Limit is how many events may wait for the database; 0: DefaultLimit.
	Limit int
}

// DefaultLimit holds, of a fleet of 10,000 that crosses a fence every ten
// minutes, the events of an hour, in 7 MB.
const DefaultLimit = 1 << 16

const (
	batch    = 500                    // events in one transaction at most
	patience = 5 * time.Second        // for one try to store them
	pause    = 500 * time.Millisecond // between two tries
	page     = 500                    // fences in one read
	lanes    = 64
)

// Fences observes units and stores what the fences tell of them.
//
// The memory of the set is ahead of the database by what waits. After a crash
// the set is as it was stored: a crossing that was not is told by the next fixes
// that confirm it, with their time, and none is told twice. When Limit events
// wait, fixes are not shown to the fences any more: what they would have told is
// told by the fixes after, once the database takes events again.
type Fences struct {
	config Config
	// lanes keep the events of a unit in order between the set and the queue,
	// when several of its devices report at once.
	lanes [lanes]sync.Mutex

	mu      sync.Mutex
	waiting []schema.FenceEvent
	closed  bool
	shut    atomic.Bool   // closed, or Limit events wait: fixes are not observed
	wake    chan struct{} // holds a token when something waits

	told    *prometheus.CounterVec
	skipped prometheus.Counter
	retries prometheus.Counter

	stop context.CancelFunc // ends storing; nil before Open
	done chan struct{}      // closed when nobody stores any more
}

// New returns fences that nobody stores yet.
func New(config Config) (*Fences, error) {
	if config.Set == nil || config.Store == nil || config.Clock == nil || config.Log == nil {
		return nil, errors.New("fences: Set, Store, Clock and Log are required")
	}
	if config.Limit == 0 {
		config.Limit = DefaultLimit
	}
	f := &Fences{
		config: config, wake: make(chan struct{}, 1), done: make(chan struct{}),
		told: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "armora_fences_events_total", Help: "Events of fences, by kind and what became of them.",
		}, []string{"kind", "outcome"}),
		skipped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "armora_fences_fixes_skipped_total", Help: "Fixes not shown to the fences, because too many events wait or the hub stops.",
		}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "armora_fences_store_retries_total", Help: "Stores of events that had to be tried again.",
		}),
	}
	if config.Metrics == nil {
		return f, nil
	}
	for _, c := range []prometheus.Collector{f.told, f.skipped, f.retries,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "armora_fences_queue_events", Help: "Events that wait to be stored."},
			func() float64 { return float64(f.Waiting()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "armora_fences_fences", Help: "Fences that are watched."},
			func() float64 { return float64(config.Set.Len()) }),
	} {
		if err := config.Metrics.Register(c); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Open loads the fences, and who is in them, into the set and starts storing.
// It is called once, before the first Observe and before the live map is
// restored.
func (f *Fences) Open(ctx context.Context) error {
	if err := f.load(ctx); err != nil {
		return fmt.Errorf("load fences: %w", err)
	}
	running, stop := context.WithCancel(context.Background())
	f.stop = stop
	go f.run(running)
	return nil
}

func (f *Fences) load(ctx context.Context) error {
	for after := (schema.FenceID{}); ; {
		stored, err := f.config.Store.List(ctx, after, page)
		if err != nil {
			return err
		}
		for _, row := range stored {
			if err := f.Put(row); err != nil {
				// Drawn under another version's rules: the hub starts without it.
				f.config.Log.Error("a stored fence cannot be watched", "fence", row.ID, "error", err)
			}
			after = row.ID
		}
		if len(stored) < page {
			break
		}
	}
	stays, err := f.config.Store.Stays(ctx)
	if err != nil {
		return err
	}
	state := make([]fence.Stay, len(stays))
	for i, s := range stays {
		state[i] = fence.Stay{
			Fence: fence.ID(s.Fence), Unit: s.Unit, Dwelt: s.Dwelt,
			Since: fleet.MillisOf(s.Since), At: fleet.MillisOf(s.At),
		}
	}
	f.config.Set.Restore(state)
	return nil
}

// Put watches a stored fence from now on, in place of what was watched under its
// id. A shape that is none is a *fence.ShapeError.
func (f *Fences) Put(row schema.Fence) error {
	var shape fence.Shape
	if err := shape.UnmarshalJSON(row.Shape); err != nil {
		return err
	}
	return f.config.Set.Put(fence.Fence{
		ID: fence.ID(row.ID), Shape: shape, Dwell: row.Dwell, MaxAccuracy: row.MaxAccuracy,
		Confirm: fence.Confirm{Fixes: row.ConfirmFixes, For: row.ConfirmFor},
	})
}

// Remove watches a fence no more. Nothing is told of who is in it.
func (f *Fences) Remove(id schema.FenceID) { f.config.Set.Remove(fence.ID(id)) }

// Observe shows the fences a fix that moved a unit on the live map. It neither
// blocks on I/O nor keeps p.
func (f *Fences) Observe(unit fleet.Unit, at fleet.Millis, p *fleet.Point) {
	if f.shut.Load() {
		f.skipped.Inc()
		return
	}
	lane := &f.lanes[unit[len(unit)-1]%lanes]
	lane.Lock()
	defer lane.Unlock()
	var some [4]fence.Event
	if events := f.config.Set.Observe(some[:0], unit, at, p.Lat, p.Lon, p.Accuracy); len(events) > 0 {
		f.queue(events)
	}
}

// Waiting returns how many events wait to be stored.
func (f *Fences) Waiting() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.waiting)
}

// settle decides whether fixes are observed. f.mu is held.
func (f *Fences) settle() { f.shut.Store(f.closed || len(f.waiting) >= f.config.Limit) }

// queue takes events in. Those of fixes that found room at the same time may
// exceed the limit, by a few for each goroutine that observes.
func (f *Fences) queue(events []fence.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return // told again after the restart, by the next fix
	}
	for _, e := range events {
		f.waiting = append(f.waiting, schema.FenceEvent{
			Fence: schema.FenceID(e.Fence), Unit: e.Unit, Kind: string(e.Kind),
			At: e.At.Time(), Since: e.Since.Time(), Lat: e.Lat, Lon: e.Lon,
		})
	}
	f.settle()
	f.signal()
}

func (f *Fences) signal() {
	select {
	case f.wake <- struct{}{}:
	default: // it is awake
	}
}
