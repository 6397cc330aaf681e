package dispatch_test

import (
	"slices"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
)

func TestAnOfficerGivesAnAssignmentBack(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	lead, other := w.officer(), w.officer()
	b := w.assigned(tripsNoon.Add(time.Hour), lead, other)
	other.mustTap(b.ID, fleet.TapEnRoute)
	lead.mustTap(b.ID, fleet.TapArrive)
	_, err := lead.tap(b.ID, fleet.AskRelease, func(c *fleet.TripCommand) { c.Reason = "" })
	w.want(err, fleet.CodeInvalid)
	id := fleet.NewID[fleet.TripCommand]()
	for range 2 {
		got, err := lead.tap(b.ID, fleet.AskRelease, tappedAs(id))
		w.must(err)
		if got.Status != fleet.Searching || got.Lead() == nil || got.Lead().State != fleet.SeatOpen || !got.Arrived.IsZero() {
			t.Fatalf("given back: %s, lead %+v", got.Status, got.Lead())
		}
		if s := got.Seats[slices.IndexFunc(got.Seats, func(s fleet.Seat) bool { return s.Driver == other.id })]; s.State != fleet.SeatCommitted {
			t.Errorf("the other of the team is %s", s.State)
		}
	}
	excluded, err := w.bookings.Excluded(t.Context(), []fleet.BookingID{b.ID})
	if err != nil || !slices.Equal(excluded[b.ID], []fleet.DriverID{lead.id}) {
		t.Errorf("excluded are %v, error %v", excluded, err)
	}
	eve := w.officer()
	w.fill(b.ID, eve)
	if got := eve.mustTap(b.ID, fleet.TapEnRoute, fleet.TapArrive, fleet.TapStart); got.Status != fleet.InProgress {
		t.Errorf("it is %s", got.Status)
	}
	_, err = eve.tap(b.ID, fleet.AskRelease) // the principal is theirs now
	w.want(err, fleet.CodeConflict)
}

// The principal has an officer all the time, and one lead.
func TestReliefInTheMiddleOfATrip(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo, eve := w.officer(), w.officer()
	b := w.assigned(tripsNoon, bo)
	bo.mustTap(b.ID, fleet.TapStart)
	bo.mustTap(b.ID, fleet.AskRelief, fleet.AskRelief)
	got := w.get(b.ID)
	if got.Status != fleet.InProgress || got.Lead().Driver != bo.id || len(got.Seats) != 2 || got.Seats[1].State != fleet.SeatOpen && got.Seats[0].State != fleet.SeatOpen {
		t.Fatalf("relief is sought: %s, seats %+v", got.Status, got.Seats)
	}
	w.wantAlerts(b.ID, fleet.AlertRelief)
	_, err := bo.tap(b.ID, fleet.AskHandover)
	w.want(err, fleet.CodeConflict) // to nobody
	w.fill(b.ID, eve)
	if got := eve.mustTap(b.ID, fleet.TapEnRoute, fleet.TapArrive); got.Lead().Driver != bo.id || got.Lead().State != fleet.SeatActive {
		t.Errorf("before the handover: %+v", got.Lead())
	}
	got = eve.mustTap(b.ID, fleet.AskHandover)
	if got.Status != fleet.InProgress || got.Lead().Driver != eve.id || got.Lead().State != fleet.SeatActive {
		t.Fatalf("after it: %s, lead %+v", got.Status, got.Lead())
	}
	w.wantAlerts(b.ID)
	_, err = bo.tap(b.ID, fleet.TapComplete)
	w.want(err, fleet.CodeConflict)
	if got := eve.mustTap(b.ID, fleet.TapComplete); got.Status != fleet.Completed {
		t.Errorf("it is %s", got.Status)
	}
	w.wantAlerts(b.ID, fleet.AlertConflict)
}

