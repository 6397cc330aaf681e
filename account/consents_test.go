package account

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// document is a file of a document: in force some days after the tests begin.
func document(days int, required bool, of, text string) *fstest.MapFile {
	head := fmt.Sprintf("Title: T\nLanguage: en\nIn-Force: %s\nRequired: %t\n", noon.AddDate(0, 0, days).Format(time.DateOnly), required)
	if of != "" {
		head += "Asked-Of: " + of + "\n"
	}
	return &fstest.MapFile{Data: []byte(head + "\n" + text)}
}

// asking returns the consents of a hub with the given documents.
func (p *people) asking(files fstest.MapFS) *Consents {
	p.t.Helper()
	documents, err := loadConsents(files)
	if err != nil {
		p.t.Fatal(err)
	}
	return &Consents{
		store: schema.Consents{DB: p.db}, users: schema.Users{DB: p.db}, audit: schema.Audit{DB: p.db}, documents: documents, clock: p.clock,
	}
}

var someDocuments = fstest.MapFS{
	"consents/terms/1.md":     document(-10, true, "", "old terms"),
	"consents/terms/2.md":     document(10, true, "", "new terms"),
	"consents/marketing/1.md": document(-10, false, "", "news"),
	"consents/duty/1.md":      document(-10, true, "driver", "where you are"),
	"consents/later/1.md":     document(5, true, "", "to come"),
}

// asked lists what is asked of somebody, as kind/version.
func asked(t *testing.T, c *Consents, user fleet.UserID) (list []string) {
	t.Helper()
	said, err := c.Of(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range said.Asked {
		list = append(list, fmt.Sprintf("%s/%d", d.Kind, d.Version))
	}
	return list
}

func TestANewVersionIsAskedForFromItsDayOn(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		p := newPeople(t, db)
		c := p.asking(someDocuments)
		rider, driver := p.user(fleet.RoleRider), p.user(fleet.RoleDriver)
		by := Signatory{User: rider, Session: fleet.NewID[fleet.UserSession](), Where: here}
		if got := asked(t, c, driver); !slices.Equal(got, []string{"duty/1", "marketing/1", "terms/1"}) {
			t.Errorf("an officer is asked %v", got)
		}
		if got := asked(t, c, rider); !slices.Equal(got, []string{"marketing/1", "terms/1"}) {
			t.Errorf("a principal is asked %v", got)
		}
		sum := sha256.Sum256([]byte("old terms"))
		given, err := c.Give(t.Context(), by, "terms", 1, hex.EncodeToString(sum[:]))
		if err != nil {
			t.Fatal(err)
		}
		want := fleet.Consent{
			ID: given.ID, User: rider, Kind: "terms", Version: 1, Hash: sum[:], Act: fleet.ConsentGiven, Means: fleet.ConsentByList,
			Session: by.Session, Address: here.Address, Agent: here.Agent, At: noon,
		}
		said, err := c.Of(t.Context(), rider)
		if err != nil || len(said.Given) != 1 || fmt.Sprint(said.Given[0]) != fmt.Sprint(want) || len(said.History) != 1 {
			t.Errorf("said %+v, want %+v, %v", said, want, err)
		}
		for _, bad := range []struct {
			kind, hash string
			version    int
			says       string
		}{
			{"terms", "", 2, "version 1 is"},
			{"terms", "", 3, "version 1 is"},
			{"terms", strings.Repeat("0", 64), 1, "another text"},
			{"later", "", 1, "no document of this kind"},
			{"poetry", "", 1, "no document of this kind"},
		} {
			if _, err := c.Give(t.Context(), by, bad.kind, bad.version, bad.hash); fleet.CodeOf(err) != fleet.CodeInvalid || !strings.Contains(err.Error(), bad.says) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
		p.clock.Advance(10 * 24 * time.Hour)
		if got := asked(t, c, rider); !slices.Equal(got, []string{"later/1", "marketing/1", "terms/2"}) {
			t.Errorf("ten days later a principal is asked %v", got)
		}
		if _, err := c.Give(t.Context(), by, "terms", 1, ""); fleet.CodeOf(err) != fleet.CodeInvalid {
			t.Errorf("an old version is agreed to: %v", err)
		}
		if said, err := c.Of(t.Context(), rider); err != nil || len(said.Given) != 1 || said.Given[0].Version != 1 {
			t.Errorf("what was given before is %+v, %v", said.Given, err)
		}
	})
}

