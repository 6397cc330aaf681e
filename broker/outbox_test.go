package broker

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"armora/fleet"
)

func TestCommandsComeInOrderAFewAtATime(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	id := h.device()
	window := h.limits.OutboxWindow
	h.outbox.add(id, 3*window, h.clock.Now().Add(90*time.Second))
	c, _ := h.connect(login{id: "phone", name: id.String(), version: 5, expiry: 600})
	if codes := c.subscribe(commandTopic(id)); codes[0] != 1 {
		t.Fatalf("SUBACK %#x", codes)
	}
	var ids []uint16
	for i := range window {
		pk := c.expect(packets.Publish)
		var got fleet.Command
		if err := json.Unmarshal(pk.Payload, &got); err != nil || got.Seq != int64(i+1) || got.Kind != "test" {
			t.Fatalf("command %s: %v", pk.Payload, err)
		}
		if pk.FixedHeader.Qos != 1 || pk.Properties.MessageExpiryInterval != 90 || pk.TopicName != commandTopic(id) {
			t.Errorf("PUBLISH %+v", pk)
		}
		ids = append(ids, pk.PacketID)
	}
	c.ping() // the window is full: nothing more comes
	for _, id := range ids {
		c.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Puback}, PacketID: id})
	}
	for i := range 2 * window {
		c.expectCommand(int64(window + i + 1))
	}
	h.outbox.add(id, 1, h.clock.Now().Add(time.Minute))
	h.Wake(id)
	c.expectCommand(int64(3*window + 1))
}

// A PUBACK says that the client has a command, not that its application has:
// until that says so, every connection gets it again.
func TestCommandsComeAgainUntilAcknowledged(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	id := h.device()
	h.outbox.add(id, 3, h.clock.Now().Add(time.Hour))
	l := login{id: "phone", name: id.String(), version: 5, expiry: 600}
	c, _ := h.connect(l)
	c.subscribe(commandTopic(id))
	for seq := range 3 {
		c.expectCommand(int64(seq + 1))
	}
	ack := func(seq string, packet uint16) {
		t.Helper()
		c.publish(commandTopic(id)+"/"+seq+"/ack", 1, packet, "")
		c.expectAcks(packet)
	}
	ack("1", 1)
	ack("nonsense", 2) // answered: sending it again would not help
	ack("999", 3)
	c, _ = h.connect(l)
	c.expectCommand(2)
	c.expectCommand(3)
	ack("2", 4)
	ack("3", 5)
	h.shut(h.Broker)
	h.reopen()
	c, _ = h.connect(l)
	c.ping() // nothing comes
}

func TestExpiredCommandsAreNotSent(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	id := h.device()
	h.outbox.add(id, 1, h.clock.Now().Add(time.Second))
	h.outbox.add(id, 1, h.clock.Now().Add(time.Hour))
	h.clock.Advance(2 * time.Second)
	c, _ := h.connect(login{id: "phone", name: id.String(), clean: true})
	c.subscribe(commandTopic(id))
	c.expectCommand(2)
}

// While the outbox is away, an application's acknowledgement waits for it, and
// so does its PUBACK.
func TestOutboxAway(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	id := h.device()
	h.outbox.add(id, 1, h.clock.Now().Add(time.Hour))
	c, _ := h.connect(login{id: "phone", name: id.String(), clean: true})
	c.subscribe(commandTopic(id))
	c.expectCommand(1)
	away := func(is bool) {
		h.outbox.mu.Lock()
		defer h.outbox.mu.Unlock()
		h.outbox.away = is
	}
	away(true)
	c.publish(commandTopic(id)+"/1/ack", 1, 9, "")
	h.Wake(id)
	eventually(t, "both were tried", func() bool { return h.metric("store_errors_total", "outbox") >= 2 })
	c.ping()
	away(false)
	h.outbox.add(id, 1, h.clock.Now().Add(time.Hour))
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				h.clock.Advance(retryAfter / 8)
			}
		}
	}()
	seen := map[byte]bool{}
	for range 2 { // in either order
		pk, err := c.read()
		if err != nil {
			t.Fatal(err)
		}
		seen[pk.FixedHeader.Type] = true
	}
	if !seen[packets.Puback] || !seen[packets.Publish] {
		t.Errorf("got %v", seen)
	}
}

