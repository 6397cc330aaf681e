package dispatch

import (
	"encoding/json"
	"slices"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/tariff"
)

// way is a trip's, status by status.
var way = []fleet.BookingStatus{fleet.Assigned, fleet.EnRoute, fleet.Arrived, fleet.InProgress, fleet.Completed}

// leadsTo is where a lead's tap takes the trip.
var leadsTo = map[fleet.TripCommandKind]fleet.BookingStatus{
	fleet.TapEnRoute: fleet.EnRoute, fleet.TapArrive: fleet.Arrived, fleet.TapStart: fleet.InProgress, fleet.TapComplete: fleet.Completed,
}

// tap takes in what an officer says has happened. That of the lead takes the trip
// on its way; that of another officer of the team is told of, and no more.
func (t *Trips) tap(c *schema.BookingTx, cmd *fleet.TripCommand) error {
	seat, err := seatFor(c, cmd)
	if err != nil {
		return err
	}
	if cmd.Driver.IsZero() {
		cmd.Driver = seat.Driver
	}
	if err := t.bound(c, cmd); err != nil {
		return err
	}
	switch {
	case seat.Number != 1 || !seat.Relieves.IsZero():
		return t.aside(c, cmd, seat)
	case cmd.Kind == fleet.TapNoShow:
		return t.noShow(c, cmd)
	}
	to := leadsTo[cmd.Kind]
	at, reaches := slices.Index(way, c.Status), slices.Index(way, to)
	switch {
	case at < 0:
		return misfit("the assignment is " + string(c.Status))
	case reaches <= at:
		return c.Note(told(cmd, seat, "confirmed"))
	case to == fleet.Completed && c.Status != fleet.InProgress:
		return misfit("protection has not begun: the start has to be told first")
	}
	if err := mayWork(c, seat); err != nil {
		return err
	}
	for _, status := range way[at+1 : reaches+1] {
		if err := t.step(c, seat.ID, status, told(cmd, seat, string(status)), status != to); err != nil {
			return err
		}
	}
	return nil
}

// told is the event of a tap.
func told(cmd *fleet.TripCommand, seat *fleet.Seat, kind string) schema.Event {
	data := map[string]any{"tap": cmd.Kind, "driver": seat.Driver, "seat": seat.Number}
	if cmd.Reason != "" {
		data["reason"] = cmd.Reason
	}
	return schema.Event{Kind: kind, By: cmd.By, Occurred: cmd.Occurred, Data: data}
}

// bound keeps the time of a tap within the assignment.
func (t *Trips) bound(c *schema.BookingTx, cmd *fleet.TripCommand) error {
	assigned, err := c.LastCame(fleet.Assigned)
	switch {
	case err != nil:
		return err
	case cmd.Occurred.Before(assigned.Add(-t.rules.ClockAhead)):
		if c.Status == fleet.Assigned || c.Status.Active() {
			return refuse(fleet.CodeInvalid, "occurred_at is before the assignment")
		}
	case cmd.Occurred.Before(assigned):
		cmd.Occurred = assigned
	}
	return nil
}

// seatFor returns the seat of whoever a command is about. Of a trip that is over
// it is the one they had to the end.
func seatFor(c *schema.BookingTx, cmd *fleet.TripCommand) (*fleet.Seat, error) {
	var theirs *fleet.Seat
	for i := range c.Seats {
		s := &c.Seats[i]
		switch {
		case cmd.Driver.IsZero() && (s.Number != 1 || !s.Relieves.IsZero()), !cmd.Driver.IsZero() && s.Driver != cmd.Driver:
		case s.State.Taken(), s.State == fleet.SeatReleased && c.Status.Ended() && s.Reason == string(c.Status):
			return s, nil
		default:
			theirs = s
		}
	}
	switch {
	case theirs != nil && !cmd.Driver.IsZero():
		return nil, misfit("the assignment is not this officer's any more")
	case !cmd.Driver.IsZero():
		return nil, refuse(fleet.CodeNotFound, "no such officer in this booking")
	}
	return nil, misfit("the assignment has no lead")
}

// mayWork says no to an officer who is at work on another trip.
func mayWork(c *schema.BookingTx, seat *fleet.Seat) error {
	if seat.State != fleet.SeatCommitted {
		return nil
	}
	busy, err := atWorkElsewhere(c, seat.Driver)
	if err == nil && busy {
		return misfit("the officer is at work on another assignment, which has to be completed first")
	}
	return err
}

