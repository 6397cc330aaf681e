package schema_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

func TestProfilesAndDocumentsAreSwappedByVersion(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, user := t.Context(), newUser(t, db)
		profiles, preferences, questionnaires := schema.Profiles{DB: db}, schema.Preferences{DB: db}, schema.Questionnaires{DB: db}
		profile, err := profiles.Get(ctx, user)
		must(t, err)
		if profile != (fleet.Profile{Version: 1}) {
			t.Errorf("never saved: %+v", profile)
		}
		want := fleet.Profile{Version: 1, Title: "Dr", Language: "en", Zone: "UTC", Changed: noon}
		must(t, profiles.Put(ctx, user, "Ada Lovelace", want))
		wantCode(t, profiles.Put(ctx, user, "Eve", want), fleet.CodeVersionMismatch)
		want.Version = 2
		if profile, err = profiles.Get(ctx, user); err != nil || profile != want {
			t.Errorf("got %+v, want %+v, error %v", profile, want, err)
		}
		u, err := schema.Users{DB: db}.Get(ctx, user)
		must(t, err)
		if u.Name != "Ada Lovelace" {
			t.Errorf("the user is called %s", u.Name)
		}
		want.Photo = fleet.NewID[fleet.File]()
		wantCode(t, profiles.Put(ctx, user, "Ada", want), fleet.CodeInvalid)

		d := fleet.FilledForm{Version: 1, Form: 1, Body: json.RawMessage(`{"a": 1}`), Changed: noon}
		must(t, preferences.Put(ctx, user, d))
		wantCode(t, preferences.Put(ctx, user, d), fleet.CodeVersionMismatch)
		if got, err := preferences.Get(ctx, user); err != nil || got.Version != 2 || string(got.Body) != `{"a": 1}` {
			t.Errorf("got %+v, error %v", got, err)
		}

		staff := newUser(t, db)
		_, err = questionnaires.GetFor(ctx, staff, user)
		wantCode(t, err, fleet.CodeNotFound)
		q := fleet.Questionnaire{FilledForm: d, Risk: fleet.RiskRed, Completed: noon}
		must(t, questionnaires.Put(ctx, user, q))
		wantCode(t, questionnaires.Put(ctx, user, q), fleet.CodeVersionMismatch)
		if got, err := questionnaires.GetFor(ctx, staff, user); err != nil || got.Risk != fleet.RiskRed || !got.Completed.Equal(noon) || got.Version != 2 {
			t.Errorf("got %+v, error %v", got, err)
		}
		q.Version, q.Risk = 2, "purple"
		wantCode(t, questionnaires.Put(ctx, user, q), fleet.CodeInvalid)
		// What belongs to nobody, or never was, is not written.
		d.Version = 7
		wantCode(t, preferences.Put(ctx, newUser(t, db), d), fleet.CodeVersionMismatch)
		d.Version = 1
		wantCode(t, preferences.Put(ctx, fleet.NewID[fleet.User](), d), fleet.CodeVersionMismatch)
	})
}

func TestAddressesByOwner(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, user, other := t.Context(), newUser(t, db), newUser(t, db)
		addresses := schema.Addresses{DB: db}
		a := schema.SealedAddress{ID: fleet.NewID[fleet.Address](), User: user, Sealed: []byte{1}, Created: noon}
		must(t, addresses.Add(ctx, a, 1))
		b := a
		b.ID = fleet.NewID[fleet.Address]()
		wantCode(t, addresses.Add(ctx, b, 1), fleet.CodeTooMany)
		_, err := addresses.Change(ctx, other, a.ID, []byte{2}, noon)
		wantCode(t, err, fleet.CodeNotFound)
		changed, err := addresses.Change(ctx, user, a.ID, []byte{2}, noon)
		must(t, err)
		list, err := addresses.List(ctx, user)
		must(t, err)
		if len(list) != 1 || string(list[0].Sealed) != "\x02" || string(changed.Sealed) != "\x02" {
			t.Errorf("list %+v, changed %+v", list, changed)
		}
		wantCode(t, addresses.Delete(ctx, other, a.ID), fleet.CodeNotFound)
		must(t, addresses.Delete(ctx, user, a.ID))
	})
}

