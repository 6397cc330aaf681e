package api

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
	"armora/schema"
)

// hidden is a restricted principal of whom there is everything that staff have lists
// of.
type hidden struct {
	*person
	paths   map[string]string // the beginning of an operation's path, and what of hers stands there
	secrets []string          // none of which is shown to who is not named
	driver  fleet.DriverID    // who protects her
}

// nobodys are the beginnings of staff's paths that name nothing of a principal's.
var nobodys = []string{
	"/api/drivers/{id}", "/api/vehicles/{id}", "/api/documents/{id}", "/api/partners/{id}", "/api/statements/{id}", "/api/consents/{kind}",
}

func (h *hub) hidden() *hidden {
	h.t.Helper()
	p := h.person(fleet.RoleRider)
	const name, street, notes = "Zenobia Quillfeather", "7 Hideaway Mews", "the grey door, ask for Quill"
	p.must(http.StatusOK, "PUT", "/api/users/profile", map[string]any{"name": name, "language": "en-GB", "zone": "Europe/London"})
	there := map[string]any{"lat": 51.573492, "lon": -0.12, "label": street}
	hers := &hidden{person: p, secrets: []string{p.id.String(), name, "Quill", street, "51.573492"}}
	keep := func(id string) string {
		hers.secrets = append(hers.secrets, id)
		return id
	}
	must := func(err error) {
		if h.t.Helper(); err != nil {
			h.t.Fatal(err)
		}
	}
	invoice := h.invoiceOf(p)
	keep(invoice.Booking.String())
	trip, driver := h.tripOf(p)
	hers.driver = driver
	booked := p.book(tomorrow, map[string]any{"pickup": there, "notes": notes})
	keep(h.debtOf(p)) // after it, nothing is booked
	p.must(http.StatusCreated, "POST", "/api/chat/"+trip.String()+"/messages", draft(notes))
	phone := as[struct {
		ID string `json:"device_id"`
	}](h.t, p.must(http.StatusOK, "POST", "/api/devices/enrol", map[string]any{"name": "Quill's", "platform": "android", "app_version": "1"})).ID
	device, err := fleet.ParseID[fleet.Device](phone)
	must(err)
	h.clock.Advance(time.Minute)
	h.track(phone, 3)
	now := h.clock.Now()
	must(schema.DeadLetters{DB: h.db}.Add(h.t.Context(), []fleet.DeadLetter{{ID: fleet.NewID[fleet.DeadLetter](), Device: device, Topic: "t", Payload: []byte("x"), Received: now}}))
	fence := h.fence(`{"name":"x","shape":{"type":"Circle","coordinates":[0,51],"radius_m":100}}`)
	must(schema.Fences{DB: h.db}.AddEvents(h.t.Context(), []schema.FenceEvent{{Fence: fence.ID, Unit: fleet.Unit(device), Kind: "enter", At: now, Since: now, Lat: 51.573492, Lon: 1}}))
	alert := fleet.Alert{ID: fleet.NewID[fleet.Alert](), Kind: fleet.AlertUnfulfilled, Booking: booked.ID, Raised: now}
	must(schema.Alerts{DB: h.db}.Raise(h.t.Context(), alert))
	must(schema.Alerts{DB: h.db}.Raise(h.t.Context(), fleet.Alert{
		ID: fleet.NewID[fleet.Alert](), Kind: fleet.AlertSilent, Booking: trip, Driver: driver, Data: json.RawMessage(`{"at":"` + street + `"}`), Raised: now,
	}))
	_, err = schema.Bookings{DB: h.db}.Change(h.t.Context(), trip, now, func(c *schema.BookingTx) error {
		must(c.Rate(fleet.Rating{Stars: 5, Text: notes}))
		return c.Publish(true)
	})
	must(err)
	hold := fleet.Hold{ID: fleet.NewID[fleet.Hold](), User: p.id, From: now, Reason: "x", PlacedBy: "x", Placed: now}
	must(schema.Holds{DB: h.db}.Place(h.t.Context(), fleet.UserID{}, hold))
	roles := fleet.Approval{ID: fleet.NewID[fleet.Approval](), Kind: fleet.ApproveRoles, Subject: p.id.String(), Payload: json.RawMessage(`{}`), Reason: "x", Asked: now, Expires: now.Add(time.Hour)}
	must(schema.Approvals{DB: h.db}.Ask(h.t.Context(), roles, nil))
	must(schema.Approvals{DB: h.db}.Ask(h.t.Context(), fleet.Approval{ID: fleet.NewID[fleet.Approval](), Kind: fleet.ApproveRefund, Subject: "x",
		Payload: json.RawMessage(`{"booking":"` + trip.String() + `"}`), Reason: "x", Asked: now, Expires: now.Add(time.Hour)}, nil))
	org := fleet.Organisation{ID: fleet.NewID[fleet.Organisation](), Name: "Acme", VATNumber: "GB123456789", Address: []string{"x"}, Credit: fleet.Pounds(1), Created: now}
	must(schema.Organisations{DB: h.db}.Add(h.t.Context(), &org))
	must(schema.Organisations{DB: h.db}.SetMember(h.t.Context(), fleet.Member{User: p.id, Organisation: org.ID, Role: fleet.AccountMember, Added: now}))
	h.fix(driver, 0, 51.5)
	p.must(http.StatusOK, "GET", "/api/drivers/"+driver.String()+"/location", nil) // she is in the log as who looked
	hers.paths = map[string]string{
		"/api/users/{id}": p.id.String(), "/api/bookings/{id}": keep(booked.ID.String()), "/api/bookings/{id}/receipt": invoice.Booking.String(),
		"/api/chat/{tripId}": keep(trip.String()), "/api/tracking/{tripId}": trip.String(), "/api/trips/{id}": trip.String(),
		"/api/devices/{id}": keep(phone), "/api/invoices/{id}": keep(invoice.ID.String()), "/api/files/{id}": keep(p.keep("document", scan(100)).ID.String()),
		"/api/alerts/{id}": alert.ID.String(), "/api/reviews/{id}": trip.String(), "/api/approvals/{id}": roles.ID.String(), "/api/holds/{id}": hold.ID.String(),
		"/api/organisations/{id}": org.ID.String(), "/api/fences/{id}": fence.ID.String(), "/api/sos/{id}": "",
	}
	return hers
}

