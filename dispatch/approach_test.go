package dispatch_test

import (
	"testing"
	"time"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
)

// The principal is told once that the officer is nearly there, also if the officer
// goes to and fro, and if the hub dies in between; and again if they set out again.
func TestAnOfficerIsArrivingOnce(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo, other := w.officer(), w.officer()
	b := w.assigned(tripsNoon.Add(time.Hour), bo, other)
	w.watchByHand()
	w.drive(bo, strand, 400, 2)
	if w.count(b.ID, "officer_arriving") != 0 {
		t.Fatalf("who has not set out is arriving: %v", w.events(b.ID))
	}
	bo.mustTap(b.ID, fleet.TapEnRoute)
	w.drive(bo, strand, 2000, 1)
	w.drive(other, strand, 300, 1) // of whom nobody waits for the start
	w.drive(bo, strand, 510, 1)
	if w.count(b.ID, "officer_arriving") != 0 {
		t.Fatalf("510 m are near: %v", w.events(b.ID))
	}
	w.drive(bo, strand, 490, 1)
	w.drive(bo, strand, 900, 1)
	w.drive(bo, strand, 480, 1)
	w.restart()
	w.watchByHand()
	w.drive(bo, strand, 470, 2)
	if n := w.count(b.ID, "officer_arriving"); n != 1 {
		t.Fatalf("told %d times: %v", n, w.events(b.ID))
	}
	bo.mustTap(b.ID, fleet.AskRelease)
	cy := w.officer()
	w.fill(b.ID, cy)
	cy.mustTap(b.ID, fleet.TapEnRoute)
	w.look(t.Context())
	w.drive(cy, strand, 450, 1)
	if n := w.count(b.ID, "officer_arriving"); n != 2 {
		t.Errorf("with another officer it was told %d times: %v", n, w.events(b.ID))
	}
}

// What is left of a way goes through the stops that are ahead, and through none that
// is behind, also after a restart.
func TestTheWayThatIsLeftGoesThroughTheStops(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo := w.officer()
	b := w.assigned(tripsNoon.Add(10*time.Minute), bo)
	north := fleet.Place{Lat: strand.Lat + 0.05, Lon: strand.Lon, Label: "north"} // some 5.6 km off the way
	w.change(b.ID, func(c *schema.BookingTx) error {
		c.Stops = []fleet.Place{north}
		return c.Note(schema.Event{Kind: "edited"})
	})
	w.watchByHand()
	bo.mustTap(b.ID, fleet.TapEnRoute, fleet.TapArrive, fleet.TapStart)
	left := func() float64 {
		t.Helper()
		w.look(t.Context())
		w.Round(t.Context())
		at, ok := w.ETA(b.ID)
		if !ok || at.To != fleet.AtDestination || !at.At.After(w.clock.Now()) {
			t.Fatalf("ETA %+v, %v", at, ok)
		}
		return at.Metres
	}
	away := func(from, to fleet.Place) float64 { return fleet.Distance(from.Lat, from.Lon, to.Lat, to.Lon) }
	w.drive(bo, strand, 0, 1)
	if got, least := left(), away(strand, north)+away(north, museum); got < least {
		t.Errorf("%.0f m are left through the stop, which is less than the crow's %.0f", got, least)
	}
	w.drive(bo, north, 0, 2)
	w.drive(bo, strand, 0, 1)
	direct := left()
	if most := 2 * away(strand, museum); direct > most {
		t.Errorf("%.0f m are left with the stop behind, more than %.0f", direct, most)
	}
	if n := w.count(b.ID, "reached_stop"); n != 1 {
		t.Errorf("the stop was reached %d times: %v", n, w.events(b.ID))
	}
	w.restart()
	w.watchByHand()
	if got := left(); got != direct {
		t.Errorf("%.0f m are left after a restart, want %.0f", got, direct)
	}
	w.change(b.ID, func(c *schema.BookingTx) error { // one more, behind which the old one lies
		c.Stops = []fleet.Place{north, {Lat: museum.Lat - 0.05, Lon: museum.Lon}}
		return c.Note(schema.Event{Kind: "edited"})
	})
	w.bus.Bookings.Publish(bus.BookingChange{ID: b.ID})
	if got := left(); got < direct+away(museum, fleet.Place{Lat: museum.Lat - 0.05, Lon: museum.Lon}) {
		t.Errorf("%.0f m are left with another stop, and %.0f without", got, direct)
	}
}
