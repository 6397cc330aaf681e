package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/mochi-mqtt/server/v2/packets"

	"armora/fleet"
	"armora/schema"
)

// ear is one of the ways in which somebody hears of a trip.
type ear struct {
	t     *testing.T
	way   string
	heard chan string // JSON; closed with the connection
	phone *client     // by which it is over MQTT; nil: it is not
	pings int         // that are not answered yet
}

// pong is heard over MQTT when the hub has answered a ping.
const pong = `{"type":"pong"}`

// told is a message about a trip, in whatever way.
type told struct {
	Type     string         `json:"type"`
	Seq      int64          `json:"seq"`
	Kind     string         `json:"kind"`
	Driver   fleet.DriverID `json:"driver_id"`
	Seat     int            `json:"seat"`
	Lead     bool           `json:"lead"`
	Place    string         `json:"place"`
	Distance int            `json:"distance_m"`
	text     string
}

// next waits for a message of a type.
func (e *ear) next(kind string) (m told) {
	e.t.Helper()
	e.ping()
	deadline := time.After(answerTimeout)
	for {
		select {
		case text, ok := <-e.heard:
			if text == pong {
				e.pings--
			}
			if m = (told{text: text}); !ok || json.Unmarshal([]byte(text), &m) != nil {
				e.t.Fatalf("%s says %q, or has ended, before a %s", e.way, text, kind)
			}
			if m.Type == kind {
				return m
			}
		case <-deadline:
			e.t.Fatalf("%s: no %s", e.way, kind)
		}
	}
}

// rest is what is heard until the connection ends or, if it goes on without anything
// to hear, until the hub has answered a ping.
func (e *ear) rest() (all []string) {
	e.t.Helper()
	e.ping()
	for text := range e.heard {
		if text != pong {
			all = append(all, text)
		} else if e.pings--; e.pings == 0 {
			break
		}
	}
	return all
}

// ping keeps a phone's connection.
func (e *ear) ping() {
	if e.phone != nil {
		e.phone.ping()
		e.pings++
	}
}

// ears opens every way in which a person is told of a trip: a WebSocket, an event
// stream, and MQTT on their phone.
func (h inside) ears(who *served, trip fleet.BookingID) (all []*ear) {
	h.t.Helper()
	bearer := http.Header{"Authorization": {"Bearer " + who.token}}
	path := "/api/tracking/" + trip.String()
	add := func(way string, read func(to chan<- string)) {
		e := &ear{t: h.t, way: way, heard: make(chan string, 1<<10)}
		go func() {
			defer close(e.heard)
			read(e.heard)
		}()
		all = append(all, e)
	}

	conn, _, err := websocket.DefaultDialer.DialContext(h.t.Context(), "ws"+strings.TrimPrefix(who.api, "http")+path, bearer)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = conn.Close() })
	add("WebSocket", func(to chan<- string) {
		for _, text, err := conn.ReadMessage(); err == nil; _, text, err = conn.ReadMessage() {
			to <- string(text)
		}
	})

	request, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, who.api+path+"/events", http.NoBody)
	if err != nil {
		h.t.Fatal(err)
	}
	request.Header = bearer
	stream, err := http.DefaultClient.Do(request)
	if err != nil || stream.StatusCode != http.StatusOK {
		h.t.Fatal(err, stream)
	}
	h.t.Cleanup(func() { _ = stream.Body.Close() })
	add("event stream", func(to chan<- string) {
		for lines := bufio.NewScanner(stream.Body); lines.Scan(); {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				to <- data
			}
		}
	})

	phone, _ := who.dial(who.enrol(""), 5)
	topic := "v1/trips/" + trip.String() + "/"
	if got := phone.follow(topic+"state", topic+"position"); got[0] >= 0x80 || got[1] >= 0x80 {
		h.t.Fatalf("let in with %x", got)
	}
	add("MQTT", func(to chan<- string) {
		for pk := range phone.packets {
			switch pk.FixedHeader.Type {
			case packets.Publish:
				to <- string(pk.Payload)
			case packets.Pingresp:
				to <- pong
			}
		}
	})
	all[2].phone = phone
	return all
}

