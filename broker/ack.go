package broker

import (
	"github.com/mochi-mqtt/server/v2/packets"

	"armora/fleet"
)

// Ack is the acknowledgement that a message is owed. It belongs to the
// connection that carried the message and dies with it: after a reconnect the
// same packet id means something else.
//
// The zero Ack is owed to nobody.
type Ack struct {
	c    *conn // nil: nobody waits (a will)
	next *Ack  // the acknowledgement that is due after this one; guarded by c.mu
	cost int64 // bytes counted against the caps until the message is resolved
	id   uint16
	kind byte // the packet that is owed: PUBACK, PUBREC, or 0 for QoS 0
	code byte // its reason code
	done bool // resolved; guarded by c.mu
}

const (
	// messageOverhead is what a message in flight costs beyond its topic and
	// payload: the slot, the Message and what a receiver keeps beside it.
	messageOverhead = 256
	// ackSlab is how many Acks are allocated at a time. The garbage collector
	// frees a slab when nobody holds any of it, so a late Flush can never meet
	// an Ack that has become another message's.
	ackSlab = 16
)

// Resolve records what became of the message. With nil its acknowledgement
// becomes due as soon as every earlier one of the connection is; it is written
// by the next Flush. With an error it is never acknowledged and the connection
// ends, so that the client sends the message again.
//
// Resolve is called once for each message. It does not block and may be called
// from any goroutine.
func (a *Ack) Resolve(err error) {
	if a.c == nil {
		return
	}
	a.resolve(err == nil, packets.CodeSuccess)
	if err != nil && a.kind != 0 {
		a.c.end(codeOf(err), "not_stored")
	}
}

// Refuse is Resolve of a message that was dealt with, and not taken: sent again it
// would not be either, so it is acknowledged, and the connection goes on. An MQTT 5
// client is told why; MQTT 3 has no way to say it.
func (a *Ack) Refuse(why error) {
	if a.c == nil {
		return
	}
	code := packets.CodeSuccess
	if a.c.version == 5 {
		code = refusalOf(why)
	}
	a.resolve(true, code)
}

func (a *Ack) resolve(done bool, code packets.Code) {
	c := a.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.done {
		return
	}
	a.done, a.code = done, code.Code
	c.charge(-a.cost, 0)
	a.cost = 0
	if done && a.kind == packets.Pubrec && code == packets.CodeSuccess { // a refusal is the end of it
		c.session.received.add(a.id)
	}
	c.collect()
}

// refusalOf is what an MQTT 5 client is told of a message that was not taken.
func refusalOf(why error) packets.Code {
	switch fleet.CodeOf(why) {
	case fleet.CodeNotFound, fleet.CodeForbidden, fleet.CodeConflict:
		return packets.ErrNotAuthorized
	case fleet.CodeTooMany:
		return packets.ErrQuotaExceeded
	case fleet.CodeInvalid:
		return packets.ErrPayloadFormatInvalid
	}
	return packets.ErrImplementationSpecificError
}

// errOverCap is what a receiver gets that keeps more of a message than fits.
var errOverCap error = &fleet.Error{Code: fleet.CodeTooMany, Message: "too much waits to be stored"}

// Weigh counts bytes, what the receiver keeps of the message until it is
// resolved, against the caps, in place of its size on the wire: some bytes of a
// packet may decode to many times as much. Over a cap it returns an error, with
// which the message is to be resolved; the connection ends. A message that is the
// only one of its connection always fits that one's cap, or it would come again
// for ever; PacketSize bounds it. It does not block and may be called from any
// goroutine.
func (a *Ack) Weigh(bytes int) error {
	c := a.c
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	cost, limit := int64(bytes)+messageOverhead, c.b.limits.InflightBytes
	if c.inflightBytes == a.cost {
		limit = max(limit, cost)
	}
	if c.charge(cost-a.cost, limit) {
		a.cost = cost
		return nil
	}
	if a.kind == 0 {
		c.b.metrics.dropped.WithLabelValues("quota").Inc()
	} else {
		c.endLocked(packets.ErrQuotaExceeded, "quota")
	}
	return errOverCap
}

