package ingest

import (
	"testing"

	"armora/fleet"
)

func TestSpellsSayWhenAPersonMayBeFollowed(t *testing.T) {
	t.Parallel()
	var s Spells
	ada, bo := fleet.NewID[fleet.User](), fleet.NewID[fleet.User]()
	if s.Keep(ada, at(0)) {
		t.Error("one of whom nothing is said may be followed")
	}
	s.Set(ada, []fleet.Spell{{From: at(0), To: at(10)}, {From: at(10), To: at(20)}, {From: at(30), To: at(30)}, {From: at(40)}})
	for second, want := range map[float64]bool{-1: false, 0: true, 9: true, 10: true, 19.999: true, 20: false, 30: false, 39: false, 40: true, 1e6: true} {
		if s.Keep(ada, at(second)) != want {
			t.Errorf("second %v: %v", second, !want)
		}
	}
	if s.Keep(bo, at(5)) {
		t.Error("another may be followed")
	}
	s.Set(ada, nil)
	if s.Keep(ada, at(5)) || len(s.of) != 0 {
		t.Error("what was taken back is still there")
	}
}

// Not parallel: testing.AllocsPerRun counts those of the whole process.
func TestToKeepAllocatesNothing(t *testing.T) {
	var s Spells
	ada := fleet.NewID[fleet.User]()
	s.Set(ada, []fleet.Spell{{From: at(0), To: at(10)}, {From: at(40)}})
	if n := testing.AllocsPerRun(100, func() { s.Keep(ada, at(5)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestWhoMayNotBeFollowedIsAcknowledgedAndNotStored(t *testing.T) {
	t.Parallel()
	store, moved := newMemory(), 0
	var spells Spells
	c := config(store, eager())
	c.Keep = spells.Keep
	c.Move = each(func(Move) { moved++ })
	p := running(t, c)
	officer := phone()
	officer.User = fleet.NewID[fleet.User]()
	rider, car := phone(), phone()
	rider.User = fleet.NewID[fleet.User]()
	spells.Set(officer.User, []fleet.Spell{{From: at(10), To: at(20)}})

	// A backlog that reaches over both ends of a shift, and comes after it.
	backlog := []fleet.Point{fix(5, 0), fix(10, 1), fix(19, 2), fix(20, 3), fix(60, 4)}
	mustAck(t, send(p, officer, backlog...), send(p, rider, fix(15, 0)), send(p, car, fix(15, 0)))
	for i, point := range backlog {
		point.Device = officer.Device
		if kept := store.has(point.Key()); kept != (i == 1 || i == 2) {
			t.Errorf("fix %d was kept: %v", i, kept)
		}
	}
	if s := p.Stats(); store.count() != 3 || moved != 3 || s.Unfollowed != 4 || s.Points != 7 || s.Stored != 3 || s.Repeats != 0 || s.Acked != 3 {
		t.Errorf("%d stored, %d moved: %+v", store.count(), moved, s)
	}
	// A shift that is told late: the phone sends again what it may.
	spells.Set(officer.User, []fleet.Spell{{From: at(0)}})
	mustAck(t, send(p, officer, backlog...))
	if s := p.Stats(); store.count() != 6 || s.Repeats != 2 {
		t.Errorf("%d stored: %+v", store.count(), s)
	}
}

// A phone whose clock is an hour ahead is followed by the right time.
func TestShiftsAreKeptByTheCorrectedTime(t *testing.T) {
	t.Parallel()
	store := newMemory()
	var spells Spells
	c := config(store, eager())
	c.Keep = spells.Keep
	p := running(t, c)
	officer := phone()
	officer.User = fleet.NewID[fleet.User]()
	spells.Set(officer.User, []fleet.Spell{{From: at(0), To: at(100)}})
	ahead := fix(3600, 0)
	ahead.Sent = ahead.Fix
	mustAck(t, deliver(p, officer, "v1/devices/x/points", payload(ahead), at(0)))
	if store.count() != 1 {
		t.Error("a fix of the shift was not kept")
	}
}
