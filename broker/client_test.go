package broker

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"armora/fleet"
)

// client is a bare MQTT client: it sends and reads single packets.
type client struct {
	t       *testing.T
	conn    net.Conn
	in      *bufio.Reader
	version byte
	early   []packets.Packet // that came before a SUBACK, as they may
}

// login is what a client says when it connects.
type login struct {
	id, name  string // client id, user name and password
	version   byte   // 0: 3.1.1
	clean     bool
	expiry    uint32 // MQTT 5
	keepAlive uint16
	window    uint16 // receive maximum, MQTT 5
	largest   uint32 // maximum packet size, MQTT 5
	will      *packets.ConnectParams
}

func (h *hub) dial() *client {
	h.t.Helper()
	return dialTo(h.t, h.TCPAddr().String())
}

func dialTo(t *testing.T, addr string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, conn)
}

func newClient(t *testing.T, conn net.Conn) *client {
	t.Cleanup(func() { _ = conn.Close() })
	return &client{t: t, conn: conn, in: bufio.NewReader(conn), version: 4}
}

// connect dials, logs in and expects to be let in.
func (h *hub) connect(l login) (c *client, sessionPresent bool) {
	h.t.Helper()
	c = h.dial()
	ack := c.login(l)
	if ack.ReasonCode != 0 {
		h.t.Fatalf("CONNACK %#x", ack.ReasonCode)
	}
	return c, ack.SessionPresent
}

// phone connects a new device with a clean 3.1.1 session.
func (h *hub) phone() (*client, fleet.DeviceID) {
	h.t.Helper()
	id := h.device()
	c, _ := h.connect(login{id: id.String(), name: id.String(), clean: true})
	return c, id
}

// phone5 connects a new device with a clean MQTT 5 session.
func (h *hub) phone5() (*client, fleet.DeviceID) {
	h.t.Helper()
	id := h.device()
	c, _ := h.connect(login{id: id.String(), name: id.String(), clean: true, version: 5})
	return c, id
}

func (c *client) login(l login) packets.Packet {
	c.t.Helper()
	c.sendConnect(l)
	return c.expect(packets.Connack)
}

func (c *client) sendConnect(l login) {
	c.t.Helper()
	c.version = cmp.Or(l.version, 4)
	pk := packets.Packet{ProtocolVersion: c.version, FixedHeader: packets.FixedHeader{Type: packets.Connect}}
	if l.will != nil {
		pk.Connect = *l.will
		pk.Connect.WillFlag = true
	}
	pk.Connect.ProtocolName = []byte("MQTT")
	pk.Connect.ClientIdentifier, pk.Connect.Clean, pk.Connect.Keepalive = l.id, l.clean, l.keepAlive
	pk.Connect.UsernameFlag, pk.Connect.PasswordFlag = true, true
	pk.Connect.Username, pk.Connect.Password = []byte(l.name), []byte(l.name)
	if l.expiry > 0 {
		pk.Properties.SessionExpiryInterval, pk.Properties.SessionExpiryIntervalFlag = l.expiry, true
	}
	pk.Properties.ReceiveMaximum, pk.Properties.MaximumPacketSize = l.window, l.largest
	c.send(pk)
}

// send encodes and writes one packet.
func (c *client) send(pk packets.Packet) {
	c.t.Helper()
	c.write(encode(c.t, c.version, pk))
}

func encode(t *testing.T, version byte, pk packets.Packet) []byte {
	t.Helper()
	pk.ProtocolVersion = version
	var buf bytes.Buffer
	var err error
	switch pk.FixedHeader.Type {
	case packets.Connect:
		err = pk.ConnectEncode(&buf)
	case packets.Publish:
		err = pk.PublishEncode(&buf)
	case packets.Puback:
		err = pk.PubackEncode(&buf)
	case packets.Pubrel:
		pk.FixedHeader.Qos = 1
		err = pk.PubrelEncode(&buf)
	case packets.Subscribe:
		pk.FixedHeader.Qos = 1
		err = pk.SubscribeEncode(&buf)
	case packets.Unsubscribe:
		pk.FixedHeader.Qos = 1
		err = pk.UnsubscribeEncode(&buf)
	case packets.Pingreq:
		err = pk.PingreqEncode(&buf)
	case packets.Disconnect:
		err = pk.DisconnectEncode(&buf)
	default:
		t.Fatalf("packet type %d is not encoded", pk.FixedHeader.Type)
	}
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func (c *client) write(p []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(p); err != nil {
		c.t.Fatal(err)
	}
}

// publish sends a PUBLISH.
func (c *client) publish(topic string, qos byte, id uint16, payload string) {
	c.t.Helper()
	c.send(publishOf(topic, qos, id, payload))
}

func publishOf(topic string, qos byte, id uint16, payload string) packets.Packet {
	return packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: qos},
		TopicName:   topic, PacketID: id, Payload: []byte(payload),
	}
}

