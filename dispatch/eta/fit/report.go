package main

import (
	"fmt"
	"io"
	"math"
	"slices"

	"armora/dispatch/eta"
)

// report says how far off a model is on trips, beside one speed for all of them.
func report(w io.Writer, m *eta.Model, trips []trip) {
	errors := func(name string, of []trip, guess func(trip) float64) {
		if len(of) == 0 {
			return
		}
		var off, share []float64
		sum, bias := 0.0, 0.0
		for _, t := range of {
			e := guess(t) - t.seconds
			off, share = append(off, math.Abs(e)), append(share, math.Abs(e)/t.seconds)
			sum, bias = sum+math.Abs(e)/float64(len(of)), bias+e/float64(len(of))
		}
		_, _ = fmt.Fprintf(w, "%-27s %6d %8.0f s %8.0f s %6.0f %% %+7.0f s\n", name, len(of), sum, median(off), 100*median(share), bias)
	}
	model := func(t trip) float64 { return m.Time(t.hour, t.metres).Seconds() }
	flat := func(t trip) float64 { return 1.35*t.metres/7 + 30 }
	_, _ = fmt.Fprintf(w, "%-27s %6s %10s %10s %8s %9s\n", "", "trips", "mean off", "median off", "median", "bias")
	errors("the model", trips, model)
	errors("1.35 x crow at 7 m/s + 30 s", trips, flat)
	for i, from := range bands {
		to := math.Inf(1)
		if i+1 < len(bands) {
			to = bands[i+1]
		}
		errors(fmt.Sprintf("from %.0f km", from/1000), where(trips, func(t trip) bool { return t.metres >= from && t.metres < to }), model)
	}
	for hour := 0; hour < 24; hour += 3 {
		errors(fmt.Sprintf("%02d:00 to %02d:00", hour, hour+3), where(trips, func(t trip) bool { return t.hour >= hour && t.hour < hour+3 }), model)
	}
}

func where(trips []trip, is func(trip) bool) []trip {
	return slices.DeleteFunc(slices.Clone(trips), func(t trip) bool { return !is(t) })
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}
