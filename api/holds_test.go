package api

import (
	"net/http"
	"testing"

	"armora/fleet"
)

func TestHoldsAreCompliances(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	compliance, rider := h.person(fleet.RoleCompliance), h.person(fleet.RoleRider)
	body := map[string]any{"user_id": rider.id, "from": "2026-01-01T00:00:00Z", "reason": "a claim"}
	for _, role := range []fleet.Role{fleet.RoleAdmin, fleet.RoleDispatcher, fleet.RoleRider} {
		p := h.person(role)
		problem(t, p.do(http.MethodPost, "/api/holds", body), http.StatusForbidden, fleet.CodeForbidden)
		problem(t, p.do(http.MethodGet, "/api/holds", nil), http.StatusForbidden, fleet.CodeForbidden)
	}
	placed := as[Hold](t, compliance.must(http.StatusCreated, http.MethodPost, "/api/holds", body))
	if placed.UserID != rider.id || placed.PlacedBy != compliance.id.String() || !placed.ReleasedAt.IsZero() {
		t.Errorf("placed %+v", placed)
	}
	device := fleet.NewID[fleet.Device]()
	for name, change := range map[string]map[string]any{
		"both":            {"device_id": device},
		"neither":         {"user_id": nil},
		"to before from":  {"to": "2025-01-01T00:00:00Z"},
		"before 1970":     {"from": "1969-01-01T00:00:00Z"},
		"no such person":  {"user_id": fleet.NewID[fleet.User]()},
		"without a cause": {"reason": ""},
	} {
		changed := map[string]any{"user_id": rider.id, "from": "2026-01-01T00:00:00Z", "reason": "a claim"}
		for k, v := range change {
			if changed[k] = v; v == nil {
				delete(changed, k)
			}
		}
		t.Log(name)
		problem(t, compliance.do(http.MethodPost, "/api/holds", changed), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	}
	path := "/api/holds/" + placed.ID.String()
	compliance.must(http.StatusNoContent, http.MethodDelete, path, nil)
	problem(t, compliance.do(http.MethodDelete, path, nil), http.StatusNotFound, fleet.CodeNotFound)
	listed := as[page[Hold]](t, compliance.must(http.StatusOK, http.MethodGet, "/api/holds", nil)).Items
	if len(listed) != 1 || listed[0].ID != placed.ID || listed[0].ReleasedBy != compliance.id.String() || listed[0].ReleasedAt.IsZero() {
		t.Errorf("listed %+v", listed)
	}
	if e := h.audit()[1]; e.Action != "release_hold" || e.ActorUser != compliance.id || e.Object != path {
		t.Errorf("recorded %+v", e) // and after it the second, which found nothing
	}
}
