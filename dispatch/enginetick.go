package dispatch

import (
	"context"
	"errors"
	"sync"
	"time"

	"armora/fleet"
	"armora/schema"
)

// Deadlines of bookings.
const (
	// FundingPatience is how long a booking for now waits for its money.
	FundingPatience = 15 * time.Minute
	// SearchPatience is how long an officer is looked for, for a booking for now.
	SearchPatience = 10 * time.Minute
	// StartGrace is for how long after its start an officer is still looked for,
	// for a booking that was planned.
	StartGrace = 15 * time.Minute
	// LeadTime is how long before its start, at least, an officer is looked for.
	LeadTime = 45 * time.Minute
	// warmUp is how long an engine leads before it gives up on anybody: after a
	// restart of the hub, phones take their time to be heard again.
	warmUp = freshFor
	// horizon is how far ahead bookings are looked at.
	horizon = 24 * time.Hour
)

// tick does all that is due. What fails for one booking does not keep the others
// from theirs.
func (e *Engine) tick(ctx context.Context, term schema.Term) error {
	began := time.Now()
	defer func() { e.metrics.ticks.Observe(time.Since(began).Seconds()) }()
	open, failed := e.expireOffers(ctx, term)
	if lost(failed) {
		return failed
	}
	bookings, err := e.Wanting(ctx, e.clock.Now().Add(horizon))
	if err != nil {
		return errors.Join(failed, err)
	}
	failed = errors.Join(failed, e.replan(ctx, term, bookings, open))
	if lost(failed) {
		return failed
	}
	failed = errors.Join(failed, inParallel(len(bookings), func(i int) error {
		do := e.due(&bookings[i], open)
		if do == nil {
			return nil
		}
		changed, err := e.changeIn(ctx, term, bookings[i].ID, do)
		if err == nil {
			bookings[i] = changed
		}
		return err
	}))
	if lost(failed) {
		return failed
	}
	waiting := map[fleet.BookingStatus]int{fleet.Scheduled: 0, fleet.Searching: 0, fleet.Offered: 0}
	for i := range bookings {
		waiting[bookings[i].Status]++
	}
	for status, n := range waiting {
		e.metrics.waiting.WithLabelValues(string(status)).Set(float64(n))
	}
	return errors.Join(failed, e.match(ctx, term, bookings, open))
}

// lost reports whether nothing more can be done for now: the term is over, or the
// database away.
func lost(err error) bool {
	return errors.Is(err, schema.ErrTermOver) || fleet.CodeOf(err) == fleet.CodeUnavailable
}

// atOnce is how many bookings are changed at a time.
const atOnce = 4

// inParallel does n things, some at a time, and returns what failed. That somebody
// else was first at one is no failure: it is looked at anew in the next tick. Once
// nothing more can be done, nothing more is begun.
func inParallel(n int, do func(int) error) error {
	var mu sync.Mutex
	var failed error
	next := 0
	take := func() (i int, more bool) {
		mu.Lock()
		defer mu.Unlock()
		next++
		return next - 1, next <= n && !lost(failed)
	}
	var doing sync.WaitGroup
	for range min(atOnce, n) {
		doing.Go(func() {
			for i, more := take(); more; i, more = take() {
				err := do(i)
				if err == nil || fleet.CodeOf(err) == fleet.CodeConflict && !lost(err) {
					continue
				}
				mu.Lock()
				failed = errors.Join(failed, err)
				mu.Unlock()
			}
		})
	}
	doing.Wait()
	return failed
}

// openOffers are the offers that officers have not answered.
type openOffers struct {
	seats   map[fleet.SeatID]fleet.Offer
	drivers map[fleet.DriverID]bool
	of      map[fleet.BookingID]int
}

