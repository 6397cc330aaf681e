package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"armora/fleet"
)

// outbox delivers the commands of devices: in order of seq, at QoS 1, a few in
// flight, each with what is left of its life as message expiry. mochi's own
// queue, which replays in random order, is not used.
//
// A command leaves the outbox when the device's application acknowledges it on
// …/commands/{seq}/ack, or, if it is for the officer whose phone the device is,
// by its PUBACK. Until then it is delivered again on every new connection; the
// application tells repeats by their seq.
type outbox struct {
	b               *Broker
	deliveries      *queue[*conn]
	acknowledgments *queue[acknowledgment]
}

// acknowledgment is an application's acknowledgement of a command, with the
// PUBACK that its own message is owed.
type acknowledgment struct {
	ack    *Ack
	device fleet.DeviceID
	seq    int64
}

// window is what a connection knows of its commands under way. It is guarded
// by the connection's mutex.
type window struct {
	size     int
	inflight []delivery   // in the order they were sent
	last     uint16       // packet id used last
	after    [lanes]int64 // seq that was reached last, of what has each topic
	more     bool         // the outbox had more than there was room for
}

// delivery is a command under way.
type delivery struct {
	id      uint16 // of its packet
	seq     int64
	settles bool // its PUBACK acknowledges it
}

// The topics that commands have. A client may subscribe to one and not, or only
// later, to the other.
const (
	toDevice  = iota // commandTopic
	toOfficer        // offersTopic
	lanes
)

// subscribed is at what QoS, 1 at most, a client has subscribed to each topic; -1:
// it has not.
type subscribed [lanes]int

func laneOf(command *fleet.Command) int {
	if command.Driver.IsZero() {
		return toDevice
	}
	return toOfficer
}

// init sizes the window. A receive maximum of 0 means that the client has not
// set one.
func (w *window) init(size int, receiveMaximum uint16) {
	w.size = size
	if receiveMaximum > 0 {
		w.size = min(size, int(receiveMaximum))
	}
}

// take returns the packet id for a command and counts it as under way.
func (w *window) take(command *fleet.Command) uint16 {
	w.last++
	if w.last == 0 {
		w.last = 1
	}
	w.inflight = append(w.inflight, delivery{w.last, command.Seq, laneOf(command) == toOfficer})
	return w.last
}

// next is from where on the outbox has something for the lanes.
func (w *window) next(s subscribed) int64 {
	next := int64(math.MaxInt64)
	for lane, qos := range s {
		if qos >= 0 {
			next = min(next, w.after[lane])
		}
	}
	return next
}

// reach notes that everything up to seq has been seen to that the lanes have.
func (w *window) reach(s subscribed, seq int64) {
	for lane, qos := range s {
		if qos >= 0 {
			w.after[lane] = max(w.after[lane], seq)
		}
	}
}

func newOutbox(b *Broker) *outbox {
	o := &outbox{b: b}
	o.deliveries = newQueue(b.clock, o.pump)
	o.acknowledgments = newQueue(b.clock, o.acknowledge)
	return o
}

func (o *outbox) start(ctx context.Context) {
	o.deliveries.start(ctx, storeWorkers)
	o.acknowledgments.start(ctx, storeWorkers)
}

// deliver has the pending commands sent over c, as far as its window allows. It
// does not block.
func (o *outbox) deliver(c *conn) { o.deliveries.add(c) }

// pump sends what is pending and fits the window of c. The queue never runs it
// twice at a time for one connection.
func (o *outbox) pump(ctx context.Context, c *conn) error {
	to, ok := c.subscribed()
	c.mu.Lock()
	room, after := c.window.size-len(c.window.inflight), c.window.next(to)
	ok = ok && c.established && !c.ended
	c.window.more = c.window.more || room <= 0 // something may be waiting behind a full window
	c.mu.Unlock()
	if !ok || room <= 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, o.b.limits.StoreTimeout)
	defer cancel()
	commands, err := o.b.cfg.Outbox.Pending(ctx, c.identity.Device, after, room)
	if err != nil {
		o.b.metrics.storeErrors.WithLabelValues("outbox").Inc()
		o.b.log.Warn("MQTT commands not read", "device", c.identity.Device, "error", err)
		if isAway(err) {
			return fmt.Errorf("pending commands of %s: %w", c.identity.Device, err)
		}
		return nil // until the next Wake or connection
	}
	for i := range commands {
		o.send(c, &commands[i], to)
	}
	c.mu.Lock()
	c.window.more = len(commands) == room
	again := c.window.more && len(c.window.inflight) <= c.window.size/2
	c.mu.Unlock()
	if again { // QoS 0, expired ones, or a client that has answered meanwhile
		o.deliver(c)
	}
	return nil
}