func TestAReliefThatCannotComeIsSoughtAnew(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo, eve := w.officer(), w.officer()
	b := w.assigned(tripsNoon, bo)
	bo.mustTap(b.ID, fleet.TapStart)
	bo.mustTap(b.ID, fleet.AskRelief)
	w.fill(b.ID, eve)
	got := eve.mustTap(b.ID, fleet.AskRelease)
	if got.Status != fleet.InProgress || got.Lead().Driver != bo.id {
		t.Fatalf("%s, lead %+v", got.Status, got.Lead())
	}
	w.fill(b.ID, w.officer())
	if got := bo.mustTap(b.ID, fleet.TapComplete); got.Status != fleet.Completed {
		t.Errorf("it is %s", got.Status)
	}
}

// A trip is relieved, completed and handed over all at once: one of them is last,
// and whatever that is, nothing is doubled.
func TestReliefRaces(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo, eve := w.officer(), w.officer()
	b := w.assigned(tripsNoon, bo)
	bo.mustTap(b.ID, fleet.TapStart)
	bo.mustTap(b.ID, fleet.AskRelief)
	w.fill(b.ID, eve)
	done := make(chan error)
	for _, do := range []func() (fleet.Booking, error){
		func() (fleet.Booking, error) { return bo.tap(b.ID, fleet.TapComplete) },
		func() (fleet.Booking, error) { return eve.tap(b.ID, fleet.AskHandover) },
		func() (fleet.Booking, error) { return bo.tap(b.ID, fleet.AskHandover) },
		func() (fleet.Booking, error) { return eve.tap(b.ID, fleet.TapComplete) },
		func() (fleet.Booking, error) { return bo.tap(b.ID, fleet.AskRelief) },
	} {
		go func() { _, err := do(); done <- err }()
	}
	for range 5 {
		if err := <-done; err != nil {
			w.want(err, fleet.CodeConflict)
		}
	}
	got := w.get(b.ID)
	if w.count(b.ID, "completed") > 1 || w.count(b.ID, "handed_over") > 1 {
		t.Errorf("events %v", w.events(b.ID))
	}
	active := 0
	for _, s := range got.Seats {
		if s.State == fleet.SeatActive {
			active++
		}
	}
	if want := map[fleet.BookingStatus]int{fleet.InProgress: 1, fleet.Completed: 0}; active != want[got.Status] {
		t.Errorf("%s with %d officers at work", got.Status, active)
	}
}

func TestAnExtension(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo := w.officer()
	b := w.assigned(tripsNoon, bo)
	_, err := w.extend(b.ID, 60)
	w.want(err, fleet.CodeConflict) // it has not begun
	bo.mustTap(b.ID, fleet.TapStart)
	cmd := fleet.TripCommand{ID: fleet.NewID[fleet.TripCommand](), Booking: b.ID, Kind: fleet.AskExtend, Minutes: 60,
		By: fleet.Actor{Kind: fleet.ByPrincipal, User: w.user}}
	for range 2 {
		got, err := w.Do(t.Context(), cmd)
		w.must(err)
		if got.Minutes != 180 || got.Total != fleet.Pounds(160) || !got.Lead().To.Equal(tripsNoon.Add(210*time.Minute)) {
			t.Errorf("%d minutes for %v, the officer's time until %v", got.Minutes, got.Total, got.Lead().To)
		}
	}
	w.clock.Advance(time.Hour)
	if got := bo.mustTap(b.ID, fleet.TapComplete); got.Fee != fleet.Pounds(160) {
		t.Errorf("it costs %v, want £160: the booked time is the longer", got.Fee)
	}
}

// The officer's next assignment begins in good time: another is found for that.
func TestAnExtensionThatPushesTheNextAssignmentAway(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo := w.officer()
	b, next := w.assigned(tripsNoon, bo), w.assigned(tripsNoon.Add(190*time.Minute), bo)
	bo.mustTap(b.ID, fleet.TapStart)
	got, err := w.extend(b.ID, 60)
	w.must(err)
	if got.Minutes != 180 || got.Lead().Driver != bo.id || len(got.Seats) != 1 {
		t.Errorf("extended: %+v", got)
	}
	if got := w.get(next.ID); got.Status != fleet.Searching || got.Lead().State != fleet.SeatOpen {
		t.Errorf("the next: %s, lead %+v", got.Status, got.Lead())
	}
	w.wantAlerts(next.ID, fleet.AlertLate)
}

