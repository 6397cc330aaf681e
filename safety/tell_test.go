package safety

import (
	"errors"
	"slices"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// rota makes each of some people a step.
func (w *world) rota(channel fleet.Channel, people ...fleet.UserID) {
	w.t.Helper()
	steps := make([]fleet.SOSStep, len(people))
	for i, p := range people {
		steps[i] = fleet.SOSStep{Channel: channel, User: p}
	}
	if err := w.SetRota(w.t.Context(), steps); err != nil {
		w.t.Fatal(err)
	}
}

// called returns whom a channel has called, in order.
func (w *world) called(channel fleet.Channel) (users []fleet.UserID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.sent {
		if n.Channel == channel {
			users = append(users, n.User)
		}
	}
	return users
}

// steps is how many steps of the rota have begun.
func (w *world) steps(id fleet.SOSID) int {
	s, _ := w.here(id)
	return len(begun(&s))
}

func TestOpsAreToldAtOnceAndTheRotaUntilSomebodySeesToIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, bo, cy := w.person(fleet.RoleRider), w.person(fleet.RoleDispatcher), w.person(fleet.RoleDispatcher)
	w.person(fleet.RoleFinance) // who is not of ops
	w.open()
	w.rota(fleet.VoiceChannel, bo, cy)
	s := w.raise(ada) // the clock stands still: all that follows happens at once
	w.until("ops to be told by every channel", func() bool {
		return w.took("safety_sos", fleet.MailChannel) == 2 && w.took("safety_sos", fleet.SMSChannel) == 2
	})
	w.until("the first step", func() bool { return slices.Equal(w.called(fleet.VoiceChannel), []fleet.UserID{bo}) })
	w.clock.Advance(fleet.StepLength - time.Second)
	w.clock.Advance(time.Second)
	w.until("the second step", func() bool { return slices.Equal(w.called(fleet.VoiceChannel), []fleet.UserID{bo, cy}) })
	w.clock.Advance(fleet.StepLength)
	w.until("the first step again", func() bool { return slices.Equal(w.called(fleet.VoiceChannel), []fleet.UserID{bo, cy, bo}) })
	if got, err := w.Acknowledge(t.Context(), s.ID, cy); err != nil || got.AckedBy != cy.String() {
		t.Fatalf("%v, %+v", err, got)
	}
	if got, err := w.Acknowledge(t.Context(), s.ID, bo); err != nil || got.AckedBy != cy.String() { // who was first stands
		t.Errorf("%v, seen to by %s", err, got.AckedBy)
	}
	w.clock.Advance(10 * fleet.StepLength)
	stored := w.stored(s.ID)
	if n := w.steps(s.ID); n != 3 || len(w.called(fleet.VoiceChannel)) != 3 {
		t.Errorf("after the acknowledgement %d steps began", n)
	}
	told := 0
	for i := range stored.Timeline {
		if tell := stored.Timeline[i].Told; tell != nil && tell.State == fleet.NoticeSent && tell.User != (fleet.UserID{}) {
			told++
		}
	}
	if told != 7 {
		t.Errorf("the timeline says that %d messages were sent, want 7", told)
	}
}

// The steps of a rota are taken in their order, each by its own channel, thirty seconds
// after the one before, and what became of each is in the timeline.
func TestEachStepOfTheRotaCallsByItsChannel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, bo, cy := w.person(fleet.RoleRider), w.person(fleet.RoleDispatcher), w.person(fleet.RoleDispatcher)
	w.app(bo, "app")
	w.open()
	rota := []fleet.SOSStep{
		{Channel: fleet.ConsoleChannel, User: bo}, {Channel: fleet.PushChannel, User: bo}, {Channel: fleet.SMSChannel, User: cy}, {Channel: fleet.VoiceChannel, User: cy},
	}
	if err := w.SetRota(t.Context(), rota); err != nil {
		t.Fatal(err)
	}
	s := w.raise(ada)
	for i, want := range rota {
		w.until("a step to be taken", func() bool {
			got := w.stored(s.ID)
			return slices.ContainsFunc(got.Timeline, func(e fleet.SOSEntry) bool {
				shown := fleet.NoticeSent
				if want.Channel == fleet.ConsoleChannel {
					shown = fleet.NoticeShown
				}
				return e.Told != nil && e.Told.Step == i+1 && e.Told.Channel == want.Channel && e.Told.User == want.User && e.Told.State == shown
			})
		})
		if n := w.steps(s.ID); n != i+1 {
			t.Errorf("%d steps began, want %d", n, i+1)
		}
		w.clock.Advance(fleet.StepLength)
	}
}

func TestWhoIsNotReachedIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, state := range []fleet.NoticeState{fleet.NoticeQueued, fleet.NoticeUnknown} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ada := w.person(fleet.RoleRider)
			w.person(fleet.RoleDispatcher)
			tries := make(chan fleet.NoticeID, 100)
			w.refuse = func(n fleet.Notice) (fleet.NoticeState, error) { // text messages do not get through
				if n.Channel != fleet.SMSChannel {
					return fleet.NoticeSent, nil
				}
				tries <- n.ID
				if len(tries) < 3 {
					return state, errors.New("nobody answers")
				}
				return fleet.NoticeSent, nil
			}
			w.open()
			w.raise(ada)
			w.until("the mail, which nothing keeps", func() bool { return w.took("safety_sos", fleet.MailChannel) == 1 })
			w.until("the text message to get through", func() bool {
				w.clock.Advance(time.Second)
				return w.took("safety_sos", fleet.SMSChannel) == 1
			})
			if first, second := <-tries, <-tries; first != second {
				t.Error("a repeat is not seen to be one")
			}
		})
	}
}

func TestAProviderThatIsSlowKeepsNoOtherWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person(fleet.RoleRider)
	for range 2 * sendingAtOnce {
		w.person(fleet.RoleDispatcher)
	}
	answers := make(chan struct{})
	w.refuse = func(n fleet.Notice) (fleet.NoticeState, error) {
		if n.Channel == fleet.SMSChannel {
			<-answers
		}
		return fleet.NoticeSent, nil
	}
	w.open()
	s := w.raise(ada)
	w.until("all mail", func() bool { return w.took("safety_sos", fleet.MailChannel) == 2*sendingAtOnce })
	if _, err := w.Cancel(t.Context(), Cancel{Raiser: fleet.Raiser{User: ada}, SOS: s.ID}); err != nil {
		t.Error(err)
	}
	close(answers)
	w.stored(s.ID)
}

// A provider that answers when its SOS is long over, and forgotten here, harms nobody.
func TestAnAnswerThatComesWhenAllIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, bo := w.person(fleet.RoleRider), w.person(fleet.RoleDispatcher)
	answers, asked := make(chan struct{}), make(chan struct{}, 1)
	w.refuse = func(n fleet.Notice) (fleet.NoticeState, error) {
		if n.Channel == fleet.SMSChannel {
			asked <- struct{}{}
			<-answers
		}
		return fleet.NoticeSent, nil
	}
	w.open()
	s := w.raise(ada)
	<-asked
	w.clock.Advance(remembered)
	if _, err := w.Finish(t.Context(), s.ID, End{By: bo, Outcome: fleet.SOSResolved}); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(time.Hour)
	w.until("it to be forgotten", func() bool {
		poke(w.store)
		_, ok := w.here(s.ID)
		return !ok
	})
	close(answers)
	w.until("the answer to be heard", func() bool {
		w.Watch.mu.Lock()
		defer w.Watch.mu.Unlock()
		for _, try := range w.tries {
			if try.sending {
				return false
			}
		}
		return true
	})
}

func TestAHubThatWasKilledTellsOn(t *testing.T) {
	t.Parallel()
	db, dir, clock := schematest.Plain(t), t.TempDir(), fleet.NewManualClock(noon)
	dying := newWorldOn(t, db, dir, clock) // never opened: it tells nobody
	ada, bo := dying.person(fleet.RoleRider), dying.person(fleet.RoleDispatcher)
	s := dying.raise(ada)
	clock.Advance(time.Hour) // it lay there
	w := newWorldOn(t, db, dir, clock).open()
	w.rota(fleet.VoiceChannel, bo)
	w.until("ops to be told", func() bool {
		return w.took("safety_sos", fleet.MailChannel) == 1 && len(w.called(fleet.VoiceChannel)) == 1
	})
	w.stored(s.ID)
	w.until("all that was told to be written down", func() bool {
		got, _ := w.here(s.ID)
		n := 0
		for i := range got.Timeline {
			if got.Timeline[i].Told != nil {
				n++
			}
		}
		return n == 3
	})
	w.stored(s.ID)
	w.Close()
	next := newWorldOn(t, db, dir, clock).open()
	next.until("it to know of the SOS", func() bool { _, ok := next.here(s.ID); return ok })
	next.clock.Advance(fleet.StepLength)
	next.until("the next step", func() bool { return len(next.called(fleet.VoiceChannel)) == 1 })
	if n := next.took("safety_sos", fleet.MailChannel); n != 0 {
		t.Errorf("%d are told again of what they were told", n)
	}
}