// send sends one command, unless it has expired, was sent on this connection
// before, is more than the client takes or on a topic to which the client has
// not subscribed.
func (o *outbox) send(c *conn, command *fleet.Command, to subscribed) {
	lane, left := laneOf(command), command.Expires.Sub(o.b.clock.Now())
	c.mu.Lock()
	qos := to[lane]
	wanted := qos >= 0 && command.Seq > c.window.after[lane] && (lane == toDevice || command.Driver == c.identity.Driver)
	c.window.reach(to, command.Seq)
	var id uint16
	if wanted && left > 0 && qos > 0 {
		id = c.window.take(command)
	}
	c.mu.Unlock()
	if !wanted {
		return
	}
	if left <= 0 {
		o.b.metrics.outbox.WithLabelValues("expired").Inc()
		return
	}
	packet, err := commandPacket(c, command, byte(qos), id, left)
	if err != nil {
		o.b.metrics.outbox.WithLabelValues("failed").Inc()
		o.b.log.Error("MQTT command cannot be sent", "device", command.Device, "seq", command.Seq, "error", err)
		c.settle(id)
		return
	}
	if c.send(packet) {
		o.b.metrics.outbox.WithLabelValues("sent").Inc()
	}
}

// commandPacket encodes the PUBLISH of a command.
func commandPacket(c *conn, command *fleet.Command, qos byte, id uint16, left time.Duration) ([]byte, error) {
	payload, err := json.Marshal(command)
	if err != nil {
		return nil, err
	}
	pk := packets.Packet{
		FixedHeader:     packets.FixedHeader{Type: packets.Publish, Qos: qos},
		PacketID:        id,
		ProtocolVersion: c.version,
		TopicName:       commandTopic(c.identity.Device),
		Payload:         payload,
	}
	if laneOf(command) == toOfficer {
		pk.TopicName = offersTopic(c.identity.Driver)
	}
	pk.Properties.MessageExpiryInterval = uint32(min(math.Ceil(left.Seconds()), math.MaxUint32))
	var buf bytes.Buffer
	if err := pk.PublishEncode(&buf); err != nil {
		return nil, err
	}
	if most := c.client.Properties.Props.MaximumPacketSize; most > 0 && buf.Len() > int(most) {
		return nil, fmt.Errorf("its packet of %d bytes is more than the %d that the client takes", buf.Len(), most)
	}
	return buf.Bytes(), nil
}

// acknowledged takes the PUBACK of a command and sends more when half the
// window is free: one look into the outbox brings several.
func (o *outbox) acknowledged(c *conn, id uint16) {
	d, more := c.settle(id)
	if d.settles {
		o.acknowledgments.add(acknowledgment{new(Ack), c.identity.Device, d.seq})
	}
	if more {
		o.deliver(c)
	}
}

// settle takes a packet out of the window. It reports whether it is time to
// look for more.
func (c *conn) settle(id uint16) (d delivery, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &c.window
	at := slices.IndexFunc(w.inflight, func(d delivery) bool { return d.id == id })
	if at < 0 {
		return d, false
	}
	d = w.inflight[at]
	w.inflight = slices.Delete(w.inflight, at, at+1)
	return d, w.more && len(w.inflight) <= w.size/2
}

// subscribed returns to which topics of commands the session of c has
// subscribed; ok: to one at least.
func (c *conn) subscribed() (s subscribed, ok bool) {
	topics := [lanes]string{toDevice: commandTopic(c.identity.Device), toOfficer: offersTopic(c.identity.Driver)}
	for lane, topic := range topics {
		s[lane] = -1
		if sub, there := c.client.State.Subscriptions.Get(topic); there {
			s[lane], ok = int(min(sub.Qos, 1)), true
		}
	}
	return s, ok
}

// Receive implements Receiver for v1/devices/{device}/commands/{seq}/ack.
func (o *outbox) Receive(m Message) {
	levels := strings.Split(m.Topic, "/")
	seq, err := strconv.ParseInt(levels[len(levels)-2], 10, 64)
	if err != nil { // never will be a command's
		o.b.metrics.outbox.WithLabelValues("unknown").Inc()
		m.Ack.Resolve(nil)
		m.Ack.Flush()
		return
	}
	o.acknowledgments.add(acknowledgment{m.Ack, m.From.Device, seq})
}

// acknowledge writes an acknowledgement to the outbox, then sends its PUBACK.
func (o *outbox) acknowledge(ctx context.Context, a acknowledgment) error {
	ctx, cancel := context.WithTimeout(ctx, o.b.limits.StoreTimeout)
	defer cancel()
	err := o.b.cfg.Outbox.Acknowledge(ctx, a.device, a.seq)
	switch {
	case err == nil:
		o.b.metrics.outbox.WithLabelValues("acknowledged").Inc()
	case fleet.CodeOf(err) == fleet.CodeNotFound:
		o.b.metrics.outbox.WithLabelValues("unknown").Inc()
	default:
		o.b.metrics.storeErrors.WithLabelValues("outbox").Inc()
		o.b.log.Warn("MQTT command acknowledgement not stored", "device", a.device, "seq", a.seq, "error", err)
		if isAway(err) {
			return fmt.Errorf("acknowledge command %d of %s: %w", a.seq, a.device, err)
		}
		a.ack.Resolve(err)
		return nil
	}
	a.ack.Resolve(nil)
	a.ack.Flush()
	return nil
}
