package broker

import (
	"io"
	"net"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// spareBuffer is the most that a connection keeps of its write buffer.
const spareBuffer = 512

// How long, and for how many bytes, a closing socket waits for its peer.
const (
	lingerTime  = 250 * time.Millisecond
	lingerBytes = 1 << 20
)

// Write implements net.Conn for mochi, which writes whole packets. It never
// blocks: a client that does not read must not hold up whoever has something
// to tell it, least of all its own reconnect.
func (c *conn) Write(p []byte) (int, error) {
	kind := p[0] >> 4
	if kind == packets.Disconnect && c.version < 5 {
		return len(p), nil // mochi sends it to MQTT 3 clients too, which have no such packet from a server
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if kind == packets.Connack && c.session != nil {
		c.established = true
	}
	if !c.sendLocked(p) {
		return 0, net.ErrClosed
	}
	return len(p), nil
}

// send queues whole packets. It reports false when the connection has ended or
// has too much waiting, which ends it.
func (c *conn) send(p []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sendLocked(p)
}

// sendLocked is send with c.mu held.
func (c *conn) sendLocked(p []byte) bool {
	if c.ended {
		return false
	}
	if len(c.out)+len(p) > c.b.limits.WriteBuffer {
		c.endLocked(packets.ErrQuotaExceeded, "slow_reader")
		return false
	}
	c.out = append(c.out, p...)
	c.startWriter()
	return true
}

// flush writes what is waiting.
func (c *conn) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.out) > 0 && !c.ended {
		c.startWriter()
	}
}

// end ends the connection: MQTT 5 clients are told why, what is waiting is
// written, the socket is closed. It does not block. The first reason stands.
func (c *conn) end(code packets.Code, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLocked(code, reason)
}

// endLocked is end with c.mu held.
func (c *conn) endLocked(code packets.Code, reason string) {
	if c.ended {
		return
	}
	c.ended = true
	if c.reason == "" {
		c.reason = reason
	}
	if c.established && c.version == 5 && code.Code >= packets.ErrUnspecifiedError.Code {
		c.out = append(c.out, packets.Disconnect<<4, 2, code.Code, 0)
	}
	close(c.closing)
	// Errors mean that the socket is closed already.
	_ = c.raw.SetReadDeadline(time.Unix(1, 0)) // wakes the reader
	if reason == "slow_reader" {
		_ = c.raw.SetWriteDeadline(time.Unix(1, 0)) // frees the writer: it has waited long enough
	}
	c.startWriter() // writes the rest and closes the socket
}

// Close implements net.Conn for mochi: what is waiting is written, then the
// socket is closed.
func (c *conn) Close() error {
	c.end(packets.CodeDisconnect, "")
	return nil
}

// startWriter makes sure that a goroutine writes what is waiting. There is one
// only while there is something to write, so an idle connection has none.
// c.mu is held.
func (c *conn) startWriter() {
	if !c.writing {
		c.writing = true
		c.writers.Go(c.write)
	}
}

// write writes until nothing is waiting, and closes the socket of an ended
// connection when all is out or nothing more goes out.
func (c *conn) write() {
	var spare []byte
	for {
		c.mu.Lock()
		if len(c.out) == 0 {
			c.writing = false
			if cap(spare) <= spareBuffer {
				c.out = spare
			}
			ended := c.ended
			c.mu.Unlock()
			if ended {
				c.closeRaw()
			}
			return
		}
		packets := c.out
		c.out = spare
		c.mu.Unlock()

		c.b.metrics.writes.Inc()
		if err := c.writeRaw(packets); err != nil {
			c.abandon()
			return
		}
		spare = packets[:0]
	}
}

// writeRaw writes to the socket. Its deadline is the operating system's, hence
// its clock. A connection that was ended as too slow gets no new deadline.
func (c *conn) writeRaw(p []byte) error {
	c.mu.Lock()
	if c.reason != "slow_reader" {
		_ = c.raw.SetWriteDeadline(time.Now().Add(c.b.limits.WriteTimeout)) // a closed socket fails in Write
	}
	c.mu.Unlock()
	_, err := c.raw.Write(p)
	return err
}

// abandon gives up a socket that takes no more.
func (c *conn) abandon() {
	c.mu.Lock()
	c.out, c.writing = nil, false
	if !c.ended {
		c.ended = true
		c.reason = "write_failed"
		close(c.closing)
	}
	c.mu.Unlock()
	c.closeRaw()
}

// closeRaw closes the socket. Closing one that has unread bytes resets it, and
// the reset may overtake what was written last, which says why; so the peer is
// given a moment to hang up first. Errors mean that it already has.
func (c *conn) closeRaw() {
	defer func() { _ = c.raw.Close() }()
	socket := c.raw
	if ws, ok := c.raw.(*wsConn); ok {
		ws.sayClose()
		socket = ws.Conn
	}
	half, ok := socket.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	if socket.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = io.CopyN(io.Discard, socket, lingerBytes)
	}
}

// closeHard closes the socket at once, whoever is reading or writing.
func (c *conn) closeHard() {
	socket := c.raw
	if secured, ok := c.raw.(interface{ NetConn() net.Conn }); ok {
		socket = secured.NetConn() // closing TLS would first say so to a peer that may not listen
	}
	_ = socket.Close() // an error means that it is closed
}

// isEstablished reports whether CONNACK is out.
func (c *conn) isEstablished() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.established
}
