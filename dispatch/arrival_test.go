package dispatch_test

import (
	"testing"
	"time"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
)

// drive puts the officer at a place for so many fixes, ten seconds apart, and
// waits until the trips have seen each.
func (w *tripWorld) drive(o *tripOfficer, to fleet.Place, north float64, fixes int) {
	w.t.Helper()
	for range fixes {
		w.clock.Advance(10 * time.Second)
		o.goes(to, north)
		w.look(w.t.Context())
	}
}

func TestFencesTellOfArrivalAndDeparture(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo := w.officer()
	b := w.assigned(tripsNoon.Add(10*time.Minute), bo)
	w.watchByHand()
	bo.mustTap(b.ID, fleet.TapEnRoute)
	w.drive(bo, strand, 2000, 3)
	if got := w.get(b.ID); got.Status != fleet.EnRoute {
		t.Fatalf("it is %s far away", got.Status)
	}
	w.drive(bo, strand, 100, 1)
	if got := w.get(b.ID); got.Status != fleet.EnRoute {
		t.Fatalf("it is %s by one fix", got.Status)
	}
	came := w.clock.Now()
	w.drive(bo, strand, 90, 2)
	got := w.get(b.ID)
	if got.Status != fleet.Arrived || !got.Arrived.Equal(came) {
		t.Fatalf("it is %s since %v, want %v", got.Status, got.Arrived, came)
	}
	bo.mustTap(b.ID, fleet.TapArrive) // the button as well
	bo.mustTap(b.ID, fleet.TapStart)
	w.drive(bo, strand, 1000, 3)
	if w.count(b.ID, "departed") != 1 {
		t.Errorf("events %v", w.events(b.ID))
	}
	w.Round(t.Context())
	at, ok := w.ETA(b.ID)
	if !ok || at.To != fleet.AtDestination || !at.At.After(w.clock.Now()) {
		t.Errorf("ETA %+v, %v", at, ok)
	}
	w.drive(bo, museum, 50, 3)
	w.drive(bo, museum, 900, 3)
	left := w.clock.Now().Add(-20 * time.Second)
	w.clock.Advance(5 * time.Hour) // the officer has forgotten to tell
	got = bo.mustTap(b.ID, fleet.TapComplete)
	if w.count(b.ID, "reached_destination") != 1 || w.count(b.ID, "left_destination") != 1 {
		t.Errorf("events %v", w.events(b.ID))
	}
	if got.Fee != fleet.Pounds(110) {
		t.Errorf("it costs %v: they had left the destination at %v", got.Fee, left)
	}
}

// The hub itself, by the fixes that come in: nobody tells it to look.
func TestOpenTripsFollowTheMap(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo := w.officer()
	w.must(w.Open(t.Context()))
	defer w.Close()
	told := make(chan bus.BookingChange, 64)
	defer w.bus.Bookings.Subscribe(func(c bus.BookingChange) { told <- c })()
	b := w.assigned(tripsNoon.Add(10*time.Minute), bo)
	bo.mustTap(b.ID, fleet.TapEnRoute)
	fixed, stop := make(chan bool), make(chan bool)
	go func() { // fixes come on and on
		defer close(fixed)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				w.clock.Advance(10 * time.Second)
				bo.goes(strand, float64(i%7))
			}
		}
	}()
	for c := range told {
		if c.ID == b.ID && c.Status == fleet.Arrived {
			break
		}
	}
	close(stop)
	<-fixed
	w.Close()
	w.Close()
	if n := w.count(b.ID, "arrived"); n != 1 {
		t.Errorf("arrived %d times", n)
	}
}

// A hub that comes back knows who is where, and tells nothing twice.
func TestNothingFiresTwiceAfterARestart(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	lead, other := w.officer(), w.officer()
	b := w.assigned(tripsNoon.Add(10*time.Minute), lead, other)
	w.watchByHand()
	w.drive(other, strand, 10, 3)
	lead.mustTap(b.ID, fleet.TapEnRoute)
	w.drive(lead, strand, 10, 3)
	if w.count(b.ID, "arrived") != 1 || w.count(b.ID, "officer_arrive") != 1 {
		t.Fatalf("events %v", w.events(b.ID))
	}
	seq := w.get(b.ID).Seq
	w.restart()
	w.watchByHand()
	w.drive(lead, strand, 12, 4)
	w.drive(other, strand, 12, 4)
	w.Round(t.Context())
	if got := w.get(b.ID); got.Seq != seq {
		t.Errorf("told again: %v", w.events(b.ID))
	}
	w.drive(other, strand, 800, 4)
	w.drive(lead, strand, 800, 4)
	if w.count(b.ID, "left_pickup") != 1 {
		t.Errorf("events %v", w.events(b.ID))
	}
}

// The principal is to be fetched elsewhere: who was at the old place is not at the
// new one, and comes to it once.
func TestAPickupThatIsMoved(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo := w.officer()
	b := w.assigned(tripsNoon.Add(100*time.Minute), bo)
	w.watchByHand()
	w.drive(bo, strand, 10, 3)
	w.change(b.ID, func(c *schema.BookingTx) error {
		c.Pickup = museum
		return c.Note(schema.Event{Kind: "edited"})
	})
	w.clock.Advance(80 * time.Minute)
	w.Round(t.Context())
	w.drive(bo, strand, 12, 3)
	if got := w.get(b.ID); got.Status != fleet.Assigned {
		t.Fatalf("it is %s at the old place", got.Status)
	}
	w.restart()
	w.watchByHand()
	w.drive(bo, museum, 10, 3)
	if got := w.get(b.ID); got.Status != fleet.Arrived || w.count(b.ID, "left_pickup") != 0 {
		t.Errorf("it is %s at the new one, events %v", got.Status, w.events(b.ID))
	}
}

// Somebody who lives at the pick-up does not arrive hours before.
func TestBeingThereIsArrivingWhenItIsTime(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo := w.officer()
	b := w.assigned(tripsNoon.Add(100*time.Minute), bo)
	w.watchByHand()
	w.drive(bo, strand, 10, 3)
	w.Round(t.Context())
	if got := w.get(b.ID); got.Status != fleet.Assigned {
		t.Fatalf("it is %s", got.Status)
	}
	w.clock.Advance(75 * time.Minute)
	w.Round(t.Context())
	if got := w.get(b.ID); got.Status != fleet.Arrived || w.count(b.ID, "en_route") != 1 {
		t.Errorf("it is %s, events %v", got.Status, w.events(b.ID))
	}
}

func TestWhoComesLate(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo := w.officer()
	b := w.assigned(tripsNoon.Add(10*time.Minute), bo)
	bo.goes(strand, 40_000)
	w.Round(t.Context())
	w.wantAlerts(b.ID, fleet.AlertLate)
	bo.mustTap(b.ID, fleet.TapEnRoute)
	w.clock.Advance(time.Second)
	bo.goes(strand, 500)
	w.Round(t.Context())
	w.wantAlerts(b.ID)
	if at, ok := w.ETA(b.ID); !ok || at.To != fleet.AtPickup || at.Metres < 500 {
		t.Errorf("ETA %+v, %v", at, ok)
	}
}
