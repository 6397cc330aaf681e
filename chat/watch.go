package chat

import (
	"context"
	"slices"
	"time"

	"armora/bus"
	"armora/fleet"
)

const (
	// FirstMessages is how many messages a watcher is told at first, the newest of those
	// that they do not know: what is older they read as history.
	FirstMessages = 50
	atOnce        = 100         // messages read in one go
	watchAgain    = time.Second // after the database was away
)

// Watch tells of a conversation: first how it stands, then the newest messages beyond
// since, in order, FirstMessages at most; and then whatever is new, until ctx or tell
// ends it. It ends as well, with CodeNotFound, once the reader takes no part any
// more. While the database is away it waits. An update is the watcher's own.
func (r *Rooms) Watch(ctx context.Context, who Reader, booking fleet.BookingID, since int64, tell func(Update) error) error {
	wake := make(chan struct{}, 1)
	news := func() {
		select {
		case wake <- struct{}{}:
		default: // it is awake
		}
	}
	defer r.cfg.Bus.Chats.Subscribe(func(c bus.ChatChange) {
		if c.Booking == booking {
			news()
		}
	})()
	defer r.cfg.Bus.Bookings.Subscribe(func(c bus.BookingChange) {
		if c.ID == booking {
			news()
		}
	})()
	w := watcher{rooms: r, who: who, booking: booking, last: since, tell: tell}
	for {
		err := w.look(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case fleet.CodeOf(err) == fleet.CodeUnavailable && !w.failed:
			fired, stop := r.cfg.Clock.NewTimer(watchAgain)
			select {
			case <-fired:
			case <-wake:
				stop()
			case <-ctx.Done():
				stop()
				return ctx.Err()
			}
			continue
		case err != nil:
			return err
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// watcher is how far somebody who watches has been told.
type watcher struct {
	rooms   *Rooms
	who     Reader
	booking fleet.BookingID
	last    int64 // seq of the last message that is known
	view    *View
	tell    func(Update) error
	failed  bool // tell has
}

// look tells what is new.
func (w *watcher) look(ctx context.Context) error {
	view, err := w.rooms.View(ctx, w.who, w.booking)
	if err != nil {
		return err
	}
	if w.view == nil {
		return w.begin(ctx, &view)
	}
	// The seq alone is no news: another event, or the messages that follow.
	if !slices.Equal(view.Marks, w.view.Marks) || view.As != w.view.As || !view.Ended.Equal(w.view.Ended) {
		if err := w.told(Update{View: &view}); err != nil {
			return err
		}
		w.view = &view
	}
	for {
		messages, err := w.rooms.Since(ctx, w.who, w.booking, w.last, atOnce)
		if err != nil {
			return err
		}
		if err := w.tellAll(messages); err != nil || len(messages) < atOnce {
			return err
		}
	}
}

// begin tells how the conversation stands and the newest messages that are not known.
func (w *watcher) begin(ctx context.Context, view *View) error {
	newest, err := w.rooms.Before(ctx, w.who, w.booking, view.seq+1, FirstMessages+1)
	if err != nil {
		return err
	}
	slices.Reverse(newest)
	newest = slices.DeleteFunc(newest, func(m Message) bool { return m.Seq <= w.last })
	if len(newest) > FirstMessages {
		newest, view.Earlier = newest[1:], true
	}
	if err := w.told(Update{View: view}); err != nil {
		return err
	}
	if err := w.tellAll(newest); err != nil {
		return err
	}
	w.view, w.last = view, view.seq // nothing was written up to there but what was told
	return nil
}

func (w *watcher) tellAll(messages []Message) error {
	for i := range messages {
		if err := w.told(Update{Message: &messages[i]}); err != nil {
			return err
		}
		w.last = messages[i].Seq
	}
	return nil
}

func (w *watcher) told(u Update) error {
	err := w.tell(u)
	w.failed = err != nil
	return err
}
