package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"armora/bus"
	"armora/fleet"
	"armora/live"
	"armora/schema"
)

// TracksConfig is what Tracks needs. All but Metrics is required.
type TracksConfig struct {
	DB  *schema.DB
	Bus *bus.Bus
	Map *live.Index
	// ETA is when the lead of a trip will be where they are going; Trips.ETA does.
	ETA     func(fleet.BookingID) (ETA, bool)
	Clock   fleet.Clock
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Tracks let people watch trips: where the officers are, from the live map, before it
// is committed; what happens, from the booking's events, after. It is safe for
// concurrent use. Open starts it, Close stops it.
//
// Who may be told is asked of the booking at each delivery. From the moment at which
// a change of it is known, nothing is told of it until it has been read again: who was
// replaced by the change is told nothing after it.
type Tracks struct {
	bookings schema.Bookings
	drivers  schema.Drivers
	audit    schema.Audit
	index    *live.Index
	eta      func(fleet.BookingID) (ETA, bool)
	clock    fleet.Clock
	log      *slog.Logger
	metrics  *trackMetrics
	bus      *bus.Bus

	mu       sync.Mutex
	tracks   map[fleet.BookingID]*track
	byDriver map[fleet.DriverID]map[*track]struct{} // whose officer's position is told
	changed  map[fleet.BookingID]bool               // to be read again
	wake     chan struct{}                          // holds a token when one is

	stop    func() // nil before Open
	running sync.WaitGroup
}

// NewTracks returns tracks that follow nothing yet.
func NewTracks(cfg TracksConfig) (*Tracks, error) {
	if cfg.DB == nil || cfg.Bus == nil || cfg.Map == nil || cfg.ETA == nil || cfg.Clock == nil || cfg.Log == nil {
		return nil, errors.New("dispatch: DB, Bus, Map, ETA, Clock and Log are required")
	}
	measured, err := newTrackMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	return &Tracks{
		bookings: schema.Bookings{DB: cfg.DB}, drivers: schema.Drivers{DB: cfg.DB}, audit: schema.Audit{DB: cfg.DB},
		index: cfg.Map, eta: cfg.ETA, clock: cfg.Clock, log: cfg.Log, metrics: measured, bus: cfg.Bus,
		tracks: make(map[fleet.BookingID]*track), byDriver: make(map[fleet.DriverID]map[*track]struct{}),
		changed: make(map[fleet.BookingID]bool), wake: make(chan struct{}, 1),
	}, nil
}

const (
	// etaEvery is how often an ETA is looked at that may have changed.
	etaEvery = 5 * time.Second
	// trackAgain is how often a trip is read of which no change was told.
	trackAgain = 30 * time.Second
)

// Open starts to tell those who watch.
func (t *Tracks) Open() error {
	feed, err := t.index.Subscribe()
	if err != nil {
		return err
	}
	leave := []func(){
		t.bus.Bookings.Subscribe(func(c bus.BookingChange) { t.suspect(c.ID) }), t.bus.Viewers.Subscribe(t.shownAnew),
	}
	running, stop := context.WithCancel(context.Background())
	t.running.Go(func() { t.follow(running, feed) })
	t.running.Go(func() { t.read(running) })
	t.stop = sync.OnceFunc(func() {
		for _, cancel := range leave {
			cancel()
		}
		stop()
		t.running.Wait()
		feed.Close()
	})
	return nil
}

// Close stops. It may be called more than once, and without Open.
func (t *Tracks) Close() {
	if t.stop != nil {
		t.stop()
	}
}

// follow tells where officers are, as the map learns of it. Nothing here waits for
// the database.
func (t *Tracks) follow(ctx context.Context, feed *live.Feed) {
	var changes []live.Change
	for {
		select {
		case <-ctx.Done():
			return
		case <-feed.Ready():
		}
		changes = feed.Take(changes[:0])
		for i := range changes {
			if c := &changes[i]; !c.Gone {
				for _, trip := range t.ofDriver(fleet.DriverID(c.Unit)) {
					trip.moved(t, &c.Fix)
				}
			}
		}
	}
}

// read reads the trips that have changed, and tells of it.
func (t *Tracks) read(ctx context.Context) {
	looked := t.clock.Now()
	for {
		fired, stop := t.clock.NewTimer(etaEvery)
		for due := false; !due; {
			select {
			case <-ctx.Done():
				stop()
				return
			case <-t.wake:
				t.catchUp(ctx)
			case <-fired:
				due = true
			}
		}
		t.catchUp(ctx) // what could not be read before
		now := t.clock.Now()
		again := now.Sub(looked) >= trackAgain
		if again {
			looked = now
		}
		for _, trip := range t.all() {
			trip.tellETA(t)
			if again {
				t.catchUpWith(ctx, trip, true)
			}
		}
	}
}

// catchUp reads what is known to have changed. What could not be read stays so.
func (t *Tracks) catchUp(ctx context.Context) {
	t.mu.Lock()
	ids := slices.Collect(maps.Keys(t.changed))
	clear(t.changed)
	t.mu.Unlock()
	for _, id := range ids {
		if trip := t.get(id); trip != nil {
			t.catchUpWith(ctx, trip, false)
		}
	}
}

func (t *Tracks) catchUpWith(ctx context.Context, trip *track, whole bool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := trip.catchUp(ctx, t, whole); err != nil && ctx.Err() == nil {
		t.log.Warn("a trip could not be read for those who watch it, it is tried again in a moment", "booking", trip.id, "error", err)
		t.mu.Lock()
		t.changed[trip.id] = true
		t.mu.Unlock()
	}
}

// suspect notes that a booking has changed. It does not block: whoever has made the
// change waits for it.
func (t *Tracks) suspect(id fleet.BookingID) {
	t.mu.Lock()
	trip := t.tracks[id]
	if trip != nil {
		trip.announced.Add(1)
		t.changed[id] = true
	}
	t.mu.Unlock()
	if trip == nil {
		return
	}
	select {
	case t.wake <- struct{}{}:
	default: // it is awake
	}
}

// shownAnew is suspect of the trips of a principal whom fewer of ops may see.
func (t *Tracks) shownAnew(user fleet.UserID) {
	for _, trip := range t.all() {
		if trip.of(user) {
			trip.viewers.Add(1) // before it is announced: who reads it anew sees this too
			t.suspect(trip.id)
		}
	}
}

func (t *Tracks) get(id fleet.BookingID) *track {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tracks[id]
}

func (t *Tracks) all() []*track {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Values(t.tracks))
}

