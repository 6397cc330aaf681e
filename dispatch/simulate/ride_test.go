package simulate

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"armora/dispatch/triplog"
)

// someRide draws a small town: up to a few drivers, and trips within some
// kilometres and a few hours.
func someRide(t *rapid.T) *Ride {
	noon := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	offset := rapid.Float64Range(0, 0.05)
	var trips []triplog.Trip
	for range rapid.IntRange(1, 60).Draw(t, "trips") {
		pickup := noon.Add(time.Duration(rapid.IntRange(0, 7200).Draw(t, "pickup")) * time.Second)
		trips = append(trips, triplog.Trip{
			Pickup: pickup, Dropoff: pickup.Add(time.Duration(rapid.IntRange(300, 3600).Draw(t, "took")) * time.Second),
			FromLat: 51.5 + offset.Draw(t, "lat"), FromLon: offset.Draw(t, "lon"),
			ToLat: 51.5 + offset.Draw(t, "lat"), ToLon: offset.Draw(t, "lon"),
		})
	}
	rules := DefaultRules()
	rules.Decline = rapid.SampledFrom([]float64{0, 0.2, 1}).Draw(t, "decline")
	rules.Noise = rapid.SampledFrom([]float64{0, 0.3}).Draw(t, "noise")
	return &Ride{
		Demand:  Demand{Trips: trips, Zone: time.UTC, From: 12, To: 15, Copies: rapid.IntRange(1, 3).Draw(t, "copies")},
		Rules:   rules,
		Drivers: rapid.IntRange(1, 12).Draw(t, "drivers"),
		Seed:    rapid.Uint64().Draw(t, "seed"),
	}
}

// Every request ends once, in time; nobody drives two at a time, nor is anywhere
// but where their last trip ended, nor is given one that they declined.
func TestNothingIsLostOrDoubled(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		ride := someRide(rt)
		for _, policy := range Policies {
			town, err := ride.play(t.Context(), policy)
			if err != nil {
				rt.Fatal(err)
			}
			if err := town.audit(); err != "" {
				rt.Fatal(policy, err)
			}
		}
	})
}

// audit says what is wrong with a run that is over.
func (t *town) audit() string {
	busy := make(map[int32]time.Duration)
	riders := make(map[int32]int)
	for _, s := range t.stints { // in the order in which they began
		switch r := &t.riders[s.rider]; {
		case s.from < busy[s.driver] || s.until < s.from:
			return "a driver has two at a time"
		case r.stint < 0 || s.from < r.promised:
			return "somebody had a driver before they were promised one"
		case slices.Contains(r.declined, s.driver):
			return "a driver has whom they declined"
		case riders[s.rider] > 0 && (!r.swapped || s.from >= r.met):
			return "a driver was changed at the pick-up"
		}
		busy[s.driver] = s.until
		riders[s.rider]++
	}
	for i := range t.riders {
		r, stints := &t.riders[i], riders[int32(i)]
		switch {
		case r.outcome == unserved && (stints > 0 || t.now < r.asked+t.Rules.Patience):
			return "somebody was given up who had a driver, or too early"
		case r.outcome == served && (stints == 0 || stints > 2 || r.promised < r.asked || r.promised-r.asked > t.Rules.Patience || r.met < r.promised):
			return "somebody was served out of time, or passed on more than once"
		case r.outcome == served && t.stints[r.stint].until != r.met+r.trip:
			return "somebody was not driven to the end"
		case r.outcome == waiting:
			return "a request has not ended"
		}
	}
	free := 0
	for _, cell := range t.free.where {
		if cell != gone {
			free++
		}
	}
	underway := 0
	for _, until := range busy {
		if until > t.now {
			underway++
		}
	}
	if free != t.free.free || free+underway < t.Drivers {
		return "a driver has got lost"
	}
	return ""
}

func TestTheSameSeedIsTheSameRun(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		ride := someRide(rt)
		for _, policy := range Policies {
			first, err := ride.Run(t.Context(), policy)
			if err != nil {
				rt.Fatal(err)
			}
			second, _ := ride.Run(t.Context(), policy)
			first.SolverP99, second.SolverP99 = 0, 0 // real time
			if first != second {
				rt.Fatalf("%s: %+v, and then %+v", policy, first, second)
			}
		}
	})
}

// Whatever the policy, the same people ask at the same places and times.
func TestTheWorldIsTheSameForEachPolicy(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		ride := someRide(rt)
		var first []request
		for _, policy := range Policies {
			town, err := ride.play(t.Context(), policy)
			if err != nil {
				rt.Fatal(err)
			}
			var asked []request
			for i := range town.riders {
				asked = append(asked, town.riders[i].request)
			}
			if first == nil {
				first = asked
			}
			if !reflect.DeepEqual(first, asked) {
				rt.Fatalf("%s has other requests than %s", policy, Policies[0])
			}
		}
	})
}

