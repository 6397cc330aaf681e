package safety

import (
	"slices"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema/schematest"
)

// pair is two hubs that share a database and a clock, each with a folder of its own.
type pair struct {
	one, two *world
	ada      fleet.UserID
	bo, cy   fleet.UserID
}

func newPair(t *testing.T) *pair {
	t.Helper()
	db, clock := schematest.Plain(t), fleet.NewManualClock(noon)
	p := &pair{one: newWorldOn(t, db, t.TempDir(), clock), two: newWorldOn(t, db, t.TempDir(), clock)}
	p.ada, p.bo, p.cy = p.one.person(fleet.RoleRider), p.one.person(fleet.RoleDispatcher), p.one.person(fleet.RoleDispatcher)
	p.one.open().rota(fleet.VoiceChannel, p.bo, p.cy)
	p.two.open()
	return p
}

// looks has a hub look after others now, and waits until it has.
func (w *world) looks(id fleet.SOSID, kept bool) {
	w.t.Helper()
	w.until("the hub to look", func() bool {
		poke(w.store)
		var until time.Time
		err := w.db.Pool().QueryRow(w.t.Context(), `SELECT coalesce(kept_until, 'epoch') FROM sos WHERE id = $1`, id).Scan(&until)
		w.Watch.mu.Lock()
		defer w.Watch.mu.Unlock()
		mine, known := w.kept[id]
		return err == nil && known && mine == kept && (!kept || until.Equal(w.clock.Now().Add(keepFor)))
	})
}

func (w *world) keeps(id fleet.SOSID) bool {
	w.Watch.mu.Lock()
	defer w.Watch.mu.Unlock()
	return w.kept[id]
}

// calls is whom both hubs have called, together.
func (p *pair) calls() []fleet.UserID {
	return append(p.one.called(fleet.VoiceChannel), p.two.called(fleet.VoiceChannel)...)
}

// mails is how often ops were written to.
func (p *pair) mails() int {
	return p.one.took("safety_sos", fleet.MailChannel) + p.two.took("safety_sos", fleet.MailChannel)
}

// after lets time pass, in which the hub that keeps an SOS goes on keeping it.
func (p *pair) after(d time.Duration, keeper *world, id fleet.SOSID) {
	for end := keeper.clock.Now().Add(d); keeper.clock.Now().Before(end); {
		keeper.clock.Advance(lookEvery)
		keeper.looks(id, true)
	}
}

// Of two hubs one calls; when it dies, the other goes on where it was, and keeps on when
// it comes back. Whoever is asked, an acknowledgement ends it on both.
func TestOfTwoHubsOneCalls(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	one, two := p.one, p.two
	s := one.raise(p.ada)
	one.stored(s.ID)
	one.looks(s.ID, true)
	two.looks(s.ID, false)
	one.until("ops, and the first step", func() bool { return len(p.calls()) == 1 && p.mails() == 2 })
	p.after(fleet.StepLength, one, s.ID)
	one.until("the second step", func() bool { return len(p.calls()) == 2 })
	one.stored(s.ID)
	two.looks(s.ID, false)
	if got := p.calls(); !slices.Equal(got, []fleet.UserID{p.bo, p.cy}) || p.mails() != 2 || len(two.sent) != 0 {
		t.Fatalf("both hubs called %v, and wrote %d mails", got, p.mails())
	}

	one.Close() // as kill -9 does: it says nothing to anybody
	two.clock.Advance(keepFor)
	two.looks(s.ID, true)
	two.until("the third step", func() bool {
		two.clock.Advance(time.Second)
		return len(p.calls()) == 3
	})
	back := newWorldOn(t, one.db, one.dir, one.clock).open()
	back.looks(s.ID, false)
	p.after(fleet.StepLength, two, s.ID)
	two.until("the fourth step", func() bool { return len(p.calls()) == 4 })
	if got := two.steps(s.ID); got != 4 || p.mails() != 2 || len(back.sent) != 0 {
		t.Errorf("%d steps, %d mails, %d by the hub that came back", got, p.mails(), len(back.sent))
	}

	if got, err := back.Acknowledge(t.Context(), s.ID, p.bo); err != nil || got.AckedBy != p.bo.String() {
		t.Fatalf("%v, %+v", err, got)
	}
	back.stored(s.ID)
	two.until("the other hub to know", func() bool {
		two.looks(s.ID, true)
		known, _ := two.here(s.ID)
		return !known.Acked.IsZero()
	})
	p.after(2*fleet.StepLength, two, s.ID)
	if len(p.calls()) != 4 {
		t.Errorf("%d calls after the acknowledgement", len(p.calls()))
	}
}

