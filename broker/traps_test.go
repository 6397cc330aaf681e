package broker

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// Each test below names a trap of mochi v2.7.9. Its part "mochi" shows that a
// bare mochi falls into it, its part "armora" that this broker does not, by the
// same scenario.

// Five bytes before authentication make mochi allocate 256 MB.
// Not parallel: it measures what the process allocates.
func TestTrapAllocationBeforeAuthentication(t *testing.T) {
	scenario := func(c *client) (allocated uint64) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c.write([]byte{packets.Connect << 4, 0xff, 0xff, 0xff, 0x7f})
		for {
			runtime.ReadMemStats(&after)
			allocated = after.TotalAlloc - before.TotalAlloc
			_ = c.conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			_, err := c.in.ReadByte()
			if allocated > 128<<20 || errors.Is(err, io.EOF) {
				return allocated
			}
		}
	}
	t.Run("mochi", func(t *testing.T) {
		b := newBare(t, true, new(bareHook))
		c := dialTo(t, b.addr)
		if n := scenario(c); n < 256<<20 {
			t.Errorf("allocated %d bytes only", n)
		}
		_ = c.conn.Close()
	})
	t.Run("armora", func(t *testing.T) {
		h := newHub(t)
		if n := scenario(h.dial()); n > 16<<20 {
			t.Errorf("allocated %d bytes", n)
		}
		eventually(t, "counted", func() bool { return h.metric("disconnects_total", "packet_too_large") == 1 })
	})
}

// A plain Go error for a publish is acknowledged to a 3.1.1 client all the same.
func TestTrapPlainErrorIsAcknowledged(t *testing.T) {
	t.Parallel()
	acknowledged := func(c *client, topic string) bool {
		c.publish(topic, 1, 1, "x")
		pk, err := c.read()
		return err == nil && pk.FixedHeader.Type == packets.Puback
	}
	t.Run("mochi", func(t *testing.T) {
		t.Parallel()
		c, _ := newBare(t, true, &bareHook{publish: errStore}).connect(login{id: "x", name: "x", clean: true})
		if !acknowledged(c, "topic") {
			t.Error("not acknowledged")
		}
	})
	t.Run("armora", func(t *testing.T) {
		t.Parallel()
		h := newHub(t)
		c, id := h.phone()
		go func() { (<-h.points.got).Ack.Resolve(errStore) }()
		if acknowledged(c, pointsTopic(id)) {
			t.Error("acknowledged")
		}
	})
}

// A truncated MQTT 5 SUBSCRIBE panics.
func TestTrapTruncatedSubscribePanics(t *testing.T) {
	t.Parallel()
	truncated := []byte{packets.Subscribe<<4 | 2, 6, 0, 1, 0, 0, 1, 'a'} // no options byte
	t.Run("mochi", func(t *testing.T) {
		t.Parallel()
		c, ended := newBare(t, false, new(bareHook)).handOver(nil)
		c.login(login{id: "x", name: "x", version: 5, clean: true})
		c.write(truncated)
		if p, ok := (<-ended).(runtime.Error); !ok {
			t.Errorf("ended with %v, not by a panic", p)
		}
	})
	t.Run("armora", func(t *testing.T) {
		t.Parallel()
		h := newHub(t)
		other, _ := h.phone()
		c, id := h.phone5()
		c.write(truncated)
		c.expectEnd()
		other.ping()
		h.connect(login{id: id.String(), name: id.String(), version: 5, clean: true})
		if n := h.metric("panics_total"); n != 1 {
			t.Errorf("%v panics counted", n)
		}
		eventually(t, "the panicked session is gone", func() bool { return h.metric("sessions") == 2 })
	})
}

// deadlines tells when a connection is being read, and whether a deadline was
// set before that.
type deadlines struct {
	net.Conn
	set  bool
	read chan bool
}

func (d *deadlines) SetDeadline(at time.Time) error {
	d.set = d.set || !at.IsZero()
	return d.Conn.SetDeadline(at)
}

func (d *deadlines) SetReadDeadline(at time.Time) error {
	d.set = d.set || !at.IsZero()
	return d.Conn.SetReadDeadline(at)
}

