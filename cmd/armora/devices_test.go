package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
	"armora/sim"
)

// A phone that moves at 5 Hz and stamps whole seconds: each position is kept.
func TestFastDeviceWithSlowStamps(t *testing.T) {
	t.Parallel()
	h := serve(t)
	d := h.device(sim.Phone)
	c, _ := h.dial(d, 5)
	const seconds, each = 12, 5
	began := time.Now().Truncate(time.Second).Add(-seconds * time.Second)
	id := uint16(0)
	for s := range seconds {
		for i := range each {
			id++
			c.publish(d, id, point(began.Add(time.Duration(s)*time.Second), float64(s*each+i)*3))
		}
	}
	for want := uint16(1); want <= id; want++ {
		if pk := c.expect(packets.Puback); pk.PacketID != want || pk.ReasonCode != 0 {
			t.Fatalf("acknowledged %d with %#x, want %d", pk.PacketID, pk.ReasonCode, want)
		}
	}
	if got := h.stored(d.ID); len(got) != seconds*each {
		t.Errorf("%d positions are stored, want %d", len(got), seconds*each)
	}
}

// A device with a broken clock makes no partitions, loses nothing, and is heard
// again once its clock is right.
func TestDeviceWithAThousandOddDates(t *testing.T) {
	t.Parallel()
	server := startPostgreSQL(t, schematest.Dir(t))
	h := serve(t, "DATABASE_URL="+server.DSN())
	db, err := schema.Open(t.Context(), server.DSN(), schema.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	partitions := func() (n int) {
		err := db.Pool().QueryRow(t.Context(), `SELECT count(*) FROM pg_inherits`).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := partitions()
	d := h.device(sim.Tracker)
	c, _ := h.dial(d, 5)
	const odd = 1000
	now := time.Now().Truncate(time.Second)
	sent := map[placeOf]bool{{now.UnixMilli(), fleet.E7(51.5 + 5.0/111195), fleet.E7(-0.12)}: true}
	for i := range odd {
		at := time.Unix(int64(i)*86_400*100, 0) // each another day, from 1970 to 2243
		if i%2 == 1 {
			at = now.AddDate(0, 0, i) // and into the future
		}
		c.publish(d, uint16(i+1), point(at, float64(i)))
		sent[placeOf{at.UnixMilli(), fleet.E7(51.5 + float64(i)/111195), fleet.E7(-0.12)}] = true
	}
	for range odd {
		c.expect(packets.Puback)
	}
	c.publish(d, odd+1, point(now, 5))
	c.expect(packets.Puback)
	if n := partitions(); n != before {
		t.Errorf("%d partitions have become %d", before, n)
	}
	apart := h.places(h.ask("GET", "/api/devices/"+d.ID+"/points?store=quarantine&format=csv", nil, http.StatusOK))
	kept := h.stored(d.ID)
	for p := range sent {
		if apart[p]+kept[p] != 1 {
			t.Errorf("%+v is stored %d times in quarantine and %d times beside it", p, apart[p], kept[p])
		}
	}
	if len(apart)+len(kept) != len(sent) || len(kept) != 1 {
		t.Errorf("%d points in quarantine and %d beside them, of %d", len(apart), len(kept), len(sent))
	}
	var last struct {
		Time time.Time
		Lat  float64
	}
	h.read(h.ask("GET", "/api/devices/"+d.ID+"/position", nil, http.StatusOK), &last)
	if !last.Time.Equal(now) {
		t.Errorf("the position is of %v, want %v", last.Time, now)
	}
}

// A batch with one point that cannot be is kept whole as a dead letter, with its
// reason, and does not hold up what comes after.
func TestBatchWithABadPoint(t *testing.T) {
	t.Parallel()
	h := serve(t)
	d := h.device(sim.Tracker)
	c, _ := h.dial(d, 4)
	now := time.Now()
	bad := fmt.Sprintf(`[%s,{"t":%d,"lat":91,"lon":0},%s]`, point(now, 0), now.UnixMilli(), point(now.Add(time.Second), 5))
	c.publish(d, 1, bad)
	c.publish(d, 2, point(now, 1))
	c.expect(packets.Puback)
	c.expect(packets.Puback)
	if got := h.stored(d.ID); len(got) != 1 {
		t.Errorf("stored %v", got)
	}
	letters := string(h.ask("GET", "/api/dead-letters", nil, http.StatusOK))
	if !strings.Contains(letters, d.ID) || !strings.Contains(letters, "lat 91 is not within") {
		t.Errorf("the dead letters are %s", letters)
	}
}

// One row that the database refuses does not hold up those of its batch, nor its
// own acknowledgement: it becomes a dead letter.
func TestRowThatTheDatabaseRefuses(t *testing.T) {
	t.Parallel()
	server := startPostgreSQL(t, schematest.Dir(t))
	h := serve(t, "DATABASE_URL="+server.DSN())
	d := h.device(sim.Tracker)
	now := time.Now().Truncate(time.Second)
	const size, bad = 50, 17
	places, batch := make([]placeOf, size), make([]string, size)
	for i := range size {
		at, metres := now.Add(time.Duration(i-size)*time.Second), float64(i)
		places[i] = placeOf{at.UnixMilli(), fleet.E7(51.5 + metres/111195), fleet.E7(-0.12)}
		batch[i] = point(at, metres)
	}
	execute(t, server.DSN(), fmt.Sprintf(`ALTER TABLE points ADD CONSTRAINT refuses CHECK (lat <> %d)`, places[bad].Lat))
	c, _ := h.dial(d, 5)
	c.publish(d, 1, "["+strings.Join(batch, ",")+"]")
	if pk := c.expect(packets.Puback); pk.PacketID != 1 || pk.ReasonCode != 0 {
		t.Errorf("answered with %+v", pk)
	}
	kept := h.stored(d.ID)
	for i, p := range places {
		if want := map[bool]int{true: 0, false: 1}[i == bad]; kept[p] != want {
			t.Errorf("row %d is stored %d times, want %d", i, kept[p], want)
		}
	}
	letters := string(h.ask("GET", "/api/dead-letters", nil, http.StatusOK))
	if strings.Count(letters, d.ID) != 1 || !strings.Contains(letters, "the database refused the point") {
		t.Errorf("the dead letters are %s", letters)
	}
}

// Commands outlive the connection and the hub, come in order, and not too late.
func TestCommandsWaitForTheirDevice(t *testing.T) {
	t.Parallel()
	h := serve(t)
	d := h.device(sim.Phone)
	c, _ := h.dial(d, 5)
	subscribe := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Subscribe, Qos: 1}, ProtocolVersion: 5, PacketID: 1,
		Filters: packets.Subscriptions{{Filter: "v1/devices/" + d.ID + "/commands", Qos: 1}},
	}
	c.encode(subscribe.SubscribeEncode)
	c.expect(packets.Suback)
	_ = c.conn.Close() // the device is gone
	send := func(kind string, seconds int) {
		h.ask("POST", "/api/devices/"+d.ID+"/commands", map[string]any{"kind": kind, "expires_in": seconds}, http.StatusCreated)
	}
	for i := range 5 {
		send(fmt.Sprintf("step_%d", i), 600)
	}
	send("too_late", 1)
	h.stop()
	h.start()
	late := time.NewTimer(1100 * time.Millisecond)
	<-late.C // until too_late has expired, by the hub's own clock
	c, ack := h.dial(d, 5)
	if !ack.SessionPresent {
		t.Error("the session did not survive the restart")
	}
	for i := range 5 {
		pk := c.expect(packets.Publish)
		if want := fmt.Sprintf(`"kind":"step_%d"`, i); !strings.Contains(string(pk.Payload), want) {
			t.Errorf("command %d is %s", i, pk.Payload)
		}
		answer := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Puback}, ProtocolVersion: 5, PacketID: pk.PacketID}
		c.encode(answer.PubackEncode)
	}
	c.ping()
	c.expect(packets.Pingresp) // and nothing before it: too_late is not sent
}