// path is an operation's path with what is hers in it.
func (x *hidden) path(op *huma.Operation) (path string, hers bool) {
	longest := ""
	for beginning := range x.paths {
		if strings.HasPrefix(op.Path, beginning) && len(beginning) > len(longest) {
			longest = beginning
		}
	}
	if longest == "" {
		if strings.Contains(op.Path, "{") && !slices.ContainsFunc(nobodys, func(b string) bool { return strings.HasPrefix(op.Path, b) }) {
			x.h.t.Errorf("%s names something: say in restricted_test.go what of a principal's it may be", op.Path)
		}
		return concrete(op.Path), false
	}
	path = pathVariable.ReplaceAllString(longest, x.paths[longest]) + strings.TrimPrefix(op.Path, longest)
	return concrete(strings.ReplaceAll(path, "{user}", x.id.String())), true
}

// forAnybody are what staff who are not named for a restricted person may do about
// them: it shows nothing of them. Of an emergency all of ops see what there is.
var forAnybody = []string{
	"POST /api/users/{id}/suspend", "POST /api/users/{id}/reinstate", "PUT /api/users/{id}/roles", "PUT /api/users/{id}/restricted",
	"GET /api/users/{id}/viewers", "PUT /api/users/{id}/viewers/{viewer}", "DELETE /api/users/{id}/viewers/{viewer}", "DELETE /api/fences/{id}", "PUT /api/organisations/{id}",
}

// others are lists that name what is not hers, and may have something of hers in them.
var others = []string{"/api/fences/{id}/events", "/api/organisations/{id}/members"}

// shownToTheNamed are where staff who are named for a restricted person find them: so
// that the walk below has something to hide.
var shownToTheNamed = []string{
	"/api/users", "/api/users/{id}", "/api/users/{id}/consents", "/api/bookings", "/api/bookings/{id}", "/api/bookings/{id}/events", "/api/bookings/{id}/receipt",
	"/api/trips", "/api/chat/{tripId}/messages", "/api/debts", "/api/invoices", "/api/invoices/{id}", "/api/alerts", "/api/approvals", "/api/holds", "/api/notices",
	"/api/devices", "/api/devices/{id}", "/api/devices/{id}/bindings", "/api/devices/{id}/points", "/api/dead-letters", "/api/fences/{id}/events",
	"/api/organisations/{id}/members",
}

