package main

import (
	"bytes"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"armora/dispatch/eta"
	"armora/dispatch/triplog"
	"armora/sim/recorded"
)

const file = "sf-trips-2008-05-21.csv"

// taxis reads the trips to which the committed table was fitted.
func taxis(t *testing.T) []trip {
	t.Helper()
	f := recorded.Open(t, file)
	all, err := triplog.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	local, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		t.Fatal(err)
	}
	return clean(all, local)
}

// What is committed is what the command writes.
func TestTheTableIsTheCommandsOutput(t *testing.T) {
	t.Parallel()
	trips := taxis(t)
	want, err := source(fit(trips), file, len(trips))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join("..", "speeds.go"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("speeds.go is\n%s\nand the command writes\n%s", got, want)
	}
}

// On trips of other cabs the model is far better than one speed for all.
func TestTheModelHoldsOnTripsThatItHasNotSeen(t *testing.T) {
	t.Parallel()
	mine, others := split(taxis(t))
	m := fit(mine)
	off := func(guess func(trip) float64) float64 {
		sum := 0.0
		for _, o := range others {
			sum += math.Abs(guess(o) - o.seconds)
		}
		return sum / float64(len(others))
	}
	model := off(func(o trip) float64 { return m.Time(o.hour, o.metres).Seconds() })
	flat := off(func(o trip) float64 { return 1.35*o.metres/7 + 30 })
	t.Logf("off by %.0f s on average; one speed by %.0f s", model, flat)
	if model > flat/2 {
		t.Errorf("off by %.0f s on average; one speed for all by %.0f s", model, flat)
	}
}

// Trips that were made by a model give that model back, noise, stops and all.
func TestFitFindsTheModel(t *testing.T) {
	t.Parallel()
	want := eta.Model{Start: 90 * time.Second}
	for i, speed := range []float64{5, 7, 9, 14, 25} {
		want.Bands = append(want.Bands, eta.Band{From: bands[i], Speed: speed})
	}
	for hour := range want.Hours {
		want.Hours[hour] = 1 + 0.3*math.Sin(float64(hour)*math.Pi/12) // 1 on average
	}
	random := rand.New(rand.NewPCG(1, 2))
	var trips []trip
	for i := range 4_000 {
		t := trip{hour: i % 24, metres: 300 * math.Exp(4*random.Float64())}
		t.seconds = want.Time(t.hour, t.metres).Seconds() * (1 + 0.1*random.NormFloat64())
		if i%20 == 0 {
			t.seconds += 1800 // a stop on the way
		}
		trips = append(trips, t)
	}
	got := fit(trips)
	for hour := range 24 {
		for _, metres := range []float64{300, 800, 1500, 3000, 5000, 10_000} {
			g, w := got.Time(hour, metres).Seconds(), want.Time(hour, metres).Seconds()
			if math.Abs(g-w) > 0.08*w {
				t.Errorf("%.0f m at %d o'clock: %.0f s, want %.0f s", metres, hour, g, w)
			}
		}
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	at := time.Date(2027, 7, 1, 22, 30, 0, 0, time.UTC)
	drive := func(d time.Duration, north float64) triplog.Trip {
		return triplog.Trip{Pickup: at, Dropoff: at.Add(d), ToLat: north}
	}
	const km = 1 / 111.195 // degrees
	got := clean([]triplog.Trip{
		drive(10*time.Minute, 3*km),    // good
		drive(50*time.Second, km),      // shorter than a minute
		drive(-time.Minute, km),        // back in time
		drive(0, km),                   // no time at all
		drive(3*time.Hour, 30*km),      // longer than two hours
		drive(10*time.Minute, 0.2*km),  // nowhere
		drive(100*time.Minute, 70*km),  // another country
		drive(90*time.Minute, 3*km),    // a round trip
		drive(10*time.Minute, 16.5*km), // faster than a car
	}, time.FixedZone("an hour ahead", 3600))
	if len(got) != 1 || got[0].hour != 23 || got[0].seconds != 600 || math.Abs(got[0].metres-3000) > 5 {
		t.Errorf("%+v, want the first alone, at 23 o'clock", got)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	m := eta.Model{Start: 100 * time.Second, Bands: []eta.Band{{Speed: eta.Detour}}}
	for hour := range m.Hours {
		m.Hours[hour] = 1
	}
	var b strings.Builder
	report(&b, &m, []trip{{metres: 500, seconds: 500}, {metres: 500, seconds: 600}, {metres: 500, seconds: 800}}) // the model says 600 s
	line := strings.Join(strings.Fields(strings.Split(b.String(), "\n")[1]), " ")
	if line != "the model 3 100 s 100 s 20 % -33 s" {
		t.Errorf("it says %q", line)
	}
}
