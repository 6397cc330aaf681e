package api

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"armora/fleet"
	"armora/live"
	"armora/schema"
	"armora/tariff"
)

// tripOf is a trip for which a lead has set out: an officer's own, or one in which
// a principal is protected by somebody.
func (h *hub) tripOf(p *person) (fleet.BookingID, fleet.DriverID) {
	h.t.Helper()
	driver, principal := h.employ(p), p.id
	if driver.IsZero() {
		driver = h.employ(h.person(fleet.RoleDriver))
	} else {
		principal = h.person(fleet.RoleRider).id
	}
	b := h.assigned(principal, driver)
	b, err := (schema.Bookings{DB: h.db}).Change(h.t.Context(), b.ID, noon, func(c *schema.BookingTx) error {
		return c.Move(fleet.EnRoute, schema.Event{Kind: "en_route"})
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return b.ID, driver
}

// assigned is a booking for now that has its officer.
func (h *hub) assigned(principal fleet.UserID, driver fleet.DriverID) fleet.Booking {
	h.t.Helper()
	table, err := json.Marshal(tariff.Default())
	if err != nil {
		h.t.Fatal(err)
	}
	now, bookings := h.clock.Now(), schema.Bookings{DB: h.db}
	b := fleet.Booking{ID: fleet.NewID[fleet.Booking](), User: principal, Created: now, Funded: now,
		Order: fleet.Order{Start: now, Zone: "Europe/London", LocalStart: "2026-03-01T12:00", Minutes: 120, Type: fleet.SecureTransfer,
			Tier: fleet.Essential, Level: fleet.LevelStandard, Pickup: fleet.Place{Lat: 51.511, Lon: -0.12},
			Destination: &fleet.Place{Lat: 51.5, Lon: -0.18}, Officers: 1},
		Terms: fleet.Terms{Tariff: table, Price: json.RawMessage(`{}`), Total: fleet.Pounds(110)}}
	if err := bookings.Place(h.t.Context(), &b, fleet.Actor{Kind: fleet.ByPrincipal, User: principal}); err != nil {
		h.t.Fatal(err)
	}
	b, err = bookings.Change(h.t.Context(), b.ID, now, func(c *schema.BookingTx) error {
		seat := c.Seats[0]
		seat.State, seat.Driver, seat.From, seat.To = fleet.SeatCommitted, driver, now, b.End().Add(time.Hour)
		if err := c.Take(seat); err != nil {
			return err
		}
		return c.Move(fleet.Assigned, schema.Event{Kind: "assigned"})
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

func tap(more ...any) map[string]any {
	body := map[string]any{"id": fleet.NewID[fleet.TripCommand]().String()}
	for i := 0; i < len(more); i += 2 {
		body[more[i].(string)] = more[i+1]
	}
	return body
}

func TestATripByREST(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	rider, officer, ops := h.person(fleet.RoleRider), h.person(fleet.RoleDriver), h.person(fleet.RoleDispatcher)
	b := h.assigned(rider.id, h.employ(officer))
	path := "/api/bookings/" + b.ID.String()

	set := officer.must(http.StatusOK, "POST", path+"/en-route", tap())
	if s := as[TripState](t, set); s.Status != fleet.EnRoute || s.Price != nil || set.Header.Get("ETag") == "" {
		t.Errorf("set out: %s", set.body)
	}
	h.clock.Advance(10 * time.Minute)
	for _, p := range []*person{rider, officer, ops} {
		p.renew()
	}
	officer.must(http.StatusOK, "POST", path+"/arrive", tap("occurred_at", noon.Add(8*time.Minute)))
	problem(t, officer.do("POST", path+"/arrive", tap("occurred_at", noon.Add(time.Hour))), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	p := problem(t, officer.do("POST", path+"/start", tap("code", "0000")), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	if len(p.Errors) != 1 || p.Errors[0].Location != "body.code" {
		t.Errorf("a wrong code is %+v", p)
	}
	problem(t, rider.do("POST", path+"/start", tap("code", "4711")), http.StatusForbidden, fleet.CodeForbidden)
	problem(t, ops.do("POST", path+"/start", tap()), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	s := as[TripState](t, ops.must(http.StatusOK, "POST", path+"/start", tap("reason", "phone is broken")))
	if s.Status != fleet.InProgress || !s.ArrivedAt.Equal(noon.Add(8*time.Minute)) || s.Price == nil {
		t.Errorf("started: %+v", s)
	}
	s = as[TripState](t, rider.must(http.StatusOK, "POST", path+"/extend", tap("minutes", 60)))
	if s.Price.Amount != 16000 || !s.EndsAt.Equal(noon.Add(3*time.Hour)) {
		t.Errorf("extended: %+v", s)
	}
	problem(t, officer.do("POST", path+"/extend", tap("minutes", 60)), http.StatusForbidden, fleet.CodeForbidden)
	done := tap()
	for range 2 {
		officer.must(http.StatusOK, "POST", path+"/complete", done)
	}
	// What has gone wrong is kept for ops.
	id := tap()
	problem(t, officer.do("POST", path+"/no-show", id), http.StatusConflict, fleet.CodeConflict)
	list := as[page[TripConflict]](t, ops.must(http.StatusOK, "GET", "/api/trips/conflicts", nil)).Items
	if len(list) != 1 || list[0].ID.String() != id["id"] || list[0].BookingID != b.ID {
		t.Fatalf("conflicts: %+v", list)
	}
	alerts := as[page[Alert]](t, ops.must(http.StatusOK, "GET", "/api/alerts", nil)).Items
	if len(alerts) != 1 || alerts[0].Kind != fleet.AlertConflict {
		t.Fatalf("alerts: %+v", alerts)
	}
	resolve := "/api/trips/" + b.ID.String() + "/conflicts/" + list[0].ID.String() + "/resolve"
	problem(t, ops.do("POST", resolve, map[string]any{"action": "carry_out", "note": "?"}), http.StatusConflict, fleet.CodeConflict)
	ops.must(http.StatusOK, "POST", resolve, map[string]any{"action": "dismiss", "note": "a slip"})
	if left := as[page[Alert]](t, ops.must(http.StatusOK, "GET", "/api/alerts", nil)).Items; len(left) != 0 {
		t.Errorf("alerts: %+v", left)
	}
}

func TestTripsAndAlertsForOps(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	officer, ops := h.person(fleet.RoleDriver), h.person(fleet.RoleDispatcher)
	id, driver := h.tripOf(officer)
	h.cfg.Map.(*live.Index).Apply(live.Fix{Unit: fleet.Unit(driver), At: fleet.MillisOf(noon), Received: fleet.MillisOf(noon), Lat: 51.6, Lon: -0.12})
	h.cfg.Trips.Round(t.Context())
	h.clock.Advance(time.Hour)
	officer.renew()
	ops.renew()
	h.cfg.Trips.Round(t.Context())

	list := as[page[Trip]](t, ops.must(http.StatusOK, "GET", "/api/trips", nil)).Items
	if len(list) != 1 || list[0].BookingID != id || list[0].Lead != driver || !list[0].Silent || !list[0].Officers[0].Late || list[0].ETA == nil {
		t.Fatalf("trips: %+v", list)
	}
	problem(t, officer.do("GET", "/api/trips", nil), http.StatusForbidden, fleet.CodeForbidden)
	alerts := as[page[Alert]](t, ops.must(http.StatusOK, "GET", "/api/alerts?limit=1", nil))
	if len(alerts.Items) != 1 || alerts.Next == "" {
		t.Fatalf("alerts: %+v", alerts)
	}
	path := "/api/alerts/" + alerts.Items[0].ID.String()
	problem(t, h.do("POST", path+"/acknowledge", nil), http.StatusForbidden, fleet.CodeForbidden) // nobody in particular
	for _, by := range []*person{ops, h.person(fleet.RoleAdmin)} {
		if got := as[Alert](t, by.must(http.StatusOK, "POST", path+"/acknowledge", nil)); got.AcknowledgedBy != ops.id.String() || !got.ClosedAt.IsZero() {
			t.Errorf("acknowledged: %+v", got)
		}
	}
	closing := path + "/close"
	closed := as[Alert](t, ops.must(http.StatusOK, "POST", closing, map[string]any{"note": "called them"}))
	if closed.ClosedAt.IsZero() || closed.ClosedBy != ops.id.String() {
		t.Errorf("closed: %+v", closed)
	}
	problem(t, ops.do("POST", closing, map[string]any{"note": "again"}), http.StatusConflict, fleet.CodeConflict)
	problem(t, ops.do("POST", path+"/acknowledge", nil), http.StatusConflict, fleet.CodeConflict)
	if all := as[page[Alert]](t, ops.must(http.StatusOK, "GET", "/api/alerts?all=true", nil)).Items; len(all) != 2 {
		t.Errorf("alerts: %+v", all)
	}
	eta := officer.must(http.StatusOK, "GET", "/api/bookings/"+id.String()+"/eta", nil)
	if e := as[struct{ ETA *TripETA }](t, eta).ETA; e == nil || e.Place != fleet.AtPickup || e.Distance < 9000 {
		t.Errorf("ETA: %s", eta.body)
	}
}

func TestWhoSeesWhereAnOfficerIs(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	rider, former, officer, ops := h.person(fleet.RoleRider), h.person(fleet.RoleRider), h.person(fleet.RoleDriver), h.person(fleet.RoleDispatcher)
	driver := h.employ(officer)
	b := h.assigned(former.id, driver)
	path := "/api/drivers/" + driver.String() + "/location"
	problem(t, officer.do("GET", path, nil), http.StatusNotFound, fleet.CodeNotFound) // nothing is heard
	h.cfg.Map.(*live.Index).Apply(live.Fix{Unit: fleet.Unit(driver), At: fleet.MillisOf(noon), Received: fleet.MillisOf(noon), Lat: 51.5, Lon: -0.12})
	officer.must(http.StatusOK, "GET", path, nil)
	ops.must(http.StatusOK, "GET", path, nil)

	problem(t, former.do("GET", path, nil), http.StatusNotFound, fleet.CodeNotFound) // they have not set out
	taps := "/api/bookings/" + b.ID.String()
	officer.must(http.StatusOK, "POST", taps+"/en-route", tap())
	if l := as[DriverLocation](t, former.must(http.StatusOK, "GET", path, nil)); l.Lat != 51.5 {
		t.Errorf("they are at %+v", l)
	}
	problem(t, rider.do("GET", path, nil), http.StatusNotFound, fleet.CodeNotFound)
	officer.must(http.StatusOK, "POST", taps+"/start", tap("code", "4711"))
	officer.must(http.StatusOK, "POST", taps+"/complete", tap())
	problem(t, former.do("GET", path, nil), http.StatusNotFound, fleet.CodeNotFound)

	entries, err := schema.Audit{DB: h.db}.List(t.Context(), fleet.UserID{}, schema.AuditQuery{Subject: officer.id, Action: readLocation, Limit: 10})
	if err != nil || len(entries) != 2 {
		t.Fatalf("recorded are %+v, error %v", entries, err)
	}
	if entries[0].ActorUser != former.id || entries[1].ActorUser != ops.id {
		t.Errorf("recorded are %+v", entries)
	}
}