// A command that the client's own limit forbids is skipped, and those behind it
// are not.
func TestCommandLargerThanTheClientTakes(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	id := h.device()
	h.outbox.add(id, 2, h.clock.Now().Add(time.Hour))
	h.outbox.commands[0].Body = json.RawMessage(strconv.Quote(string(make([]byte, 2000))))
	c, _ := h.connect(login{id: "phone", name: id.String(), version: 5, clean: true, largest: 1000})
	c.subscribe(commandTopic(id))
	c.expectCommand(2)
	if n := h.metric("outbox_total", "failed"); n != 1 {
		t.Errorf("%v counted", n)
	}
}

func TestQoS0SubscriberGetsCommandsAtQoS0(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	id := h.device()
	n := 3 * h.limits.OutboxWindow
	h.outbox.add(id, n, h.clock.Now().Add(time.Hour))
	c, _ := h.connect(login{id: "phone", name: id.String(), clean: true})
	c.send(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Subscribe}, PacketID: 1,
		Filters: packets.Subscriptions{{Filter: commandTopic(id)}},
	})
	c.expect(packets.Suback)
	for seq := range n {
		if pk := c.expectCommand(int64(seq + 1)); pk.FixedHeader.Qos != 0 {
			t.Fatalf("QoS %d", pk.FixedHeader.Qos)
		}
	}
}

// What is for the officer comes on the officer's topic, to whoever has subscribed
// to it, and its PUBACK acknowledges it: no connection gets it again.
func TestAnOfficersMessageIsAcknowledgedByItsPuback(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	driver, id := fleet.NewID[fleet.Driver](), h.device()
	h.auth.set(id.String(), fleet.Identity{Device: id, Driver: driver})
	h.outbox.add(id, 4, h.clock.Now().Add(time.Hour))
	h.outbox.commands[0].Driver = driver
	h.outbox.commands[2].Driver = driver
	h.outbox.commands[3].Driver = fleet.NewID[fleet.Driver]() // who had the phone before
	l := login{id: "phone", name: id.String(), version: 5, expiry: 600}
	c, _ := h.connect(l)
	c.subscribe(commandTopic(id))
	c.expectCommand(2)
	c.ping()
	c.subscribe(offersTopic(driver)) // late, and nothing comes twice for it
	var ids []uint16
	for _, seq := range []int64{1, 3} {
		pk := c.expect(packets.Publish)
		var got fleet.Command
		if err := json.Unmarshal(pk.Payload, &got); err != nil || got.Seq != seq || pk.TopicName != offersTopic(driver) {
			t.Fatalf("%s on %s: %v", pk.Payload, pk.TopicName, err)
		}
		ids = append(ids, pk.PacketID)
	}
	c.ping()
	c.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Puback}, PacketID: ids[0]})
	eventually(t, "it was acknowledged", func() bool { return h.metric("outbox_total", "acknowledged") == 1 })
	c, _ = h.connect(l)
	c.expectCommand(2)
	if pk := c.expect(packets.Publish); pk.TopicName != offersTopic(driver) {
		t.Errorf("%+v", pk)
	}
	c.ping()
}

func TestPublishFromTheHub(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	driver := fleet.NewID[fleet.Driver]()
	id := h.device()
	h.auth.set(id.String(), fleet.Identity{Device: id, Driver: driver})
	topic := "v1/drivers/" + driver.String() + "/offers"
	c, _ := h.connect(login{id: "phone", name: id.String(), version: 5, clean: true})
	other, _ := h.phone()
	if codes := c.subscribe(topic); codes[0] != 1 {
		t.Fatalf("SUBACK %#x", codes)
	}
	if err := h.Publish(topic, []byte("offer")); err != nil {
		t.Fatal(err)
	}
	if pk := c.expect(packets.Publish); string(pk.Payload) != "offer" || pk.TopicName != topic || pk.FixedHeader.Qos != 0 {
		t.Errorf("%+v", pk)
	}
	other.ping()
	c.send(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Unsubscribe}, PacketID: 2,
		Filters: packets.Subscriptions{{Filter: topic}},
	})
	c.expect(packets.Unsuback)
	if err := h.Publish(topic, []byte("offer")); err != nil {
		t.Fatal(err)
	}
	c.ping()
}
