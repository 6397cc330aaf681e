package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"armora/fleet"
)

// strange are values that have broken servers.
var strange = []any{
	nil, true, 0, -1, 1e308, 1 << 53, 0.5, "", " ", "x", "\x00", "\u2028", strings.Repeat("x", 5000), "null",
	"2026-02-30T00:00:00Z", "00000000-0000-0000-0000-000000000000", []any{}, []any{nil}, map[string]any{},
	map[string]any{"": nil}, json.RawMessage("1e999"), json.RawMessage("-0"), json.RawMessage(`"\ud800"`),
}

// Whatever one field of a good request is changed to, the answer is never that
// the hub has failed.
func TestMutatedRequestsNeverFailTheHub(t *testing.T) {
	t.Parallel()
	const seed = 1
	r := rand.New(rand.NewPCG(seed, seed))
	h := newHub(t)
	device := h.device(nil).ID
	officer, car := h.officer(map[string]any{"name": "x", "tier": "executive"}).String(), h.car("CAR 1")
	document := h.submit("/api/vehicles/"+car.String()+"/documents", map[string]any{"kind": "mot", "expires_at": "2027-01-01T00:00:00Z"}).String()
	place := h.fence(`{"name":"x","shape":` + embassy + `}`).ID.String()
	trip := "/api/bookings/" + h.assigned(h.person(fleet.RoleRider).id, h.officer(map[string]any{"name": "y", "tier": "executive"})).ID.String()
	posts := []struct {
		method, path string
		body         map[string]any
	}{
		{"POST", "/api/devices", map[string]any{"kind": "phone", "name": "x", "format": "json", "external": "e", "driver_id": "", "vehicle_id": "", "gateway_id": ""}},
		{"POST", "/api/drivers", map[string]any{"name": "x", "tier": "executive"}},
		{"PUT", "/api/drivers/" + officer, map[string]any{"name": "x", "tier": "shadow", "tiers": []string{"essential"}, "coverage": []any{json.RawMessage(embassy)}, "user_id": ""}},
		{"POST", "/api/drivers/" + officer + "/documents", map[string]any{"kind": "sia_licence", "number": "1234567890123456", "category": "close_protection", "issued_at": "2026-01-01T00:00:00Z", "expires_at": "2027-01-01T00:00:00Z", "file_id": ""}},
		{"POST", "/api/vehicles/" + car.String() + "/documents", map[string]any{"kind": "mot", "number": "1", "expires_at": "2027-01-01T00:00:00Z"}},
		{"PUT", "/api/documents/" + document + "/status", map[string]any{"status": "verified", "reason": "x", "reverify_at": "2026-05-01T00:00:00Z"}},
		{"PUT", "/api/drivers/" + officer + "/duty", map[string]any{"duty": "break"}},
		{"PUT", "/api/vehicles/" + car.String() + "/driver", map[string]any{"driver_id": officer}},
		{"PUT", "/api/devices/" + device + "/binding", map[string]any{"driver_id": officer, "vehicle_id": ""}},
		{"POST", trip + "/arrive", map[string]any{"id": fleet.NewID[fleet.TripCommand]().String(), "occurred_at": noon, "reason": "x", "driver_id": ""}},
		{"POST", trip + "/start", map[string]any{"id": fleet.NewID[fleet.TripCommand]().String(), "occurred_at": noon, "reason": "x", "code": "1"}},
		{"POST", trip + "/extend", map[string]any{"id": fleet.NewID[fleet.TripCommand]().String(), "occurred_at": noon, "reason": "x", "minutes": 30}},
		{"POST", "/api/vehicles", map[string]any{"registration": "x", "driver_id": ""}},
		{"POST", "/api/fences", map[string]any{"name": "x", "shape": json.RawMessage(embassy), "dwell_seconds": 60, "confirm_fixes": 1, "confirm_seconds": 1, "max_accuracy_m": 9}},
		{"POST", "/api/devices/" + device + "/commands", map[string]any{"kind": "say", "body": map[string]any{"a": 1}, "expires_in": 60}},
		{"POST", "/api/devices/" + device + "/credentials", map[string]any{"certificate": "x"}},
		{"POST", "/api/devices/" + device + "/token", map[string]any{"expires_in": 60}},
		{"PUT", "/api/devices/" + device + "/payload-key", map[string]any{"key": "x"}},
	}
	gets := map[string][]string{
		"/api/documents": {"status", "limit", "cursor"},
		"/api/devices":   {"limit", "cursor"}, "/api/drivers": {"limit", "cursor"}, "/api/dead-letters": {"cursor"},
		"/api/notices":                         {"limit", "cursor"},
		"/api/trips":                           {"limit", "cursor"},
		"/api/trips/conflicts":                 {"limit", "cursor"},
		"/api/alerts":                          {"limit", "cursor", "all"},
		"/api/devices/" + device + "/points":   {"from", "to", "format", "verdict", "store", "limit", "cursor"},
		"/api/devices/" + device + "/events":   {"limit", "cursor"},
		"/api/fences":                          {"limit", "cursor"},
		"/api/fences/" + place + "/events":     {"limit", "cursor"},
		"/api/devices/" + device + "/commands": {"limit", "cursor"},
		"/api/drivers/nearby":                  {"lat", "lon", "radius_m", "limit", "tier"},
	}
	reached := 0
	check := func(a answer, what string) {
		if a.StatusCode >= 500 {
			t.Errorf("seed %d: %s: %s: %s", seed, what, a.Status, a.body)
		}
		if a.StatusCode < 300 {
			reached++
		}
		if a.StatusCode >= 400 {
			problem(t, a, a.StatusCode, as[Problem](t, a).Code)
		}
	}
	for range 500 {
		p := posts[r.IntN(len(posts))]
		text := mutate(t, r, p.body)
		check(h.do(p.method, p.path, text), p.method+" "+p.path+" "+text)
	}
	for _, path := range slices.Sorted(maps.Keys(gets)) {
		names := gets[path]
		for range 40 {
			query := url.Values{}
			value := fmt.Sprint(strange[r.IntN(len(strange))])
			query.Set(names[r.IntN(len(names))], value[:min(len(value), 2000)]) // longer is refused before it is read
			for _, odd := range []string{"NaN", "Inf", "-Inf", "1e999", "0x1p-2"} {
				if r.IntN(8) == 0 {
					query.Set(names[r.IntN(len(names))], odd)
				}
			}
			check(h.do("GET", path+"?"+query.Encode(), nil), path+"?"+query.Encode())
		}
	}
	if reached < 50 {
		t.Errorf("only %d requests got through: the mutations are too wild to test what is behind the door", reached)
	}
}

