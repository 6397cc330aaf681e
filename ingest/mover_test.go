package ingest

import (
	"slices"
	"testing"

	"armora/fleet"
)

// Who is told that a point was taken finds it on the map. While the map is busy what
// comes waits, and then goes to it together, in the order in which each device told it.
func TestWhatIsAcknowledgedIsOnTheMap(t *testing.T) {
	t.Parallel()
	s := newMemory()
	c := config(s, eager())
	began, busy := make(chan struct{}), make(chan struct{})
	var groups [][]Move // written by one goroutine at a time, read when all is acknowledged
	c.Move = func(moves []Move) {
		groups = append(groups, slices.Clone(moves))
		if len(groups) == 1 {
			close(began)
			<-busy
		}
	}
	p := running(t, c)
	one, other := phone(), phone()
	tickets := []*ticket{send(p, one, fix(0, 0))}
	<-began
	for i := range 20 {
		tickets = append(tickets, send(p, one, fix(float64(1+i), float64(i))), send(p, other, fix(float64(i), float64(i))))
	}
	for i, k := range tickets {
		if !k.pending() {
			t.Errorf("message %d is acknowledged, and not on the map", i)
		}
	}
	if n := s.count(); n != 0 {
		t.Errorf("%d points are stored before they are on the map", n)
	}
	close(busy)
	mustAck(t, tickets...)
	if len(groups) > 3 {
		t.Errorf("what had waited came in %d groups", len(groups)-1)
	}
	last, moved := make(map[fleet.DeviceID]fleet.Millis), 0
	for _, m := range slices.Concat(groups...) {
		if m.At <= last[m.Point.Device] {
			t.Errorf("%v was moved to where it was at %d after %d", m.Point.Device, m.At, last[m.Point.Device])
		}
		last[m.Point.Device] = m.At
		moved++
	}
	if moved != 41 || s.count() != 41 {
		t.Errorf("%d moves, %d points stored", moved, s.count())
	}
}
