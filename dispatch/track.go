package dispatch

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"armora/fleet"
	"armora/live"
	"armora/schema"
)

// replayMost is how many events of a trip are told at once to who comes back: fewer
// than may wait for a slow reader.
const replayMost = 400

// track is one trip that somebody watches.
type track struct {
	id      fleet.BookingID
	entered int              // how often it is held; guarded by Tracks.mu
	drivers []fleet.DriverID // in Tracks.byDriver; guarded by Tracks.mu

	// announced counts the changes of the booking that are known to have been made, and
	// viewers those of who of ops may see its principal.
	announced, viewers atomic.Int64

	// reading is held by who reads the trip and tells of it, or brings a new watcher
	// up to where the others are. It is locked before mu.
	reading sync.Mutex

	mu       sync.Mutex
	loaded   bool
	booking  fleet.Booking // as it was read last,
	known    int64         // when so many changes had been announced,
	checked  int64         // and so many of viewers
	watchers map[*watching]struct{}
	told     map[fleet.DriverID]fleet.Millis // the fix that was told last
	eta      etaBody
}

func newTrack(id fleet.BookingID) *track {
	return &track{id: id, watchers: make(map[*watching]struct{}), told: make(map[fleet.DriverID]fleet.Millis)}
}

// stale reports whether the booking is not what it was when it was read. mu is held.
func (k *track) stale() bool { return !k.loaded || k.announced.Load() != k.known }

// catchUp reads the trip if it has changed, or anyhow, and tells of it.
func (k *track) catchUp(ctx context.Context, t *Tracks, whole bool) error {
	k.reading.Lock()
	defer k.reading.Unlock()
	return k.refresh(ctx, t, whole)
}

// refresh is catchUp with reading held.
func (k *track) refresh(ctx context.Context, t *Tracks, whole bool) error {
	announced := k.announced.Load() // whatever comes later may not be in what is read
	viewers := k.viewers.Load()
	b, err := t.whole(ctx, k.id)
	if err != nil {
		return err
	}
	k.mu.Lock()
	loaded, after := k.loaded, k.booking.Seq
	whole = whole || k.checked != viewers
	k.mu.Unlock()
	var events []schema.TrackedEvent
	for loaded && after < b.Seq {
		page, err := t.bookings.Tracked(ctx, k.id, after, replayMost)
		if err != nil {
			return err
		}
		events = append(events, page...)
		if len(page) < replayMost {
			break
		}
		after = page[len(page)-1].Seq
	}
	blind, err := k.blind(ctx, t, whole)
	if err != nil {
		return err
	}
	k.take(t, b, announced, events, blind)
	k.mu.Lock()
	k.checked = viewers
	k.mu.Unlock()
	return k.showAgain(ctx, t)
}

// whole reads a booking with the seats that it had at one moment: its row and its
// seats are read one after the other, and a change may come between.
func (t *Tracks) whole(ctx context.Context, id fleet.BookingID) (fleet.Booking, error) {
	for range changeTries {
		b, err := t.bookings.Get(ctx, id)
		if err != nil {
			return b, err
		}
		after, err := t.bookings.Get(ctx, id)
		if err != nil || after.Seq == b.Seq && after.Version == b.Version {
			return b, err
		}
	}
	return fleet.Booking{}, errBusyTrip
}

// blind returns those of ops who may not see the principal any more.
func (k *track) blind(ctx context.Context, t *Tracks, whole bool) (blind []*watching, err error) {
	if !whole {
		return nil, nil
	}
	for _, w := range k.all() {
		if w.As != AsOps {
			continue
		}
		_, err := t.bookings.VisibleTo(ctx, w.User, k.id)
		switch {
		case fleet.CodeOf(err) == fleet.CodeNotFound:
			blind = append(blind, w)
		case err != nil:
			return nil, err
		}
	}
	return blind, nil
}

// of reports whether a person is, or may be, the principal of the trip.
func (k *track) of(user fleet.UserID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.loaded || k.booking.User == user
}

func (k *track) all() []*watching {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Collect(maps.Keys(k.watchers))
}

// take takes in what a trip is now, and tells what has happened up to there.
func (k *track) take(t *Tracks, b fleet.Booking, announced int64, events []schema.TrackedEvent, blind []*watching) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.booking, k.loaded, k.known = b, true, announced
	for _, w := range blind {
		k.end(w, EndNotTheirs)
	}
	now := t.clock.Now()
	for w := range k.watchers {
		if !w.may(&b, now) {
			k.end(w, EndNotTheirs)
		}
	}
	reached := false
	for i := range events {
		e := &events[i]
		if e.Seq > b.Seq {
			break // happened after the booking was read: told with the next
		}
		reached = reached || e.Kind == "reached_destination"
		frames := tellable(e)
		for w := range k.watchers {
			if f := frames[w.audience()]; f != nil {
				w.tell(t, *f)
			}
		}
	}
	for w := range k.watchers {
		switch {
		case b.Status.Ended():
			k.end(w, EndTripOver)
		case reached && w.Share != nil && w.Share.Until == fleet.ShareArrival:
			k.end(w, EndShareOver)
		}
	}
}