func (d *deadlines) Read(p []byte) (int, error) {
	select {
	case d.read <- d.set:
	default:
	}
	return d.Conn.Read(p)
}

// A connection that never says a word is never closed.
func TestTrapSilentConnectionStays(t *testing.T) {
	t.Parallel()
	t.Run("mochi", func(t *testing.T) {
		t.Parallel()
		d := &deadlines{read: make(chan bool, 1)}
		c, ended := newBare(t, false, new(bareHook)).handOver(func(conn net.Conn) net.Conn { d.Conn = conn; return d })
		if <-d.read {
			t.Error("there is a deadline until CONNECT")
		}
		_ = c.conn.Close()
		<-ended
	})
	t.Run("armora", func(t *testing.T) {
		t.Parallel()
		h := newHub(t, func(c *Config) { c.Limits.ConnectTimeout = 20 * time.Millisecond })
		h.dial().expectEnd()
		slow := h.dial() // half a CONNECT is silence as well
		slow.write([]byte{packets.Connect << 4, 40, 0, 4})
		slow.expectEnd()
		eventually(t, "both counted", func() bool {
			return h.metric("disconnects_total", "connect_timeout") == 1 && h.metric("connections") == 0
		})
	})
}

// stuck is a connection to a peer that has stopped reading: writes block once
// it is told so.
type stuck struct {
	net.Conn
	full    chan struct{} // closed: writes block
	blocked chan struct{} // gets a value when one does
	closed  chan struct{}
}

func newStuck(conn net.Conn) *stuck {
	return &stuck{Conn: conn, full: make(chan struct{}), blocked: make(chan struct{}, 16), closed: make(chan struct{})}
}

func (s *stuck) Write(p []byte) (int, error) {
	select {
	case <-s.full:
		s.blocked <- struct{}{}
		<-s.closed
		return 0, net.ErrClosed
	default:
		return s.Conn.Write(p)
	}
}

// A client that no longer reads blocks its own reconnect.
func TestTrapHalfDeadClientBlocksItsReconnect(t *testing.T) {
	t.Parallel()
	l := login{id: "x", name: "x", version: 5, expiry: 60}
	t.Run("mochi", func(t *testing.T) {
		t.Parallel()
		b := newBare(t, false, new(bareHook))
		var s *stuck
		first, firstEnded := b.handOver(func(conn net.Conn) net.Conn { s = newStuck(conn); return s })
		first.login(l)
		close(s.full)
		first.write([]byte{packets.Pingreq << 4, 0})
		<-s.blocked // mochi writes PINGRESP, and holds the client's lock
		second, secondEnded := b.handOver(nil)
		second.sendConnect(l)
		_ = second.conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		if _, err := second.readPacket(); err == nil {
			t.Error("CONNACK came")
		}
		close(s.closed)
		_ = first.conn.Close()
		_ = second.conn.Close()
		<-firstEnded
		<-secondEnded
	})
	t.Run("armora", func(t *testing.T) {
		t.Parallel()
		h := newHub(t)
		id := h.device()
		l := l
		l.name = id.String()
		ours, theirs := net.Pipe()
		s := newStuck(theirs)
		served := make(chan struct{})
		go func() {
			h.serveConn(kindTCP, s, nil)
			close(served)
		}()
		first := newClient(t, ours)
		first.login(l)
		close(s.full)
		first.write([]byte{packets.Pingreq << 4, 0})
		<-s.blocked
		second, present := h.connect(l)
		if !present {
			t.Error("the session was not resumed")
		}
		second.ping()
		close(s.closed)
		<-served
	})
}