// An app sends its SOS in several ways at once, and behind a balancer they may end on
// two hubs: it is one SOS all the same, and once they know of each other one calls.
func TestOnePressOnTwoHubsIsOneSOS(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	press := p.press()
	first, err := p.one.Raise(press)
	if err != nil {
		t.Fatal(err)
	}
	second, err := p.two.Raise(press)
	if err != nil || second.ID != first.ID {
		t.Fatalf("%v: %s and %s", err, first.ID, second.ID)
	}
	p.one.stored(first.ID)
	stored := p.two.stored(first.ID)
	if n := len(stored.Clients); n != 1 || !stored.Received.Equal(noon) {
		t.Errorf("%d presses, received %s", n, stored.Received)
	}
	var rows, holds int
	err = p.one.db.Pool().QueryRow(t.Context(), `SELECT (SELECT count(*) FROM sos), (SELECT count(*) FROM legal_holds WHERE user_id = $1)`, p.ada).Scan(&rows, &holds)
	if err != nil || rows != 1 || holds != 1 {
		t.Errorf("%d SOSes and %d holds, %v", rows, holds, err)
	}
	if at, err := p.one.Broken(t.Context(), first.ID); err != nil || at != 0 {
		t.Errorf("the chain breaks at %d, %v", at, err)
	}
	// One of them has it, and the steps are counted as one.
	keeper, other := p.one, p.two
	keeper.until("one to keep it", func() bool {
		for _, w := range []*world{p.one, p.two} {
			poke(w.store)
		}
		if keeper, other = p.one, p.two; p.two.keeps(first.ID) {
			keeper, other = p.two, p.one
		}
		return p.one.keeps(first.ID) != p.two.keeps(first.ID)
	})
	keeper.until("the first step, by either", func() bool { return len(p.calls()) > 0 })
	p.after(fleet.StepLength, keeper, first.ID)
	keeper.until("the second step", func() bool { return slices.Contains(keeper.called(fleet.VoiceChannel), p.cy) })
	if slices.Contains(other.called(fleet.VoiceChannel), p.cy) || keeper.steps(first.ID) != 2 {
		t.Errorf("the hubs called %v and %v, in %d steps", keeper.called(fleet.VoiceChannel), other.called(fleet.VoiceChannel), keeper.steps(first.ID))
	}
}

// press is of Ada's app. Its id is made by the app's clock, which is about right; this
// test's stands at noon.
func (p *pair) press() fleet.SOSCall {
	call := fleet.SOSCall{Client: fleet.NewID[fleet.SOSCall](), Raiser: fleet.Raiser{User: p.ada}, Type: fleet.SOSMedical, Via: "rest"}
	copy(call.Client[:6], noonID())
	return call
}

// noonID is how a UUIDv7 of noon begins.
func noonID() []byte {
	ms := uint64(noon.UnixMilli())
	return []byte{byte(ms >> 40), byte(ms >> 32), byte(ms >> 24), byte(ms >> 16), byte(ms >> 8), byte(ms)}
}

// A press that came to two hubs is cancelled on one of them, which then has all of it in
// the database: the other, which heard of it a moment later, calls nobody any more.
func TestACancelOnOneHubEndsItOnTheOther(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	press := p.press()
	first, err := p.one.Raise(press)
	if err != nil {
		t.Fatal(err)
	}
	p.one.stored(first.ID)
	p.one.clock.Advance(50 * time.Millisecond)
	second, err := p.two.Raise(press)
	if err != nil || second.ID != first.ID {
		t.Fatalf("%v: %s and %s", err, first.ID, second.ID)
	}
	p.two.stored(first.ID)
	if s, err := p.one.Cancel(t.Context(), Cancel{Raiser: fleet.Raiser{User: p.ada}, Client: press.Client}); err != nil || !s.Over() {
		t.Fatalf("%v, over: %v", err, s.Over())
	}
	p.one.stored(first.ID)
	p.two.until("the other to know", func() bool {
		poke(p.two.store)
		s, _ := p.two.here(first.ID)
		return s.Over()
	})
}

// A cancel is heard by any hub, also by one that does not know yet of what another has
// raised; and contacts are told by none before all know that it was not cancelled.
func TestACancelThatComesToAnotherHub(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.one.contact(p.ada, fleet.ContactOptedIn)
	for name, said := range map[string]func(*fleet.SOS) Cancel{
		"by its id":      func(s *fleet.SOS) Cancel { return Cancel{SOS: s.ID} },
		"by the press's": func(s *fleet.SOS) Cancel { return Cancel{Client: s.Clients[0]} },
		"by neither":     func(*fleet.SOS) Cancel { return Cancel{} },
	} {
		s := p.one.raise(p.ada)
		p.one.stored(s.ID)
		p.one.clock.Advance(fleet.CancelWindow)
		c := said(&s)
		c.User = p.cy
		if got, err := p.two.Cancel(t.Context(), c); err != nil || got.ID == s.ID {
			t.Errorf("%s: somebody else cancels it: %v", name, err)
		}
		c.User = p.ada
		if got, err := p.two.Cancel(t.Context(), c); err != nil || got.ID != s.ID || !got.Over() {
			t.Fatalf("%s: %v, over: %v", name, err, got.Over())
		}
		p.two.stored(s.ID)
		p.one.clock.Advance(lookEvery)
		p.one.until("the hub that raised it to know", func() bool {
			got, _ := p.one.here(s.ID)
			return got.Over()
		})
	}
	if n := p.one.took("safety_contact", fleet.MailChannel); n != 0 {
		t.Errorf("%d contacts were told", n)
	}
}
