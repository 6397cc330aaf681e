package place

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct{ searches *prometheus.CounterVec }

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	m := &metrics{searches: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "armora_place_searches_total",
		Help: "Searches for places by outcome: found, remembered, limited, away, slow, refused, garbage, gone (nobody waits any more).",
	}, []string{"outcome"})}
	if registry == nil {
		return m, nil
	}
	if err := registry.Register(m.searches); err != nil {
		return nil, fmt.Errorf("register the metrics of place: %w", err)
	}
	return m, nil
}

func (m *metrics) count(outcome string) { m.searches.WithLabelValues(outcome).Inc() }
