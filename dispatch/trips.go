package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"armora/bus"
	"armora/dispatch/eta"
	"armora/fleet"
	"armora/live"
	"armora/live/fence"
	"armora/schema"
)

// TripsConfig is what Trips needs. All but Rules and Metrics is required.
type TripsConfig struct {
	DB  *schema.DB
	Bus *bus.Bus
	Map *live.Index
	// StartCode is the code of a booking that its principal shows.
	StartCode func(fleet.BookingID) string
	// Between says how long it takes to get somewhere; eta.Estimator.Between does.
	Between func(ctx context.Context, at time.Time, from, to eta.Point) eta.Leg
	Rules   TripRules
	Clock   fleet.Clock
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: nobody counts
}

// TripRules are the times and distances that trips go by. A zero field is the
// default.
type TripRules struct {
	ClockAhead  time.Duration // by how much a phone's clock may be ahead: 2 min
	NoShowAfter time.Duration // after the start, with the officer there, a principal has not come: 15 min
	ArriveEarly time.Duration // before the start, being there is arriving, also without having set out: 30 min
	Tolerance   time.Duration // by which an officer may come late before ops are told: 5 min
	AtOnce      time.Duration // in which an officer should be there who is wanted at once: 30 min
	SilentAfter time.Duration // without a fix, an officer at work is silent: 2 min
	HeardFor    time.Duration // between two fixes without a silence, and they are so no more: 1 min
	Replan      time.Duration // before somebody's time begins, another can still be found: 60 min
	OverBy      time.Duration // beyond its booked end, a trip overruns: 10 min
	TakeAhead   time.Duration // for as long from now an officer of such a trip is taken: 20 min
	Relieve     time.Duration // before an officer may not work any more, relief is sought: 45 min
	Horizon     time.Duration // before its start, a trip is watched: 2 h

	PickupRadius, DestinationRadius float64 // metres: 150 and 200
	ArrivingWithin                  float64 // metres of the pick-up, where an officer is nearly there: 500
	Work                            fleet.WorkLimits
}

func (r TripRules) withDefaults() TripRules {
	for _, d := range []struct {
		is *time.Duration
		or time.Duration
	}{
		{&r.ClockAhead, 2 * time.Minute}, {&r.NoShowAfter, 15 * time.Minute}, {&r.ArriveEarly, 30 * time.Minute},
		{&r.Tolerance, 5 * time.Minute}, {&r.AtOnce, 30 * time.Minute}, {&r.SilentAfter, 2 * time.Minute}, {&r.HeardFor, time.Minute},
		{&r.Replan, time.Hour}, {&r.OverBy, 10 * time.Minute}, {&r.TakeAhead, 20 * time.Minute},
		{&r.Relieve, 45 * time.Minute}, {&r.Horizon, 2 * time.Hour},
	} {
		if *d.is == 0 {
			*d.is = d.or
		}
	}
	if r.PickupRadius == 0 {
		r.PickupRadius = 150
	}
	if r.DestinationRadius == 0 {
		r.DestinationRadius = 200
	}
	if r.ArrivingWithin == 0 {
		r.ArrivingWithin = 500
	}
	if r.Work == (fleet.WorkLimits{}) {
		r.Work = fleet.DefaultWorkLimits()
	}
	return r
}

// Trips is what happens to bookings once they have their officers: what officers
// tell by their phones and where these are, and what becomes of it. It is safe for
// concurrent use. Open starts it, Close stops it; commands need neither.
//
// What it remembers can be read again: after a crash it is as the rows say.
type Trips struct {
	book
	trips   schema.Trips
	drivers schema.Drivers
	duty    schema.DutySpells
	alerts  schema.Alerts
	guesses schema.Guesses

	index     *live.Index
	startCode func(fleet.BookingID) string
	between   func(ctx context.Context, at time.Time, from, to eta.Point) eta.Leg
	rules     TripRules
	log       *slog.Logger
	metrics   *tripMetrics

	watch watch

	stop    func() // ends what runs; nil before Open
	running sync.WaitGroup
}

// NewTrips returns trips that nobody watches yet.
func NewTrips(cfg TripsConfig) (*Trips, error) {
	if cfg.DB == nil || cfg.Bus == nil || cfg.Map == nil || cfg.StartCode == nil || cfg.Between == nil || cfg.Clock == nil || cfg.Log == nil {
		return nil, errors.New("dispatch: DB, Bus, Map, StartCode, Between, Clock and Log are required")
	}
	metrics, err := newTripMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	t := &Trips{
		book:  book{Bookings: schema.Bookings{DB: cfg.DB}, bus: cfg.Bus, clock: cfg.Clock},
		trips: schema.Trips{DB: cfg.DB}, drivers: schema.Drivers{DB: cfg.DB}, duty: schema.DutySpells{DB: cfg.DB},
		alerts: schema.Alerts{DB: cfg.DB}, guesses: schema.Guesses{DB: cfg.DB},
		index: cfg.Map, startCode: cfg.StartCode, between: cfg.Between, rules: cfg.Rules.withDefaults(), log: cfg.Log, metrics: metrics,
	}
	t.watch.init(fence.NewSet(), cfg.Clock.Now())
	return t, nil
}

const (
	roundEvery = 10 * time.Second // how often trips are looked at when nothing is heard of them
	patience   = 10 * time.Second // for one of the things that are looked at
)

// Open starts to watch the trips that are under way.
func (t *Trips) Open(ctx context.Context) error {
	feed, err := t.index.Subscribe()
	if err != nil {
		return err
	}
	leave := []func(){
		t.bus.Bookings.Subscribe(func(change bus.BookingChange) { t.watch.suspect(change.ID) }),
		t.bus.Standings.Subscribe(t.watch.standing),
	}
	t.watch.begin(t.clock.Now())
	if err := t.load(ctx); err != nil {
		for _, cancel := range leave {
			cancel()
		}
		feed.Close()
		return err
	}
	running, stop := context.WithCancel(context.Background())
	t.stop = sync.OnceFunc(func() {
		for _, cancel := range leave {
			cancel()
		}
		stop()
		t.running.Wait()
		feed.Close()
	})
	t.running.Go(func() { t.run(running, feed) })
	return nil
}

// Close stops watching. It may be called more than once, and without Open.
func (t *Trips) Close() {
	if t.stop != nil {
		t.stop()
	}
}

// run is the one goroutine that watches.
func (t *Trips) run(ctx context.Context, feed *live.Feed) {
	var changes []live.Change
	for {
		fired, stop := t.clock.NewTimer(roundEvery)
		for due := false; !due; {
			select {
			case <-ctx.Done():
				stop()
				return
			case <-feed.Ready():
				changes = feed.Take(changes[:0])
				t.observe(ctx, changes)
			case <-t.watch.wake:
				t.catchUpWithChanges(ctx)
			case <-fired:
				due = true
			}
		}
		t.Round(ctx)
	}
}

// Round looks once at every trip: what Open does every ten seconds. What fails is
// tried again by the next.
func (t *Trips) Round(ctx context.Context) {
	for _, task := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"read the trips that are under way", t.load},
		{"see who has arrived", t.arriveInside},
		{"see who comes late", t.seeLate},
		{"see who is silent", t.seeSilent},
		{"see who may not work any more", t.seeUnfit},
		{"see which trips overrun", t.seeOverruns},
		{"see whose shift ends", t.seeShifts},
	} {
		err := func() error {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			return task.do(ctx)
		}()
		if err != nil && ctx.Err() == nil {
			t.log.Warn("trips could not be looked after, it is tried again in a moment", "task", task.what, "error", err)
		}
	}
	t.metrics.count(t.watch.all())
}
