// Package load drives an MQTT 5 broker as hard as it will go and measures what
// it acknowledges. It knows nothing of the hub but the contract and can be
// aimed at any broker.
//
// What is measured is the broker, so the generator is cheap: it writes PUBLISH
// packets into a buffer of its own, as many as the window allows in one system
// call, and reads the acknowledgements a buffer at a time. Nothing is allocated
// for a message.
package load

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"armora/sim/latency"
	"armora/sim/wire"
)

// Credential is what one connection logs in with.
type Credential struct {
	Username string
	Password string
}

// Target is the broker and how to log in to it.
type Target struct {
	Broker      string       // host:port
	Connections int          // how many to open
	Credentials []Credential // one for each connection, at least; none: anonymous
	// ClientID begins the client id of anonymous connections, which goes on
	// with a number; "" is "load-". With credentials, the id is the user name.
	ClientID  string
	KeepAlive uint16        // seconds; 0 is 60
	Timeout   time.Duration // for each answer of the broker; 0 is 30 s
}

// Config describes a run.
type Config struct {
	Target
	QoS       byte // 0 or 1
	PerPacket int  // points in a message; 0 is 1
	Encoding  wire.Encoding
	Window    int // messages of one connection that may be unanswered; 0 is 64; QoS 1 only
	// Points ends the run after so many in all, Duration after so long. The
	// first to be reached counts; one at least must be set.
	Points   int64
	Duration time.Duration
	// Rate holds the run to so many points a second in all; 0 is as fast as it
	// goes. A connection then sends its messages a window at a time, as it does
	// when nothing but the broker's answers holds it back.
	Rate float64
	// Started is called when every connection is open and publishing begins; it
	// may be nil.
	Started func()
	// Topic is where to publish; {username} and {clientid} stand for the
	// connection's own. "" is the hub's, v1/devices/{username}/points.
	Topic string
}

// Result is what a run did. The clock runs from the first publish until the
// last answer: with QoS 0, until the broker has answered a ping on every
// connection after the last publish.
type Result struct {
	Connections  int     `json:"connections"`
	QoS          byte    `json:"qos"`
	PerPacket    int     `json:"points_per_message"`
	Encoding     string  `json:"encoding"`
	Sent         int64   `json:"points_sent"`
	Acknowledged int64   `json:"points_acknowledged"` // answered with success; QoS 0: followed by an answered ping
	Rejected     int64   `json:"points_rejected"`     // answered with a failure code
	Unanswered   int64   `json:"points_unanswered"`   // sent, then the connection failed
	Bytes        int64   `json:"payload_bytes"`
	Errors       int     `json:"errors"` // connections that failed
	FirstError   string  `json:"first_error,omitempty"`
	Connecting   float64 `json:"connecting_seconds"` // to open all connections, before the clock ran
	Seconds      float64 `json:"seconds"`
	Rate         float64 `json:"points_per_second"` // acknowledged
	CPU          float64 `json:"cpu_seconds"`       // of the generator's own process while the clock ran
	P50          float64 `json:"p50_ms"`            // from write to PUBACK; QoS 1 only
	P90          float64 `json:"p90_ms"`
	P99          float64 `json:"p99_ms"`
	P999         float64 `json:"p999_ms"`
	Max          float64 `json:"max_ms"`
}

// MaxWindow is the most that Config.Window may be.
const MaxWindow = 65_535

func (cfg *Config) check() error {
	cfg.PerPacket = max(cfg.PerPacket, 1)
	if cfg.Window <= 0 {
		cfg.Window = 64
	}
	if cfg.Topic == "" {
		cfg.Topic = "v1/devices/{username}/points"
	}
	switch {
	case cfg.QoS > 1:
		return fmt.Errorf("load: QoS %d: only 0 and 1 are measured", cfg.QoS)
	case cfg.Window > MaxWindow:
		return fmt.Errorf("load: window %d is more than the %d packet ids there are", cfg.Window, MaxWindow)
	case cfg.Rate < 0:
		return fmt.Errorf("load: rate %v is negative", cfg.Rate)
	case cfg.Points <= 0 && cfg.Duration <= 0:
		return errors.New("load: neither points nor a duration is set")
	}
	return cfg.Target.check()
}