// In the inbox of ops the latest SOS is the first, among all that they were told.
func TestSOSesStandInTheInboxAsTheyCame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bo := w.person(fleet.RoleDispatcher)
	w.open()
	var want []string
	for range 8 {
		s := w.raise(w.person(fleet.RoleRider))
		w.stored(s.ID)
		other := fleet.Notice{ID: fleet.NewID[fleet.Notice](), User: bo, Channel: fleet.InboxChannel, Kind: "news", Created: noon, Expires: noon.Add(time.Hour)}
		if err := (schema.Notices{DB: w.db}).Add(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		want = append(want, onceOf(s.ID), "")
	}
	slices.Reverse(want)
	inbox, err := (schema.Notices{DB: w.db}).Inbox(t.Context(), bo, fleet.NoticeID{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range inbox {
		got = append(got, n.Once)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the inbox has %q, want %q", got, want)
	}
}

// contact makes an emergency contact of a user's.
func (w *world) contact(user fleet.UserID, state fleet.ContactState) {
	w.t.Helper()
	w.exec(`INSERT INTO contacts (id, user_id, sealed, state, created, changed) VALUES ($1, $2, 'bo@example.com', $3, $4, $4)`,
		fleet.NewID[fleet.Contact](), user, string(state), noon)
}

func TestContactsAreToldIfTheyAgreedAndItIsNotCancelled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		call  fleet.SOSCall
		state fleet.ContactState
		then  func(w *world, s *fleet.SOS) error
		want  int
	}{
		{name: "agreed", state: fleet.ContactOptedIn, want: 1},
		{name: "invited", state: fleet.ContactInvited},
		{name: "declined", state: fleet.ContactDeclined},
		{name: "a drill", call: fleet.SOSCall{Drill: true}, state: fleet.ContactOptedIn},
		{name: "silent", call: fleet.SOSCall{Silent: true}, state: fleet.ContactOptedIn},
		{name: "cancelled", state: fleet.ContactOptedIn, then: func(w *world, s *fleet.SOS) error {
			_, err := w.Cancel(w.t.Context(), Cancel{Raiser: s.Raiser})
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ada := w.person(fleet.RoleRider)
			w.person(fleet.RoleDispatcher)
			w.contact(ada, c.state)
			w.open()
			c.call.User = ada
			s, err := w.Raise(c.call)
			if err != nil {
				t.Fatal(err)
			}
			w.until("ops to be told", func() bool { return w.took("safety_sos", fleet.MailChannel) == 1 })
			w.stored(s.ID)
			if n := w.took("safety_contact", fleet.MailChannel); n != 0 {
				t.Errorf("%d contacts were told while it could be cancelled", n)
			}
			if c.then != nil {
				if err := c.then(w, &s); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Relearn(t.Context()); err != nil { // the raiser's contacts are known now
				t.Fatal(err)
			}
			w.clock.Advance(fleet.CancelWindow + cancelKnown + time.Second)
			if c.want > 0 {
				w.until("the contact to be told", func() bool { return w.took("safety_contact", fleet.MailChannel) == c.want })
			}
			p := planner{book: w.book.Load(), contact: w.cfg.Contact, now: w.now(), opened: noon}
			got, _ := w.here(s.ID)
			all, _ := p.all(&got)
			planned := slices.DeleteFunc(all, func(t telling) bool { return t.notice.Kind != "safety_contact" })
			if len(planned) != c.want {
				t.Errorf("%d contacts are to be told, want %d", len(planned), c.want)
			}
		})
	}
}

func TestASnapshotTellsWhatTheDatabaseWould(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		w := newWorldOn(t, db, t.TempDir(), fleet.NewManualClock(noon))
		bo := w.person(fleet.RoleDispatcher)
		w.open()
		w.rota(fleet.SMSChannel, bo)
		kept, err := ReadBook(w.dir, plainSealer{})
		if err != nil || len(kept.Ops) != 1 || kept.Ops[0].Phone != "+447700900123" || len(kept.Rota) != 1 || kept.Rota[0].User != bo {
			t.Fatalf("%v, %+v", err, kept)
		}
		if w.Ready(t.Context()) != nil || !HasBook(w.dir) || HasBook(t.TempDir()) {
			t.Error("a rota is there, and a snapshot where there is one")
		}
		w.Close()
		away, err := schema.Nowhere()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(away.Close)
		alone := newWorldOn(t, away, w.dir, w.clock).open()
		if s := alone.raise(fleet.NewID[fleet.User]()); s.Over() {
			t.Error("it is over")
		}
		alone.until("ops to be told without the database", func() bool {
			return alone.took("safety_sos", fleet.MailChannel) == 1 && alone.took("safety_sos", fleet.SMSChannel) == 2
		})
	})
}
