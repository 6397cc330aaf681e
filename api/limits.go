package api

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"

	"armora/account"
	"armora/fleet"
)

// Limit is how often a caller may call: PerSecond in the long run, Burst at once.
type Limit struct {
	PerSecond float64
	Burst     int
}

// Limits are those of each class of operations. A caller has a bucket for each
// class, so that a download does not stand in the way of a booking. Each node
// of a hub counts for itself.
type Limits struct {
	Usual    Limit // what is not of another class
	Costly   Limit // exports, uploads: what keeps a core or the disk busy
	Guessing Limit // what takes a secret, which somebody could guess at
}

// DefaultLimits are meant for the open internet: a person's app stays far below
// them, and a hotel's guests behind one address do as well.
func DefaultLimits() Limits {
	return Limits{
		Usual:    Limit{PerSecond: 50, Burst: 200},
		Costly:   Limit{PerSecond: 2, Burst: 30},
		Guessing: Limit{PerSecond: 5, Burst: 100},
	}
}

// Times returns the limits with each rate and burst multiplied.
func (l Limits) Times(factor float64) Limits {
	for _, limit := range []*Limit{&l.Usual, &l.Costly, &l.Guessing} {
		limit.PerSecond *= factor
		limit.Burst = max(1, int(float64(limit.Burst)*factor))
	}
	return l
}

// rateClass is a class of operations with a limit of its own.
type rateClass string

const (
	usual     rateClass = ""
	costly    rateClass = "costly"
	guessing  rateClass = "guessing"
	unlimited rateClass = "unlimited" // what probes ask
)

// rateKey is where an operation says of which class it is, if not the usual.
const rateKey = "x-armora-rate-class"

// bucketsKept bounds the memory of the buckets of a class, to some 15 MB. When
// they are all in use the one that was idle the longest goes: its owner starts
// with a full one, which they would have by then or soon.
const bucketsKept = 1 << 16

// buckets are the token buckets of the callers. It is safe for concurrent use.
type buckets struct {
	clock   fleet.Clock
	mu      sync.Mutex
	classes map[rateClass]*bucketClass
}

type bucketClass struct {
	Limit
	kept *simplelru.LRU[string, *rate.Limiter]
}

func newBuckets(limits Limits, clock fleet.Clock) (*buckets, error) {
	b := &buckets{clock: clock, classes: make(map[rateClass]*bucketClass)}
	for class, limit := range map[rateClass]Limit{usual: limits.Usual, costly: limits.Costly, guessing: limits.Guessing} {
		kept, err := simplelru.NewLRU[string, *rate.Limiter](bucketsKept, nil)
		if err != nil {
			return nil, err
		}
		b.classes[class] = &bucketClass{Limit: limit, kept: kept}
	}
	return b, nil
}

// take takes a token from a caller's bucket of a class. When there is none it
// returns how long the caller has to wait for one.
func (b *buckets) take(class rateClass, caller string) (wait time.Duration) {
	of, limited := b.classes[class]
	if !limited {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	bucket, ok := of.kept.Get(caller)
	if !ok {
		bucket = rate.NewLimiter(rate.Limit(of.PerSecond), of.Burst)
		of.kept.Add(caller, bucket)
	}
	now := b.clock.Now()
	token := bucket.ReserveN(now, 1)
	if wait = token.DelayFrom(now); wait > 0 {
		token.CancelAt(now) // who does not wait does not pay
	}
	return wait
}

// limit fails with CodeTooMany when a request comes too soon. The caller is nil
// when nobody knows who it is; then the address counts. The bootstrap admin, who
// runs the hub, is not limited.
func (s *Server) limit(ctx context.Context, caller *account.Caller, class rateClass) error {
	who := "from " + account.Network(sourceOf(ctx).Address)
	if caller != nil {
		if caller.Name == bootstrap {
			return nil
		}
		who = caller.Name
	}
	wait := s.buckets.take(class, who)
	if wait == 0 {
		return nil
	}
	s.metrics.limited.WithLabelValues(string(class)).Inc()
	return &fleet.Error{Code: fleet.CodeTooMany, Message: "too many requests: wait a little", Retry: wait}
}
