package api

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
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
		if strings.Contains(string(a.body), secret) || strings.Contains(string(a.body), "-40") {
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

const yes, no = true, false

// threats are the seven answers.
func threats(direct, stalking, incidents, public, disputes, valuables, exposure bool) map[string]bool {
	return map[string]bool{"direct_threats": direct, "stalking": stalking, "past_incidents": incidents, "public_profile": public,
		"disputes": disputes, "valuables": valuables, "exposure": exposure}
}

// steps are good answers to all, in order.
var steps = []struct {
	name   string
	answer any
}{
	{"profession", map[string]any{"category": "executive"}},
	{"frequency", map[string]any{"how_often": "weekly"}},
	{"threats", threats(no, yes, no, yes, no, no, no)},
	{"requirements", map[string]any{"services": []string{"secure_transport"}}},
	{"coverage", map[string]any{"areas": []string{"London"}}},
	{"venues", map[string]any{"kinds": []string{"airport"}}},
	{"emergency_contacts", map[string]any{"contact_ids": []string{}, "instructions": "ask for the blue door"}},
	{"accommodations", map[string]any{"medical": "allergic to penicillin"}},
	{"contact_preferences", map[string]any{"channels": []string{"app"}}},
	{"review", map[string]any{"accurate": true, "process_data": true, "share_with_officers": true}},
}

const stepPath = "/api/users/questionnaire/steps/"

func TestQuestionnaireStepByStep(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	p := h.person(fleet.RoleRider)
	review := steps[len(steps)-1]
	early := problem(t, p.do("PUT", stepPath+review.name, review.answer), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	if len(early.Errors) != len(steps)-1 {
		t.Errorf("a review of nothing is told %d flaws: %+v", len(early.Errors), early.Errors)
	}
	for i, step := range steps {
		before := as[Questionnaire](t, p.must(http.StatusOK, "GET", "/api/users/questionnaire", nil))
		if len(before.Missing) != len(steps)-i || before.Missing[0] != step.name || !before.CompletedAt.IsZero() {
			t.Fatalf("before %s: missing %v, completed %v", step.name, before.Missing, before.CompletedAt)
		}
		if (before.RiskBand != "") != (i > 2) {
			t.Errorf("before %s: risk band %q", step.name, before.RiskBand)
		}
		p.must(http.StatusOK, "PUT", stepPath+step.name, step.answer)
	}
	done := as[Questionnaire](t, p.must(http.StatusOK, "GET", "/api/users/questionnaire", nil))
	if len(done.Missing) != 0 || !done.CompletedAt.Equal(h.clock.Now()) || done.RiskBand != fleet.RiskYellow {
		t.Errorf("done: %+v", done)
	}
	var answers map[string]json.RawMessage
	if err := json.Unmarshal(done.Answers, &answers); err != nil || len(answers) != len(steps) ||
		!strings.Contains(string(answers["accommodations"]), "penicillin") {
		t.Errorf("answers %s, error %v", done.Answers, err)
	}
	problem(t, p.do("PUT", stepPath+"shoe_size", map[string]any{}), http.StatusNotFound, fleet.CodeNotFound)
	problem(t, p.do("PUT", stepPath+"review", map[string]any{"accurate": true, "process_data": false, "share_with_officers": true}),
		http.StatusUnprocessableEntity, fleet.CodeInvalid)
	// Without the consents, it is not complete any more.
	if got := as[Questionnaire](t, p.must(http.StatusOK, "PUT", "/api/users/questionnaire", `{"profession":{"category":"media"}}`)); !got.CompletedAt.IsZero() ||
		len(got.Missing) != 9 || got.RiskBand != "" {
		t.Errorf("after all was taken back: %+v", got)
	}
}

func TestRiskBands(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	p := h.person(fleet.RoleRider)
	for _, c := range []struct {
		threats map[string]bool
		want    fleet.RiskBand
	}{
		{threats(no, no, no, no, no, no, no), fleet.RiskGreen},       // 0
		{threats(no, yes, no, no, no, no, no), fleet.RiskGreen},      // 4
		{threats(yes, no, no, no, no, no, no), fleet.RiskYellow},     // 5
		{threats(no, yes, no, yes, no, no, yes), fleet.RiskYellow},   // 9
		{threats(no, no, no, yes, yes, yes, no), fleet.RiskYellow},   // 9
		{threats(no, yes, yes, no, no, no, yes), fleet.RiskOrange},   // 10
		{threats(yes, yes, yes, yes, no, no, no), fleet.RiskOrange},  // 16
		{threats(yes, no, yes, yes, yes, no, yes), fleet.RiskRed},    // 17
		{threats(yes, yes, yes, yes, yes, yes, yes), fleet.RiskRed},  // 24
		{threats(no, no, no, no, no, no, yes), fleet.RiskGreen},      // 2
		{threats(no, yes, yes, yes, yes, no, yes), fleet.RiskOrange}, // 16
		{threats(no, yes, yes, yes, yes, yes, no), fleet.RiskRed},    // 17
	} {
		got := as[Questionnaire](t, p.must(http.StatusOK, "PUT", stepPath+"threats", c.threats))
		if got.RiskBand != c.want {
			t.Errorf("%v: %q, want %q", c.threats, got.RiskBand, c.want)
		}
	}
	six := threats(no, no, no, no, no, no, no)
	delete(six, "exposure")
	problem(t, p.do("PUT", stepPath+"threats", six), http.StatusUnprocessableEntity, fleet.CodeInvalid)
}

// Two apps of a person that save different steps at once lose neither's.
func TestStepsSavedAtOnceAreAllKept(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	p := h.person(fleet.RoleRider)
	var all sync.WaitGroup
	for _, step := range steps[:9] {
		all.Go(func() {
			if a := p.do("PUT", stepPath+step.name, step.answer); a.StatusCode != http.StatusOK {
				t.Errorf("%s: %s: %s", step.name, a.Status, a.body)
			}
		})
	}
	all.Wait()
	if got := as[Questionnaire](t, p.must(http.StatusOK, "GET", "/api/users/questionnaire", nil)); len(got.Missing) != 1 || got.Version != 10 {
		t.Errorf("version %d, missing %v", got.Version, got.Missing)
	}
}

func TestWhatIsSensitiveIsSealedInTheDatabase(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	p := h.person(fleet.RoleRider)
	for _, step := range steps {
		p.must(http.StatusOK, "PUT", stepPath+step.name, step.answer)
	}
	p.must(http.StatusCreated, "POST", "/api/users/addresses", map[string]any{"label": "Home", "text": "12 St James's Square", "lat": 51.5, "lon": -0.13})
	var stored string
	err := h.db.Pool().QueryRow(t.Context(), `
		SELECT answers::text || encode((SELECT sealed FROM addresses WHERE user_id = $1), 'escape') FROM questionnaires WHERE user_id = $1`, p.id).Scan(&stored)
	if err != nil {
		t.Fatal(err)
	}
	for _, hidden := range []string{"penicillin", "stalking", "blue door", "James", "51.5"} {
		if strings.Contains(stored, hidden) {
			t.Errorf("the database can be read for %q", hidden)
		}
	}
	if !strings.Contains(stored, "executive") {
		t.Error("the profession should be in clear")
	}
	// What is sealed for one person opens for no other.
	thief := h.person(fleet.RoleRider)
	if _, err := h.db.Pool().Exec(t.Context(), `
		INSERT INTO questionnaires SELECT $2, version, form, answers, risk_band, completed, changed FROM questionnaires WHERE user_id = $1`, p.id, thief.id); err != nil {
		t.Fatal(err)
	}
	problem(t, thief.do("GET", "/api/users/questionnaire", nil), http.StatusInternalServerError, fleet.CodeInternal)
}

func TestStaffReadQuestionnaires(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	p := h.person(fleet.RoleRider)
	p.must(http.StatusOK, "PUT", stepPath+"threats", threats(yes, yes, no, no, no, no, no))
	path := "/api/users/" + p.id.String() + "/questionnaire"
	for _, role := range []fleet.Role{fleet.RoleDispatcher, fleet.RoleCompliance, fleet.RoleAdmin} {
		got := as[Questionnaire](t, h.person(role).must(http.StatusOK, "GET", path, nil))
		if got.RiskBand != fleet.RiskYellow || !strings.Contains(string(got.Answers), "stalking") {
			t.Errorf("%s sees %+v", role, got)
		}
	}
	for _, role := range []fleet.Role{fleet.RoleRider, fleet.RoleDriver, fleet.RoleFinance, fleet.RolePartner} {
		problem(t, h.person(role).do("GET", path, nil), http.StatusForbidden, fleet.CodeForbidden)
	}
	problem(t, p.do("GET", path, nil), http.StatusForbidden, fleet.CodeForbidden)
	dispatcher := h.person(fleet.RoleDispatcher)
	problem(t, dispatcher.do("GET", "/api/users/"+fleet.NewID[fleet.User]().String()+"/questionnaire", nil), http.StatusNotFound, fleet.CodeNotFound)
	if _, err := h.db.Pool().Exec(t.Context(), `UPDATE users SET restricted = true WHERE id = $1`, p.id); err != nil {
		t.Fatal(err)
	}
	problem(t, dispatcher.do("GET", path, nil), http.StatusNotFound, fleet.CodeNotFound)
	p.must(http.StatusOK, "GET", "/api/users/questionnaire", nil)
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
