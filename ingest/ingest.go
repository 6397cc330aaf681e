// Package ingest is a point's way: a message is decoded, its points are checked
// and judged, move the live map, and are committed in batches; only then is the
// message acknowledged.
//
// What an acknowledgement means: every point of the message is on disk, told
// before and on disk, or dropped by a rule that is stated here and counted (a
// message that can't be decoded and a row that the database refuses are kept as
// dead letters, and acknowledged when those are on disk). Storing is idempotent
// on fleet.PointKey, so a message may come any number of times, and a commit
// whose outcome is unknown is tried again.
package ingest

import (
	"context"
	"errors"
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

// Ack takes the outcome of a message. Both methods are called from any
// goroutine and never block.
type Ack interface {
	// Resolve is called once: nil when the message is committed, and otherwise
	// it is not to be acknowledged.
	Resolve(err error)
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

	Thresholds Thresholds // zero: DefaultThresholds
	// BatchSize is the points at which a batch is committed at once; 0: 5000.
	BatchSize int
	// Linger is how long a batch waits for more points; 0: 10 ms.
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

// Pipeline takes messages in and gives acknowledgements out.
type Pipeline struct {
	thresholds  Thresholds
	clock       fleet.Clock
	log         *slog.Logger
	count       *counters
	shards      [shards]shard
	queue       *queue
	writer      *writer
	auth        Authenticator // nil: HTTP devices are refused
	httpTimeout time.Duration
	keys        *keyring // nil: none are kept

	running sync.WaitGroup
	stop    context.CancelFunc
	opened  sync.Once
	closed  sync.Once
}

// New returns a pipeline that is not running.
func New(config Config) (*Pipeline, error) {
	if config.Store == nil || config.DeadLetters == nil || config.Clock == nil || config.Log == nil {
		return nil, errors.New("ingest: Config needs Store, DeadLetters, Clock and Log")
	}
	if config.Thresholds == (Thresholds{}) {
		config.Thresholds = DefaultThresholds()
	}
	config.BatchSize = either(config.BatchSize, 5000)
	config.Linger = either(config.Linger, 10*time.Millisecond)
	config.CommitTimeout = either(config.CommitTimeout, 30*time.Second)
	p := &Pipeline{
		auth:        config.Auth,
		httpTimeout: either(config.HTTPTimeout, 10*time.Second),
		thresholds:  config.Thresholds,
		clock:       config.Clock,
		log:         config.Log,
		count:       newCounters(),
		queue:       newQueue(config.Clock, config.BatchSize, config.Linger),
	}
	for i := range p.shards {
		p.shards[i].open()
	}
	p.writer = &writer{
		queue: p.queue, store: config.Store, letters: config.DeadLetters,
		timeout: config.CommitTimeout, clock: config.Clock, log: config.Log, count: p.count,
		forget: p.forget,
	}
	if config.PayloadKeys != nil {
		p.keys = &keyring{
			source: config.PayloadKeys, clock: config.Clock, log: config.Log, again: p.receive, queue: p.queue,
			timeout: config.CommitTimeout, keys: make(map[fleet.DeviceID]payloadKey), wake: make(chan struct{}, 1),
		}
	}
	return p, p.register(config.Metrics)
}

func either[T comparable](value, standard T) T {
	var zero T
	if value == zero {
		return standard
	}
	return value
}

// Open starts the commits. It is called once; messages may come before it.
func (p *Pipeline) Open() {
	p.opened.Do(func() {
		ctx, stop := context.WithCancel(context.Background())
		p.stop = stop
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
