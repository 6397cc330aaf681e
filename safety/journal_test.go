package safety

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// An SOS that the database has, and that is not over, is known also to a hub that starts
// while the database is away: it calls on where it was.
func TestAnOpenSOSOutlivesTheDatabaseAndItsHub(t *testing.T) {
	t.Parallel()
	db, dir, clock := schematest.Plain(t), t.TempDir(), fleet.NewManualClock(noon)
	w := newWorldOn(t, db, dir, clock)
	ada, bo, cy := w.person(fleet.RoleRider), w.person(fleet.RoleDispatcher), w.person(fleet.RoleDispatcher)
	w.open().rota(fleet.VoiceChannel, bo, cy)
	s, over := w.raise(ada), w.raise(bo)
	if _, err := w.Cancel(t.Context(), Cancel{Raiser: fleet.Raiser{User: bo}}); err != nil {
		t.Fatal(err)
	}
	w.until("the first step", func() bool {
		return slices.Contains(w.called(fleet.VoiceChannel), bo) && w.took("safety_sos", fleet.MailChannel) >= 2
	})
	w.stored(s.ID)
	w.Close()

	away, err := schema.Nowhere()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(away.Close)
	alone := newWorldOn(t, away, dir, clock).open()
	got, ok := alone.here(s.ID)
	if !ok || got.User != ada || !got.Received.Equal(noon) || !got.Wants() {
		t.Fatalf("known: %v, %+v", ok, got)
	}
	if _, ok := alone.here(over.ID); ok {
		t.Error("what is over is kept on disk")
	}
	clock.Advance(fleet.StepLength)
	alone.until("the second step", func() bool { return slices.Equal(alone.called(fleet.VoiceChannel), []fleet.UserID{cy}) })
	if n := alone.took("safety_sos", fleet.MailChannel); n != 0 {
		t.Errorf("%d are told again of what they were told", n)
	}
}

// Phones that were asked for a position each second are asked for no more by the next
// hub, if the one that saw the SOS end could not.
func TestPhonesAreAskedForNoMoreByTheNextHub(t *testing.T) {
	t.Parallel()
	db, dir, clock := schematest.Plain(t), t.TempDir(), fleet.NewManualClock(noon)
	hub := func(command func(hertz string) error) *world {
		return newWorldOn(t, db, dir, clock, func(c *Config) {
			c.Command = func(ctx context.Context, _ fleet.DeviceID, _ string, body json.RawMessage, _ time.Duration) (fleet.Command, error) {
				if _, limited := ctx.Deadline(); !limited {
					t.Error("a database that stalls would keep what happens from being stored")
				}
				return fleet.Command{}, command(string(body))
			}
		}).open()
	}
	failed := make(chan struct{}, 100)
	w := hub(func(hertz string) error {
		if hertz == `{"hz":1}` {
			return nil
		}
		failed <- struct{}{}
		return &fleet.Error{Code: fleet.CodeUnavailable, Message: "the database is away"}
	})
	ada := w.person(fleet.RoleRider)
	s, err := w.Raise(fleet.SOSCall{Raiser: fleet.Raiser{User: ada, Device: w.phone(ada)}})
	if err != nil {
		t.Fatal(err)
	}
	w.until("the phone to be asked", func() bool {
		got, _ := w.here(s.ID)
		asked, _ := rates(&got)
		return asked
	})
	if _, err := w.Finish(t.Context(), s.ID, End{By: ada, Outcome: fleet.SOSResolved}); err != nil {
		t.Fatal(err)
	}
	<-failed
	w.stored(s.ID)
	w.Close()
	asked := make(chan string, 100)
	hub(func(hertz string) error {
		asked <- hertz
		return nil
	})
	select {
	case got := <-asked:
		if got != `{"hz":0}` {
			t.Errorf("the phone is asked for %s", got)
		}
	case <-time.After(30 * time.Second):
		t.Error("the phone tells where it is each second for ever")
	}
}

// What has gathered while the database was away is stored in pieces, each of which it
// takes within the time that a try has.
func TestMuchIsStoredInPieces(t *testing.T) {
	t.Parallel()
	db, dir, clock := schematest.Plain(t), t.TempDir(), fleet.NewManualClock(noon)
	away := newWorldOn(t, db, dir, clock) // never opened: it stores nothing
	s := away.raise(away.person(fleet.RoleRider))
	for range 2 * storeAtOnce {
		clock.Advance(seenFor)
		if err := away.Seen("ops", s.ID); err != nil {
			t.Fatal(err)
		}
	}
	if r, more := away.nextRecord(nil); !more || len(r.Entries) != storeAtOnce {
		t.Errorf("%d entries are stored at once", len(r.Entries))
	}
	w := newWorldOn(t, db, dir, clock).open()
	if got := w.stored(s.ID); len(kinds(&got)) != 2*storeAtOnce+1 {
		t.Errorf("%d entries are stored", len(kinds(&got)))
	}
	if at, err := w.Broken(t.Context(), s.ID); err != nil || at != 0 {
		t.Errorf("the chain breaks at %d, %v", at, err)
	}
}
