package dispatch

import (
	"context"
	"errors"
	"time"

	"armora/fleet"
	"armora/schema"
)

// Accept takes an offer on the officer's behalf. Accepted again, it is the same
// answer; one that is over is CodeConflict.
func (e *Engine) Accept(ctx context.Context, driver fleet.DriverID, id fleet.OfferID, by fleet.Actor) (fleet.Offer, error) {
	o, err := e.offers.Of(ctx, driver, id)
	if err != nil || o.State != fleet.OfferOpen {
		return e.answered(ctx, &o, fleet.OfferAccepted, err)
	}
	officer, err := e.candidate(ctx, driver)
	if err != nil {
		return o, err
	}
	var sought time.Time
	booking, err := e.change(ctx, o.Booking, func(c *schema.BookingTx) error {
		sought = c.Sought
		seat := c.Seat(o.Seat)
		switch {
		case !c.Now.Before(o.Expires), seat == nil:
			return errAnswered
		case len(fleet.Fitness(&officer.FitnessRecord, o.To)) > 0:
			return errUnfit
		case !o.Replaces.IsZero():
			return replace(c, &o, officer, by)
		case seat.State != fleet.SeatOpen:
			return errAnswered
		}
		if err := answer(c, &o, fleet.OfferAccepted, "", schema.Event{Kind: "accepted", By: by}); err != nil {
			return err
		}
		taken := *seat
		taken.Driver, taken.Vehicle, taken.From, taken.To = driver, vehicleOf(officer, o.To), o.From, o.To
		return fill(c, taken, by)
	})
	switch {
	case err == nil:
		e.metrics.offers.WithLabelValues("accepted").Inc()
		if booking.Status == fleet.Assigned && !sought.IsZero() {
			e.metrics.assigned.Observe(booking.Since.Sub(sought).Seconds())
		}
	case fleet.CodeOf(err) == fleet.CodeConflict && !errors.Is(err, errAnswered):
		err = errors.Join(err, e.withdraw(ctx, &o, "not_possible"))
	}
	return e.answered(ctx, &o, fleet.OfferAccepted, err)
}

var errUnfit = &fleet.Error{Code: fleet.CodeConflict, Message: "the officer may not work until the end of the assignment: see their fitness"}

// withdraw takes back an offer that cannot be accepted.
func (e *Engine) withdraw(ctx context.Context, o *fleet.Offer, reason string) error {
	_, err := e.change(ctx, o.Booking, func(c *schema.BookingTx) error {
		if err := c.Exclude(o.Driver, reason); err != nil {
			return err
		}
		return answer(c, o, fleet.OfferWithdrawn, reason, schema.Event{Kind: "offer_withdrawn"})
	})
	if errors.Is(err, errAnswered) {
		return nil
	}
	return err
}

// candidate is what is known of an officer now.
func (e *Engine) candidate(ctx context.Context, driver fleet.DriverID) (*schema.Candidate, error) {
	found, err := e.drivers.Candidates(ctx, []fleet.DriverID{driver}, e.clock.Now().Add(-lately))
	if err == nil && len(found) == 0 {
		err = &fleet.Error{Code: fleet.CodeNotFound, Message: "no such driver"}
	}
	if err != nil {
		return nil, err
	}
	return &found[0], nil
}

// fill gives a seat to its officer. It is held until every seat of the team has
// its officer: then all are committed at once. Two wait for nobody: a seat that
// relieves another, and one that ops give. Ops have settled it with the officer, and
// it is not to be lost because the rest of the team takes its time to be found.
func fill(c *schema.BookingTx, seat fleet.Seat, by fleet.Actor) error {
	whole := !seat.Relieves.IsZero() || len(others(c, seat.ID, fleet.SeatOpen)) == 0
	seat.State = fleet.SeatCommitted
	if !whole && by.Kind != fleet.ByOps {
		seat.State, seat.Held = fleet.SeatHeld, heldUntil(c)
	}
	if err := c.Take(seat); err != nil {
		return err
	}
	if seat.State == fleet.SeatHeld {
		return c.Note(schema.Event{Kind: "held", By: by, Data: seatEvent{Seat: seat.ID, Driver: seat.Driver}})
	}
	committed, team := []fleet.Seat{seat}, []fleet.DriverID{seat.Driver}
	if whole && seat.Relieves.IsZero() {
		for _, s := range others(c, seat.ID, fleet.SeatHeld) {
			s.State = fleet.SeatCommitted
			if err := c.Take(s); err != nil {
				return err
			}
			committed, team = append(committed, s), append(team, s.Driver)
		}
	}
	for _, s := range committed {
		err := c.Tell(schema.OfficerMessage{Driver: s.Driver, Kind: "assignment", Expires: s.To, Body: assignment{
			Booking: c.ID, Lead: s.Number == 1, Start: c.Start, Zone: c.Zone, SetOut: s.From, Relief: !s.Relieves.IsZero(),
		}})
		if err != nil {
			return err
		}
	}
	event := schema.Event{Kind: "assigned", By: by, Data: seatEvent{Seat: seat.ID, Driver: seat.Driver, Team: team}}
	if whole && !c.Status.Active() && c.Status != fleet.Assigned {
		return c.Move(fleet.Assigned, event)
	}
	return c.Note(event)
}

// heldUntil is until when a seat is held whose team is not complete: until all
// that are asked have had time to answer, which for planned work begins when they
// are asked.
func heldUntil(c *schema.BookingTx) time.Time {
	if at := searchFrom(&c.Booking).Add(SearchPatience); c.Status == fleet.Scheduled && at.After(c.Now) {
		return at
	}
	return c.Now.Add(HoldFor)
}

// assignment is what an officer's phone is told of a seat that is the officer's.
// The rest is shown to whom it concerns by the API.
type assignment struct {
	Booking fleet.BookingID `json:"booking_id"`
	Lead    bool            `json:"lead"`
	Relief  bool            `json:"relief,omitempty"`
	Start   time.Time       `json:"starts_at"`
	Zone    string          `json:"zone"`
	SetOut  time.Time       `json:"set_out_at"`
}

// others lists the seats in a state that are not a given one, and relieve nobody.
func others(c *schema.BookingTx, id fleet.SeatID, state fleet.SeatState) []fleet.Seat {
	var found []fleet.Seat
	for _, s := range c.Seats {
		if s.ID != id && s.State == state && s.Relieves.IsZero() {
			found = append(found, s)
		}
	}
	return found
}
