package broker

import (
	"context"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"armora/fleet"
)

func TestSessionOutlivesTheHub(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		h := newHub(t)
		id := h.device()
		l := login{id: "phone", name: id.String(), version: version, expiry: 3600}
		c, present := h.connect(l)
		if present {
			t.Error("session present at the first connection")
		}
		key := sessionKey(id, "phone")
		if _, ok := h.sessions.get(key); !ok {
			t.Fatal("CONNACK came before the session was stored")
		}
		c.subscribe(commandTopic(id))
		if f, _ := h.sessions.get(key); len(f.Subscriptions) != 1 || f.Subscriptions[0].Filter != commandTopic(id) || f.Subscriptions[0].QoS != 1 {
			t.Fatalf("SUBACK came before the subscription was stored: %+v", f)
		}

		h.shut(h.Broker)
		c.expectEnd()
		h.reopen()
		h.outbox.add(id, 2, h.clock.Now().Add(time.Hour))
		c, present = h.connect(l)
		if !present {
			t.Error("no session present after the restart")
		}
		c.expectCommand(1) // and the subscription is there
		c.expectCommand(2)
	}
}

// A phone that comes and goes costs no write to the store.
func TestReconnectWritesNothing(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	id := h.device()
	l := login{id: "phone", name: id.String(), version: 5, expiry: 3600}
	c, _ := h.connect(l)
	c.subscribe(commandTopic(id))
	before := h.sessions.written()
	for range 5 {
		_ = c.conn.Close()
		var present bool
		if c, present = h.connect(l); !present {
			t.Fatal("the session was not resumed")
		}
		c.subscribe(commandTopic(id)) // as most clients do
	}
	c.ping()
	if left := h.Broker.sessions.saves.drain(t.Context()); left != 0 {
		t.Fatalf("%d saves left", left)
	}
	if n := h.sessions.written() - before; n != 0 {
		t.Errorf("%d writes", n)
	}
}

// While the store is away clients are let in, and what they did is stored when
// it is back.
func TestSessionsWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(c *Config) { c.Limits.StoreTimeout = 20 * time.Millisecond })
	h.sessions.setAway(true)
	id := h.device()
	c, _ := h.connect(login{id: "phone", name: id.String(), version: 5, expiry: 3600})
	c.subscribe(commandTopic(id))
	c.publish(pointsTopic(id), 1, 1, "x")
	h.points.next(t)
	h.sessions.setAway(false)
	eventually(t, "the session is stored", func() bool {
		h.clock.Advance(retryAfter)
		f, ok := h.sessions.get(sessionKey(id, "phone"))
		return ok && len(f.Subscriptions) == 1
	})
}

func TestSessionExpiryIsHonoured(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	id := h.device()
	l := login{id: "phone", name: id.String(), version: 5, expiry: 600}
	key := sessionKey(id, "phone")
	away := func(d time.Duration) {
		eventually(t, "the broker knows that it is gone", func() bool { return h.Connections() == 0 })
		h.clock.Advance(d)
	}

	c, _ := h.connect(l)
	_ = c.conn.Close()
	away(599 * time.Second)
	c, present := h.connect(l)
	if !present {
		t.Error("gone before its time")
	}
	_ = c.conn.Close()
	away(600 * time.Second)
	if c, present = h.connect(l); present { // swept or not
		t.Error("resumed after its time")
	}

	// A hub that was down for long deletes what expired meanwhile.
	_ = c.conn.Close()
	away(awayAfter)
	eventually(t, "that it is gone is stored", func() bool {
		h.clock.Advance(sweepTick)
		f, _ := h.sessions.get(key)
		return !f.Disconnected.IsZero()
	})
	h.shut(h.Broker)
	h.clock.Advance(600 * time.Second)
	h.reopen()
	if _, ok := h.sessions.get(key); ok || h.metric("sessions") != 0 {
		t.Error("an expired session was restored")
	}
}

func TestSessionEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	id := h.device()
	key := sessionKey(id, "phone")
	kept := func() bool { _, ok := h.sessions.get(key); return ok }

	c, _ := h.connect(login{id: "phone", name: id.String(), version: 5, expiry: 600})
	bye := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}}
	bye.Properties.SessionExpiryIntervalFlag = true // the client changes its mind: 0
	c.send(bye)
	eventually(t, "DISCONNECT with expiry 0 deletes", func() bool { return !kept() && h.metric("sessions") == 0 })

	h.connect(login{id: "phone", name: id.String()})
	if !kept() {
		t.Fatal("3.1.1 with clean session 0 is not stored")
	}
	c, present := h.connect(login{id: "phone", name: id.String(), clean: true})
	if present {
		t.Error("a clean session was resumed")
	}
	eventually(t, "a clean session replaces the stored one", func() bool { return !kept() })
	_ = c.conn.Close()
	eventually(t, "and ends with its connection", func() bool { return h.metric("sessions") == 0 })
	if n := len(h.server.Clients.GetAll()); n != 0 {
		t.Errorf("mochi still knows %d clients", n)
	}
}

