package safety

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"armora/fleet"
	"armora/schema"
)

const (
	storeTimeout = 10 * time.Second // for one try to store
	storeRetry   = time.Second      // between two
	storeAtOnce  = 250              // entries of one try
	// lookEvery is how often it is looked what other hubs did.
	lookEvery = 5 * time.Second
	// keepFor is for how long a hub that is heard of no more keeps an SOS, before
	// another calls people for it.
	keepFor = 20 * time.Second
)

// keep stores what happens in the database, and does there what follows from it,
// until ctx ends.
func (w *Watch) keep(ctx context.Context) {
	for {
		wait := w.storeAll(ctx)
		var fired <-chan time.Time
		stop := func() bool { return true }
		if wait > 0 {
			fired, stop = w.clock.NewTimer(wait)
		}
		select {
		case <-ctx.Done():
			stop()
			return
		case <-fired:
		case <-w.store:
			stop()
		}
	}
}

// storeAll stores what waits. It returns after how long there is more to do; 0: not
// before something happens.
func (w *Watch) storeAll(ctx context.Context) time.Duration {
	w.publish()
	refused := make(map[fleet.SOSID]bool)
	for {
		record, more := w.nextRecord(refused)
		if !more {
			break
		}
		try, cancel := context.WithTimeout(ctx, storeTimeout)
		stored, err := w.table.Store(try, record)
		cancel()
		if known := w.away; err != nil && ctx.Err() == nil {
			if w.away = true; !known {
				w.log.Warn("an emergency cannot be stored in the database; it is in the journal, and tried again", "sos", record.SOS.ID, "error", err)
			}
		}
		switch {
		case err == nil:
			w.away = false
			w.storedIn(record.SOS.ID, stored)
			if record.Entries[0].Kind == fleet.SOSRaised {
				w.relearnFor(ctx)
			}
		case schema.IsBadRow(err):
			refused[record.SOS.ID] = true // it must not keep the others waiting
		default:
			return storeRetry
		}
	}
	if len(refused) > 0 {
		return storeRetry
	}
	return w.followUp(ctx)
}

// publish tells the rest of the hub what has changed.
func (w *Watch) publish() {
	w.mu.Lock()
	changed := w.changed
	w.changed = nil
	w.mu.Unlock()
	for _, c := range changed {
		w.cfg.Bus.SOS.Publish(c)
	}
}

// relearnFor reads the book anew for somebody who is in it only since their SOS is
// stored.
func (w *Watch) relearnFor(ctx context.Context) {
	if err := w.Relearn(ctx); err != nil && ctx.Err() == nil {
		w.log.Warn("the book of emergencies cannot be read anew", "error", err)
	}
}

// nextRecord returns what waits of the SOS that has waited longest, but for some.
func (w *Watch) nextRecord(but map[fleet.SOSID]bool) (r schema.SOSRecord, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := slices.IndexFunc(w.pending, func(e fleet.SOSEntry) bool { return !but[e.SOS] })
	if at < 0 {
		return r, false
	}
	id := w.pending[at].SOS
	for _, e := range w.pending {
		if e.SOS == id && len(r.Entries) < storeAtOnce {
			r.Entries = append(r.Entries, e)
		}
	}
	s := view(w.all[id])
	r.SOS, r.Keeper, r.KeptUntil = &s, w.hub, w.now().Add(keepFor)
	if slices.ContainsFunc(r.Entries, func(e fleet.SOSEntry) bool { return e.Kind == fleet.SOSRaised }) {
		r.Inbox, r.Protect = w.inApp(&s), w.onTrip(&s)
	}
	return r, true
}

// onTrip are the users on the trip of an SOS.
func (w *Watch) onTrip(s *fleet.SOS) (users []fleet.UserID) {
	known := w.book.Load()
	for i := range known.Trips {
		if t := &known.Trips[i]; t.Booking == s.Trip && t.Principal != s.User {
			users = append(users, t.Principal)
		}
	}
	return users
}

// inApp are the notices by which ops find an SOS in their app.
func (w *Watch) inApp(s *fleet.SOS) (all []fleet.Notice) {
	p := planner{book: w.book.Load(), now: w.now()}
	for i := range p.book.Ops {
		t, _ := p.toOps(s, &p.book.Ops[i], fleet.InboxChannel, "ops", s.Received.Add(remembered))
		plain, err := json.Marshal(t.data)
		if err != nil {
			continue // strings are always written
		}
		t.notice.Sealed = w.cfg.Sealer.Seal(plain, t.notice.Purpose())
		all = append(all, t.notice)
	}
	return all
}