// charge counts bytes more, or fewer, against a limit for the connection and the
// cap on all; it reports false, and counts nothing, when they do not fit. c.mu is
// held.
func (c *conn) charge(bytes, limit int64) bool {
	if bytes > 0 && c.inflightBytes+bytes > limit {
		return false
	}
	if total := c.b.inflight.Add(bytes); bytes > 0 && total > c.b.limits.TotalBytes {
		c.b.inflight.Add(-bytes)
		return false
	}
	c.inflightBytes += bytes
	return true
}

// Flush writes every acknowledgement of the connection that is due, all in one
// write. It costs little when none is. It does not block and may be called
// from any goroutine.
func (a *Ack) Flush() {
	if a.c != nil {
		a.c.flush()
	}
}

// codeOf is what an MQTT 5 client is told when its message could not be kept.
func codeOf(err error) packets.Code {
	switch fleet.CodeOf(err) {
	case fleet.CodeUnavailable, fleet.CodeTooMany:
		return packets.ErrQuotaExceeded
	default:
		return packets.ErrImplementationSpecificError
	}
}

// owe makes the Ack of a message that is about to be handed over, or says by
// which code it is over a cap. QoS 0 is counted in bytes only and never waits
// in the queue of acknowledgements. An urgent message costs nothing.
func (c *conn) owe(to *destination, p *publish) (*Ack, packets.Code) {
	cost := int64(len(to.topic)+len(p.payload)) + messageOverhead
	if to.urgent {
		cost = 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.qos > 0 && c.unacked >= c.maxUnacked || p.qos == 2 && c.session.received.len() >= c.maxUnacked {
		if c.version == 5 {
			return nil, packets.ErrReceiveMaximum
		}
		return nil, packets.ErrQuotaExceeded
	}
	if !c.charge(cost, c.b.limits.InflightBytes) {
		return nil, packets.ErrQuotaExceeded
	}
	a := c.newAck(p)
	a.cost = cost
	return a, packets.CodeSuccess
}

// answer acknowledges, in its turn, a message that goes nowhere.
func (c *conn) answer(p *publish, code packets.Code) {
	c.mu.Lock()
	a := c.newAck(p)
	a.code, a.done = code.Code, true
	c.collect()
	c.mu.Unlock()
	c.flush()
}

// newAck takes an Ack from the slab and, if a packet is owed, queues it.
// c.mu is held.
func (c *conn) newAck(p *publish) *Ack {
	if len(c.slab) == 0 {
		c.slab = make([]Ack, ackSlab)
	}
	a := &c.slab[0]
	c.slab = c.slab[1:]
	a.c, a.id = c, p.id
	switch p.qos {
	case 1:
		a.kind = packets.Puback
	case 2:
		a.kind = packets.Pubrec
	default:
		return a
	}
	c.unacked++
	if c.firstAck == nil {
		c.firstAck = a
	} else {
		c.lastAck.next = a
	}
	c.lastAck = a
	return a
}

// collect moves the acknowledgements that are due, in order, to the bytes that
// go out with the next write. c.mu is held.
func (c *conn) collect() {
	if c.ended {
		return
	}
	n := 0
	for a := c.firstAck; a != nil && a.done; a = c.firstAck {
		if a.code == 0 {
			c.out = append(c.out, a.kind<<4, 2, byte(a.id>>8), byte(a.id))
		} else {
			c.out = append(c.out, a.kind<<4, 3, byte(a.id>>8), byte(a.id), a.code)
		}
		c.firstAck, a.next = a.next, nil
		n++
	}
	if n > 0 {
		c.unacked -= n
		c.b.metrics.acks.Add(float64(n))
	}
	if len(c.out) > c.b.limits.WriteBuffer { // it publishes, and never reads what it is told
		c.endLocked(packets.ErrQuotaExceeded, "slow_reader")
	}
}
