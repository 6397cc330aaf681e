package dispatch

import (
	"context"
	"time"

	"armora/dispatch/eta"
	"armora/fleet"
	"armora/schema"
)

// unknownPickup is how long an officer is taken to be on the way of whom nobody
// knows where they are.
const unknownPickup = 30 * time.Minute

// ByHand is an assignment that ops make.
type ByHand struct {
	Booking fleet.BookingID
	Driver  fleet.DriverID
	Seat    int // its number; 0: the first that nobody has
	Reason  string
	By      fleet.Actor
}

// Assign gives a seat to an officer whom ops have chosen, whatever the engine had
// in mind: the seat's offers are withdrawn with it, and whoever had the seat is
// released. An officer who may not work, or whose time is taken, is CodeConflict
// all the same.
func (e *Engine) Assign(ctx context.Context, a ByHand) (fleet.Booking, error) {
	officer, err := e.candidate(ctx, a.Driver)
	if err != nil {
		return fleet.Booking{}, err
	}
	return e.changeFor(ctx, a.By.User, a.Booking, func(c *schema.BookingTx) error {
		if c.Status == fleet.Scheduled && c.Funded.IsZero() {
			return &fleet.Error{Code: fleet.CodeConflict, Message: "the booking's amount is not held yet"}
		}
		if c.Status.Ended() {
			return &fleet.Error{Code: fleet.CodeConflict, Message: "the booking is " + string(c.Status)}
		}
		if officer.User == c.User {
			return &fleet.Error{Code: fleet.CodeConflict, Message: "the officer is the principal: nobody protects themselves"}
		}
		seat, instead, err := vacateFor(c, &a)
		if err != nil {
			return err
		}
		err = c.EndOffers(fleet.OfferWithdrawn, "assigned_by_ops", func(o fleet.Offer) bool {
			return o.Seat == seat.ID || o.Driver == a.Driver || !o.Replaces.IsZero()
		})
		if err != nil {
			return err
		}
		seat.Driver = a.Driver
		seat.From, seat.To = span(&c.Booking, c.Now, e.pickupOf(ctx, a.Driver, &c.Booking))
		if len(fleet.Fitness(&officer.FitnessRecord, seat.To)) > 0 {
			return errUnfit
		}
		seat.Vehicle = vehicleOf(officer, seat.To)
		if err := c.Note(schema.Event{Kind: "assigned_by_ops", By: a.By, Data: seatEvent{
			Seat: seat.ID, Driver: a.Driver, Reason: a.Reason, Instead: instead,
		}}); err != nil {
			return err
		}
		return fill(c, seat, a.By)
	})
}

// pickupOf is how long an officer would be on the way to a booking.
func (e *Engine) pickupOf(ctx context.Context, driver fleet.DriverID, b *fleet.Booking) time.Duration {
	now := e.clock.Now()
	fix, shown := e.cfg.Map.Get(fleet.Unit(driver))
	if !shown || fix.Received < fleet.MillisOf(now.Add(-freshFor)) {
		return unknownPickup
	}
	return e.cfg.Travel.Between(ctx, now, eta.Point{Lat: fix.Lat, Lon: fix.Lon}, eta.Point{Lat: b.Pickup.Lat, Lon: b.Pickup.Lon}).Time
}

// vacateFor makes the seat that ops mean open, and returns who was assigned to it.
func vacateFor(c *schema.BookingTx, a *ByHand) (open fleet.Seat, was fleet.DriverID, err error) {
	seat, err := meant(c, a)
	switch {
	case err != nil:
		return open, was, err
	case seat.State == fleet.SeatOpen:
		return *seat, was, nil
	case seat.Driver == a.Driver:
		return open, was, &fleet.Error{Code: fleet.CodeConflict, Message: "the officer has this seat"}
	case c.Status == fleet.InProgress:
		return open, was, &fleet.Error{Code: fleet.CodeConflict, Message: "the principal is under protection: have the officer relieved"}
	case seat.State == fleet.SeatHeld: // its officer was not assigned yet
		id := seat.ID
		err := c.Vacate(id, "reassigned")
		return *c.Seat(id), was, err
	}
	if seat.Number == 1 && (c.Status == fleet.EnRoute || c.Status == fleet.Arrived) {
		if err := c.Move(fleet.Searching, schema.Event{Kind: "reassigning", By: a.By}); err != nil {
			return open, was, err
		}
	}
	number, was := seat.Number, seat.Driver
	if err := c.Release(seat.ID, "reassigned"); err != nil {
		return open, was, err
	}
	open, err = c.OpenSeat(number, fleet.SeatID{})
	return open, was, err
}

// meant is the seat that ops mean.
func meant(c *schema.BookingTx, a *ByHand) (*fleet.Seat, error) {
	var seat *fleet.Seat
	for i := range c.Seats {
		s := &c.Seats[i]
		matches := s.Number == a.Seat && s.State != fleet.SeatReleased || a.Seat == 0 && s.State == fleet.SeatOpen
		if matches && (seat == nil || s.State == fleet.SeatOpen) {
			seat = s // of a seat and the one that is to relieve it, the one that is open
			if s.State == fleet.SeatOpen {
				break
			}
		}
	}
	switch {
	case seat == nil && a.Seat == 0:
		return nil, &fleet.Error{Code: fleet.CodeConflict, Message: "every seat has its officer: say which one is to change"}
	case seat == nil:
		return nil, &fleet.Error{Code: fleet.CodeInvalid, Message: "the booking has no such seat"}
	}
	return seat, nil
}
