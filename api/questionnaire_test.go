package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"armora/fleet"
	"armora/schema"
)

const yes, no = true, false

// threats are the seven answers.
func threats(direct, stalking, incidents, public, disputes, valuables, exposure bool) map[string]bool {
	return map[string]bool{"direct_threats": direct, "stalking": stalking, "past_incidents": incidents, "public_profile": public,
		"disputes": disputes, "valuables": valuables, "exposure": exposure}
}

// reviewed is a review that agrees to versions of documents.
func reviewed(consents map[string]int) map[string]any {
	return map[string]any{"accurate": true, "consents": consents}
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
	{"review", reviewed(map[string]int{"terms": 1, "privacy": 1, "safety_data": 1})},
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
	problem(t, p.do("PUT", stepPath+"review", map[string]any{"accurate": false, "consents": map[string]int{}}),
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
	if err := (schema.Users{DB: h.db}).AddViewer(t.Context(), p.id, dispatcher.id, h.person(fleet.RoleAdmin).id, noon); err != nil {
		t.Fatal(err)
	}
	dispatcher.must(http.StatusOK, "GET", path, nil)
	// Each reading is in the log, and what was refused, or one's own, is not.
	if entries := h.audited("read_questionnaire", p.id, dispatcher.id); len(entries) != 4 || entries[0].ActorUser != dispatcher.id || !entries[0].At.Equal(h.clock.Now()) {
		t.Errorf("the log has %+v", entries)
	}
}

// audited returns the entries of an action about a person, the newest first, as it is
// shown to readers who are not named for anybody, or to a reader.
func (h *hub) audited(action string, about fleet.UserID, reader ...fleet.UserID) (found []fleet.AuditEntry) {
	h.t.Helper()
	list, err := schema.Audit{DB: h.db}.List(h.t.Context(), append(reader, fleet.UserID{})[0], schema.AuditQuery{Subject: about, Action: action, Limit: 100})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, entry := range list {
		found = append(found, entry.AuditEntry)
	}
	return found
}
