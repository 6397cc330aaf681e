package ingest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"armora/fleet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gate is a store's hook that stops every commit until it is told how it ends.
type gate struct {
	reached chan []fleet.Point
	outcome chan error
}

func newGate() *gate {
	return &gate{reached: make(chan []fleet.Point), outcome: make(chan error)}
}

func (g *gate) pass(points []fleet.Point) error {
	g.reached <- slices.Clone(points)
	return <-g.outcome
}

func TestAckFollowsTheCommit(t *testing.T) {
	t.Parallel()
	s, g := newMemory(), newGate()
	s.before = g.pass
	p := running(t, config(s, eager()))
	k := send(p, phone(), fix(0, 0), fix(1, 10))
	if points := <-g.reached; len(points) != 2 {
		t.Fatalf("the commit has %d points", len(points))
	}
	if !k.pending() {
		t.Fatal("acknowledged before the commit")
	}
	g.outcome <- nil
	mustAck(t, k)
	if s.count() != 2 {
		t.Errorf("%d points stored", s.count())
	}
	if got := p.Stats(); got.Messages != 1 || got.Points != 2 || got.Stored != 2 || got.Acked != 1 || got.Queued != 0 {
		t.Errorf("stats %+v", got)
	}
}

func TestRepeatMeetsItsUncommittedCopy(t *testing.T) {
	t.Parallel()
	s, g, from := newMemory(), newGate(), phone()
	s.before = func(points []fleet.Point) error {
		if points[0].Device == from.Device {
			return g.pass(points)
		}
		return nil
	}
	p := running(t, config(s, eager()))
	// Whatever was let into the queue before another's message is settled, bar
	// the commit at the gate, when that message is acknowledged.
	othersPass := func() { mustAck(t, send(p, phone(), fix(0, 0))) }
	first := send(p, from, fix(0, 0))
	<-g.reached
	again := send(p, from, fix(0, 0))
	othersPass()
	if !again.pending() {
		t.Fatal("the repeat was acknowledged before its first copy was committed")
	}
	g.outcome <- errAway // tried again, with the same result for both
	<-g.reached
	othersPass()
	if !first.pending() || !again.pending() {
		t.Fatal("acknowledged by a commit that failed")
	}
	g.outcome <- nil
	mustAck(t, first, again)
	if s.count() != 3 || s.inserts != 3 || p.Stats().Repeats != 1 {
		t.Errorf("%d points stored in %d commits, stats %+v", s.count(), s.inserts, p.Stats())
	}
	// Committed now: the repeat waits for nothing but its turn.
	mustAck(t, send(p, from, fix(0, 0), fix(0, 0)))
	if s.inserts != 3 {
		t.Error("a repeat of what is stored made a commit")
	}
}

// A message that holds new points, repeats that wait and repeats that are
// stored is acknowledged by the last of its commits.
func TestMessageWaitsForAllItsCommits(t *testing.T) {
	t.Parallel()
	s, g := newMemory(), newGate()
	s.before = g.pass
	c := config(s, eager())
	c.BatchSize = 1
	p := running(t, c)
	from := phone()
	mustBegin := func(k *ticket) *ticket { <-g.reached; return k }
	one := mustBegin(send(p, from, fix(1, 0)))
	two := mustBegin(send(p, from, fix(2, 0)))
	both := send(p, from, fix(1, 0), fix(2, 0), fix(3, 0)) // its own batch waits for a worker
	g.outcome <- nil
	<-g.reached // of the third batch
	if !both.pending() {
		t.Fatal("acknowledged by one commit of three")
	}
	g.outcome <- nil
	g.outcome <- nil
	mustAck(t, one, two, both)
	if s.count() != 3 {
		t.Errorf("%d points stored", s.count())
	}
}

func TestBatchThatIsDroppedTakesItsKeysOut(t *testing.T) {
	t.Parallel()
	s := newMemory()
	stuck := make(chan struct{}, 1)
	s.before = func([]fleet.Point) error {
		select {
		case stuck <- struct{}{}:
		default:
		}
		return errAway
	}
	p := running(t, config(s, fleet.SystemClock{}))
	from := phone()
	first := send(p, from, fix(0, 0))
	<-stuck
	again, behind := send(p, from, fix(0, 0)), send(p, from, fix(1, 0))
	p.Close()
	for i, k := range []*ticket{first, again, behind} {
		if err := k.outcome(t); !errors.Is(err, ErrClosed) || fleet.CodeOf(err) != fleet.CodeUnavailable {
			t.Errorf("message %d: %v, want ErrClosed", i, err)
		}
	}
	for _, point := range []fleet.Point{fix(0, 0), fix(1, 0)} {
		point.Device = from.Device
		sh := p.shard(from.Device)
		if _, found := sh.window.find(sh.device(from.Device).key(&point)); found {
			t.Error("a point that was not stored is still taken for known")
		}
	}
	if late := send(p, from, fix(2, 0)); !errors.Is(late.outcome(t), ErrClosed) {
		t.Error("a message after Close was not refused")
	}
	p.Close()
}