// subscribe asks for filters at QoS 1 and returns the reason codes.
func (c *client) subscribe(filters ...string) []byte {
	c.t.Helper()
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Subscribe}, PacketID: 1}
	for _, f := range filters {
		pk.Filters = append(pk.Filters, packets.Subscription{Filter: f, Qos: 1})
	}
	c.send(pk)
	for {
		pk, err := c.read()
		switch {
		case err != nil:
			c.t.Fatalf("waiting for SUBACK: %v", err)
		case pk.FixedHeader.Type == packets.Publish:
			c.early = append(c.early, pk)
		case pk.FixedHeader.Type != packets.Suback:
			c.t.Fatalf("got %s (reason %#x), not SUBACK", packets.PacketNames[pk.FixedHeader.Type], pk.ReasonCode)
		default:
			return pk.ReasonCodes
		}
	}
}

// ping asks and waits for the answer: everything sent before has been handled.
func (c *client) ping() {
	c.t.Helper()
	c.write([]byte{packets.Pingreq << 4, 0})
	c.expect(packets.Pingresp)
}

// expect reads the next packet, which has to be of this type.
func (c *client) expect(kind byte) packets.Packet {
	c.t.Helper()
	var pk packets.Packet
	var err error
	if len(c.early) > 0 {
		pk, c.early = c.early[0], c.early[1:]
	} else if pk, err = c.read(); err != nil {
		c.t.Fatalf("waiting for %s: %v", packets.PacketNames[kind], err)
	}
	if pk.FixedHeader.Type != kind {
		c.t.Fatalf("got %s (reason %#x), not %s", packets.PacketNames[pk.FixedHeader.Type], pk.ReasonCode, packets.PacketNames[kind])
	}
	return pk
}

// expectAcks reads PUBACKs of these packet ids, in this order.
func (c *client) expectAcks(ids ...uint16) {
	c.t.Helper()
	for _, id := range ids {
		if pk := c.expect(packets.Puback); pk.PacketID != id {
			c.t.Fatalf("PUBACK of %d, not of %d", pk.PacketID, id)
		}
	}
}

// expectEnd reads until the connection ends and returns the reason code of the
// DISCONNECT before it, 0 if there was none.
func (c *client) expectEnd() (reason byte) {
	c.t.Helper()
	for {
		pk, err := c.read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.t.Fatal("the connection was not ended")
		}
		if err != nil {
			return reason
		}
		if pk.FixedHeader.Type == packets.Disconnect {
			reason = pk.ReasonCode
		}
	}
}

// read reads the next packet within patience.
func (c *client) read() (packets.Packet, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return packets.Packet{}, err
	}
	return c.readPacket()
}

func (c *client) readPacket() (pk packets.Packet, err error) {
	first, err := c.in.ReadByte()
	if err != nil {
		return pk, err
	}
	if err := pk.FixedHeader.Decode(first); err != nil {
		return pk, err
	}
	if pk.FixedHeader.Remaining, _, err = packets.DecodeLength(c.in); err != nil {
		return pk, err
	}
	body := make([]byte, pk.FixedHeader.Remaining)
	if _, err := io.ReadFull(c.in, body); err != nil {
		return pk, err
	}
	pk.ProtocolVersion = c.version
	switch pk.FixedHeader.Type {
	case packets.Connack:
		err = pk.ConnackDecode(body)
	case packets.Publish:
		err = pk.PublishDecode(body)
	case packets.Puback:
		err = pk.PubackDecode(body)
	case packets.Pubrec:
		err = pk.PubrecDecode(body)
	case packets.Pubcomp:
		err = pk.PubcompDecode(body)
	case packets.Suback:
		err = pk.SubackDecode(body)
	case packets.Unsuback:
		err = pk.UnsubackDecode(body)
	case packets.Disconnect:
		err = pk.DisconnectDecode(body)
	}
	return pk, err
}

// dialTLS connects to the TLS listener.
func (h *hub) dialTLS(cfg *tls.Config) *client {
	h.t.Helper()
	conn, err := tls.Dial("tcp", h.TLSAddr().String(), cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	return newClient(h.t, conn)
}

func pointsTopic(id fleet.DeviceID) string { return "v1/devices/" + id.String() + "/points" }