// A clean start loses the subscriptions, in the store as well.
func TestCleanStartForgetsSubscriptions(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	id := h.device()
	l := login{id: "phone", name: id.String(), version: 5, expiry: 600}
	c, _ := h.connect(l)
	c.subscribe(commandTopic(id))
	l.clean = true
	c, present := h.connect(l) // takes over as well
	if present {
		t.Error("resumed")
	}
	c.ping()
	eventually(t, "the store knows", func() bool {
		f, ok := h.sessions.get(sessionKey(id, "phone"))
		return ok && len(f.Subscriptions) == 0
	})
	if n := len(h.server.Topics.Subscribers(commandTopic(id)).Subscriptions); n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
	if n := h.metric("sessions"); n != 1 {
		t.Errorf("%v sessions", n)
	}
}

func TestSessionsOfADeviceAreBounded(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(c *Config) { c.Limits.DeviceSessions = 2 })
	id := h.device()
	l := func(client string) login { return login{id: client, name: id.String(), version: 5, expiry: 600} }
	a, _ := h.connect(l("a"))
	_ = a.conn.Close()
	eventually(t, "the broker knows that it is gone", func() bool { return h.Connections() == 0 })
	h.connect(l("b"))
	h.connect(l("c")) // in place of a, which is disconnected
	if ack := h.dial().login(l("d")); ack.ReasonCode != packets.ErrQuotaExceeded.Code {
		t.Errorf("CONNACK %#x", ack.ReasonCode)
	}
	eventually(t, "a is forgotten", func() bool { _, ok := h.sessions.get(sessionKey(id, "a")); return !ok })
}

// The wild order of connections that replace each other must not leave a live
// one unknown.
func TestReconnectStorm(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	id := h.device()
	done := make(chan *client, 8)
	for i := range cap(done) {
		l := login{id: "phone", name: id.String(), clean: i%2 == 0}
		if i%3 == 0 {
			l.version, l.expiry = 5, uint32(i)
		}
		go func() {
			for range 20 {
				c := h.dial()
				c.sendConnect(l)
				_ = c.conn.Close()
			}
			done <- h.dial()
		}()
	}
	for range cap(done) {
		_ = (<-done).conn.Close()
	}
	eventually(t, "all are gone", func() bool { return h.Connections() == 0 && h.metric("connections") == 0 })
	c, _ := h.connect(login{id: "phone", name: id.String()})
	c.subscribe(commandTopic(id))
	c.ping()
	if _, ok := h.server.Clients.Get(sessionKey(id, "phone")); !ok {
		t.Error("mochi does not know the live connection")
	}
	c2, present := h.connect(login{id: "phone", name: id.String()})
	if !present || c2.version != 4 {
		t.Error("the session was not resumed")
	}
}

func TestWills(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.points.resolve = true
	id := h.device()
	topic := "v1/devices/" + id.String() + "/status"
	will := func(delay uint32) *packets.ConnectParams {
		w := &packets.ConnectParams{WillTopic: topic, WillPayload: []byte("offline"), WillRetain: true}
		w.WillProperties.WillDelayInterval = delay
		return w
	}
	l := login{id: "phone", name: id.String(), version: 5, expiry: 3600}
	status := func(want string) {
		t.Helper()
		if m := h.points.next(t); string(m.Payload) != want || m.Topic != topic {
			t.Fatalf("received %q on %q, not %q", m.Payload, m.Topic, want)
		}
	}
	gone := func() {
		eventually(t, "it is gone", func() bool { return h.Connections() == 0 })
	}

	l.will = will(0)
	c, _ := h.connect(l)
	c.publish(topic, 1, 1, "online")
	status("online")
	c2, _ := h.connect(l) // a takeover: offline, then what the new one says
	c2.publish(topic, 1, 1, "online again")
	status("offline")
	status("online again")
	c2.write([]byte{packets.Disconnect << 4, 0}) // goodbye: no will
	gone()

	l.will = will(60)
	c, _ = h.connect(l)
	_ = c.conn.Close()
	gone()
	c, _ = h.connect(l) // back in time: no will
	_ = c.conn.Close()
	gone()
	h.clock.Advance(30 * time.Second)
	h.clock.Advance(31 * time.Second)
	status("offline")
	eventually(t, "no other will", func() bool { return h.metric("wills_total", "sent") == 2 })

	// The hub's own end is nobody's death.
	l.will = will(0)
	h.connect(l)
	h.shut(h.Broker)
	if n := len(h.points.got); n != 0 {
		t.Errorf("%d messages more", n)
	}
}

func TestRestoreSkipsWhatIsNotAKey(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.shut(h.Broker)
	stranger := fleet.Session{ClientID: "somebody's", Device: h.device(), Version: 5, Expiry: time.Hour}
	if err := h.sessions.Save(context.Background(), stranger); err != nil {
		t.Fatal(err)
	}
	h.reopen()
	if n := h.metric("sessions"); n != 0 {
		t.Errorf("%v sessions", n)
	}
}