// All acks of a commit are resolved before the first is flushed.
func TestOneWriteForACommit(t *testing.T) {
	t.Parallel()
	s, g := newMemory(), newGate()
	s.before = g.pass
	p := running(t, config(s, eager()))
	from := phone()
	send(p, from, fix(0, 0))
	<-g.reached
	other := send(p, from, fix(1, 0)) // occupies the other worker
	<-g.reached
	var resolved, early atomic.Int32
	var flushed sync.WaitGroup
	const many = 50
	for i := range many {
		flushed.Add(1)
		k := &counted{resolve: func() { resolved.Add(1) }, flush: func() {
			if resolved.Load() != many {
				early.Add(1)
			}
			flushed.Done()
		}}
		p.Receive(Message{From: from, Topic: "v1/devices/x/points", Payload: payload(fix(float64(2+i), 0)), Received: at(60), Ack: k})
	}
	g.outcome <- nil
	g.outcome <- nil
	<-g.reached
	g.outcome <- nil
	mustAck(t, other)
	flushed.Wait()
	if early.Load() != 0 {
		t.Errorf("%d acks were flushed before all were resolved", early.Load())
	}
}

// A backlog that is told again is acknowledged in few writes as well.
func TestStoredRepeatsShareAWrite(t *testing.T) {
	t.Parallel()
	s, clock := newMemory(), fleet.NewManualClock(start) // lingers for ever
	p := running(t, config(s, clock))
	from := phone()
	var backlog []*ticket
	for i := range 20 {
		backlog = append(backlog, send(p, from, fix(float64(i), 0)))
	}
	mustDrain(t, p)
	mustAck(t, backlog...)
	for i := range backlog {
		backlog[i] = send(p, from, fix(float64(i), 0))
	}
	for i, k := range backlog {
		if !k.pending() {
			t.Fatalf("repeat %d was acknowledged in a write of its own", i)
		}
	}
	mustDrain(t, p)
	mustAck(t, backlog...)
	if s.inserts != 1 {
		t.Errorf("%d commits, the repeats took some", s.inserts)
	}
}

// A message waits once for a batch, however many of its points are in it.
func TestManyRepeatsOfOneBatchWaitOnce(t *testing.T) {
	t.Parallel()
	p := running(t, config(newMemory(), fleet.NewManualClock(start)))
	from := phone()
	message := make([]fleet.Point, 100)
	for i := range message {
		message[i] = fix(float64(i), 0)
	}
	first, again := send(p, from, message...), send(p, from, message...)
	if n := len(p.queue.open.waiting); n != 2 {
		t.Errorf("two messages wait %d times", n)
	}
	mustDrain(t, p)
	mustAck(t, first, again)
}

type counted struct{ resolve, flush func() }

func (c *counted) Weigh(int) error { return nil }
func (c *counted) Resolve(error)   { c.resolve() }
func (c *counted) Refuse(error)    { c.resolve() }
func (c *counted) Flush()          { c.flush() }

func TestOneBadRowInABatch(t *testing.T) {
	t.Parallel()
	s := newMemory()
	s.before = func(points []fleet.Point) error {
		for i := range points {
			if points[i].Fix == at(77) {
				return errBadRow
			}
		}
		return nil
	}
	p := running(t, config(s, eager()))
	from := phone()
	points := make([]fleet.Point, 0, 200)
	for i := range 200 {
		points = append(points, fix(float64(i), 0))
	}
	k := send(p, from, points...)
	mustAck(t, k)
	letters := s.buried()
	if s.count() != 199 || len(letters) != 1 {
		t.Fatalf("%d points stored and %d dead letters, want 199 and 1", s.count(), len(letters))
	}
	if l := letters[0]; l.Device != from.Device || l.Reason == "" || len(l.Payload) == 0 {
		t.Errorf("dead letter %+v", l)
	}
	// It was not stored, so that it is not known either.
	mustAck(t, send(p, from, fix(77, 0)))
	if len(s.buried()) != 2 {
		t.Error("a refused point that came again was taken for stored")
	}
}

func TestUnknownOutcomeIsTriedAgainAndStoredOnce(t *testing.T) {
	t.Parallel()
	s := newMemory()
	var failures atomic.Int32
	s.after = func([]fleet.Point) error {
		if failures.Add(1) <= 3 {
			return errOutcomeUnknown
		}
		return nil
	}
	p := running(t, config(s, eager()))
	mustAck(t, send(p, phone(), fix(0, 0), fix(1, 0)))
	if got := p.Stats(); s.count() != 2 || got.Retries != 3 || got.Stored+got.Repeats != 2 {
		t.Errorf("%d points stored, stats %+v", s.count(), got)
	}
}