func atWorkElsewhere(c *schema.BookingTx, driver fleet.DriverID) (bool, error) {
	elsewhere, err := c.Elsewhere(driver, c.Now, c.Now)
	return slices.ContainsFunc(elsewhere, func(s fleet.Seat) bool { return s.State == fleet.SeatActive }), err
}

// step takes the trip to the next status of its way. Its times never run
// backwards, whatever clocks say.
func (t *Trips) step(c *schema.BookingTx, lead fleet.SeatID, to fleet.BookingStatus, e schema.Event, implied bool) error {
	if data, ok := e.Data.(map[string]any); ok && implied {
		data["implied"] = true
	}
	for _, before := range []time.Time{c.EnRoute, c.Arrived, c.Started} {
		if e.Occurred.Before(before) {
			e.Occurred = before
		}
	}
	switch to {
	case fleet.EnRoute, fleet.Arrived:
		if err := activate(c, *c.Seat(lead)); err != nil {
			return err
		}
		if to == fleet.Arrived {
			if err := endSwaps(c, "arrived"); err != nil {
				return err
			}
		}
	case fleet.InProgress:
		for _, seat := range slices.Clone(c.Seats) { // the team is at work from here on
			if seat.State != fleet.SeatCommitted {
				continue
			}
			if busy, err := atWorkElsewhere(c, seat.Driver); err != nil {
				return err
			} else if busy {
				continue // their own tap tells
			}
			if err := activate(c, seat); err != nil {
				return err
			}
		}
	case fleet.Completed:
		return t.complete(c, e)
	}
	return c.Move(to, e)
}

func activate(c *schema.BookingTx, seat fleet.Seat) error {
	if seat.State != fleet.SeatCommitted {
		return nil
	}
	seat.State = fleet.SeatActive
	return c.Take(seat)
}

// aside tells of another officer than the lead.
func (t *Trips) aside(c *schema.BookingTx, cmd *fleet.TripCommand, seat *fleet.Seat) error {
	if cmd.Kind == fleet.TapNoShow {
		return refuse(fleet.CodeForbidden, "that the principal has not come is for the lead to say")
	}
	// A relief is at work from the handover on, and the team's end is the lead's.
	begins := cmd.Kind != fleet.TapComplete && seat.Relieves.IsZero() && slices.Contains(way, c.Status)
	if begins {
		if err := mayWork(c, seat); err != nil {
			return err
		}
		if err := activate(c, *seat); err != nil {
			return err
		}
	}
	return c.Note(told(cmd, seat, "officer_"+string(cmd.Kind)))
}

// noShow ends a trip whose principal has not come.
func (t *Trips) noShow(c *schema.BookingTx, cmd *fleet.TripCommand) error {
	lead := c.Lead()
	switch {
	case c.Status == fleet.NoShow:
		return c.Note(schema.Event{Kind: "confirmed", By: cmd.By, Occurred: cmd.Occurred})
	case c.Status != fleet.Arrived:
		return misfit("the assignment is " + string(c.Status) + ": only who is there can say that nobody comes")
	}
	from := c.Start
	if c.Arrived.After(from) {
		from = c.Arrived
	}
	if until := from.Add(t.rules.NoShowAfter); cmd.Occurred.Before(until) {
		return &fleet.Error{Code: fleet.CodeConflict, Message: "wait for the principal until " + until.Format(time.RFC3339),
			Retry: until.Sub(c.Now)}
	}
	accepted, err := c.LastCame(fleet.Assigned)
	if err != nil {
		return err
	}
	var table tariff.Table
	if err := json.Unmarshal(c.Tariff, &table); err != nil {
		return err
	}
	before, err := c.FeeBefore()
	if err != nil {
		return err
	}
	fee := table.CancellationFee(c.Total, tariff.Cancelled{
		By: fleet.ByPrincipal, At: cmd.Occurred, Start: c.Start, NoShow: true, Now: c.Order.Now(), Funded: !c.Funded.IsZero(), Accepted: accepted, Before: before,
	})
	c.Fee, c.EndedBy, c.EndReason = fee.Amount, cmd.By.Kind, cmd.Reason
	e := told(cmd, lead, "no_show")
	e.Data.(map[string]any)["fee"] = fee
	return c.Move(fleet.NoShow, e)
}
