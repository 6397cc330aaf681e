package ingest

import (
	"errors"
	"strings"
	"testing"
	"unsafe"

	"armora/fleet"
)

// The weight of a message is that of its points, however few bytes they came in.
func TestMessageWeighsWhatItsPointsDo(t *testing.T) {
	t.Parallel()
	s := newMemory()
	p := running(t, config(s, eager()))
	messagePoints := []fleet.Point{fix(0, 0), fix(1, 10), fix(2, 20)}
	k := send(p, phone(), messagePoints...)
	mustAck(t, k)
	if least := 3 * int(unsafe.Sizeof(fleet.Point{})); k.weight < least {
		t.Errorf("three points weigh %d, and take %d", k.weight, least)
	}
}

// A message for which there is no room leaves nothing behind: when it comes
// again, it is new.
func TestMessageWithoutRoom(t *testing.T) {
	t.Parallel()
	s := newMemory()
	c := config(s, eager())
	moved := 0
	c.Move = each(func(Move) { moved++ })
	p := running(t, c)
	from, full := phone(), errors.New("full")
	k := newTicket()
	k.room = full
	message := Message{From: from, Topic: points, Payload: payload(fix(0, 0)), Received: at(0)}
	message.Ack = k
	p.Receive(message)
	if err := k.outcome(t); !errors.Is(err, full) || s.count() != 0 || moved != 0 {
		t.Errorf("resolved with %v; %d stored, the map moved %d times", err, s.count(), moved)
	}
	mustAck(t, deliver(p, from, points, message.Payload, at(1)))
	if s.count() != 1 || moved != 1 {
		t.Errorf("told again: %d stored, the map moved %d times", s.count(), moved)
	}
}

// The reason of a dead letter is short, whatever the names in it.
func TestReasonIsShort(t *testing.T) {
	t.Parallel()
	s := newMemory()
	p := running(t, config(s, eager()))
	long := strings.Repeat("x", 100_000)
	mustAck(t, deliver(p, phone(), gatewayTelemetry, []byte(`{"`+long+`":[`+telemetry+`]}`), at(0)))
	if letters := s.buried(); len(letters) != 1 || len(letters[0].Reason) > maxText {
		t.Errorf("%d dead letters, the reason has %d bytes", len(letters), len(letters[0].Reason))
	}
}
