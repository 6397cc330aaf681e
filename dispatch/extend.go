package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/tariff"
)

// clash is time of an officer that is taken by another booking.
type clash struct {
	booking fleet.BookingID
	driver  fleet.DriverID
}

// Error implements error.
func (c *clash) Error() string {
	return fmt.Sprintf("officer %s is wanted by booking %s", c.driver, c.booking)
}

// clashes is how many other bookings an extension may push away, with some that
// come in between: a team of ten, twice over.
const clashes = 2 * fleet.MaxOfficers

// extend makes a trip that is in progress longer. Each officer's time is taken for
// longer with it. Where that belongs to another booking:
//
//   - if the other's time begins an hour from now or later (Rules.Replan), this
//     principal keeps their officer, and for the other another is looked for, which
//     is done before the extension is;
//   - if it begins sooner, relief is sought for this trip, and the officer stays
//     until it has come.
func (t *Trips) extend(ctx context.Context, cmd fleet.TripCommand) (fleet.Booking, error) {
	stays := make(map[clash]bool) // others that keep their officer
	for range clashes {
		b, err := t.carryOut(ctx, cmd, func(c *schema.BookingTx, cmd *fleet.TripCommand) error { return t.lengthen(c, cmd, stays) })
		found, clashed := errors.AsType[*clash](err)
		if !clashed {
			return b, err
		}
		free, err := t.redispatch(ctx, found.booking, found.driver, "extension")
		if err != nil {
			return fleet.Booking{}, err
		}
		if !free {
			stays[*found] = true
		}
	}
	return fleet.Booking{}, refuse(fleet.CodeConflict, "the officers are being assigned elsewhere: try again")
}

func (t *Trips) lengthen(c *schema.BookingTx, cmd *fleet.TripCommand, stays map[clash]bool) error {
	if c.Status != fleet.InProgress {
		return refuse(fleet.CodeConflict, "the assignment is %s: it can be extended while it is in progress", c.Status)
	}
	by := time.Duration(cmd.Minutes) * time.Minute
	table, trip, err := priced(&c.Booking)
	if err != nil {
		return err
	}
	whole, more, err := table.Extension(trip, by)
	if err != nil {
		return err
	}
	end := c.End()
	if end.Before(c.Now) {
		end = c.Now // it overruns: the time after the end is kept free from now
	}
	for _, seat := range c.Seats {
		if !seat.State.Taken() {
			continue
		}
		if err := t.lengthenSeat(c, seat, c.End().Add(by).Add(max(0, seat.To.Sub(end))), stays); err != nil {
			return err
		}
	}
	c.Minutes += cmd.Minutes
	return t.charge(c, cmd, whole, more)
}

func (t *Trips) charge(c *schema.BookingTx, cmd *fleet.TripCommand, whole tariff.Price, more fleet.Money) error {
	price, err := json.Marshal(whole)
	if err != nil {
		return err
	}
	c.Price, c.Total = price, whole.Total
	return c.Note(schema.Event{Kind: "extended", By: cmd.By, Occurred: cmd.Occurred, Data: map[string]any{
		"minutes": cmd.Minutes, "until": c.End().UTC().Format(time.RFC3339), "more": more, "total": whole.Total,
	}})
}

// lengthenSeat takes an officer's time until to, as far as it can be had: see
// extend.
func (t *Trips) lengthenSeat(c *schema.BookingTx, seat fleet.Seat, to time.Time, stays map[clash]bool) error {
	if !to.After(seat.To) {
		return nil
	}
	others, err := c.Elsewhere(seat.Driver, seat.From, to)
	if err != nil {
		return err
	}
	for _, other := range others {
		if !other.From.Before(to) || !other.To.After(seat.From) {
			continue // at work there by mistake, and not in this time
		}
		with := clash{other.Booking, seat.Driver}
		if !stays[with] && !other.From.Before(c.Now.Add(t.rules.Replan)) {
			return &with
		}
		if to = other.From; seat.Relieves.IsZero() {
			data := map[string]any{"driver": seat.Driver, "seat": seat.Number, "reason": "extension", "wanted_by": other.Booking}
			if err := t.seekRelief(c, seat, schema.Event{Kind: "relief_sought", Data: data}); err != nil {
				return err
			}
		}
		break
	}
	if !to.After(seat.To) {
		return nil
	}
	seat.To = to
	return c.Take(seat)
}

// seeOverruns pushes the time forward for which officers of trips that overrun are
// taken. What else was planned for it is given to others, in good time.
func (t *Trips) seeOverruns(ctx context.Context) error {
	var failed []error
	for _, w := range t.watch.all() {
		b := &w.booking
		if b.Status != fleet.InProgress || t.clock.Now().Before(b.End().Add(t.rules.OverBy)) {
			continue
		}
		for _, seat := range b.Seats {
			if seat.State.Taken() && seat.To.Before(t.clock.Now().Add(t.rules.TakeAhead)) {
				failed = append(failed, t.pushForward(ctx, b.ID, seat.ID))
			}
		}
	}
	return errors.Join(failed...)
}

// pushForward takes an officer's time for TakeAhead from now, and the half of it
// again, so that not every round has to.
func (t *Trips) pushForward(ctx context.Context, booking fleet.BookingID, id fleet.SeatID) error {
	for range clashes {
		var with *clash
		_, err := t.change(ctx, booking, func(c *schema.BookingTx) error {
			with = nil
			s := c.Seat(id)
			to := c.Now.Add(t.rules.TakeAhead + t.rules.TakeAhead/2)
			if s == nil || !s.State.Taken() || c.Status != fleet.InProgress || !to.After(s.To) {
				return nil
			}
			seat := *s
			others, err := c.Elsewhere(seat.Driver, seat.From, to)
			if err != nil {
				return err
			}
			for _, other := range others {
				if other.From.Before(to) && other.To.After(seat.From) {
					with = &clash{other.Booking, seat.Driver}
					return nil
				}
			}
			seat.To = to
			if err := c.Take(seat); err != nil {
				return err
			}
			return c.Note(schema.Event{Kind: "overruns", Data: map[string]any{"driver": seat.Driver, "seat": seat.Number}})
		})
		if err != nil || with == nil {
			return err
		}
		free, err := t.redispatch(ctx, with.booking, with.driver, "overrun")
		if err != nil || !free {
			return err // a team that has set out without them: ops see the one who is late
		}
	}
	return nil
}
