package account

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"armora/fleet"
)

type metrics struct {
	logins  *prometheus.CounterVec
	answers *prometheus.CounterVec
}

// lookupMetrics counts where the answers to one question come from.
type lookupMetrics struct{ fresh, stale, database prometheus.Counter }

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "armora_account_device_logins_total",
			Help: "Logins of devices by door, by the way in which they showed who they are, and by outcome.",
		}, []string{"door", "way", "outcome"}),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "armora_account_lookups_total",
			Help: "Questions about devices, by where the answer came from: memory, memory while the database was away, the database.",
		}, []string{"question", "source"}),
	}
	if registry == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.logins, m.answers} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics of account: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) lookups(question string) *lookupMetrics { return countLookups(m.answers, question) }

func countLookups(answers *prometheus.CounterVec, question string) *lookupMetrics {
	return &lookupMetrics{
		fresh:    answers.WithLabelValues(question, "memory"),
		stale:    answers.WithLabelValues(question, "stale_memory"),
		database: answers.WithLabelValues(question, "database"),
	}
}

func newSessionMetrics(registry prometheus.Registerer) (*prometheus.CounterVec, error) {
	answers := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "armora_account_session_lookups_total",
		Help: "Questions about people's sessions and about partners, by where the answer came from: memory, memory while the database was away, the database.",
	}, []string{"question", "source"})
	if registry != nil {
		if err := registry.Register(answers); err != nil {
			return nil, fmt.Errorf("register the metrics of sessions: %w", err)
		}
	}
	return answers, nil
}

func (m *metrics) login(from door, w way, err error) {
	outcome := "accepted"
	switch {
	case err == nil:
	case fleet.CodeOf(err) == fleet.CodeUnauthenticated:
		outcome = "refused"
	default:
		outcome = "unavailable"
	}
	m.logins.WithLabelValues(string(from), string(w), outcome).Inc()
}
