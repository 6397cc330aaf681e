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
	"armora/dispatch/match"
	"armora/fleet"
	"armora/live"
	"armora/schema"
)

// The times of the engine.
const (
	// tickEvery is how often it is looked what has come due, and the least time
	// between two matchings while many wait.
	tickEvery = 2 * time.Second
	// maxPause is the longest time between two matchings: officers get free
	// meanwhile, and whoever waits is matched among more.
	maxPause = 10 * time.Second
	// shortQueue is how many may wait to be matched at once, without a pause.
	shortQueue = 4
	// standbyEvery is how often an engine that does not lead asks to.
	standbyEvery = 2 * time.Second
)

// EngineConfig is what an Engine needs. All but Metrics and Work is required.
type EngineConfig struct {
	DB      *schema.DB
	Bus     *bus.Bus
	Map     *live.Index
	Travel  *eta.Estimator
	Clock   fleet.Clock
	Log     *slog.Logger
	Metrics prometheus.Registerer
	// Area is what the engine dispatches; of several with the same one leads.
	Area string
	// Holder names the engine to ops.
	Holder string
	// Work is how long officers may work; zero: fleet.DefaultWorkLimits.
	Work fleet.WorkLimits
	// OffDuty takes an officer off duty, in the engine's term, who lets offers pass.
	OffDuty func(context.Context, schema.Term, fleet.DriverID) error
}

// Engine finds officers. Of all engines of an area one leads, which plans, offers
// and gives up; the others wait to take over. What officers and ops say is taken
// by any of them.
//
// What it knows is in the database. A tick reads what is open and whom to ask,
// and writes in the engine's term: one that was thought dead, and was not, has no
// say any more.
type Engine struct {
	book
	cfg         EngineConfig
	offers      schema.Offers
	drivers     schema.Drivers
	duty        schema.DutySpells
	dispatchers schema.Dispatchers
	log         *slog.Logger
	metrics     *engineMetrics
	roster      roster
	round       match.Round // of which the simulator's batch is another
	rolling     rolling

	awake   chan struct{} // holds a token when there is something to do before the next tick
	leave   []func()
	stop    context.CancelFunc
	running sync.WaitGroup

	// Of the one goroutine that leads.
	led     time.Time // since when
	matched time.Time // when it matched last
	pause   time.Duration
	holds   map[fleet.BookingID]match.Hold // of those that waited for whoever is not free yet
	nearby  int                            // how many officers are looked at for a seat to begin with
}

// NewEngine returns an engine that does nothing yet.
func NewEngine(cfg EngineConfig) (*Engine, error) {
	if cfg.Work == (fleet.WorkLimits{}) {
		cfg.Work = fleet.DefaultWorkLimits()
	}
	metrics, err := newEngineMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		book: book{Bookings: schema.Bookings{DB: cfg.DB}, bus: cfg.Bus, clock: cfg.Clock},
		cfg:  cfg, log: cfg.Log, metrics: metrics,
		offers: schema.Offers{DB: cfg.DB}, drivers: schema.Drivers{DB: cfg.DB},
		duty: schema.DutySpells{DB: cfg.DB}, dispatchers: schema.Dispatchers{DB: cfg.DB},
		round: match.Round{Weights: match.DefaultWeights(), Swaps: match.DefaultSwapRules()}, awake: make(chan struct{}, 1),
		holds: make(map[fleet.BookingID]match.Hold), nearby: nearby,
	}
	e.roster.drivers, e.roster.clock = e.drivers, cfg.Clock
	e.round.Weights.Preferred, e.round.Weights.Farthest = preferred, unserved
	return e, nil
}

// Open starts the engine. It is called once.
func (e *Engine) Open() {
	ctx, stop := context.WithCancel(context.Background())
	e.stop = stop
	e.leave = []func(){
		e.bus.Standings.Subscribe(func(s bus.Standing) {
			e.roster.forget(s.Driver)
			e.rolling.changed.Store(true)
		}),
		e.bus.Bookings.Subscribe(func(b bus.BookingChange) {
			e.rolling.changed.Store(true)
			if b.Status == fleet.Scheduled || b.Status == fleet.Searching {
				e.Wake()
			}
		}),
	}
	e.running.Go(func() { e.run(ctx) })
}

// Close stops the engine and gives up the lead. It may be called more than once.
func (e *Engine) Close() {
	if e.stop == nil {
		return
	}
	e.stop()
	for _, cancel := range e.leave {
		cancel()
	}
	e.leave = nil
	e.running.Wait()
}

// Wake makes the engine look at once whether there is something to do.
func (e *Engine) Wake() {
	select {
	case e.awake <- struct{}{}:
	default: // it is awake
	}
}

// run leads whenever it can, until ctx ends.
func (e *Engine) run(ctx context.Context) {
	for ctx.Err() == nil {
		leader, err := e.dispatchers.Lead(ctx, e.cfg.Area, e.cfg.Holder, e.clock.Now())
		switch {
		case err != nil && ctx.Err() == nil:
			e.log.Warn("dispatch cannot ask whether it is to lead, it tries again", "area", e.cfg.Area, "error", err)
		case leader != nil:
			e.lead(ctx, leader)
		}
		e.sleep(ctx, standbyEvery)
	}
}

// lead ticks until ctx ends or the lead is lost.
func (e *Engine) lead(ctx context.Context, leader *schema.Leader) {
	e.log.Info("dispatch leads", "area", leader.Area, "epoch", leader.Epoch)
	e.metrics.leads.Set(1)
	e.led, e.matched, e.pause = e.clock.Now(), time.Time{}, 0
	e.rolling.forget()
	clear(e.holds)
	ctx, lost := context.WithCancel(ctx)
	var beating sync.WaitGroup
	beating.Go(func() {
		defer lost()
		beat(ctx, leader)
	})
	defer func() {
		lost()
		beating.Wait()
		e.metrics.leads.Set(0)
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), schema.LeaseTimeout)
		defer cancel()
		leader.Close(closing)
	}()
	for ctx.Err() == nil {
		err := e.tick(ctx, leader.Term)
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, schema.ErrTermOver):
			e.log.Warn("dispatch has lost the lead to another", "area", leader.Area, "epoch", leader.Epoch)
			return
		case err != nil:
			e.log.Warn("dispatch could not do all that is due, it tries again", "error", err)
		}
		e.sleep(ctx, tickEvery)
	}
}

// beat shows the database that the leader is alive, until ctx ends or the lock
// may be lost. The server counts by its own clock, so this is by the machine's.
func beat(ctx context.Context, leader *schema.Leader) {
	for {
		fired, stop := fleet.SystemClock{}.NewTimer(schema.LeaseTimeout / 5)
		select {
		case <-ctx.Done():
			stop()
			return
		case <-fired:
		}
		try, cancel := context.WithTimeout(ctx, schema.LeaseTimeout/3)
		err := leader.Beat(try)
		cancel()
		if err != nil {
			return
		}
	}
}

// sleep waits until d is over, there is something to do, or ctx ends.
func (e *Engine) sleep(ctx context.Context, d time.Duration) {
	fired, stop := e.clock.NewTimer(d)
	defer stop()
	select {
	case <-ctx.Done():
	case <-e.awake:
	case <-fired:
	}
}
