package dispatch_test

import (
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"armora/fleet"
)

func TestATripGoesItsWayByTaps(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo := w.officer()
	b := w.assigned(tripsNoon.Add(time.Hour), bo)
	w.clock.Advance(40 * time.Minute)
	b = bo.mustTap(b.ID, fleet.TapEnRoute)
	if b.Status != fleet.EnRoute || b.Lead().State != fleet.SeatActive {
		t.Fatalf("set out: %s, the seat %s", b.Status, b.Lead().State)
	}
	w.clock.Advance(15 * time.Minute)
	bo.mustTap(b.ID, fleet.TapArrive)
	w.clock.Advance(10 * time.Minute)
	bo.mustTap(b.ID, fleet.TapStart)
	w.clock.Advance(150 * time.Minute)
	b = bo.mustTap(b.ID, fleet.TapComplete)
	if b.Status != fleet.Completed || !b.Started.Equal(tripsNoon.Add(65*time.Minute)) || !b.Ended.Equal(tripsNoon.Add(215*time.Minute)) {
		t.Fatalf("completed: %s, %v to %v", b.Status, b.Started, b.Ended)
	}
	// 2 h 30 min at £50 and the fee: the longer of booked and actual time.
	if b.Fee != fleet.Pounds(135) {
		t.Errorf("it costs %v, want £135", b.Fee)
	}
	if want := []string{"booked", "assigned", "en_route", "arrived", "in_progress", "completed"}; !slices.Equal(w.events(b.ID), want) {
		t.Errorf("events %v, want %v", w.events(b.ID), want)
	}
}

