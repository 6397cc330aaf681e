package safety

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
)

// AlarmsConfig is what Alarms needs. All but Rules is required.
type AlarmsConfig struct {
	DB    *schema.DB
	Bus   *bus.Bus
	Tell  func(fleet.Tidings) schema.Telling // notify.Sender.Telling is it
	Rules AlarmRules
	Clock fleet.Clock
	Log   *slog.Logger
}

// Alarms watch the officers of the trips that are under way, and raise alerts for ops
// by themselves: see AlarmRules. What they remember can be seen again: after a restart
// an alert stays open until it is seen that its cause is gone, or its trip ends.
type Alarms struct {
	cfg    AlarmsConfig
	trips  schema.Trips
	alerts schema.Alerts

	mu      sync.RWMutex
	watched map[fleet.DriverID]*subject

	news    sync.Mutex // guards what follows
	changed map[fleet.BookingID]bool
	found   map[alarmKey]finding // the last of each, which is not stored yet
	wake    chan struct{}        // holds a token when there is something of either

	stop    context.CancelFunc
	running sync.WaitGroup
	leave   func()
}

// subject is an officer at work on a trip.
type subject struct {
	booking fleet.BookingID
	driver  fleet.DriverID

	mu sync.Mutex
	*detector
}

type alarmKey struct {
	booking fleet.BookingID
	driver  fleet.DriverID
	kind    fleet.AlertKind
}

const (
	alarmsEvery    = time.Minute // all trips are read anew, in case that a change was missed
	alarmsAgain    = 5 * time.Second
	alarmsPatience = 10 * time.Second // with the database
	alarmsPage     = 500
)

// NewAlarms returns alarms that watch nobody yet.
func NewAlarms(cfg AlarmsConfig) *Alarms {
	cfg.Rules = cfg.Rules.withDefaults()
	return &Alarms{
		cfg: cfg, trips: schema.Trips{DB: cfg.DB}, alerts: schema.Alerts{DB: cfg.DB}, watched: make(map[fleet.DriverID]*subject),
		changed: make(map[fleet.BookingID]bool), found: make(map[alarmKey]finding), wake: make(chan struct{}, 1),
	}
}

// Open begins to watch, also when the database is away: then the trips are read when
// it is back. It is called once.
func (a *Alarms) Open() {
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	a.leave = a.cfg.Bus.Bookings.Subscribe(func(c bus.BookingChange) {
		a.news.Lock()
		a.changed[c.ID] = true
		a.news.Unlock()
		a.signal()
	})
	a.running.Go(func() { a.run(ctx) })
}

// Close stops watching. It may be called more than once.
func (a *Alarms) Close() {
	if a.stop != nil {
		a.leave()
		a.stop()
		a.running.Wait()
	}
}

func (a *Alarms) signal() {
	select {
	case a.wake <- struct{}{}:
	default: // it is awake
	}
}

// Observe looks at a good fix of a unit, from whichever of its devices. It does not
// block, and costs next to nothing if the unit is not an officer on a trip.
func (a *Alarms) Observe(unit fleet.Unit, at fleet.Millis, p *fleet.Point) {
	a.mu.RLock()
	s := a.watched[fleet.DriverID(unit)]
	a.mu.RUnlock()
	if s == nil {
		return
	}
	s.mu.Lock()
	found := s.see(p, at)
	s.mu.Unlock()
	a.report(s, found...)
}

// report has findings stored. Of one kind the last counts: how many wait is bounded by
// the officers who are watched.
func (a *Alarms) report(s *subject, found ...finding) {
	if len(found) == 0 {
		return
	}
	a.news.Lock()
	for _, f := range found {
		a.found[alarmKey{s.booking, s.driver, f.kind}] = f
	}
	a.news.Unlock()
	a.signal()
}

// run reads trips as they change, and stores what was found.
func (a *Alarms) run(ctx context.Context) {
	whole := true // all trips are to be read
	for {
		limited, cancel := context.WithTimeout(ctx, alarmsPatience)
		err := a.round(limited, whole)
		cancel()
		wait := alarmsEvery
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			a.cfg.Log.Warn("automatic alarms: the database is asked again in a moment", "error", err)
			wait = alarmsAgain
		}
		fired, stop := a.cfg.Clock.NewTimer(wait)
		select {
		case <-ctx.Done():
			stop()
			return
		case <-fired:
			whole = true
		case <-a.wake:
			stop()
			whole = whole && err != nil
		}
	}
}

func (a *Alarms) round(ctx context.Context, whole bool) error {
	if err := a.read(ctx, whole); err != nil {
		return err
	}
	return a.store(ctx)
}

