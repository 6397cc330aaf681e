package safety

import (
	"cmp"
	"context"
	"crypto/subtle"
	"slices"
	"time"

	"armora/fleet"
)

// Hub is who does what nobody asked for.
const Hub = "hub"

// pressesKept bounds how many presses of one SOS are written down.
const pressesKept = 50

// by is who a raiser is to a timeline.
func by(r *fleet.Raiser) string {
	if r.User.IsZero() {
		return "device/" + r.Device.String()
	}
	return r.User.String()
}

// Raise raises an SOS, or joins the raiser's open one. When it returns nil, that is
// on disk. A press that is known joins what it opened, whatever has become of that.
func (w *Watch) Raise(call fleet.SOSCall) (fleet.SOS, error) {
	known := w.book.Load()
	if call.User.IsZero() {
		call.User = known.userOf(call.Driver)
	}
	if call.Driver.IsZero() {
		call.Driver = known.driverOf(call.User)
	}
	call.Trip = known.tripOf(&call)
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.answered(&call.Raiser, call.Client); s != nil {
		return view(s), w.persist()
	}
	call.Occurred = call.Occurred.UTC().Truncate(time.Microsecond)
	if !couldBe(call.Occurred) {
		call.Occurred = w.now()
	}
	if s := w.openOf(&call.Raiser, call.Drill); s != nil {
		if presses(s) >= pressesKept && (s.Silent || !call.Silent) { // one that makes it silent counts
			return view(s), w.persist()
		}
		e := w.entry(s.ID, fleet.SOSJoined, by(&call.Raiser))
		e.Call = &call
		return w.written(s, e)
	}
	s, e := w.raising(&call)
	return w.written(s, e)
}

func (w *Watch) raising(call *fleet.SOSCall) (*fleet.SOS, fleet.SOSEntry) {
	s := &fleet.SOS{ID: fleet.SOSIDOf(&call.Raiser, call.Client, w.now())}
	e := w.entry(s.ID, fleet.SOSRaised, by(&call.Raiser))
	e.Call = call
	return s, e
}

// answered returns the SOS that a press was answered with; nil: it is a new one.
// w.mu is held.
func (w *Watch) answered(r *fleet.Raiser, client fleet.SOSClientID) *fleet.SOS {
	for _, s := range w.all {
		if s.Knows(client) && s.Key() == r.Key() {
			return s
		}
	}
	return nil
}

// openOf returns the open SOS of a raiser; nil if there is none. One that they were
// made to cancel is none any more, for them. An exercise is one only if drills count,
// and if there is no other: a real press joins none, since all were told, and perhaps
// somebody has acknowledged, that nothing has happened. w.mu is held.
func (w *Watch) openOf(r *fleet.Raiser, drills bool) (found *fleet.SOS) {
	for _, s := range w.all {
		switch {
		case s.Over() || s.Hidden || s.Key() != r.Key():
		case !s.Drill:
			return s
		case drills:
			found = s
		}
	}
	return found
}

// presses is how many presses of an SOS were written down.
func presses(s *fleet.SOS) (count int) {
	for i := range s.Timeline {
		if s.Timeline[i].Call != nil {
			count++
		}
	}
	return count
}

// Cancel is what somebody asks who has raised an SOS, or was made to.
type Cancel struct {
	fleet.Raiser
	SOS    fleet.SOSID       // which; zero: by Client, or their open one
	Client fleet.SOSClientID // the press that opened it
	Code   string            // that was entered; it may be their duress code
}

// Cancel cancels an SOS within fleet.CancelWindow after it was received. Later it
// only passes the wish on to ops. With the duress code it does neither: it answers
// the same, and the SOS goes on, silently; if there is none, it raises one.
//
// What it returns is what the one who asked is shown. What this hub does not know yet
// is looked for in the database.
func (w *Watch) Cancel(ctx context.Context, c Cancel) (fleet.SOS, error) {
	w.mu.Lock()
	s := w.meant(&c)
	w.mu.Unlock()
	if s == nil && !c.User.IsZero() {
		ctx, done := context.WithTimeout(ctx, cancelPatience)
		defer done()
		if theirs, err := w.table.OpenOf(ctx, c.User, c.SOS); err == nil { // else there is none, as far as is known
			w.mu.Lock()
			w.mergeAll(theirs)
			w.mu.Unlock()
		}
	}
	return w.cancel(c)
}

