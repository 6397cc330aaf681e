package dispatch

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
)

// awaits returns a channel that is closed when a booking comes to a status.
func (s *scene) awaits(id fleet.BookingID, status fleet.BookingStatus) <-chan struct{} {
	reached := make(chan struct{})
	tell := sync.OnceFunc(func() { close(reached) })
	s.t.Cleanup(s.bus.Bookings.Subscribe(func(c bus.BookingChange) {
		if c.ID == id && c.Status == status {
			tell()
		}
	}))
	return reached
}

func await(t *testing.T, what string, reached <-chan struct{}) {
	t.Helper()
	select {
	case <-reached:
	case <-time.After(time.Minute):
		t.Fatalf("waited too long for %s", what)
	}
}

// Of two dispatchers one leads. When it stops the other takes over, and goes on
// with what it finds.
func TestTwoDispatchersAtOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	drivers := s.officers(2)
	engines := []*Engine{s.engine("one"), s.engine("two")}
	b := s.book()
	offered := s.awaits(b.ID, fleet.Offered)
	for _, e := range engines {
		e.Open()
		t.Cleanup(e.Close)
	}
	await(t, "the offer", offered)
	if n := len(must(s.offers.Open(t.Context()))(t)); n != 1 {
		t.Errorf("%d offers of one seat are out", n)
	}
	var holder string
	check(t, s.db.Pool().QueryRow(t.Context(), `SELECT holder FROM dispatchers WHERE area = 'all'`).Scan(&holder))
	first := engines[slices.Index([]string{"one", "two"}, holder)]
	first.Close()
	declined := must(s.Decline(t.Context(), drivers[0], s.mustOffer(drivers[0]).ID, officer, "too far"))(t)
	again := s.awaits(b.ID, fleet.Offered)
	// The other one asks for the lead now and then; its clock is the test's.
	stop := make(chan struct{})
	var ticking sync.WaitGroup
	ticking.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond): // the pace of the test, not what it waits for
				s.clock.Advance(100 * time.Millisecond)
			}
		}
	})
	await(t, "the other dispatcher's offer", again)
	close(stop)
	ticking.Wait()
	s.accept(drivers[1])
	s.is(b.ID, fleet.Assigned)
	if declined.State != fleet.OfferDeclined {
		t.Errorf("declined as %s", declined.State)
	}
}

// The hub dies after the offer has gone out. The reply comes to its successor.
func TestACrashBetweenOfferAndReply(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b, drivers := s.book(), s.officers(2)
	s.step(0)
	o := s.mustOffer(drivers[0])
	old := s.term
	s.Engine, s.term = s.engine("two"), must(schema.Dispatchers{DB: s.db}.Begin(t.Context(), "all", "two", s.clock.Now()))(t)
	s.step(time.Second)
	if again := s.mustOffer(drivers[0]); again.ID != o.ID {
		t.Error("the offer was made anew")
	}
	must(s.Accept(t.Context(), drivers[0], o.ID, officer))(t)
	got := s.is(b.ID, fleet.Assigned)
	// Whoever was thought dead, and was not, has no say.
	other := s.book()
	if err := s.tick(t.Context(), old); err == nil {
		t.Error("an engine whose term is over has ticked")
	}
	s.is(other.ID, fleet.Scheduled)
	if len(got.Seats) != 1 || got.Lead().Driver != drivers[0] {
		t.Errorf("the seats are %+v", got.Seats)
	}
}

func TestAnOfficerWhoIsOfflineMidOffer(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b, drivers := s.book(), s.officers(2)
	s.step(0)
	o := s.mustOffer(drivers[0])
	s.step(fleet.OfferLife - time.Second) // it never reached the phone
	s.is(b.ID, fleet.Offered)
	s.see(drivers[1], strand.Lat, strand.Lon)
	s.step(time.Second)
	s.accept(drivers[1])
	// The phone is back, and answers what it had got late.
	_, err := s.Accept(t.Context(), drivers[0], o.ID, officer)
	wantCode(t, err, fleet.CodeConflict)
	if got := s.is(b.ID, fleet.Assigned); got.Lead().Driver != drivers[1] {
		t.Errorf("the lead is %s", got.Lead().Driver)
	}
}

