package dispatch

import (
	"context"
	"slices"
	"time"

	"armora/fleet"
	"armora/schema"
)

// Edit is what a principal changes of a booking; nil leaves it as it is.
type Edit struct {
	LocalStart  *string // with the booking's zone, unless Zone says another
	Zone        *string
	Fold        int
	Minutes     *int
	Destination *fleet.Place
	Stops       *[]fleet.Place
	Notes       *string
}

// editTries is how often an edit is worked out anew when the booking has changed
// meanwhile: a search changes it every few seconds.
const editTries = 5

// Edit changes a booking of the user's own and prices it again by its own tariff.
// wanted is the version that was read, 0 for any.
//
// Whom the change concerns: open offers are withdrawn. Officers who have accepted
// stay, their time being moved with it; where that is taken, or they could not be
// there, it is CodeConflict and nothing has changed. A booking that is put off
// before anybody has accepted it is scheduled again.
func (d *Desk) Edit(ctx context.Context, user fleet.UserID, id fleet.BookingID, wanted int64, e Edit) (View, error) {
	var b fleet.Booking
	var err error
	for range editTries {
		if b, err = d.book.Of(ctx, user, id); err != nil {
			return View{}, err
		}
		if wanted != 0 && wanted != b.Version {
			return View{}, ifMatch(wanted, nil)(&schema.BookingTx{Booking: b})
		}
		// The way is worked out without the lock on the booking: it may be asked for.
		order, terms, failed := d.edited(ctx, &b, &e)
		if failed != nil {
			return View{}, failed
		}
		b, err = d.changeOf(ctx, user, id, b.Version, func(c *schema.BookingTx) error {
			return applyEdit(c, order, terms, fleet.Actor{Kind: fleet.ByPrincipal, User: user})
		})
		if fleet.CodeOf(err) != fleet.CodeVersionMismatch {
			break
		}
	}
	if err != nil {
		return View{}, err
	}
	return d.view(ctx, &b, AsPrincipal, user)
}

// edited returns the order as it is to be, and its price by the booking's tariff.
func (d *Desk) edited(ctx context.Context, b *fleet.Booking, e *Edit) (fleet.Order, fleet.Terms, error) {
	o := b.Order
	table, err := tariffOf(b)
	if err != nil {
		return o, b.Terms, err
	}
	var f flaws
	if e.Zone != nil {
		o.Zone = *e.Zone
		f.when(e.LocalStart == nil, "zone", "a zone comes with a local_start")
	}
	if e.LocalStart != nil {
		o.LocalStart = *e.LocalStart
		d.start(&o, e.Fold, &f)
	}
	if e.Minutes != nil {
		o.Minutes = *e.Minutes
		f.length(&o, &table)
	}
	if e.Destination != nil {
		o.Destination = e.Destination
	}
	if e.Stops != nil {
		o.Stops = *e.Stops
	}
	if e.Notes != nil {
		o.Notes = *e.Notes
	}
	if f.places(&o); len(f) > 0 {
		return o, b.Terms, f.err()
	}
	if !retimed(&b.Order, &o) && !rerouted(&b.Order, &o) {
		return o, b.Terms, nil
	}
	metres := b.Metres // as they were quoted, whoever would say now how long the same way is
	if rerouted(&b.Order, &o) {
		metres = d.metres(ctx, &o)
	}
	terms, err := termsOf(&o, &table, b.Member, metres)
	terms.Tariff = b.Tariff
	return o, terms, err
}

// retimed and rerouted report in what an order is not the same any more. The same time by
// another zone's clocks is another: it may be night by them.
func retimed(was, is *fleet.Order) bool {
	return !was.Start.Equal(is.Start) || was.Minutes != is.Minutes || was.Zone != is.Zone
}

func rerouted(was, is *fleet.Order) bool {
	same := (was.Destination == nil) == (is.Destination == nil) && (was.Destination == nil || *was.Destination == *is.Destination)
	return !same || !slices.Equal(was.Stops, is.Stops)
}

