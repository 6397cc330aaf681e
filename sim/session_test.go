package sim

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/autopaho/queue"
	"github.com/eclipse/paho.golang/packets"

	"armora/sim/wire"
)

// TestForgottenSessionIsCounted lets a hub come back without the session: paho
// throws the unanswered messages away, and the sender's books must say so.
func TestForgottenSessionIsCounted(t *testing.T) {
	t.Parallel()
	log := NewLog()
	c := newClient(Device{ID: "x"}, unixMillis, nil, newTally(1), log, quiet)
	connect := &packets.Connect{Properties: &packets.Properties{SessionExpiryInterval: new(uint32)}}
	*connect.Properties.SessionExpiryInterval = 60
	connack := func(present bool) *packets.Connack {
		return &packets.Connack{SessionPresent: present, Properties: &packets.Properties{}}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	send := func() uint16 {
		t.Helper()
		publish := &packets.Publish{QoS: 1, Properties: &packets.Properties{}}
		must(c.session.AddToSession(t.Context(), publish, make(chan packets.ControlPacket, 1)))
		must(c.outbox.Remove())
		return publish.PacketID
	}
	for i := range int64(4) {
		c.publishPoints(wire.At(i, 1, 2))
	}
	must(c.session.ConAckReceived(io.Discard, connect, connack(false)))
	first := send()
	send()
	refused := send()
	answer := func(id uint16, code byte) {
		must(c.session.PacketReceived(&packets.ControlPacket{
			FixedHeader: packets.FixedHeader{Type: packets.PUBACK},
			Content:     &packets.Puback{PacketID: id, ReasonCode: code},
		}, nil))
	}
	answer(first, 0)
	answer(refused, 0x97)
	answer(999, 0) // a stray one changes nothing
	must(c.session.ConnectionLost(nil))

	must(c.session.ConAckReceived(io.Discard, connect, connack(true)))
	if stats := c.tally.stats(); stats.Lost != 0 || stats.Pending != 2 {
		t.Errorf("the session was there, but: %+v", stats)
	}
	must(c.session.ConnectionLost(nil))
	must(c.session.ConAckReceived(io.Discard, connect, connack(false)))
	stats := c.tally.stats()
	if stats.Handed != 4 || stats.Published != 3 || stats.Acknowledged != 1 || stats.Rejected != 1 || stats.Lost != 1 || stats.Pending != 1 {
		t.Errorf("stats: %+v", stats)
	}
	if lost := keysOf(log, Lost); len(lost) != 1 || lost[Entry{Device: "x", Fix: 1, Lat: 1, Lon: 2}] != 1 {
		t.Errorf("lost: %v", lost)
	}
	must(c.session.Close())
}

func TestOutboxKeepsOrderAndItsLimit(t *testing.T) {
	t.Parallel()
	now := int64(100)
	b := newOutbox(wire.JSON, func() int64 { return now }, 2)
	if _, err := b.Peek(); !errors.Is(err, queue.ErrEmpty) {
		t.Errorf("an empty outbox gave %v", err)
	}
	waiting := b.Wait()
	for i, want := range []bool{true, true, false} {
		if got := b.push(&message{topic: "t", points: []wire.Point{wire.At(int64(i), 0, 0)}}); got != want {
			t.Errorf("push %d: %v", i, got)
		}
	}
	<-waiting
	full, cancel := context.WithCancel(t.Context())
	cancel()
	if b.room(full) == nil {
		t.Error("a full outbox has room")
	}
	for i, want := range []string{`{"t":0,"st":100,`, `{"t":1,"st":200,`} {
		entry, err := b.Peek()
		if err != nil {
			t.Fatal(err)
		}
		reader, err := entry.Reader()
		if err != nil {
			t.Fatal(err)
		}
		packet, err := packets.ReadPacket(reader)
		if err != nil {
			t.Fatal(err)
		}
		if payload := string(packet.Content.(*packets.Publish).Payload); !strings.HasPrefix(payload, want) {
			t.Errorf("message %d: %s, want %s…: it is stamped when it is sent", i, payload, want)
		}
		if err := entry.Remove(); err != nil {
			t.Fatal(err)
		}
		now = 200
	}
	if err := b.room(t.Context()); err != nil {
		t.Error(err)
	}
	select {
	case <-b.Wait():
		t.Error("an empty outbox says that there is something")
	default:
	}
}

func TestLogIsReadBack(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	written, kept := NewLogWriter(&file), NewLog()
	for _, l := range []*Log{written, kept, nil} {
		l.add(Handed, "x", []wire.Point{wire.At(1, -2, 3), wire.At(4, 5, -6)})
		l.add(Acknowledged, "x", []wire.Point{wire.At(4, 5, -6)})
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	want := kept.Entries()
	if len(want) != 3 || want[2] != (Entry{Acknowledged, "x", 4, 5, -6}) {
		t.Errorf("in memory: %v", want)
	}
	file.WriteString(`{"event":"acknowled`) // a process was killed here
	got, err := ReadLog(&file)
	if err != nil || len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("read back %v, %v; want %v", got, err, want)
	}
	if _, err := ReadLog(strings.NewReader("{\"event\":1}\n")); err == nil {
		t.Error("garbage was read as a log")
	}
	broken := NewLogWriter(failingWriter{})
	broken.add(Handed, "x", []wire.Point{wire.At(1, 2, 3)})
	if broken.Flush() == nil {
		t.Error("a log that could not be written said nothing")
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }
