package eta

import (
	"log/slog"
	"testing"
	"time"

	"pgregory.net/rapid"

	"armora/fleet"
)

// Nobody is sooner there than AtLeast says, by the model or on the fastest straight
// road that OSRM may know. By the model alone it is exact.
func TestNobodyIsThereSooner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var crow float64
	w.spoil = func(answer map[string]any) {
		answer["durations"].([][]any)[0][0] = max(0, crow-2*556) / (180 / 3.6)
		answer["distances"].([][]any)[0][0] = max(0, crow-2*556)
	}
	alone, err := New(Config{Zone: time.UTC, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		to := Point{Lat: 51.5 + rapid.Float64Range(-1, 1).Draw(rt, "lat"), Lon: rapid.Float64Range(-1, 1).Draw(rt, "lon")}
		at := noon.Add(time.Duration(rapid.IntRange(0, 23).Draw(rt, "hour")) * time.Hour)
		crow = fleet.Distance(bank.Lat, bank.Lon, to.Lat, to.Lon)
		leg := w.Between(t.Context(), at, bank, to)
		if least := w.AtLeast(at, crow); leg.Source != FromOSRM || leg.Time < least {
			rt.Fatalf("%.0f m in %v by the %s, and at least it is %v", crow, leg.Time, leg.Source, least)
		}
		if least, rough := w.AtLeast(at, crow), w.Rough(at, bank, to); rough < least {
			rt.Fatalf("%.0f m in %v by the model, and at least it is %v", crow, rough, least)
		}
		if least, is := alone.AtLeast(at, crow), alone.Between(t.Context(), at, bank, to).Time; least != is {
			rt.Fatalf("%.0f m in %v, and at least it is %v", crow, is, least)
		}
	})
}
