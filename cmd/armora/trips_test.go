package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
	"armora/sim"
	"armora/tariff"
)

// A trip is driven by a phone over MQTT, and the hub is killed at each step of it:
// every event is there once.
func TestATripOutlivesItsHub(t *testing.T) {
	t.Parallel()
	dsn := schematest.PlainDSN(t)
	h := serve(t, "DATABASE_URL="+dsn)
	db, err := schema.Open(t.Context(), dsn, schema.Options{MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	d := h.driven(db)

	ops := func(what string) {
		h.ask("POST", "/api/bookings/"+d.booking.String()+"/"+what, map[string]any{
			"id": fleet.NewID[fleet.TripCommand](), "reason": "of a test"}, http.StatusOK)
	}
	again := func() {
		h.kill()
		h.start()
		d.connect()
	}
	d.connect()
	ops("en-route")
	again()
	d.until("arrived", 0)
	again()
	d.fixes(5, 0) // still there
	ops("start")
	again()
	d.until("departed", 250)
	again()
	d.fixes(5, 0)
	again()
	ops("complete")
	want := []string{"booked", "assigned", "en_route", "officer_arriving", "arrived", "in_progress", "departed", "completed"}
	if got := d.events(); !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
	h.stop()
}

// drive is a trip and the phone of its officer.
type drive struct {
	h       *served
	db      *schema.DB
	booking fleet.BookingID
	phone   sim.Device
	client  *client
	packet  uint16
	at      time.Time // of the last fix
	metres  float64   // north of the pick-up
}

// driven makes an officer who is fit to work, with a phone, and a booking that is
// theirs.
func (h *served) driven(db *schema.DB) *drive {
	h.t.Helper()
	ctx, now := h.t.Context(), time.Now().UTC()
	var driver struct{ ID fleet.DriverID }
	h.read(h.ask("POST", "/api/drivers", map[string]any{"name": "Ada", "tier": "essential"}, http.StatusCreated), &driver)
	h.papers(driver.ID)
	d := &drive{h: h, db: db, at: now.Add(-50 * time.Minute)}
	var made struct{ ID, Secret string }
	h.read(h.ask("POST", "/api/devices", map[string]any{"kind": "phone", "name": "Ada's", "driver_id": driver.ID}, http.StatusCreated), &made)
	d.phone = sim.Device{ID: made.ID, Secret: made.Secret}

	user := fleet.User{ID: fleet.NewID[fleet.User](), Email: "p@example.com", EmailVerified: now, Name: "P", Roles: []fleet.Role{fleet.RoleRider}, Created: now}
	table, err := json.Marshal(tariff.Default())
	if err == nil {
		err = schema.Users{DB: db}.Create(ctx, user, "")
	}
	b := fleet.Booking{ID: fleet.NewID[fleet.Booking](), User: user.ID, Created: now, Funded: now,
		Order: fleet.Order{Start: now.Add(time.Hour), Zone: "UTC", LocalStart: now.Add(time.Hour).Format("2006-01-02T15:04"), Minutes: 120,
			Type: fleet.AtTheirSide, Tier: fleet.Essential, Level: fleet.LevelStandard, Pickup: fleet.Place{Lat: 51.5, Lon: -0.12}, Officers: 1},
		Terms: fleet.Terms{Tariff: table, Price: json.RawMessage(`{}`), Total: fleet.Pounds(110)}}
	bookings := schema.Bookings{DB: db}
	if err == nil {
		err = bookings.Place(ctx, &b, fleet.Actor{Kind: fleet.ByPrincipal, User: user.ID})
	}
	if err == nil {
		_, err = bookings.Change(ctx, b.ID, now, func(c *schema.BookingTx) error {
			seat := c.Seats[0]
			seat.State, seat.Driver, seat.From, seat.To = fleet.SeatCommitted, driver.ID, now, b.End().Add(time.Hour)
			if err := c.Take(seat); err != nil {
				return err
			}
			return c.Move(fleet.Assigned, schema.Event{Kind: "assigned"})
		})
	}
	if err != nil {
		h.t.Fatal(err)
	}
	d.booking = b.ID
	return d
}

// papers makes an officer fit to work.
func (h *served) papers(driver fleet.DriverID) {
	h.t.Helper()
	for _, kind := range []fleet.DocumentKind{fleet.SIALicence, fleet.BackgroundCheck, fleet.RightToWork} {
		var document struct{ ID string }
		h.read(h.ask("POST", "/api/drivers/"+driver.String()+"/documents", map[string]any{
			"kind": kind, "number": "1234567890123456", "category": fleet.CloseProtection, "expires_at": time.Now().UTC().AddDate(1, 0, 0)}, http.StatusCreated), &document)
		h.ask("PUT", "/api/documents/"+document.ID+"/status", map[string]any{"status": fleet.Verified, "reason": "x"}, http.StatusOK)
	}
}

func (d *drive) connect() {
	d.h.t.Helper()
	d.client, _ = d.h.dial(d.phone, 5)
}

// fixes sends fixes, ten seconds apart, each so many metres on, and waits for their
// acknowledgement.
func (d *drive) fixes(n int, step float64) {
	d.h.t.Helper()
	for range n {
		d.at, d.metres, d.packet = d.at.Add(10*time.Second), min(d.metres+step, 1000), d.packet+1
		d.client.publish(d.phone, d.packet, point(d.at, d.metres))
		if pk := d.client.expect(packets.Puback); pk.ReasonCode >= 0x80 {
			d.h.t.Fatalf("acknowledged with %#x", pk.ReasonCode)
		}
	}
}

// until sends fixes until an event was told.
func (d *drive) until(event string, step float64) {
	d.h.t.Helper()
	waitFor(d.h.t, event, func() bool {
		if d.at.Before(time.Now().Add(-time.Minute)) {
			d.fixes(1, step)
		}
		return slices.Contains(d.events(), event)
	})
}

// events are the kinds of what has happened to the booking.
func (d *drive) events() []string {
	d.h.t.Helper()
	events, err := schema.Bookings{DB: d.db}.Events(d.h.t.Context(), d.booking, 0, 100)
	if err != nil {
		d.h.t.Fatal(err)
	}
	kinds := make([]string, len(events))
	for i, e := range events {
		kinds[i] = e.Kind
	}
	return kinds
}

// Ops hear at once that the officer of a trip under way may not work any more, by
// whatever took that from them; the principal is not left alone.
func TestAnOfficerIsSuspendedInTheMiddleOfATrip(t *testing.T) {
	t.Parallel()
	h := openInside(t)
	_, user, _ := h.person(fleet.RoleRider)
	ops, _, _ := h.person(fleet.RoleDispatcher)
	told := 0
	for what, suspend := range map[string]func(user fleet.UserID, driver fleet.DriverID){
		"account": func(user fleet.UserID, _ fleet.DriverID) {
			h.ask("POST", "/api/users/"+user.String()+"/suspend", map[string]any{"reason": "a complaint"}, http.StatusNoContent)
		},
		"licence": func(_ fleet.UserID, driver fleet.DriverID) {
			var papers struct{ Items []struct{ ID, Kind string } }
			h.read(h.ask("GET", "/api/drivers/"+driver.String()+"/documents", nil, http.StatusOK), &papers)
			for _, p := range papers.Items {
				if p.Kind == string(fleet.SIALicence) {
					h.ask("PUT", "/api/documents/"+p.ID+"/status", map[string]any{"status": "suspended", "reason": "says the SIA"}, http.StatusOK)
				}
			}
		},
	} {
		_, officer, _ := h.person(fleet.RoleDriver)
		var driver struct{ ID fleet.DriverID }
		h.read(h.ask("POST", "/api/drivers", map[string]any{"name": "Cy", "tier": "essential", "user_id": officer}, http.StatusCreated), &driver)
		if err := h.vet(t.Context()); err != nil {
			t.Fatal(err)
		}
		trip := h.assigned(user, driver.ID)
		bookings := schema.Bookings{DB: h.db}
		_, err := bookings.Change(t.Context(), trip, h.clock.Now(), func(c *schema.BookingTx) error {
			return c.Move(fleet.EnRoute, schema.Event{Kind: "en_route"})
		})
		if err != nil {
			t.Fatal(err)
		}
		h.bus.Bookings.Publish(bus.BookingChange{ID: trip, User: user, Status: fleet.EnRoute})
		suspend(officer, driver.ID)
		told++
		type notice struct{ Kind, Text string }
		var alarms []notice
		waitFor(t, "ops to be told in the app: "+what, func() bool {
			var inbox struct{ Items []notice }
			ops.read(ops.ask("GET", "/api/users/inbox", nil, http.StatusOK), &inbox)
			alarms = slices.DeleteFunc(inbox.Items, func(n notice) bool { return n.Kind != "safety_alarm" })
			return len(alarms) == told
		})
		if !strings.Contains(alarms[0].Text, "may not work any more") {
			t.Errorf("%s: in the app it says %+v", what, alarms[0])
		}
		if b, err := bookings.Get(t.Context(), trip); err != nil || b.Status != fleet.EnRoute || b.Lead().Driver != driver.ID {
			t.Errorf("%s: the trip is %s, %v", what, b.Status, err)
		}
	}
}
