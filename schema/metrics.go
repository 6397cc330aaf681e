package schema

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics of one DB.
type metrics struct {
	registry    prometheus.Registerer
	stored      prometheus.Counter
	repeats     prometheus.Counter
	quarantined prometheus.Counter
	fallbacks   prometheus.Counter
	all         []prometheus.Collector
}

func newMetrics(registry prometheus.Registerer, pool *pgxpool.Pool) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "armora_schema_" + name, Help: help})
	}
	m := &metrics{
		registry:    registry,
		stored:      counter("points_stored_total", "Points committed to points or to quarantine."),
		repeats:     counter("points_repeated_total", "Points that were not stored because the same point was there already."),
		quarantined: counter("points_quarantined_total", "Points committed to quarantine."),
		fallbacks:   counter("insert_fallbacks_total", "Batches that met a repeat and were stored row by row."),
	}
	inUse := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "armora_schema_connections_in_use", Help: "Database connections that are running a statement.",
	}, func() float64 { return float64(pool.Stat().AcquiredConns()) })
	waited := prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "armora_schema_connection_waits_total", Help: "Times that a statement had to wait for a free database connection.",
	}, func() float64 { return float64(pool.Stat().EmptyAcquireCount()) })
	m.all = []prometheus.Collector{m.stored, m.repeats, m.quarantined, m.fallbacks, inUse, waited}
	if registry != nil {
		registry.MustRegister(m.all...)
	}
	return m
}

func (m *metrics) unregister() {
	if m.registry == nil {
		return
	}
	for _, c := range m.all {
		m.registry.Unregister(c)
	}
}
