package safety

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
)

// A clock that is set back by an hour, as when a database comes back that knows better,
// keeps nobody from being called, and lets nobody cancel what is long under way.
func TestAClockThatIsSetBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, bo, cy := w.person(fleet.RoleRider), w.person(fleet.RoleDispatcher), w.person(fleet.RoleDispatcher)
	if err := (schema.DuressCodes{DB: w.db}).Set(t.Context(), ada, []byte("hashed 9911"), noon); err != nil {
		t.Fatal(err)
	}
	w.contact(ada, fleet.ContactOptedIn)
	var tried atomic.Int32
	w.refuse = func(n fleet.Notice) (fleet.NoticeState, error) { // no text message gets through at first
		if n.Channel == fleet.SMSChannel && tried.Add(1) <= 2 {
			return fleet.NoticeQueued, errors.New("nobody answers")
		}
		return fleet.NoticeSent, nil
	}
	w.open().rota(fleet.VoiceChannel, bo, cy)
	s := w.raise(ada)
	w.stored(s.ID)
	w.until("two tries", func() bool {
		w.Watch.mu.Lock()
		defer w.Watch.mu.Unlock()
		waiting := 0
		for _, try := range w.tries {
			if try.count == 1 && !try.sending {
				waiting++
			}
		}
		return waiting == 2
	})
	if err := w.Relearn(t.Context()); err != nil { // the raiser's contacts are known now
		t.Fatal(err)
	}
	w.until("the first step", func() bool { return len(w.called(fleet.VoiceChannel)) == 1 })
	w.clock.Advance(-time.Hour)
	poke(w.tell)
	w.until("the contact to be told", func() bool { return w.took("safety_contact", fleet.MailChannel) == 1 })
	w.until("the text messages", func() bool { return w.took("safety_sos", fleet.SMSChannel) == 2 })
	w.until("the second step", func() bool { return slices.Equal(w.called(fleet.VoiceChannel), []fleet.UserID{bo, cy}) })
	w.clock.Advance(fleet.StepLength)
	w.until("the third step", func() bool { return len(w.called(fleet.VoiceChannel)) == 3 })
	for _, code := range []string{"", "9911"} { // which nobody can tell apart
		got, err := w.Cancel(t.Context(), Cancel{Raiser: fleet.Raiser{User: ada}, Code: code})
		if err != nil || got.Over() || got.Shown() != fleet.SOSIsRaised || got.CancelAsked.IsZero() {
			t.Errorf("cancelled with %q: %v, over %v, shown as %s", code, err, got.Over(), got.Shown())
		}
	}
}
