package broker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"armora/fleet"
)

// readBuffer is the size of a connection's read buffer: a dozen points a
// system call when a backlog drains, 20 MB over ten thousand idle phones.
const readBuffer = 2 << 10

// conn is one client's connection. It is the net.Conn that mochi reads and
// writes, and it frames the stream before mochi sees it: PUBLISH, PUBACK and
// PUBREL are handled here, every other packet is passed on whole.
//
// Its own goroutine (serve) reads; fields without a comment are that
// goroutine's, set before the session is established and constant after.
type conn struct {
	b      *Broker
	kind   string // of the listener
	raw    net.Conn
	peer   netip.Addr
	cert   []byte // DER of the verified client certificate
	in     *bufio.Reader
	passed bool // CONNECT has been passed on
	pass   int  // bytes of the current packet that mochi has yet to read

	client     *mqtt.Client
	identity   *fleet.Identity
	device     *device
	session    *session
	will       *will // guarded by the session's lock
	version    byte
	keepAlive  time.Duration
	maxUnacked int
	renew      time.Time // when the read deadline is moved next
	last       destination
	aliases    []destination
	unlock     func() // releases the session's lock; nil when not held

	closing chan struct{} // closed when the connection is ending
	parked  chan struct{} // closed when reading has stopped for good
	writers sync.WaitGroup

	mu          sync.Mutex
	established bool   // CONNACK is out: there is somebody to talk to
	out         []byte // whole packets that wait for the writer
	writing     bool   // a writer goroutine is at work
	ended       bool
	reason      string // why the connection ended, for the metric

	firstAck, lastAck *Ack // acknowledgements in the order they are owed
	slab              []Ack
	unacked           int
	inflightBytes     int64
	window            window // commands on their way to the device
}

func (b *Broker) newConn(kind string, raw net.Conn, peer netip.Addr) *conn {
	c := &conn{
		b: b, kind: kind, raw: raw, peer: peer,
		closing: make(chan struct{}), parked: make(chan struct{}),
	}
	c.in = bufio.NewReaderSize(reader{c}, readBuffer)
	return c
}

// Read implements net.Conn for mochi: it returns bytes of packets that are
// mochi's to handle, never across the end of one, and handles the others as
// they come by.
func (c *conn) Read(p []byte) (int, error) {
	for c.pass == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	n, err := c.in.Read(p[:min(len(p), c.pass)])
	c.pass -= n
	return n, err
}

// next takes the next packet from the stream and handles it or marks it as
// mochi's.
func (c *conn) next() error {
	if c.stopped() {
		return c.park()
	}
	first, head, size, err := c.header()
	if err != nil {
		return err
	}
	kind := first >> 4
	if !c.passed {
		if kind != packets.Connect {
			return c.fail(packets.ErrProtocolViolationRequireFirstConnect, "no_connect")
		}
		if head+size > c.b.limits.ConnectSize {
			return c.fail(packets.ErrPacketTooLarge, "packet_too_large")
		}
		c.passed, c.pass = true, head+size
		return nil
	}
	if head+size > c.b.limits.PacketSize {
		return c.fail(packets.ErrPacketTooLarge, "packet_too_large")
	}
	if err := c.throttle(); err != nil {
		return err
	}
	switch kind {
	case packets.Publish:
		return c.readPublish(first, head, size)
	case packets.Puback, packets.Pubrel:
		return c.readReply(kind, head, size)
	default:
		c.pass = head + size
		return nil
	}
}

// header peeks at the fixed header of the next packet: its first byte, its own
// length and the length of what follows.
func (c *conn) header() (first byte, head, size int, err error) {
	for head = 2; head <= 5; head++ {
		b, err := c.in.Peek(head)
		if err != nil {
			return 0, 0, 0, err
		}
		size |= int(b[head-1]&0x7f) << (7 * (head - 2))
		if b[head-1] < 0x80 {
			return b[0], head, size, nil
		}
	}
	return 0, 0, 0, c.fail(packets.ErrMalformedVariableByteInteger, "protocol_error")
}

// throttle counts one packet of the device and, when it sends more than it
// may, waits: the client is slowed down by its own full socket, and disturbs
// nobody else.
func (c *conn) throttle() error {
	if c.waits(1) {
		return nil
	}
	return c.park()
}

