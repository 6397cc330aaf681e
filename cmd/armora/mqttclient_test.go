package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"armora/sim"
)

// client is an MQTT client that does what it is told and nothing by itself.
type client struct {
	t       *testing.T
	conn    net.Conn
	version byte
	packets chan packets.Packet // what the hub sends; closed with the connection
}

const answerTimeout = 60 * time.Second

// dial connects, and logs in with a session that outlives the connection.
func (h *served) dial(d sim.Device, version byte) (*client, packets.Packet) {
	h.t.Helper()
	c := h.rawConn(version)
	connect := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Connect}, ProtocolVersion: version,
		Connect: packets.ConnectParams{
			ProtocolName: []byte("MQTT"), ClientIdentifier: d.ID, Keepalive: 5,
			UsernameFlag: true, Username: []byte(d.ID), PasswordFlag: true, Password: []byte(d.Secret),
		},
	}
	if version == 5 {
		connect.Properties.SessionExpiryInterval, connect.Properties.SessionExpiryIntervalFlag = 3600, true
	}
	c.encode(connect.ConnectEncode)
	return c, c.expect(packets.Connack)
}

// rawConn is a connection on which nothing was said.
func (h *served) rawConn(version byte) *client {
	h.t.Helper()
	conn, err := net.Dial("tcp", h.mqtt)
	if err != nil {
		h.t.Fatal(err)
	}
	c := &client{t: h.t, conn: conn, version: version, packets: make(chan packets.Packet, 1<<16)}
	h.t.Cleanup(func() { _ = conn.Close() }) // the hub may have closed it
	go c.read()
	return c
}

func (c *client) read() {
	defer close(c.packets)
	in := bufio.NewReader(c.conn)
	for {
		pk, err := readPacket(in, c.version)
		if err != nil {
			return
		}
		c.packets <- pk
	}
}

func readPacket(in *bufio.Reader, version byte) (pk packets.Packet, err error) {
	first, err := in.ReadByte()
	if err != nil {
		return pk, err
	}
	if err := pk.FixedHeader.Decode(first); err != nil {
		return pk, err
	}
	size, _, err := packets.DecodeLength(in)
	if err != nil {
		return pk, err
	}
	pk.FixedHeader.Remaining, pk.ProtocolVersion = size, version
	body := make([]byte, size)
	if _, err := io.ReadFull(in, body); err != nil {
		return pk, err
	}
	switch pk.FixedHeader.Type {
	case packets.Connack:
		err = pk.ConnackDecode(body)
	case packets.Puback:
		err = pk.PubackDecode(body)
	case packets.Suback:
		err = pk.SubackDecode(body)
	case packets.Publish:
		err = pk.PublishDecode(body)
	case packets.Disconnect:
		err = pk.DisconnectDecode(body)
	}
	return pk, err
}

// encode writes a packet.
func (c *client) encode(write func(*bytes.Buffer) error) {
	c.t.Helper()
	var out bytes.Buffer
	if err := write(&out); err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.conn.Write(out.Bytes()); err != nil && !errors.Is(err, net.ErrClosed) {
		c.t.Logf("write: %v", err) // the hub has ended the connection, which reading tells
	}
}

// publish sends a message at QoS 1.
func (c *client) publish(d sim.Device, id uint16, payload string) {
	c.t.Helper()
	c.publishOn("v1/devices/"+d.ID+"/points", id, payload)
}

func (c *client) publishOn(topic string, id uint16, payload string) {
	c.t.Helper()
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1}, ProtocolVersion: c.version,
		TopicName: topic, PacketID: id, Payload: []byte(payload),
	}
	c.encode(pk.PublishEncode)
}

func (c *client) ping() {
	c.t.Helper()
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingreq}}
	c.encode(pk.PingreqEncode)
}

// next returns what the hub sends next; false when it has ended the connection.
func (c *client) next() (packets.Packet, bool) {
	c.t.Helper()
	select {
	case pk, ok := <-c.packets:
		return pk, ok
	case <-time.After(answerTimeout):
		c.t.Fatal("no answer")
		return packets.Packet{}, false
	}
}

// expect returns the next packet, which has to be of a type.
func (c *client) expect(kind byte) packets.Packet {
	c.t.Helper()
	pk, ok := c.next()
	if !ok || pk.FixedHeader.Type != kind {
		c.t.Fatalf("got %s (open: %v, reason %#x), want %s", packets.PacketNames[pk.FixedHeader.Type], ok, pk.ReasonCode, packets.PacketNames[kind])
	}
	return pk
}

// ended waits until the hub has ended the connection, and fails if it
// acknowledged anything before.
func (c *client) ended() {
	c.t.Helper()
	for {
		pk, ok := c.next()
		if !ok {
			return
		}
		if pk.FixedHeader.Type == packets.Puback {
			c.t.Errorf("packet %d was acknowledged", pk.PacketID)
		}
	}
}

// point is a point in the native JSON, so many metres north of a place.
func point(at time.Time, metres float64) string {
	return fmt.Sprintf(`{"t":%d,"lat":%.7f,"lon":-0.12,"acc":5}`, at.UnixMilli(), 51.5+metres/111195)
}
