package dispatch

import (
	"errors"
	"slices"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
)

// ask lets time pass until a planned booking's officers are asked, and everybody is
// heard meanwhile.
func (s *scene) ask(b *fleet.Booking, drivers ...fleet.DriverID) {
	s.t.Helper()
	s.clock.Advance(b.Start.Add(-LeadTime).Sub(s.clock.Now()))
	for _, d := range drivers {
		fix, _ := s.index.Get(fleet.Unit(d))
		s.see(d, fix.Lat, fix.Lon)
	}
	s.step(0)
}

// unplanned are the bookings of which ops are told that nobody is planned for them.
func (s *scene) unplanned() []fleet.BookingID {
	s.t.Helper()
	var ids []fleet.BookingID
	for _, a := range must(schema.Alerts{DB: s.db}.OpenOf(s.t.Context(), fleet.AlertUnplanned))(s.t) {
		ids = append(ids, a.Booking)
	}
	return ids
}

// from is a booking that begins elsewhere.
func from(lat, lon float64) func(*fleet.Booking) {
	return func(b *fleet.Booking) { b.Pickup = fleet.Place{Lat: lat, Lon: lon} }
}

func TestThePlannedOfficerIsAskedFirst(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	// Two bookings at the same time, far apart, and between them two officers: the
	// one in the east is nearer to both.
	west, east := s.officer(51.5, -0.20), s.officer(51.5, -0.06)
	inEast := s.book(later(3*time.Hour), from(51.5, -0.04))
	inWest := s.book(later(3*time.Hour), from(51.5, -0.12))
	s.step(0)
	if got := s.rolling.officer(inWest.Seats[0].ID); got != west {
		t.Errorf("planned for the west is %v, want %v", got, west)
	}
	if got := s.rolling.officer(inEast.Seats[0].ID); got != east {
		t.Errorf("planned for the east is %v, want %v", got, east)
	}
	s.is(inEast.ID, fleet.Scheduled) // nobody is told yet
	// Somebody comes who is five minutes nearer: that pays for no switch.
	nearer := s.officer(51.5, -0.16)
	s.ask(&inEast, west, east, nearer)
	if o := s.mustOffer(west); o.Booking != inWest.ID {
		t.Error("the officer in the west is asked for the east")
	}
	if o := s.mustOffer(east); o.Booking != inEast.ID {
		t.Error("the officer in the east is asked for the west")
	}
	if ids := s.unplanned(); len(ids) > 0 {
		t.Errorf("ops are told of %v", ids)
	}
}

func TestAnOfficerFarAwayIsAskedInTimeToSetOut(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	d := s.officer(52.2, -0.1) // 78 km
	b := s.book(later(5 * time.Hour))
	s.step(0)
	first := s.rolling.searchFrom(&b)
	if lead := b.Start.Sub(first); lead <= LeadTime+askAhead {
		t.Fatalf("the officer is asked %v before the start", lead)
	}
	s.clock.Advance(first.Sub(s.clock.Now()))
	s.see(d, 52.2, -0.1)
	s.step(0)
	s.mustOffer(d)
}

func TestABookingForNowLeavesThePlanWhole(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	near, far := s.officer(strand.Lat, strand.Lon), s.officer(51.52, -0.14)
	soon := s.book(later(90 * time.Minute))
	s.step(0)
	if got := s.rolling.officer(soon.Seats[0].ID); got != near {
		t.Fatalf("planned is %v, want %v", got, near)
	}
	now := s.book() // two hours, from the same place: whoever has it cannot do the other
	s.step(0)
	if o := s.mustOffer(far); o.Booking != now.ID {
		t.Error("who is free is not asked for the booking for now")
	}
	// Nobody else is there for a second one: that one comes first.
	s.accept(far)
	second := s.book()
	s.step(time.Second)
	if o := s.mustOffer(near); o.Booking != second.ID {
		t.Error("who is planned for later is not asked although nobody else is there")
	}
}

