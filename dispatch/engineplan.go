package dispatch

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"armora/dispatch/plan"
	"armora/fleet"
	"armora/schema"
)

// The times of the rolling plan.
const (
	// replanEvery is how old the plan gets, and replanPause how old it is at least
	// before it is made anew because something has changed.
	replanEvery = 5 * time.Minute
	replanPause = 10 * time.Second
	// lately is since when an officer who is off duty has worked, at most, to be
	// counted on for the hours to come, and since when work counts for its fair share.
	lately = 7 * 24 * time.Hour
	// askAhead is how long before they have to set out planned officers are asked,
	// at least: so that others can be if they decline.
	askAhead = 15 * time.Minute
	// replanRounds is the effort of each plan, which begins with the last.
	replanRounds = 1000
)

// What the plan adds to an officer's cost, in time of pick-up.
const (
	plannedCredit = -3 * time.Hour // for the one who is planned, so that they are asked first
	brokenCost    = 4 * time.Hour  // for one who could not do what they are planned for
)

// rolling is the plan of the bookings to come: who is to have which seat. Nobody is
// told of it before they are asked, and it is made anew from the database whenever
// it is lost. All but changed is of the goroutine that leads, and only read while
// it matches.
type rolling struct {
	planner   plan.Planner
	changed   atomic.Bool // an officer or a booking
	made      time.Time   // zero: never
	of        []version   // of which bookings it was made
	seats     map[fleet.SeatID]planned
	ahead     map[fleet.DriverID][]planned
	unplanned map[fleet.BookingID]bool // of which ops are told; nil: it is not known
}

// version is a booking as it was.
type version struct {
	id fleet.BookingID
	is int64
}

// planned is an officer's time that a booking is to take.
type planned struct {
	booking fleet.BookingID
	driver  fleet.DriverID
	setOut  time.Time
	to      time.Time // with the turnaround
}

// forget makes the plan begin anew: another may have led meanwhile.
func (p *rolling) forget() {
	p.made, p.of, p.seats, p.ahead, p.unplanned = time.Time{}, nil, nil, nil, nil
}

// officer is who is planned for a seat; zero: nobody.
func (p *rolling) officer(seat fleet.SeatID) fleet.DriverID { return p.seats[seat].driver }

// searchFrom is from when on officers are asked for a booking: LeadTime before it
// starts, or before the first who is planned has to set out.
func (p *rolling) searchFrom(b *fleet.Booking) time.Time {
	from := searchFrom(b)
	for i := range b.Seats {
		if s, is := p.seats[b.Seats[i].ID]; is && !b.Now() {
			if ask := s.setOut.Add(-askAhead); ask.Before(from) {
				from = ask
			}
		}
	}
	return from
}

// cost is what the plan adds to what an officer costs. Who has let the booking's
// offer pass is not preferred any more.
func (p *rolling) cost(q *request, o *option, lapsed bool) (cost time.Duration) {
	if p.seats[q.seat.ID].driver == o.driver && !lapsed {
		cost += plannedCredit
	}
	for _, other := range p.ahead[o.driver] {
		if other.booking != q.booking.ID && o.from.Before(other.to) && other.setOut.Before(o.to) {
			cost += brokenCost
		}
	}
	return cost
}

// replan plans the bookings that start later anew, if something has changed or the
// plan is old, and tells ops of those that nobody could have.
func (e *Engine) replan(ctx context.Context, term schema.Term, bookings []fleet.Booking, open *openOffers) error {
	now, p := e.clock.Now(), &e.rolling
	of := make([]version, len(bookings))
	for i := range bookings {
		of[i] = version{bookings[i].ID, bookings[i].Version}
	}
	age := now.Sub(p.made)
	changed := p.changed.Load() || !slices.Equal(of, p.of)
	if !p.made.IsZero() && age >= 0 && age < replanEvery && (!changed || age < replanPause) {
		return nil
	}
	began := time.Now()
	p.changed.Store(false)
	d := &planning{Engine: e, now: now, open: open, officers: make(map[fleet.DriverID]int)}
	if err := d.read(ctx, bookings); err != nil {
		p.changed.Store(true)
		return err
	}
	d.plan()
	p.made, p.of = now, of
	e.metrics.plans.Observe(time.Since(began).Seconds())
	e.metrics.unplanned.Set(float64(len(d.without)))
	if now.Before(e.led.Add(warmUp)) { // not all officers are heard yet
		return nil
	}
	return e.tellUnplanned(ctx, term, d.without)
}

// tellUnplanned raises an alert of each booking that nobody is planned for, and
// settles those of which that is not so any more.
func (e *Engine) tellUnplanned(ctx context.Context, term schema.Term, without map[fleet.BookingID]bool) error {
	alerts, p, now := schema.Alerts{DB: e.cfg.DB}, &e.rolling, e.clock.Now()
	if p.unplanned == nil {
		open, err := alerts.OpenOf(ctx, fleet.AlertUnplanned)
		if err != nil {
			return err
		}
		p.unplanned = make(map[fleet.BookingID]bool)
		for i := range open {
			p.unplanned[open[i].Booking] = true
		}
	}
	var failed error
	for id := range without {
		if !p.unplanned[id] {
			err := alerts.RaiseIn(ctx, term, fleet.Alert{ID: fleet.NewID[fleet.Alert](), Kind: fleet.AlertUnplanned, Booking: id, Raised: now})
			failed = errors.Join(failed, err)
			p.unplanned[id] = err == nil
		}
	}
	for id := range p.unplanned {
		if !without[id] {
			err := alerts.SettleIn(ctx, term, fleet.AlertUnplanned, id, fleet.DriverID{}, "it is planned, or over", now)
			if failed = errors.Join(failed, err); err == nil {
				delete(p.unplanned, id)
			}
		}
	}
	return failed
}
