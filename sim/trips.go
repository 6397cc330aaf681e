package sim

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// Trips has principals book the fleet's officers, who take them where they want
// to go.
type Trips struct {
	API      string           // http://host:port
	Stripe   string           // where the principals' cards are paid with, http://host:port; "": nothing is to be paid
	Riders   []SignIn         // the principals
	Officers map[int]Employee // by the officer's number; who is not in it takes no part
	// Every is the mean time between the end of a principal's booking and their
	// next; 0 is five minutes.
	Every time.Duration
}

// Employee is what an officer's app needs besides the phone's own credential.
type Employee struct {
	Driver string // the officer's id
	SignIn SignIn
}

// crowd is everybody who takes part in the trips.
type crowd struct {
	riders []*rider
	apps   []*app
	tally  tripTally
}

// newCrowd makes the principals, and gives the fleet's officers their apps.
func (f *Fleet) newCrowd(t *Trips, city *City) *crowd {
	if t.Every == 0 {
		t.Every = 5 * time.Minute
	}
	c, shown := &crowd{}, newCodes()
	transport := &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute}
	newWeb := func(signIn SignIn) *web {
		return &web{base: t.API, client: &http.Client{Transport: transport}, signIn: signIn}
	}
	log := func(msg string, err error) { f.cfg.Logger.Warn(msg, slog.Any("error", err)) }
	for i, signIn := range t.Riders {
		c.riders = append(c.riders, &rider{
			web: newWeb(signIn), city: city, random: stream(f.cfg.Seed, i, streamRider), every: t.Every,
			stripe: t.Stripe, codes: shown, tally: &c.tally, log: log,
		})
	}
	for _, m := range f.members {
		employee, ok := t.Officers[m.device.Officer]
		if !ok || m.device.Kind != Phone {
			continue
		}
		a := &app{
			web: newWeb(employee.SignIn), driver: employee.Driver, officer: m.officer, phone: m.client,
			codes: shown, tally: &c.tally, log: log,
			random: stream(f.cfg.Seed, m.device.Officer, streamApp), busy: make(chan struct{}, 1),
		}
		m.app = a
		c.apps = append(c.apps, a)
	}
	return c
}

// open says until when the officers' apps do anything.
func (c *crowd) open(ctx context.Context) {
	for _, a := range c.apps {
		a.ctx = ctx
	}
}

// run lets the principals live until ctx ends, and waits for everybody.
func (c *crowd) run(ctx context.Context) {
	var living sync.WaitGroup
	for _, r := range c.riders {
		living.Go(func() { r.live(ctx) })
	}
	for _, a := range c.apps {
		a.start(func() { a.resume(ctx) })
	}
	living.Wait()
	<-ctx.Done()
	for _, a := range c.apps {
		a.finish()
	}
}

// tripTally counts for Stats.
type tripTally struct {
	asked, driven, failed atomic.Uint64
	waits                 atomic.Uint64 // for an officer to arrive
	waitedFor             atomic.Int64  // the sum, nanoseconds
}

func (t *tripTally) waited(d time.Duration) {
	t.waits.Add(1)
	t.waitedFor.Add(int64(d))
}

func (t *tripTally) stats() TripStats {
	s := TripStats{Asked: t.asked.Load(), Driven: t.driven.Load(), Failed: t.failed.Load()}
	if n := t.waits.Load(); n > 0 {
		s.MeanWait = time.Duration(t.waitedFor.Load() / int64(n))
	}
	return s
}

// TripStats is how the trips of a simulation stand.
type TripStats struct {
	Asked    uint64        `json:"asked"`        // bookings that were made
	Driven   uint64        `json:"driven"`       // trips that were driven to their end
	Failed   uint64        `json:"failed"`       // bookings and trips that went wrong
	MeanWait time.Duration `json:"mean_wait_ns"` // from the wish for a quote to the officer's arrival
}

func newUUID() string { return uuid.Must(uuid.NewV7()).String() }