func (t *Tracks) ofDriver(driver fleet.DriverID) []*track {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.byDriver[driver]) == 0 {
		return nil
	}
	return slices.Collect(maps.Keys(t.byDriver[driver]))
}

// enter returns the track of a trip, which stays until leave is called as often.
func (t *Tracks) enter(id fleet.BookingID) *track {
	t.mu.Lock()
	defer t.mu.Unlock()
	trip := t.tracks[id]
	if trip == nil {
		trip = newTrack(id)
		t.tracks[id] = trip
	}
	trip.entered++
	return trip
}

func (t *Tracks) leave(trip *track) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if trip.entered--; trip.entered > 0 {
		return
	}
	delete(t.tracks, trip.id)
	delete(t.changed, trip.id)
	t.show(trip, nil)
}

// show says whose positions are told to those who watch a trip. t.mu is held.
func (t *Tracks) show(trip *track, drivers []fleet.DriverID) {
	for _, d := range trip.drivers {
		delete(t.byDriver[d], trip)
		if len(t.byDriver[d]) == 0 {
			delete(t.byDriver, d)
		}
	}
	trip.drivers = drivers
	for _, d := range drivers {
		if t.byDriver[d] == nil {
			t.byDriver[d] = make(map[*track]struct{})
		}
		t.byDriver[d][trip] = struct{}{}
	}
}

type trackMetrics struct {
	watchers  prometheus.Gauge
	frames    *prometheus.CounterVec
	positions prometheus.Histogram
}

func newTrackMetrics(registry prometheus.Registerer) (*trackMetrics, error) {
	m := &trackMetrics{
		watchers: prometheus.NewGauge(prometheus.GaugeOpts{Name: "armora_tracks_watchers", Help: "Who watches trips, by any way."}),
		frames: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "armora_tracks_frames_total", Help: "What those who watch trips were told.",
		}, []string{"kind"}),
		positions: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "armora_tracks_position_age_seconds",
			Help:    "From when the hub has read an officer's fix to when it is told to all who watch the trip.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}),
	}
	if registry == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.watchers, m.frames, m.positions} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