// waits counts what costs the hub as much as some packets and, when the device sends more
// than it may, waits. It returns false when the connection, or all reading, ends meanwhile.
func (c *conn) waits(packets int) bool {
	wait := c.device.take(c.b.clock.Now(), packets, &c.b.limits)
	if wait == 0 {
		return true
	}
	fired, stop := c.b.clock.NewTimer(wait)
	defer stop()
	c.b.metrics.throttled.Inc()
	select {
	case <-fired:
		return true
	case <-c.b.reading.Done():
		return false
	case <-c.closing:
		return false
	}
}

// readPublish reads a whole PUBLISH and handles it. One that fits the read
// buffer is decoded in place; a larger one is gathered as its bytes arrive, so
// that a length alone never allocates.
func (c *conn) readPublish(first byte, head, size int) error {
	if head+size <= readBuffer {
		packet, err := c.in.Peek(head + size)
		if err != nil {
			return err
		}
		if err := c.decodePublish(first, packet[head:]); err != nil {
			return err
		}
		_, err = c.in.Discard(head + size)
		return err
	}
	if _, err := c.in.Discard(head); err != nil {
		return err
	}
	var body bytes.Buffer
	if _, err := io.CopyN(&body, c.in, int64(size)); err != nil {
		return err
	}
	return c.decodePublish(first, body.Bytes())
}

func (c *conn) decodePublish(first byte, body []byte) error {
	p, code := parsePublish(first, body, c.version)
	if code != packets.CodeSuccess {
		return c.fail(code, "protocol_error")
	}
	return c.publish(&p)
}

// readReply handles PUBACK and PUBREL. Their reason codes and properties make
// no difference here: a message that a client refuses is not sent again.
func (c *conn) readReply(kind byte, head, size int) error {
	if size < 2 || head+size > readBuffer {
		return c.fail(packets.ErrMalformedPacketID, "protocol_error")
	}
	packet, err := c.in.Peek(head + size)
	if err != nil {
		return err
	}
	id := binary.BigEndian.Uint16(packet[head:])
	if _, err := c.in.Discard(head + size); err != nil {
		return err
	}
	if kind == packets.Puback {
		c.b.outbox.acknowledged(c, id)
		return nil
	}
	c.session.received.remove(id)
	c.send([]byte{packets.Pubcomp << 4, 2, byte(id >> 8), byte(id)})
	return nil
}

// stopped reports whether the connection or the broker has stopped reading.
func (c *conn) stopped() bool {
	select {
	case <-c.closing:
		return true
	default:
		return c.b.isStopping()
	}
}

// park stops reading without ending the connection: what was read can still be
// acknowledged. It returns when the connection ends.
func (c *conn) park() error {
	close(c.parked)
	<-c.closing
	return net.ErrClosed
}

// fail ends the connection because of what the client sent, and returns the
// error that makes mochi let go of it.
func (c *conn) fail(code packets.Code, reason string) error {
	c.end(code, reason)
	return fmt.Errorf("MQTT connection ended: %w", code)
}

// reader is what a conn's buffer reads from: the socket, with the read deadline
// kept ahead of it.
type reader struct{ c *conn }

func (r reader) Read(p []byte) (int, error) {
	c := r.c
	if c.passed {
		c.renewDeadline()
	}
	if c.stopped() {
		return 0, c.park()
	}
	n, err := c.raw.Read(p)
	if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	if c.stopped() {
		return n, c.park()
	}
	if !c.passed {
		return n, c.fail(packets.ErrMaxConnectTime, "connect_timeout")
	}
	return n, c.fail(packets.ErrKeepAliveTimeout, "keep_alive_timeout")
}

// renewDeadline gives the client one and a half keep-alives from now. Setting a
// deadline takes a system's lock, so it is moved only when an eighth of a
// keep-alive has passed, and set that much later. Socket deadlines are the
// operating system's, hence its clock.
func (c *conn) renewDeadline() {
	now := time.Now()
	if now.Before(c.renew) {
		return
	}
	c.renew = now.Add(c.keepAlive / 8)
	// An error means that the socket is closed; Read is about to say so.
	_ = c.raw.SetReadDeadline(now.Add(c.keepAlive*3/2 + c.keepAlive/8))
}

// LocalAddr implements net.Conn.
func (c *conn) LocalAddr() net.Addr { return c.raw.LocalAddr() }

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }

// SetDeadline implements net.Conn. mochi's deadlines would also cut off
// writes, and overflow; the conn keeps its own.
func (c *conn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn; see SetDeadline.
func (c *conn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn; see SetDeadline.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }
