package broker

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"armora/fleet"
)

// receiveAll waits for n messages.
func receiveAll(t *testing.T, r *recorder, n int) []Message {
	t.Helper()
	got := make([]Message, n)
	for i := range got {
		got[i] = r.next(t)
	}
	return got
}

func TestAcknowledgedInOrderAfterResolve(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c, id := h.phone()
	for i := range 5 {
		c.publish(pointsTopic(id), 1, uint16(i+1), fmt.Sprint(i))
	}
	got := receiveAll(t, h.points, 5)
	for i, m := range got {
		if string(m.Payload) != fmt.Sprint(i) || m.From.Device != id || m.Topic != pointsTopic(id) || m.QoS != 1 {
			t.Fatalf("message %d is %+v", i, m)
		}
	}
	got[4].Ack.Resolve(nil)
	got[1].Ack.Resolve(nil)
	got[1].Ack.Flush()
	c.ping() // nothing is due: the answer to the ping comes first
	got[0].Ack.Resolve(nil)
	got[0].Ack.Flush()
	c.expectAcks(1, 2)
	got[2].Ack.Resolve(nil)
	got[3].Ack.Resolve(nil)
	got[3].Ack.Flush()
	c.expectAcks(3, 4, 5)
	if left := h.metric("inflight_bytes"); left != 0 {
		t.Errorf("%v bytes are still counted", left)
	}
}

func TestAcksOfOneCommitLeaveInOneWrite(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c, id := h.phone()
	const n = 100
	for i := range n {
		c.publish(pointsTopic(id), 1, uint16(i+1), "x")
	}
	got := receiveAll(t, h.points, n)
	before := h.metric("writes_total")
	for _, m := range got {
		m.Ack.Resolve(nil)
	}
	got[0].Ack.Flush()
	for i := range n {
		c.expectAcks(uint16(i + 1))
	}
	if writes := h.metric("writes_total") - before; writes != 1 {
		t.Errorf("%v writes, not 1", writes)
	}
}

func TestUnresolvedIsNeverAcknowledged(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		code byte
	}{
		{errors.New("disk"), packets.ErrImplementationSpecificError.Code},
		{errAway, packets.ErrQuotaExceeded.Code},
		{&fleet.Error{Code: fleet.CodeTooMany}, packets.ErrQuotaExceeded.Code},
	} {
		h := newHub(t)
		c, id := h.phone5()
		c.publish(pointsTopic(id), 1, 1, "kept")
		c.publish(pointsTopic(id), 1, 2, "lost")
		c.publish(pointsTopic(id), 1, 3, "behind")
		got := receiveAll(t, h.points, 3)
		got[0].Ack.Resolve(nil)
		got[2].Ack.Resolve(nil)
		got[1].Ack.Resolve(tc.err)
		c.expectAcks(1)
		if pk := c.expect(packets.Disconnect); pk.ReasonCode != tc.code {
			t.Errorf("%v: DISCONNECT %#x, not %#x", tc.err, pk.ReasonCode, tc.code)
		}
		c.expectEnd()
	}
}

// What was refused is dealt with: it is acknowledged in its turn, the connection goes
// on, and a client that can be told why, is.
func TestARefusalIsAnAcknowledgement(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		why  error
		code byte
	}{
		{&fleet.Error{Code: fleet.CodeNotFound}, packets.ErrNotAuthorized.Code},
		{&fleet.Error{Code: fleet.CodeForbidden}, packets.ErrNotAuthorized.Code},
		{&fleet.Error{Code: fleet.CodeConflict}, packets.ErrNotAuthorized.Code},
		{&fleet.Error{Code: fleet.CodeTooMany}, packets.ErrQuotaExceeded.Code},
		{&fleet.Error{Code: fleet.CodeInvalid}, packets.ErrPayloadFormatInvalid.Code},
		{errors.New("x"), packets.ErrImplementationSpecificError.Code},
	} {
		h := newHub(t)
		for version, connect := range map[string]func() (*client, fleet.DeviceID){"5": h.phone5, "3.1.1": h.phone} {
			c, id := connect()
			c.publish(pointsTopic(id), 1, 1, "refused")
			c.publish(pointsTopic(id), 2, 2, "refused, QoS 2")
			c.publish(pointsTopic(id), 1, 3, "kept")
			got := receiveAll(t, h.points, 3)
			for _, m := range got[:2] {
				m.Ack.Refuse(tc.why)
			}
			got[2].Ack.Resolve(nil)
			got[2].Ack.Flush()
			want := tc.code
			if version != "5" {
				want = 0
			}
			for i, of := range []struct{ kind, code byte }{{packets.Puback, want}, {packets.Pubrec, want}, {packets.Puback, 0}} {
				if pk := c.expect(of.kind); pk.PacketID != uint16(i+1) || pk.ReasonCode != of.code {
					t.Errorf("MQTT %s, %v: packet %d is acknowledged with %#x, want %#x", version, tc.why, pk.PacketID, pk.ReasonCode, of.code)
				}
			}
			if version == "5" { // the exchange is over: the packet id may be another message's
				c.publish(pointsTopic(id), 2, 2, "another")
				if m := h.points.next(t); string(m.Payload) != "another" {
					t.Errorf("received %q", m.Payload)
				}
			}
		}
		if left := h.metric("inflight_bytes"); left > 1000 {
			t.Errorf("%v bytes are still counted", left)
		}
	}
}

// An acknowledgement belongs to the connection that carried the message: after
// a takeover the same packet id means something else.
func TestTakeoverWhileAcksArePending(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	id := h.device()
	l := login{id: "phone", name: id.String(), version: 5, expiry: 3600}
	first, _ := h.connect(l)
	first.publish(pointsTopic(id), 1, 7, "old")
	old := h.points.next(t)

	second, present := h.connect(l)
	if !present {
		t.Error("the session was not resumed")
	}
	if code := first.expectEnd(); code != packets.ErrSessionTakenOver.Code {
		t.Errorf("DISCONNECT %#x", code)
	}
	second.publish(pointsTopic(id), 1, 7, "new")
	renewed := h.points.next(t)
	old.Ack.Resolve(nil)
	old.Ack.Flush()
	second.ping() // no PUBACK before the answer
	renewed.Ack.Resolve(nil)
	renewed.Ack.Flush()
	second.expectAcks(7)
	old.Ack.Resolve(nil) // twice changes nothing
	if left := h.metric("inflight_bytes"); left != 0 {
		t.Errorf("%v bytes are still counted", left)
	}
}

func TestQoS2(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		h := newHub(t)
		id := h.device()
		l := login{id: "phone", name: id.String(), version: version, expiry: 3600}
		c, _ := h.connect(l)
		c.publish(pointsTopic(id), 2, 1, "once")
		c.ping() // nothing is answered before the commit, and pings are
		m := h.points.next(t)
		m.Ack.Resolve(nil)
		m.Ack.Flush()
		if pk := c.expect(packets.Pubrec); pk.PacketID != 1 || pk.ReasonCode != 0 {
			t.Fatalf("%+v", pk)
		}
		// The PUBREC got lost: the client comes back and sends again.
		c, _ = h.connect(l)
		again := publishOf(pointsTopic(id), 2, 1, "once")
		again.FixedHeader.Dup = true
		c.send(again)
		c.expect(packets.Pubrec)
		c.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pubrel}, PacketID: 1})
		if pk := c.expect(packets.Pubcomp); pk.PacketID != 1 || pk.ReasonCode != 0 {
			t.Fatalf("%+v", pk)
		}
		c.publish(pointsTopic(id), 2, 1, "another")
		if m := h.points.next(t); string(m.Payload) != "another" {
			t.Fatalf("received %q: the repeat was handed on", m.Payload)
		}
	}
}

