package ingest

import (
	"context"
	"errors"
	"testing"

	"armora/fleet"
)

// latest returns a source of stored fixes that ends with err.
func latest(err error, stored ...fleet.Point) func(context.Context, fleet.Millis, func(fleet.Point) error) error {
	return func(_ context.Context, since fleet.Millis, yield func(fleet.Point) error) error {
		for _, p := range stored {
			if p.Fix < since {
				continue
			}
			if err := yield(p); err != nil {
				return err
			}
		}
		return err
	}
}

func TestRestoreTakesUpWhereTheHubLeftOff(t *testing.T) {
	t.Parallel()
	s, from := newMemory(), phone()
	from.Driver = fleet.NewID[fleet.Driver]()
	type shown struct {
		unit fleet.Unit
		at   fleet.Millis
	}
	var moves []shown
	c := config(s, eager())
	c.Move = each(func(m Move) { moves = append(moves, shown{m.Unit, m.At}) })
	p := running(t, c)

	last, skewed, old := fix(100, 1000), fix(5, 0), fix(-5000, 0)
	last.Device, last.Received = from.Device, at(101)
	skewed.Device, skewed.Received, skewed.Flags = fleet.NewID[fleet.Device](), at(102), fleet.FlagSkewed
	old.Device, old.Received = fleet.NewID[fleet.Device](), at(103)
	unit := func(id fleet.DeviceID) fleet.Unit {
		if id == from.Device {
			return from.Unit()
		}
		return fleet.Unit(id)
	}
	if err := p.Restore(context.Background(), at(0), latest(nil, last, skewed, old), unit); err != nil {
		t.Fatal(err)
	}
	want := []shown{{from.Unit(), at(100)}, {fleet.Unit(skewed.Device), at(102)}}
	if len(moves) != 2 || moves[0] != want[0] || moves[1] != want[1] {
		t.Fatalf("shown %v, want %v", moves, want)
	}

	mustAck(t, send(p, from, fix(101, 50e3)), send(p, from, fix(50, 500)), send(p, from, fix(102, 1020)))
	for _, c := range []struct {
		point   fleet.Point
		verdict fleet.Verdict
		flags   fleet.Flags
	}{
		{fix(101, 50e3), fleet.ImpossibleJump, 0},
		{fix(50, 500), fleet.OK, fleet.FlagLate},
		{fix(102, 1020), fleet.OK, 0},
	} {
		got := s.points[key0(from, c.point)]
		if got.Verdict != c.verdict || got.Flags != c.flags {
			t.Errorf("fix at %d: %v, flags %b; want %v, %b", c.point.Fix, got.Verdict, got.Flags, c.verdict, c.flags)
		}
	}

	broken := errors.New("connection reset")
	if err := p.Restore(context.Background(), 0, latest(broken), unit); !errors.Is(err, broken) {
		t.Errorf("Restore: %v", err)
	}
}
