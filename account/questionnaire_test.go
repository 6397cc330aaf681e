package account

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// Three forms: the first asks about pets, the second of another kind of pet and
// of the weather, and the third is a single question.
const (
	petsV1 = `{"type":"object","required":["pets","threats","review"],"x-bands":[{"band":"green","from":0},{"band":"red","from":2}],"properties":{
		"pets":{"x-sealed":true,"type":"object","required":["cats"],"properties":{"cats":{"type":"integer"}}},
		"threats":{"type":"object","required":["dogs"],"properties":{"dogs":{"type":"boolean","x-weight":2}}},
		"review":{"type":"object"}}}`
	petsV2 = `{"type":"object","required":["pets","threats","weather","review"],"x-bands":[{"band":"green","from":0},{"band":"orange","from":3}],"properties":{
		"pets":{"type":"object","required":["parrots"],"properties":{"parrots":{"type":"integer"}}},
		"threats":{"x-sealed":true,"type":"object","required":["dogs"],"properties":{"dogs":{"type":"boolean","x-weight":3}}},
		"weather":{"type":"object"},
		"review":{"type":"object"}}}`
)

type assessed struct {
	*people
	keyring *Keyring
}

// by returns the questionnaires of a hub that knows the given forms.
func (a *assessed) by(texts ...string) *Questionnaires {
	a.t.Helper()
	files := fstest.MapFS{}
	for i, text := range texts {
		files["pets/v"+string(rune('1'+i))+".json"] = &fstest.MapFile{Data: []byte(text)}
	}
	all, err := loadForms(files, "pets")
	if err != nil {
		a.t.Fatal(err)
	}
	return &Questionnaires{
		store: schema.Questionnaires{DB: a.db}, keyring: a.keyring, forms: all, clock: a.clock, consents: a.asking(fstest.MapFS{}),
	}
}

func (a *assessed) get(q *Questionnaires, user fleet.UserID) Assessment {
	a.t.Helper()
	got, err := q.Get(a.t.Context(), user)
	if err != nil {
		a.t.Fatal(err)
	}
	return got
}

// A hub with a newer form reads what was answered before it as it was, and asks
// again for what does not fit any more when something is changed.
func TestANewFormNeedsNoMigration(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		a := assessed{people: newPeople(t, db), keyring: testKeyring(t, 1)}
		user := a.user(fleet.RoleRider)
		old := a.by(petsV1)
		if err := old.Put(t.Context(), Signatory{User: user}, 1, json.RawMessage(`{"pets":{"cats":9},"threats":{"dogs":true},"review":{}}`)); err != nil {
			t.Fatal(err)
		}
		before := a.get(old, user)
		if before.Risk != fleet.RiskRed || before.Completed.IsZero() || len(before.Missing) != 0 {
			t.Fatalf("by the old form: %+v", before)
		}

		now := a.by(petsV1, petsV2)
		read := a.get(now, user)
		if read.Form != 1 || string(read.Body) != string(before.Body) || read.Risk != fleet.RiskRed || read.Completed.IsZero() {
			t.Errorf("an old answer reads %+v", read)
		}
		if err := now.PutStep(t.Context(), Signatory{User: user}, read.Version, "weather", json.RawMessage(`{"rain":true}`)); err != nil {
			t.Fatal(err)
		}
		after := a.get(now, user)
		if after.Form != 2 || !slices.Equal(after.Missing, []string{"pets", "review"}) || !after.Completed.IsZero() || after.Risk != fleet.RiskOrange {
			t.Errorf("changed by the new form: %+v", after)
		}
		stored, err := now.store.Get(t.Context(), user)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(stored.Body), "dogs") {
			t.Errorf("the new form seals threats, the database holds %s", stored.Body)
		}
		// A hub that was not updated cannot read it, and says so instead of guessing.
		if _, err := old.Get(t.Context(), user); err == nil || !strings.Contains(err.Error(), "version 2") {
			t.Errorf("the old hub says %v", err)
		}
	})
}

func TestOneWinsWhenTwoChangeTheSameVersion(t *testing.T) {
	t.Parallel()
	a := assessed{people: newPeople(t, schematest.Plain(t)), keyring: testKeyring(t, 1)}
	user := a.user(fleet.RoleRider)
	q := a.by(petsV1)
	results := make(chan error, 8)
	for range cap(results) {
		go func() {
			results <- q.PutStep(context.WithoutCancel(t.Context()), Signatory{User: user}, 1, "review", json.RawMessage(`{}`))
		}()
	}
	for range cap(results) { // none: the other steps are missing
		if err := <-results; fleet.CodeOf(err) != fleet.CodeInvalid {
			t.Errorf("got %v", err)
		}
	}
	won := 0
	for range cap(results) {
		go func() {
			results <- q.PutStep(context.WithoutCancel(t.Context()), Signatory{User: user}, 1, "pets", json.RawMessage(`{"cats":1}`))
		}()
	}
	for range cap(results) {
		switch err := <-results; {
		case err == nil:
			won++
		case fleet.CodeOf(err) != fleet.CodeVersionMismatch:
			t.Errorf("got %v", err)
		}
	}
	if won != 1 || a.get(q, user).Version != 2 {
		t.Errorf("%d have won, version %d", won, a.get(q, user).Version)
	}
}

func TestTheErasedAreNotWrittenAbout(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		a := assessed{people: newPeople(t, db), keyring: testKeyring(t, 1)}
		user := a.user(fleet.RoleRider)
		if _, err := db.Pool().Exec(t.Context(), `UPDATE users SET erased = $2 WHERE id = $1`, user, noon); err != nil {
			t.Fatal(err)
		}
		if err := a.by(petsV1).PutStep(t.Context(), Signatory{User: user}, AnyVersion, "pets", json.RawMessage(`{"cats":1}`)); fleet.CodeOf(err) != fleet.CodeVersionMismatch {
			t.Errorf("got %v", err)
		}
		profiles, err := NewProfiles(db, a.clock)
		if err != nil {
			t.Fatal(err)
		}
		if err := profiles.Put(t.Context(), user, AnyVersion, "Ada", fleet.Profile{}); fleet.CodeOf(err) != fleet.CodeVersionMismatch {
			t.Errorf("got %v", err)
		}
		if err := profiles.PutPreferences(t.Context(), user, AnyVersion, json.RawMessage(`{}`)); fleet.CodeOf(err) != fleet.CodeVersionMismatch {
			t.Errorf("got %v", err)
		}
	})
}

// Every form that is shipped compiles, and its weights add up to what its bands
// say.
func TestShippedForms(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"questionnaire", "preferences"} {
		all, err := loadForms(formFiles, folder)
		if err != nil || len(all) == 0 {
			t.Fatalf("%s: %d forms, error %v", folder, len(all), err)
		}
	}
	all, err := loadForms(formFiles, "questionnaire")
	if err != nil {
		t.Fatal(err)
	}
	var weights []int
	for _, question := range all.newest().notes.Properties["threats"].Properties {
		weights = append(weights, question.Weight)
	}
	slices.Sort(weights)
	if !slices.Equal(weights, []int{2, 3, 3, 3, 4, 4, 5}) {
		t.Errorf("weights %v", weights)
	}
	for _, broken := range []string{`{`, `{"type":"no such type"}`, `{"properties":{"a":{"$ref":"https://example.com/a.json"}}}`} {
		if _, err := newForm(1, []byte(broken)); err == nil {
			t.Errorf("%s is taken for a form", broken)
		}
	}
}