// plainRide is a ride along the equator, of drivers and trips at so many metres,
// with neither declines nor noise. Each trip is asked for at noon.
func plainTown(drivers []float64, pickups ...float64) *town {
	rules := DefaultRules()
	rules.Decline, rules.Noise = 0, 0
	t := &town{Ride: &Ride{Rules: rules, Drivers: len(drivers)}, length: time.Hour}
	t.free = newGrid(make([]spot, len(drivers)), 500, spot{}, spot{10_000, 0})
	for d, x := range drivers {
		t.free.put(int32(d), spot{x, 0})
	}
	for _, x := range pickups {
		t.riders = append(t.riders, rider{request: request{from: spot{x, 0}, trip: 10 * time.Minute}, driver: gone})
	}
	return t
}

// The first is at 0 and its nearest is at 1,000, as is the second's, at 1,500, who
// has the other one at 9,000. fifo and nearest send that one to whom is left, and so
// does the batch, which sends whom it costs the least.
func TestPoliciesPairAsTheySay(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		policy           string
		drivers, pickups []float64
		want             []int32 // the driver of each
	}{
		{"fifo", []float64{1000, 9000}, []float64{0, 1500}, []int32{0, 1}},
		{"nearest", []float64{1000, 9000}, []float64{0, 1500}, []int32{1, 0}},
		{"batch", []float64{1000, 9000}, []float64{0, 1500}, []int32{0, 1}},
		{"fifo", []float64{1000}, []float64{9000, 1000}, []int32{0, gone}},
		{"nearest", []float64{1000}, []float64{9000, 1000}, []int32{gone, 0}},
		{"batch", []float64{1000}, []float64{9000, 1000}, []int32{gone, 0}},
	} {
		town := plainTown(test.drivers, test.pickups...)
		p, err := newPolicy(test.policy, true)
		if err != nil {
			t.Fatal(err)
		}
		town.step(p)
		for i, want := range test.want {
			if got := town.riders[i].driver; got != want {
				t.Errorf("%s of drivers at %v: who asks at %v has driver %d, want %d", test.policy, test.drivers, test.pickups[i], got, want)
			}
		}
	}
}

// A driver 700 m away takes 30 s and 135 s, promised at the first tick.
func TestFigures(t *testing.T) {
	t.Parallel()
	town := plainTown([]float64{700}, 0, 5000)
	p, _ := newPolicy("nearest", false)
	for !town.over() {
		town.step(p)
	}
	got := town.figures()
	got.SolverP99 = 0
	want := Figures{
		Served: 0.5, WaitMean: 175, WaitMedian: 175, WaitP95: 175, PickupMean: 165,
		Utilisation: 1. / 6, WaitAllMean: (175. + 300) / 2,
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestGini(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		of   []float64
		want float64
	}{{nil, 0}, {[]float64{0, 0}, 0}, {[]float64{3, 3, 3}, 0}, {[]float64{1, 0, 0, 0}, 0.75}, {[]float64{3, 1}, 0.25}} {
		if got := gini(test.of); got != test.want {
			t.Errorf("of %v: %v, want %v", test.of, got, test.want)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	good := Ride{
		Demand: Demand{Trips: []triplog.Trip{{}}, Zone: time.UTC, To: 24, Copies: 1}, Rules: DefaultRules(), Drivers: 1,
	}
	if _, err := good.Run(t.Context(), "batch"); err != nil {
		t.Fatal(err)
	}
	for problem, spoil := range map[string]func(*Ride) string{
		"no policy":     func(*Ride) string { return "best" },
		"no trips":      func(r *Ride) string { r.Demand.Trips = nil; return "fifo" },
		"0 drivers":     func(r *Ride) string { r.Drivers = 0; return "fifo" },
		"from 9 to 9":   func(r *Ride) string { r.Demand.From, r.Demand.To = 9, 9; return "fifo" },
		"0 copies":      func(r *Ride) string { r.Demand.Copies = 0; return "fifo" },
		"a tick of 0s":  func(r *Ride) string { r.Rules.Tick = 0; return "fifo" },
		"a speed of 0":  func(r *Ride) string { r.Rules.Speed = 0; return "fifo" },
		"declines of 2": func(r *Ride) string { r.Rules.Decline = 2; return "fifo" },
	} {
		bad := good
		if _, err := bad.Run(t.Context(), spoil(&bad)); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("got %v, want an error about %q", err, problem)
		}
	}
}
