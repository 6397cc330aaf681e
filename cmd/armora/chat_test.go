package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"armora/bus"
	"armora/chat"
	"armora/fleet"
	"armora/schema"
	"armora/sim"
)

// talker is somebody's phone in the conversation of a trip.
type talker struct {
	*client
	topic  string
	packet uint16
}

// talks connects a phone and subscribes to a trip's conversation; it returns what the
// hub says to that.
func (h *served) talks(d sim.Device, trip fleet.BookingID) (*talker, byte) {
	h.t.Helper()
	c, _ := h.dial(d, 5)
	k := &talker{client: c, topic: "v1/trips/" + trip.String() + "/chat"}
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Subscribe, Qos: 1}, ProtocolVersion: 5, PacketID: 1000,
		Filters: packets.Subscriptions{{Filter: k.topic, Qos: 1}},
	}
	c.encode(pk.SubscribeEncode)
	return k, c.expect(packets.Suback).ReasonCodes[0]
}

// says publishes something in the conversation, and waits for its PUBACK.
func (k *talker) says(body map[string]any) {
	k.t.Helper()
	if code := k.tries(body); code != 0 {
		k.t.Fatalf("acknowledged with %#x", code)
	}
}

// tries is says of what may be refused: it returns the reason code.
func (k *talker) tries(body map[string]any) byte {
	k.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		k.t.Fatal(err)
	}
	k.packet++
	k.publishOn(k.topic+"/send", k.packet, string(text))
	pk := k.expect(packets.Puback)
	if pk.PacketID != k.packet {
		k.t.Fatalf("%d is acknowledged, and not %d", pk.PacketID, k.packet)
	}
	return pk.ReasonCode
}

// talked is a frame of a conversation.
type talked struct {
	Type, Text string
	From       fleet.ActorKind
	Seq        int64
	ID         fleet.ChatMessageID `json:"client_id"`
	Code       fleet.Code
	Marks      []struct{ Read int64 }
}

// hears waits for a frame for which holds is true.
func (k *talker) hears(what string, holds func(talked) bool) talked {
	k.t.Helper()
	for {
		pk, ok := k.next()
		if !ok {
			k.t.Fatalf("the connection ended before %s", what)
		}
		if pk.FixedHeader.Type != packets.Publish || pk.TopicName != k.topic {
			continue
		}
		var f talked
		if err := json.Unmarshal(pk.Payload, &f); err != nil {
			k.t.Fatalf("%v in %s", err, pk.Payload)
		}
		if holds(f) {
			return f
		}
	}
}

// A conversation goes on between phones; who has no part in it, or no longer, hears
// nothing.
func TestAConversationOverMQTT(t *testing.T) {
	t.Parallel()
	h := openInside(t)
	rider, user, _ := h.person(fleet.RoleRider)
	officer, driver := h.officer("Ada")
	stranger, _, _ := h.person(fleet.RoleRider)
	trip := h.assigned(user, driver)

	r, granted := rider.talks(rider.enrol(""), trip)
	o, also := officer.talks(officer.enrol(""), trip)
	if granted > 1 || also > 1 {
		t.Fatalf("their subscriptions are answered %#x and %#x", granted, also)
	}
	s, refused := stranger.talks(stranger.enrol(""), trip)
	if refused < 0x80 {
		t.Errorf("a stranger's subscription is answered %#x", refused)
	}
	r.hears("how it stands", func(f talked) bool { return f.Type == "conversation" })
	o.hears("how it stands", func(f talked) bool { return f.Type == "conversation" })

	message := map[string]any{"client_id": fleet.NewID[fleet.ChatMessage](), "text": "I am at the gate."}
	o.packet++
	text, err := json.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // as a phone does whose first PUBACK was lost
		o.publishOn(o.topic+"/send", o.packet, string(text))
	}
	m := r.hears("the message", func(f talked) bool { return f.Type == "message" })
	if m.Text != "I am at the gate." || m.From != fleet.ByOfficer {
		t.Errorf("the principal hears %+v", m)
	}
	o.hears("its own", func(f talked) bool { return f.Type == "message" && f.Seq == m.Seq })
	r.says(map[string]any{"read": m.Seq})
	o.hears("that it was read", func(f talked) bool { return len(f.Marks) == 1 && f.Marks[0].Read == m.Seq })
	var listed struct{ Items []struct{ Text string } }
	rider.read(rider.ask("GET", "/api/chat/"+trip.String()+"/messages", nil, http.StatusOK), &listed)
	if len(listed.Items) != 1 {
		t.Errorf("kept: %+v", listed.Items)
	}
	// Whoever subscribes again is told again how it stands.
	again := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Subscribe, Qos: 1}, ProtocolVersion: 5, PacketID: 1001,
		Filters: packets.Subscriptions{{Filter: r.topic, Qos: 1}}}
	r.encode(again.SubscribeEncode)
	r.hears("the message again", func(f talked) bool { return f.Type == "message" && f.Seq == m.Seq })
	// A stranger may say what they like: it is dealt with, and nowhere.
	if code := s.tries(map[string]any{"client_id": fleet.NewID[fleet.ChatMessage](), "text": "Let me in."}); code != packets.ErrNotAuthorized.Code {
		t.Errorf("a stranger is answered %#x", code)
	}
	// Whose message is refused is told which, and why; nobody else hears of it.
	long := fleet.NewID[fleet.ChatMessage]()
	r.packet++
	r.publishOn(r.topic+"/send", r.packet, `{"client_id":"`+long.String()+`","text":"`+strings.Repeat("x", chat.MaxText+1)+`"}`)
	why := r.hears("that it was refused", func(f talked) bool { return f.Type == "refused" })
	if pk := r.expect(packets.Puback); pk.ReasonCode != packets.ErrPayloadFormatInvalid.Code || why.ID != long || why.Code != fleet.CodeInvalid {
		t.Errorf("answered %#x, told %+v", pk.ReasonCode, why)
	}
	var letters int
	if err := h.db.Pool().QueryRow(t.Context(), `SELECT count(*) FROM dead_letters WHERE topic LIKE '%/chat/send' AND payload = ''`).Scan(&letters); err != nil || letters != 2 {
		t.Errorf("%d dead letters without a text, %v", letters, err)
	}

	// The officer gives the assignment back.
	h.loses(trip)
	rider.ask("POST", "/api/chat/"+trip.String()+"/messages", map[string]any{"client_id": fleet.NewID[fleet.ChatMessage](), "text": "Where are you?"}, http.StatusCreated)
	r.hears("one's own from elsewhere", func(f talked) bool { return f.Text == "Where are you?" })
	rider.read(rider.ask("GET", "/api/chat/"+trip.String()+"/messages", nil, http.StatusOK), &listed)
	if len(listed.Items) != 2 {
		t.Errorf("kept: %+v", listed.Items)
	}
	o.ping() // what was sent before its answer is all that there was
	for {
		pk, ok := o.next()
		if !ok || pk.FixedHeader.Type == packets.Pingresp {
			break
		}
		if pk.FixedHeader.Type == packets.Publish && pk.TopicName == o.topic {
			t.Errorf("the officer who gave it back hears %s", pk.Payload)
		}
	}
}

