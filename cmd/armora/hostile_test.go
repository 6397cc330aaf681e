package main

import (
	"bytes"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"armora/sim"
)

// Whatever a client does, the others go on: a fleet reports meanwhile, and all of
// it is stored.
func TestHostileClientsDisturbNobody(t *testing.T) {
	t.Parallel()
	h := serve(t)
	devices := h.devices(5)
	c := h.city(devices)
	c.acknowledged(100)
	for name, attack := range map[string]func(*testing.T, *served, sim.Device){
		"garbage": garbage, "huge": huge, "truncated": truncated, "flood": floodWithoutReading,
		"stall": stall, "half-close": halfClose, "silence": silence, "strange topics": strangeTopics,
	} {
		attacker := h.device(sim.Phone)
		t.Run(name, func(t *testing.T) {
			inner := *h
			inner.t = t
			attack(t, &inner, attacker)
			c.acknowledged(100)
		})
	}
	c.stop()
	h.compare(devices, c.log.Entries())
	h.stop() // it has not crashed, and ends in order
}

func garbage(t *testing.T, h *served, _ sim.Device) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		c := h.rawConn(5)
		noise := make([]byte, random.IntN(300)+1)
		for i := range noise {
			noise[i] = byte(random.Uint32())
		}
		if random.IntN(2) == 0 {
			noise[0] = packets.Connect << 4
		}
		_, _ = c.conn.Write(noise) // the hub may have had enough
		_ = c.conn.(*net.TCPConn).CloseWrite()
		c.ended()
	}
}

// huge announces 256 MB before it has said who it is, and after.
func huge(_ *testing.T, h *served, d sim.Device) {
	c := h.rawConn(5)
	_, _ = c.conn.Write([]byte{packets.Connect << 4, 0xff, 0xff, 0xff, 0x7f})
	c.ended()
	c, _ = h.dial(d, 5)
	_, _ = c.conn.Write([]byte{packets.Publish << 4, 0xff, 0xff, 0xff, 0x7f})
	c.ended()
}

// truncated is what makes a bare mochi panic.
func truncated(_ *testing.T, h *served, d sim.Device) {
	c, _ := h.dial(d, 5)
	_, _ = c.conn.Write([]byte{packets.Subscribe<<4 | 2, 2, 0, 1})
	c.ended()
}

func floodWithoutReading(_ *testing.T, h *served, d sim.Device) {
	c, _ := h.dial(d, 5)
	var out bytes.Buffer
	for id := range 5000 {
		pk := packets.Packet{
			FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1}, ProtocolVersion: 5,
			TopicName: "v1/devices/" + d.ID + "/points", PacketID: uint16(id + 1), Payload: []byte(`{"t":1}`),
		}
		_ = pk.PublishEncode(&out)
	}
	_, _ = c.conn.Write(out.Bytes()) // over its Receive Maximum, it may be ended midway
}

// stall logs in, asks for a lot and reads nothing.
func stall(t *testing.T, h *served, d sim.Device) {
	conn, err := net.Dial("tcp", h.mqtt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &client{t: t, conn: conn, version: 4}
	connect := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Connect}, ProtocolVersion: 4,
		Connect: packets.ConnectParams{
			ProtocolName: []byte("MQTT"), ClientIdentifier: d.ID, Keepalive: 60, Clean: true,
			UsernameFlag: true, Username: []byte(d.ID), PasswordFlag: true, Password: []byte(d.Secret),
		},
	}
	c.encode(connect.ConnectEncode)
	if err := conn.SetWriteDeadline(time.Now().Add(2 * time.Second)); err != nil {
		t.Fatal(err)
	}
	pings := bytes.Repeat([]byte{packets.Pingreq << 4, 0}, 1<<16)
	for range 40 {
		if _, err := conn.Write(pings); err != nil {
			return // it was slowed down, or ended
		}
	}
}

func halfClose(_ *testing.T, h *served, d sim.Device) {
	c, _ := h.dial(d, 5)
	c.publish(d, 1, point(time.Now(), 0))
	_ = c.conn.(*net.TCPConn).CloseWrite()
	for {
		if _, ok := c.next(); !ok {
			return
		}
	}
}

func silence(_ *testing.T, h *served, _ sim.Device) {
	for range 50 {
		h.rawConn(5)
	}
}

func strangeTopics(_ *testing.T, h *served, d sim.Device) {
	for _, topic := range []string{"v1/devices/other/points", "$SYS/x", "v1/devices/" + d.ID + "/points/", "/", "a\x00b", "v1/#"} {
		c, _ := h.dial(d, 4)
		pk := packets.Packet{
			FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1}, ProtocolVersion: 4,
			TopicName: topic, PacketID: 1, Payload: []byte(`{"t":1,"lat":1,"lon":1}`),
		}
		c.encode(pk.PublishEncode)
		c.ended()
	}
}