func TestContactsAnswerByToken(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, user, other := t.Context(), newUser(t, db), newUser(t, db)
		contacts := schema.EmergencyContacts{DB: db}
		invitation := func(token, to string) schema.Invitation {
			n := notice(to)
			return schema.Invitation{Token: []byte(token), Address: []byte(to), Expires: n.Expires, Notice: n}
		}
		limits := schema.InvitationLimits{ByUser: 2, ToAddress: 2, UserSince: noon.Add(-time.Hour), ToSince: noon.Add(-time.Hour)}
		c := schema.SealedContact{ID: fleet.NewID[fleet.Contact](), User: user, Sealed: []byte{1}, Created: noon}
		must(t, contacts.Add(ctx, c, 1, invitation("1", "a"), limits))
		wantCode(t, contacts.Add(ctx, schema.SealedContact{ID: fleet.NewID[fleet.Contact](), User: user, Sealed: []byte{1}, Created: noon}, 1, invitation("2", "b"), limits), fleet.CodeTooMany)
		must(t, contacts.OptIn(ctx, []byte("1"), noon))
		foreign := c
		foreign.User = other
		wantCode(t, contacts.Change(ctx, foreign, noon, nil, limits), fleet.CodeNotFound)
		again := invitation("3", "b")
		must(t, contacts.Change(ctx, c, noon, &again, limits))
		wantCode(t, contacts.OptIn(ctx, []byte("1"), noon), fleet.CodeNotFound)
		wantCode(t, contacts.OptIn(ctx, []byte("3"), noon.Add(time.Hour)), fleet.CodeNotFound) // it has expired
		must(t, contacts.OptOut(ctx, []byte("3"), noon.Add(time.Hour)))
		got, err := contacts.Get(ctx, user, c.ID)
		must(t, err)
		if got.State != fleet.ContactDeclined || !got.Answered.Equal(noon.Add(time.Hour)) {
			t.Errorf("got %+v", got)
		}
		third := invitation("4", "c")
		wantCode(t, contacts.Change(ctx, c, noon, &third, limits), fleet.CodeTooMany)
		wantCode(t, contacts.OptOut(ctx, []byte("4"), noon), fleet.CodeNotFound) // it was never sent
		wantCode(t, contacts.Delete(ctx, other, c.ID), fleet.CodeNotFound)
		must(t, contacts.Delete(ctx, user, c.ID))
		must(t, contacts.OptOut(ctx, []byte("3"), noon)) // still remembered
		limits.ByUser = 9
		wantCode(t, contacts.Add(ctx, c, 1, invitation("5", "b"), limits), fleet.CodeConflict)
		if list, err := contacts.List(ctx, user); err != nil || len(list) != 0 {
			t.Errorf("list %v, error %v", list, err)
		}
		if jobs := column(ctx, t, db, `SELECT args ->> 'id' FROM river_job WHERE kind = 'notice'`); len(jobs) != 2 {
			t.Errorf("%d notices", len(jobs))
		}
	})
}

func TestFilesByOwner(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, user, other := t.Context(), newUser(t, db), newUser(t, db)
		files := schema.Files{DB: db}
		add := func(purpose fleet.FilePurpose) fleet.File {
			f := fleet.File{ID: fleet.NewID[fleet.File](), Owner: user, Purpose: purpose, Name: "a", MediaType: "image/png", Size: 3, SHA256: []byte{4}, Created: noon}
			must(t, files.Add(ctx, f, []byte{5}, 3))
			return f
		}
		avatar, document, third := add(fleet.AvatarFile), add(fleet.DocumentFile), add(fleet.DocumentFile)
		wantCode(t, files.Add(ctx, avatar, nil, 3), fleet.CodeTooMany)
		must(t, schema.Profiles{DB: db}.Put(ctx, user, "Ada", fleet.Profile{Version: 1, Photo: avatar.ID, Changed: noon}))

		got, key, err := files.Get(ctx, user, nil, document.ID)
		if err != nil || string(key) != "\x05" || got.Name != "a" || string(got.SHA256) != "\x04" || !got.Created.Equal(noon) {
			t.Errorf("got %+v with key %v, error %v", got, key, err)
		}
		_, _, err = files.Get(ctx, other, []fleet.FilePurpose{fleet.AvatarFile}, document.ID)
		wantCode(t, err, fleet.CodeNotFound)
		for _, viewer := range []fleet.UserID{other, {}} { // staff, and the bootstrap admin
			_, _, err = files.Get(ctx, viewer, []fleet.FilePurpose{fleet.AvatarFile}, avatar.ID)
			must(t, err)
		}
		unknown := fleet.NewID[fleet.File]()
		if left, err := files.Unknown(ctx, []fleet.FileID{avatar.ID, unknown, document.ID}); err != nil || !slices.Equal(left, []fleet.FileID{unknown}) {
			t.Errorf("unknown: %v, error %v", left, err)
		}
		wantCode(t, files.Delete(ctx, other, avatar.ID), fleet.CodeNotFound)
		must(t, files.Delete(ctx, user, avatar.ID))
		if p, err := (schema.Profiles{DB: db}).Get(ctx, user); err != nil || !p.Photo.IsZero() {
			t.Errorf("the profile shows %s, error %v", p.Photo, err)
		}
		must(t, files.DeleteAll(ctx, user))
		wantCode(t, files.DeleteAll(ctx, user), fleet.CodeNotFound)
		jobs := column(ctx, t, db, `SELECT args ->> 'file' FROM river_job WHERE kind = 'drop_blob' ORDER BY 1`)
		if !slices.Equal(jobs, []string{avatar.ID.String(), document.ID.String(), third.ID.String()}) {
			t.Errorf("jobs %v", jobs)
		}
	})
}
