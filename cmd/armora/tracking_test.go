package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
	"armora/sim"
)

// An officer's phone is told of its trip over MQTT, as those who watch elsewhere are:
// what happens, and where officers are, until the trip has ended. Another's is not
// let in.
func TestATripIsFollowedOverMQTT(t *testing.T) {
	t.Parallel()
	dsn := schematest.PlainDSN(t)
	h := serve(t, "DATABASE_URL="+dsn)
	db, err := schema.Open(t.Context(), dsn, schema.Options{MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	d := h.driven(db)
	topic := "v1/trips/" + d.booking.String() + "/"

	var driver struct{ ID fleet.DriverID }
	h.read(h.ask("POST", "/api/drivers", map[string]any{"name": "Bo", "tier": "essential"}, http.StatusCreated), &driver)
	var made struct{ ID, Secret string }
	h.read(h.ask("POST", "/api/devices", map[string]any{"kind": "phone", "name": "Bo's", "driver_id": driver.ID}, http.StatusCreated), &made)
	stranger, _ := h.dial(sim.Device{ID: made.ID, Secret: made.Secret}, 5)
	if got := stranger.follow(topic+"position", topic+"state", topic+"chat"); slices.ContainsFunc(got, func(code byte) bool { return code < 0x80 }) {
		t.Fatalf("another's phone is let in: %x", got)
	}

	d.connect()
	if got := d.client.follow(topic+"position", topic+"state"); slices.ContainsFunc(got, func(code byte) bool { return code >= 0x80 }) {
		t.Fatalf("the officer's phone is not let in: %x", got)
	}
	if m := d.client.message(topic + "state"); m.Type != "snapshot" || m.Status != "assigned" {
		t.Fatalf("first it is told %+v", m)
	}
	command := func(what string) {
		h.ask("POST", "/api/bookings/"+d.booking.String()+"/"+what, map[string]any{
			"id": fleet.NewID[fleet.TripCommand](), "reason": "of a test"}, http.StatusOK)
	}
	command("en-route")
	for m := d.client.message(topic + "state"); m.To != "en_route"; m = d.client.message(topic + "state") {
	}
	d.client.publish(d.phone, 1, point(time.Now().UTC(), 500))
	if m := d.client.message(topic + "position"); m.Type != "position" || !m.Lead || m.Seat != 1 || m.Driver.IsZero() {
		t.Errorf("where the officer is: %+v", m)
	}
	h.ask("PUT", "/api/bookings/"+d.booking.String()+"/cancel", map[string]any{"reason": "of a test"}, http.StatusOK)
	for m := d.client.message(topic + "state"); m.To != "cancelled"; m = d.client.message(topic + "state") {
	}
	d.client.publish(d.phone, 2, point(time.Now().UTC(), 600))
	d.client.ping()
	for pong := false; !pong; {
		pk, ok := d.client.next()
		if !ok || pk.FixedHeader.Type == packets.Publish && pk.TopicName == topic+"position" {
			t.Fatal("after the end it is told where the officer is")
		}
		pong = pk.FixedHeader.Type == packets.Pingresp
	}
	h.stop()
}

// tripMessage is what a phone is told of a trip.
type tripMessage struct {
	Type   string         `json:"type"`
	Status string         `json:"status"`
	To     string         `json:"to"`
	Driver fleet.DriverID `json:"driver_id"`
	Seat   int            `json:"seat"`
	Lead   bool           `json:"lead"`
}

// follow subscribes and returns the reason codes.
func (c *client) follow(filters ...string) []byte {
	c.t.Helper()
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Subscribe, Qos: 1}, ProtocolVersion: c.version, PacketID: 99}
	for _, f := range filters {
		pk.Filters = append(pk.Filters, packets.Subscription{Filter: f, Qos: 1})
	}
	c.encode(pk.SubscribeEncode)
	return c.expect(packets.Suback).ReasonCodes
}

// message waits for the next message on a topic.
func (c *client) message(topic string) (m tripMessage) {
	c.t.Helper()
	for {
		pk, ok := c.next()
		if !ok {
			c.t.Fatal("the connection has ended")
		}
		if pk.FixedHeader.Type == packets.Publish && pk.TopicName == topic {
			if err := json.Unmarshal(pk.Payload, &m); err != nil {
				c.t.Fatalf("%v in %s", err, pk.Payload)
			}
			return m
		}
	}
}
