package dispatch

import (
	"context"
	"slices"

	"armora/dispatch/eta"
	"armora/fleet"
	"armora/live"
	"armora/schema"
)

// approach takes in how near the lead of a trip has come to where they are going:
// that they are arriving, and which stops they have reached. Neither has a fence:
// each is told once, and leaving tells nothing. What cannot be kept, the next fix
// tells again.
func (t *Trips) approach(ctx context.Context, driver fleet.DriverID, at *live.Change) {
	for _, id := range t.watch.ofDriver(driver) {
		trip := t.watch.get(id)
		if trip == nil {
			continue
		}
		lead := trip.booking.Lead()
		if lead == nil || lead.Driver != driver {
			continue
		}
		var err error
		switch b := &trip.booking; b.Status {
		case fleet.EnRoute:
			if isNear(at, b.Pickup, t.rules.ArrivingWithin) {
				err = t.arriving(ctx, trip, driver)
			}
		case fleet.InProgress:
			for i := trip.passed; i < len(b.Stops) && err == nil; i++ {
				if isNear(at, b.Stops[i], t.rules.DestinationRadius) {
					err = t.reachedStop(ctx, trip, driver, i)
				}
			}
		}
		if err != nil {
			t.log.Warn("how near an officer is could not be kept, the next fix tells it again", "booking", id, "error", err)
		}
	}
}

// isNear reports whether a fix is within some metres of a place, and sure enough to
// say so.
func isNear(at *live.Change, place fleet.Place, metres float64) bool {
	return fleet.Distance(at.Lat, at.Lon, place.Lat, place.Lon) <= metres && !(float64(at.Accuracy) > metres)
}

// arriving tells that the lead is nearly there, once each time that they set out.
func (t *Trips) arriving(ctx context.Context, trip *watched, driver fleet.DriverID) error {
	who := trip.people[driver]
	if who == nil || who.arriving.Equal(trip.booking.EnRoute) {
		return nil
	}
	return t.ofLead(ctx, trip, driver, fleet.EnRoute, func(c *schema.BookingTx, lead *fleet.Seat) error {
		said, err := c.SaidSince("officer_arriving", fleet.EnRoute)
		if err == nil && !said {
			err = c.Note(byFence(lead, "officer_arriving"))
		}
		return err
	}, func() { who.arriving = trip.booking.EnRoute })
}

// reachedStop tells that the lead has come to a stop. Those before it are behind them.
func (t *Trips) reachedStop(ctx context.Context, trip *watched, driver fleet.DriverID, stop int) error {
	place := trip.booking.Stops[stop]
	return t.ofLead(ctx, trip, driver, fleet.InProgress, func(c *schema.BookingTx, lead *fleet.Seat) error {
		if stop >= len(c.Stops) || c.Stops[stop] != place {
			return nil // they were edited: the trip is read anew
		}
		e := byFence(lead, "reached_stop")
		data := e.Data.(map[string]any)
		data["stop"], data["lat"], data["lon"] = stop+1, place.Lat, place.Lon
		return c.Note(e)
	}, func() { trip.passed = stop + 1 })
}

// ofLead changes a trip that is in a status and has its lead still, and remembers
// that once it is done.
func (t *Trips) ofLead(ctx context.Context, trip *watched, driver fleet.DriverID, in fleet.BookingStatus,
	do func(*schema.BookingTx, *fleet.Seat) error, remember func()) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := t.change(ctx, trip.booking.ID, func(c *schema.BookingTx) error {
		lead := c.Lead()
		if c.Status != in || lead == nil || lead.Driver != driver {
			return nil
		}
		return do(c, lead)
	})
	if err == nil {
		remember()
	}
	return err
}

// byFence is an event that a position tells.
func byFence(seat *fleet.Seat, kind string) schema.Event {
	return schema.Event{Kind: kind, Data: map[string]any{"by": "fence", "driver": seat.Driver, "seat": seat.Number}}
}

// stopsPassed is how many of a booking's stops lie behind its lead: those up to the
// last that was reached, as the stops are now.
func (t *Trips) stopsPassed(ctx context.Context, b *fleet.Booking) (passed int, err error) {
	if len(b.Stops) == 0 || b.Status != fleet.InProgress {
		return 0, nil
	}
	reached, err := t.trips.StopsReached(ctx, b.ID)
	for _, at := range reached {
		i := slices.IndexFunc(b.Stops[passed:], func(p fleet.Place) bool { return p.Lat == at.Lat && p.Lon == at.Lon })
		passed += i + 1 // of one that is none any more, nothing
	}
	return passed, err
}

// wayOf are the places that a trip has yet to go through, the last of them where it
// is going; none if it goes nowhere.
func wayOf(trip *watched) (to fleet.TripPlace, through []eta.Point) {
	b := &trip.booking
	to = fleet.AtPickup
	if b.Status == fleet.InProgress {
		to = fleet.AtDestination
	}
	end, has := pointOf(b, to)
	if !has {
		return to, nil
	}
	if b.Status == fleet.InProgress {
		for _, stop := range b.Stops[min(trip.passed, len(b.Stops)):] {
			through = append(through, eta.Point{Lat: stop.Lat, Lon: stop.Lon})
		}
	}
	return to, append(through, end)
}
