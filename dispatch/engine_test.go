package dispatch

import (
	"slices"
	"testing"
	"time"

	"armora/fleet"
)

func TestTheNearestIsAskedAndAccepts(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b, drivers := s.book(), s.officers(3)
	s.step(0)
	s.is(b.ID, fleet.Offered)
	o := s.mustOffer(drivers[0])
	if o.Pickup <= 0 || !o.Expires.Equal(noon.Add(fleet.OfferLife)) {
		t.Errorf("offered as %+v", o)
	}
	for range 2 { // the same accept, the same answer
		got, err := s.Accept(t.Context(), drivers[0], o.ID, officer)
		if err != nil || got.State != fleet.OfferAccepted {
			t.Fatalf("accepted as %+v, error %v", got, err)
		}
	}
	got := s.is(b.ID, fleet.Assigned)
	if lead := got.Lead(); lead.Driver != drivers[0] || lead.State != fleet.SeatCommitted || lead.Vehicle.IsZero() {
		t.Errorf("assigned as %+v", lead)
	}
	_, err := s.Decline(t.Context(), drivers[0], o.ID, officer, "")
	wantCode(t, err, fleet.CodeConflict)
	_, err = s.Accept(t.Context(), drivers[1], o.ID, officer)
	wantCode(t, err, fleet.CodeNotFound) // another's
	want := []string{"booked", "searching", "offered", "accepted", "assigned"}
	if got := s.kinds(b.ID); !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

func TestADeclineGoesToTheNext(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b, drivers := s.book(), s.officers(2)
	s.step(0)
	o := s.mustOffer(drivers[0])
	for range 2 {
		got, err := s.Decline(t.Context(), drivers[0], o.ID, officer, "too far")
		if err != nil || got.State != fleet.OfferDeclined || got.Reason != "too far" {
			t.Fatalf("declined as %+v, error %v", got, err)
		}
	}
	s.is(b.ID, fleet.Searching)
	_, err := s.Accept(t.Context(), drivers[0], o.ID, officer)
	wantCode(t, err, fleet.CodeConflict)
	s.step(time.Second)
	s.accept(drivers[1])
	s.is(b.ID, fleet.Assigned)
}

func TestAnOfferExpiresAndAReplyAfterwardsIsAConflict(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b, drivers := s.book(), s.officers(1)
	s.step(0)
	first := s.mustOffer(drivers[0])
	// Its phone has it: thirty seconds from then.
	s.clock.Advance(10 * time.Second)
	phones := must(s.phones(drivers[0]))(t)
	sent := must(s.outbox.Pending(t.Context(), phones[0], 0, 10))(t)
	if len(sent) != 1 || sent[0].Kind != "offer" || sent[0].Driver != drivers[0] {
		t.Fatalf("sent %+v", sent)
	}
	check(t, s.outbox.Acknowledge(t.Context(), phones[0], sent[0].Seq))
	s.step(29 * time.Second)
	s.is(b.ID, fleet.Offered)
	s.clock.Advance(time.Second)
	_, err := s.Accept(t.Context(), drivers[0], first.ID, officer) // before a tick has noticed
	wantCode(t, err, fleet.CodeConflict)
	s.see(drivers[0], strand.Lat, strand.Lon)
	s.step(0)
	// Nobody else is there: the same officer is asked again.
	second := s.mustOffer(drivers[0])
	_, err = s.Accept(t.Context(), drivers[0], first.ID, officer)
	wantCode(t, err, fleet.CodeConflict)
	must(s.Accept(t.Context(), drivers[0], second.ID, officer))(t)
	s.is(b.ID, fleet.Assigned)
}

func TestWhoLetsOffersPassGoesOffDuty(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b, drivers := s.book(), s.officers(1)
	for range maxLapses {
		s.see(drivers[0], strand.Lat, strand.Lon)
		s.step(0)
		s.mustOffer(drivers[0])
		s.clock.Advance(fleet.OfferLife)
	}
	s.step(0)
	s.is(b.ID, fleet.Searching)
	if !slices.Equal(s.off, drivers) {
		t.Errorf("off duty are %v, want %v", s.off, drivers)
	}
}

func TestNobodyIsFound(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	now, soon := s.book(), s.book(later(LeadTime+time.Minute))
	unfunded := s.book(func(b *fleet.Booking) { b.Funded = time.Time{} })
	s.step(0)
	s.is(now.ID, fleet.Searching)
	s.is(soon.ID, fleet.Scheduled)
	s.step(time.Minute)
	s.is(soon.ID, fleet.Searching)
	s.step(SearchPatience - time.Minute - time.Second)
	s.is(now.ID, fleet.Searching)
	s.step(time.Second)
	if b := s.is(now.ID, fleet.Unfulfilled); b.EndReason != "no_officer" || b.Ended.IsZero() {
		t.Errorf("ended as %+v", b)
	}
	s.is(unfunded.ID, fleet.Scheduled)
	s.step(FundingPatience - SearchPatience)
	if b := s.is(unfunded.ID, fleet.Cancelled); b.EndedBy != fleet.BySystem || b.Fee.Amount != 0 {
		t.Errorf("ended as %+v", b)
	}
	s.is(soon.ID, fleet.Searching)
	s.step(soon.Start.Add(StartGrace).Sub(s.clock.Now()))
	s.is(soon.ID, fleet.Unfulfilled)
}
