package dispatch

import (
	"slices"
	"time"

	"armora/dispatch/eta"
	"armora/dispatch/match"
	"armora/fleet"
	"armora/schema"
)

// addSwaps adds the bookings that wait for their officer, and may be given another:
// those of one officer, whom nobody has chosen, and who is not close. That officer
// could then be had for others.
func (r *matching) addSwaps() error {
	bookings, err := r.Swappable(r.ctx, r.now)
	if err != nil {
		return err
	}
	bookings = slices.DeleteFunc(bookings, func(b fleet.Booking) bool {
		lead := b.Lead()
		if lead == nil || !lead.State.Taken() || lead.Driver == b.Preferred {
			return true
		}
		_, asked := r.open.seats[lead.ID]
		_, heard := r.heard(lead.Driver)
		return asked || !heard
	})
	holders := make([]prospect, len(bookings))
	for i := range bookings {
		lead := bookings[i].Lead()
		at, _ := r.heard(lead.Driver)
		holders[i] = prospect{driver: lead.Driver, at: at, stage: leaves, seat: lead}
	}
	if err := r.meet(holders); err != nil {
		return err
	}
	left := make([]time.Duration, len(bookings))
	if err := inParallel(len(bookings), func(i int) error {
		left[i] = r.stillAway(&bookings[i], holders[i].at)
		return nil
	}); err != nil {
		return err
	}
	for i := range bookings {
		b := &bookings[i]
		if left[i] < r.round.Swaps.Close || r.officers[holders[i].driver] == nil {
			continue
		}
		had := &match.Holder{Column: r.columns[holders[i].driver], Left: left[i]}
		r.parties = append(r.parties, []*request{{booking: b, seat: *holders[i].seat, holder: had}})
		r.leaving = append(r.leaving, holders[i])
	}
	return nil
}

// stillAway is how long an officer takes to a booking's pick-up. One who drives does
// not have to set out.
func (r *matching) stillAway(b *fleet.Booking, at eta.Point) time.Duration {
	left := r.cfg.Travel.Between(r.asking, r.now, at, eta.Point{Lat: b.Pickup.Lat, Lon: b.Pickup.Lon}).Time
	if b.Status == fleet.EnRoute {
		left -= r.cfg.Travel.Rough(r.now, at, at)
	}
	return left
}

// replace gives a booking the officer who has accepted to take over, and only then
// lets go the one whom it had. The booking goes back to the search for it and is
// assigned anew: whoever follows it sees that somebody else comes.
func replace(c *schema.BookingTx, o *fleet.Offer, officer *schema.Candidate, by fleet.Actor) error {
	old := c.Seat(o.Seat)
	if !replaceable(c, old, o.Replaces) {
		return errAnswered
	}
	if err := answer(c, o, fleet.OfferAccepted, "", schema.Event{Kind: "accepted", By: by}); err != nil {
		return err
	}
	if err := c.Move(fleet.Searching, schema.Event{Kind: "swapping", Data: seatEvent{Seat: old.ID, Driver: o.Replaces, Offer: o.ID}}); err != nil {
		return err
	}
	number := old.Number
	if err := c.Release(o.Seat, "swapped"); err != nil {
		return err
	}
	err := c.Settle(o.Replaces, "another officer comes instead", fleet.AlertLate, fleet.AlertSilent, fleet.AlertUnfit)
	if err != nil {
		return err
	}
	seat, err := c.OpenSeat(number, fleet.SeatID{})
	if err != nil {
		return err
	}
	seat.Driver, seat.Vehicle, seat.From, seat.To = o.Driver, vehicleOf(officer, o.To), o.From, o.To
	if err := c.Note(schema.Event{Kind: "swapped", By: by, Data: seatEvent{Seat: seat.ID, Driver: o.Driver, Offer: o.ID, Instead: o.Replaces}}); err != nil {
		return err
	}
	return fill(c, seat, by)
}

// replaceable reports whether a seat is still that of an officer who has not come to
// the pick-up.
func replaceable(c *schema.BookingTx, seat *fleet.Seat, driver fleet.DriverID) bool {
	return seat != nil && seat.State.Taken() && seat.Driver == driver && (c.Status == fleet.Assigned || c.Status == fleet.EnRoute)
}

// endSwaps withdraws the offers to replace the officers of a booking.
func endSwaps(c *schema.BookingTx, reason string) error {
	return c.EndOffers(fleet.OfferWithdrawn, reason, func(o fleet.Offer) bool { return !o.Replaces.IsZero() })
}
