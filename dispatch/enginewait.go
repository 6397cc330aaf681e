package dispatch

import (
	"context"
	"slices"
	"time"

	"armora/dispatch/eta"
	"armora/fleet"
	"armora/schema"
)

// An officer is about to finish from aboutToFinish before the booked end of their
// trip to as long after it, and from when they are at the destination of a transfer
// for lingersFor. Beyond that nobody can say.
const (
	aboutToFinish = time.Minute
	lingersFor    = 5 * time.Minute
)

// readFinishing finds the officers who are about to finish, and where they will be
// then. They count as candidates for those bookings that may be held for them.
func (r *matching) readFinishing() error {
	if len(r.parties) == 0 {
		return nil
	}
	trips, err := r.Finishing(r.ctx, r.now.Add(-aboutToFinish), r.now.Add(aboutToFinish), r.now.Add(-lingersFor))
	if err != nil {
		return err
	}
	for i := range trips {
		b := &trips[i]
		for n := range b.Seats {
			s := &b.Seats[n]
			at, heard := r.heard(s.Driver)
			if s.State != fleet.SeatActive || !heard {
				continue
			}
			left := time.Duration(0)
			if b.Type != fleet.SecureTransfer {
				left = max(0, b.End().Sub(r.now))
			}
			if b.Type != fleet.AtTheirSide && b.Destination != nil {
				at = eta.Point{Lat: b.Destination.Lat, Lon: b.Destination.Lon}
			}
			r.leaving = append(r.leaving, prospect{driver: s.Driver, at: at, stage: leaves, after: left, seat: s})
		}
	}
	return nil
}

// forgetHolds forgets the holds of bookings for which nobody is looked for any more:
// a booking has one for the whole of a search.
func (e *Engine) forgetHolds(bookings []fleet.Booking) {
	if len(e.holds) == 0 {
		return
	}
	sought := make(map[fleet.BookingID]bool, len(bookings))
	for i := range bookings {
		sought[bookings[i].ID] = true
	}
	for id := range e.holds {
		if !sought[id] {
			delete(e.holds, id)
		}
	}
}

// contest lets the teams that would get nobody have the officers who have accepted
// for a younger team and wait for the rest of it: of two teams that block each other
// the older has them. It reports whether there are any.
func (r *matching) contest() (contested bool, err error) {
	held := r.held()
	for _, party := range r.parties {
		b := party[0].booking
		if b.Officers == 1 || party[0].got != nil || !party[0].seat.Relieves.IsZero() {
			continue
		}
		var may []prospect
		for _, p := range held {
			if older(b, p.booking) {
				may = append(may, p.prospect)
			}
		}
		if len(may) == 0 {
			continue
		}
		if err := r.meet(may); err != nil {
			return false, err
		}
		for _, q := range party {
			known := len(q.options)
			r.consider(q, slices.Clone(may))
			contested = contested || len(q.options) > known
		}
	}
	return contested, nil
}

// heldBy is an officer who waits for the rest of a team.
type heldBy struct {
	prospect
	booking *fleet.Booking
}

func (r *matching) held() (held []heldBy) {
	for i := range r.bookings {
		b := &r.bookings[i]
		for n := range b.Seats {
			s := &b.Seats[n]
			if at, heard := r.heard(s.Driver); heard && s.State == fleet.SeatHeld {
				held = append(held, heldBy{prospect{driver: s.Driver, at: at, stage: yields, seat: s}, b})
			}
		}
	}
	return held
}

// older reports whether of two bookings the first was made first.
func older(a, b *fleet.Booking) bool {
	if order := a.Created.Compare(b.Created); order != 0 {
		return order < 0
	}
	return a.ID.String() < b.ID.String()
}

// takeFrom takes an officer from the team that holds them, for an older one.
func (e *Engine) takeFrom(ctx context.Context, term schema.Term, seat *fleet.Seat) error {
	_, err := e.changeIn(ctx, term, seat.Booking, func(c *schema.BookingTx) error {
		s := c.Seat(seat.ID)
		if s == nil || s.State != fleet.SeatHeld || s.Driver != seat.Driver {
			return errChanged
		}
		event := schema.Event{Kind: "hold_yielded", Data: seatEvent{Seat: s.ID, Driver: s.Driver, Reason: "older_team"}}
		if err := c.Vacate(s.ID, "older_team"); err != nil {
			return err
		}
		return c.Note(event)
	})
	return err
}
