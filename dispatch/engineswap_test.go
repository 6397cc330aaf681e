package dispatch

import (
	"slices"
	"testing"
	"time"

	"armora/fleet"
)

// onTheWay has the only officer assigned to a booking for now, from far away.
func (s *scene) onTheWay(change ...func(*fleet.Booking)) (fleet.Booking, fleet.DriverID) {
	s.t.Helper()
	far := s.officer(strand.Lat+0.09, strand.Lon) // 10 km
	b := s.book(change...)
	s.step(0)
	s.accept(far)
	return b, far
}

// look lets the time pass until it is looked whether anybody is to be replaced.
func (s *scene) look() {
	s.t.Helper()
	s.step(maxPause)
}

// A booking is given another officer who is much nearer, when that one has accepted,
// and whom it had is free.
func TestANearerOfficerTakesOver(t *testing.T) {
	t.Parallel()
	for _, status := range []fleet.BookingStatus{fleet.Assigned, fleet.EnRoute} {
		t.Run(string(status), func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			trips := s.trips()
			b, far := s.onTheWay()
			if status == fleet.EnRoute {
				s.taps(trips, b.ID, far, fleet.TapEnRoute)
			}
			near := s.officer(strand.Lat, strand.Lon)
			s.look()
			o := s.mustOffer(near)
			if o.Booking != b.ID || o.Replaces != far {
				t.Errorf("offered as %+v", o)
			}
			if got := s.is(b.ID, status); got.Lead().Driver != far {
				t.Errorf("before they have accepted the lead is %+v", got.Lead())
			}
			s.accept(near)
			got := s.is(b.ID, fleet.Assigned)
			if lead := got.Lead(); lead.Driver != near || lead.State != fleet.SeatCommitted || lead.Vehicle.IsZero() {
				t.Errorf("the lead is %+v", lead)
			}
			if !got.EnRoute.IsZero() {
				t.Errorf("whoever comes now set out at %v", got.EnRoute)
			}
			if kinds := s.kinds(b.ID); !slices.Equal(kinds[len(kinds)-5:], []string{"swap_offered", "accepted", "swapping", "swapped", "assigned"}) {
				t.Errorf("events %v", kinds)
			}
			phone := must(s.phones(far))(t)[0]
			told := must(s.outbox.Pending(t.Context(), phone, 0, 100))(t)
			if last := told[len(told)-1]; last.Kind != "assignment_ended" {
				t.Errorf("who is let go was told %s at last", last.Kind)
			}
			// They can be had for another, and this one is not swapped again.
			other := s.book(from(strand.Lat+0.09, strand.Lon))
			s.see(near, strand.Lat+0.05, strand.Lon)
			nearer := s.officer(strand.Lat, strand.Lon)
			s.look()
			if o := s.mustOffer(far); o.Booking != other.ID {
				t.Error("the one who was let go is asked for something else")
			}
			if _, asked := s.offer(nearer); asked {
				t.Error("the booking is swapped again")
			}
		})
	}
}

func TestWhoDeclinesToTakeOverChangesNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b, far := s.onTheWay()
	near := s.officer(strand.Lat, strand.Lon)
	s.look()
	must(s.Decline(t.Context(), near, s.mustOffer(near).ID, officer, "no"))(t)
	s.look()
	if _, asked := s.offer(near); asked {
		t.Error("whoever declined is asked again")
	}
	next := s.officer(strand.Lat, strand.Lon)
	s.look()
	s.mustOffer(next)
	s.clock.Advance(fleet.OfferLife)
	s.step(0) // they let it pass
	if got := s.is(b.ID, fleet.Assigned); got.Lead().Driver != far {
		t.Errorf("the lead is %+v", got.Lead())
	}
}

