package dispatch

import (
	"context"

	"armora/bus"
	"armora/live"
)

// WatchByHand begins to watch as Open does, and leaves looking to Look.
func (t *Trips) WatchByHand(ctx context.Context) (look func(context.Context), err error) {
	feed, err := t.index.Subscribe()
	if err != nil {
		return nil, err
	}
	t.bus.Bookings.Subscribe(func(c bus.BookingChange) { t.watch.suspect(c.ID) })
	var changes []live.Change
	return func(ctx context.Context) {
		changes = feed.Take(changes[:0])
		t.observe(ctx, changes)
		t.catchUpWithChanges(ctx)
	}, t.load(ctx)
}

// SeeSilent does what a round does of that.
func (t *Trips) SeeSilent(ctx context.Context) error { return t.seeSilent(ctx) }
