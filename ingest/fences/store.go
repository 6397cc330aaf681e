package fences

import (
	"context"

	"armora/fleet"
	"armora/schema"
)

// Close takes no more fixes, stores what waits and returns when that is done, or
// when ctx is: then its error, and what waits is told again after the restart.
// It may be called more than once, and without Open.
func (f *Fences) Close(ctx context.Context) error {
	if f.stop == nil {
		return nil
	}
	f.mu.Lock()
	f.closed = true
	f.settle()
	f.mu.Unlock()
	f.signal()
	var err error
	select {
	case <-f.done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	f.stop()
	<-f.done
	return err
}

// run stores what waits, until ctx ends or everything is stored after closing.
func (f *Fences) run(ctx context.Context) {
	defer close(f.done)
	for {
		events, closed := f.take()
		if len(events) > 0 {
			if !f.keep(ctx, events) {
				return
			}
			f.drop(len(events))
			continue
		}
		if closed {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		}
	}
}

// take returns the oldest events, which stay in the queue until drop.
func (f *Fences) take() (events []schema.FenceEvent, closed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := min(len(f.waiting), batch)
	return f.waiting[:n:n], f.closed
}

func (f *Fences) drop(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waiting = f.waiting[n:]; len(f.waiting) == 0 {
		f.waiting = nil // the room of a burst is given back
	}
	f.settle()
}

// keep stores events, in order. It returns false when ctx ended first.
func (f *Fences) keep(ctx context.Context, events []schema.FenceEvent) bool {
	for {
		err := f.try(ctx, events)
		switch {
		case err == nil:
			f.count(events, "stored")
			return true
		case ctx.Err() != nil:
			return false
		case schema.IsBadRow(err) && len(events) > 1: // one of them is bad: find it
			half := len(events) / 2
			return f.keep(ctx, events[:half]) && f.keep(ctx, events[half:])
		case schema.IsBadRow(err):
			f.config.Log.Error("the database refused an event of a fence", "event", events[0], "error", err)
			f.count(events, "refused")
			return true
		}
		f.retries.Inc()
		f.config.Log.Warn("events of fences cannot be stored, trying again", "events", len(events), "error", err)
		if fleet.Wait(ctx, f.config.Clock, pause) != nil {
			return false
		}
	}
}

func (f *Fences) try(ctx context.Context, events []schema.FenceEvent) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return f.config.Store.AddEvents(ctx, events)
}

func (f *Fences) count(events []schema.FenceEvent, outcome string) {
	for i := range events {
		f.told.WithLabelValues(events[i].Kind, outcome).Inc()
	}
}
