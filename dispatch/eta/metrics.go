package eta

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"
)

type metrics struct {
	legs     map[Source]prometheus.Counter
	requests *prometheus.CounterVec
	open     prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	legs := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "armora_eta_legs_total", Help: "Travel times that were asked for, by who gave them: osrm, model.",
	}, []string{"source"})
	m := &metrics{
		legs: map[Source]prometheus.Counter{
			FromModel: legs.WithLabelValues(string(FromModel)), FromOSRM: legs.WithLabelValues(string(FromOSRM)),
		},
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "armora_eta_osrm_requests_total",
			Help: "Requests to OSRM by outcome: ok, away, slow, refused, garbage, gone (nobody waits any more), spared (it was left alone).",
		}, []string{"outcome"}),
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "armora_eta_osrm_open", Help: "1 while OSRM is left alone because it failed.",
		}),
	}
	if registry == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{legs, m.requests, m.open} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics of eta: %w", err)
		}
	}
	return m, nil
}

// count counts how a request to OSRM ended.
func (m *metrics) count(err error) { m.requests.WithLabelValues(outcome(err)).Inc() }

func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
		return "spared"
	case errors.Is(err, errGone):
		return "gone"
	case errors.Is(err, errSlow):
		return "slow"
	case errors.Is(err, errAway):
		return "away"
	case errors.Is(err, errRefused):
		return "refused"
	}
	return "garbage"
}