// Nobody is replaced whom the principal prefers or ops chose, who is close or as good
// as there, whose booking starts later, or who is one of a team.
func TestWhoIsNotReplaced(t *testing.T) {
	t.Parallel()
	near := func(s *scene) { s.officer(strand.Lat, strand.Lon) }
	for name, prepare := range map[string]func(s *scene){
		"preferred": func(s *scene) {
			far := s.officer(strand.Lat+0.09, strand.Lon)
			s.book(func(b *fleet.Booking) { b.Preferred = far })
			s.step(0)
			s.accept(far)
			near(s)
		},
		"chosen by ops": func(s *scene) {
			far, b := s.officer(strand.Lat+0.09, strand.Lon), s.book()
			must(s.Assign(s.t.Context(), ByHand{Booking: b.ID, Driver: far, Reason: "asked for", By: fleet.Actor{Kind: fleet.ByOps}}))(s.t)
			near(s)
		},
		"close": func(s *scene) {
			_, far := s.onTheWay()
			near(s)
			s.see(far, strand.Lat+0.01, strand.Lon) // 1.1 km
		},
		"not much farther": func(s *scene) {
			s.onTheWay()
			s.officer(strand.Lat+0.08, strand.Lon)
		},
		"in time for later": func(s *scene) {
			s.onTheWay(later(LeadTime))
			near(s)
		},
		"of a team": func(s *scene) {
			far := []fleet.DriverID{s.officer(strand.Lat+0.09, strand.Lon), s.officer(strand.Lat+0.09, strand.Lon)}
			s.book(team(2))
			s.step(0)
			s.accept(far[0])
			s.accept(far[1])
			near(s)
		},
		"nobody knows where": func(s *scene) {
			_, far := s.onTheWay()
			s.clock.Advance(freshFor)
			near(s)
			s.index.Remove(fleet.Unit(far))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			prepare(s)
			s.look()
			if offers := must(s.offers.Open(t.Context()))(t); len(offers) != 0 {
				t.Errorf("offered is %+v", offers)
			}
		})
	}
}

// Who is being asked to take over is not needed any more when the officer has arrived,
// gives the booking back, or ops decide, and an answer that comes then is refused.
func TestATakeoverIsOverWhenItIsNotNeeded(t *testing.T) {
	t.Parallel()
	for name, meanwhile := range map[string]func(s *scene, trips *Trips, b fleet.BookingID, far fleet.DriverID){
		"arrived": func(s *scene, trips *Trips, b fleet.BookingID, far fleet.DriverID) {
			s.taps(trips, b, far, fleet.TapArrive)
		},
		"given back": func(s *scene, trips *Trips, b fleet.BookingID, far fleet.DriverID) {
			s.taps(trips, b, far, fleet.AskRelease)
		},
		"decided by ops": func(s *scene, _ *Trips, b fleet.BookingID, _ fleet.DriverID) {
			by := ByHand{Booking: b, Driver: s.officer(strand.Lat, strand.Lon), Seat: 1, Reason: "asked for", By: fleet.Actor{Kind: fleet.ByOps}}
			must(s.Assign(s.t.Context(), by))(s.t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			trips := s.trips()
			b, far := s.onTheWay()
			near := s.officer(strand.Lat, strand.Lon)
			s.look()
			o := s.mustOffer(near)
			meanwhile(s, trips, b.ID, far)
			if got := must(s.offers.Of(t.Context(), near, o.ID))(t); got.State != fleet.OfferWithdrawn {
				t.Errorf("the offer is %s", got.State)
			}
			_, err := s.Accept(t.Context(), near, o.ID, officer)
			wantCode(t, err, fleet.CodeConflict)
		})
	}
}

// Whoever waits may have an officer whose booking another takes over: it is held for
// them, as for one who is about to finish.
func TestOneTakesOverSoThatAnotherIsServed(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	first, far := s.onTheWay() // who is 10 km away, in the north
	s.clock.Advance(time.Second)
	free := s.officer(strand.Lat-0.01, strand.Lon) // near the first, and far from the second
	s.see(far, strand.Lat+0.09, strand.Lon)
	second := s.book(from(strand.Lat+0.09, strand.Lon))
	s.step(0)
	if o := s.mustOffer(free); o.Booking != first.ID || o.Replaces != far {
		t.Fatalf("offered as %+v", o)
	}
	s.is(second.ID, fleet.Searching)
	s.accept(free)
	s.step(tickEvery)
	if o := s.mustOffer(far); o.Booking != second.ID {
		t.Error("whoever was let go is not asked for the one who waits")
	}
}
