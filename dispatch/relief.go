package dispatch

import (
	"context"
	"errors"
	"slices"

	"armora/fleet"
	"armora/schema"
)

// release is an officer who gives an assignment back before it begins.
func (t *Trips) release(c *schema.BookingTx, cmd *fleet.TripCommand) error {
	seat, err := t.theirs(c, cmd)
	if err != nil {
		return err
	}
	if c.Status == fleet.InProgress && seat.Relieves.IsZero() {
		return refuse(fleet.CodeConflict, "the principal is protected by this officer: ask for relief")
	}
	return t.lose(c, seat, told(cmd, &seat, "officer_released"), true)
}

// relief is an officer who cannot go on: because of their shift's end, of a
// breakdown, because they are ill. Before the principal is theirs another is
// looked for in their place. Later they stay until another has taken over.
func (t *Trips) relief(c *schema.BookingTx, cmd *fleet.TripCommand) error {
	seat, err := t.theirs(c, cmd)
	switch {
	case err != nil:
		return err
	case c.Status == fleet.InProgress && seat.Relieves.IsZero():
		return t.seekRelief(c, seat, told(cmd, &seat, "relief_sought"))
	}
	return t.lose(c, seat, told(cmd, &seat, "officer_released"), true)
}

// theirs is the seat that an officer has now.
func (t *Trips) theirs(c *schema.BookingTx, cmd *fleet.TripCommand) (fleet.Seat, error) {
	seat, err := seatFor(c, cmd)
	if reason, unfit := errors.AsType[misfit](err); unfit {
		return fleet.Seat{}, refuse(fleet.CodeConflict, "%s", string(reason))
	}
	if err != nil {
		return fleet.Seat{}, err
	}
	if !seat.State.Taken() {
		return fleet.Seat{}, refuse(fleet.CodeConflict, "the assignment is %s", c.Status)
	}
	cmd.Driver = seat.Driver
	return *seat, nil
}

// relief is the seat that relieves another; nil if none does.
func relief(b *fleet.Booking, id fleet.SeatID) *fleet.Seat {
	for i := range b.Seats {
		if s := &b.Seats[i]; s.Relieves == id && s.State != fleet.SeatReleased {
			return s
		}
	}
	return nil
}

// seekRelief opens a seat for whoever is to relieve an officer of a trip that is
// in progress, once.
func (t *Trips) seekRelief(c *schema.BookingTx, seat fleet.Seat, e schema.Event) error {
	if relief(&c.Booking, seat.ID) != nil {
		return nil
	}
	if _, err := c.OpenSeat(seat.Number, seat.ID); err != nil {
		return err
	}
	if err := c.Exclude(seat.Driver, "to be relieved"); err != nil {
		return err
	}
	if err := c.Alert(fleet.AlertRelief, seat.Driver); err != nil {
		return err
	}
	return c.Note(e)
}

// lose takes an officer off a booking, and opens their seat for another. A booking
// whose protection has not begun is searched for again; the rest of the team stay,
// and set out anew. An officer who is away is not offered it again.
func (t *Trips) lose(c *schema.BookingTx, seat fleet.Seat, e schema.Event, away bool) error {
	if err := endSwaps(c, e.Kind); err != nil {
		return err
	}
	if err := c.Release(seat.ID, e.Kind); err != nil {
		return err
	}
	if _, err := c.OpenSeat(seat.Number, seat.Relieves); err != nil {
		return err
	}
	if away {
		if err := c.Exclude(seat.Driver, e.Kind); err != nil {
			return err
		}
	}
	err := c.Settle(seat.Driver, "the officer is not on this assignment any more",
		fleet.AlertLate, fleet.AlertSilent, fleet.AlertUnfit)
	if err != nil {
		return err
	}
	if c.Status == fleet.InProgress || c.Status == fleet.Searching || c.Status == fleet.Offered {
		return c.Note(e)
	}
	for _, s := range slices.Clone(c.Seats) {
		if s.State != fleet.SeatActive {
			continue
		}
		s.State = fleet.SeatCommitted
		if err := c.Take(s); err != nil {
			return err
		}
	}
	return c.Move(fleet.Searching, e)
}

// handover puts the officer who relieves another in their place. The principal has
// an officer before, during and after: it is one transaction, and the one who
// takes over is there to do so, or ops say that they are.
func (t *Trips) handover(c *schema.BookingTx, cmd *fleet.TripCommand) error {
	seat, err := t.theirs(c, cmd)
	if err != nil {
		return err
	}
	next := seat
	if seat.Relieves.IsZero() {
		relief := relief(&c.Booking, seat.ID)
		if relief == nil || relief.State != fleet.SeatCommitted {
			return refuse(fleet.CodeConflict, "nobody is there yet to take over")
		}
		next = *relief
	}
	old := c.Seat(next.Relieves)
	if c.Status != fleet.InProgress || old == nil {
		return refuse(fleet.CodeConflict, "the assignment is %s: there is nothing to take over", c.Status)
	}
	if busy, err := atWorkElsewhere(c, next.Driver); err != nil || busy {
		if err == nil {
			err = refuse(fleet.CodeConflict, "the officer is at work on another assignment, which has to be completed first")
		}
		return err
	}
	relieved := *old
	if err := c.Release(relieved.ID, "relieved"); err != nil {
		return err
	}
	if err := c.Replace(next.ID); err != nil {
		return err
	}
	if err := activate(c, *c.Seat(next.ID)); err != nil {
		return err
	}
	err = c.Settle(relieved.Driver, "another officer has taken over",
		fleet.AlertRelief, fleet.AlertSilent, fleet.AlertUnfit, fleet.AlertLate)
	if err != nil {
		return err
	}
	e := told(cmd, &next, "handed_over")
	e.Data.(map[string]any)["relieved"] = relieved.Driver
	return c.Note(e)
}

// redispatch has somebody else found for a booking whose officer is needed where
// they are, and tells ops. It reports whether that is so now: an officer whose team
// has set out is not taken from it.
func (t *Trips) redispatch(ctx context.Context, booking fleet.BookingID, driver fleet.DriverID, why string) (bool, error) {
	var free bool
	_, err := t.change(ctx, booking, func(c *schema.BookingTx) error {
		free = true
		s := c.SeatOf(driver)
		if s == nil {
			return nil
		}
		seat := *s
		e := schema.Event{Kind: "officer_needed_elsewhere", Data: map[string]any{"driver": driver, "seat": seat.Number, "reason": why}}
		switch {
		case seat.State == fleet.SeatHeld:
			if err := c.Vacate(seat.ID, why); err != nil {
				return err
			}
			return c.Note(e)
		case seat.State == fleet.SeatActive || c.Status == fleet.EnRoute || c.Status == fleet.Arrived:
			free = false
			return nil
		}
		if err := t.lose(c, seat, e, false); err != nil {
			return err
		}
		return c.Alert(fleet.AlertLate, driver)
	})
	return free && err == nil, err
}