func TestThePlanFollowsWhatChanges(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	first, second := s.officer(strand.Lat, strand.Lon), s.officer(51.52, -0.14)
	b := s.book(later(4 * time.Hour))
	s.step(0)
	if got := s.rolling.officer(b.Seats[0].ID); got != first {
		t.Fatalf("planned is %v, want %v", got, first)
	}
	must(s.change(t.Context(), b.ID, func(c *schema.BookingTx) error {
		if err := c.Exclude(first, "declined"); err != nil {
			return err
		}
		return c.Note(schema.Event{Kind: "noted"})
	}))(t)
	s.step(replanPause)
	if got := s.rolling.officer(b.Seats[0].ID); got != second {
		t.Errorf("planned after the first withdrew is %v, want %v", got, second)
	}
	other := s.book(later(4*time.Hour), from(51.52, -0.14))
	s.step(replanPause)
	if got := s.rolling.officer(other.Seats[0].ID); got != first {
		t.Errorf("planned for the second booking is %v, want %v", got, first)
	}
	// After a restart the plan is the same: it is made from the database.
	restarted := s.engine("two")
	restarted.led = s.clock.Now()
	check(t, restarted.tick(t.Context(), s.term))
	for _, seat := range []fleet.Seat{b.Seats[0], other.Seats[0]} {
		if got, want := restarted.rolling.officer(seat.ID), s.rolling.officer(seat.ID); got != want || got.IsZero() {
			t.Errorf("planned after a restart is %v, want %v", got, want)
		}
	}
}

func TestWhatNobodyCanHaveIsToldEarly(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	d := s.officer(strand.Lat, strand.Lon)
	s.book(later(20*time.Hour), func(b *fleet.Booking) { b.Created = b.Created.Add(-time.Hour) })
	a, b := s.book(later(6*time.Hour)), s.book(later(7*time.Hour))
	s.step(0)
	if ids := s.unplanned(); len(ids) > 0 {
		t.Errorf("told of %v although officers have had no time to be heard", ids)
	}
	s.clock.Advance(warmUp)
	s.see(d, strand.Lat, strand.Lon)
	s.step(replanEvery)
	ids := s.unplanned()
	if len(ids) != 1 || ids[0] != a.ID && ids[0] != b.ID {
		t.Fatalf("ops are told of %v, want one of the two", ids)
	}
	s.step(replanEvery) // it is one alert
	if again := s.unplanned(); !slices.Equal(again, ids) {
		t.Fatalf("ops are told of %v, want %v", again, ids)
	}
	// Another hub takes over, and another officer comes: the alert is settled.
	s.officer(51.52, -0.14)
	next := s.engine("two")
	next.led = noon
	check(t, next.tick(t.Context(), s.term))
	if ids := s.unplanned(); len(ids) > 0 {
		t.Errorf("ops are still told of %v", ids)
	}
}

// Whoever was thought dead, and was not, tells ops nothing, and takes nothing back: their
// successor would not know of it.
func TestAPlannerWhoseTermIsOverHasNoSay(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b := s.book(later(6 * time.Hour))
	s.clock.Advance(warmUp)
	old, next := s.term, must(schema.Dispatchers{DB: s.db}.Begin(t.Context(), "all", "two", s.clock.Now()))(t)
	if err := s.tick(t.Context(), old); !errors.Is(err, schema.ErrTermOver) {
		t.Errorf("a tick after the term: %v", err)
	}
	if ids := s.unplanned(); len(ids) > 0 {
		t.Errorf("ops are told of %v", ids)
	}
	other := s.engine("two")
	other.led = noon
	check(t, other.tick(t.Context(), next))
	if ids := s.unplanned(); !slices.Equal(ids, []fleet.BookingID{b.ID}) {
		t.Errorf("ops are told of %v, want %v", ids, b.ID)
	}
	s.officer(strand.Lat, strand.Lon)
	s.clock.Advance(replanEvery)
	if err := s.tick(t.Context(), old); !errors.Is(err, schema.ErrTermOver) || len(s.unplanned()) != 1 {
		t.Errorf("after a tick (%v) ops are told of %v", err, s.unplanned())
	}
}

func TestWhoIsOffDutyIsCountedOnForLater(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	d := s.officer(strand.Lat, strand.Lon)
	check(t, s.duty(d, fleet.OffDuty))
	gone := s.officer(strand.Lat, strand.Lon) // nobody has heard of them for weeks
	for _, q := range []string{`UPDATE duty_spells SET began = began - interval '30 days' WHERE driver = $1`,
		`UPDATE duty_spells SET ended = began + interval '8 hours' WHERE driver = $1`} {
		_, err := s.db.Pool().Exec(t.Context(), q, gone)
		check(t, err)
	}
	a, b := s.book(later(10*time.Hour)), s.book(later(10*time.Hour))
	s.step(warmUp)
	ids := s.unplanned()
	if len(ids) != 1 || ids[0] != a.ID && ids[0] != b.ID {
		t.Errorf("ops are told of %v, want one of two", ids)
	}
}
