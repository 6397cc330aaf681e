package dispatch

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"armora/dispatch/match"
	"armora/fleet"
	"armora/schema"
)

// round solves one round for some bookings, as if they were searched for, and looks
// at so many officers for each to begin with.
func (s *scene) round(bookings []fleet.Booking, nearby int) [][]*request {
	s.t.Helper()
	for i := range bookings {
		bookings[i].Status = fleet.Searching
	}
	s.nearby = nearby
	open := must(s.expireOffers(s.t.Context(), s.term))(s.t)
	parties, _ := wanted(bookings, open)
	r, done := s.begin(s.t.Context(), s.clock.Now(), bookings, parties, open)
	defer done()
	check(s.t, r.solve())
	return r.parties
}

// cheapest tries every way to give each seat an officer.
func (s *scene) cheapest(parties [][]*request, from int, taken map[fleet.DriverID]bool) (least match.Cost) {
	if from == len(parties) {
		return 0
	}
	least = match.MaxCost
	for _, o := range parties[from][0].options {
		if !taken[o.driver] {
			taken[o.driver] = true
			least = min(least, s.Engine.round.Weights.Cost(&o.Terms)+s.cheapest(parties, from+1, taken))
			delete(taken, o.driver)
		}
	}
	return least
}

// Whoever is looked at to begin with, what comes out is the best there is with
// everybody on the map.
func TestTheMatchingIsOptimalOnTheWholeMap(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	drivers, random := s.officers(9), rand.New(rand.NewPCG(3, 4))
	somewhere := func() (lat, lon float64) { return 51.5 + 0.1*random.Float64(), -0.2 + 0.2*random.Float64() }
	farther := 0
	for range 25 {
		s.clock.Advance(time.Second)
		for _, d := range drivers {
			lat, lon := somewhere()
			s.see(d, lat, lon)
		}
		var bookings []fleet.Booking
		for range 5 {
			bookings = append(bookings, s.book(from(somewhere())))
		}
		want := s.cheapest(s.round(bookings, len(drivers)+1), 0, make(map[fleet.DriverID]bool))
		var got match.Cost
		asked := make(map[fleet.DriverID]bool)
		for _, party := range s.round(bookings, 1) {
			q := party[0]
			if q.got == nil || asked[q.got.driver] {
				t.Fatalf("a booking gets %+v", q.got)
			}
			asked[q.got.driver] = true
			got += s.Engine.round.Weights.Cost(&q.got.Terms)
			farther += min(q.looked-1, 1)
		}
		if got != want {
			t.Fatalf("the matching costs %d, the best there is %d", got, want)
		}
	}
	if farther == 0 {
		t.Error("nobody was ever looked at but the nearest: nothing was shown")
	}
}

// Who has nobody near has everybody else looked at, and the nearest who suits asked.
func TestSomebodyFarBehindManyIsFound(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.nearby = 2
	near := s.officers(5)
	b := s.book(func(b *fleet.Booking) { b.Gender = fleet.GenderFemale })
	far := s.officer(strand.Lat+0.2, strand.Lon)
	_, err := s.db.Pool().Exec(t.Context(), `UPDATE drivers SET gender = 'female' WHERE id = $1`, far)
	check(t, err)
	s.roster.forget(far)
	s.step(0)
	if o := s.mustOffer(far); o.Booking != b.ID {
		t.Error("another booking is offered")
	}
	for _, d := range near {
		if _, asked := s.offer(d); asked {
			t.Error("somebody is asked who does not suit")
		}
	}
}

// A short queue is matched at once, and a long one after a pause that is the longer
// the more were left over.
func TestALongQueueIsMatchedAfterAPause(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for range shortQueue {
		s.book()
	}
	s.step(0)
	matched := s.matched
	s.step(100 * time.Millisecond)
	if !s.matched.After(matched) {
		t.Error("a short queue had to wait")
	}
	if matched = s.matched; s.pause != maxPause {
		t.Errorf("all are left over, and the pause is %v", s.pause)
	}
	s.book() // now the queue is long
	drivers := s.officers(1)
	s.step(maxPause - time.Second)
	if _, asked := s.offer(drivers[0]); asked || s.matched.After(matched) {
		t.Error("the queue did not wait for the pause to end")
	}
	s.step(time.Second)
	s.mustOffer(drivers[0])
	if want := tickEvery + (maxPause-tickEvery)*4/5; s.pause != want {
		t.Errorf("four of five are left over, and the pause is %v, want %v", s.pause, want)
	}
	matched = s.matched
	s.step(-time.Hour) // the clock is set back: nobody waits for an hour
	if !s.matched.Before(matched) {
		t.Error("the matching waits for a clock that was set back")
	}
}

