package api

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
	"armora/payment"
)

// try sends what names, in a body, something of the owner's as somebody else, and
// checks that it is as good as naming nothing that there is.
type try func(owner, other *person)

// madeUp are ids that an app makes up, of what it is about to do: another's are never
// looked for. chosen are of officers, whom every principal may name.
var madeUp, chosen try

// idsOfBodies are the fields of bodies that name something, with how another's is
// tried; nil: it is nobody's. It is written by hand: a new field fails the test below
// until somebody has said here whose it is.
func (h *hub) idsOfBodies() map[string]try {
	file := func(p *person, purpose string) string { return p.keep(purpose, scan(100)).ID.String() }
	card := func(p *person) any { return h.cardOf(p) }
	rows := map[string]try{
		"POST /api/tickets trip_id": func(owner, other *person) {
			trip, _ := h.tripOf(owner)
			for opens, path := range map[string]string{"tracking": "", "events": "/events", "chat": ""} {
				where := map[bool]string{true: "/api/chat/", false: "/api/tracking/"}[opens == "chat"] + trip.String() + path
				problem(h.t, h.send(h.anonymous("GET", where+"?ticket="+other.ticket(opens, trip))), http.StatusNotFound, fleet.CodeNotFound)
			}
		},
		"POST /api/payments/reserve booking_id": func(owner, other *person) {
			h.asNothing(other, "POST", "/api/payments/reserve", map[string]any{}, "booking_id", owner.booked())
		},
		"POST /api/payments/reserve payment_method_id": func(owner, other *person) {
			h.asNothing(other, "POST", "/api/payments/reserve", map[string]any{"booking_id": other.booked()}, "payment_method_id", card(owner))
		},
		"POST /api/payments/debts/{id}/pay payment_method_id": func(owner, other *person) {
			h.asNothing(other, "POST", "/api/payments/debts/"+h.debtOf(other)+"/pay", map[string]any{}, "payment_method_id", card(owner))
		},
		"POST /api/users/membership payment_method_id": func(owner, other *person) {
			h.asNothing(other, "POST", "/api/users/membership", map[string]any{}, "payment_method_id", card(owner))
		},
		"POST /api/bookings quote_id": func(owner, other *person) {
			quote := as[Quote](h.t, owner.must(http.StatusCreated, "POST", "/api/quotes", transfer(tomorrow)))
			h.asNothing(other, "POST", "/api/bookings", map[string]any{}, "quote_id", quote.ID)
			owner.must(http.StatusCreated, "POST", "/api/bookings", map[string]any{"quote_id": quote.ID})
		},
		"POST /api/bookings preferred_officer_id": chosen, "POST /api/quotes preferred_officer_id": chosen,
		"POST /api/series preferred_officer_id": chosen,
		"POST /api/devices/enrol device_id": func(owner, other *person) {
			phone := map[string]any{"name": "x", "platform": "ios"}
			mine := as[struct {
				ID string `json:"device_id"`
			}](h.t, owner.must(http.StatusOK, "POST", "/api/devices/enrol", phone)).ID
			h.asNothing(other, "POST", "/api/devices/enrol", phone, "device_id", mine)
		},
		"PUT /api/users/profile photo_id": func(owner, other *person) {
			body := map[string]any{"name": "x", "language": "en-GB", "zone": "Europe/London"}
			h.asNothing(other, "PUT", "/api/users/profile", body, "photo_id", owner.keep("avatar", portrait(h.t)).ID)
		},
		"PUT /api/drivers/me photo_id": func(owner, other *person) {
			h.employ(other)
			h.asNothing(other, "PUT", "/api/drivers/me", map[string]any{"languages": []string{"en"}}, "photo_id", owner.keep("avatar", portrait(h.t)).ID)
		},
		"POST /api/drivers/me/documents file_id": func(owner, other *person) {
			h.employ(other)
			body := map[string]any{"kind": "sia_licence", "number": "1234567890123456", "category": "close_protection", "expires_at": "2027-01-01T00:00:00Z"}
			h.asNothing(other, "POST", "/api/drivers/me/documents", body, "file_id", file(owner, "document"))
		},
		"POST /api/sos id": madeUp,
		"POST /api/sos trip_id": func(owner, other *person) {
			trip, _ := h.tripOf(owner)
			if err := h.cfg.Safety.Relearn(h.t.Context()); err != nil {
				h.t.Fatal(err)
			}
			told := func(p *person) fleet.BookingID {
				raised := p.sos(map[string]any{"trip_id": trip})
				return as[SOSTimeline](h.t, h.must(http.StatusOK, "GET", "/api/sos/"+raised.ID.String()+"/timeline", nil)).TripID
			}
			if got := told(other); !got.IsZero() {
				h.t.Errorf("an SOS on another's trip is on %s", got)
			}
			if got := told(owner); got != trip {
				h.t.Errorf("an SOS on one's own trip is on %s", got)
			}
		},
		"POST /api/chat/{tripId}/messages client_id": madeUp,
	}
	for _, field := range []string{"sos_id", "raised"} {
		rows["POST /api/sos/cancel "+field] = func(owner, other *person) {
			press := fleet.NewID[fleet.SOSCall]()
			raised := owner.sos(map[string]any{"id": press})
			named := map[string]any{"sos_id": raised.ID, "raised": press}[field]
			a := as[SOS](h.t, other.must(http.StatusOK, "POST", "/api/sos/cancel", map[string]any{field: named}))
			if still := as[SOS](h.t, owner.must(http.StatusOK, "GET", "/api/sos/"+raised.ID.String(), nil)); !a.ID.IsZero() || still.Status != fleet.SOSIsRaised {
				h.t.Errorf("another cancels by %s: %+v, and it is %s", field, a, still.Status)
			}
		}
	}
	for _, command := range tripCommands {
		path := "/api/bookings/{id}/" + command
		rows["POST "+path+" id"] = madeUp
		rows["POST "+path+" driver_id"] = func(owner, other *person) { // it is ops' to say; others speak for themselves
			trip, _ := h.tripOf(other)
			victim := h.employ(h.person(fleet.RoleDriver))
			body := map[string]any{"id": fleet.NewID[fleet.TripCommand](), "reason": "x", "driver_id": victim, "minutes": 30, "code": "4711"}
			if command != "extend" {
				delete(body, "minutes")
			}
			if command != "start" {
				delete(body, "code")
			}
			other.do("POST", "/api/bookings/"+trip.String()+"/"+command, body)
			events := as[page[BookingEvent]](h.t, h.must(http.StatusOK, "GET", "/api/bookings/"+trip.String()+"/events", nil))
			for _, e := range events.Items {
				if strings.Contains(string(e.Data), victim.String()) {
					h.t.Errorf("%s is said of another officer: %s", command, e.Data)
				}
			}
		}
	}
	return rows
}