// A trip with two officers, as its principal hears of it by a WebSocket, by an event
// stream and by MQTT: each says the same, by the same seq. Where officers are is told
// before it is committed.
func TestATripIsToldAlikeInEveryWay(t *testing.T) {
	t.Parallel()
	h := openInside(t)
	rider, user, _ := h.person(fleet.RoleRider)
	ada, lead := h.officer("Ada")
	bo, second := h.officer("Bo")
	trip := h.assigned(user, lead, second)
	var phones []*followed
	for _, who := range []struct {
		*served
		fleet.DriverID
	}{{ada, lead}, {bo, second}} {
		phones = append(phones, follow(who.served, who.DriverID))
	}
	phones[0].at(3000).stored() // known before they set out, and so is how far they have to go
	h.change(trip, func(c *schema.BookingTx) error { return c.Move(fleet.EnRoute, schema.Event{Kind: "en_route"}) })
	principal := h.ears(rider, trip)
	for _, e := range principal {
		if m := e.next("snapshot"); !strings.Contains(m.text, lead.String()) || !strings.Contains(m.text, second.String()) {
			t.Errorf("%s: at first %s", e.way, m.text)
		}
	}

	waitFor(t, "both of its topics to be followed", func() bool { return h.gauge("armora_tracks_watchers") == 4 })
	// While nothing can be committed, positions are told.
	tx, err := h.db.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background()) //nolint:errcheck // it may be over by then
	if _, err := tx.Exec(t.Context(), `LOCK TABLE points IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	for seat, driver := range []fleet.DriverID{lead, second} {
		phones[seat].at(2000)
		alike(t, principal, "position", func(m told) bool {
			return m.Driver == driver && m.Seat == seat+1 && m.Lead == (seat == 0) && m.Seq == 0
		})
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, p := range phones {
		p.stored()
	}

	alike(t, principal, "eta", func(m told) bool { return m.Place == string(fleet.AtPickup) && m.Distance > 1000 })
	phones[0].at(400) // of the place where they are expected
	near := alike(t, principal, "state", func(m told) bool { return m.Kind == "officer_arriving" && m.Driver == lead })
	rider.ask("POST", "/api/chat/"+trip.String()+"/messages", map[string]any{"client_id": fleet.NewID[fleet.ChatMessage](), "text": "Hello?"}, http.StatusCreated)
	waitFor(t, "the fence to be crossed", func() bool {
		if phones[0].fix.Before(time.Now().Add(-2 * time.Minute)) {
			phones[0].at(0).stored()
		}
		b, err := (schema.Bookings{DB: h.db}).Get(t.Context(), trip)
		return err == nil && b.Status == fleet.Arrived
	})
	alike(t, principal, "state", func(m told) bool { return m.Kind == "arrived" && m.Seq == near.Seq+2 }) // the message has one as well

	// Who gives it back hears nothing more, in whatever way.
	former := h.ears(ada, trip)
	for _, e := range former {
		e.next("snapshot")
	}
	h.loses(trip)
	alike(t, principal, "state", func(m told) bool { return m.Kind == "released" })
	h.change(trip, func(c *schema.BookingTx) error { return c.Move(fleet.Cancelled, schema.Event{Kind: "cancelled"}) })
	alike(t, principal, "state", func(m told) bool { return m.Kind == "cancelled" })
	for _, e := range former {
		for _, text := range e.rest() {
			if strings.Contains(text, "released") || strings.Contains(text, "cancelled") {
				t.Errorf("%s: who gave it back hears %s", e.way, text)
			}
		}
	}
}

// gauge reads one of the hub's.
func (h inside) gauge(name string) (value float64) {
	h.t.Helper()
	families, err := h.registry.Gather()
	if err != nil {
		h.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			value = f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return value
}

// alike waits for a message of a type for which holds is true, in each way, and
// checks that it says the same in all.
func alike(t *testing.T, ears []*ear, kind string, holds func(told) bool) (said told) {
	t.Helper()
	for i, e := range ears {
		m := e.next(kind)
		for !holds(m) {
			m = e.next(kind)
		}
		if i > 0 && m.text != said.text {
			t.Errorf("%s says %s, and %s says %s", ears[0].way, said.text, e.way, m.text)
		}
		if i == 0 {
			said = m
		}
	}
	return said
}

// followed is the phone of an officer who has been on duty for an hour.
type followed struct {
	*client
	id     string
	packet uint16
	fix    time.Time
}

func follow(who *served, driver fleet.DriverID) *followed {
	who.t.Helper()
	d, now := who.enrol(""), time.Now()
	c, _ := who.dial(d, 5)
	f := &followed{client: c, id: d.ID, packet: 1, fix: now.Add(-50 * time.Minute)}
	f.publishOn("v1/drivers/"+driver.String()+"/duty", f.packet, fmt.Sprintf(`{"duty":%q,"t":%d}`, fleet.OnDuty, now.Add(-time.Hour).UnixMilli()))
	f.stored()
	return f
}

// at publishes a fix a minute after the last, so many metres north of where the tests'
// trips begin.
func (f *followed) at(metres float64) *followed {
	f.t.Helper()
	f.packet++
	f.fix = f.fix.Add(time.Minute)
	f.publishOn("v1/devices/"+f.id+"/points", f.packet, point(f.fix, metres))
	return f
}

// stored waits until what was published last is.
func (f *followed) stored() {
	f.t.Helper()
	for f.expect(packets.Puback).PacketID != f.packet {
	}
}
