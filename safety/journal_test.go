package safety

import (
	"slices"
	"testing"

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
	if _, err := w.Cancel(Cancel{Raiser: fleet.Raiser{User: bo}}); err != nil {
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
