package dispatch

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"armora/bus"
	"armora/dispatch/eta"
	"armora/fleet"
	"armora/live/fence"
)

// watch is what is remembered of the trips that are under way, or soon will be.
// All of it can be read or found out again.
type watch struct {
	wake chan struct{} // holds a token when a booking or a standing has changed

	mu       sync.Mutex
	opened   time.Time // since when anything could be heard
	trips    map[fleet.BookingID]*watched
	byDriver map[fleet.DriverID][]fleet.BookingID
	changed  map[fleet.BookingID]bool // to be read again
	fit      map[fleet.DriverID]bool  // who was last said to be fit to work, or not to be

	fences *fence.Set // has a lock of its own
	places map[fence.ID]watchedPlace
}

// watched is one trip, as it was when it was last read: whatever of it changes is
// put anew, but for what is known of its people.
type watched struct {
	booking fleet.Booking
	fences  map[fleet.TripPlace]fence.ID
	people  map[fleet.DriverID]*person
	eta     *ETA // nil: nobody knows
	passed  int  // stops that lie behind the lead; for the goroutine that watches
}

type watchedPlace struct {
	booking fleet.BookingID
	place   fleet.TripPlace
}

// person is an officer of a trip, and what ops were last told of them.
type person struct {
	since               time.Time // when they were first watched
	atPickup            bool      // for the goroutine that watches
	arriving            time.Time // when they had set out who was told to be arriving; likewise
	heard               hearing   // likewise
	silent, late, unfit mark
}

// mark is something that ops were told of, or told that it is over. At first nobody
// knows: after a restart one or the other is told again, which changes nothing.
type mark struct{ is atomic.Int32 }

// What a mark is.
const (
	unknown int32 = iota
	no
	yes
)

func (m *mark) yes() bool { return m.is.Load() == yes }

// becomes reports whether that is news.
func (m *mark) becomes(is bool) bool {
	now := no
	if is {
		now = yes
	}
	return m.is.Swap(now) != now
}

// forget makes the next that is told news.
func (m *mark) forget() { m.is.Store(unknown) }

func (w *watch) init(set *fence.Set, now time.Time) {
	w.wake, w.fences, w.opened = make(chan struct{}, 1), set, now
	w.trips, w.byDriver = make(map[fleet.BookingID]*watched), make(map[fleet.DriverID][]fleet.BookingID)
	w.changed, w.fit = make(map[fleet.BookingID]bool), make(map[fleet.DriverID]bool)
	w.places = make(map[fence.ID]watchedPlace)
}

// begin says that from now on fixes are heard.
func (w *watch) begin(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened = now
}

func (w *watch) signal() {
	select {
	case w.wake <- struct{}{}:
	default: // it is awake
	}
}

// suspect notes that a booking has changed.
func (w *watch) suspect(id fleet.BookingID) {
	w.mu.Lock()
	w.changed[id] = true
	w.mu.Unlock()
	w.signal()
}

// standing notes who may not work any more, or may again.
func (w *watch) standing(s bus.Standing) {
	w.mu.Lock()
	was, said := w.fit[s.Driver]
	w.fit[s.Driver] = len(s.Tiers) > 0
	news := (!said || was != w.fit[s.Driver]) && len(w.byDriver[s.Driver]) > 0
	w.mu.Unlock()
	if news {
		w.signal()
	}
}

// suspects takes the bookings that have changed.
func (w *watch) suspects() []fleet.BookingID {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := slices.Collect(maps.Keys(w.changed))
	clear(w.changed)
	return ids
}

// all returns the trips that are watched, in order.
func (w *watch) all() []*watched {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := slices.Collect(maps.Values(w.trips))
	slices.SortFunc(all, func(a, b *watched) int { return slices.Compare(a.booking.ID[:], b.booking.ID[:]) })
	return all
}

func (w *watch) get(id fleet.BookingID) *watched {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.trips[id]
}

// ofDriver returns the trips of a driver.
func (w *watch) ofDriver(driver fleet.DriverID) []fleet.BookingID {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.byDriver[driver]
}

// put watches a trip as it is now.
func (w *watch) put(trip *watched) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if old := w.trips[trip.booking.ID]; old != nil {
		for place, id := range old.fences {
			if trip.fences[place] != id {
				w.fences.Remove(id)
				delete(w.places, id)
			}
		}
	}
	w.trips[trip.booking.ID] = trip
	for place, id := range trip.fences {
		w.places[id] = watchedPlace{trip.booking.ID, place}
	}
	w.index()
}

// drop watches a trip no more.
func (w *watch) drop(id fleet.BookingID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	trip := w.trips[id]
	if trip == nil {
		return
	}
	delete(w.trips, id)
	for _, f := range trip.fences {
		w.fences.Remove(f)
		delete(w.places, f)
	}
	w.index()
	for driver := range trip.people {
		if len(w.byDriver[driver]) == 0 {
			w.fences.Forget(fleet.Unit(driver))
		}
	}
}

