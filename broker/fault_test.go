package broker

import (
	"bytes"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"armora/fleet"
)

// bystander is a device that goes on working while another misbehaves.
type bystander struct {
	*client
	h    *hub
	next uint16
	to   string
}

func newBystander(h *hub) *bystander {
	c, id := h.phone()
	return &bystander{client: c, h: h, to: "v1/devices/" + id.String() + "/events"}
}

// works shows that a message of the bystander is received and acknowledged.
func (b *bystander) works() {
	b.t.Helper()
	b.next++
	b.publish(b.to, 1, b.next, "fine")
	for {
		m := b.h.points.next(b.t)
		m.Ack.Resolve(nil)
		m.Ack.Flush()
		if m.Topic == b.to {
			break
		}
	}
	b.expectAcks(b.next)
}

// Whoever has used up what they may is let in again in time, whatever the clock is set to.
func TestLimitsGoOnWhenTheClockIsSetBack(t *testing.T) {
	t.Parallel()
	clock := fleet.NewManualClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	limits := DefaultLimits()
	a, peer := newAdmission(limits, clock), netip.MustParseAddr("192.0.2.1")
	for range limits.AddressBurst {
		if refused := a.enter(peer); refused != "" {
			t.Fatal(refused)
		}
	}
	clock.Advance(-time.Hour)
	if refused := a.enter(peer); refused != "address_rate" {
		t.Errorf("at once: %q", refused)
	}
	clock.Advance(time.Second)
	if refused := a.enter(peer); refused != "" {
		t.Errorf("a second later: %q", refused)
	}
}

func TestGarbage(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	b := newBystander(h)
	random := rand.New(rand.NewPCG(1, 2))
	noise := func(n int) []byte {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(random.Uint32())
		}
		return p
	}
	id := h.device().String()
	openings := map[string]func() []byte{
		"not MQTT": func() []byte { return []byte("GET / HTTP/1.1\r\nHost: hub\r\n\r\n") },
		"noise":    func() []byte { return noise(200) },
		"noise for CONNECT": func() []byte {
			return append([]byte{packets.Connect << 4, 100}, noise(100)...)
		},
		"endless length":  func() []byte { return []byte{packets.Connect << 4, 0xff, 0xff, 0xff, 0xff, 0xff} },
		"a large CONNECT": func() []byte { return []byte{packets.Connect << 4, 0xff, 0xff, 0x02} },
		"PUBLISH first":   func() []byte { return encode(t, 4, publishOf("x", 0, 0, "x")) },
		"reserved type":   func() []byte { return []byte{0, 0} },
	}
	for name, opening := range openings {
		for range 5 {
			c := h.dial()
			_, _ = c.conn.Write(opening()) // it may hang up in the middle
			_ = c.conn.(*net.TCPConn).CloseWrite()
			c.expectEnd()
		}
		_ = name
		b.works()
	}
	for version := byte(4); version <= 5; version++ {
		for range 30 {
			c, _ := h.connect(login{id: "garbage", name: id, clean: true, version: version})
			p := noise(64)
			p[1] &= 0x1f
			_, _ = c.conn.Write(p)
			_ = c.conn.(*net.TCPConn).CloseWrite()
			c.expectEnd()
		}
		b.works()
	}
}

func TestMalformedPublishEndsTheConnection(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	good := func(id string) []byte { return encode(t, 5, publishOf(id, 1, 1, "x")) }
	for name, tc := range map[string]struct {
		packet func(topic string) []byte
		code   byte
	}{
		"QoS 3":            {func(s string) []byte { p := good(s); p[0] |= 6; return p }, 0x82},
		"QoS 0, dup":       {func(s string) []byte { p := encode(t, 5, publishOf(s, 0, 0, "x")); p[0] |= 8; return p }, 0x82},
		"packet id 0":      {func(s string) []byte { p := good(s); p[len(p)-4], p[len(p)-3] = 0, 0; return p }, 0x82},
		"no topic":         {func(string) []byte { return encode(t, 5, publishOf("", 1, 1, "x")) }, 0x82},
		"wildcard":         {func(s string) []byte { return good(s + "/#") }, 0x82},
		"not UTF-8":        {func(s string) []byte { return good(s + "\xff") }, 0x81},
		"NUL":              {func(s string) []byte { return good(s + "\x00") }, 0x81},
		"truncated topic":  {func(string) []byte { return []byte{0x32, 4, 0, 9, 'a', 'b'} }, 0x81},
		"truncated id":     {func(string) []byte { return []byte{0x32, 4, 0, 1, 'a', 0} }, 0x81},
		"no properties":    {func(string) []byte { return []byte{0x32, 5, 0, 1, 'a', 0, 1} }, 0x81},
		"bad properties":   {func(string) []byte { return []byte{0x32, 7, 0, 1, 'a', 0, 1, 1, 99} }, 0x81},
		"long properties":  {func(string) []byte { return []byte{0x32, 8, 0, 1, 'a', 0, 1, 9, 1, 0} }, 0x81},
		"alias 0":          {func(string) []byte { return []byte{0x32, 9, 0, 1, 'a', 0, 1, 3, 35, 0, 0} }, 0x94},
		"alias 17":         {func(string) []byte { return []byte{0x32, 9, 0, 1, 'a', 0, 1, 3, 35, 0, 17} }, 0x94},
		"subscription id":  {func(string) []byte { return []byte{0x32, 8, 0, 1, 'a', 0, 1, 2, 11, 1} }, 0x82},
		"too large":        {func(string) []byte { return []byte{0x32, 0xff, 0xff, 0xff, 0x01} }, 0x95},
		"PUBACK of 1 byte": {func(string) []byte { return []byte{packets.Puback << 4, 1, 0} }, 0x81},
		"second CONNECT":   {func(string) []byte { return []byte{packets.Connect << 4, 0} }, 0},
	} {
		c, id := h.phone5()
		c.write(tc.packet(pointsTopic(id)))
		if code := c.expectEnd(); code != tc.code {
			t.Errorf("%s: DISCONNECT %#x, not %#x", name, code, tc.code)
		}
	}
	if n := len(h.points.got); n != 0 {
		t.Errorf("%d messages were taken", n)
	}
}

// A large message is as good as a small one, up to the limit.
func TestPacketSizes(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.points.resolve = true
	c, id := h.phone()
	for i, n := range []int{0, 1, readBuffer - 70, readBuffer - 61, readBuffer - 60, readBuffer, 10 * readBuffer, 200 << 10} {
		payload := strings.Repeat("x", n)
		c.publish(pointsTopic(id), 1, uint16(i+1), payload)
		c.expectAcks(uint16(i + 1))
		if m := h.points.next(t); string(m.Payload) != payload {
			t.Errorf("%d bytes arrived as %d", n, len(m.Payload))
		}
	}
}

// A payload belongs to the receiver: what comes later does not write over it.
func TestPayloadIsOwnedByTheReceiver(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c, id := h.phone()
	for i := range 100 {
		c.publish(pointsTopic(id), 0, 0, strings.Repeat(string(rune('a'+i%26)), 50))
	}
	for i, m := range receiveAll(t, h.points, 100) {
		if string(m.Payload) != strings.Repeat(string(rune('a'+i%26)), 50) {
			t.Fatalf("message %d is %q", i, m.Payload)
		}
	}
}

// A device that floods is read more slowly, and stays connected.
func TestFlood(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(c *Config) {
		c.Limits.DeviceRate, c.Limits.DeviceBurst = 10, 50
	})
	b := newBystander(h)
	c, id := h.phone()
	packet := encode(t, 4, publishOf(pointsTopic(id), 0, 0, "x"))
	c.write(bytes.Repeat(packet, 60))
	receiveAll(t, h.points, 50)
	eventually(t, "the reader waits", func() bool { return h.metric("throttled_total") == 1 })
	for range 5 {
		b.works()
	}
	if n := len(h.points.got); n != 0 {
		t.Errorf("%d messages over the burst", n)
	}
	eventually(t, "the rest is read in its time", func() bool {
		h.clock.Advance(10 * time.Millisecond)
		return len(h.points.got) == 10
	})
}

// A client that reads nothing neither blocks who resolves its messages nor
// grows without bound, and is ended.
func TestStalledReader(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(c *Config) {
		c.Limits.WriteBuffer = 2000
		c.Limits.WriteTimeout = time.Hour
	})
	b := newBystander(h)
	ours, theirs := net.Pipe() // without a buffer: a write waits for its reader
	served := make(chan struct{})
	go func() {
		h.serveConn(kindTCP, theirs, nil)
		close(served)
	}()
	c := newClient(t, ours)
	id := h.device()
	c.login(login{id: "x", name: id.String(), clean: true})
	for i := range 1000 {
		if _, err := ours.Write(encode(t, 4, publishOf(pointsTopic(id), 1, uint16(i+1), "x"))); err != nil {
			break // ended
		}
		m := h.points.next(t)
		m.Ack.Resolve(nil)
		m.Ack.Flush()
	}
	<-served
	if n := h.metric("disconnects_total", "slow_reader"); n != 1 {
		t.Errorf("%v counted", n)
	}
	b.works()
}

// A write that never ends is given up after its time.
func TestWriteTimeout(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(c *Config) { c.Limits.WriteTimeout = 20 * time.Millisecond })
	ours, theirs := net.Pipe()
	served := make(chan struct{})
	go func() {
		h.serveConn(kindTCP, theirs, nil)
		close(served)
	}()
	c := newClient(t, ours)
	c.login(login{id: "x", name: h.device().String(), clean: true})
	c.write([]byte{packets.Pingreq << 4, 0})
	<-served
	if n := h.metric("disconnects_total", "write_failed"); n != 1 {
		t.Errorf("%v counted", n)
	}
}

// A client that closes its sending half still gets what it is owed... if it is
// owed at once; it then counts as lost.
func TestHalfClose(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	b := newBystander(h)
	c, id := h.phone()
	c.publish(pointsTopic(id), 1, 1, "last")
	if err := c.conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	m := h.points.next(t)
	eventually(t, "it counts as lost", func() bool { return h.metric("disconnects_total", "lost") == 1 })
	c.expectEnd()
	m.Ack.Resolve(nil)
	m.Ack.Flush()
	b.works()
	if left := h.metric("inflight_bytes"); left != 0 {
		t.Errorf("%v bytes are still counted", left)
	}
}

func TestLimitsPerAddress(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(c *Config) {
		c.Limits.Trusted = nil
		c.Limits.AddressConnections, c.Limits.AddressBurst, c.Limits.AddressRate = 2, 4, 1
	})
	c, _ := h.phone()
	h.phone()
	h.dial().expectEnd() // a third at once
	if n := h.metric("refusals_total", "address_connections"); n != 1 {
		t.Errorf("%v counted", n)
	}
	_ = c.conn.Close()
	eventually(t, "its place is free", func() bool { return h.metric("connections") == 1 })
	h.phone()            // the fourth accept
	h.dial().expectEnd() // a fifth is too fast
	if n := h.metric("refusals_total", "address_rate"); n != 1 {
		t.Errorf("%v counted", n)
	}
	h.clock.Advance(time.Hour)
	h.admission.forget()
	if n := len(h.admission.addresses); n != 1 {
		t.Errorf("%d addresses known", n)
	}
}

func TestConnectionsInAll(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(c *Config) { c.Limits.Connections = 1 })
	c, _ := h.phone()
	h.dial().expectEnd()
	_ = c.conn.Close()
	eventually(t, "its place is free", func() bool { return h.metric("connections") == 0 })
	h.phone()
}

func TestPeers(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"192.0.2.7:1":           "192.0.2.7",
		"[::ffff:192.0.2.7]:1":  "192.0.2.7",
		"[2001:db8:1:2:3::4]:1": "2001:db8:1:2::",
		"[::1]:1":               "::1",
	} {
		tcp, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := peerOf(tcp); got.String() != want {
			t.Errorf("%s counts as %s, not %s", addr, got, want)
		}
	}
}

func TestKeepAlive(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(c *Config) {
		c.Limits.KeepAliveMin, c.Limits.KeepAliveMax = time.Second, 2*time.Second
	})
	id := h.device().String()
	c := h.dial()
	ack := c.login(login{id: "a", name: id, version: 5, clean: true, keepAlive: 0xffff})
	if !ack.Properties.ServerKeepAliveFlag || ack.Properties.ServerKeepAlive != 2 {
		t.Errorf("server keep-alive %d", ack.Properties.ServerKeepAlive)
	}
	never, _ := h.connect(login{id: "b", name: id, clean: true}) // 3.1.1 with none
	if code := c.expectEnd(); code != packets.ErrKeepAliveTimeout.Code {
		t.Errorf("DISCONNECT %#x", code)
	}
	never.expectEnd()
	// A client may see its end before the broker has counted it.
	eventually(t, "both are counted", func() bool { return h.metric("disconnects_total", "keep_alive_timeout") == 2 })
}
