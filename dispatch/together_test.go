package dispatch

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"armora/dispatch/eta"
	"armora/fleet"
)

// trips are those of the scene: the engine finds officers, and they do the rest.
func (s *scene) trips() *Trips {
	s.t.Helper()
	return must(NewTrips(TripsConfig{
		DB: s.db, Bus: s.bus, Map: s.index, Clock: s.clock, Log: slog.New(slog.DiscardHandler),
		StartCode: func(fleet.BookingID) string { return "4711" },
		Between: func(_ context.Context, _ time.Time, from, to eta.Point) eta.Leg {
			return eta.Default().Leg(12, from, to)
		},
	}))(s.t)
}

// taps are what an officer tells, one after the other.
func (s *scene) taps(t *Trips, id fleet.BookingID, d fleet.DriverID, kinds ...fleet.TripCommandKind) {
	s.t.Helper()
	for _, kind := range kinds {
		must(t.Do(s.t.Context(), fleet.TripCommand{ID: fleet.NewID[fleet.TripCommand](), Booking: id, Kind: kind, Driver: d,
			By: officer, Code: "4711", Reason: "illness"}))(s.t)
	}
}

// The engine finds who relieves an officer in the middle of a trip, and another for
// one that is given back.
func TestTheEngineFindsWhomTripsAskFor(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	trips, b, drivers := s.trips(), s.book(), s.officers(3)
	s.step(0)
	s.accept(drivers[0])
	s.taps(trips, b.ID, drivers[0], fleet.TapEnRoute, fleet.AskRelease)
	s.is(b.ID, fleet.Searching)
	s.step(time.Second)
	if _, asked := s.offer(drivers[0]); asked {
		t.Fatal("whoever gave it back is asked again")
	}
	s.accept(drivers[1])
	s.taps(trips, b.ID, drivers[1], fleet.TapStart, fleet.AskRelief)
	s.is(b.ID, fleet.InProgress)
	s.step(time.Second)
	s.accept(drivers[2])
	got := s.is(b.ID, fleet.InProgress)
	if lead := got.Lead(); lead.Driver != drivers[1] || lead.State != fleet.SeatActive {
		t.Errorf("before the handover the lead is %+v", lead)
	}
	s.taps(trips, b.ID, drivers[2], fleet.AskHandover)
	got = s.is(b.ID, fleet.InProgress)
	if lead := got.Lead(); lead.Driver != drivers[2] || lead.State != fleet.SeatActive {
		t.Errorf("after it the lead is %+v", lead)
	}
	s.taps(trips, b.ID, drivers[2], fleet.TapComplete)
	// The scene's bookings have no tariff: that keeps nobody from going home.
	if got := s.is(b.ID, fleet.Completed); got.Fee != got.Total {
		t.Errorf("it costs %v, want the quoted %v", got.Fee, got.Total)
	}
}