// A clean session of MQTT 3 ends with its connection, also when the next connection is what
// ends it. To that one, which begins afresh, the packet ids of the old one mean nothing:
// what it sends is new.
func TestASessionThatBeginsAfreshTakesNothingForARepeat(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	id := h.device()
	l := login{id: "phone", name: id.String(), clean: true}
	old, _ := h.connect(l)
	old.publish(pointsTopic(id), 2, 1, "first")
	m := h.points.next(t)
	m.Ack.Resolve(nil)
	m.Ack.Flush()
	old.expect(packets.Pubrec)
	l.clean = false
	c, present := h.connect(l)
	if present {
		t.Error("the session is said to be the one before")
	}
	c.publish(pointsTopic(id), 2, 1, "second")
	if m := h.points.next(t); string(m.Payload) != "second" {
		t.Errorf("received %q", m.Payload)
	}
	old.expectEnd()
	_ = c.conn.Close()
	if _, present := h.connect(l); !present {
		t.Error("the session that began afresh was not kept")
	}
}

func TestInflightCaps(t *testing.T) {
	t.Parallel()
	payload := string(make([]byte, 1000))
	topic := pointsTopic(fleet.NewID[fleet.Device]())
	cost := int64(len(topic) + 1000 + messageOverhead)
	for name, tc := range map[string]struct {
		version byte
		code    byte
		limit   func(*Limits)
	}{
		"messages, 3.1.1": {4, 0, func(l *Limits) { l.InflightMessages = 4 }},
		"messages, 5":     {5, packets.ErrReceiveMaximum.Code, func(l *Limits) { l.ReceiveMaximum = 4 }},
		"bytes":           {5, packets.ErrQuotaExceeded.Code, func(l *Limits) { l.InflightBytes = 4 * cost }},
		"total bytes":     {5, packets.ErrQuotaExceeded.Code, func(l *Limits) { l.TotalBytes = 4 * cost }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t, func(c *Config) { tc.limit(&c.Limits) })
			id := h.device()
			c, _ := h.connect(login{id: "phone", name: id.String(), version: tc.version, clean: true})
			for i := range 5 {
				c.publish(pointsTopic(id), 1, uint16(i+1), payload)
			}
			if code := c.expectEnd(); code != tc.code {
				t.Errorf("DISCONNECT %#x, not %#x", code, tc.code)
			}
			for _, m := range receiveAll(t, h.points, 4) {
				m.Ack.Resolve(nil)
			}
			if left := h.metric("inflight_bytes"); left != 0 {
				t.Errorf("%v bytes are still counted", left)
			}
			if n := len(h.points.got); n != 0 {
				t.Errorf("%d messages over the cap", n)
			}
		})
	}
}

func TestQoS0OverTheCapIsDropped(t *testing.T) {
	t.Parallel()
	topic := pointsTopic(fleet.NewID[fleet.Device]())
	h := newHub(t, func(c *Config) { c.Limits.TotalBytes = int64(2 * (len(topic) + 1 + messageOverhead)) })
	c, id := h.phone()
	for range 5 {
		c.publish(pointsTopic(id), 0, 0, "x")
	}
	c.ping() // it is still there
	for _, m := range receiveAll(t, h.points, 2) {
		m.Ack.Resolve(nil)
	}
	if dropped := h.metric("dropped_total", "quota"); dropped != 3 {
		t.Errorf("%v dropped, not 3", dropped)
	}
	c.publish(pointsTopic(id), 0, 0, "y")
	if m := h.points.next(t); string(m.Payload) != "y" {
		t.Errorf("received %q", m.Payload)
	}
}

// What is urgent is let through when others have used up what all may hold, and holds
// itself no more than its receiver says.
func TestUrgentMessagesAreLetThrough(t *testing.T) {
	t.Parallel()
	topic := pointsTopic(fleet.NewID[fleet.Device]())
	h := newHub(t, func(c *Config) {
		c.Limits.TotalBytes = int64(len(topic) + 1 + messageOverhead)
		for i := range c.Routes {
			c.Routes[i].Urgent = c.Routes[i].Template == "v1/devices/{device}/events"
		}
	})
	c, id := h.phone()
	c.publish(pointsTopic(id), 0, 0, "x")
	h.points.next(t)
	events := "v1/devices/" + id.String() + "/events"
	for qos := range byte(2) {
		c.publish(events, qos, uint16(qos), "sos")
		m := h.points.next(t)
		if string(m.Payload) != "sos" {
			t.Fatalf("received %q", m.Payload)
		}
		if qos == 0 {
			if err := m.Ack.Weigh(3); fleet.CodeOf(err) != fleet.CodeTooMany { // what is kept is counted all the same
				t.Errorf("kept where there is no room: %v", err)
			}
		}
		m.Ack.Resolve(nil)
		m.Ack.Flush()
	}
	c.expect(packets.Puback)
}