// storedIn notes that entries are in the database.
func (w *Watch) storedIn(id fleet.SOSID, stored []fleet.SOSEntry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, done := w.all[id], make(map[fleet.SOSEntryID]bool, len(stored))
	for _, e := range stored {
		done[e.ID] = true
		if err := s.Apply(e); err != nil {
			w.log.Error("an entry of an SOS cannot be applied", "sos", id, "entry", e.ID, "error", err)
		}
	}
	isDone := func(e fleet.SOSEntry) bool { return done[e.ID] }
	w.pending = slices.DeleteFunc(w.pending, isDone)
	w.unwritten = slices.DeleteFunc(w.unwritten, isDone)
	w.trim()
}

// trim takes out of the journal what the database has, but for what is open and kept
// by this hub: that is there when it starts again, and the database is away. w.mu is held.
func (w *Watch) trim() {
	if len(w.pending) > 0 {
		return
	}
	var open []fleet.SOSEntry
	for id, s := range w.all {
		if w.kept[id] && !s.Over() {
			open = append(open, s.Timeline...)
		}
	}
	if err := w.journal.keep(open); err != nil {
		w.log.Error("the journal of emergencies cannot be trimmed; what it holds is stored", "error", err)
	}
}

// followUp asks phones for their position each second while an SOS is open, and sees
// what other hubs have done.
func (w *Watch) followUp(ctx context.Context) time.Duration {
	w.mu.Lock()
	var due []fleet.SOS
	for id, s := range w.all {
		if raised, restored := rates(s); w.kept[id] && (raised && s.Over() && !restored || !raised && !s.Over()) {
			due = append(due, view(s))
		}
		if s.Over() && len(w.pending) == 0 && s.Received.Before(w.now().Add(-remembered)) {
			delete(w.all, id)
			delete(w.kept, id)
		}
	}
	w.mu.Unlock()
	for i := range due {
		w.setRate(ctx, &due[i])
	}
	w.look(ctx)
	return lookEvery
}

// look takes over what other hubs have written of what is open, and finds out for
// which of that this hub calls people: what it has raised itself, and what the hub that
// did is heard of no more. While the database is away that stays as it was.
func (w *Watch) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	open, err := w.table.Keep(ctx, w.hub, w.now(), w.now().Add(keepFor))
	if err != nil {
		return // the next look will do
	}
	w.mu.Lock()
	var here []fleet.SOSID // that others may have ended
	for id, s := range w.all {
		if !s.Over() {
			here = append(here, id)
		}
	}
	w.mu.Unlock()
	known, err := w.table.Open(ctx, here...)
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mergeAll(known)
	for id, mine := range open {
		w.kept[id] = mine
	}
	w.trim()
	poke(w.tell)
}

// rates reports whether phones were asked for more positions, and for no more.
func rates(s *fleet.SOS) (raised, restored bool) {
	for i := range s.Timeline {
		raised = raised || s.Timeline[i].Kind == fleet.SOSRateRaised
		restored = restored || s.Timeline[i].Kind == fleet.SOSRateRestored
	}
	return raised, restored
}

// rateLife is how long the command waits for a phone that is not connected.
const rateLife = time.Hour

// setRate commands the phones of a trip to tell where they are each second, or, when
// it is over, as usual.
func (w *Watch) setRate(ctx context.Context, s *fleet.SOS) {
	hertz, kind := 1, fleet.SOSRateRaised
	phones := w.book.Load().phones(s)
	if s.Over() {
		hertz, kind, phones = 0, fleet.SOSRateRestored, commanded(s)
	}
	body, err := json.Marshal(map[string]int{"hz": hertz})
	if err != nil {
		return // a number is always written
	}
	e := w.entry(s.ID, kind, Hub)
	e.Note = &fleet.SOSNote{}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	for _, phone := range phones {
		_, err := w.cfg.Command(ctx, phone, "position_rate", body, rateLife)
		if fleet.CodeOf(err) == fleet.CodeUnavailable && err != nil {
			return // all of them again, later
		}
		if err == nil {
			e.Note.Devices = append(e.Note.Devices, phone)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if live := w.all[s.ID]; live != nil {
		if err := w.write(live, e); err != nil {
			w.log.Error("that phones were commanded is not written down", "sos", s.ID, "error", err)
		}
	}
}

func commanded(s *fleet.SOS) (devices []fleet.DeviceID) {
	for i := range s.Timeline {
		if e := &s.Timeline[i]; e.Kind == fleet.SOSRateRaised && e.Note != nil {
			devices = append(devices, e.Note.Devices...)
		}
	}
	return devices
}