// showAgain tells where the officers of a trip are that has been read, to those who
// were not told meanwhile, or of others than before.
func (k *track) showAgain(ctx context.Context, t *Tracks) (failed error) {
	for _, w := range k.all() {
		if err := k.admit(ctx, t, w); err != nil {
			failed = err // this one is shown nobody new
		}
	}
	k.mu.Lock()
	var drivers []fleet.DriverID
	for _, s := range shownSeats(&k.booking) {
		drivers = append(drivers, s.Driver)
	}
	k.mu.Unlock()
	t.mu.Lock()
	others := !slices.Equal(drivers, k.drivers)
	if t.tracks[k.id] == k {
		t.show(k, drivers)
	}
	t.mu.Unlock()
	if others {
		k.tellSnapshot(t)
	}
	for _, d := range drivers {
		if fix, ok := t.index.Get(fleet.Unit(d)); ok {
			k.moved(t, &fix)
		}
	}
	return failed
}

// tellSnapshot tells everybody of other officers than before.
func (k *track) tellSnapshot(t *Tracks) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for w := range k.watchers {
		if !slices.ContainsFunc(shownSeats(&k.booking), func(s *fleet.Seat) bool { return !w.audited[s.Driver] }) {
			w.tell(t, k.snapshot(t, w.audience()))
		}
	}
}

// moved tells where an officer of the trip is, unless that was told.
func (k *track) moved(t *Tracks, fix *live.Fix) {
	k.mu.Lock()
	defer k.mu.Unlock()
	driver := fleet.DriverID(fix.Unit)
	if k.stale() || fix.At <= k.told[driver] {
		return
	}
	shown := shownSeats(&k.booking)
	seat := slices.IndexFunc(shown, func(s *fleet.Seat) bool { return s.Driver == driver })
	if seat < 0 {
		return
	}
	k.told[driver] = fix.At
	var frames [audiences]*Frame
	now := t.clock.Now()
	for w := range k.watchers {
		if !w.may(&k.booking, now) {
			k.end(w, EndNotTheirs)
			continue
		}
		if !w.audited[driver] {
			continue
		}
		to := w.audience()
		if frames[to] == nil {
			f := frame(FramePosition, 0, "position/"+driver.String(), positionOf(k.id, shown[seat], fix, to))
			frames[to] = &f
		}
		w.tell(t, *frames[to])
	}
	t.metrics.positions.Observe(now.Sub(fix.Received.Time()).Seconds())
}

// tellETA tells when the lead will be there, if that is not what was told.
func (k *track) tellETA(t *Tracks) {
	e, ok := t.eta(k.id)
	k.mu.Lock()
	defer k.mu.Unlock()
	if !ok || k.stale() || k.eta == etaOf(e) {
		return
	}
	k.eta = etaOf(e)
	f := frame(FrameETA, 0, "eta", etaFrame{frameHead{FrameETA, k.id}, k.eta})
	now := t.clock.Now()
	for w := range k.watchers {
		if !w.may(&k.booking, now) {
			k.end(w, EndNotTheirs)
			continue
		}
		w.tell(t, f)
	}
}

// end ends a watcher. mu is held.
func (k *track) end(w *watching, why TrackEnd) {
	if w.Share != nil && why == EndNotTheirs {
		why = EndShareOver
	}
	delete(k.watchers, w)
	w.out.End(why)
}

func (w *watching) tell(t *Tracks, f Frame) {
	t.metrics.frames.WithLabelValues(string(f.Kind)).Inc()
	w.out.Tell(f)
}

// snapshot is the trip as an audience is told of it. mu is held.
func (k *track) snapshot(t *Tracks, to audience) Frame {
	b := &k.booking
	s := snapshotFrame{
		frameHead: frameHead{FrameSnapshot, b.ID}, Seq: b.Seq, Status: b.Status, Since: b.Since, Start: b.Start, Zone: b.Zone, Minutes: b.Minutes,
		Officers: []officerFrame{}, Positions: []positionFrame{},
	}
	for i := range b.Seats {
		if seat := &b.Seats[i]; accepted(b, seat) && seat.Relieves.IsZero() && (to == toOps || shared(b, t.clock.Now())) {
			s.Officers = append(s.Officers, identified(seat, to))
		}
	}
	for _, seat := range shownSeats(b) {
		if fix, ok := t.index.Get(fleet.Unit(seat.Driver)); ok {
			s.Positions = append(s.Positions, positionOf(b.ID, seat, &fix, to))
		}
	}
	if e, ok := t.eta(b.ID); ok && !b.Status.Ended() {
		body := etaOf(e)
		s.ETA = &body
	}
	return frame(FrameSnapshot, b.Seq, "", s)
}