// due returns what has to be done about a booking by now; nil: nothing. What it
// returns looks again, under the booking's lock.
func (e *Engine) due(b *fleet.Booking, open *openOffers) func(*schema.BookingTx) error {
	now := e.clock.Now()
	switch {
	case b.Status == fleet.Scheduled && b.Funded.IsZero():
		if now.Before(fundedBy(b)) {
			return nil
		}
		return func(c *schema.BookingTx) error {
			if !c.Funded.IsZero() || now.Before(fundedBy(&c.Booking)) {
				return nil
			}
			c.EndedBy, c.EndReason = fleet.BySystem, "not_funded"
			return c.Move(fleet.Cancelled, schema.Event{Kind: "cancelled", Data: reason{"not_funded"}})
		}
	case b.Status == fleet.Scheduled:
		if now.Before(e.rolling.searchFrom(b)) {
			return nil
		}
		return func(c *schema.BookingTx) error {
			if c.Status != fleet.Scheduled || now.Before(e.rolling.searchFrom(&c.Booking)) {
				return nil
			}
			return c.Move(fleet.Searching, schema.Event{Kind: "searching"})
		}
	case b.Status == fleet.Searching && open.of[b.ID] == 0 && !now.Before(e.led.Add(warmUp)) && !now.Before(giveUpAt(b)):
		return giveUp
	case b.Status == fleet.Offered && open.of[b.ID] == 0:
		return searchOn
	case holdOver(b, now):
		return vacate
	}
	return nil
}

type reason struct {
	Reason string `json:"reason"`
}

// fundedBy is until when a booking waits for its money.
func fundedBy(b *fleet.Booking) time.Time {
	if b.Now() {
		return b.Since.Add(FundingPatience)
	}
	return b.Start
}

// searchFrom is from when on an officer is looked for.
func searchFrom(b *fleet.Booking) time.Time {
	if b.Now() {
		return b.Created
	}
	return b.Start.Add(-LeadTime)
}

// giveUpAt is when a search is given up. One that began anew has its patience
// anew.
func giveUpAt(b *fleet.Booking) time.Time {
	at := b.Sought.Add(SearchPatience)
	if late := b.Start.Add(StartGrace); !b.Now() && late.After(at) {
		return late
	}
	return at
}

func giveUp(c *schema.BookingTx) error {
	offers, err := c.OpenOffers()
	if err != nil || c.Status != fleet.Searching || len(offers) > 0 || c.Now.Before(giveUpAt(&c.Booking)) {
		return err
	}
	c.EndReason = "no_officer"
	if err := c.Alert(fleet.AlertUnfulfilled, fleet.DriverID{}); err != nil {
		return err
	}
	return c.Move(fleet.Unfulfilled, schema.Event{Kind: "unfulfilled"})
}

// searchOn takes a booking back to the search of which no offer is open: of a team
// the last one was accepted, and seats are left that nobody could be asked for.
func searchOn(c *schema.BookingTx) error {
	offers, err := c.OpenOffers()
	if err != nil || c.Status != fleet.Offered || len(offers) > 0 {
		return err
	}
	return c.Move(fleet.Searching, schema.Event{Kind: "searching"})
}

func holdOver(b *fleet.Booking, now time.Time) bool {
	for i := range b.Seats {
		if s := &b.Seats[i]; s.State == fleet.SeatHeld && !now.Before(s.Held) {
			return true
		}
	}
	return false
}

// vacate gives up the seats whose holds are over.
func vacate(c *schema.BookingTx) error {
	for _, s := range c.Seats {
		if s.State != fleet.SeatHeld || c.Now.Before(s.Held) {
			continue
		}
		if err := c.Vacate(s.ID, "hold_over"); err != nil {
			return err
		}
		if err := c.Note(schema.Event{Kind: "hold_over", Data: seatEvent{Seat: s.ID, Driver: s.Driver}}); err != nil {
			return err
		}
	}
	return nil
}

// seatEvent is what an event about a seat holds. It names the officer: principals
// see no more of it than whom they may know.
type seatEvent struct {
	Seat   fleet.SeatID   `json:"seat_id"`
	Driver fleet.DriverID `json:"driver_id"`
	Offer  fleet.OfferID  `json:"offer_id,omitzero"`
	Reason string         `json:"reason,omitempty"`
	// Team are all who are assigned with it, and Instead is who had the seat until now.
	Team    []fleet.DriverID `json:"team,omitempty"`
	Instead fleet.DriverID   `json:"instead_of,omitzero"`
}