func mutate(t *testing.T, r *rand.Rand, body map[string]any) string {
	t.Helper()
	changed := map[string]any{}
	names := make([]string, 0, len(body))
	for name, value := range body {
		if value != "" { // an id that is not set in a good request
			changed[name] = value
		}
		names = append(names, name)
	}
	slices.Sort(names) // the seed alone decides
	name := names[r.IntN(len(names))]
	switch r.IntN(6) {
	case 0:
		delete(changed, name)
	case 1:
		changed[strings.ToUpper(name)] = strange[r.IntN(len(strange))]
	case 2:
		changed[name] = fleet.NewID[fleet.Device]().String()
	default:
		changed[name] = strange[r.IntN(len(strange))]
	}
	text, err := json.Marshal(changed)
	if err != nil {
		t.Fatal(err)
	}
	if r.IntN(10) == 0 { // cut, or with a byte that is wrong
		cut := r.IntN(len(text))
		return string(text[:cut]) + "\xff" + string(text[cut:])
	}
	return string(text)
}

func TestMethodsBeyondTheDocumentedAreRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for _, method := range []string{"HEAD", "OPTIONS", "TRACE", "PATCH", "CONNECT"} {
		if a := h.do(method, "/api/devices", nil); a.StatusCode != http.StatusMethodNotAllowed && a.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", method, a.Status)
		}
	}
}