// edited is what the event of an edit says.
type edited struct {
	Time  bool         `json:"time,omitempty"`
	Way   bool         `json:"way,omitempty"`
	Notes bool         `json:"notes,omitempty"`
	Was   fleet.Money  `json:"total_before"`
	Is    fleet.Money  `json:"total"`
	Fee   *fleet.Money `json:"fee_before,omitempty"` // what cancelling would have cost until then
}

// applyEdit changes the booking's order, and what hangs on it.
func applyEdit(c *schema.BookingTx, o fleet.Order, terms fleet.Terms, by fleet.Actor) error {
	was := c.Order
	time, way := retimed(&was, &o), rerouted(&was, &o)
	switch {
	case c.Status.Ended():
		return &fleet.Error{Code: fleet.CodeConflict, Message: "the assignment is over"}
	case time && c.Status.Active():
		return &fleet.Error{Code: fleet.CodeConflict, Message: "the officer has set out: the time cannot be changed any more"}
	}
	said := edited{Time: time, Way: way, Notes: was.Notes != o.Notes, Was: c.Total, Is: terms.Total}
	if time || way { // what it costs to cancel does not fall with it: schema.BookingTx.FeeBefore
		fee, err := feeOf(c, fleet.ByPrincipal, c.Now)
		if err != nil {
			return err
		}
		said.Fee = &fee.Amount
	}
	e := schema.Event{Kind: "edited", By: by, Data: said}
	c.Order, c.Terms = o, terms
	if time {
		if err := moveSeats(c, was.Start, was.End()); err != nil {
			return err
		}
	}
	if err := tellChanged(c); err != nil {
		return err
	}
	if c.Total.Amount > said.Was.Amount { // than what an approver of the account has approved
		waits, err := c.AskAgain()
		if err != nil {
			return err
		}
		if waits {
			return c.TakeBack("edited", e)
		}
	}
	if !time && !way || c.Status != fleet.Searching && c.Status != fleet.Offered {
		return c.Note(e)
	}
	if err := c.EndOffers(fleet.OfferWithdrawn, "edited", nil); err != nil {
		return err
	}
	switch {
	case c.Start.After(was.Start) && len(c.Vacant()) == c.Officers:
		return c.Move(fleet.Scheduled, e)
	case c.Status == fleet.Offered:
		return c.Move(fleet.Searching, e)
	}
	return c.Note(e)
}

// moveSeats moves the time of the officers who have accepted along with the
// booking's, which was from start to end.
func moveSeats(c *schema.BookingTx, start, end time.Time) error {
	for _, s := range c.Seats {
		if !s.State.Taken() {
			continue
		}
		s.From, s.To = s.From.Add(c.Start.Sub(start)), s.To.Add(c.End().Sub(end))
		if c.Start.Before(start) && s.From.Before(c.Now) {
			return &fleet.Error{Code: fleet.CodeConflict, Message: "the officer who has accepted cannot be there so soon"}
		}
		if err := c.Take(s); err != nil {
			if fleet.CodeOf(err) == fleet.CodeConflict {
				err = &fleet.Error{Code: fleet.CodeConflict, Message: "the officer who has accepted has no time then", Err: err}
			}
			return err
		}
	}
	return nil
}

// tellChanged tells the officers who are assigned what their assignment is now.
func tellChanged(c *schema.BookingTx) error {
	for _, s := range c.Seats {
		if s.State != fleet.SeatCommitted && s.State != fleet.SeatActive {
			continue
		}
		err := c.Tell(schema.OfficerMessage{Driver: s.Driver, Kind: "assignment", Expires: s.To, Body: assignment{
			Booking: c.ID, Lead: s.Number == 1, Relief: !s.Relieves.IsZero(), Start: c.Start, Zone: c.Zone, SetOut: s.From,
		}})
		if err != nil {
			return err
		}
	}
	return nil
}