// assigned is a booking of a user's that starts in an hour and has its officers.
func (h inside) assigned(user fleet.UserID, team ...fleet.DriverID) fleet.BookingID {
	h.t.Helper()
	now := h.clock.Now().UTC()
	b := fleet.Booking{ID: fleet.NewID[fleet.Booking](), User: user, Created: now, Funded: now,
		Order: fleet.Order{Start: now.Add(time.Hour), Zone: "UTC", LocalStart: now.Add(time.Hour).Format("2006-01-02T15:04"), Minutes: 120,
			Type: fleet.AtTheirSide, Tier: fleet.Essential, Level: fleet.LevelStandard, Pickup: fleet.Place{Lat: 51.5, Lon: -0.12}, Officers: len(team)},
		Terms: fleet.Terms{Tariff: json.RawMessage(`{}`), Price: json.RawMessage(`{}`), Total: fleet.Pounds(110)}}
	if err := (schema.Bookings{DB: h.db}).Place(h.t.Context(), &b, fleet.Actor{Kind: fleet.ByPrincipal, User: user}); err != nil {
		h.t.Fatal(err)
	}
	h.change(b.ID, func(c *schema.BookingTx) error {
		for i, driver := range team {
			seat := c.Seats[i]
			seat.State, seat.Driver, seat.From, seat.To = fleet.SeatCommitted, driver, now, b.End().Add(time.Hour)
			if err := c.Take(seat); err != nil {
				return err
			}
		}
		return c.Move(fleet.Assigned, schema.Event{Kind: "assigned"})
	})
	return b.ID
}

// change changes a booking as dispatch does: the others are told.
func (h inside) change(id fleet.BookingID, do func(*schema.BookingTx) error) fleet.Booking {
	h.t.Helper()
	b, err := (schema.Bookings{DB: h.db}).Change(h.t.Context(), id, h.clock.Now(), do)
	if err != nil {
		h.t.Fatal(err)
	}
	h.bus.Bookings.Publish(bus.BookingChange{ID: b.ID, User: b.User, Status: b.Status, Seq: b.Seq})
	return b
}

// loses takes a trip from its lead, and another is looked for.
func (h inside) loses(id fleet.BookingID) fleet.Booking {
	h.t.Helper()
	return h.change(id, func(c *schema.BookingTx) error {
		if err := c.Release(c.Lead().ID, "released"); err != nil {
			return err
		}
		if _, err := c.OpenSeat(1, fleet.SeatID{}); err != nil {
			return err
		}
		return c.Move(fleet.Searching, schema.Event{Kind: "released"})
	})
}

// officer is somebody who is signed in as one and fit to work, and their driver.
func (h inside) officer(name string) (api *served, driver fleet.DriverID) {
	h.t.Helper()
	api, user, _ := h.person(fleet.RoleDriver)
	var made struct{ ID fleet.DriverID }
	h.read(h.ask("POST", "/api/drivers", map[string]any{"name": name, "tier": "essential", "user_id": user}, http.StatusCreated), &made)
	h.papers(made.ID)
	return api, made.ID
}