// Of a principal who is restricted, staff who are not named see nothing on any route
// that there is, and change nothing, whatever their roles; to them what is hers is
// not there.
func TestNoRouteShowsARestrictedPrincipalToStaffWhoAreNotNamed(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	stranger, named := h.person(fleet.Staff()...), h.person(fleet.Staff()...)
	hers := h.hidden()
	h.must(http.StatusNoContent, "PUT", "/api/users/"+hers.id.String()+"/restricted", map[string]any{"restricted": true})
	h.must(http.StatusNoContent, "PUT", "/api/users/"+hers.id.String()+"/viewers/"+named.id.String(), nil)
	for _, p := range []*person{stranger, named} { // each may read the log, for a while
		second := map[*person]*person{stranger: named, named: stranger}[p]
		asked := as[Approval](t, p.must(http.StatusCreated, "POST", "/api/approvals", map[string]any{"kind": "audit_log", "reason": "x"}))
		second.must(http.StatusOK, "POST", "/api/approvals/"+asked.ID.String()+"/approve", nil)
	}
	hers.must(http.StatusCreated, "POST", "/api/sos", map[string]any{"lat": 51.573492, "lon": 1})

	random := &sampler{Rand: rand.New(rand.NewPCG(1, 1)), registry: h.huma.OpenAPI().Components.Schemas, now: noon}
	looked, changed := 0, 0
	for name, op := range h.operations() {
		if !forStaff(op) || strings.HasPrefix(op.Path, "/api/sos") || op.Path == "/api/audit" || slices.Contains(forAnybody, name) {
			continue
		}
		path, ofHers := hers.path(op)
		switch {
		case op.Method == http.MethodGet:
			looked++
			forNamed := slices.Contains(shownToTheNamed, op.Path)
			if secret, there := hers.shownTo(stranger, path); secret != "" || there && ofHers && forNamed && !slices.Contains(others, op.Path) {
				t.Errorf("%s is there: %v, and shows %q", path, there, secret)
			}
			if !forNamed {
				continue // an event stream would not end
			}
			if secret, there := hers.shownTo(named, path); secret == "" && (!there || !ofHers) {
				t.Errorf("%s shows nothing to who is named", path)
			}
		case ofHers:
			changed++
			if a := stranger.do(op.Method, path, random.body(op)); a.StatusCode != http.StatusNotFound {
				t.Errorf("%s %s: %s: %s", op.Method, path, a.Status, a.body)
			}
		}
	}
	if looked < 40 || changed < 20 {
		t.Errorf("only %d reads and %d changes were tried", looked, changed)
	}
	h.namesNobodyHidden(stranger, hers)
	hers.areWithheldInTheLog(stranger, named)

	// An emergency is for all of ops, and who is shown it is in the log, once a look.
	for range 2 {
		if list := as[page[OpsSOS]](t, stranger.must(http.StatusOK, "GET", "/api/sos", nil)).Items; len(list) != 1 || list[0].UserID != hers.id || list[0].Place == nil {
			t.Errorf("of an emergency ops are shown %+v", list)
		}
	}
	looks, err := schema.Audit{DB: h.db}.List(t.Context(), named.id, schema.AuditQuery{Action: "read_sos", Actor: stranger.id.String(), Limit: 10})
	if err != nil || len(looks) != 2 || looks[0].Subject != hers.id {
		t.Errorf("recorded %+v, %v", looks, err)
	}

	// An officer at work is nobody's secret: of their silence all of ops hear.
	alerts := as[page[Alert]](t, stranger.must(http.StatusOK, "GET", "/api/alerts", nil)).Items
	i := slices.IndexFunc(alerts, func(a Alert) bool { return a.Kind == fleet.AlertSilent })
	if i < 0 || alerts[i].DriverID != hers.driver || !alerts[i].BookingID.IsZero() || alerts[i].Data != nil {
		t.Fatalf("of a silent officer they see %+v", alerts)
	}
	if closed := as[Alert](t, stranger.must(http.StatusOK, "POST", "/api/alerts/"+alerts[i].ID.String()+"/close", map[string]any{"note": "called"})); !closed.BookingID.IsZero() {
		t.Errorf("closing it shows %+v", closed)
	}
}