func TestTheLastWordCounts(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		p := newPeople(t, db)
		c := p.asking(someDocuments)
		user := p.user(fleet.RoleRider)
		by := Signatory{User: user}
		give := func(kind string) {
			t.Helper()
			if _, err := c.Give(t.Context(), by, kind, 1, ""); err != nil {
				t.Fatal(err)
			}
		}
		withdraw := func(kind string) {
			t.Helper()
			if _, err := c.Withdraw(t.Context(), by, kind); err != nil {
				t.Fatal(err)
			}
		}
		give("marketing")
		give("marketing") // as the answer got lost
		give("terms")
		withdraw("marketing")
		withdraw("marketing")
		withdraw("terms")
		if got := asked(t, c, user); !slices.Equal(got, []string{"terms/1"}) { // a no is an answer, but not to what is required
			t.Errorf("asked %v", got)
		}
		give("marketing")
		said, err := c.Of(t.Context(), user)
		if err != nil || len(said.Given) != 1 || said.Given[0].Kind != "marketing" || len(said.Missing()) != 1 {
			t.Fatalf("said %+v, %v", said, err)
		}
		var acts []string
		for _, h := range said.History {
			acts = append(acts, h.Kind+" "+string(h.Act))
		}
		if !slices.Equal(acts, []string{"marketing given", "terms withdrawn", "marketing withdrawn", "terms given", "marketing given"}) {
			t.Errorf("the history is %v", acts)
		}
		// What was agreed to before is taken back, whatever is in force by then.
		p.clock.Advance(11 * 24 * time.Hour)
		give2 := Signatory{User: p.user(fleet.RoleRider)}
		if _, err := c.Give(t.Context(), give2, "terms", 2, ""); err != nil {
			t.Fatal(err)
		}
		later := p.asking(fstest.MapFS{"consents/terms/3.md": document(0, true, "", "newest terms")})
		back, err := later.Withdraw(t.Context(), give2, "terms")
		if err != nil || back.Version != 2 || string(back.Hash) == string(later.documents[0].Hash) {
			t.Errorf("took back %+v, %v", back, err)
		}
		if _, err := c.Withdraw(t.Context(), by, "poetry"); fleet.CodeOf(err) != fleet.CodeInvalid {
			t.Errorf("%v", err)
		}
	})
}

// Not even the hub's own database user changes what was said; only from where is
// taken out of what the erased have said.
func TestConsentsAreNeverChanged(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		p := newPeople(t, db)
		c := p.asking(someDocuments)
		user := p.user(fleet.RoleRider)
		if _, err := c.Give(t.Context(), Signatory{User: user, Where: here}, "terms", 1, ""); err != nil {
			t.Fatal(err)
		}
		exec := func(sql string) error {
			_, err := db.Pool().Exec(t.Context(), sql)
			return err
		}
		const forget = `UPDATE consents SET session = NULL, address = NULL, agent = NULL`
		for _, sql := range []string{
			`UPDATE consents SET version = 2`, `UPDATE consents SET act = 'withdrawn'`, `DELETE FROM consents`, `TRUNCATE consents`, forget,
		} {
			if err := exec(sql); err == nil || !strings.Contains(err.Error(), "never changed") {
				t.Errorf("%s: %v", sql, err)
			}
		}
		for _, sql := range []string{`UPDATE users SET erased = created`, forget} {
			if err := exec(sql); err != nil {
				t.Errorf("%s: %v", sql, err)
			}
		}
		if err := exec(forget + `, at = at + interval '1 day'`); err == nil {
			t.Error("the day of an erased person's consent can be changed")
		}
		if _, err := c.Give(t.Context(), Signatory{User: user}, "marketing", 1, ""); fleet.CodeOf(err) != fleet.CodeNotFound {
			t.Errorf("the erased agree: %v", err)
		}
	})
}

