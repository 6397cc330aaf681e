package dispatch

import (
	"github.com/prometheus/client_golang/prometheus"

	"armora/fleet"
)

type tripMetrics struct {
	watched  *prometheus.GaugeVec
	alerts   *prometheus.CounterVec
	commands *prometheus.CounterVec
}

func newTripMetrics(r prometheus.Registerer) (*tripMetrics, error) {
	m := &tripMetrics{
		watched: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "armora_trips_watched", Help: "Trips that are under way, or soon will be, by status, as of the last round.",
		}, []string{"status"}),
		alerts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "armora_trips_alerts_total", Help: "What ops were told of trips, or told that it is over (settled), by kind.",
		}, []string{"kind", "what"}),
		commands: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "armora_trips_commands_total", Help: "What officers have told of trips, and others have asked, by kind and by what became of it.",
		}, []string{"kind", "outcome"}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.watched, m.alerts, m.commands} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// count says how many trips are in which status.
func (m *tripMetrics) count(trips []*watched) {
	by := map[fleet.BookingStatus]int{fleet.Assigned: 0, fleet.EnRoute: 0, fleet.Arrived: 0, fleet.InProgress: 0}
	for _, trip := range trips {
		by[trip.booking.Status]++
	}
	for status, n := range by {
		m.watched.WithLabelValues(string(status)).Set(float64(n))
	}
}