// asNothing checks that another's thing in a field is answered as one that there is not,
// and that neither is taken.
func (h *hub) asNothing(p *person, method, path string, body map[string]any, field string, theirs any) {
	h.t.Helper()
	send := func(value any) answer {
		with := maps.Clone(body)
		with[field] = value
		return p.do(method, path, with)
	}
	named, nobodys := send(theirs), send(fleet.NewID[fleet.User]())
	if named.StatusCode != nobodys.StatusCode || named.StatusCode != http.StatusNotFound && named.StatusCode != http.StatusUnprocessableEntity {
		h.t.Errorf("%s %s with another's %s: %s %s; with nobody's: %s %s", method, path, field, named.Status, named.body, nobodys.Status, nobodys.body)
		return
	}
	if a, b := as[Problem](h.t, named), as[Problem](h.t, nobodys); a.Code != b.Code || a.Detail != b.Detail {
		h.t.Errorf("%s %s with another's %s: %+v; with nobody's: %+v", method, path, field, a, b)
	}
}

// named are the fields of a schema that name something, however deep.
func named(registry huma.Registry, schema *huma.Schema) (fields []string) {
	if schema.Ref != "" {
		schema = registry.SchemaFromRef(schema.Ref)
	}
	for name, property := range schema.Properties {
		is := property
		if is.Type == huma.TypeArray && is.Items != nil {
			is = is.Items
		}
		if is.Format == "uuid" || strings.HasSuffix(name, "_id") || strings.HasSuffix(name, "_ids") {
			fields = append(fields, name)
		}
		if is.Ref != "" || is.Type == huma.TypeObject {
			fields = append(fields, named(registry, is)...)
		}
	}
	return fields
}

// Whatever a body names that is another's is as good as what there is not. What staff
// alone may call is theirs to name.
func TestWhatABodyNamesIsTheCallersOrNothing(t *testing.T) {
	t.Parallel()
	h := newHub(t, byCard, func(c *Config) { c.Members = payment.NewMembers(c.Payments, "price_1", 0) })
	rows, tried := h.idsOfBodies(), map[string]bool{}
	for name, op := range h.operations() {
		if op.RequestBody == nil || op.RequestBody.Content["application/json"] == nil || staffOnly(op.Security) {
			continue
		}
		for _, field := range named(h.huma.OpenAPI().Components.Schemas, op.RequestBody.Content["application/json"].Schema) {
			key := name + " " + field
			row, ok := rows[key]
			if !ok {
				t.Errorf("%s names something: say in idsOfBodies, in bodyids_test.go, how another's is tried", key)
			}
			if tried[key] = true; row == nil {
				continue
			}
			role := fleet.RoleRider
			if granted := grants(t)[name].who; !slices.Contains(granted, "person") && !slices.Contains(granted, string(role)) {
				role = fleet.RoleDriver
			}
			row(h.person(role), h.person(role))
		}
	}
	for key := range rows {
		if command := strings.HasPrefix(key, "POST /api/bookings/{id}/"); !tried[key] && !command {
			t.Errorf("%s is in the table and not in the document", key)
		}
	}
	// The questionnaire is a document whose fields its own schema has.
	owner, other := h.person(fleet.RoleRider), h.person(fleet.RoleRider)
	contact := as[Contact](t, owner.must(http.StatusCreated, "POST", "/api/users/contacts", charles("charles@example.com"))).ID.String()
	for _, id := range []string{contact, fleet.NewID[fleet.Contact]().String()} {
		a := other.do("PUT", "/api/users/questionnaire/steps/emergency_contacts", map[string]any{"contact_ids": []string{id}})
		problem(t, a, http.StatusUnprocessableEntity, fleet.CodeInvalid)
	}
	owner.must(http.StatusOK, "PUT", "/api/users/questionnaire/steps/emergency_contacts", map[string]any{"contact_ids": []string{contact}})
}
