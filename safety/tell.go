package safety

import (
	"context"
	"time"

	"armora/fleet"
)

const (
	sendTimeout = 20 * time.Second // for one try to send
	// sendingAtOnce is how much is sent by one channel at a time: a provider that is
	// slow keeps no other waiting.
	sendingAtOnce = 16
)

// try is what has been tried to send.
type try struct {
	count   int
	sending bool
	next    time.Time // not before
}

// retryAfter is how long after so many tries the next one is made.
func retryAfter(tries int) time.Duration { return min(time.Second<<min(tries, 5), retryLongest) }

const retryLongest = 30 * time.Second

// call tells people, until ctx ends.
func (w *Watch) call(ctx context.Context) {
	turns := make(map[fleet.Channel]chan struct{})
	for _, c := range []fleet.Channel{fleet.PushChannel, fleet.SMSChannel, fleet.MailChannel, fleet.VoiceChannel} {
		turns[c] = make(chan struct{}, sendingAtOnce)
	}
	for {
		next := w.callDue(ctx, turns)
		var fired <-chan time.Time
		stop := func() bool { return true }
		if !next.IsZero() {
			fired, stop = w.clock.NewTimer(next.Sub(w.clock.Now()))
		}
		select {
		case <-ctx.Done():
			stop()
			return
		case <-fired:
		case <-w.tell:
			stop()
		}
	}
}

// callDue begins to tell whoever is to be told now, and returns when there is more to
// do; zero: not before something happens.
func (w *Watch) callDue(ctx context.Context, turns map[fleet.Channel]chan struct{}) (next time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := planner{book: w.book.Load(), contact: w.cfg.Contact, now: w.now(), opened: w.opened}
	for _, s := range w.all {
		if s.Over() || !w.kept[s.ID] {
			continue
		}
		w.beginStep(&p, s)
		tellings, later := p.all(s)
		next = earlier(next, later)
		for _, t := range tellings {
			start, again := w.tryNow(s, &t, p.now)
			next = earlier(next, again)
			if start {
				id := s.ID
				w.running.Go(func() { w.send(ctx, id, t, turns[t.notice.Channel]) })
			}
		}
	}
	return next
}

// beginStep writes down that a step of the rota begins. w.mu is held.
func (w *Watch) beginStep(p *planner, s *fleet.SOS) {
	number := p.due(s)
	if number == 0 {
		return
	}
	e := w.entry(s.ID, fleet.SOSEscalated, Hub)
	called := p.called(number)
	e.Note = &fleet.SOSNote{Step: number, Channel: called.Channel, User: called.User}
	if err := w.write(s, e); err != nil {
		w.log.Error("a step of the rota is not written down", "sos", s.ID, "error", err)
	}
}

// tryNow marks a telling as being sent, if it is to be sent now. Else it returns when
// it is to be tried again; zero: it is done, or under way. w.mu is held.
func (w *Watch) tryNow(s *fleet.SOS, t *telling, now time.Time) (start bool, again time.Time) {
	if told(s, t.notice.ID) {
		return false, again
	}
	known := w.tries[t.notice.ID]
	if known == nil {
		known = new(try)
		w.tries[t.notice.ID] = known
	}
	if known.sending || !now.Before(t.notice.Expires) {
		return false, again
	}
	if wait := known.next.Sub(now); wait > 0 && wait <= retryLongest { // one that is longer is of a clock that was set back
		return false, known.next
	}
	known.sending = true
	known.count++
	return true, again
}

// told reports whether a notice has been dealt with for good.
func told(s *fleet.SOS, id fleet.NoticeID) bool {
	for i := range s.Timeline {
		if t := s.Timeline[i].Told; t != nil && t.Notice == id {
			return true
		}
	}
	return false
}

// send sends one message, and writes down what became of it. What was surely, or
// perhaps, not taken is tried again: whoever gets it twice sees by its reference that
// it is the same.
func (w *Watch) send(ctx context.Context, id fleet.SOSID, t telling, turns chan struct{}) {
	state, problem := fleet.NoticeShown, ""
	if turns != nil {
		select {
		case turns <- struct{}{}:
		case <-ctx.Done():
			return
		}
		state, problem = w.hand(ctx, &t)
		<-turns
	}
	if ctx.Err() != nil && state != fleet.NoticeSent {
		return // the next hub tries again
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s, tried := w.all[id], w.tries[t.notice.ID]
	tried.sending = false
	tried.next = w.now().Add(retryAfter(tried.count))
	defer poke(w.tell)
	again := state == fleet.NoticeQueued || state == fleet.NoticeUnknown
	if again && w.now().Add(retryAfter(tried.count)).Before(t.notice.Expires) {
		w.log.Warn("somebody could not be told of an SOS, and is tried again", "sos", id, "channel", t.notice.Channel, "problem", problem)
		return
	}
	delete(w.tries, t.notice.ID)
	if s == nil {
		return // it was over, and has been forgotten here since
	}
	e := w.entry(id, fleet.SOSTold, Hub)
	e.Told = &fleet.SOSTell{
		Notice: t.notice.ID, Channel: t.notice.Channel, User: t.notice.User, Contact: t.contact, Step: t.step, State: state, Problem: problem,
	}
	if err := w.write(s, e); err != nil {
		w.log.Error("that somebody was told of an SOS is not written down", "sos", id, "error", err)
	}
}

// hand hands a telling to its channel.
func (w *Watch) hand(ctx context.Context, t *telling) (fleet.NoticeState, string) {
	if t.notice.To == "" && t.notice.Channel != fleet.PushChannel {
		return fleet.NoticeFailed, "they have no verified address for it"
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	state, err := w.cfg.Send(ctx, t.notice, t.data, t.apps...)
	if err != nil {
		return state, err.Error()
	}
	return state, ""
}