// shownTo reports what of hers a path shows a person, besides what stands in it, and
// whether there is something.
func (x *hidden) shownTo(p *person, path string) (secret string, there bool) {
	x.h.t.Helper()
	a := p.do("GET", path, nil)
	if a.StatusCode >= http.StatusInternalServerError {
		x.h.t.Errorf("%s: %s: %s", path, a.Status, a.body)
	}
	for _, s := range x.secrets {
		if strings.Contains(string(a.body), s) && !strings.Contains(path, s) {
			return s, true
		}
	}
	return "", a.StatusCode == http.StatusOK
}

// body is one that an operation takes.
func (s *sampler) body(op *huma.Operation) any {
	switch {
	case op.OperationID == "send-device-command":
		return map[string]any{"kind": "ping"} // which has a pattern
	case op.RequestBody == nil || op.RequestBody.Content["application/json"] == nil:
		return nil
	}
	return s.value(op.RequestBody.Content["application/json"].Schema)
}

// namesNobodyHidden tries what is hers where a body names it.
func (h *hub) namesNobodyHidden(stranger *person, hers *hidden) {
	h.t.Helper()
	booking := hers.paths["/api/bookings/{id}"]
	for path, body := range map[string]map[string]any{
		"/api/drivers/assign": {"booking_id": booking, "driver_id": hers.driver, "reason": "by hand"},
	} {
		if a := stranger.do("POST", path, body); a.StatusCode != http.StatusNotFound {
			h.t.Errorf("%s with %v: %s: %s", path, body, a.Status, a.body)
		}
	}
	for _, about := range []map[string]any{{"user_id": hers.id}, {"device_id": hers.paths["/api/devices/{id}"]}} {
		ghost := map[string]any{}
		for key := range about {
			ghost[key] = fleet.NewID[fleet.User]()
			about["from"], about["reason"] = noon, "x"
			ghost["from"], ghost["reason"] = noon, "x"
		}
		real, none := stranger.do("POST", "/api/holds", about), stranger.do("POST", "/api/holds", ghost)
		if real.StatusCode != none.StatusCode || as[Problem](h.t, real).Detail != as[Problem](h.t, none).Detail {
			h.t.Errorf("a hold of hers: %s %s; of nobody's: %s %s", real.Status, real.body, none.Status, none.body)
		}
	}
}

// areWithheldInTheLog tries the audit log: that something was done is in it for all who
// may read it, and by whom and of whom for who is named. What strangers have asked for
// themselves says no more than they knew.
func (x *hidden) areWithheldInTheLog(stranger, named *person) {
	t := x.h.t
	t.Helper()
	read := func(p *person, query string) (items []AuditEntry, body string) {
		a := p.must(http.StatusOK, "GET", "/api/audit?limit=200&"+query, nil)
		return as[page[AuditEntry]](t, a).Items, string(a.body)
	}
	for _, query := range []string{"actor=" + named.id.String(), "action=read_location"} {
		whole, _ := read(named, query)
		items, body := read(stranger, query)
		if len(items) != len(whole) || !slices.ContainsFunc(items, func(e AuditEntry) bool { return e.Withheld }) {
			t.Errorf("%s: %d entries for a stranger, %d for who is named", query, len(items), len(whole))
		}
		for _, secret := range x.secrets {
			if strings.Contains(body, secret) {
				t.Errorf("the log shows %q: %s", secret, body)
			}
		}
		if !slices.ContainsFunc(whole, func(e AuditEntry) bool { return e.ActorID == x.id || slices.Contains(e.Subjects, x.id) }) {
			t.Errorf("%s: who is named does not find her", query)
		}
	}
	for _, query := range []string{"subject=" + x.id.String(), "actor=" + x.id.String()} {
		if items, _ := read(stranger, query); len(items) != 0 {
			t.Errorf("by %s they find %+v", query, items)
		}
		if items, _ := read(named, query); len(items) == 0 {
			t.Errorf("by %s who is named finds nothing", query)
		}
	}
}
