package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"armora/sim/wire"
)

// burst is the most that is written in one system call, in bytes, when nothing
// but the window holds the run back.
const burst = 32 << 10

// worker publishes over one connection: one goroutine writes, one reads.
type worker struct {
	run     *run
	conn    *conn
	topic   string
	points  []wire.Point // of the message being written; reused
	payload []byte       // reused
	device  track

	// free holds the packet ids that are not in flight; its capacity is the
	// window. QoS 0 has none.
	free chan uint16
	// sentAt holds, by packet id, when the message in flight was written, as
	// nanoseconds since began; -1 when none is.
	sentAt []atomic.Int64
	began  time.Time

	written    int64         // messages, of the writer alone
	unanswered atomic.Int64  // QoS 1 messages in flight
	progress   chan struct{} // holds a token when answers were read since it was last taken
	pinged     chan struct{} // closed when the broker has answered the ping
}

func newWorker(r *run, c *conn, topic string, number int) *worker {
	w := &worker{
		run: r, conn: c, topic: topic, points: make([]wire.Point, r.cfg.PerPacket),
		device: newTrack(number), began: time.Now(),
		progress: make(chan struct{}, 1), pinged: make(chan struct{}),
	}
	if r.cfg.QoS == 1 {
		window := min(r.cfg.Window, c.receiveMaximum)
		w.free = make(chan uint16, window)
		w.sentAt = make([]atomic.Int64, window+1)
		for id := 1; id <= window; id++ {
			w.sentAt[id].Store(-1)
			w.free <- uint16(id)
		}
	}
	return w
}

// work publishes until ctx ends or the run's messages are used up, waits for
// the answers, and closes the connection.
func (w *worker) work(ctx context.Context) error {
	var (
		reading sync.WaitGroup
		readErr error
		broken  = make(chan struct{}) // closed when nothing more will be read
	)
	reading.Go(func() {
		defer close(broken)
		readErr = w.read()
	})
	// A broker that has stopped reading must not hold the end up.
	stop := context.AfterFunc(ctx, func() {
		_ = w.conn.SetWriteDeadline(time.Now().Add(w.run.cfg.Timeout)) // fails only when closed
	})
	defer stop()
	writeErr := w.write(ctx, broken)
	if writeErr == nil {
		writeErr = w.settle(broken)
	}
	closeErr := w.conn.leave()
	reading.Wait()
	w.run.unanswered.Add(w.unanswered.Load())
	if errors.Is(writeErr, errBroken) {
		return fmt.Errorf("load: %s: %w", w.conn.clientID, readErr)
	}
	return errors.Join(writeErr, closeErr)
}

var errBroken = errors.New("the connection ended")

// write sends messages, as many in one call as the window and burst allow.
func (w *worker) write(ctx context.Context, broken <-chan struct{}) error {
	buffer := make([]byte, 0, 4096)
	for {
		var id uint16
		if w.free != nil {
			select {
			case id = <-w.free:
			case <-ctx.Done():
				return nil
			case <-broken:
				return errBroken
			}
		}
		select {
		case <-ctx.Done():
			return nil
		default:
		}
		if !w.run.pace.wait(ctx) {
			return nil
		}
		var n int64
		buffer, n = w.fill(buffer[:0], id)
		if n == 0 {
			return nil
		}
		w.run.pace.giveBack(n)
		w.written += n
		w.run.sent.Add(n)
		if w.free != nil {
			w.unanswered.Add(n)
		}
		if _, err := w.conn.Write(buffer); err != nil {
			return fmt.Errorf("load: %s: %w", w.conn.clientID, err)
		}
	}
}

// fill appends messages to buffer, the first under id, until the run has no
// more, the window is full or the buffer has a burst (a place, if the run is held
// to a rate). It returns how many.
func (w *worker) fill(buffer []byte, id uint16) ([]byte, int64) {
	now := time.Now()
	for n := int64(0); ; {
		if w.run.left.Add(-1) < 0 {
			return buffer, n
		}
		n++
		if w.free != nil {
			w.sentAt[id].Store(int64(now.Sub(w.began)))
		}
		buffer = w.appendMessage(buffer, id, now.UnixMilli())
		// A place is used to its end: the next one may be a long way off.
		if most := w.run.pace.most; n == most || most == 0 && len(buffer) >= burst {
			return buffer, n
		}
		if w.free == nil {
			continue
		}
		select {
		case id = <-w.free:
		default:
			return buffer, n
		}
	}
}

