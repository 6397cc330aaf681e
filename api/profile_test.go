package api

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"armora/fleet"
	"armora/schema"
)

// put sends a change to the given version as the person.
func (p *person) put(path, version string, body any) answer {
	p.h.t.Helper()
	r := p.h.request(http.MethodPut, path, body)
	r.Header.Set("Authorization", "Bearer "+p.token)
	r.Header.Set("If-Match", version)
	return p.h.send(r)
}

func TestProfileIsTheCallersOwn(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada, eve := h.person(fleet.RoleRider), h.person(fleet.RoleRider)
	fresh := ada.must(http.StatusOK, "GET", "/api/users/profile", nil)
	if p := as[Profile](t, fresh); p.Version != 1 || p.UserID != ada.id || fresh.Header.Get("ETag") != `"1"` {
		t.Fatalf("a profile that was never saved: %s, ETag %s", fresh.body, fresh.Header.Get("ETag"))
	}
	saved := as[Profile](t, ada.must(http.StatusOK, "PUT", "/api/users/profile",
		map[string]any{"name": " Ada Lovelace ", "title": "Lady", "language": "en-GB", "zone": "Europe/London"}))
	if saved.Name != "Ada Lovelace" || saved.Title != "Lady" || saved.Zone != "Europe/London" || saved.Version != 2 {
		t.Errorf("saved %+v", saved)
	}
	if p := as[Profile](t, eve.must(http.StatusOK, "GET", "/api/users/profile", nil)); p.Name == saved.Name || p.Version != 1 {
		t.Errorf("another's profile has changed: %+v", p)
	}
	problem(t, h.do("GET", "/api/users/profile", nil), http.StatusForbidden, fleet.CodeForbidden) // the bootstrap admin is nobody
	for _, bad := range []string{`"zone":"Mars/Olympus"`, `"zone":"Local"`, `"zone":"../../etc/passwd"`, `"language":"no language"`, `"name":"  "`} {
		body := `{"name":"Ada",` + bad + `}`
		if strings.Contains(bad, "name") {
			body = `{` + bad + `}`
		}
		problem(t, ada.do("PUT", "/api/users/profile", body), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	}
}

// Whatever a person is, they do not say themselves.
func TestProfileRefusesMassAssignment(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	p := h.person(fleet.RoleRider)
	before, err := schema.Users{DB: h.db}.Get(t.Context(), p.id)
	if err != nil {
		t.Fatal(err)
	}
	for _, extra := range []string{`"roles":["admin"]`, `"role":"admin"`, `"Roles":["admin"]`, `"restricted":true`, `"email":"x@example.com"`,
		`"email_verified":true`, `"phone_verified":true`, `"phone":"+441"`, `"user_id":"` + fleet.NewID[fleet.User]().String() + `"`,
		`"risk_band":"green"`, `"suspended":null`, `"version":7`, `"NAME":"x"`} {
		problem(t, p.do("PUT", "/api/users/profile", `{"name":"x",`+extra+`}`), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	}
	after, err := schema.Users{DB: h.db}.Get(t.Context(), p.id)
	if err != nil {
		t.Fatal(err)
	}
	if after.Name != before.Name || len(after.Roles) != 1 || after.Restricted || after.Email != before.Email {
		t.Errorf("the user has become %+v", after)
	}
}

func TestPreferencesFollowTheirForm(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	p := h.person(fleet.RoleRider)
	if got := as[Preferences](t, p.must(http.StatusOK, "GET", "/api/users/preferences", nil)); got.Version != 1 || string(got.Preferences) != "{}" {
		t.Errorf("preferences that were never saved: %+v", got)
	}
	good := `{"preferred_vehicle":"suv","officer_gender":"female","officer_languages":["en","ar-AE"],
		"notifications":{"chat":["push"]},"quiet_hours":{"from":"22:00","to":"07:00","zone":"Europe/London"}}`
	saved := as[Preferences](t, p.must(http.StatusOK, "PUT", "/api/users/preferences", good))
	if saved.Version != 2 || saved.Form != 1 || !strings.Contains(string(saved.Preferences), "Europe/London") {
		t.Errorf("saved %+v", saved)
	}
	const secret = "hunter2"
	for location, bad := range map[string]string{
		"body":                     `{"role":"admin"}`,
		"body.preferred_vehicle":   `{"preferred_vehicle":"` + secret + `"}`,
		"body.quiet_hours.zone":    `{"quiet_hours":{"from":"22:00","to":"07:00","zone":"` + secret + `"}}`,
		"body.quiet_hours.from":    `{"quiet_hours":{"from":"` + secret + `","to":"07:00","zone":"UTC"}}`,
		"body.quiet_hours":         `{"quiet_hours":{"from":"22:00","zone":"UTC"}}`,
		"body.officer_languages.1": `{"officer_languages":["en","` + secret + ` x"]}`,
		"body.temperature_c":       `{"temperature_c":-40}`,
	} {
		a := p.do("PUT", "/api/users/preferences", bad)
		found := problem(t, a, http.StatusUnprocessableEntity, fleet.CodeInvalid)
		if len(found.Errors) != 1 || found.Errors[0].Location != location {
			t.Errorf("%s: told %+v, want %s", bad, found.Errors, location)
		}
		// The request's id has any digits.
		if said := strings.ReplaceAll(string(a.body), found.RequestID, ""); strings.Contains(said, secret) || strings.Contains(said, "-40") {
			t.Errorf("%s: the answer repeats the value: %s", bad, a.body)
		}
	}
	for _, bad := range []string{`[]`, `null`, `"x"`, `1`, `{`} {
		if a := p.do("PUT", "/api/users/preferences", bad); a.StatusCode != http.StatusUnprocessableEntity && a.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", bad, a.Status)
		}
	}
	if got := as[Preferences](t, p.must(http.StatusOK, "GET", "/api/users/preferences", nil)); got.Version != 2 {
		t.Errorf("what was refused has changed something: %+v", got)
	}
}

func TestAChangeOfWhatHasChangedIsRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	p := h.person(fleet.RoleRider)
	for path, body := range map[string]string{
		"/api/users/profile":                        `{"name":"x"}`,
		"/api/users/preferences":                    `{}`,
		"/api/users/questionnaire":                  `{}`,
		"/api/users/questionnaire/steps/profession": `{"category":"media"}`,
	} {
		read := strings.TrimSuffix(path, "/steps/profession")
		version := p.must(http.StatusOK, "GET", read, nil).Header.Get("ETag")
		if a := p.put(path, version, body); a.StatusCode != http.StatusOK || a.Header.Get("ETag") == version {
			t.Errorf("%s: %s with ETag %s: %s", path, a.Status, a.Header.Get("ETag"), a.body)
		}
		problem(t, p.put(path, version, body), http.StatusPreconditionFailed, fleet.CodeVersionMismatch)
		for _, odd := range []string{`"999"`, `"x"`, `"-1"`, `"99999999999999999999"`} {
			problem(t, p.put(path, odd, body), http.StatusPreconditionFailed, fleet.CodeVersionMismatch)
		}
		if a := p.put(path, "*", body); a.StatusCode != http.StatusOK {
			t.Errorf("%s: If-Match *: %s", path, a.Status)
		}
	}
}

