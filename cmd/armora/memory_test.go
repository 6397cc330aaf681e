package main

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"google.golang.org/protobuf/proto"

	armorav1 "armora/deploy/proto/armora/v1"
	"armora/schema/schematest"
	"armora/sim"
)

// While the database is frozen, what waits is bounded by what it takes in
// memory: a few bytes of protobuf decode to many times as much.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	const share, all = 4 << 20, 256 << 20
	connections := 80 // more than the cap of all has room for
	if raceEnabled {
		connections = 8 // a twentieth of the speed
	}
	limit := float64(min(connections*share, all))
	server := startPostgreSQL(t, schematest.Dir(t))
	h := serve(t, "DATABASE_URL="+server.DSN())
	devices := make([]sim.Device, connections)
	for i := range devices {
		devices[i] = h.device(sim.Tracker)
		h.dial(devices[i], 4) // from now on it is let in without asking the database
	}
	pid := server.PID()
	thaw := func() { signalFamily(pid, syscall.SIGCONT) }
	t.Cleanup(thaw)
	signalFamily(pid, syscall.SIGSTOP)

	for i, d := range devices {
		c, answer := h.dial(d, 4)
		if answer.ReasonCode != packets.CodeSuccess.Code {
			t.Fatalf("connection %d is answered %#x", i, answer.ReasonCode)
		}
		c.floodOf(d, 5_000) // until it is ended: none is let in beyond its share
	}
	if waiting := h.metric("armora_broker_inflight_bytes"); waiting > limit || waiting < limit/2 {
		t.Errorf("%.0f MiB are counted as waiting", waiting/(1<<20))
	}
	if points := h.metric("armora_ingest_queue_bytes"); points > limit || points < limit/2 {
		t.Errorf("the points that wait take %.0f MiB", points/(1<<20))
	}
	// The garbage collector lets the heap double. Under the race detector all
	// that is read has a shadow.
	if resident := h.resident(); !raceEnabled && resident > 3*all {
		t.Errorf("the hub has grown to %d MiB", resident>>20)
	}
	thaw()
	waitFor(t, "everything to be stored", func() bool { return h.metric("armora_broker_inflight_bytes") == 0 })
}

// floodOf sends batches of so many points, as small as they can be, until the
// hub ends the connection.
func (c *client) floodOf(d sim.Device, size int) {
	at := time.Now().Add(-time.Hour).UnixMilli()
	for id := uint16(1); ; id++ {
		batch := new(armorav1.PointBatch)
		for i := range size {
			batch.Points = append(batch.Points, &armorav1.Point{
				FixMs: proto.Int64(at + int64(int(id)*size+i)), LatE7: proto.Int32(1), LonE7: proto.Int32(1),
			})
		}
		payload, err := proto.Marshal(batch)
		if err != nil {
			c.t.Error(err)
			return
		}
		pk := packets.Packet{
			FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1}, ProtocolVersion: 4,
			TopicName: fmt.Sprintf("v1/devices/%s/points", d.ID), PacketID: id, Payload: payload,
		}
		if writePacket(c.conn, &pk) != nil {
			return
		}
	}
}
