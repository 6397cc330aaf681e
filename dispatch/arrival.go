package dispatch

import (
	"context"
	"errors"
	"time"

	"armora/dispatch/eta"
	"armora/fleet"
	"armora/live"
	"armora/live/fence"
	"armora/schema"
)

// pointOf is one of the places of a booking; false if it has no such place.
func pointOf(b *fleet.Booking, place fleet.TripPlace) (eta.Point, bool) {
	at, ok := b.At(place)
	return eta.Point{Lat: at.Lat, Lon: at.Lon}, ok
}

// samePlace reports whether a place of two bookings is the same one.
func samePlace(a, b *fleet.Booking, place fleet.TripPlace) bool {
	pa, has := pointOf(a, place)
	pb, have := pointOf(b, place)
	return has == have && pa == pb
}

// fence puts fences around a trip's places, and leaves those of old that are where
// they should be. Nobody is known to be at a place that has been moved.
func (t *Trips) fence(trip, old *watched) error {
	for place, radius := range map[fleet.TripPlace]float64{
		fleet.AtPickup: t.rules.PickupRadius, fleet.AtDestination: t.rules.DestinationRadius,
	} {
		if old != nil && samePlace(&old.booking, &trip.booking, place) {
			if id := old.fences[place]; !id.IsZero() {
				trip.fences[place] = id
			}
			continue
		}
		if place == fleet.AtPickup {
			for _, who := range trip.people {
				who.atPickup = false
			}
		}
		centre, has := pointOf(&trip.booking, place)
		if !has {
			continue
		}
		shape, err := fence.Circle(fence.Position{Lat: centre.Lat, Lon: centre.Lon}, radius)
		if err != nil {
			t.log.Error("a place cannot be watched: the officers' own word counts", "booking", trip.booking.ID, "place", place, "error", err)
			continue
		}
		id := fleet.NewID[fence.Fence]()
		if err := t.watch.fences.Put(fence.Fence{ID: id, Shape: shape}); err != nil {
			return err
		}
		trip.fences[place] = id
	}
	return nil
}

// observe shows the fences where officers of trips are now.
func (t *Trips) observe(ctx context.Context, changes []live.Change) {
	var some [4]fence.Event
	for i := range changes {
		c := &changes[i]
		if c.Gone || len(t.watch.ofDriver(fleet.DriverID(c.Unit))) == 0 {
			continue
		}
		for _, e := range t.watch.fences.Observe(some[:0], c.Unit, c.At, c.Lat, c.Lon, c.Accuracy) {
			t.crossed(ctx, e)
		}
		t.approach(ctx, fleet.DriverID(c.Unit), c)
	}
}

