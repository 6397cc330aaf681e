package dispatch

import (
	"fmt"
	"testing"
	"time"

	"armora/fleet"
)

// reply is what an officer's phone answers, and what the hub makes of it: nil is that
// the phone need not send it again.
func (s *scene) reply(d fleet.DriverID, payload string) error {
	s.t.Helper()
	return s.Reply(&fleet.Identity{Driver: d}, []byte(payload))(s.t.Context())
}

func accepting(o fleet.OfferID) string { return fmt.Sprintf(`{"offer_id":"%s","accept":true}`, o) }
func declining(o fleet.OfferID) string {
	return fmt.Sprintf(`{"offer_id":"%s","accept":false,"reason":"far"}`, o)
}

// Replies that come twice, in the wrong order or too late are taken from the phone, and
// the first that came in time counts.
func TestRepliesComeTwiceLateAndOutOfOrder(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	drivers := s.officers(3)
	state := func(d fleet.DriverID, o fleet.OfferID, want fleet.OfferState) {
		t.Helper()
		if got := must(s.offers.Of(t.Context(), d, o))(t); got.State != want {
			t.Errorf("the offer is %s, want %s", got.State, want)
		}
	}
	b := s.book()
	s.step(0)
	o := s.mustOffer(drivers[0]).ID
	for _, r := range []string{declining(o), accepting(o), declining(o)} { // the phone sends what it had said before
		check(t, s.reply(drivers[0], r))
		state(drivers[0], o, fleet.OfferDeclined)
	}
	s.is(b.ID, fleet.Searching)
	s.step(time.Second)
	o = s.mustOffer(drivers[1]).ID
	s.clock.Advance(fleet.OfferLife)
	check(t, s.reply(drivers[1], accepting(o))) // too late, and nobody has looked yet
	state(drivers[1], o, fleet.OfferOpen)
	for _, d := range drivers {
		s.see(d, strand.Lat, strand.Lon)
	}
	s.step(0)
	state(drivers[1], o, fleet.OfferExpired)
	check(t, s.reply(drivers[1], accepting(o)))
	state(drivers[1], o, fleet.OfferExpired)
	o = s.mustOffer(drivers[2]).ID
	for _, r := range []string{accepting(o), accepting(o), declining(o), accepting(o)} {
		check(t, s.reply(drivers[2], r))
		state(drivers[2], o, fleet.OfferAccepted)
	}
	if got := s.is(b.ID, fleet.Assigned); got.Lead().Driver != drivers[2] {
		t.Errorf("the lead is %s", got.Lead().Driver)
	}
	// What is not to be answered is kept for ops.
	for _, r := range []string{accepting(fleet.NewID[fleet.Offer]()), `{"offer_id":"` + o.String() + `"}`, `no`, ``} {
		wantCode(t, s.reply(drivers[2], r), fleet.CodeInvalid)
	}
	wantCode(t, s.reply(drivers[0], accepting(o)), fleet.CodeInvalid) // another's
}

// The clock is set forward while an officer is being asked: the offer is over, the
// officer is not heard of any more, and the booking is looked for or given up by its
// rules.
func TestTheClockIsSetForward(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b, soon, drivers := s.book(), s.book(later(2*time.Hour)), s.officers(1)
	s.step(0)
	o := s.mustOffer(drivers[0])
	s.step(SearchPatience + time.Minute)
	s.is(b.ID, fleet.Unfulfilled)
	_, err := s.Accept(t.Context(), drivers[0], o.ID, officer)
	wantCode(t, err, fleet.CodeConflict)
	s.see(drivers[0], strand.Lat, strand.Lon)
	s.step(2*time.Hour - LeadTime - SearchPatience - time.Minute)
	s.see(drivers[0], strand.Lat, strand.Lon)
	s.step(time.Second)
	s.accept(drivers[0])
	s.is(soon.ID, fleet.Assigned)
	s.step(-2 * time.Hour) // and back
	s.is(soon.ID, fleet.Assigned)
	s.kinds(b.ID)
}
