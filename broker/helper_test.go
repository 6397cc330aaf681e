package broker

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"armora/fleet"
)

func TestMain(m *testing.M) {
	if args := os.Getenv("ARMORA_BROKER_HELPER"); args != "" { // a benchmark's clients
		if err := helper(strings.Fields(args)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for what must happen. No test measures it.
const patience = 20 * time.Second

// hub is a broker with everything around it in memory.
type hub struct {
	*Broker
	t        *testing.T
	auth     *memoryAuth
	sessions *memorySessions
	outbox   *memoryOutbox
	points   *recorder
	clock    *fleet.ManualClock
	registry *prometheus.Registry

	closeFails bool // closing is expected to run out of time
}

// newHub opens a broker on TCP and closes it when the test ends.
func newHub(t *testing.T, change ...func(*Config)) *hub {
	t.Helper()
	clock := fleet.NewManualClock(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
	h := &hub{
		t: t, clock: clock,
		auth:     &memoryAuth{known: make(map[string]fleet.Identity)},
		sessions: &memorySessions{kept: make(map[string]fleet.Session)},
		outbox:   &memoryOutbox{clock: clock, changed: make(chan struct{}, 1024)},
		points:   &recorder{got: make(chan Message, 1<<16)},
	}
	h.reopen(change...)
	return h
}

// reopen makes a new broker around the same stores, as a restart of the hub
// does.
func (h *hub) reopen(change ...func(*Config)) {
	h.t.Helper()
	h.registry = prometheus.NewRegistry()
	cfg := Config{
		TCPAddr: "127.0.0.1:0", Limits: DefaultLimits(),
		Auth: h.auth, Sessions: h.sessions, Outbox: h.outbox,
		Routes: []Route{
			{Template: "v1/devices/{device}/points", Receiver: h.points},
			{Template: "v1/devices/{device}/status", Receiver: h.points},
			{Template: "v1/devices/{device}/events", Receiver: h.points},
		},
		Clock: h.clock, Metrics: h.registry,
	}
	for _, f := range change {
		f(&cfg)
	}
	b, err := New(cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := b.Open(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	h.Broker = b
	h.t.Cleanup(func() { h.shut(b) })
}

func (h *hub) shut(b *Broker) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.Close(ctx); err != nil && !h.closeFails {
		h.t.Errorf("close: %v", err)
	}
}

// device makes a device that may log in with its id as both name and password.
func (h *hub) device() fleet.DeviceID {
	id := fleet.NewID[fleet.Device]()
	h.auth.set(id.String(), fleet.Identity{Device: id, Credential: fleet.NewID[fleet.Credential]()})
	return id
}

// metric returns the value of a counter or gauge, summed over labels that
// match.
func (h *hub) metric(name string, labels ...string) float64 {
	h.t.Helper()
	families, err := h.registry.Gather()
	if err != nil {
		h.t.Fatal(err)
	}
	var sum float64
	for _, f := range families {
		if f.GetName() != "armora_broker_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			match := true
			for _, want := range labels {
				match = match && slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetValue() == want })
			}
			if match {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// eventually waits until ok, which has no signal to wait for.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick, deadline := time.NewTicker(time.Millisecond), time.After(patience)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

// memoryAuth knows identities by user name; the password is the user name.
type memoryAuth struct {
	mu    sync.Mutex
	known map[string]fleet.Identity
	err   error                              // what every login gets
	hold  func(context.Context, fleet.Login) // called before the answer
}

func (a *memoryAuth) set(name string, id fleet.Identity) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known[name] = id
}

func (a *memoryAuth) Authenticate(ctx context.Context, login fleet.Login) (fleet.Identity, error) {
	a.mu.Lock()
	id, ok := a.known[login.Username]
	err, hold := a.err, a.hold
	a.mu.Unlock()
	if hold != nil {
		hold(ctx, login)
	}
	if err != nil {
		return fleet.Identity{}, err
	}
	if !ok || login.Password != login.Username {
		return fleet.Identity{}, &fleet.Error{Code: fleet.CodeUnauthenticated, Message: "who?"}
	}
	return id, nil
}

// memorySessions is a store that can be away.
type memorySessions struct {
	mu     sync.Mutex
	kept   map[string]fleet.Session
	writes int
	away   bool
}

var errAway = &fleet.Error{Code: fleet.CodeUnavailable, Message: "the store is away"}

func (s *memorySessions) setAway(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

func (s *memorySessions) Load(context.Context) ([]fleet.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []fleet.Session
	for _, f := range s.kept {
		all = append(all, f)
	}
	return all, nil
}

func (s *memorySessions) Save(_ context.Context, f fleet.Session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errAway
	}
	s.writes++
	s.kept[f.ClientID] = f
	return nil
}

func (s *memorySessions) Delete(_ context.Context, clientID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errAway
	}
	s.writes++
	delete(s.kept, clientID)
	return nil
}

func (s *memorySessions) get(clientID string) (fleet.Session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.kept[clientID]
	return f, ok
}

func (s *memorySessions) written() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// memoryOutbox is an outbox that can be away.
type memoryOutbox struct {
	clock   fleet.Clock
	changed chan struct{} // gets a value for each acknowledgement

	mu       sync.Mutex
	commands []fleet.Command
	away     bool
}

func (o *memoryOutbox) add(device fleet.DeviceID, n int, expires time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for range n {
		o.commands = append(o.commands, fleet.Command{
			Device: device, Seq: int64(len(o.commands) + 1), Kind: "test", Created: o.clock.Now(), Expires: expires,
		})
	}
}

func (o *memoryOutbox) Pending(_ context.Context, device fleet.DeviceID, after int64, limit int) ([]fleet.Command, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.away {
		return nil, errAway
	}
	var pending []fleet.Command
	for _, c := range o.commands {
		if c.Device == device && c.Seq > after && c.Acked.IsZero() && c.Expires.After(o.clock.Now()) && len(pending) < limit {
			pending = append(pending, c)
		}
	}
	return pending, nil
}

func (o *memoryOutbox) Acknowledge(_ context.Context, device fleet.DeviceID, seq int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.away {
		return errAway
	}
	i := slices.IndexFunc(o.commands, func(c fleet.Command) bool { return c.Device == device && c.Seq == seq })
	if i < 0 {
		return &fleet.Error{Code: fleet.CodeNotFound, Message: "no such command"}
	}
	o.commands[i].Acked = o.clock.Now()
	o.changed <- struct{}{}
	return nil
}

// recorder keeps what it receives. It resolves nothing by itself unless told.
type recorder struct {
	got     chan Message
	resolve bool
}

func (r *recorder) Receive(m Message) {
	r.got <- m
	if r.resolve {
		m.Ack.Resolve(nil)
		m.Ack.Flush()
	}
}

// next returns the next message.
func (r *recorder) next(t *testing.T) Message {
	t.Helper()
	select {
	case m := <-r.got:
		return m
	case <-time.After(patience):
		t.Fatal("no message was received")
		panic("unreachable")
	}
}