// What a message decodes to counts in place of its bytes: a connection holds no
// more for being terse.
func TestWeightOfWhatIsKept(t *testing.T) {
	t.Parallel()
	const weight = 10_000
	limit := int64(3 * weight) // a third one fits as it is sent, and not as it is kept
	h := newHub(t, func(c *Config) { c.Limits.InflightBytes = limit })
	c, id := h.phone5()
	keep := func(m Message) error {
		err := m.Ack.Weigh(weight)
		if err != nil {
			m.Ack.Resolve(err)
		}
		return err
	}
	for i := range 2 {
		c.publish(pointsTopic(id), 1, uint16(i+1), "x")
		if err := keep(h.points.next(t)); err != nil {
			t.Fatal(err)
		}
	}
	if held := h.metric("inflight_bytes"); held != 2*(weight+messageOverhead) {
		t.Errorf("%v bytes are held", held)
	}
	c.publish(pointsTopic(id), 0, 0, "x")
	if keep(h.points.next(t)) == nil || h.metric("dropped_total", "quota") != 1 {
		t.Error("a message of QoS 0 that is over the cap is not dropped")
	}
	c.ping() // it is still there
	c.publish(pointsTopic(id), 1, 3, "x")
	if err := keep(h.points.next(t)); fleet.CodeOf(err) != fleet.CodeTooMany {
		t.Errorf("over the cap: %v", err)
	}
	if code := c.expectEnd(); code != packets.ErrQuotaExceeded.Code {
		t.Errorf("DISCONNECT %#x", code)
	}
	if held := h.metric("inflight_bytes"); held != 2*(weight+messageOverhead) {
		t.Errorf("%v bytes are held after it", held)
	}
}

// A topic of 64 kB is kept with its message, and counts.
// One that is alone is let through whatever it becomes, up to the cap on all.
func TestTheOnlyMessageOfAConnectionFits(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(c *Config) { c.Limits.InflightBytes, c.Limits.TotalBytes = 1000, 5000 })
	c, id := h.phone5()
	c.publish(pointsTopic(id), 1, 1, "x")
	first := h.points.next(t).Ack
	if err := first.Weigh(4000); err != nil {
		t.Fatal(err)
	}
	first.Resolve(nil)
	first.Flush()
	c.expect(packets.Puback)
	c.publish(pointsTopic(id), 1, 2, "x")
	if err := h.points.next(t).Ack.Weigh(5000); fleet.CodeOf(err) != fleet.CodeTooMany {
		t.Errorf("more than all may hold: %v", err)
	}
}

func TestTopicsWeigh(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(c *Config) {
		c.Routes = append(c.Routes, Route{Template: "owntracks/{device}/+", Receiver: c.Routes[0].Receiver})
	})
	c, id := h.phone()
	topic := "owntracks/" + id.String() + "/" + strings.Repeat("x", 60_000)
	c.publish(topic, 1, 1, "x")
	m := h.points.next(t)
	if held := h.metric("inflight_bytes"); held != float64(len(topic)+1+messageOverhead) {
		t.Errorf("%v bytes are held", held)
	}
	m.Ack.Resolve(nil)
	if held := h.metric("inflight_bytes"); held != 0 {
		t.Errorf("%v bytes are held after it", held)
	}
}

// While nothing commits, pings are answered and reading goes on.
func TestPingsAreAnsweredWhileNothingCommits(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c, id := h.phone()
	for i := range 200 {
		c.publish(pointsTopic(id), byte(i%3), uint16(i+1)*min(uint16(i%3), 1), "x")
		if i%50 == 0 {
			c.ping()
		}
	}
	c.ping()
	receiveAll(t, h.points, 200)
}