func TestTheClockIsSetBack(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b, drivers := s.book(), s.officers(1)
	s.step(0)
	s.mustOffer(drivers[0])
	s.step(-time.Hour)
	later := s.book()
	s.step(time.Second)
	s.accept(drivers[0])
	s.is(b.ID, fleet.Assigned)
	s.is(later.ID, fleet.Searching) // the officer's time is taken
	s.step(2 * time.Hour)
	s.is(later.ID, fleet.Unfulfilled)
	s.kinds(b.ID)
}

// Ops give the seat to somebody else while an officer is being asked.
func TestOpsAssignAgainstAnOpenOffer(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b, drivers := s.book(), s.officers(3)
	s.step(0)
	o := s.mustOffer(drivers[0])
	ops := fleet.Actor{Kind: fleet.ByOps}
	by := ByHand{Booking: b.ID, Driver: drivers[2], Reason: "asked for", By: ops}
	must(s.Assign(t.Context(), by))(t)
	got := s.is(b.ID, fleet.Assigned)
	if got.Lead().Driver != drivers[2] {
		t.Errorf("the lead is %s", got.Lead().Driver)
	}
	_, err := s.Accept(t.Context(), drivers[0], o.ID, officer)
	wantCode(t, err, fleet.CodeConflict)
	if o := must(s.offers.Of(t.Context(), drivers[0], o.ID))(t); o.State != fleet.OfferWithdrawn || o.Reason != "assigned_by_ops" {
		t.Errorf("the offer is %s: %s", o.State, o.Reason)
	}
	_, err = s.Assign(t.Context(), by) // sent again
	wantCode(t, err, fleet.CodeConflict)
	// Their time is taken, and ops cannot overrule that.
	_, err = s.Assign(t.Context(), ByHand{Booking: s.book().ID, Driver: drivers[2], Reason: "asked for", By: ops})
	wantCode(t, err, fleet.CodeConflict)
	// Nor that a licence has run out.
	_, err = s.db.Pool().Exec(t.Context(), `UPDATE documents SET expires = $2 WHERE driver = $1 AND kind = 'sia_licence'`, drivers[1], s.clock.Now().Add(time.Hour))
	check(t, err)
	_, err = s.Assign(t.Context(), ByHand{Booking: s.book().ID, Driver: drivers[1], Reason: "asked for", By: ops})
	wantCode(t, err, fleet.CodeConflict)
}

// Of a team nobody is assigned until everybody has accepted, and of two teams that
// want the same officers the older has them.
func TestTeamsCompete(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	older := s.book(team(2))
	s.clock.Advance(time.Second)
	younger, drivers := s.book(team(2)), s.officers(3)
	asked := make(map[fleet.DriverID]bool)
	for range 20 {
		s.step(2 * time.Second)
		for _, d := range drivers {
			s.see(d, strand.Lat, strand.Lon)
			if o, ok := s.offer(d); ok && !asked[d] {
				asked[d] = true
				must(s.Accept(t.Context(), d, o.ID, officer))(t)
			}
		}
	}
	got := s.is(older.ID, fleet.Assigned)
	for _, seat := range got.Seats {
		if seat.State != fleet.SeatCommitted {
			t.Errorf("seat %d of the older team is %s", seat.Number, seat.State)
		}
	}
	for _, seat := range must(s.Get(t.Context(), younger.ID))(t).Seats {
		if seat.State == fleet.SeatCommitted {
			t.Error("a part of the younger team is assigned")
		}
	}
	s.step(HoldFor + time.Second) // the hold of the third is over
	for _, seat := range must(s.Get(t.Context(), younger.ID))(t).Seats {
		if seat.State != fleet.SeatOpen && seat.State != fleet.SeatReleased {
			t.Errorf("after the hold, seat %d is %s", seat.Number, seat.State)
		}
	}
}