func TestAddressesAreTheCallersOwn(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada, eve := h.person(fleet.RoleRider), h.person(fleet.RoleAdmin)
	home := map[string]any{"label": "Home", "text": "12 St James's Square", "lat": 51.507, "lon": -0.135}
	made := as[Address](t, ada.must(http.StatusCreated, "POST", "/api/users/addresses", home))
	path := "/api/users/addresses/" + made.ID.String()
	for _, method := range []string{"PUT", "DELETE"} {
		body := any(home)
		if method == "DELETE" {
			body = nil
		}
		problem(t, eve.do(method, path, body), http.StatusNotFound, fleet.CodeNotFound)
	}
	if list := as[page[Address]](t, eve.must(http.StatusOK, "GET", "/api/users/addresses", nil)); len(list.Items) != 0 {
		t.Errorf("another's list: %+v", list)
	}
	home["label"] = "Old home"
	changed := as[Address](t, ada.must(http.StatusOK, "PUT", path, home))
	list := as[page[Address]](t, ada.must(http.StatusOK, "GET", "/api/users/addresses", nil))
	if len(list.Items) != 1 || list.Items[0] != changed || changed.Label != "Old home" || changed.ID != made.ID || changed.Lat != 51.507 {
		t.Errorf("changed %+v, listed %+v", changed, list)
	}
	for _, bad := range []string{`{"text":"x","lat":91,"lon":0}`, `{"text":"x","lat":0,"lon":181}`, `{"text":" ","lat":0,"lon":0}`,
		`{"text":"x","lat":1e999,"lon":0}`, `{"text":"x"}`, `{"text":"x","lat":0,"lon":0,"user_id":"` + eve.id.String() + `"}`} {
		if a := ada.do("POST", "/api/users/addresses", bad); a.StatusCode != http.StatusUnprocessableEntity && a.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", bad, a.Status)
		}
	}
	ada.must(http.StatusNoContent, "DELETE", path, nil)
	problem(t, ada.do("DELETE", path, nil), http.StatusNotFound, fleet.CodeNotFound)
}

func TestAddressesHaveALimit(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	p := h.person(fleet.RoleRider)
	results := make(chan answer, 60)
	for range cap(results) {
		go func() {
			results <- p.do("POST", "/api/users/addresses", map[string]any{"text": "x", "lat": 1, "lon": 1})
		}()
	}
	made := 0
	for range cap(results) {
		if a := <-results; a.StatusCode == http.StatusCreated {
			made++
		} else {
			problem(t, a, http.StatusTooManyRequests, fleet.CodeTooMany)
		}
	}
	if made != 50 {
		t.Errorf("%d addresses were saved", made)
	}
}

// What people say of themselves may be anything: the hub does not fail.
func TestMutatedProfilesNeverFailTheHub(t *testing.T) {
	t.Parallel()
	const seed = 3
	r := rand.New(rand.NewPCG(seed, seed))
	h := newHub(t)
	p := h.person(fleet.RoleRider)
	address := as[Address](t, p.must(http.StatusCreated, "POST", "/api/users/addresses", map[string]any{"text": "x", "lat": 1, "lon": 1}))
	type request struct {
		method, path string
		body         map[string]any
	}
	requests := []request{
		{"PUT", "/api/users/profile", map[string]any{"name": "x", "title": "Ms", "language": "en", "zone": "UTC", "photo_id": ""}},
		{"PUT", "/api/users/preferences", map[string]any{"discretion": "low", "temperature_c": 20, "officer_languages": []string{"en"}, "quiet_hours": map[string]any{}}},
		{"PUT", "/api/users/questionnaire", map[string]any{"profession": map[string]any{"category": "media"}, "threats": threats(no, no, no, no, no, no, no)}},
		{"PUT", "/api/users/addresses/" + address.ID.String(), map[string]any{"label": "x", "text": "x", "lat": 1, "lon": 2}},
		{"POST", "/api/users/contacts", charles("a@example.com")},
	}
	for _, step := range steps {
		text, err := json.Marshal(step.answer)
		if err != nil {
			t.Fatal(err)
		}
		var body map[string]any
		if err := json.Unmarshal(text, &body); err != nil {
			t.Fatal(err)
		}
		requests = append(requests, request{"PUT", stepPath + step.name, body})
	}
	for range 600 {
		q := requests[r.IntN(len(requests))]
		text := mutate(t, r, q.body)
		a := p.do(q.method, q.path, text)
		if a.StatusCode >= 500 {
			t.Errorf("seed %d: %s %s %s: %s: %s", seed, q.method, q.path, text, a.Status, a.body)
		}
		if a.StatusCode >= 400 {
			problem(t, a, a.StatusCode, as[Problem](t, a).Code)
		}
	}
}
