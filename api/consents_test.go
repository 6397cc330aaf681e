package api

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"armora/fleet"
	"armora/schema"
)

// said is the body of GET /api/users/consents.
type said struct {
	Given, History []Consent
	Asked          []ConsentDocument
}

const consentsPath = "/api/users/consents"

func kinds(documents []ConsentDocument) (list []string) {
	for _, d := range documents {
		list = append(list, d.Kind)
	}
	return list
}

func TestDocumentsAreReadBeforeAnybodySignsIn(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	nobody := &person{h: h}
	list := as[struct{ Items []ConsentDocument }](t, nobody.must(http.StatusOK, "GET", "/api/consents", nil)).Items
	if got := kinds(list); !slices.Equal(got, []string{"location", "marketing", "officer_location", "privacy", "safety_data", "terms"}) {
		t.Errorf("documents %v", got)
	}
	for _, d := range list {
		sum := sha256.Sum256([]byte(d.Text))
		if d.SHA256 != hex.EncodeToString(sum[:]) || d.Language != "en-GB" || d.InForceFrom.After(h.clock.Now()) {
			t.Errorf("%+v", d)
		}
		one := as[ConsentDocument](t, nobody.must(http.StatusOK, "GET", fmt.Sprintf("/api/consents/%s/%d", d.Kind, d.Version), nil))
		if one.Text != d.Text {
			t.Errorf("%s reads %q by itself", d.Kind, one.Text)
		}
	}
	problem(t, nobody.do("GET", "/api/consents/terms/99", nil), http.StatusNotFound, fleet.CodeNotFound)
	problem(t, nobody.do("GET", "/api/consents/..%2Fpasswords.txt/1", nil), http.StatusNotFound, fleet.CodeNotFound)
}

func TestConsentsOfAPerson(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada, bo := h.person(fleet.RoleRider), h.person(fleet.RoleRider)
	list := func(p *person) said {
		t.Helper()
		return as[said](t, p.must(http.StatusOK, "GET", consentsPath, nil))
	}
	first := list(ada)
	if got := kinds(first.Asked); !slices.Equal(got, []string{"location", "marketing", "privacy", "safety_data", "terms"}) ||
		first.Given == nil || first.Asked[0].Text != "" {
		t.Errorf("at first %+v", first)
	}
	terms := first.Asked[4]
	r := h.request("POST", consentsPath, map[string]any{"kind": "terms", "version": 1, "hash": terms.SHA256})
	r.Header.Set("Authorization", "Bearer "+ada.token)
	r.Header.Set("User-Agent", "ARMORA/1.0 (iPhone)")
	if a := h.send(r); a.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", a.Status, a.body)
	}
	c := list(ada).Given[0]
	if c.Kind != "terms" || c.Version != 1 || c.SHA256 != terms.SHA256 || c.Act != fleet.ConsentGiven || c.Means != fleet.ConsentByList ||
		c.SessionID != ada.session || c.Agent != "ARMORA/1.0 (iPhone)" || c.Address != "127.0.0.1" || !c.At.Equal(noon) {
		t.Errorf("given %+v", c)
	}
	for _, bad := range []map[string]any{
		{"kind": "terms", "version": 2}, {"kind": "poetry", "version": 1}, {"kind": "terms", "version": 1, "hash": strings.Repeat("a", 64)},
		{"kind": "terms", "version": 0}, {"kind": "terms", "version": 1, "hash": "x"}, {"kind": "terms", "version": 1, "user_id": bo.id},
	} {
		problem(t, ada.do("POST", consentsPath, bad), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	}
	ada.must(http.StatusOK, "POST", consentsPath+"/withdraw", map[string]any{"kind": "marketing"})
	problem(t, ada.do("POST", consentsPath+"/withdraw", map[string]any{"kind": "poetry"}), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	after := list(ada)
	if len(after.History) != 2 || after.History[0].Act != fleet.ConsentWithdrawn || slices.Contains(kinds(after.Asked), "marketing") {
		t.Errorf("after a no: %+v", after)
	}
	if other := list(bo); len(other.History) != 0 || len(other.Asked) != 5 {
		t.Errorf("another person said %+v", other)
	}
	if officer := list(h.person(fleet.RoleDriver)); !slices.Contains(kinds(officer.Asked), "officer_location") {
		t.Errorf("an officer is asked %v", kinds(officer.Asked))
	}
}

func TestTheReviewIsOfTheDocumentsInForce(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada := h.person(fleet.RoleRider)
	for _, step := range steps[:len(steps)-1] {
		ada.must(http.StatusOK, "PUT", stepPath+step.name, step.answer)
	}
	short := problem(t, ada.do("PUT", stepPath+"review", reviewed(map[string]int{"terms": 1})), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	if len(short.Errors) != 2 { // privacy and safety_data
		t.Errorf("told %+v", short.Errors)
	}
	ada.must(http.StatusOK, "POST", consentsPath, map[string]any{"kind": "privacy", "version": 1}) // given already
	ada.must(http.StatusOK, "PUT", stepPath+"review", reviewed(map[string]int{"terms": 1, "safety_data": 1}))
	got := as[said](t, ada.must(http.StatusOK, "GET", consentsPath, nil))
	if len(got.Given) != 3 || got.History[0].Means != fleet.ConsentByQuestionnaire {
		t.Errorf("the review gave %+v", got)
	}
}

func TestComplianceReadsConsents(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada, reader := h.person(fleet.RoleRider), h.person(fleet.RoleCompliance)
	ada.must(http.StatusOK, "POST", consentsPath, map[string]any{"kind": "terms", "version": 1})
	path := "/api/users/" + ada.id.String() + "/consents"
	if got := as[said](t, reader.must(http.StatusOK, "GET", path, nil)); len(got.Given) != 1 || len(got.Asked) != 4 {
		t.Errorf("reads %+v", got)
	}
	problem(t, h.person(fleet.RoleDispatcher).do("GET", path, nil), http.StatusForbidden, fleet.CodeForbidden)
	problem(t, reader.do("GET", "/api/users/"+fleet.NewID[fleet.User]().String()+"/consents", nil), http.StatusNotFound, fleet.CodeNotFound)
	if err := (schema.Users{DB: h.db}).Restrict(t.Context(), fleet.UserID{}, ada.id, true); err != nil {
		t.Fatal(err)
	}
	problem(t, reader.do("GET", path, nil), http.StatusNotFound, fleet.CodeNotFound)
	h.must(http.StatusNoContent, "PUT", "/api/users/"+ada.id.String()+"/viewers/"+reader.id.String(), nil)
	if err := (schema.Users{DB: h.db}).Restrict(t.Context(), reader.id, ada.id, false); err != nil {
		t.Fatal(err)
	}
	if entries := h.audited("read_consents", ada.id); len(entries) != 1 || entries[0].ActorUser != reader.id {
		t.Errorf("the log has %+v", entries)
	}
}
