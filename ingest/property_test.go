package ingest

import (
	"fmt"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"armora/fleet"
)

// sender is a device that sends a message again until it is acknowledged.
type sender struct {
	from     *fleet.Identity
	messages [][]fleet.Point
	pending  map[int]*ticket // by index of message; of the last time that it was sent
}

// scenario is a hub that fails in many ways, before senders that don't give up.
type scenario struct {
	store   *memory
	senders []*sender

	mu     sync.Mutex
	plan   []int // outcomes of the next commits; then all succeed
	faults []string
}

const (
	succeed = iota
	failBefore
	failAfter
)

// poison is a position that the database refuses.
func poison(p *fleet.Point) bool { return p.Lon == 13 }

func (s *scenario) draw() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.plan) == 0 {
		return succeed
	}
	next := s.plan[0]
	s.plan = s.plan[1:]
	return next
}

func (s *scenario) fault(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

func newScenario(t *rapid.T) *scenario {
	s := &scenario{store: newMemory(), plan: rapid.SliceOfN(rapid.IntRange(succeed, failAfter), 0, 20).Draw(t, "outcomes")}
	s.store.before = func(points []fleet.Point) error {
		for i := range points {
			if poison(&points[i]) {
				return errBadRow
			}
		}
		switch s.draw() {
		case failBefore:
			return errAway
		case failAfter:
			s.store.keep(points)
			return errOutcomeUnknown
		}
		return nil
	}
	for range 3 {
		s.senders = append(s.senders, &sender{from: phone(), pending: make(map[int]*ticket)})
	}
	return s
}

// keep stores points as Insert does.
func (s *memory) keep(points []fleet.Point) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range points {
		if _, known := s.points[p.Key()]; !known {
			s.points[p.Key()] = p
		}
	}
}

// send sends a message of d, and looks when it is acknowledged whether all that
// it says is on disk.
func (s *scenario) send(p *Pipeline, d *sender, message int) {
	k, points := newTicket(), d.messages[message]
	k.onNil = func() {
		for _, point := range points {
			point.Device = d.from.Device
			if !poison(&point) && !s.store.has(point.Key()) {
				s.fault("acknowledged and not stored: %v", point.Key())
			}
		}
	}
	d.pending[message] = k
	p.Receive(Message{From: d.from, Topic: "v1/devices/x/points", Payload: payload(points...), Received: at(100), Ack: k})
}

// collect waits for all acks; what was refused stays pending.
func (s *scenario) collect(t *rapid.T, tb testing.TB) {
	t.Helper()
	for _, d := range s.senders {
		for message, k := range d.pending {
			if k.outcome(tb) == nil {
				delete(d.pending, message)
			}
		}
	}
}

// anyPoint draws from few times and places, so that many are repeats, are out
// of order, share a stamp, or jump.
func anyPoint(t *rapid.T) fleet.Point {
	p := fix(float64(rapid.IntRange(0, 12).Draw(t, "second")), 500*float64(rapid.IntRange(0, 3).Draw(t, "place")))
	switch rapid.IntRange(0, 11).Draw(t, "oddity") {
	case 0:
		p.Lat, p.Lon = 0, 0
	case 1:
		p.Lon = 13 // poison
	case 2:
		p.Fix = 1
	}
	return p
}

// What is acknowledged is stored, everything is stored in the end, and the
// figures add up, whatever the store does and whenever the hub stops.
func TestAcknowledgedMeansStored(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := newScenario(rt)
		for life := range rapid.IntRange(1, 3).Draw(rt, "lives") {
			c := config(s.store, eager())
			c.BatchSize = rapid.IntRange(1, 6).Draw(rt, "batch size")
			p, err := New(c)
			if err != nil {
				rt.Fatal(err)
			}
			p.Open()
			for _, d := range s.senders { // what the last life left
				for message := range d.pending {
					s.send(p, d, message)
				}
			}
			for range rapid.IntRange(1, 15).Draw(rt, "messages") {
				d := s.senders[rapid.IntRange(0, 2).Draw(rt, "sender")]
				points := make([]fleet.Point, rapid.IntRange(1, 4).Draw(rt, "points"))
				for i := range points {
					points[i] = anyPoint(rt)
				}
				d.messages = append(d.messages, points)
				s.send(p, d, len(d.messages)-1)
			}
			if rapid.Bool().Draw(rt, "drained") {
				mustDrain(t, p)
				s.checkFigures(rt, p, life)
			}
			p.Close()
			s.collect(rt, t)
		}
		s.finish(rt, t)
	})
}

// finish lets everything that is not acknowledged be sent once more, to a hub
// that works, and compares what is stored with what was ever sent.
func (s *scenario) finish(rt *rapid.T, tb testing.TB) {
	rt.Helper()
	s.mu.Lock()
	s.plan = nil
	s.mu.Unlock()
	p, err := New(config(s.store, eager()))
	if err != nil {
		rt.Fatal(err)
	}
	p.Open()
	want := make(map[fleet.PointKey]bool)
	for _, d := range s.senders {
		for message := range d.pending {
			s.send(p, d, message)
		}
		for _, points := range d.messages {
			for _, point := range points {
				if point.Device = d.from.Device; !poison(&point) {
					want[point.Key()] = true
				}
			}
		}
	}
	mustDrain(tb, p)
	p.Close()
	s.collect(rt, tb)
	for _, d := range s.senders {
		if len(d.pending) > 0 {
			rt.Fatalf("%d messages were never acknowledged", len(d.pending))
		}
	}
	for k := range want {
		if !s.store.has(k) {
			rt.Errorf("never stored: %v", k)
		}
	}
	if s.store.count() != len(want) {
		rt.Errorf("%d points stored, %d sent", s.store.count(), len(want))
	}
	for _, fault := range s.faults {
		rt.Error(fault)
	}
}

// checkFigures looks at a pipeline that has nothing left to do.
func (s *scenario) checkFigures(rt *rapid.T, p *Pipeline, life int) {
	rt.Helper()
	got := p.Stats()
	if got.Stored+got.Repeats+p.count.refused.Load() != got.Points || got.Queued != 0 {
		rt.Errorf("life %d: the figures do not add up: %+v, %d refused", life, got, p.count.refused.Load())
	}
	if got.Acked != got.Messages {
		rt.Errorf("life %d: %d of %d messages acknowledged", life, got.Acked, got.Messages)
	}
	if n := len(p.queue.inflight); n != 0 {
		rt.Errorf("life %d: %d batches in flight", life, n)
	}
}