// index finds trips by their drivers. w.mu is held.
func (w *watch) index() {
	clear(w.byDriver)
	for id, trip := range w.trips {
		for driver := range trip.people {
			w.byDriver[driver] = append(w.byDriver[driver], id)
		}
	}
}

// watches reports whether a booking is one to be watched.
func (t *Trips) watches(b *fleet.Booking) bool {
	return b.Status.Active() || b.Status == fleet.Assigned && b.Start.Before(t.clock.Now().Add(t.rules.Horizon))
}

// load reads which trips are under way. What a change of theirs told already is
// read once more: it costs little, and whatever was missed is found.
func (t *Trips) load(ctx context.Context) error {
	const page = 500
	seen := make(map[fleet.BookingID]bool)
	before := t.clock.Now().Add(t.rules.Horizon)
	for after := (fleet.BookingID{}); ; {
		bookings, err := t.trips.UnderWay(ctx, before, after, page)
		if err != nil {
			return err
		}
		for i := range bookings {
			after = bookings[i].ID
			seen[after] = true
			if err := t.follow(ctx, bookings[i]); err != nil {
				return err
			}
		}
		if len(bookings) < page {
			break
		}
	}
	for _, trip := range t.watch.all() {
		if !seen[trip.booking.ID] {
			t.watch.suspect(trip.booking.ID)
		}
	}
	return t.reread(ctx)
}

// catchUpWithChanges reads what has changed, and looks at whom that concerns.
func (t *Trips) catchUpWithChanges(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := errors.Join(t.reread(limited), t.seeUnfit(limited))
	if err != nil && ctx.Err() == nil {
		t.log.Warn("trips that have changed could not be read, it is tried again in a moment", "error", err)
	}
}

// reread reads the bookings that have changed. Those that could not be read are
// found again by load.
func (t *Trips) reread(ctx context.Context) error {
	for _, id := range t.watch.suspects() {
		b, err := t.Get(ctx, id)
		switch {
		case fleet.CodeOf(err) == fleet.CodeNotFound || err == nil && !t.watches(&b):
			t.watch.drop(id)
		case err != nil:
			return err
		default:
			if err := t.follow(ctx, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// follow watches a booking as it is, or goes on to.
func (t *Trips) follow(ctx context.Context, b fleet.Booking) error {
	old := t.watch.get(b.ID)
	if old != nil && old.booking.Version >= b.Version {
		return nil
	}
	trip := &watched{booking: b, fences: make(map[fleet.TripPlace]fence.ID), people: make(map[fleet.DriverID]*person)}
	if old != nil && !moved(old, &b) {
		trip.eta = old.eta
	}
	for _, s := range b.Seats {
		if s.State != fleet.SeatCommitted && s.State != fleet.SeatActive {
			continue
		}
		trip.people[s.Driver] = &person{since: t.clock.Now()}
		if old != nil && old.people[s.Driver] != nil {
			trip.people[s.Driver] = old.people[s.Driver]
		}
	}
	if err := t.fence(trip, old); err != nil {
		return err
	}
	if old == nil {
		if err := t.restorePresence(ctx, trip); err != nil {
			return err
		}
	}
	if old != nil && old.booking.Status == b.Status && slices.Equal(old.booking.Stops, b.Stops) {
		trip.passed = old.passed
	} else if passed, err := t.stopsPassed(ctx, &b); err != nil {
		return err
	} else {
		trip.passed = passed
	}
	if trip.eta == nil {
		trip.eta = t.estimate(ctx, trip)
	}
	t.watch.put(trip)
	return nil
}

// moved reports whether a trip goes elsewhere, or with another lead, than it was
// known to.
func moved(old *watched, b *fleet.Booking) bool {
	was, is := old.booking.Lead(), b.Lead()
	return old.booking.Status != b.Status || was == nil || is == nil || was.Driver != is.Driver ||
		!samePlace(&old.booking, b, fleet.AtPickup) || !samePlace(&old.booking, b, fleet.AtDestination) ||
		!slices.Equal(old.booking.Stops, b.Stops)
}

// restorePresence puts officers back into the fences in which they were when that
// was last kept.
func (t *Trips) restorePresence(ctx context.Context, trip *watched) error {
	presence, err := t.trips.Presence(ctx, trip.booking.ID)
	if err != nil {
		return err
	}
	var stays []fence.Stay
	for _, p := range presence {
		id, fenced := trip.fences[p.Place]
		who := trip.people[p.Driver]
		at, _ := pointOf(&trip.booking, p.Place)
		if !fenced || who == nil || !p.Inside || at != (eta.Point{Lat: p.Lat, Lon: p.Lon}) {
			continue
		}
		who.atPickup = who.atPickup || p.Place == fleet.AtPickup
		since := fleet.MillisOf(p.Since)
		stays = append(stays, fence.Stay{Fence: id, Unit: fleet.Unit(p.Driver), Since: since, At: since})
	}
	t.watch.fences.Restore(stays)
	return nil
}