// read brings up to date who is watched.
func (a *Alarms) read(ctx context.Context, whole bool) error {
	a.news.Lock()
	changed := a.changed
	a.changed = make(map[fleet.BookingID]bool)
	a.news.Unlock()
	err := a.readChanged(ctx, changed)
	if err == nil && whole {
		err = a.readAll(ctx)
	}
	if err != nil {
		a.news.Lock()
		for id := range changed {
			a.changed[id] = true
		}
		a.news.Unlock()
	}
	return err
}

func (a *Alarms) readAll(ctx context.Context) error {
	active := make(map[fleet.BookingID]bool)
	for after := (fleet.BookingID{}); ; {
		page, err := a.trips.UnderWay(ctx, a.cfg.Clock.Now(), after, alarmsPage)
		if err != nil {
			return err
		}
		for i := range page {
			after = page[i].ID
			active[after] = true
			if err := a.follow(ctx, &page[i]); err != nil {
				return err
			}
		}
		if len(page) < alarmsPage {
			break
		}
	}
	a.drop(func(s *subject) bool { return !active[s.booking] })
	return nil
}

func (a *Alarms) readChanged(ctx context.Context, changed map[fleet.BookingID]bool) error {
	for id := range changed {
		b, err := (schema.Bookings{DB: a.cfg.DB}).Get(ctx, id)
		if fleet.CodeOf(err) == fleet.CodeNotFound {
			b, err = fleet.Booking{ID: id}, nil
		}
		if err == nil {
			err = a.follow(ctx, &b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// follow watches the officers of a booking as it is now, and those who are at work on
// it no more no longer.
func (a *Alarms) follow(ctx context.Context, b *fleet.Booking) error {
	at := make(map[fleet.DriverID]bool)
	if b.Status.Active() {
		for i := range b.Seats {
			if s := &b.Seats[i]; s.State == fleet.SeatActive || s.State == fleet.SeatCommitted && s.Relieves.IsZero() {
				at[s.Driver] = true
			}
		}
	}
	a.drop(func(s *subject) bool { return s.booking == b.ID && !at[s.driver] })
	for driver := range at {
		trackers, err := a.trips.Trackers(ctx, driver)
		if err != nil {
			return err
		}
		p := plan{trackers: make(map[fleet.DeviceID]bool, len(trackers))}
		for _, device := range trackers {
			p.trackers[device] = true
		}
		if b.Status == fleet.InProgress && b.Type == fleet.SecureTransfer && b.Destination != nil {
			p.places = append(append([]fleet.Place{b.Pickup}, b.Stops...), *b.Destination)
		}
		a.mu.Lock()
		s := a.watched[driver]
		if s == nil || s.booking != b.ID {
			s = &subject{booking: b.ID, driver: driver, detector: newDetector(a.cfg.Rules)}
			a.watched[driver] = s
		}
		a.mu.Unlock()
		s.mu.Lock()
		s.plan = p
		s.mu.Unlock()
	}
	return nil
}

// drop watches some no longer. What was raised about them is over: they are not there
// any more.
func (a *Alarms) drop(which func(*subject) bool) {
	a.mu.Lock()
	var gone []*subject
	for driver, s := range a.watched {
		if which(s) {
			gone = append(gone, s)
			delete(a.watched, driver)
		}
	}
	a.mu.Unlock()
	for _, s := range gone {
		s.mu.Lock()
		kinds := s.raised()
		s.mu.Unlock()
		for _, kind := range kinds {
			a.report(s, finding{kind: kind})
		}
	}
}

// store raises and settles the alerts of what was found. What cannot be stored waits
// for the next round, unless something newer was found by then.
func (a *Alarms) store(ctx context.Context) error {
	a.news.Lock()
	found := a.found
	a.found = make(map[alarmKey]finding)
	a.news.Unlock()
	var failed error
	for key, f := range found {
		err := failed // one that could not be reached is not tried for each
		if err == nil {
			err = a.tell(ctx, key, &f)
		}
		if err == nil {
			continue
		}
		failed = err
		a.news.Lock()
		if _, newer := a.found[key]; !newer {
			a.found[key] = f
		}
		a.news.Unlock()
	}
	return failed
}

func (a *Alarms) tell(ctx context.Context, key alarmKey, f *finding) error {
	now := a.cfg.Clock.Now()
	if !f.is {
		return a.alerts.Settle(ctx, key.kind, key.booking, key.driver, "as it should be again", now)
	}
	data, err := json.Marshal(f.data)
	if err != nil {
		return err
	}
	return a.alerts.RaiseOf(ctx, fleet.Alert{
		ID: fleet.NewID[fleet.Alert](), Kind: key.kind, Booking: key.booking, Driver: key.driver, Data: data, Raised: now,
	})
}
