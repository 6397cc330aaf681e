package dispatch

import (
	"maps"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"armora/fleet"
)

// Every status of a trip under way is shown, also while no trip is in it any more.
func TestTripsAreCountedByStatus(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	m, err := newTripMetrics(registry)
	check(t, err)
	counted := func() map[string]float64 {
		t.Helper()
		by := make(map[string]float64)
		for _, family := range must(registry.Gather())(t) {
			for _, one := range family.GetMetric() {
				by[one.GetLabel()[0].GetValue()] = one.GetGauge().GetValue()
			}
		}
		return by
	}
	in := func(status fleet.BookingStatus) *watched { return &watched{booking: fleet.Booking{Status: status}} }
	m.count([]*watched{in(fleet.EnRoute), in(fleet.EnRoute), in(fleet.Assigned)})
	if got := counted(); got["en_route"] != 2 || got["assigned"] != 1 {
		t.Errorf("counted %v", got)
	}
	m.count([]*watched{in(fleet.Arrived)})
	want := map[string]float64{"en_route": 0, "assigned": 0, "arrived": 1, "in_progress": 0}
	if got := counted(); !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}