// It begins too soon for that: relief is sought for this one, and the officer
// stays meanwhile.
func TestAnExtensionThatNeedsRelief(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo, eve := w.officer(), w.officer()
	b, next := w.assigned(tripsNoon, bo), w.assigned(tripsNoon.Add(190*time.Minute), bo)
	bo.mustTap(b.ID, fleet.TapStart)
	w.clock.Advance(110 * time.Minute) // its officer's time begins in 50 minutes
	got, err := w.extend(b.ID, 60)
	w.must(err)
	if got.Minutes != 180 || got.Lead().Driver != bo.id || !got.Lead().To.Equal(next.Lead().From) || len(got.Seats) != 2 {
		t.Errorf("extended: %d minutes, seats %+v", got.Minutes, got.Seats)
	}
	if got := w.get(next.ID); got.Status != fleet.Assigned {
		t.Errorf("the next is %s", got.Status)
	}
	w.wantAlerts(b.ID, fleet.AlertRelief)
	w.fill(b.ID, eve)
	if got := eve.mustTap(b.ID, fleet.AskHandover); got.Lead().Driver != eve.id {
		t.Errorf("lead %+v", got.Lead())
	}
	bo.mustTap(next.ID, fleet.TapEnRoute)
}

func TestATripThatOverruns(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo := w.officer()
	b, next := w.assigned(tripsNoon, bo), w.assigned(tripsNoon.Add(200*time.Minute), bo)
	bo.mustTap(b.ID, fleet.TapStart)
	w.clock.Advance(125 * time.Minute)
	w.Round(t.Context())
	if got := w.get(b.ID); !got.Lead().To.Equal(b.Lead().To) {
		t.Errorf("taken until %v, though it is hardly late", got.Lead().To)
	}
	w.clock.Advance(20 * time.Minute)
	for range 2 {
		w.Round(t.Context())
	}
	if got := w.get(b.ID); !got.Lead().To.Equal(w.clock.Now().Add(30 * time.Minute)) {
		t.Errorf("taken until %v", got.Lead().To)
	}
	if got := w.get(next.ID); got.Status != fleet.Searching {
		t.Errorf("the next is %s", got.Status)
	}
	w.wantAlerts(next.ID, fleet.AlertLate)
	if n := w.count(b.ID, "overruns"); n != 1 {
		t.Errorf("told %d times", n)
	}
}

func TestReliefBeforeAShiftEnds(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo, eve := w.officer(), w.officer()
	duty := schema.DutySpells{DB: w.db}
	w.must(duty.Set(t.Context(), bo.id, fleet.OnDuty, tripsNoon.Add(-4*time.Hour)))
	b := w.assigned(tripsNoon, bo)
	bo.mustTap(b.ID, fleet.TapStart)
	w.Round(t.Context())
	w.wantAlerts(b.ID)
	left, err := w.MayWork(t.Context(), []fleet.DriverID{bo.id, eve.id})
	if err != nil || left[bo.id] != 2*time.Hour || left[eve.id] != 6*time.Hour {
		t.Errorf("left are %v, error %v", left, err)
	}
	w.clock.Advance(76 * time.Minute)
	bo.goes(museum, 5000)
	_, err = w.extend(b.ID, 60) // to the third hour, and they may work for 44 minutes
	w.must(err)
	for range 2 {
		w.Round(t.Context())
	}
	w.wantAlerts(b.ID, fleet.AlertRelief)
	if n := w.count(b.ID, "relief_sought"); n != 1 {
		t.Errorf("relief was sought %d times", n)
	}
}
