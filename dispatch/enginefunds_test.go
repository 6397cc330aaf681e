package dispatch

import (
	"slices"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
)

// unfunded takes a booking back whose amount is not held any more, as payment does
// that nobody is assigned to.
func (s *scene) unfunded(id fleet.BookingID) {
	s.t.Helper()
	must(s.change(s.t.Context(), id, func(c *schema.BookingTx) error {
		c.Funded = time.Time{}
		check(s.t, c.EndOffers(fleet.OfferWithdrawn, "not_funded", nil))
		for _, seat := range c.Seats {
			if seat.State == fleet.SeatHeld {
				check(s.t, c.Vacate(seat.ID, "not_funded"))
			}
		}
		return c.Move(fleet.Scheduled, schema.Event{Kind: "unfunded"})
	}))(s.t)
}

// A planned booking whose amount is not held by its start is cancelled, free, and its
// principal is told. Who had accepted for it, or was asked, is free as soon as it is
// taken back, and nobody else is looked for.
func TestWhatIsNotFundedByItsStartIsCancelled(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	drivers := s.officers(2)
	b := s.book(later(3*time.Hour), team(2))
	s.step(0)
	if s.rolling.officer(b.Seats[0].ID).IsZero() {
		t.Fatal("nobody is planned")
	}
	s.ask(&b, drivers...)
	s.accept(drivers[0])
	s.mustOffer(drivers[1])
	s.unfunded(b.ID)
	s.step(replanPause)
	if _, asked := s.offer(drivers[1]); asked || !s.rolling.officer(b.Seats[0].ID).IsZero() || len(s.rolling.ahead) > 0 {
		t.Errorf("an officer is asked %v, planned are %v", asked, s.rolling.ahead)
	}
	s.step(b.Start.Add(-time.Second).Sub(s.clock.Now()))
	for _, seat := range s.is(b.ID, fleet.Scheduled).Seats {
		if seat.State != fleet.SeatOpen {
			t.Errorf("seat %d is %s", seat.Number, seat.State)
		}
	}
	s.step(time.Second)
	got := s.is(b.ID, fleet.Cancelled)
	if got.EndedBy != fleet.BySystem || got.EndReason != "not_funded" || got.Fee.Amount != 0 || !got.Ended.Equal(b.Start) {
		t.Errorf("ended as %+v", got)
	}
	for _, seat := range got.Seats {
		if seat.State != fleet.SeatReleased || !seat.Driver.IsZero() {
			t.Errorf("seat %d is %s, of %v", seat.Number, seat.State, seat.Driver)
		}
	}
	if kinds := s.kinds(b.ID); !slices.Equal(kinds[len(kinds)-2:], []string{"unfunded", "cancelled"}) {
		t.Errorf("events %v", kinds)
	}
	var told int // the job by which notify tells the principal
	check(t, s.db.Pool().QueryRow(t.Context(), `SELECT count(*) FROM river_job WHERE kind = 'tell_booking' AND args->>'booking' = $1 AND (args->>'seq')::bigint = $2`,
		b.ID.String(), got.Seq).Scan(&told))
	if told != 1 {
		t.Errorf("the principal is told by %d jobs", told)
	}
	another := s.book(team(2))
	for _, d := range drivers {
		fix, _ := s.index.Get(fleet.Unit(d))
		s.see(d, fix.Lat, fix.Lon)
	}
	s.step(0)
	s.accept(drivers[0])
	s.accept(drivers[1])
	s.is(another.ID, fleet.Assigned)
}

// A booking for now that is taken back late in its search has its time to be paid for again
// as it had at first.
func TestWhatIsTakenBackMayBePaidForAgain(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b := s.book()
	s.step(0)
	s.step(SearchPatience - time.Second)
	s.unfunded(b.ID)
	s.step(FundingPatience - time.Second)
	s.is(b.ID, fleet.Scheduled)
	s.step(time.Second)
	s.is(b.ID, fleet.Cancelled)
}

// From assigned on nothing is ended or delayed for money: whoever would take the booking
// back is refused, also by the database, and no deadline of money's is one of it.
func TestProtectionIsNotStoppedForMoney(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	trips, b, drivers := s.trips(), s.book(), s.officers(1)
	s.step(0)
	s.accept(drivers[0])
	for _, tap := range []struct {
		is   fleet.BookingStatus
		next fleet.TripCommandKind
	}{{fleet.Assigned, fleet.TapEnRoute}, {fleet.EnRoute, fleet.TapArrive}, {fleet.Arrived, fleet.TapStart}, {fleet.InProgress, fleet.TapComplete}} {
		_, err := s.change(t.Context(), b.ID, func(c *schema.BookingTx) error { return c.Move(fleet.Scheduled, schema.Event{Kind: "unfunded"}) })
		wantCode(t, err, fleet.CodeConflict)
		_, err = s.change(t.Context(), b.ID, func(c *schema.BookingTx) error {
			c.Funded = time.Time{}
			return c.Note(schema.Event{Kind: "unfunded"})
		})
		if err == nil {
			t.Errorf("it is %s, and not funded", tap.is)
		}
		s.step(FundingPatience)
		if got := s.is(b.ID, tap.is); got.Funded.IsZero() || got.Lead().Driver != drivers[0] {
			t.Errorf("%s, funded %v, its lead is %+v", tap.is, got.Funded, got.Lead())
		}
		s.taps(trips, b.ID, drivers[0], tap.next)
	}
	s.is(b.ID, fleet.Completed)
}
