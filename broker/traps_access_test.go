package broker

import (
	"slices"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// A will is published without asking whether its device may.
func TestTrapWillsBypassAccessControl(t *testing.T) {
	t.Parallel()
	will := func(topic string) *packets.ConnectParams {
		return &packets.ConnectParams{WillTopic: topic, WillPayload: []byte("bye"), WillQos: 1}
	}
	t.Run("mochi", func(t *testing.T) {
		t.Parallel()
		sent := make(chan string, 1)
		b := newBare(t, true, &bareHook{
			allow: func(topic string) bool { return topic == "own" },
			will:  func(topic string) { sent <- topic },
		})
		c, _ := b.connect(login{id: "x", name: "x", clean: true, will: will("another's")})
		_ = c.conn.Close()
		if topic := <-sent; topic != "another's" {
			t.Errorf("will on %q", topic)
		}
	})
	t.Run("armora", func(t *testing.T) {
		t.Parallel()
		h := newHub(t)
		victim, id := h.device(), h.device()
		c, _ := h.connect(login{id: "a", name: id.String(), clean: true, will: will(pointsTopic(victim))})
		_ = c.conn.Close()
		eventually(t, "it is gone", func() bool { return h.metric("disconnects_total", "lost") == 1 })
		own := "v1/devices/" + id.String() + "/status"
		c, _ = h.connect(login{id: "b", name: id.String(), clean: true, will: will(own)})
		_ = c.conn.Close()
		if m := h.points.next(t); m.Topic != own || string(m.Payload) != "bye" || m.From.Device != id || m.QoS != 1 {
			t.Errorf("will %+v", m)
		}
		if refused := h.metric("wills_total", "refused"); refused != 1 {
			t.Errorf("%v refused", refused)
		}
	})
}

// A message that has only an alias is checked as one on the topic "".
func TestTrapAliasIsCheckedAsEmptyTopic(t *testing.T) {
	t.Parallel()
	aliased := func(topic string, id uint16) packets.Packet {
		pk := publishOf(topic, 1, id, topic)
		pk.Properties.TopicAlias, pk.Properties.TopicAliasFlag = 3, true
		return pk
	}
	t.Run("mochi", func(t *testing.T) {
		t.Parallel()
		hook := new(bareHook)
		c, _ := newBare(t, true, hook).connect(login{id: "x", name: "x", version: 5, clean: true})
		c.send(aliased("topic", 1))
		c.send(aliased("", 2))
		c.expectAcks(1, 2)
		if checked := hook.topics(); !slices.Equal(checked, []string{"topic", ""}) {
			t.Errorf("checked %q", checked)
		}
	})
	t.Run("armora", func(t *testing.T) {
		t.Parallel()
		h := newHub(t)
		h.points.resolve = true
		other := h.device()
		c, id := h.phone5()
		c.send(aliased(pointsTopic(id), 1))
		c.send(aliased("", 2))
		c.expectAcks(1, 2)
		for range 2 {
			if m := h.points.next(t); m.Topic != pointsTopic(id) {
				t.Errorf("received on %q", m.Topic)
			}
		}
		c.send(aliased(pointsTopic(other), 3)) // the alias now means another's topic
		c.send(aliased("", 4))
		for range 2 {
			if pk := c.expect(packets.Puback); pk.ReasonCode != packets.ErrNotAuthorized.Code {
				t.Errorf("PUBACK %#x", pk.ReasonCode)
			}
		}
		if n := len(h.points.got); n != 0 {
			t.Errorf("%d messages got through", n)
		}
	})
}

// Whoever presents a client id takes its session over.
func TestTrapSessionsAreKeyedByClientIDAlone(t *testing.T) {
	t.Parallel()
	as := func(name string) login { return login{id: "phone", name: name, version: 5, expiry: 600} }
	t.Run("mochi", func(t *testing.T) {
		t.Parallel()
		b := newBare(t, true, new(bareHook))
		first, _ := b.connect(as("alice"))
		_, present := b.connect(as("mallory"))
		if code := first.expectEnd(); !present || code != packets.ErrSessionTakenOver.Code {
			t.Errorf("present %v, first ended with %#x", present, code)
		}
	})
	t.Run("armora", func(t *testing.T) {
		t.Parallel()
		h := newHub(t)
		alice, mallory := h.device(), h.device()
		first, _ := h.connect(as(alice.String()))
		first.subscribe(commandTopic(alice))
		second, present := h.connect(as(mallory.String()))
		if present {
			t.Error("another device's session was resumed")
		}
		h.outbox.add(alice, 1, h.clock.Now().Add(time.Hour))
		h.Wake(alice)
		first.expectCommand(1)
		second.ping() // and nothing else came
		if _, present := h.connect(as(alice.String())); !present {
			t.Error("the device's own session was not resumed")
		}
	})
}

// The subscriptions of an expired session stay for ever.
func TestTrapExpiredSessionsLeakSubscriptions(t *testing.T) {
	t.Parallel()
	t.Run("mochi", func(t *testing.T) {
		t.Parallel()
		b := newBare(t, true, new(bareHook))
		c, _ := b.connect(login{id: "x", name: "x", version: 5, expiry: 1})
		c.subscribe("topic")
		_ = c.conn.Close()
		eventually(t, "the session expires", func() bool { _, ok := b.Clients.Get("x"); return !ok })
		if len(b.Topics.Subscribers("topic").Subscriptions) != 1 {
			t.Error("the subscription is gone")
		}
	})
	t.Run("armora", func(t *testing.T) {
		t.Parallel()
		h := newHub(t)
		id := h.device()
		c, _ := h.connect(login{id: "x", name: id.String(), version: 5, expiry: 60})
		c.subscribe(commandTopic(id))
		_ = c.conn.Close()
		eventually(t, "the broker knows that it is gone", func() bool { return h.Connections() == 0 })
		h.clock.Advance(61 * time.Second)
		eventually(t, "the session expires", func() bool { return h.metric("sessions") == 0 })
		if n := len(h.server.Topics.Subscribers(commandTopic(id)).Subscriptions); n != 0 {
			t.Errorf("%d subscriptions are left", n)
		}
		eventually(t, "the store forgets it", func() bool { _, ok := h.sessions.get(sessionKey(id, "x")); return !ok })
	})
}

// Of several authentication hooks, one that agrees is enough.
func TestTrapHooksAreORed(t *testing.T) {
	t.Parallel()
	t.Run("mochi", func(t *testing.T) {
		t.Parallel()
		newBare(t, true, &bareHook{name: "1", refuse: true}, &bareHook{name: "2"}).connect(login{id: "x", name: "x", clean: true})
	})
	t.Run("armora", func(t *testing.T) {
		t.Parallel()
		h := newHub(t)
		if ack := h.dial().login(login{id: "x", name: "nobody", clean: true}); ack.ReasonCode != 5 {
			t.Errorf("CONNACK %d", ack.ReasonCode)
		}
		if err := h.server.AddHook(&bareHook{}, nil); err != nil { // a second hook does not let anybody in
			t.Fatal(err)
		}
		if ack := h.dial().login(login{id: "x", name: "nobody", clean: true}); ack.ReasonCode != 5 {
			t.Errorf("with a second hook: CONNACK %d", ack.ReasonCode)
		}
	})
}
