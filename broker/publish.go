package broker

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"github.com/mochi-mqtt/server/v2/packets"

	"armora/fleet"
)

// topicAliases is how many topic aliases an MQTT 5 client may set.
const topicAliases = 16

// publish is a decoded PUBLISH. topic and payload point into the packet.
type publish struct {
	topic, payload []byte
	id, alias      uint16
	qos            byte
	dup, retain    bool
}

// parsePublish decodes a PUBLISH from its first byte and what follows its
// length. It allocates nothing unless MQTT 5 properties are there.
func parsePublish(first byte, body []byte, version byte) (publish, packets.Code) {
	p := publish{qos: first >> 1 & 3, dup: first&8 != 0, retain: first&1 != 0}
	if p.qos == 3 || p.qos == 0 && p.dup {
		return p, packets.ErrProtocolViolationQosOutOfRange
	}
	if len(body) < 2 {
		return p, packets.ErrMalformedTopic
	}
	n := int(binary.BigEndian.Uint16(body))
	if body = body[2:]; len(body) < n {
		return p, packets.ErrMalformedTopic
	}
	p.topic, body = body[:n], body[n:]
	if p.qos > 0 {
		if len(body) < 2 {
			return p, packets.ErrMalformedPacketID
		}
		if p.id = binary.BigEndian.Uint16(body); p.id == 0 {
			return p, packets.ErrProtocolViolationNoPacketID
		}
		body = body[2:]
	}
	if version == 5 {
		n, code := p.properties(body)
		if code != packets.CodeSuccess {
			return p, code
		}
		body = body[n:]
	}
	p.payload = body
	return p, packets.CodeSuccess
}

// properties decodes the MQTT 5 properties at the start of body and returns
// their length. Only the topic alias is kept.
func (p *publish) properties(body []byte) (int, packets.Code) {
	if len(body) > 0 && body[0] == 0 {
		return 1, packets.CodeSuccess
	}
	var props packets.Properties
	n, err := props.Decode(packets.Publish, bytes.NewBuffer(body))
	switch {
	case err != nil || n > len(body):
		return 0, packets.ErrMalformedProperties
	case len(props.SubscriptionIdentifier) > 0:
		return 0, packets.ErrProtocolViolationSurplusSubID
	case props.TopicAliasFlag && (props.TopicAlias == 0 || props.TopicAlias > topicAliases):
		return 0, packets.ErrTopicAliasInvalid
	}
	p.alias = props.TopicAlias
	return n, packets.CodeSuccess
}

// destination is where the messages of one topic go. Devices publish nearly
// always on the same topic, so a connection remembers its last destination,
// and with it the outcome of the access check.
type destination struct {
	topic    string
	receiver Receiver // nil: not allowed
	urgent   bool
}

// destinationOf finds where p goes, resolving and setting topic aliases first:
// what is checked is the topic that the message is for, never the empty topic
// of a message that has only an alias.
func (c *conn) destinationOf(p *publish) (destination, packets.Code) {
	if len(p.topic) == 0 {
		if p.alias == 0 || int(p.alias) > len(c.aliases) || c.aliases[p.alias-1].topic == "" {
			return destination{}, packets.ErrProtocolViolationNoTopic
		}
		return c.aliases[p.alias-1], packets.CodeSuccess
	}
	if string(p.topic) != c.last.topic {
		topic := string(p.topic)
		switch {
		case !utf8.ValidString(topic) || strings.Contains(topic, "\x00"):
			return destination{}, packets.ErrMalformedTopic
		case strings.ContainsAny(topic, "+#"):
			return destination{}, packets.ErrProtocolViolationSurplusWildcard
		}
		c.last = c.b.acl.destination(c.identity, topic)
	}
	if p.alias > 0 {
		if c.aliases == nil {
			c.aliases = make([]destination, topicAliases)
		}
		c.aliases[p.alias-1] = c.last
	}
	return c.last, packets.CodeSuccess
}

// publish handles one PUBLISH. A returned error ends the connection.
func (c *conn) publish(p *publish) error {
	m := c.b.metrics
	m.messages[p.qos].Inc()
	to, code := c.destinationOf(p)
	if code != packets.CodeSuccess {
		return c.fail(code, "protocol_error")
	}
	if to.receiver == nil {
		return c.refusePublish(p, to.topic)
	}
	if p.qos == 2 && c.session.received.has(p.id) { // committed before, and its PUBREC got lost
		c.answer(p, packets.CodeSuccess)
		return nil
	}
	ack, code := c.owe(&to, p)
	if code != packets.CodeSuccess {
		if p.qos == 0 {
			m.dropped.WithLabelValues("quota").Inc()
			return nil
		}
		return c.fail(code, "quota")
	}
	// A copy, since the receiver may keep the payload and must not keep with it
	// the buffer of the packet, which was not charged for.
	to.receiver.Receive(Message{
		From: c.identity, Topic: to.topic, Payload: bytes.Clone(p.payload),
		QoS: p.qos, Retain: p.retain, Dup: p.dup,
		Received: fleet.MillisOf(c.b.clock.Now()), Ack: ack,
	})
	return nil
}

// refusePublish answers a message on a topic that is not the device's. MQTT 3
// has no way to refuse one message, and to acknowledge it would be a lie.
func (c *conn) refusePublish(p *publish, topic string) error {
	c.b.metrics.dropped.WithLabelValues("not_authorized").Inc()
	c.b.log.Warn("MQTT publish refused", "device", c.identity.Device, "topic", topic, "qos", p.qos)
	switch {
	case p.qos == 0:
		return nil
	case c.version == 5:
		c.answer(p, packets.ErrNotAuthorized)
		return nil
	default:
		return c.fail(packets.ErrNotAuthorized, "not_authorized")
	}
}