// cancelPatience is how long somebody who cancels waits for the database.
const cancelPatience = 2 * time.Second

// cancel is Cancel of what this hub knows.
func (w *Watch) cancel(c Cancel) (fleet.SOS, error) {
	known := w.book.Load()
	if c.User.IsZero() {
		c.User = known.userOf(c.Driver)
	}
	duress := w.duress(known, c.User, c.Code)
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.meant(&c)
	if s == nil {
		if duress {
			return fleet.SOS{}, w.underDuress(known, &c)
		}
		return fleet.SOS{}, nil
	}
	kind := fleet.SOSCancelled
	switch late := !s.Cancellable(w.now()); {
	case s.Over() && duress && s.Duress.IsZero(): // they are made to do it again
		return view(s), w.underDuress(known, &c)
	case s.Over() || s.Hidden:
		return view(s), w.persist()
	case duress:
		kind = fleet.SOSDuress
	case late && !s.CancelAsked.IsZero():
		return view(s), w.persist()
	case late:
		kind = fleet.SOSCancelAsked
	}
	if kind == fleet.SOSDuress && !s.Duress.IsZero() {
		return view(s), w.persist()
	}
	return w.written(s, w.entry(s.ID, kind, by(&c.Raiser)))
}

// underDuress raises an SOS for somebody who was made to cancel where nothing is
// raised, as they see it. Entered again, the code is of the same. w.mu is held.
func (w *Watch) underDuress(known *book, c *Cancel) error {
	for _, s := range w.all {
		if s.Hidden && !s.Over() && s.Key() == c.Key() {
			return w.persist()
		}
	}
	call := fleet.SOSCall{Raiser: c.Raiser, Type: fleet.SOSThreat, Silent: true, Occurred: w.now(), Via: "cancel"}
	call.Trip = known.tripOf(&call)
	s, raised := w.raising(&call)
	return w.write(s, raised, w.entry(s.ID, fleet.SOSDuress, by(&c.Raiser)))
}

// duress reports whether a code is the user's duress code.
func (w *Watch) duress(known *book, user fleet.UserID, code string) bool {
	if user.IsZero() || code == "" {
		return false
	}
	return subtle.ConstantTimeCompare(known.duress[user], w.cfg.Code(user, code)) == 1
}

// meant returns the SOS that a cancel is about, of the raiser's own; nil if there is
// none. w.mu is held.
func (w *Watch) meant(c *Cancel) *fleet.SOS {
	if s := w.all[c.SOS]; s != nil && s.Key() == c.Key() {
		return s
	}
	if s := w.answered(&c.Raiser, c.Client); s != nil {
		return s
	}
	if !c.SOS.IsZero() {
		return nil
	}
	return w.openOf(&c.Raiser, true)
}

// Acknowledge says that a named person of ops sees to an SOS. Nobody else is called
// from then on. Who was first stands.
func (w *Watch) Acknowledge(ctx context.Context, id fleet.SOSID, user fleet.UserID) (fleet.SOS, error) {
	return w.change(ctx, id, func(s *fleet.SOS) (fleet.SOSEntry, bool) {
		return w.entry(id, fleet.SOSAcknowledged, user.String()), s.Acked.IsZero()
	})
}

// End is how ops close an SOS.
type End struct {
	By      fleet.UserID
	Outcome fleet.SOSOutcome
	Note    string
}

// Finish closes an SOS.
func (w *Watch) Finish(ctx context.Context, id fleet.SOSID, end End) (fleet.SOS, error) {
	return w.change(ctx, id, func(*fleet.SOS) (fleet.SOSEntry, bool) {
		e := w.entry(id, fleet.SOSClosed, end.By.String())
		e.Note = &fleet.SOSNote{Outcome: end.Outcome, Text: end.Note}
		return e, true
	})
}

// change adds an entry to an open SOS; make says which, and whether it says anything
// new.
func (w *Watch) change(ctx context.Context, id fleet.SOSID, make func(*fleet.SOS) (fleet.SOSEntry, bool)) (fleet.SOS, error) {
	if err := w.fetch(ctx, id); err != nil {
		return fleet.SOS{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.all[id]
	if s.Over() {
		return fleet.SOS{}, &fleet.Error{Code: fleet.CodeConflict, Message: "the SOS is over already"}
	}
	e, news := make(s)
	if !news {
		return view(s), w.persist()
	}
	return w.written(s, e)
}

// seenFor is for how long somebody who is shown an SOS over and over is said, in its
// timeline, to have seen it.
const seenFor = time.Minute

// Seen says that somebody is shown SOSes while the database is away, where it is
// recorded otherwise. When it returns nil, that is on disk.
func (w *Watch) Seen(by string, ids ...fleet.SOSID) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		s := w.all[id]
		if s == nil {
			continue // who is to be shown it read it from the database just now
		}
		e := w.entry(id, fleet.SOSSeen, by)
		said := slices.ContainsFunc(s.Timeline, func(known fleet.SOSEntry) bool {
			return known.Kind == e.Kind && known.By == by && e.At.Sub(known.At).Abs() < seenFor
		})
		if said {
			continue
		}
		if err := w.write(s, e); err != nil {
			return err
		}
	}
	return w.persist()
}

// fetch sees to it that an SOS is in memory: another hub may have raised it.
func (w *Watch) fetch(ctx context.Context, id fleet.SOSID) error {
	w.mu.Lock()
	_, known := w.all[id]
	w.mu.Unlock()
	if known {
		return nil
	}
	s, err := w.table.Get(ctx, id)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.merge(&s)
	w.refollow()
	return nil
}

// Get returns an SOS, whoever raised it: for ops.
func (w *Watch) Get(ctx context.Context, id fleet.SOSID) (fleet.SOS, error) {
	if s, ok := w.here(id); ok {
		return s, nil
	}
	return w.table.Get(ctx, id)
}

// Of returns an SOS that a user has raised. Another's is CodeNotFound.
func (w *Watch) Of(ctx context.Context, user fleet.UserID, id fleet.SOSID) (fleet.SOS, error) {
	if s, ok := w.here(id); ok && s.User == user && !user.IsZero() {
		return s, nil
	}
	return w.table.Of(ctx, user, id)
}

func (w *Watch) here(id fleet.SOSID) (fleet.SOS, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := w.all[id]
	if !ok {
		return fleet.SOS{}, false
	}
	return view(s), true
}

// List returns up to limit SOSes with ids before the given one, the newest first;
// those that are open alone, if open, which are known also while the database is
// away.
func (w *Watch) List(ctx context.Context, open bool, before fleet.SOSID, limit int) ([]fleet.SOS, error) {
	found := make(map[fleet.SOSID]fleet.SOS)
	if !open {
		stored, err := w.table.List(ctx, before, limit)
		if err != nil {
			return nil, err
		}
		for _, s := range stored {
			found[s.ID] = s
		}
	}
	w.mu.Lock()
	for id, s := range w.all {
		_, listed := found[id]
		if earlier := before.IsZero() || slices.Compare(id[:], before[:]) < 0; earlier && (listed || !s.Over()) {
			found[id] = view(s)
		}
	}
	w.mu.Unlock()
	list := make([]fleet.SOS, 0, len(found))
	for _, s := range found {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b fleet.SOS) int { return slices.Compare(b.ID[:], a.ID[:]) })
	return list[:min(len(list), limit)], nil
}

// NameOf returns the name of somebody of ops; "" if it is not known any more.
func (w *Watch) NameOf(user string) string {
	for i := range w.book.Load().Ops {
		if p := &w.book.Load().Ops[i]; p.User.String() == user {
			return cmp.Or(p.Name, p.Email)
		}
	}
	return ""
}

// written writes an entry down and returns the SOS as it is then.
func (w *Watch) written(s *fleet.SOS, e fleet.SOSEntry) (fleet.SOS, error) {
	err := w.write(s, e)
	return view(s), err
}

// view is a copy that nobody changes. Its timeline is only ever added to.
func view(s *fleet.SOS) fleet.SOS {
	c := *s
	c.Clients, c.Timeline = slices.Clone(s.Clients), slices.Clone(s.Timeline)
	return c
}