// appendMessage appends one PUBLISH packet.
func (w *worker) appendMessage(buffer []byte, id uint16, now int64) []byte {
	for i := range w.points {
		w.points[i] = w.device.next(now)
	}
	w.payload = w.run.cfg.Encoding.Append(w.payload[:0], w.points)
	w.run.bytes.Add(int64(len(w.payload)))
	return appendPublish(buffer, w.run.cfg.QoS, id, w.topic, w.payload)
}

// appendPublish appends an MQTT 5 PUBLISH packet without properties (OASIS
// MQTT 5.0, §3.3). The packet id is left out at QoS 0.
func appendPublish(dst []byte, qos byte, id uint16, topic string, payload []byte) []byte {
	length := 2 + len(topic) + 1 + len(payload)
	if qos > 0 {
		length += 2
	}
	dst = append(dst, packets.PUBLISH<<4|qos<<1)
	for ; length >= 0x80; length >>= 7 {
		dst = append(dst, byte(length)|0x80)
	}
	dst = append(dst, byte(length), byte(len(topic)>>8), byte(len(topic)))
	dst = append(dst, topic...)
	if qos > 0 {
		dst = append(dst, byte(id>>8), byte(id))
	}
	dst = append(dst, 0) // no properties
	return append(dst, payload...)
}

// settle waits until the broker has answered everything. A ping goes behind
// the last publish: brokers answer in order, so its answer says that all
// before it was read, which is all there is to know at QoS 0.
func (w *worker) settle(broken <-chan struct{}) error {
	if _, err := w.conn.Write(pingRequest); err != nil {
		return fmt.Errorf("load: %s: %w", w.conn.clientID, err)
	}
	patience := time.NewTimer(w.run.cfg.Timeout)
	defer patience.Stop()
	for pinged := w.pinged; pinged != nil || w.unanswered.Load() > 0; {
		select {
		case <-pinged:
			pinged = nil
		case <-w.progress:
		case <-broken:
			return errBroken
		case <-patience.C:
			return fmt.Errorf("load: %s: no answer after %v", w.conn.clientID, w.run.cfg.Timeout)
		}
	}
	if w.free == nil {
		w.run.acknowledged.Add(w.written)
	}
	return nil
}

// read takes the broker's packets until the connection ends, and returns why.
func (w *worker) read() error {
	var now int64
	for {
		idle := w.conn.reader.Buffered() == 0
		kind, length, err := readHeader(w.conn.reader)
		if err != nil {
			return err
		}
		if idle { // what came in one read came at one time
			now = int64(time.Since(w.began))
		}
		body, err := w.conn.reader.Peek(min(length, 3))
		if err != nil {
			return err
		}
		switch kind {
		case packets.PUBACK:
			if err := w.answered(body, now); err != nil {
				return err
			}
		case packets.PINGRESP:
			close(w.pinged)
		case packets.DISCONNECT:
			return fmt.Errorf("the broker disconnected with code 0x%02x", append(body, 0)[0])
		}
		if _, err := w.conn.reader.Discard(length); err != nil {
			return err
		}
	}
}

// answered takes the beginning of a PUBACK: the packet id, and the reason code
// if it is not success.
func (w *worker) answered(body []byte, now int64) error {
	if len(body) < 2 {
		return errors.New("a PUBACK without a packet id")
	}
	id := uint16(body[0])<<8 | uint16(body[1])
	if id == 0 || int(id) >= len(w.sentAt) || w.sentAt[id].Load() < 0 {
		return fmt.Errorf("a PUBACK for packet id %d, which is not in flight", id)
	}
	w.run.latency.Record(time.Duration(now-w.sentAt[id].Swap(-1)), 1)
	if len(body) > 2 && body[2] >= 0x80 {
		w.run.rejected.Add(1)
	} else {
		w.run.acknowledged.Add(1)
	}
	w.unanswered.Add(-1)
	w.free <- id // never blocks: it has room for every id
	select {
	case w.progress <- struct{}{}:
	default:
	}
	return nil
}

// readHeader reads a packet's type and the length of what follows.
func readHeader(r io.ByteReader) (kind byte, length int, err error) {
	first, err := r.ReadByte()
	if err != nil {
		return 0, 0, err
	}
	for shift := 0; shift < 28; shift += 7 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, 0, err
		}
		length |= int(b&0x7f) << shift
		if b < 0x80 {
			return first >> 4, length, nil
		}
	}
	return 0, 0, errors.New("a packet whose length takes more than four bytes")
}