// A client with a small Receive Maximum gets a few messages, then no more:
// those that had to wait for its quota never give it back.
func TestTrapSmallReceiveMaximumWedges(t *testing.T) {
	t.Parallel()
	const n = 5
	// Each ping gives mochi an occasion to send one of those that wait.
	scenario := func(c *client) (got int) {
		for idle := false; got == 0 || !idle; {
			idle = true
			c.write([]byte{packets.Pingreq << 4, 0})
			for {
				pk, err := c.read()
				if err != nil {
					c.t.Fatal(err)
				}
				if pk.FixedHeader.Type == packets.Pingresp {
					break
				}
				idle = false
				got++
				c.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Puback}, PacketID: pk.PacketID})
			}
		}
		return got
	}
	t.Run("mochi", func(t *testing.T) {
		t.Parallel()
		b := newBare(t, true, new(bareHook))
		c, _ := b.connect(login{id: "x", name: "x", version: 5, window: 1, clean: true})
		c.subscribe("topic")
		for range n {
			if err := b.Publish("topic", []byte("x"), false, 1); err != nil {
				t.Fatal(err)
			}
		}
		if got := scenario(c); got == n {
			t.Error("all messages came")
		}
	})
	t.Run("armora", func(t *testing.T) {
		t.Parallel()
		h := newHub(t)
		id := h.device()
		h.outbox.add(id, n, h.clock.Now().Add(time.Hour))
		c, _ := h.connect(login{id: "x", name: id.String(), version: 5, window: 1, clean: true})
		c.subscribe(commandTopic(id))
		for seq := range n {
			c.expectCommand(int64(seq + 1))
		}
	})
}

// Messages that waited for a client come in random order.
func TestTrapQueuedMessagesComeInRandomOrder(t *testing.T) {
	t.Parallel()
	const n = 30
	t.Run("mochi", func(t *testing.T) {
		t.Parallel()
		b := newBare(t, true, new(bareHook))
		l := login{id: "x", name: "x", version: 5, expiry: 600}
		c, _ := b.connect(l)
		c.subscribe("topic")
		_ = c.conn.Close()
		eventually(t, "mochi knows that it is gone", func() bool {
			cl, ok := b.Clients.Get("x")
			return ok && cl.Closed()
		})
		for i := range n {
			if err := b.Publish("topic", []byte(strconv.Itoa(i)), false, 1); err != nil {
				t.Fatal(err)
			}
		}
		c, _ = b.connect(l)
		var order []int
		for range n {
			i, err := strconv.Atoi(string(c.expect(packets.Publish).Payload))
			if err != nil {
				t.Fatal(err)
			}
			order = append(order, i)
		}
		if slices.IsSorted(order) {
			t.Error("they came in order")
		}
	})
	t.Run("armora", func(t *testing.T) {
		t.Parallel()
		h := newHub(t)
		id := h.device()
		l := login{id: "x", name: id.String(), version: 5, expiry: 600}
		c, _ := h.connect(l)
		c.subscribe(commandTopic(id))
		_ = c.conn.Close()
		eventually(t, "the broker knows that it is gone", func() bool { return h.Connections() == 0 })
		h.outbox.add(id, n, h.clock.Now().Add(time.Hour))
		c, _ = h.connect(l)
		for seq := range n {
			c.expectCommand(int64(seq + 1))
		}
	})
}

// Close waits for ever on a connection that says nothing.
func TestTrapCloseHangs(t *testing.T) {
	t.Parallel()
	t.Run("mochi", func(t *testing.T) {
		t.Parallel()
		d := &deadlines{read: make(chan bool, 1)}
		b := newBare(t, false, new(bareHook))
		c, ended := b.handOver(func(conn net.Conn) net.Conn { d.Conn = conn; return d })
		<-d.read
		if err := b.Serve(); err != nil {
			t.Fatal(err)
		}
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		}()
		select {
		case <-closed:
			t.Error("it closed")
		case <-time.After(300 * time.Millisecond):
		}
		_ = c.conn.Close() // lets Close go on
		<-ended
		<-closed
	})
	t.Run("armora", func(t *testing.T) {
		t.Parallel()
		h := newHub(t)
		silent := h.dial()
		eventually(t, "it is being served", func() bool { return len(h.Broker.registry.all()) == 1 })
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			t.Error(err)
		}
		silent.expectEnd()
	})
}

// expectCommand reads the next command, which has to be this one, and
// acknowledges its packet.
func (c *client) expectCommand(seq int64) packets.Packet {
	c.t.Helper()
	pk := c.expect(packets.Publish)
	if !strings.Contains(string(pk.Payload), `"seq":`+strconv.FormatInt(seq, 10)+`,`) {
		c.t.Fatalf("command %s, not seq %d", pk.Payload, seq)
	}
	if pk.FixedHeader.Qos == 1 {
		c.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Puback}, PacketID: pk.PacketID})
	}
	return pk
}