func TestATapThatIsSentAgainIsCarriedOutOnce(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo := w.officer()
	b := w.assigned(tripsNoon, bo)
	id := fleet.NewID[fleet.TripCommand]()
	var all sync.WaitGroup
	for range 8 { // and at once
		all.Go(func() {
			if _, err := bo.tap(b.ID, fleet.TapEnRoute, tappedAs(id)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	w.restart()
	if _, err := bo.tap(b.ID, fleet.TapEnRoute, tappedAs(id)); err != nil {
		t.Error(err)
	}
	if n := w.count(b.ID, "en_route"); n != 1 {
		t.Errorf("%d events of one tap", n)
	}
	_, err := bo.tap(b.ID, fleet.TapArrive, tappedAs(id))
	w.want(err, fleet.CodeInvalid)
	if got := w.get(b.ID); got.Status != fleet.EnRoute {
		t.Errorf("it is %s", got.Status)
	}
}

// Taps that were made without network come late, some never, some the wrong way
// round.
func TestLateTaps(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo := w.officer()
	b := w.assigned(tripsNoon, bo)
	w.clock.Advance(3 * time.Hour)
	_, err := bo.tap(b.ID, fleet.TapComplete, tappedAt(tripsNoon.Add(170*time.Minute)))
	w.want(err, fleet.CodeConflict)
	w.wantAlerts(b.ID, fleet.AlertConflict)
	// The start implies that they had set out and arrived, and what waited for it
	// follows.
	got, err := bo.tap(b.ID, fleet.TapStart, tappedAt(tripsNoon.Add(5*time.Minute)))
	w.must(err)
	if got.Status != fleet.Completed || !got.Started.Equal(tripsNoon.Add(5*time.Minute)) || !got.Ended.Equal(tripsNoon.Add(170*time.Minute)) {
		t.Fatalf("%s, %v to %v", got.Status, got.Started, got.Ended)
	}
	w.wantAlerts(b.ID)
	if waiting, err := w.conflicts(); err != nil || len(waiting) != 0 {
		t.Errorf("%+v wait, error %v", waiting, err)
	}
	// What comes last of all is no news, and no conflict.
	got, err = bo.tap(b.ID, fleet.TapArrive, tappedAt(tripsNoon.Add(2*time.Minute)))
	w.must(err)
	if got.Status != fleet.Completed || w.count(b.ID, "confirmed") != 1 {
		t.Errorf("%s, events %v", got.Status, w.events(b.ID))
	}
	counted := map[string]float64{"complete conflict": 1, "start taken": 1, "arrive taken": 1}
	if got := w.counted("armora_trips_commands_total"); !maps.Equal(got, counted) {
		t.Errorf("counted %v, want %v", got, counted)
	}
}

func TestTheTimesOfTapsAreBounded(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo := w.officer()
	b := w.assigned(tripsNoon.Add(time.Hour), bo)
	w.clock.Advance(time.Hour)
	now := w.clock.Now()
	_, err := bo.tap(b.ID, fleet.TapEnRoute, tappedAt(now.Add(3*time.Minute)))
	w.want(err, fleet.CodeInvalid)
	_, err = bo.tap(b.ID, fleet.TapEnRoute, tappedAt(tripsNoon.Add(-time.Hour)))
	w.want(err, fleet.CodeInvalid)
	got, err := bo.tap(b.ID, fleet.TapEnRoute, tappedAt(now.Add(time.Minute))) // a clock that is fast
	w.must(err)
	if !got.EnRoute.Equal(now) {
		t.Errorf("set out at %v, after now", got.EnRoute)
	}
	got, err = bo.tap(b.ID, fleet.TapArrive, tappedAt(now.Add(-10*time.Minute))) // before they set out
	w.must(err)
	if !got.Arrived.Equal(now) {
		t.Errorf("arrived at %v, before having set out", got.Arrived)
	}
}

func TestTheStartCodeIsNotToBeGuessed(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo := w.officer()
	b := w.assigned(tripsNoon, bo)
	bo.mustTap(b.ID, fleet.TapArrive)
	wrong := func(c *fleet.TripCommand) { c.Code = "0000" }
	guesses := 0
	for range 20 {
		_, err := bo.tap(b.ID, fleet.TapStart, wrong)
		if fleet.CodeOf(err) == fleet.CodeTooMany {
			break
		}
		w.want(err, fleet.CodeInvalid)
		guesses++
	}
	if guesses > 5 {
		t.Errorf("%d guesses cost nothing", guesses)
	}
	_, err := bo.tap(b.ID, fleet.TapStart)
	w.want(err, fleet.CodeTooMany) // the right one has to wait as well
	w.clock.Advance(time.Hour)
	if got := bo.mustTap(b.ID, fleet.TapStart); got.Status != fleet.InProgress {
		t.Errorf("it is %s", got.Status)
	}
}

func TestOpsActWithAReasonAndNeedNoCode(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo := w.officer()
	b := w.assigned(tripsNoon, bo)
	cmd := fleet.TripCommand{ID: fleet.NewID[fleet.TripCommand](), Booking: b.ID, Kind: fleet.TapStart, By: fleet.Actor{Kind: fleet.ByOps}}
	_, err := w.Do(t.Context(), cmd)
	w.want(err, fleet.CodeInvalid)
	cmd.Reason = "the officer's phone is broken"
	for range 2 {
		got, err := w.Do(t.Context(), cmd)
		w.must(err)
		if got.Status != fleet.InProgress {
			t.Errorf("it is %s", got.Status)
		}
	}
	if n := w.count(b.ID, "in_progress"); n != 1 {
		t.Errorf("it began %d times", n)
	}
	cmd.ID, cmd.Kind = fleet.NewID[fleet.TripCommand](), fleet.TapNoShow
	_, err = w.Do(t.Context(), cmd)
	w.want(err, fleet.CodeConflict)
	w.wantAlerts(b.ID) // they know
}

func TestWhoMayActOnATrip(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo, mallory, ops := w.officer(), w.officer(), w.person(fleet.RoleDispatcher)
	b := w.assigned(tripsNoon, bo)
	for _, c := range []struct {
		user fleet.UserID
		ops  bool
		want fleet.ActorKind
	}{{bo.user, false, fleet.ByOfficer}, {w.user, false, fleet.ByPrincipal}, {ops, true, fleet.ByOps}, {bo.user, true, fleet.ByOfficer}} {
		got, _, err := w.As(t.Context(), c.user, c.ops, b.ID)
		if err != nil || got.Kind != c.want {
			t.Errorf("as %v, error %v, want %s", got, err, c.want)
		}
	}
	_, _, err := w.As(t.Context(), mallory.user, false, b.ID)
	w.want(err, fleet.CodeNotFound)
	_, err = mallory.tap(b.ID, fleet.TapEnRoute)
	w.want(err, fleet.CodeNotFound)
	_, err = w.Do(t.Context(), fleet.TripCommand{ID: fleet.NewID[fleet.TripCommand](), Booking: b.ID, Kind: fleet.TapComplete,
		By: fleet.Actor{Kind: fleet.ByPrincipal, User: w.user}})
	w.want(err, fleet.CodeForbidden)
	if got := w.get(b.ID); got.Status != fleet.Assigned {
		t.Errorf("it is %s", got.Status)
	}
}

// The officer had no network while ops gave the assignment to somebody else.
func TestATapOfAFormerOfficerIsAConflictForOps(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo, eve := w.officer(), w.officer()
	b := w.assigned(tripsNoon.Add(time.Hour), bo)
	_, err := w.Do(t.Context(), fleet.TripCommand{ID: fleet.NewID[fleet.TripCommand](), Booking: b.ID, Kind: fleet.AskRelease, Driver: bo.id,
		Reason: "does not answer", By: fleet.Actor{Kind: fleet.ByOps}})
	w.must(err)
	if got := w.get(b.ID); got.Status != fleet.Searching || len(got.Seats) != 2 {
		t.Fatalf("released: %+v", got)
	}
	id := fleet.NewID[fleet.TripCommand]()
	for range 2 {
		_, err = bo.tap(b.ID, fleet.TapEnRoute, tappedAs(id))
		w.want(err, fleet.CodeConflict)
	}
	w.wantAlerts(b.ID, fleet.AlertConflict)
	waiting, err := w.conflicts()
	if err != nil || len(waiting) != 1 || waiting[0].ID != id || waiting[0].Driver != bo.id {
		t.Fatalf("%+v wait, error %v", waiting, err)
	}
	w.fill(b.ID, eve)
	ops := fleet.Actor{Kind: fleet.ByOps}
	_, err = w.Resolve(t.Context(), b.ID, id, ops, true, "as they say")
	w.want(err, fleet.CodeConflict) // it still does not fit
	_, err = w.Resolve(t.Context(), b.ID, id, ops, false, "called them")
	w.must(err)
	_, err = w.Resolve(t.Context(), b.ID, id, ops, false, "again")
	w.want(err, fleet.CodeConflict)
	_, err = bo.tap(b.ID, fleet.TapEnRoute, tappedAs(id))
	w.want(err, fleet.CodeConflict)
	w.wantAlerts(b.ID)
	if got := w.get(b.ID); got.Status != fleet.Assigned || got.Lead().Driver != eve.id {
		t.Errorf("%s, led by %s", got.Status, got.Lead().Driver)
	}
}

func TestOneTripAtATime(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo := w.officer()
	first, second := w.assigned(tripsNoon, bo), w.assigned(tripsNoon.Add(4*time.Hour), bo)
	bo.mustTap(first.ID, fleet.TapStart)
	w.clock.Advance(150 * time.Minute)
	id := fleet.NewID[fleet.TripCommand]()
	_, err := bo.tap(second.ID, fleet.TapEnRoute, tappedAs(id))
	w.want(err, fleet.CodeConflict)
	bo.mustTap(first.ID, fleet.TapComplete)
	// Sent again it fits.
	got, err := bo.tap(second.ID, fleet.TapEnRoute, tappedAs(id))
	w.must(err)
	if got.Status != fleet.EnRoute {
		t.Errorf("it is %s", got.Status)
	}
	w.wantAlerts(second.ID)
}

func TestTheTeamsTapsAreToldAndDoNotMoveTheTrip(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	lead, other := w.officer(), w.officer()
	b := w.assigned(tripsNoon, lead, other)
	if got := other.mustTap(b.ID, fleet.TapEnRoute, fleet.TapArrive); got.Status != fleet.Assigned {
		t.Errorf("it is %s by another than the lead", got.Status)
	}
	_, err := other.tap(b.ID, fleet.TapNoShow)
	w.want(err, fleet.CodeForbidden)
	got := lead.mustTap(b.ID, fleet.TapStart)
	for _, s := range got.Seats {
		if s.State != fleet.SeatActive {
			t.Errorf("seat %d is %s", s.Number, s.State)
		}
	}
	if w.count(b.ID, "officer_arrive") != 1 {
		t.Errorf("events %v", w.events(b.ID))
	}
}

func TestAPrincipalWhoDoesNotCome(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo := w.officer()
	b := w.assigned(tripsNoon.Add(10*time.Minute), bo)
	_, err := bo.tap(b.ID, fleet.TapNoShow)
	w.want(err, fleet.CodeConflict) // nobody is there to say so
	bo.mustTap(b.ID, fleet.TapArrive)
	w.clock.Advance(24 * time.Minute)
	_, err = bo.tap(b.ID, fleet.TapNoShow)
	w.want(err, fleet.CodeConflict)
	w.clock.Advance(time.Minute)
	got := bo.mustTap(b.ID, fleet.TapNoShow)
	if got.Status != fleet.NoShow || got.Fee != fleet.Pounds(110) || got.Lead() != nil {
		t.Errorf("%s, a fee of %v, lead %+v", got.Status, got.Fee, got.Lead())
	}
}
