package ingest

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"armora/fleet"
	"armora/schema"
)

// NoticesConfig is what Notices is made of. All but Metrics is required.
type NoticesConfig struct {
	Statuses    StatusStore
	Events      EventStore
	Duties      DutyStore
	DeadLetters DeadLetters
	Clock       fleet.Clock
	Log         *slog.Logger
	Metrics     prometheus.Registerer
}

// StatusStore keeps the last status of each device.
type StatusStore interface {
	SetStatus(ctx context.Context, s fleet.Status) error
}

// EventStore keeps events. It is idempotent on their device and id.
type EventStore interface {
	Add(ctx context.Context, e fleet.Event) error
}

// Notices takes what devices say besides where they are: their status, events,
// and their officers' duty. An acknowledgement means what it means for points: on disk, or kept
// as a dead letter because it could not be understood.
//
// Those of one device are stored in the order in which they came. How much may
// wait is the broker's to limit, as for points.
type Notices struct {
	config NoticesConfig
	lanes  [noticeLanes]lane
	stored *prometheus.CounterVec

	running sync.WaitGroup
	stop    context.CancelFunc
	opened  sync.Once
	closed  sync.Once
}

const (
	noticeLanes   = 4
	noticeTimeout = 5 * time.Second        // for one try to store one
	noticeRetry   = 500 * time.Millisecond // between two tries
)

// notice is a message that waits to be stored.
type notice struct {
	message Message
	kind    string
	store   func(context.Context) error
	refused func(error) // nil: what is refused is a dead letter, and its sender not told
}

// lane is a queue with one worker.
type lane struct {
	mu      sync.Mutex
	waiting []notice
	busy    bool
	closed  bool
	wake    chan struct{} // holds a token when something waits, or the lane was closed
	idle    *sync.Cond    // on mu: nothing waits and nothing is being stored
}

// NewNotices returns notices that nobody stores yet.
func NewNotices(config NoticesConfig) (*Notices, error) {
	n := &Notices{
		config: config,
		stored: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "armora_ingest_notices_total",
			Help: "What devices say besides where they are, by what became of it.",
		}, []string{"kind", "outcome"}),
	}
	for i := range n.lanes {
		l := &n.lanes[i]
		l.wake, l.idle = make(chan struct{}, 1), sync.NewCond(&l.mu)
	}
	if config.Metrics == nil {
		return n, nil
	}
	return n, config.Metrics.Register(n.stored)
}

// Open starts storing. It is called once.
func (n *Notices) Open() {
	n.opened.Do(func() {
		ctx, stop := context.WithCancel(context.Background())
		n.stop = stop
		for i := range n.lanes {
			n.running.Go(func() { n.run(ctx, &n.lanes[i]) })
		}
	})
}

// Drain returns when everything that was taken in is stored and acknowledged,
// or when ctx is done.
func (n *Notices) Drain(ctx context.Context) error {
	for i := range n.lanes {
		if err := n.lanes[i].drain(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Close stops storing and resolves what is left, and what still comes, with
// ErrClosed.
func (n *Notices) Close() {
	n.closed.Do(func() {
		n.opened.Do(func() { n.stop = func() {} }) // never opened, and never will be
		n.stop()
		n.running.Wait()
		for i := range n.lanes {
			for _, left := range n.lanes[i].close() {
				resolve(left.message.Ack, ErrClosed)
			}
		}
	})
}

// Status takes a message by which a device says how it is.
func (n *Notices) Status(m Message) {
	s, err := parseStatus(m.Payload)
	s.Device, s.Received = m.From.Device, m.Received.Time()
	store := func(ctx context.Context) error { return n.config.Statuses.SetStatus(ctx, s) }
	if err != nil {
		store = misread(err)
	}
	n.put(notice{message: m, kind: "status", store: store})
}

// Event takes a message by which a device says that something happened.
func (n *Notices) Event(m Message) {
	e, err := parseEvent(&m)
	store := func(ctx context.Context) error { return n.config.Events.Add(ctx, e) }
	if err != nil {
		store = misread(err)
	}
	n.put(notice{message: m, kind: "event", store: store})
}

// Hand takes a message that is stored in a way of the caller's own: it is tried
// until it succeeds or is refused for what it holds, and the message acknowledged
// then. What is refused is a dead letter.
func (n *Notices) Hand(m Message, kind string, store func(context.Context) error) {
	n.put(notice{message: m, kind: kind, store: store})
}

// Answer is Hand of a message whose sender is told what becomes of it: what store
// refuses (CodeInvalid, CodeNotFound, CodeForbidden, CodeConflict, CodeTooMany) is
// handed to refused, and its acknowledgement says why. The dead letter holds nothing of
// what it said: it was for somebody else's eyes.
func (n *Notices) Answer(m Message, kind string, store func(context.Context) error, refused func(why error)) {
	n.put(notice{m, kind, store, refused})
}

// misread is a store that refuses: what could not be understood goes the way of
// what the database does not take.
func misread(cause error) func(context.Context) error {
	return func(context.Context) error {
		return &fleet.Error{Code: fleet.CodeInvalid, Message: cause.Error()}
	}
}

func (n *Notices) put(w notice) {
	device := w.message.From.Device
	if !n.lanes[int(device[len(device)-1])%noticeLanes].put(w) {
		resolve(w.message.Ack, ErrClosed)
	}
}

func (n *Notices) run(ctx context.Context, l *lane) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		}
		for {
			w, ok := l.next()
			if !ok {
				break
			}
			if !n.keep(ctx, w) {
				l.putBack(w)
				return
			}
			l.done()
		}
	}
}