func TestRevokedCredentialEndsItsConnection(t *testing.T) {
	t.Parallel()
	h := serve(t)
	d := h.device(sim.Phone)
	c, _ := h.dial(d, 5)
	var credentials struct{ Items []struct{ ID string } }
	h.read(h.ask("GET", "/api/devices/"+d.ID+"/credentials", nil, http.StatusOK), &credentials)
	if len(credentials.Items) != 1 {
		t.Fatalf("credentials %+v", credentials)
	}
	h.ask("DELETE", "/api/devices/"+d.ID+"/credentials/"+credentials.Items[0].ID, nil, http.StatusNoContent)
	c.ended()
	if _, ack := h.dial(d, 5); ack.ReasonCode < 0x80 || ack.ReasonCode == 0x88 {
		t.Errorf("a revoked credential is answered with %#x", ack.ReasonCode)
	}
}

// What was received before a polite stop is acknowledged, or comes again; MQTT 5
// clients are told why the connection ends.
func TestPoliteStop(t *testing.T) {
	t.Parallel()
	h := serve(t)
	d := h.device(sim.Tracker)
	c, _ := h.dial(d, 5)
	now := time.Now()
	const sent = 50
	for i := range sent {
		c.publish(d, uint16(i+1), point(now.Add(time.Duration(i)*time.Second-time.Minute), float64(i)))
	}
	c.expect(packets.Puback)
	acknowledged := 1
	h.stop()
	for {
		pk, ok := c.next()
		if !ok {
			t.Error("the connection ended without a word")
			break
		}
		if pk.FixedHeader.Type == packets.Disconnect {
			if pk.ReasonCode != 0x8b {
				t.Errorf("disconnected with %#x", pk.ReasonCode)
			}
			break
		}
		acknowledged++
	}
	h.start()
	if got := h.stored(d.ID); len(got) < acknowledged {
		t.Errorf("%d were acknowledged and %d are stored", acknowledged, len(got))
	}
}