// busy has an officer at work on a trip at the Strand that ends in so long.
func (s *scene) busy(trips *Trips, d fleet.DriverID, ends time.Duration, others ...fleet.DriverID) fleet.Booking {
	s.t.Helper()
	b := s.book()
	s.step(0)
	s.accept(d)
	s.taps(trips, b.ID, d, fleet.TapStart)
	s.clock.Advance(b.Booked() - ends)
	for _, d := range append(others, d) {
		fix, _ := s.index.Get(fleet.Unit(d))
		s.see(d, fix.Lat, fix.Lon)
	}
	return b
}

// A booking is held for an officer who is about to finish, and for ten seconds at
// most: then the best who is free is asked.
func TestABookingIsHeldForWhoIsAboutToFinish(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	far := s.held(30*time.Second, func(fleet.BookingID) {})
	// It is not held for anybody again.
	must(s.Decline(t.Context(), far, s.mustOffer(far).ID, officer, "too far"))(t)
	other := s.officer(strand.Lat+0.06, strand.Lon)
	s.step(0)
	s.mustOffer(other)
}

// held books while one officer is about to finish near it and another is free far away,
// who is asked, and returned, once it has been held and something more has happened.
func (s *scene) held(left time.Duration, then func(fleet.BookingID)) (far fleet.DriverID) {
	s.t.Helper()
	near, far := s.officer(strand.Lat, strand.Lon), s.officer(strand.Lat+0.05, strand.Lon)
	s.busy(s.trips(), near, left, far)
	b := s.book()
	s.holds(b.ID)
	then(b.ID)
	s.step(0) // the next tick would be too late
	if o := s.mustOffer(far); o.Booking != b.ID {
		s.t.Error("another booking is offered")
	}
	return far
}

// holds ticks for as long as a booking may be held, which it has to be.
func (s *scene) holds(id fleet.BookingID) {
	s.t.Helper()
	began := s.clock.Now()
	for s.clock.Now().Add(tickEvery).Before(began.Add(match.HoldMost)) {
		s.step(0)
		s.is(id, fleet.Searching)
		s.clock.Advance(tickEvery)
	}
}

// How long a booking was held dies with the hub that held it. Whoever takes over holds
// it for as long again, and no longer.
func TestAHoldBeginsAnewWithTheNextLeader(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.held(50*time.Second, func(id fleet.BookingID) {
		s.Engine, s.term = s.engine("two"), must(schema.Dispatchers{DB: s.db}.Begin(t.Context(), "all", "two", s.clock.Now()))(t)
		s.holds(id)
	})
}

// Who is at the destination of a transfer is about to finish, however long it was
// booked for, and will be free there.
func TestATransferThatHasArrivedIsAboutToFinish(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	trips, near, far := s.trips(), s.officer(strand.Lat+0.1, strand.Lon), s.officer(strand.Lat+0.05, strand.Lon)
	check(t, s.duty(far, fleet.OnBreak))
	transfer := s.book(from(strand.Lat+0.1, strand.Lon), func(b *fleet.Booking) { b.Type, b.Destination = fleet.SecureTransfer, &strand })
	s.step(0)
	s.accept(near)
	s.taps(trips, transfer.ID, near, fleet.TapStart)
	check(t, s.duty(far, fleet.OnDuty))
	must(s.change(t.Context(), transfer.ID, func(c *schema.BookingTx) error {
		_, err := c.Present(near, fleet.AtDestination, true, c.Now)
		return err
	}))(t)
	b := s.book()
	s.step(tickEvery)
	s.is(b.ID, fleet.Searching)
	s.taps(trips, transfer.ID, near, fleet.TapComplete)
	s.see(near, strand.Lat, strand.Lon)
	s.step(tickEvery)
	if o := s.mustOffer(near); o.Booking != b.ID {
		t.Error("another booking is offered")
	}
}

func TestWhoFinishesInTimeIsAsked(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	trips, near, far := s.trips(), s.officer(strand.Lat, strand.Lon), s.officer(strand.Lat+0.05, strand.Lon)
	before := s.busy(trips, near, 30*time.Second, far)
	b := s.book()
	s.step(0)
	s.is(b.ID, fleet.Searching)
	s.clock.Advance(tickEvery)
	s.taps(trips, before.ID, near, fleet.TapComplete)
	s.step(tickEvery)
	if o := s.mustOffer(near); o.Booking != b.ID {
		t.Error("another booking is offered")
	}
}

// Nobody waits for whoever is not sooner there than one who is free, nor for one who
// has long to go.
func TestABookingIsNotHeldInVain(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	trips, busy, free := s.trips(), s.officer(strand.Lat, strand.Lon), s.officer(strand.Lat+0.001, strand.Lon)
	s.busy(trips, busy, 55*time.Second, free)
	b := s.book()
	s.step(0)
	s.accept(free)
	s.is(b.ID, fleet.Assigned)
	long, far := s.officer(strand.Lat, strand.Lon), s.officer(strand.Lat+0.05, strand.Lon)
	s.busy(trips, long, 10*time.Minute, far)
	next := s.book()
	s.step(0)
	if o := s.mustOffer(far); o.Booking != next.ID {
		t.Error("another booking is offered")
	}
}