// keep stores a notice and acknowledges it. It returns false when ctx ended
// first.
func (n *Notices) keep(ctx context.Context, w notice) bool {
	outcome := "stored"
	err := n.insist(ctx, &w, w.store)
	why := err
	if w.final(err) {
		outcome = "dead_letter"
		m := &w.message
		letter := newLetter(m.From.Device, m.Topic, err.Error(), m.Payload, m.Received)
		if w.refused != nil {
			letter.Payload = []byte{}
		}
		err = n.insist(ctx, &w, func(ctx context.Context) error {
			return n.config.DeadLetters.Add(ctx, []fleet.DeadLetter{letter})
		})
	}
	switch {
	case schema.IsBadRow(err):
		n.config.Log.Error("the database refused a dead letter", "device", w.message.From.Device, "error", err)
		outcome = "lost"
	case err != nil:
		return false
	}
	n.stored.WithLabelValues(w.kind, outcome).Inc()
	if why != nil && w.refused != nil {
		w.refused(why)
		w.message.Ack.Refuse(why)
		w.message.Ack.Flush()
		return true
	}
	resolve(w.message.Ack, nil)
	return true
}

// final reports whether an error is the last word: tried again it would come again.
func (w *notice) final(err error) bool {
	if schema.IsBadRow(err) || w.refused == nil || err == nil {
		return schema.IsBadRow(err)
	}
	switch fleet.CodeOf(err) {
	case fleet.CodeNotFound, fleet.CodeForbidden, fleet.CodeConflict, fleet.CodeTooMany:
		return true
	}
	return false
}

// insist calls store until it succeeds, or is refused for what it holds, or ctx
// ends; it returns which.
func (n *Notices) insist(ctx context.Context, w *notice, store func(context.Context) error) error {
	for {
		try, cancel := context.WithTimeout(ctx, noticeTimeout)
		err := store(try)
		cancel()
		if err == nil || w.final(err) {
			return err
		}
		if ctx.Err() == nil {
			n.config.Log.Warn("a device's message cannot be stored, trying again", "kind", w.kind, "error", err)
		}
		if err := fleet.Wait(ctx, n.config.Clock, noticeRetry); err != nil {
			return err
		}
	}
}

func resolve(ack Ack, err error) {
	ack.Resolve(err)
	ack.Flush()
}

func (l *lane) put(w notice) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.waiting = append(l.waiting, w)
	select {
	case l.wake <- struct{}{}:
	default: // it is awake
	}
	return true
}

// next takes the oldest notice; it is being stored until done or putBack.
func (l *lane) next() (w notice, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		return w, false
	}
	w, l.waiting = l.waiting[0], l.waiting[1:]
	l.busy = true
	return w, true
}

func (l *lane) done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = false
	if len(l.waiting) == 0 {
		l.waiting = nil // the room of a burst is given back
		l.idle.Broadcast()
	}
}

func (l *lane) putBack(w notice) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = false
	l.waiting = append([]notice{w}, l.waiting...)
}

func (l *lane) drain(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.idle.Broadcast()
	})
	defer stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.busy || len(l.waiting) > 0 {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		l.idle.Wait()
	}
	return nil
}

func (l *lane) close() (left []notice) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	left, l.waiting = l.waiting, nil
	return left
}
