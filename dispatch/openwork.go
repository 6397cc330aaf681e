package dispatch

import (
	"context"
	"slices"
	"time"

	"armora/fleet"
	"armora/schema"
)

// openAhead is how far ahead officers see work that they may ask for.
const openAhead = 14 * 24 * time.Hour

// OpenWork is a seat that an officer may ask for.
type OpenWork struct {
	Booking fleet.BookingID
	Glimpse
	Lead bool
	Pay  *fleet.Money
}

// OpenFor lists the planned work that an officer could have: what is funded, starts
// later, and suits them. Who is unfit, taken at that time, or would work longer than
// they may, does not see it.
func (e *Engine) OpenFor(ctx context.Context, driver fleet.DriverID) ([]OpenWork, error) {
	now := e.clock.Now()
	officer, err := e.candidate(ctx, driver)
	if err != nil {
		return nil, err
	}
	bookings, err := e.Wanting(ctx, now.Add(openAhead))
	if err != nil {
		return nil, err
	}
	bookings = slices.DeleteFunc(bookings, func(b fleet.Booking) bool { return b.Now() || b.Funded.IsZero() || !b.Start.After(now) })
	ids := make([]fleet.BookingID, len(bookings))
	for i := range bookings {
		ids[i] = bookings[i].ID
	}
	excluded, err := e.Excluded(ctx, ids)
	if err != nil {
		return nil, err
	}
	hours, err := e.hoursOf(ctx, driver)
	if err != nil {
		return nil, err
	}
	var work []OpenWork
	for i := range bookings {
		b := &bookings[i]
		from, to := span(b, now, e.pickupOf(ctx, driver, b))
		seat, ok := vacancyFor(b, officer, to)
		if !ok || !free(hours.taken, nil, from, to) || !hours.mayTake(from, to) || slices.Contains(excluded[b.ID], driver) {
			continue
		}
		work = append(work, OpenWork{Booking: b.ID, Glimpse: GlimpseOf(b), Lead: seat.Number == 1, Pay: pay(b)})
	}
	slices.SortStableFunc(work, func(a, b OpenWork) int { return a.Start.Compare(b.Start) })
	return work, nil
}

// vacancyFor returns the first seat that nobody has and that an officer suits.
func vacancyFor(b *fleet.Booking, officer *schema.Candidate, until time.Time) (fleet.Seat, bool) {
	for _, s := range b.Seats {
		if s.State == fleet.SeatOpen && s.Relieves.IsZero() && unsuited(&b.Order, s.Number == 1, officer, until) == "" {
			return s, true
		}
	}
	return fleet.Seat{}, false
}

// Ask gives an officer work that they ask for, under the rules by which it would
// be offered to them. It is an offer that is accepted at once.
func (e *Engine) Ask(ctx context.Context, driver fleet.DriverID, id fleet.BookingID, by fleet.Actor) (o fleet.Offer, err error) {
	officer, err := e.candidate(ctx, driver)
	if err != nil {
		return o, err
	}
	excluded, err := e.Excluded(ctx, []fleet.BookingID{id})
	if err != nil {
		return o, err
	}
	hours, err := e.hoursOf(ctx, driver)
	if err != nil {
		return o, err
	}
	_, err = e.change(ctx, id, func(c *schema.BookingTx) error {
		b := &c.Booking
		pickup := e.pickupOf(ctx, driver, b)
		from, to := span(b, c.Now, pickup)
		open := slices.Contains([]fleet.BookingStatus{fleet.Scheduled, fleet.Searching, fleet.Offered}, b.Status) && !b.Now() && !b.Funded.IsZero()
		seat, suits := vacancyFor(b, officer, to)
		if !open || !suits || slices.Contains(excluded[id], driver) { // it is not told from one that does not exist
			return &fleet.Error{Code: fleet.CodeNotFound, Message: "no such open work"}
		}
		if !hours.mayTake(from, to) {
			return &fleet.Error{Code: fleet.CodeConflict, Message: "with it you would work longer than you may"}
		}
		// Whoever is being asked for the seat has come second.
		err := c.EndOffers(fleet.OfferWithdrawn, "taken", func(o fleet.Offer) bool { return o.Seat == seat.ID })
		if err != nil {
			return err
		}
		o = fleet.Offer{
			ID: fleet.NewID[fleet.Offer](), Booking: id, Seat: seat.ID, Driver: driver, State: fleet.OfferAccepted,
			Created: c.Now, Expires: c.Now, Ended: c.Now, Pickup: pickup, From: from, To: to,
		}
		if err := c.Offer(o); err != nil {
			return err
		}
		if err := answer(c, &o, fleet.OfferAccepted, "asked", schema.Event{Kind: "asked", By: by}); err != nil {
			return err
		}
		seat.Driver, seat.Vehicle, seat.From, seat.To = driver, vehicleOf(officer, to), from, to
		return fill(c, seat, by)
	})
	return o, err
}
