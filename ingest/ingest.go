// Package ingest is a point's way: a message is decoded, its points are checked
// and judged, move the live map, and are committed in batches; only then is the
// message acknowledged.
//
// What an acknowledgement means: every point of the message is on disk, told
// before and on disk, or dropped by a rule that is stated here and counted (the
// phone of a person who is off duty is not followed; a message that can't be
// decoded and a row that the database refuses are kept as dead letters, and
// acknowledged when those are on disk). Storing is idempotent
// on fleet.PointKey, so a message may come any number of times, and a commit
// whose outcome is unknown is tried again.
package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"armora/fleet"
)

// Message is what a device sent.
type Message struct {
	From     *fleet.Identity
	Topic    string
	Payload  []byte // the pipeline's from now on
	Received fleet.Millis
	Ack      Ack
}

// Ack takes the outcome of a message. Its methods are called from any goroutine
// and never block.
type Ack interface {
	// Weigh says how many bytes are kept of the message until it is resolved, in
	// place of its size. An error says that there is no room for them: the
	// message is resolved with it, and nothing of it is kept.
	Weigh(bytes int) error
	// Resolve is called once: nil when the message is committed, and otherwise
	// it is not to be acknowledged.
	Resolve(err error)
	// Refuse is Resolve of a message that is dealt with and was not taken: sent again
	// it would not be either. Its sender is told why, if there is a way to.
	Refuse(why error)
	// Flush is called after the commit that resolved the ack has resolved every
	// other one that it sets free.
	Flush()
}

// Store keeps points. It is idempotent on their keys.
type Store interface {
	// Insert commits the points, all or none, and returns how many were not
	// stored before. It may reorder them, and keeps none.
	Insert(ctx context.Context, points []fleet.Point) (stored int, err error)
}

// DeadLetters keeps what could not be understood. It is idempotent on their ids.
type DeadLetters interface {
	Add(ctx context.Context, letters []fleet.DeadLetter) error
}

// Config is what a pipeline is made of.
type Config struct {
	Store       Store
	DeadLetters DeadLetters
	PayloadKeys PayloadKeys   // nil: encrypted messages become dead letters
	Auth        Authenticator // of the HTTP devices; nil: they are refused
	// Move shows good fixes on the live map, late ones too, in the order in which
	// they came from each device. It is called by one goroutine at a time, before
	// the points are acknowledged; it does not block, and does not keep moves. nil:
	// there is no map.
	Move func(moves []Move)

	// Keep says whether a person's phone may be followed at a time; Spells.Keep
	// is it. A point for which it says no is acknowledged and counted, neither
	// stored nor shown. It is called for each point of such a phone, and does not
	// block. nil: everybody may be followed.
	Keep func(user fleet.UserID, fix fleet.Millis) bool

	Thresholds Thresholds // zero: DefaultThresholds
	// BatchSize is the points at which a batch is committed at once; 0: 5000.
	BatchSize int
	// Linger is how long a batch waits for more points; 0: 25 ms. At 10,000
	// points a second, one a message, a point costs hub and database together
	// 24 µs of CPU with 5 ms and 16 with 25, and is acknowledged after 4 and 15
	// ms (BenchmarkLinger, 2 cores; the sender's share is in it).
	Linger time.Duration
	// CommitTimeout bounds one try of a commit, against a database that takes
	// the connection and says nothing; 0: 30 s.
	CommitTimeout time.Duration

	// HTTPTimeout is how long a request waits for its commit; 0: 10 s.
	HTTPTimeout time.Duration

	Clock   fleet.Clock
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: not registered
}

// withDefaults returns c with what it leaves open, or what it lacks.
func (c Config) withDefaults() (Config, error) {
	if c.Store == nil || c.DeadLetters == nil || c.Clock == nil || c.Log == nil {
		return c, errors.New("ingest: Config needs Store, DeadLetters, Clock and Log")
	}
	if c.Move == nil {
		c.Move = func([]Move) {}
	}
	if c.Keep == nil {
		c.Keep = func(fleet.UserID, fleet.Millis) bool { return true }
	}
	c.Thresholds = cmp.Or(c.Thresholds, DefaultThresholds())
	c.BatchSize = cmp.Or(c.BatchSize, 5000)
	c.Linger = cmp.Or(c.Linger, 25*time.Millisecond)
	c.CommitTimeout = cmp.Or(c.CommitTimeout, 30*time.Second)
	c.HTTPTimeout = cmp.Or(c.HTTPTimeout, 10*time.Second)
	return c, nil
}

// Pipeline takes messages in and gives acknowledgements out.
type Pipeline struct {
	config Config
	count  *counters
	shards [shards]shard
	queue  *queue
	mover  *mover
	writer *writer
	keys   *keyring // nil: none are kept

	running sync.WaitGroup
	stop    context.CancelFunc
	opened  sync.Once
	closed  sync.Once
}

// New returns a pipeline that is not running.
func New(config Config) (*Pipeline, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	p := &Pipeline{
		config: config,
		count:  newCounters(),
		queue:  newQueue(config.Clock, config.BatchSize, config.Linger),
		mover:  newMover(config.Move),
	}
	for i := range p.shards {
		p.shards[i].open()
	}
	p.writer = &writer{config: &p.config, queue: p.queue, count: p.count, mover: p.mover, forget: p.forget}
	if config.PayloadKeys != nil {
		p.keys = newKeyring(&p.config, p.queue, p.receive)
	}
	if err := p.register(config.Metrics); err != nil {
		return nil, fmt.Errorf("ingest: metrics: %w", err)
	}
	return p, nil
}

// Open starts the commits. It is called once; messages may come before it.
func (p *Pipeline) Open() {
	p.opened.Do(func() {
		ctx, stop := context.WithCancel(context.Background())
		p.stop = stop
		p.running.Go(func() { p.mover.run(ctx) })
		for range workers {
			p.running.Go(func() { p.writer.run(ctx) })
		}
		if p.keys != nil {
			p.running.Go(func() { p.keys.run(ctx) })
		}
	})
}

// Drain commits everything that was received, without lingering, and returns
// when it is acknowledged, or when ctx is done. Whoever calls it has seen to it
// that nothing more comes.
func (p *Pipeline) Drain(ctx context.Context) error { return p.queue.drain(ctx) }

// Close stops the commits and resolves what is not committed with ErrClosed, as
// it does all that still comes.
func (p *Pipeline) Close() {
	p.closed.Do(func() {
		p.opened.Do(func() { p.stop = func() {} }) // never opened, and never will be
		left := p.queue.close()
		p.stop()
		p.running.Wait()
		for _, b := range left {
			p.writer.finish(b, true, nil)
		}
		if p.keys != nil {
			p.keys.close()
		}
	})
}
