package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"armora/fleet"
)

// privileged are what decides what somebody may do or has to pay.
var privileged = []string{
	"id", "user_id", "role", "roles", "restricted", "suspended", "suspended_at", "verified", "email_verified", "phone_verified",
	"second_factor", "created_at", "price", "amount", "scopes", "total", "fee", "status", "risk", "risk_band", "seq",
	"funded", "funded_at", "member", "metres", "miles", "tariff", "start_code", "series_id", "approved",
}

// documents are judged by a JSON Schema of their own, which names every field.
var documents = []string{"/api/users/preferences", "/api/users/questionnaire", "/api/users/questionnaire/steps/{step}", "/api/payments/webhook"}

// tripCommands are what comes after a booking's path where the body's id is one that
// an app makes up, of the command itself.
var tripCommands = []string{"en-route", "arrive", "start", "complete", "no-show", "release", "relief", "handover", "extend"}

// staffOnly reports whether nobody but staff may call an operation: they set what
// others may not.
func staffOnly(security []map[string][]string) bool {
	roles, ok := []string(nil), len(security) == 1
	if ok {
		roles, ok = security[0][bearerScheme]
	}
	return ok && len(roles) > 0 && !slices.ContainsFunc(roles, func(r string) bool { return !slices.Contains(fleet.Staff(), fleet.Role(r)) })
}

type bodySchema struct {
	Ref                  string `json:"$ref"`
	Properties           map[string]any
	AdditionalProperties any `json:"additionalProperties"`
}

// No operation takes a field that it does not name, and none names what its
// caller may not set.
func TestNoOperationTakesWhatItsCallerMayNotSet(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	doc := as[struct {
		Paths map[string]map[string]struct {
			Security    []map[string][]string
			RequestBody struct {
				Content map[string]struct{ Schema bodySchema }
			} `json:"requestBody"`
		}
		Components struct{ Schemas map[string]bodySchema }
	}](t, h.send(h.anonymous(http.MethodGet, "/openapi.json")))
	bodies := 0
	for path, operations := range doc.Paths {
		for method, op := range operations {
			content, ok := op.RequestBody.Content["application/json"]
			if !ok {
				continue
			}
			bodies++
			schema := content.Schema
			if schema.Ref != "" {
				schema = doc.Components.Schemas[schema.Ref[strings.LastIndex(schema.Ref, "/")+1:]]
			}
			if schema.AdditionalProperties != false && !slices.Contains(documents, path) {
				t.Errorf("%s %s takes fields that it does not name", method, path)
			}
			for _, name := range privileged {
				command, ofBooking := strings.CutPrefix(path, "/api/bookings/{id}/")
				if name == "id" && method == "post" && path == "/api/sos" { // the press's, that the app makes up
					continue
				}
				if name == "id" && ofBooking && slices.Contains(tripCommands, command) {
					continue
				}
				if _, takes := schema.Properties[name]; takes && !staffOnly(op.Security) {
					t.Errorf("%s %s takes %q", method, path, name)
				}
			}
		}
	}
	if bodies < 15 {
		t.Errorf("only %d operations have a body", bodies)
	}
}

func TestNobodyRegistersAsMoreThanARider(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for field, value := range map[string]any{
		"roles": []string{"admin"}, "Roles": []string{"admin"}, "email_verified": true, "restricted": true, "id": fleet.NewID[fleet.User]().String(),
	} {
		body := map[string]any{"email": "eve@example.com", "password": "a long enough phrase", field: value}
		r := h.request(http.MethodPost, "/api/auth/register", body)
		r.Header.Del("Authorization")
		problem(t, h.send(r), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	}
	if list := as[page[Person]](t, h.must(http.StatusOK, http.MethodGet, "/api/users?email=eve", nil)).Items; len(list) != 0 {
		t.Errorf("registered: %+v", list)
	}
}
