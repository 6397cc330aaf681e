package dispatch

import "github.com/prometheus/client_golang/prometheus"

type engineMetrics struct {
	leads     prometheus.Gauge
	waiting   *prometheus.GaugeVec
	offers    *prometheus.CounterVec
	ticks     prometheus.Histogram
	assigned  prometheus.Histogram
	plans     prometheus.Histogram
	unplanned prometheus.Gauge
}

func newEngineMetrics(r prometheus.Registerer) (*engineMetrics, error) {
	m := &engineMetrics{
		leads: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "armora_dispatch_leads", Help: "1 while this hub dispatches, 0 while another does.",
		}),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "armora_dispatch_bookings", Help: "Bookings for which officers are looked for, by status.",
		}, []string{"status"}),
		offers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "armora_dispatch_offers_total", Help: "Offers made to officers, and what became of them.",
		}, []string{"outcome"}),
		ticks: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "armora_dispatch_tick_seconds", Help: "How long a tick of the engine takes.",
			Buckets: []float64{.001, .003, .01, .03, .1, .3, 1, 3, 10},
		}),
		assigned: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "armora_dispatch_assign_seconds", Help: "From the beginning of a search to the assignment.",
			Buckets: []float64{1, 3, 10, 30, 60, 120, 300, 600, 1800},
		}),
		plans: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "armora_dispatch_plan_seconds", Help: "How long the rolling plan takes to be made, what it reads included.",
			Buckets: []float64{.001, .003, .01, .03, .1, .3, 1, 3, 10},
		}),
		unplanned: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "armora_dispatch_unplanned_bookings", Help: "Scheduled bookings within the horizon for which the rolling plan has nobody.",
		}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.leads, m.waiting, m.offers, m.ticks, m.assigned, m.plans, m.unplanned} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
