package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"armora/fleet"
)

// start is where the clocks of the tests stand: a whole second.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// at returns the moment so many seconds after start.
func at(seconds float64) fleet.Millis { return fleet.MillisOf(start) + fleet.Millis(seconds*1000) }

// eagerClock makes every wait over at once, by stepping to its end.
type eagerClock struct{ *fleet.ManualClock }

func (c eagerClock) NewTimer(d time.Duration) (<-chan time.Time, func() bool) {
	fired, stop := c.ManualClock.NewTimer(d)
	c.Advance(d)
	return fired, stop
}

// memory is a store that can be told to fail.
type memory struct {
	// before is called first, and fails the commit when it fails; after is
	// called once the points are stored, and hides that when it fails.
	before, after func(points []fleet.Point) error

	mu      sync.Mutex
	points  map[fleet.PointKey]fleet.Point
	letters []fleet.DeadLetter
	inserts int
}

var (
	errAway   = &fleet.Error{Code: fleet.CodeUnavailable, Message: "the database is away"}
	errBadRow = &fleet.Error{Code: fleet.CodeInvalid, Message: "value out of range"}
)

func newMemory() *memory { return &memory{points: make(map[fleet.PointKey]fleet.Point)} }

func (s *memory) Insert(_ context.Context, points []fleet.Point) (stored int, err error) {
	if s.before != nil {
		if err := s.before(points); err != nil {
			return 0, err
		}
	}
	s.mu.Lock()
	s.inserts++
	for _, p := range points {
		if _, known := s.points[p.Key()]; !known {
			s.points[p.Key()] = p
			stored++
		}
	}
	s.mu.Unlock()
	if s.after != nil {
		if err := s.after(points); err != nil {
			return 0, err
		}
	}
	return stored, nil
}

func (s *memory) Add(_ context.Context, letters []fleet.DeadLetter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.letters = append(s.letters, letters...)
	return nil
}

func (s *memory) has(k fleet.PointKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.points[k]
	return known
}

func (s *memory) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.points)
}

func (s *memory) buried() []fleet.DeadLetter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]fleet.DeadLetter(nil), s.letters...)
}

// ticket is an ack that remembers its outcome.
type ticket struct {
	resolved chan error // takes one; a second would block for ever
	flushed  chan struct{}
	onNil    func() // called when the ack says yes
	room     error  // what Weigh answers
	weight   int    // what it was last told
}

func newTicket() *ticket {
	return &ticket{resolved: make(chan error, 1), flushed: make(chan struct{}, 1)}
}

func (k *ticket) Weigh(bytes int) error {
	k.weight = bytes
	return k.room
}

func (k *ticket) Resolve(err error) {
	if err == nil && k.onNil != nil {
		k.onNil()
	}
	select {
	case k.resolved <- err:
	default:
		panic("an ack was resolved twice")
	}
}

func (k *ticket) Refuse(why error) { k.Resolve(&refused{why}) }

// refused is the outcome of a message that was refused.
type refused struct{ error }

func (k *ticket) Flush() { close(k.flushed) }

// outcome waits for the ack and returns what it was resolved with.
func (k *ticket) outcome(t testing.TB) error {
	t.Helper()
	select {
	case <-k.flushed:
		return <-k.resolved
	case <-time.After(20 * time.Second):
		t.Fatal("no acknowledgement")
		return nil
	}
}

// pending reports that the ack is not resolved.
func (k *ticket) pending() bool { return len(k.resolved) == 0 }

func config(s *memory, clock fleet.Clock) Config {
	return Config{Store: s, DeadLetters: s, Clock: clock, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

// running returns an open pipeline over s that ends with the test.
func running(t testing.TB, c Config) *Pipeline {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	p.Open()
	t.Cleanup(p.Close)
	return p
}

func eager() eagerClock { return eagerClock{fleet.NewManualClock(start)} }

func phone() *fleet.Identity {
	return &fleet.Identity{Device: fleet.NewID[fleet.Device](), Kind: fleet.Phone, Format: fleet.FormatJSON}
}

// fix is a good fix in London, so many seconds after start and metres north.
func fix(seconds, metres float64) fleet.Point {
	p := fleet.NewPoint(at(seconds), 51.5+metres/111195, -0.12)
	p.Accuracy = 5
	return p
}

// native writes points in the native JSON.
func payload(points ...fleet.Point) []byte {
	var b strings.Builder
	b.WriteByte('[')
	for i, p := range points {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"t":%d,"lat":%.7f,"lon":%.7f`, p.Fix, p.Lat, p.Lon)
		if p.Sent != 0 {
			fmt.Fprintf(&b, `,"st":%d`, p.Sent)
		}
		if fleet.Known(p.Accuracy) {
			fmt.Fprintf(&b, `,"acc":%g`, p.Accuracy)
		}
		if p.Flags&fleet.FlagMock != 0 {
			b.WriteString(`,"mock":true`)
		}
		b.WriteByte('}')
	}
	b.WriteByte(']')
	return []byte(b.String())
}

// send hands a message with points to p, received as the last of them is fixed.
func send(p *Pipeline, from *fleet.Identity, points ...fleet.Point) *ticket {
	return deliver(p, from, "v1/devices/x/points", payload(points...), points[len(points)-1].Fix)
}

func deliver(p *Pipeline, from *fleet.Identity, topic string, body []byte, received fleet.Millis) *ticket {
	k := newTicket()
	p.Receive(Message{From: from, Topic: topic, Payload: body, Received: received, Ack: k})
	return k
}

func mustDrain(t testing.TB, p *Pipeline) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := p.Drain(ctx); err != nil {
		t.Fatalf("drain: %v", err)
	}
}

func mustAck(t testing.TB, tickets ...*ticket) {
	t.Helper()
	for i, k := range tickets {
		if err := k.outcome(t); err != nil {
			t.Fatalf("message %d was not acknowledged: %v", i, err)
		}
	}
}

var errOutcomeUnknown = errors.New("connection reset")

// each makes a Config.Move of what is to be done with one.
func each(do func(Move)) func([]Move) {
	return func(moves []Move) {
		for _, m := range moves {
			do(m)
		}
	}
}
