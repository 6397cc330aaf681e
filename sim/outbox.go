package sim

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/autopaho/queue"
	"github.com/eclipse/paho.golang/packets"

	"armora/sim/wire"
)

// message is one MQTT message of a device, from its making until the hub has
// acknowledged it.
type message struct {
	topic   string
	retain  bool
	payload []byte       // nil when it carries points, which are encoded as late as can be
	points  []wire.Point // what it carries; Sent is set when it is encoded
	sent    time.Time    // when it first went to the wire
}

// outbox is the queue that autopaho sends from: what a device has said while
// it was offline, and what the library has not come to yet. It keeps the
// messages themselves, not their bytes, so that an acknowledgement leads back
// to the points. It is bounded: when full, push refuses.
type outbox struct {
	encoding wire.Encoding
	now      func() int64 // the device's clock, Unix milliseconds
	limit    int

	mu       sync.Mutex
	messages []*message
	ready    chan struct{} // closed while messages is not empty
	removed  chan struct{} // holds a token when a message has left since it was last read
}

func newOutbox(encoding wire.Encoding, now func() int64, limit int) *outbox {
	return &outbox{
		encoding: encoding, now: now, limit: limit,
		ready: make(chan struct{}), removed: make(chan struct{}, 1),
	}
}

// push adds m at the end and reports whether there was room.
func (b *outbox) push(m *message) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.messages) >= b.limit {
		return false
	}
	b.messages = append(b.messages, m)
	if len(b.messages) == 1 {
		close(b.ready)
	}
	return true
}

// room waits until there is room for one more message. It serves one caller at
// a time.
func (b *outbox) room(ctx context.Context) error {
	for {
		b.mu.Lock()
		full := len(b.messages) >= b.limit
		b.mu.Unlock()
		if !full {
			return nil
		}
		select {
		case <-b.removed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// head returns the message that is being sent, nil if there is none.
func (b *outbox) head() *message {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.messages) == 0 {
		return nil
	}
	return b.messages[0]
}

// Wait implements queue.Queue: the channel is closed when there is something.
func (b *outbox) Wait() chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ready
}

// Enqueue implements queue.Queue. Nothing comes this way: messages are pushed.
func (b *outbox) Enqueue(io.Reader) error {
	return errors.New("sim: messages enter the outbox by push")
}

// Peek implements queue.Queue. The entry is the outbox itself, standing for
// its oldest message: autopaho takes one at a time.
func (b *outbox) Peek() (queue.Entry, error) {
	if b.head() == nil {
		return nil, queue.ErrEmpty
	}
	return b, nil
}

// Reader implements queue.Entry. The payload is encoded here, at the moment of
// sending, because the hub learns a device's clock error from the sent time.
func (b *outbox) Reader() (io.Reader, error) {
	m := b.head()
	if m == nil {
		return nil, queue.ErrEmpty
	}
	payload := m.payload
	if payload == nil {
		for i := range m.points {
			m.points[i].Sent = b.now()
		}
		payload = b.encoding.Append(make([]byte, 0, 192*len(m.points)), m.points)
	}
	packet := packets.Publish{
		Topic: m.topic, QoS: 1, Retain: m.retain, Payload: payload, Properties: &packets.Properties{},
	}
	var encoded bytes.Buffer
	if _, err := packet.WriteTo(&encoded); err != nil {
		return nil, err
	}
	return &encoded, nil
}

// Leave implements queue.Entry.
func (b *outbox) Leave() error { return nil }

// Remove implements queue.Entry.
func (b *outbox) Remove() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.messages) == 0 {
		return queue.ErrEmpty
	}
	b.messages[0] = nil
	b.messages = b.messages[1:]
	if len(b.messages) == 0 {
		b.ready = make(chan struct{})
	}
	select {
	case b.removed <- struct{}{}:
	default:
	}
	return nil
}

// Quarantine implements queue.Entry. autopaho asks for it when it cannot read
// back what Reader wrote.
func (b *outbox) Quarantine() error { return b.Remove() }
