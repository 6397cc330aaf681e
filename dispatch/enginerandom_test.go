package dispatch

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"armora/fleet"
)

// town is a scene in which much happens at once.
type town struct {
	*scene
	trips   *Trips
	drivers []fleet.DriverID
	mu      sync.Mutex
	ids     []fleet.BookingID
	wrong   []error // what nobody should have been told
}

// Officers accept, decline, move, set out, arrive, give back, ask for relief and finish,
// ops assign and principals book for one officer or a team, all at once, while trips
// overrun and the engine offers, holds, swaps and gives up: every booking's events are
// without a gap, nobody has two things to do at a time, a team is assigned as a whole or
// not at all, nobody is held for ever, and everything comes to an end.
func TestAnythingAtOnceLeavesEverythingDefined(t *testing.T) {
	t.Parallel()
	w := &town{scene: newScene(t)}
	w.trips, w.drivers = w.scene.trips(), w.officers(14)
	some := rapid.SliceOfN(rapid.Uint64(), 0, 5) // of what may happen
	rapid.Check(t, func(t *rapid.T) {
		var all sync.WaitGroup
		for _, each := range rapid.SliceOfN(some, 2, 2).Draw(t, "done by two at once") {
			all.Go(func() {
				for _, what := range each {
					w.happen(rand.New(rand.NewPCG(11, what)))
				}
			})
		}
		passes := rapid.SliceOfN(rapid.Uint64(), 1, 2).Draw(t, "meanwhile")
		all.Go(func() {
			for _, how := range passes {
				w.pass(rand.New(rand.NewPCG(12, how)))
			}
		})
		all.Wait()
		for _, id := range w.ids[max(0, len(w.ids)-20):] {
			w.whole(t, id)
		}
		if err := errors.Join(w.wrong...); err != nil {
			t.Fatal(err)
		}
	})
	for range 4 { // nobody answers any more
		w.step(SearchPatience)
	}
	w.check()
}

// whole checks what has to hold of a booking at any time. That nobody has two things to
// do at a time is an exclusion constraint of the database.
func (w *town) whole(t *rapid.T, id fleet.BookingID) {
	b, err := w.Get(w.t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	events, err := w.Events(w.t.Context(), id, 0, 1000)
	if err != nil || int64(len(events)) != b.Seq {
		t.Fatalf("%d events of %d, error %v", len(events), b.Seq, err)
	}
	at := fleet.Scheduled
	for i, e := range events {
		if e.Seq != int64(i+1) || e.From != "" && e.From != at {
			t.Fatalf("event %d, %s from %s, comes when it is %s", e.Seq, e.Kind, e.From, at)
		}
		if e.To != "" {
			at = e.To
		}
	}
	have, underWay := 0, slices.Contains([]fleet.BookingStatus{fleet.Assigned, fleet.EnRoute, fleet.Arrived, fleet.InProgress}, b.Status)
	for _, s := range b.Seats {
		if (s.State == fleet.SeatCommitted || s.State == fleet.SeatActive) && s.Relieves.IsZero() {
			have++
		}
	}
	if at != b.Status || underWay && have != b.Officers {
		t.Fatalf("it is %s, and by its events %s, with %d of %d officers", b.Status, at, have, b.Officers)
	}
}

// pass lets some time pass: officers are somewhere else, trips are looked at, and the
// engine ticks.
func (w *town) pass(random *rand.Rand) {
	long := time.Duration(1+random.IntN(15)) * time.Second
	if random.IntN(5) == 0 {
		long = time.Duration(random.IntN(30)) * time.Minute
	}
	w.clock.Advance(long)
	for _, d := range w.drivers {
		w.see(d, strand.Lat+0.1*random.Float64(), strand.Lon+0.1*random.Float64())
	}
	w.trips.Round(w.t.Context())
	w.may(w.tick(w.t.Context(), w.term))
}

// happen has somebody do something.
func (w *town) happen(random *rand.Rand) {
	ctx, d := w.t.Context(), w.drivers[random.IntN(len(w.drivers))]
	offers, err := w.offers.Open(ctx)
	w.may(err)
	switch n := random.IntN(20); {
	case n < 3:
		w.order(random)
	case n < 13 && len(offers) > 0:
		o := offers[random.IntN(len(offers))]
		if random.IntN(4) > 0 {
			_, err = w.Accept(ctx, o.Driver, o.ID, officer)
		} else {
			_, err = w.Decline(ctx, o.Driver, o.ID, officer, "far")
		}
		w.may(err)
	case n < 14:
		if id, ok := w.any(random); ok {
			_, err = w.Assign(ctx, ByHand{Booking: id, Driver: d, Reason: "asked for", By: fleet.Actor{Kind: fleet.ByOps}})
			w.may(err)
		}
	default:
		if id, ok := w.any(random); ok {
			w.tap(random, id, d)
		}
	}
}

// tap is what the lead of a booking does next, mostly, or somebody does at some time.
func (w *town) tap(random *rand.Rand, id fleet.BookingID, d fleet.DriverID) {
	b, err := w.Get(w.t.Context(), id)
	w.may(err)
	kind := map[fleet.BookingStatus]fleet.TripCommandKind{fleet.Assigned: fleet.TapEnRoute, fleet.EnRoute: fleet.TapArrive,
		fleet.Arrived: fleet.TapStart, fleet.InProgress: fleet.TapComplete}[b.Status]
	if lead := b.Lead(); lead != nil {
		d = lead.Driver
	}
	if random.IntN(4) == 0 || kind == "" {
		kinds := []fleet.TripCommandKind{fleet.TapEnRoute, fleet.TapStart, fleet.TapComplete, fleet.AskRelease, fleet.AskRelief}
		kind = kinds[random.IntN(len(kinds))]
	}
	_, err = w.trips.Do(w.t.Context(), fleet.TripCommand{ID: fleet.NewID[fleet.TripCommand](), Booking: id, Kind: kind, Driver: d, By: officer, Code: "4711", Reason: "illness"})
	w.may(err)
}

// order books for now.
func (w *town) order(random *rand.Rand) {
	now := w.clock.Now()
	b := w.draft(now)
	b.Officers = 1 + random.IntN(7)/3 // of seven three are alone, three are two, and one is a team of three
	b.Pickup = fleet.Place{Lat: strand.Lat + 0.1*random.Float64(), Lon: strand.Lon + 0.1*random.Float64()}
	if random.IntN(5) == 0 {
		b.Preferred = w.drivers[random.IntN(len(w.drivers))]
	}
	w.may(w.Place(w.t.Context(), &b, fleet.Actor{Kind: fleet.ByPrincipal, User: w.user}))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ids = append(w.ids, b.ID)
}

func (w *town) any(random *rand.Rand) (fleet.BookingID, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.ids) == 0 {
		return fleet.BookingID{}, false
	}
	return w.ids[random.IntN(len(w.ids))], true
}

// may notes an error, unless it is one of those that people are told.
func (w *town) may(err error) {
	if err != nil && !slices.Contains([]fleet.Code{fleet.CodeConflict, fleet.CodeNotFound, fleet.CodeInvalid, fleet.CodeForbidden, fleet.CodeTooMany}, fleet.CodeOf(err)) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.wrong = append(w.wrong, err)
	}
}

// check checks what has to hold in the end.
func (w *town) check() {
	w.t.Helper()
	seen := make(map[fleet.BookingStatus]int)
	events := make(map[string]int)
	for _, id := range w.ids {
		b := must(w.Get(w.t.Context(), id))(w.t)
		seen[b.Status]++
		for _, kind := range w.kinds(id) {
			events[kind]++
		}
		if slices.Contains([]fleet.BookingStatus{fleet.Scheduled, fleet.Searching, fleet.Offered}, b.Status) {
			w.t.Errorf("a booking is %s in the end", b.Status)
		}
		have := 0
		for _, s := range b.Seats {
			switch {
			case s.State == fleet.SeatHeld, s.State != fleet.SeatReleased && b.Status.Ended():
				w.t.Errorf("a seat of a booking that is %s is %s", b.Status, s.State)
			case s.State.Taken() && s.Relieves.IsZero():
				have++
			}
		}
		if (b.Status == fleet.Assigned || b.Status == fleet.EnRoute) && have != b.Officers {
			w.t.Errorf("of %d officers of a booking that is %s there are %d", b.Officers, b.Status, have)
		}
	}
	if n := len(must(w.offers.Open(w.t.Context()))(w.t)); n != 0 {
		w.t.Errorf("%d offers are left", n)
	}
	w.t.Logf("bookings %v, events %v", seen, events)
	if seen[fleet.Unfulfilled] == 0 || events["accepted"] == 0 || events["declined"] == 0 {
		w.t.Error("too little has happened to show anything")
	}
}