// A team is asked at once, or not at all.
func TestATeamIsAskedAtOnceOrNotAtAll(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b, drivers := s.book(team(3)), s.officers(2)
	s.step(0)
	s.is(b.ID, fleet.Searching)
	if n := len(must(s.offers.Open(t.Context()))(t)); n != 0 {
		t.Fatalf("%d officers are asked for a team of three, and there are two", n)
	}
	alone := s.book()
	drivers = append(drivers, s.officer(strand.Lat+0.01, strand.Lon))
	s.step(time.Second) // the team waits for longer than the one who is alone
	for _, d := range drivers {
		if o := s.mustOffer(d); o.Booking != b.ID {
			t.Error("whoever came later is served first")
		}
	}
	s.is(alone.ID, fleet.Searching)
	if kinds := s.kinds(b.ID); !slices.Equal(kinds, []string{"booked", "searching", "offered", "offered", "offered"}) {
		t.Errorf("events %v", kinds)
	}
}

// Two teams block each other: each has an officer who has accepted and lacks one, and
// there are no others. The older has both, and nobody is held for ever.
func TestTheOlderTeamHasWhomTheYoungerHolds(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	older := s.book(team(2))
	s.clock.Advance(time.Second)
	younger, drivers := s.book(team(2)), s.officers(4)
	s.step(0)
	var asked [2][]fleet.DriverID // for the older team and the younger
	for _, d := range drivers {
		if s.mustOffer(d).Booking == older.ID {
			asked[0] = append(asked[0], d)
		} else {
			asked[1] = append(asked[1], d)
		}
	}
	if len(asked[0]) != 2 || len(asked[1]) != 2 {
		t.Fatalf("asked are %v", asked)
	}
	for _, of := range asked { // one accepts, and the other goes off duty
		s.accept(of[0])
		must(s.Decline(t.Context(), of[1], s.mustOffer(of[1]).ID, officer, "ill"))(t)
		check(t, s.duty(of[1], fleet.OffDuty))
	}
	s.step(time.Second)
	if o := s.mustOffer(asked[1][0]); o.Booking != older.ID {
		t.Error("whom the younger team held is not asked for the older")
	}
	s.accept(asked[1][0])
	for _, seat := range s.is(older.ID, fleet.Assigned).Seats {
		if seat.State != fleet.SeatCommitted {
			t.Errorf("seat %d of the older team is %s", seat.Number, seat.State)
		}
	}
	for _, seat := range s.is(younger.ID, fleet.Searching).Seats {
		if seat.State != fleet.SeatOpen {
			t.Errorf("seat %d of the younger team is %s", seat.Number, seat.State)
		}
	}
	if kinds := s.kinds(younger.ID); !slices.Contains(kinds, "hold_yielded") {
		t.Errorf("events %v", kinds)
	}
	s.step(SearchPatience)
	s.is(younger.ID, fleet.Unfulfilled)
}

// A younger team takes nobody from an older one.
func TestTheYoungerTeamTakesNobodyFromTheOlder(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	older, drivers := s.book(team(2)), s.officers(2)
	s.step(0)
	s.accept(drivers[0])
	must(s.Decline(t.Context(), drivers[1], s.mustOffer(drivers[1]).ID, officer, "ill"))(t)
	younger := s.book(team(2))
	s.step(time.Second)
	if n := len(must(s.offers.Open(t.Context()))(t)); n != 0 {
		t.Errorf("%d offers are out", n)
	}
	s.is(older.ID, fleet.Searching)
	s.is(younger.ID, fleet.Searching)
	s.step(HoldFor) // the older one's hold is over: it is the younger's turn
	for _, d := range drivers {
		s.see(d, strand.Lat, strand.Lon)
	}
	s.step(time.Second)
	for _, d := range drivers {
		if o := s.mustOffer(d); o.Booking != younger.ID {
			t.Error("the older team is asked for, which nobody can fill")
		}
	}
}

// Of two who are about as near the one is asked who has had less work lately.
func TestWorkIsShared(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	trips, busy := s.trips(), s.officer(strand.Lat, strand.Lon)
	before := s.busy(trips, busy, time.Minute)
	s.taps(trips, before.ID, busy, fleet.TapComplete)
	s.clock.Advance(time.Hour) // who has been idle for as long as counts
	s.see(busy, strand.Lat, strand.Lon)
	rested := s.officer(strand.Lat+0.0009, strand.Lon) // 100 m farther, and has just come
	s.clock.Advance(time.Hour)
	for _, d := range []fleet.DriverID{busy, rested} {
		fix, _ := s.index.Get(fleet.Unit(d))
		s.see(d, fix.Lat, fix.Lon)
		s.roster.forget(d) // as it is once a minute
	}
	b := s.book()
	s.step(0)
	if o := s.mustOffer(rested); o.Booking != b.ID {
		t.Error("another booking is offered")
	}
}