func (t *Target) check() error {
	if t.ClientID == "" {
		t.ClientID = "load-"
	}
	if t.KeepAlive == 0 {
		t.KeepAlive = 60
	}
	if t.Timeout <= 0 {
		t.Timeout = 30 * time.Second
	}
	if t.Connections <= 0 {
		return errors.New("load: no connections")
	}
	if n := len(t.Credentials); n > 0 && n < t.Connections {
		return fmt.Errorf("load: %d credentials for %d connections: each needs its own", n, t.Connections)
	}
	return nil
}

// Run opens the connections, publishes, and waits for the answers. It returns
// an error when the run could not be made; connections that fail under way are
// counted in the result. When ctx ends, it stops publishing and reports what
// was reached.
func Run(ctx context.Context, cfg Config) (Result, error) {
	if err := cfg.check(); err != nil {
		return Result{}, err
	}
	opening := time.Now()
	conns, err := cfg.open(ctx)
	if err != nil {
		return Result{}, err
	}
	r := newRun(&cfg, conns)
	r.result.Connecting = time.Since(opening).Seconds()
	r.publish(ctx)
	return r.finish(), nil
}

// run is the state that the connections of one run share.
type run struct {
	cfg     *Config
	workers []*worker
	left    atomic.Int64 // messages that may still be sent
	pace    pace
	latency latency.Histogram

	sent, acknowledged, rejected, unanswered, bytes atomic.Int64 // in messages, but bytes

	mu     sync.Mutex
	result Result
}

func newRun(cfg *Config, conns []*conn) *run {
	r := &run{cfg: cfg}
	r.left.Store(1 << 62)
	if cfg.Points > 0 {
		r.left.Store((cfg.Points + int64(cfg.PerPacket) - 1) / int64(cfg.PerPacket))
	}
	if cfg.Rate > 0 {
		r.pace.each = time.Duration(float64(cfg.PerPacket) / cfg.Rate * float64(time.Second))
		r.pace.most = int64(cfg.Window)
	}
	for i, c := range conns {
		topic := strings.NewReplacer("{username}", c.username, "{clientid}", c.clientID).Replace(cfg.Topic)
		r.workers = append(r.workers, newWorker(r, c, topic, i))
	}
	return r
}

// publish runs every connection to its end.
func (r *run) publish(ctx context.Context) {
	if r.cfg.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.cfg.Duration)
		defer cancel()
	}
	if r.cfg.Started != nil {
		r.cfg.Started()
	}
	cpu, began := cpuTime(), time.Now()
	r.pace.began = began
	var working sync.WaitGroup
	for _, w := range r.workers {
		working.Go(func() { r.failed(w.work(ctx)) })
	}
	working.Wait()
	r.result.Seconds = time.Since(began).Seconds()
	r.result.CPU = (cpuTime() - cpu).Seconds()
}

func (r *run) failed(err error) {
	if err == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.result.Errors++; r.result.FirstError == "" {
		r.result.FirstError = err.Error()
	}
}

func (r *run) finish() Result {
	each := int64(r.cfg.PerPacket)
	s := &r.result
	s.Connections, s.QoS, s.PerPacket, s.Encoding = len(r.workers), r.cfg.QoS, r.cfg.PerPacket, r.cfg.Encoding.String()
	s.Sent, s.Acknowledged = r.sent.Load()*each, r.acknowledged.Load()*each
	s.Rejected, s.Unanswered, s.Bytes = r.rejected.Load()*each, r.unanswered.Load()*each, r.bytes.Load()
	if s.Seconds > 0 {
		s.Rate = float64(s.Acknowledged) / s.Seconds
	}
	ms := func(q float64) float64 { return float64(r.latency.Quantile(q)) / float64(time.Millisecond) }
	s.P50, s.P90, s.P99, s.P999, s.Max = ms(0.5), ms(0.9), ms(0.99), ms(0.999), ms(1)
	return *s
}

// cpuTime returns the user and system time that this process has used.
func cpuTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
