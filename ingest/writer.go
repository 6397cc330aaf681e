package ingest

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"armora/fleet"
	"armora/schema"
)

// workers is how many commits overlap: while one waits for the disk the other
// keeps the database busy (516,000 rows a second over two connections where one
// gives 333,000).
const workers = 2

// Back-off between the tries of a commit.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
)

// writer commits the queue's batches. A batch is tried until it is stored,
// for ever if need be: nothing of it is acknowledged before, and giving it up
// would only make the devices send it again.
type writer struct {
	config *Config
	queue  *queue
	count  *counters
	mover  *mover
	forget func(points []fleet.Point, batch uint64) // takes points out of the window

	turn sync.Mutex // held by the worker that waits for the next batch
}

func (w *writer) run(ctx context.Context) {
	var acks []Ack // kept, to be used again
	for {
		b := w.next(ctx)
		if b == nil {
			return
		}
		acks = w.finish(b, w.commit(ctx, b) != nil, acks[:0])
	}
}

// next waits for a batch that is due. It returns nil when ctx is done.
func (w *writer) next(ctx context.Context) *batch {
	w.turn.Lock()
	defer w.turn.Unlock()
	for ctx.Err() == nil {
		b, due := w.queue.take()
		if b != nil {
			return b
		}
		var fired <-chan time.Time
		stop := func() bool { return false }
		if due > 0 {
			fired, stop = w.config.Clock.NewTimer(due)
		}
		select {
		case <-fired:
		case <-w.queue.wake:
		case <-ctx.Done():
		}
		stop()
	}
	return nil
}

// commit stores the batch, which is on the live map before: who is told that a
// point was taken finds it there. It fails only when ctx is done.
func (w *writer) commit(ctx context.Context, b *batch) error {
	w.mover.settle()
	if len(b.points) > 0 {
		start := w.config.Clock.Now()
		if err := w.insert(ctx, b, b.points); err != nil {
			return err
		}
		w.count.commitSeconds.Observe(w.config.Clock.Now().Sub(start).Seconds())
		w.count.batchPoints.Observe(float64(len(b.points)))
	}
	if len(b.letters) > 0 {
		return w.bury(ctx, b.letters)
	}
	return nil
}

// insert stores points of b. A row that the database refuses for what it holds
// is found by halving, and becomes one of the batch's dead letters.
func (w *writer) insert(ctx context.Context, b *batch, points []fleet.Point) error {
	var stored int
	err := w.try(ctx, func(ctx context.Context) (err error) {
		stored, err = w.config.Store.Insert(ctx, points)
		return err
	})
	switch {
	case err == nil:
		w.count.stored.Add(uint64(stored))
		w.count.repeats.Add(uint64(len(points) - stored))
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case len(points) > 1:
		half := len(points) / 2
		if err := w.insert(ctx, b, points[:half]); err != nil {
			return err
		}
		return w.insert(ctx, b, points[half:])
	}
	w.config.Log.Warn("the database refuses a point", "device", points[0].Device, "err", err)
	w.forget(points, b.id)
	b.letters = append(b.letters, refusedRow(&points[0], err))
	w.count.refused.Add(1)
	w.count.letters[points[0].Format].Add(1)
	return nil
}

// refusedRow makes the dead letter of a point that was decoded well, but that
// the database refuses.
func refusedRow(p *fleet.Point, cause error) fleet.DeadLetter {
	payload, err := json.Marshal(map[string]any{
		"t": p.Fix, "lat": p.Lat, "lon": p.Lon, "format": p.Format, "verdict": p.Verdict,
	})
	if err != nil {
		payload = nil // a position that JSON can't write: the reason says which
	}
	return newLetter(p.Device, "", "the database refused the point: "+cause.Error(), payload, p.Received)
}

// bury stores dead letters. One that the database refuses for what it holds is
// dropped with an error in the log: sending it again would not help either.
func (w *writer) bury(ctx context.Context, letters []fleet.DeadLetter) error {
	err := w.try(ctx, func(ctx context.Context) error { return w.config.DeadLetters.Add(ctx, letters) })
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case len(letters) > 1:
		half := len(letters) / 2
		if err := w.bury(ctx, letters[:half]); err != nil {
			return err
		}
		return w.bury(ctx, letters[half:])
	}
	w.config.Log.Error("a dead letter could not be stored and is lost", "device", letters[0].Device,
		"topic", letters[0].Topic, "reason", letters[0].Reason, "err", err)
	w.count.lost.Add(1)
	return nil
}

// try calls do until it succeeds or the data is to blame for its failure. Where
// the outcome of a call is unknown this may store what is stored already, which
// the store takes for repeats.
func (w *writer) try(ctx context.Context, do func(context.Context) error) error {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		bounded, cancel := context.WithTimeout(ctx, w.config.CommitTimeout)
		err := do(bounded)
		cancel()
		if err == nil || schema.IsBadRow(err) || ctx.Err() != nil {
			return err
		}
		w.count.retries.Add(1)
		w.config.Log.Warn("commit failed, trying again", "in", pause, "err", err)
		if err := fleet.Wait(ctx, w.config.Clock, pause); err != nil {
			return err
		}
	}
}

// finish settles a batch that is committed, or dropped. All acks are resolved
// before the first is flushed, so that one commit is one write for each
// connection. It returns acks, grown.
func (w *writer) finish(b *batch, dropped bool, acks []Ack) []Ack {
	if dropped {
		// Before the batch is settled: a repeat that finds its key in the
		// window and no batch in flight takes it for stored.
		w.forget(b.points, b.id)
	}
	for _, r := range w.queue.settle(b) {
		if ack := r.settle(dropped); ack != nil {
			acks = append(acks, ack)
		}
	}
	for _, ack := range acks {
		ack.Flush()
	}
	clear(acks)
	w.queue.recycle(b)
	return acks
}
