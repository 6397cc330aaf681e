package dispatch

import (
	"context"
	"errors"
	"sync"

	"armora/fleet"
	"armora/schema"
)

// Watch tells an outlet of a trip until leave is called or the outlet is told of an
// end: first the events beyond since, if that is not negative, then the trip as it
// is, then what happens. The watcher's right is asked again, here and at each
// delivery.
func (t *Tracks) Watch(ctx context.Context, a Admission, since int64, out Outlet) (leave func(), err error) {
	trip := t.enter(a.Trip)
	w := &watching{Admission: a, out: out, audited: make(map[fleet.DriverID]bool)}
	if err := trip.join(ctx, t, w, since); err != nil {
		t.leave(trip)
		return nil, err
	}
	t.metrics.watchers.Inc()
	return sync.OnceFunc(func() {
		trip.mu.Lock()
		delete(trip.watchers, w)
		trip.mu.Unlock()
		t.leave(trip)
		t.metrics.watchers.Dec()
	}), nil
}

func (k *track) join(ctx context.Context, t *Tracks, w *watching, since int64) error {
	k.reading.Lock()
	defer k.reading.Unlock()
	for range changeTries {
		if err := k.tryJoin(ctx, t, w, since); !errors.Is(err, errBusyTrip) {
			return err
		}
	}
	return errBusyTrip
}

// changeTries is how often a trip is read anew that changes meanwhile.
const changeTries = 5

// errBusyTrip is of a trip that has changed while it was read.
var errBusyTrip = &fleet.Error{Code: fleet.CodeUnavailable, Message: "this trip is changing: try again"}

func (k *track) tryJoin(ctx context.Context, t *Tracks, w *watching, since int64) error {
	k.mu.Lock()
	stale := k.stale()
	k.mu.Unlock()
	if stale {
		if err := k.refresh(ctx, t, false); err != nil {
			return err
		}
	}
	if w.As == AsOps {
		if _, err := t.bookings.VisibleTo(ctx, w.User, k.id); err != nil {
			return err
		}
	}
	if err := k.admit(ctx, t, w); err != nil {
		return err
	}
	var missed []schema.TrackedEvent
	if since >= 0 {
		var err error
		if missed, err = t.bookings.Tracked(ctx, k.id, since, replayMost+1); err != nil {
			return err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stale() {
		return errBusyTrip
	}
	if !w.may(&k.booking, t.clock.Now()) {
		return &fleet.Error{Code: fleet.CodeNotFound, Message: "no such trip"}
	}
	for i := range missed[:min(len(missed), replayMost)] {
		if f := tellable(&missed[i])[w.audience()]; f != nil && missed[i].Seq <= k.booking.Seq {
			w.tell(t, *f)
		}
	}
	switch {
	case len(missed) > replayMost:
		w.out.End(EndMore)
		return nil
	case k.booking.Status.Ended():
		w.tell(t, k.snapshot(t, w.audience()))
		w.out.End(EndTripOver)
		return nil
	}
	w.tell(t, k.snapshot(t, w.audience()))
	k.watchers[w] = struct{}{}
	return nil
}

// admit records that a watcher is shown where the officers are.
func (k *track) admit(ctx context.Context, t *Tracks, w *watching) error {
	k.mu.Lock()
	var unrecorded []fleet.DriverID
	for _, s := range shownSeats(&k.booking) {
		if !w.audited[s.Driver] {
			unrecorded = append(unrecorded, s.Driver)
		}
	}
	k.mu.Unlock()
	if len(unrecorded) == 0 {
		return nil
	}
	if err := t.record(ctx, &w.Admission, unrecorded); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, d := range unrecorded {
		w.audited[d] = true
	}
	return nil
}