// The review of a questionnaire gives consents with its answers, or neither.
func TestTheReviewGivesConsents(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		a := assessed{people: newPeople(t, db), keyring: testKeyring(t, 1)}
		q := a.by(petsV1)
		q.consents = a.asking(someDocuments)
		user := a.user(fleet.RoleRider)
		by := Signatory{User: user, Session: fleet.NewID[fleet.UserSession](), Where: here}
		review := func(version int64, consents string) error {
			return q.PutStep(t.Context(), by, version, "review", json.RawMessage(`{"consents":`+consents+`}`))
		}
		for step, answer := range map[string]string{"pets": `{"cats":1}`, "threats": `{"dogs":false}`} {
			if err := q.PutStep(t.Context(), by, AnyVersion, step, json.RawMessage(answer)); err != nil {
				t.Fatal(err)
			}
		}
		stale := a.get(q, user).Version - 1
		for consents, flaw := range map[string]string{
			`{}`:                         "lacks terms",
			`{"terms":2}`:                "version 1 is",
			`{"terms":1,"marketing":7}`:  "version 1 is",
			`{"terms":1,"poetry":1}`:     "no document",
			`{"terms":"1"}`:              "",
			`[]`:                         "",
			`{"terms":1,"marketing":-1}`: "version 1 is",
		} {
			err := review(AnyVersion, consents)
			if fleet.CodeOf(err) != fleet.CodeInvalid {
				t.Errorf("%s: %v", consents, err)
			}
			if told := fmt.Sprint(flaws(err)); !strings.Contains(told, flaw) {
				t.Errorf("%s is told %s, want %s", consents, told, flaw)
			}
		}
		if err := review(stale, `{"terms":1}`); fleet.CodeOf(err) != fleet.CodeVersionMismatch {
			t.Errorf("an old version: %v", err)
		}
		if said, err := q.consents.Of(t.Context(), user); err != nil || len(said.History) != 0 {
			t.Fatalf("what was refused is agreed to: %+v, %v", said, err)
		}
		if err := review(AnyVersion, `{"terms":1}`); err != nil {
			t.Fatal(err)
		}
		said, err := q.consents.Of(t.Context(), user)
		if err != nil || len(said.History) != 1 || said.History[0].Means != fleet.ConsentByQuestionnaire ||
			said.History[0].Session != by.Session || said.History[0].Address != here.Address {
			t.Fatalf("the review agrees to %+v, %v", said, err)
		}
		if done := a.get(q, user); done.Completed.IsZero() {
			t.Errorf("not complete: %+v", done)
		}
		// An optional no leaves the review alone; what is required takes it along.
		if _, err := q.consents.Withdraw(t.Context(), by, "marketing"); err != nil {
			t.Fatal(err)
		}
		before := a.get(q, user)
		if _, err := q.consents.Withdraw(t.Context(), by, "terms"); err != nil {
			t.Fatal(err)
		}
		after := a.get(q, user)
		if before.Completed.IsZero() || !after.Completed.IsZero() || !slices.Equal(after.Missing, []string{"review"}) || after.Version != before.Version+1 {
			t.Errorf("before %+v, after %+v", before, after)
		}
		if err := review(after.Version, `{"terms":1}`); err != nil {
			t.Error(err)
		}
	})
}

func flaws(err error) (list []string) {
	if e, ok := errors.AsType[*fleet.Error](err); ok {
		for _, f := range e.Flaws {
			list = append(list, f.Location+" "+f.Message)
		}
	}
	return list
}

const termsV1 = "5d4ad32a62e250c2d54d1cf49d4948d4c124186bba54a060b2b5a8daad4a187a"

func TestShippedConsents(t *testing.T) {
	t.Parallel()
	all, err := loadConsents(consentFiles)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, d := range all {
		found[d.Kind] = d.Required
		if !strings.HasPrefix(d.Text, "# "+d.Title+"\n") {
			t.Errorf("%s/%d is titled %q and begins %.40q", d.Kind, d.Version, d.Title, d.Text)
		}
	}
	for kind, required := range map[string]bool{"terms": true, "privacy": true, "safety_data": true, "location": false, "marketing": false} {
		if is, there := found[kind]; !there || is != required {
			t.Errorf("%s is there: %t, required: %t", kind, there, is)
		}
	}
	// A text that somebody may have agreed to stays as it was.
	if d, _ := all.get("terms", 1); hex.EncodeToString(d.Hash) != termsV1 {
		t.Errorf("terms/1 is %x now: a new text is a new version", d.Hash)
	}
	for name, file := range map[string]*fstest.MapFile{
		"consents/a/x.md": document(0, true, "", "x"), "consents/a/0.md": document(0, true, "", "x"), "consents/a/1.md": document(0, true, "", ""),
		"consents/b/1.md": document(0, true, "king", "x"), "consents/c/1.md": {Data: []byte("no header")},
		"consents/d/1.md": {Data: []byte("Title: T\nLanguage: en\nIn-Force: soon\nRequired: true\n\nx")},
		"consents/e/1.md": {Data: []byte("Title: T\nLanguage: en\nIn-Force: 2026-01-01\nRequired: perhaps\n\nx")},
		"consents/f/1.md": {Data: []byte("Title: T\nLanguage: !\nIn-Force: 2026-01-01\nRequired: true\n\nx")},
	} {
		if _, err := loadConsents(fstest.MapFS{name: file}); err == nil {
			t.Errorf("%s is taken for a document: %s", name, file.Data)
		}
	}
	_, err = loadConsents(fstest.MapFS{"consents/a/1.md": document(2, true, "", "x"), "consents/a/2.md": document(2, true, "", "y")})
	if err == nil {
		t.Error("two versions come into force at once")
	}
}
