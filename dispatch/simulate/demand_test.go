package simulate

import (
	"math/rand/v2"
	"testing"
	"time"

	"armora/dispatch/triplog"
)

// A ten-minute trip at each full hour of three days, UTC, the middle of which lies in
// San Francisco's 21 May.
func hourly() []triplog.Trip {
	var trips []triplog.Trip
	for h := range 72 {
		pickup := time.Date(2008, 5, 20, h, 0, 0, 0, time.UTC)
		trips = append(trips, triplog.Trip{
			Pickup: pickup, Dropoff: pickup.Add(10 * time.Minute),
			FromLat: 37.77, FromLon: -122.42, ToLat: 37.78, ToLon: -122.42,
		})
	}
	return trips
}

func TestRequestsAreThoseOfTheHours(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		t.Fatal(err)
	}
	d := Demand{Trips: hourly(), Zone: zone, From: 16, To: 20, Copies: 1}
	got := d.requests(rand.New(rand.NewPCG(1, 1)))
	if len(got) != 4 {
		t.Fatalf("%d requests, want 4", len(got))
	}
	if first := d.hour(16); !first.Equal(time.Date(2008, 5, 21, 23, 0, 0, 0, time.UTC)) {
		t.Errorf("16:00 there is %v", first.UTC())
	}
	for i, r := range got {
		if r.asked != time.Duration(i)*time.Hour || r.trip != 10*time.Minute {
			t.Errorf("request %d at %v for %v", i, r.asked, r.trip)
		}
		if north := r.to.y - r.from.y; north < 1110 || north > 1114 { // a hundredth of a degree
			t.Errorf("request %d goes %.0f m to the north", i, north)
		}
	}
}

func TestCopiesAreJittered(t *testing.T) {
	t.Parallel()
	d := Demand{Trips: hourly(), Zone: time.UTC, From: 0, To: 24, Copies: 50}
	got := d.requests(rand.New(rand.NewPCG(1, 1)))
	if len(got) < 24*49 || len(got) > 24*51 { // some of midnight's are of another day
		t.Errorf("%d requests of 24 trips, 50 times each", len(got))
	}
	moved := false
	for i, r := range got {
		if off := (r.asked + 30*time.Minute) % time.Hour; off < 20*time.Minute || off > 40*time.Minute {
			t.Errorf("asked at %v, which is more than 10 min from a trip", r.asked)
		}
		if away := r.from.to(spot{}); away > jitterPlace+0.01 {
			t.Errorf("picked up %.0f m from the trip's", away)
		} else if away > jitterPlace/2 {
			moved = true
		}
		if i > 0 && r.asked < got[i-1].asked {
			t.Error("requests are not in order of time")
		}
	}
	if !moved {
		t.Error("no copy is elsewhere")
	}
}

func TestTripsThatCannotBeAreLeftOut(t *testing.T) {
	t.Parallel()
	for what, spoil := range map[string]func(*triplog.Trip){
		"ends before it begins":  func(t *triplog.Trip) { t.Dropoff = t.Pickup.Add(-time.Hour) },
		"takes half a minute":    func(t *triplog.Trip) { t.Dropoff = t.Pickup.Add(30 * time.Second) },
		"takes three hours":      func(t *triplog.Trip) { t.Dropoff = t.Pickup.Add(3 * time.Hour) },
		"is faster than any car": func(t *triplog.Trip) { t.ToLat += 0.3 },
		"is in another city":     func(t *triplog.Trip) { t.ToLat, t.Dropoff = t.ToLat+1, t.Pickup.Add(2*time.Hour) },
	} {
		trip := hourly()[0]
		if !clean(&trip) {
			t.Fatal("the trip is not clean to begin with")
		}
		if spoil(&trip); clean(&trip) {
			t.Errorf("a trip that %s is clean", what)
		}
	}
}
