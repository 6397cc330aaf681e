package broker

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the broker's collectors.
type metrics struct {
	accepts     *prometheus.CounterVec // by listener
	refusals    *prometheus.CounterVec // by reason
	connections *prometheus.GaugeVec   // by listener, authenticated or not
	disconnects *prometheus.CounterVec // by reason
	messages    [3]prometheus.Counter  // by QoS
	dropped     *prometheus.CounterVec // by reason
	acks        prometheus.Counter
	writes      prometheus.Counter
	throttled   prometheus.Counter
	wills       *prometheus.CounterVec // by outcome
	outbox      *prometheus.CounterVec // by outcome
	saves       prometheus.Counter
	storeErrors *prometheus.CounterVec // by what was to be stored or read
	panics      prometheus.Counter
}

func newMetrics(b *Broker, reg prometheus.Registerer) *metrics {
	var all []prometheus.Collector
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "armora_broker_" + name + "_total", Help: help}, labels)
		all = append(all, v)
		return v
	}
	gauge := func(name, help string, value func() float64) {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "armora_broker_" + name, Help: help}, value))
	}
	m := &metrics{
		accepts:     counters("accepts", "Sockets accepted and admitted.", "listener"),
		refusals:    counters("refusals", "Sockets and logins refused.", "reason"),
		disconnects: counters("disconnects", "Connections that ended.", "reason"),
		dropped:     counters("dropped", "Messages and subscriptions not taken.", "reason"),
		acks:        counters("acks", "PUBACK and PUBREC packets made due.").WithLabelValues(),
		writes:      counters("writes", "Writes to sockets.").WithLabelValues(),
		throttled:   counters("throttled", "Packets read later because their device sends too many.").WithLabelValues(),
		wills:       counters("wills", "Wills by outcome.", "outcome"),
		outbox:      counters("outbox", "Commands sent to devices and acknowledged by them.", "outcome"),
		saves:       counters("session_saves", "Sessions written to the store or deleted from it.").WithLabelValues(),
		storeErrors: counters("store_errors", "Failed calls to the store; they are tried again.", "what"),
		panics:      counters("panics", "Connections that ended in a panic.").WithLabelValues(),
	}
	messages := counters("messages", "PUBLISH packets received.", "qos")
	for qos := range m.messages {
		m.messages[qos] = messages.WithLabelValues(string(rune('0' + qos)))
	}
	m.connections = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "armora_broker_connections", Help: "Open connections, authenticated or not.",
	}, []string{"listener"})
	all = append(all, m.connections)
	gauge("inflight_bytes", "Bytes that receivers keep of messages not yet resolved, with 256 bytes of overhead a message.",
		func() float64 { return float64(b.inflight.Load()) })
	gauge("sessions", "MQTT sessions, connected or not.", func() float64 { return float64(b.sessions.count()) })
	if reg != nil {
		reg.MustRegister(all...)
	}
	return m
}