func TestUndecodableIsADeadLetterAndThenAcknowledged(t *testing.T) {
	t.Parallel()
	s := newMemory()
	p := running(t, config(s, eager()))
	from := phone()
	k := newTicket()
	k.onNil = func() {
		if len(s.buried()) != 1 {
			t.Error("acknowledged before the dead letter was stored")
		}
	}
	body := []byte(`{"t":1,"lat":"north"}`)
	p.Receive(Message{From: from, Topic: "v1/devices/x/points", Payload: body, Received: at(0), Ack: k})
	mustAck(t, k)
	l := s.buried()[0]
	if l.Device != from.Device || l.Topic != "v1/devices/x/points" || string(l.Payload) != string(body) ||
		l.Reason == "" || !l.Received.Equal(start) {
		t.Errorf("dead letter %+v", l)
	}
	if s.inserts != 0 {
		t.Error("a message without points made a commit of points")
	}
}

func TestDrainCommitsWithoutLingering(t *testing.T) {
	t.Parallel()
	s := newMemory()
	clock := fleet.NewManualClock(start) // lingers for ever
	p := running(t, config(s, clock))
	k := send(p, phone(), fix(0, 0))
	mustDrain(t, p)
	mustAck(t, k)
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	s.before = func([]fleet.Point) error { return errAway }
	k = send(p, phone(), fix(0, 0))
	if err := p.Drain(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("drain past its deadline: %v", err)
	}
	p.Close()
	if err := k.outcome(t); !errors.Is(err, ErrClosed) {
		t.Errorf("what could not be committed: %v", err)
	}
}

func TestBatchIsSealedBySizeAndByAge(t *testing.T) {
	t.Parallel()
	s := newMemory()
	sizes := make(chan int, 10)
	s.before = func(points []fleet.Point) error { sizes <- len(points); return nil }
	clock := fleet.NewManualClock(start)
	c := config(s, clock)
	c.BatchSize = 4
	p := running(t, c)
	from := phone()
	send(p, from, fix(0, 0), fix(1, 0), fix(2, 0))
	k := send(p, from, fix(3, 0), fix(4, 0)) // does not fit: the first three go
	if n := <-sizes; n != 3 {
		t.Errorf("a batch of %d, want 3", n)
	}
	if !k.pending() {
		t.Error("the open batch did not linger")
	}
	send(p, from, fix(5, 0), fix(6, 0)) // full
	if n := <-sizes; n != 4 {
		t.Errorf("a batch of %d, want 4", n)
	}
	k = send(p, from, fix(7, 0))
	for k.pending() {
		clock.Advance(p.queue.linger)
	}
	if n := <-sizes; n != 1 {
		t.Errorf("a batch of %d, want 1", n)
	}
}

// A device with a broken clock has its points kept apart, and acknowledged.
func TestAThousandOddDates(t *testing.T) {
	t.Parallel()
	s := newMemory()
	p := running(t, config(s, eager()))
	from := phone()
	tickets := make([]*ticket, 0, 1001)
	for i := range 1000 {
		odd := fix(0, 0)
		odd.Fix = fleet.Millis(i+1) * 9_000_000_000 // 104 days apart, from 1970 to 2255
		tickets = append(tickets, deliver(p, from, "v1/devices/x/points", payload(odd), at(0)))
	}
	good := deliver(p, from, "v1/devices/x/points", payload(fix(0, 0)), at(0))
	mustAck(t, append(tickets, good)...)
	var apart int
	for _, point := range s.points {
		outside := point.Fix < at(-30*86400) || point.Fix > at(300)
		if outside != (point.Flags&fleet.FlagQuarantine != 0) {
			t.Fatalf("fix %v: flags %b", point.Fix.Time(), point.Flags)
		}
		if outside {
			apart++
			if point.Verdict == fleet.OK {
				t.Fatalf("fix %v is called ok", point.Fix.Time())
			}
		}
	}
	if len(s.points) != 1001 || apart < 999 {
		t.Errorf("%d points stored, %d apart", len(s.points), apart)
	}
	if stored := s.points[key0(from, fix(0, 0))]; stored.Verdict != fleet.OK || stored.Flags != 0 {
		t.Errorf("the good fix after them: %v, flags %b", stored.Verdict, stored.Flags)
	}
}

// key0 returns the key of p as a point of from.
func key0(from *fleet.Identity, p fleet.Point) fleet.PointKey {
	p.Device = from.Device
	return p.Key()
}
