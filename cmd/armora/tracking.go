package main

import (
	"context"
	"sync"
	"time"

	"armora/broker"
	"armora/dispatch"
	"armora/fleet"
)

// openTracks tells those who watch trips, over whatever connection.
func (h *hub) openTracks(_, background context.Context) (err error) {
	h.tracks, err = dispatch.NewTracks(dispatch.TracksConfig{
		DB: h.db, Bus: &h.bus, Map: h.index, ETA: h.trips.ETA, Clock: h.clock, Log: h.log, Metrics: h.registry,
	})
	if err != nil {
		return err
	}
	background, stop := context.WithCancel(background)
	h.followers = &followers{
		hub: h, ctx: background, turns: make(chan struct{}, followTurns), following: make(map[*broker.Follower]context.CancelFunc),
	}
	h.onClose("tracks", func(context.Context) error {
		stop()
		h.followers.running.Wait()
		h.tracks.Close()
		return nil
	})
	return h.tracks.Open()
}

const (
	followTurns = 8               // phones that are let in to their trips at a time
	followAgain = 5 * time.Second // after the database was away
)

// followers are the phones that follow trips over MQTT. Each subscription is a
// watcher of its own.
type followers struct {
	hub     *hub
	ctx     context.Context
	turns   chan struct{}
	running sync.WaitGroup

	mu        sync.Mutex
	following map[*broker.Follower]context.CancelFunc
}

// watcherOf is a device as one who watches a trip.
func watcherOf(id *fleet.Identity) dispatch.Watcher {
	w := dispatch.Watcher{Name: "device/" + id.Device.String(), User: id.User, Driver: id.Driver}
	if !id.User.IsZero() {
		w.Name = id.User.String()
	}
	return w
}

// MayFollow implements broker.TripFollowing.
func (fs *followers) MayFollow(ctx context.Context, id *fleet.Identity, trip fleet.BookingID) (bool, error) {
	_, err := fs.hub.tracks.Admit(ctx, watcherOf(id), trip)
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return false, nil
	}
	return err == nil, err
}

// Follow implements broker.TripFollowing.
func (fs *followers) Follow(f *broker.Follower) {
	ctx, cancel := context.WithCancel(fs.ctx)
	fs.mu.Lock()
	fs.following[f] = cancel
	fs.mu.Unlock()
	begin := fs.begin
	if f.Topic == broker.TripChat {
		begin = fs.hub.followChat
	}
	fs.running.Go(func() { begin(ctx, f) })
}

// Unfollow implements broker.TripFollowing.
func (fs *followers) Unfollow(f *broker.Follower) {
	fs.mu.Lock()
	cancel := fs.following[f]
	delete(fs.following, f)
	fs.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// begin has a phone told of its trip until ctx ends. Whose trip it is not is told
// nothing.
func (fs *followers) begin(ctx context.Context, f *broker.Follower) {
	for ctx.Err() == nil {
		err := fs.watch(ctx, f)
		if err == nil || fleet.CodeOf(err) == fleet.CodeNotFound {
			return
		}
		fired, stop := fs.hub.clock.NewTimer(followAgain)
		select {
		case <-fired:
		case <-ctx.Done():
		}
		stop()
	}
}

func (fs *followers) watch(ctx context.Context, f *broker.Follower) error {
	select {
	case fs.turns <- struct{}{}:
		defer func() { <-fs.turns }()
	case <-ctx.Done():
		return ctx.Err()
	}
	admitted, err := fs.hub.tracks.Admit(ctx, watcherOf(f.Identity()), f.Trip)
	if err != nil {
		return err
	}
	leave, err := fs.hub.tracks.Watch(ctx, admitted, -1, phoneOutlet{f})
	if err == nil {
		context.AfterFunc(ctx, leave)
	}
	return err
}

// phoneOutlet tells a trip on one of its topics.
type phoneOutlet struct{ *broker.Follower }

// Tell implements dispatch.Outlet.
func (o phoneOutlet) Tell(f dispatch.Frame) {
	switch {
	case (f.Kind == dispatch.FramePosition) != (o.Topic == broker.TripPosition):
	case f.Key == "":
		o.Send(f.JSON)
	default:
		o.SendLatest(f.JSON)
	}
}

// End implements dispatch.Outlet. The last event has said already what became of
// the trip; whose trip it is not any more is told nothing.
func (o phoneOutlet) End(dispatch.TrackEnd) {}
