package safety

import (
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
)

// A phone's clock may say anything. What it says of a time that cannot be written down
// refuses nobody help, and spoils it for nobody else.
func TestAClockOfNoTimeThatCouldBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t).open()
	ada, eve, bo := w.person(fleet.RoleRider), w.person(fleet.RoleRider), w.person(fleet.RoleDispatcher)
	said := make([]time.Time, 3)
	for i, text := range []string{"9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00+23:59", "0001-01-01T00:00:01Z"} {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		said[i] = at
		s, err := w.Raise(fleet.SOSCall{Client: fleet.NewID[fleet.SOSCall](), Raiser: fleet.Raiser{User: ada}, Occurred: at})
		if err != nil || !s.Occurred.Equal(noon) {
			t.Errorf("pressed at %s: %v, taken for %s", text, err, s.Occurred)
		}
	}
	if s := w.stored(w.raise(eve).ID); s.User != eve {
		t.Errorf("the next is of %s", s.User)
	}
	for _, step := range []fleet.SOSStep{{Channel: fleet.SMSChannel, User: bo, Until: said[0]}, {Channel: fleet.SMSChannel, User: bo, Since: said[1]}} {
		if err := w.SetRota(t.Context(), []fleet.SOSStep{step}); fleet.CodeOf(err) != fleet.CodeInvalid {
			t.Errorf("on call from %s to %s: %v", step.Since, step.Until, err)
		}
	}
}

// A real press joins no exercise: all are told of it, in words and under a reference of
// its own, also those who were told of the exercise, and whoever saw to that does not yet
// see to it.
func TestARealPressDuringADrill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, bo := w.person(fleet.RoleRider), w.person(fleet.RoleDispatcher)
	w.open().rota(fleet.VoiceChannel, bo)
	drill, err := w.Raise(fleet.SOSCall{Client: fleet.NewID[fleet.SOSCall](), Raiser: fleet.Raiser{User: ada}, Drill: true})
	if err != nil {
		t.Fatal(err)
	}
	w.until("the drill to be told", func() bool {
		return w.took("safety_sos", fleet.MailChannel) == 1 && len(w.called(fleet.VoiceChannel)) == 1
	})
	if _, err := w.Acknowledge(t.Context(), drill.ID, bo); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(time.Minute)
	s := w.raise(ada)
	if s.ID == drill.ID || s.Drill || !s.Acked.IsZero() {
		t.Errorf("joined the drill: %v; a drill: %v; seen to: %v", s.ID == drill.ID, s.Drill, s.Acked)
	}
	w.until("ops to be told that it is real, and called", func() bool {
		return w.took("safety_sos", fleet.MailChannel) == 2 && len(w.called(fleet.VoiceChannel)) == 2
	})
	again, err := w.Raise(fleet.SOSCall{Client: fleet.NewID[fleet.SOSCall](), Raiser: fleet.Raiser{User: ada}, Drill: true})
	if err != nil || again.ID != s.ID || again.Drill {
		t.Errorf("a drill in an emergency: %v, %s, a drill: %v", err, again.ID, again.Drill)
	}
	cancelled, err := w.Cancel(t.Context(), Cancel{Raiser: fleet.Raiser{User: ada}})
	if err != nil || cancelled.ID != s.ID || !cancelled.Over() {
		t.Errorf("%v, %s is cancelled", err, cancelled.ID)
	}
	w.stored(s.ID)
	var held int
	if err := w.db.Pool().QueryRow(t.Context(), `SELECT count(*) FROM legal_holds WHERE user_id = $1`, ada).Scan(&held); err != nil || held != 1 {
		t.Errorf("%v, %d holds", err, held)
	}
}

// A button that is stuck, and gives its presses no id, fills neither memory nor the
// timeline; that it is no exercise counts all the same.
func TestAButtonThatIsStuck(t *testing.T) {
	t.Parallel()
	w := newWorld(t).open()
	button := fleet.Raiser{Device: fleet.NewID[fleet.Device]()}
	for range 3 * pressesKept {
		if _, err := w.Raise(fleet.SOSCall{Raiser: button}); err != nil {
			t.Fatal(err)
		}
	}
	s, err := w.Raise(fleet.SOSCall{Raiser: button, Silent: true})
	if n := len(kinds(&s)); err != nil || n > pressesKept+1 || !s.Silent {
		t.Errorf("%v, %d presses are kept, silent: %v", err, n, s.Silent)
	}
}

// The duress code raises also where what there was is over: who enters it was made to
// look as if they were safe. Entered again, it is the same call for help.
func TestDuressAfterACancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person(fleet.RoleRider)
	if err := (schema.DuressCodes{DB: w.db}).Set(t.Context(), ada, []byte("hashed 9911"), noon); err != nil {
		t.Fatal(err)
	}
	w.open()
	first := w.raise(ada)
	cancel := Cancel{Raiser: fleet.Raiser{User: ada}, SOS: first.ID}
	plain, err := w.Cancel(t.Context(), cancel)
	if err != nil || !plain.Over() {
		t.Fatalf("%v, over: %v", err, plain.Over())
	}
	for range 2 {
		cancel.Code = "9911"
		forced, err := w.Cancel(t.Context(), cancel)
		if err != nil || forced.ID != plain.ID || forced.Shown() != plain.Shown() || !forced.Duress.IsZero() {
			t.Errorf("%v: they can be told apart: %+v, %+v", err, plain, forced)
		}
	}
	open, err := w.List(t.Context(), true, fleet.SOSID{}, 10)
	if err != nil || len(open) != 1 || open[0].Duress.IsZero() || open[0].User != ada {
		t.Errorf("%v, %+v", err, open)
	}
}
