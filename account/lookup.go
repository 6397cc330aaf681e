package account

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"armora/fleet"
)

// How old an answer about a device may be. A change made on this node is seen
// at once, whatever the age; the limits bound what another node's change, or a
// database that is away, can leave standing.
const (
	// Freshness is how long an answer is used without asking again.
	Freshness = 30 * time.Second
	// Staleness is how long an answer may be used while the database is away.
	Staleness = time.Hour
)

const (
	lookupEntries     = 1 << 16         // answers kept; when full, one goes at random
	lookupConcurrency = 4               // queries at once: logins must not take the pool from ingest
	lookupTimeout     = 3 * time.Second // including the wait for a turn
	// lookupSoon is how long somebody in an emergency waits for a database that does not
	// answer, if they are known: help is not to be later for it.
	lookupSoon = 500 * time.Millisecond
)

// lookups answers from memory what the database was asked before, so that a
// fleet that reconnects at once does not become a storm of queries: the same
// question asked meanwhile joins the one under way, and only a few are under
// way at once.
type lookups[V any] struct {
	load  func(ctx context.Context, key string) (V, error)
	clock fleet.Clock
	turns *semaphore.Weighted
	count *lookupMetrics

	flights singleflight.Group

	mu      sync.Mutex // guards what follows
	forgets uint64     // how often something was forgotten
	answers map[string]answer[V]
	held    map[string]V // see hold
}

type answer[V any] struct {
	value V
	read  time.Time
}

func newLookups[V any](clock fleet.Clock, turns *semaphore.Weighted, count *lookupMetrics, load func(context.Context, string) (V, error)) *lookups[V] {
	return &lookups[V]{load: load, clock: clock, turns: turns, count: count, answers: make(map[string]answer[V])}
}

// get answers from memory while that is fresh, else from the database, else,
// while that is away, from memory again. It reports whether the answer came
// from memory: a caller that does not like it may read.
func (l *lookups[V]) get(ctx context.Context, key string) (value V, remembered bool, err error) {
	kept, ok := l.recall(key)
	if ok && l.clock.Now().Sub(kept.read) < Freshness {
		l.count.fresh.Inc()
		return kept.value, true, nil
	}
	within := lookupTimeout
	if _, known := l.fallback(key); known && inEmergency(ctx) {
		within = lookupSoon
	}
	value, err = l.read(ctx, key, within)
	if err == nil || fleet.CodeOf(err) != fleet.CodeUnavailable {
		return value, false, err
	}
	// Looked for now: what was forgotten while the database was waited for stays so.
	if value, known := l.fallback(key); known {
		l.count.stale.Inc()
		return value, true, nil
	}
	return value, false, err
}

// fallback is what is known of a key without the database.
func (l *lookups[V]) fallback(key string) (V, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if kept, ok := l.answers[key]; ok && l.clock.Now().Sub(kept.read) < Staleness {
		return kept.value, true
	}
	value, ok := l.held[key]
	return value, ok
}

// emergencyKey is under what a context says that whoever asks is in an emergency.
type emergencyKey struct{}

func emergency(ctx context.Context) context.Context {
	return context.WithValue(ctx, emergencyKey{}, true)
}
func inEmergency(ctx context.Context) bool { return ctx.Value(emergencyKey{}) != nil }

// hold keeps answers for when the database is away, however long that is, in the place
// of those that it kept before. They are read again and again while it is not.
func (l *lookups[V]) hold(answers map[string]V) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = answers
}

// read asks the database and remembers the answer. An answer that was
// forgotten while it was on its way is asked for again, so that nobody is let
// in by what was true before a revocation. The caller waits no longer than within.
func (l *lookups[V]) read(ctx context.Context, key string, within time.Duration) (value V, err error) {
	flight := l.flights.DoChan(key, func() (any, error) {
		// The answer serves everybody who joined, so it outlives the first
		// caller's connection.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupTimeout)
		defer cancel()
		if err := l.turns.Acquire(ctx, 1); err != nil {
			return nil, &fleet.Error{Code: fleet.CodeUnavailable, Message: "the database is busy", Err: err}
		}
		defer l.turns.Release(1)
		for {
			before := l.forgetsSoFar()
			l.count.database.Inc()
			value, err := l.load(ctx, key)
			if fleet.CodeOf(err) == fleet.CodeNotFound {
				l.gone(key)
			}
			if err != nil {
				return nil, err
			}
			if l.remember(key, value, before) {
				return value, nil
			}
		}
	})
	patience := time.NewTimer(within)
	defer patience.Stop()
	select {
	case got := <-flight:
		if got.Err != nil {
			return value, got.Err
		}
		return got.Val.(V), nil
	case <-patience.C:
		return value, &fleet.Error{Code: fleet.CodeUnavailable, Message: "the database is slow"}
	}
}

func (l *lookups[V]) forgetsSoFar() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.forgets
}

func (l *lookups[V]) recall(key string) (answer[V], bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept, ok := l.answers[key]
	return kept, ok
}

// remember keeps an answer, unless something was forgotten since the question
// was asked.
func (l *lookups[V]) remember(key string, value V, forgets uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.forgets != forgets {
		return false
	}
	if _, known := l.answers[key]; !known && len(l.answers) >= lookupEntries {
		for victim := range l.answers { // in random order
			delete(l.answers, victim)
			break
		}
	}
	l.answers[key] = answer[V]{value: value, read: l.clock.Now()}
	return true
}

// gone drops what the database does not know any more: should it be away next, nobody
// is let in by it.
func (l *lookups[V]) gone(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.answers, key)
}

// forget drops what is remembered under key and what is on its way.
func (l *lookups[V]) forget(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forgets++
	delete(l.answers, key)
	delete(l.held, key)
}