// crossed keeps that an officer has come to a place of their trip, or left it, and
// what follows. What cannot be kept is told again: the trip is read anew, as it was
// before, and the next fixes cross the fence once more.
func (t *Trips) crossed(ctx context.Context, e fence.Event) {
	t.watch.mu.Lock()
	at, known := t.watch.places[e.Fence]
	t.watch.mu.Unlock()
	if !known || e.Kind == fence.Dwell {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	driver, inside, since := fleet.DriverID(e.Unit), e.Kind == fence.Enter, e.Since.Time()
	_, err := t.change(ctx, at.booking, func(c *schema.BookingTx) error {
		s := c.SeatOf(driver)
		if s == nil || s.State == fleet.SeatHeld {
			return nil
		}
		news, err := c.Present(driver, at.place, inside, since)
		if err != nil || !news {
			return err
		}
		return t.crossing(c, *s, at.place, inside, since)
	})
	if err != nil {
		t.watch.drop(at.booking)
		t.watch.suspect(at.booking)
		t.log.Warn("where an officer is could not be kept, the next fixes tell it again", "booking", at.booking, "error", err)
		return
	}
	if trip := t.watch.get(at.booking); trip != nil && trip.people[driver] != nil && at.place == fleet.AtPickup {
		trip.people[driver].atPickup = inside
	}
}

// crossing is what it means that an officer has come to a place or left it.
func (t *Trips) crossing(c *schema.BookingTx, seat fleet.Seat, place fleet.TripPlace, inside bool, since time.Time) error {
	lead := seat.Number == 1 && seat.Relieves.IsZero()
	e := schema.Event{Occurred: since, Data: map[string]any{"by": "fence", "driver": seat.Driver, "seat": seat.Number}}
	switch {
	case place == fleet.AtPickup && inside && lead:
		return t.arrive(c, seat, e)
	case place == fleet.AtPickup && inside && c.Status != fleet.InProgress:
		e.Kind = "officer_arrive"
	case place == fleet.AtPickup && !inside && lead && c.Status == fleet.InProgress:
		e.Kind = "departed"
	case place == fleet.AtPickup && !inside && lead && c.Status == fleet.Arrived:
		e.Kind = "left_pickup"
	case place == fleet.AtDestination && lead && c.Status == fleet.InProgress && inside:
		e.Kind = "reached_destination"
	case place == fleet.AtDestination && lead && c.Status == fleet.InProgress:
		e.Kind = "left_destination"
	default:
		return nil
	}
	return c.Note(e)
}

// arrive takes in that the lead is at the pick-up: if they have set out, or the
// start is near enough for that to be why they are there.
func (t *Trips) arrive(c *schema.BookingTx, lead fleet.Seat, e schema.Event) error {
	switch {
	case c.Status == fleet.EnRoute:
	case c.Status == fleet.Assigned && !c.Now.Before(c.Start.Add(-t.rules.ArriveEarly)):
		if err := mayWork(c, &lead); err != nil {
			if _, busy := errors.AsType[misfit](err); busy {
				return nil // they pass by on another trip
			}
			return err
		}
		set := e
		set.Kind, set.Data = "en_route", map[string]any{"by": "fence", "driver": lead.Driver, "seat": lead.Number}
		if set.Occurred.Before(c.Since) {
			set.Occurred = c.Since
		}
		if err := t.step(c, lead.ID, fleet.EnRoute, set, true); err != nil {
			return err
		}
	default:
		return nil
	}
	e.Kind = "arrived"
	if err := t.step(c, lead.ID, fleet.Arrived, e, false); err != nil {
		return err
	}
	return t.retry(c)
}

// arriveInside is for leads who set out, or whose time came, when they were at the
// pick-up already: no fence is crossed any more.
func (t *Trips) arriveInside(ctx context.Context) error {
	var failed []error
	for _, trip := range t.watch.all() {
		b := &trip.booking
		lead := b.Lead()
		if lead == nil || trip.people[lead.Driver] == nil || !trip.people[lead.Driver].atPickup {
			continue
		}
		due := b.Status == fleet.Assigned && !t.clock.Now().Before(b.Start.Add(-t.rules.ArriveEarly))
		if b.Status != fleet.EnRoute && !due {
			continue
		}
		_, err := t.change(ctx, b.ID, func(c *schema.BookingTx) error {
			s := c.Lead()
			if s == nil || s.Driver != lead.Driver {
				return nil
			}
			return t.arrive(c, *s, schema.Event{Data: map[string]any{"by": "fence", "driver": s.Driver, "seat": s.Number}})
		})
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// ETA is when the lead of a trip will be where they are going.
type ETA struct {
	To     fleet.TripPlace
	At     time.Time
	Metres float64    // that are left, by road
	Source eta.Source // who says so
	Fix    time.Time  // of where the lead was
}

// ETA returns when the lead of a booking will be at the pick-up or, in progress, at
// the destination, as of the last round; ok is false if nobody knows.
func (t *Trips) ETA(id fleet.BookingID) (at ETA, ok bool) {
	trip := t.watch.get(id)
	if trip == nil || trip.eta == nil {
		return ETA{}, false
	}
	return *trip.eta, true
}

// estimate says when the lead of a trip will be there, through the stops that they
// have not reached yet, without the time that they stay at these; nil if there is nowhere to
// go, or nothing is heard of them. From the same fix it says what it said before.
func (t *Trips) estimate(ctx context.Context, trip *watched) *ETA {
	lead := trip.booking.Lead()
	if lead == nil || trip.booking.Status == fleet.Arrived {
		return nil
	}
	place, way := wayOf(trip)
	fix, known := t.index.Get(fleet.Unit(lead.Driver))
	if len(way) == 0 || !known {
		return nil
	}
	if old := trip.eta; old != nil && old.To == place && old.Fix.Equal(fix.At.Time()) {
		return old
	}
	e := &ETA{To: place, At: t.clock.Now(), Fix: fix.At.Time()}
	from := eta.Point{Lat: fix.Lat, Lon: fix.Lon}
	for _, to := range way {
		leg := t.between(ctx, e.At, from, to)
		e.At, e.Metres, e.Source, from = e.At.Add(leg.Time), e.Metres+leg.Metres, leg.Source, to
	}
	return e
}
