package dispatch_test

import (
	"maps"
	"testing"
	"time"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
	"armora/sim"
	"armora/sim/recorded"
)

func TestSilentOfficers(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo, eve := w.officer(), w.officer()
	b, idle := w.assigned(tripsNoon, bo), w.assigned(tripsNoon.Add(time.Hour), eve)
	bo.goes(strand, 0)
	bo.mustTap(b.ID, fleet.TapStart)
	w.Round(t.Context())
	w.clock.Advance(121 * time.Second)
	for range 2 {
		w.Round(t.Context())
	}
	w.wantAlerts(b.ID, fleet.AlertSilent)
	w.wantAlerts(idle.ID) // nobody waits for them yet
	// A fix between two silences ends neither; being heard of for a minute does.
	heard := func(later time.Duration, want ...fleet.AlertKind) {
		t.Helper()
		w.clock.Advance(later)
		bo.goes(strand, 5)
		w.Round(t.Context())
		w.wantAlerts(b.ID, want...)
	}
	for range 3 {
		heard(121*time.Second, fleet.AlertSilent)
	}
	heard(59*time.Second, fleet.AlertSilent)
	heard(time.Second)
	if got, want := w.counted("armora_trips_alerts_total"), map[string]float64{"silent raised": 1, "silent settled": 1}; !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
	// Whoever was heard before the hub went down has time to return.
	w.clock.Advance(time.Hour)
	w.restart()
	w.Round(t.Context())
	w.clock.Advance(119 * time.Second)
	w.Round(t.Context())
	w.wantAlerts(b.ID)
	w.clock.Advance(2 * time.Second)
	w.Round(t.Context())
	w.wantAlerts(b.ID, fleet.AlertSilent)
	// The alert outlives another restart, and ends with being heard.
	w.restart()
	w.Round(t.Context())
	w.wantAlerts(b.ID, fleet.AlertSilent)
	heard(time.Second, fleet.AlertSilent)
	heard(time.Minute)
}

// Two hubs watch a trip, and its officer's phone is connected to one of them: the other
// has it from the database that they are not silent, until they are.
func TestWhoIsHeardByAnotherHubIsNotSilent(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo := w.officer()
	phone := fleet.NewID[fleet.Device]()
	w.must(schema.Devices{DB: w.db}.Create(t.Context(), fleet.Device{ID: phone, Kind: fleet.Phone, Name: "Bo's", Driver: bo.id, Created: w.clock.Now()}))
	b := w.assigned(tripsNoon, bo)
	bo.mustTap(b.ID, fleet.TapStart)
	w.Round(t.Context())
	heardThere := func() {
		t.Helper()
		p := fleet.NewPoint(fleet.MillisOf(w.clock.Now()), strand.Lat, strand.Lon)
		p.Device, p.Received = phone, p.Fix
		_, err := schema.NewPoints(w.db).Insert(t.Context(), []fleet.Point{p})
		w.must(err)
	}
	after := func(later time.Duration, want ...fleet.AlertKind) {
		t.Helper()
		w.clock.Advance(later)
		w.Round(t.Context())
		w.wantAlerts(b.ID, want...)
	}
	for range 3 {
		heardThere()
		after(2 * time.Minute)
	}
	after(time.Second, fleet.AlertSilent)
	// The other hub hears of them again and settles it; the next silence is told anew.
	w.must(schema.Alerts{DB: w.db}.Settle(t.Context(), fleet.AlertSilent, b.ID, bo.id, "heard of again", w.clock.Now()))
	heardThere()
	after(2 * time.Minute)
	after(time.Second, fleet.AlertSilent)
}

// On recorded tracks of phones, one after another, ops are told of silences alone that
// there were: of each that follows on a minute of being heard, and once.
func TestSilencesOfRecordedTracks(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo := w.officer()
	b := w.assigned(tripsNoon, bo)
	bo.mustTap(b.ID, fleet.TapStart)
	w.Round(t.Context())
	const silence, pause, look = 2 * time.Minute, 10 * time.Minute, 10 * time.Second
	var silences, due, told int
	last := w.clock.Now() // that they were heard
	since := last         // without a silence
	for _, next := range recordedTimes(t, last.Add(pause), pause) {
		for ; w.clock.Now().Before(next) && w.clock.Now().Sub(last) < pause; w.clock.Advance(look) {
			w.must(w.SeeSilent(t.Context()))
			now := int(w.counted("armora_trips_alerts_total")["silent raised"])
			if now > told && w.clock.Now().Sub(last) <= silence {
				t.Errorf("told of a silence %v after they were heard", w.clock.Now().Sub(last))
			}
			told = now
		}
		if w.clock.Now().Before(next) {
			w.clock.Advance(next.Sub(w.clock.Now()))
		}
		if quiet := next.Sub(last); quiet > silence {
			silences++
			if quiet > silence+look && last.Sub(since) >= time.Minute+look {
				due++
			}
			since = next
		}
		bo.goes(strand, 0)
		last = next
	}
	if told < due || told > silences || due < 30 {
		t.Errorf("told of %d silences of %d, %d of them after a minute of being heard", told, silences, due)
	}
	t.Logf("told of %d silences of %d, %d of them after a minute of being heard", told, silences, due)
}

// recordedTimes are when the phones of recorded tracks had a fix, one track a pause
// after another.
func recordedTimes(t *testing.T, from time.Time, pause time.Duration) (times []time.Time) {
	t.Helper()
	file := recorded.Open(t, "phone-tracks.csv")
	tracks, err := sim.ReadTracks(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, track := range tracks {
		begun := track.Points[0].Fix
		for _, p := range track.Points {
			if at := from.Add(time.Duration(p.Fix-begun) * time.Millisecond); len(times) == 0 || at.After(times[len(times)-1]) {
				times = append(times, at)
			}
		}
		from = times[len(times)-1].Add(pause)
	}
	return times
}

func TestAnOfficerWhoMayNotWorkAnyMore(t *testing.T) {
	t.Parallel()
	w := newTripWorld(t)
	bo, eve := w.officer(), w.officer()
	b, later := w.assigned(tripsNoon, bo), w.assigned(tripsNoon.Add(time.Hour), eve)
	bo.mustTap(b.ID, fleet.TapStart)
	w.must(w.Open(t.Context()))
	defer w.Close()
	told := make(chan bus.BookingChange, 16)
	defer w.bus.Bookings.Subscribe(func(c bus.BookingChange) { told <- c })()
	w.bus.Standings.Publish(bus.Standing{Driver: bo.id})
	w.bus.Standings.Publish(bus.Standing{Driver: eve.id})
	for c := range told { // the suspended officer of a trip to come is replaced at once
		if c.ID == later.ID && c.Status == fleet.Searching {
			break
		}
	}
	w.Close()
	w.wantAlerts(later.ID, fleet.AlertUnfit)
	w.wantAlerts(b.ID, fleet.AlertUnfit)
	if got := w.get(b.ID); got.Status != fleet.InProgress || got.Lead().Driver != bo.id {
		t.Errorf("the principal is alone: %s, lead %+v", got.Status, got.Lead())
	}
	// A hub that comes back and has not been told keeps the alert.
	w.restart()
	w.Round(t.Context())
	w.wantAlerts(b.ID, fleet.AlertUnfit)
	excluded, err := schema.Bookings{DB: w.db}.Excluded(t.Context(), []fleet.BookingID{later.ID})
	if err != nil || len(excluded[later.ID]) != 1 {
		t.Errorf("excluded are %v, error %v", excluded, err)
	}
}