// A team of which one has accepted and nobody else is there is given up like any
// other booking, and whoever waited for the others is free.
func TestATeamThatIsNeverComplete(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b, drivers := s.book(team(2)), s.officers(2)
	s.step(0)
	s.accept(drivers[0])
	must(s.Decline(t.Context(), drivers[1], s.mustOffer(drivers[1]).ID, officer, "ill"))(t)
	check(t, s.duty(drivers[0], fleet.OffDuty))
	s.step(time.Second) // nobody is asked any more
	if got := s.is(b.ID, fleet.Searching); got.Seats[0].State != fleet.SeatHeld && got.Seats[1].State != fleet.SeatHeld {
		t.Errorf("the seats are %+v", got.Seats)
	}
	s.step(HoldFor)
	for _, seat := range s.is(b.ID, fleet.Searching).Seats {
		if seat.State != fleet.SeatOpen {
			t.Errorf("after the hold, seat %d is %s", seat.Number, seat.State)
		}
	}
	s.step(SearchPatience)
	s.is(b.ID, fleet.Unfulfilled)
}

// A thousand people book at once where three hundred officers are. Meanwhile the
// database drops every connection, again and again.
func TestAThousandBookingsAtOnceWhileTheDatabaseFails(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	const bookings, officers = 1000, 300
	for i := range officers {
		s.officer(strand.Lat+float64(i%20)*0.001, strand.Lon+float64(i/20)*0.001)
	}
	ids := make([]fleet.BookingID, bookings)
	for i := range ids {
		ids[i] = s.book().ID
	}
	ctx, cancel := context.WithCancel(t.Context())
	var failing sync.WaitGroup
	failing.Go(func() {
		for i := 0; ctx.Err() == nil && i < 8; i++ {
			// Of this database alone, and not the connection that says so.
			_, _ = s.db.Pool().Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
				WHERE datname = current_database() AND pid <> pg_backend_pid()`)
			<-time.After(50 * time.Millisecond) // faults come at any time
		}
	})
	failures := 0
	for range 60 {
		s.clock.Advance(2 * time.Second)
		if err := s.tick(t.Context(), s.term); err != nil {
			failures++
		}
		offers, err := s.offers.Open(t.Context())
		if err != nil {
			failures++
			continue
		}
		for _, o := range offers {
			if _, err := s.Accept(t.Context(), o.Driver, o.ID, officer); err != nil && fleet.CodeOf(err) != fleet.CodeUnavailable && fleet.CodeOf(err) != fleet.CodeConflict {
				t.Fatal(err)
			}
		}
		if assigned := s.count(fleet.Assigned); assigned == officers {
			break
		}
	}
	cancel()
	failing.Wait()
	if failures == 0 {
		t.Error("no fault was met")
	}
	if n := s.count(fleet.Assigned); n != officers {
		t.Errorf("%d are assigned, want %d", n, officers)
	}
	for range 5 {
		s.step(SearchPatience)
	}
	if n := s.count(fleet.Unfulfilled); n != bookings-officers {
		t.Errorf("%d are unfulfilled, want %d", n, bookings-officers)
	}
	busy := make(map[fleet.DriverID]bool)
	for _, id := range ids {
		s.kinds(id) // none is missing
		if b := must(s.Get(t.Context(), id))(t); b.Status == fleet.Assigned {
			if busy[b.Lead().Driver] {
				t.Errorf("%s is assigned twice", b.Lead().Driver)
			}
			busy[b.Lead().Driver] = true
		}
	}
	if n := len(must(s.offers.Open(t.Context()))(t)); n != 0 {
		t.Errorf("%d offers are left", n)
	}
}

func (s *scene) count(status fleet.BookingStatus) (n int) {
	s.t.Helper()
	for range 20 { // the pool may hold connections that were dropped
		if err := s.db.Pool().QueryRow(s.t.Context(), `SELECT count(*) FROM bookings WHERE status = $1`, status).Scan(&n); err == nil {
			return n
		}
	}
	s.t.Fatal("the database does not come back")
	return 0
}
