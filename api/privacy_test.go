package api

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"armora/account"
	"armora/bus"
	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// makeExport runs the job of an export.
func (h *hub) makeExport(id fleet.ExportID) {
	h.t.Helper()
	if err := h.exports.Make(h.t.Context(), id); err != nil {
		h.t.Fatal(err)
	}
}

// exported is the path of an export of the person's that is ready.
func (p *person) exported() string {
	p.h.t.Helper()
	asked := as[Export](p.h.t, p.must(http.StatusAccepted, "POST", exportsPath, nil))
	p.h.makeExport(asked.ID)
	return exportsPath + "/" + asked.ID.String()
}

// unzip reads the files of a ZIP.
func unzip(t *testing.T, body []byte) map[string]string {
	t.Helper()
	archive, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for _, f := range archive.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = string(text)
	}
	return files
}

// kinds lists what a person finds in their inbox, the newest first.
func (p *person) kinds() (kinds []string) {
	p.h.t.Helper()
	rows, err := p.h.db.Pool().Query(p.h.t.Context(), `SELECT kind FROM notices WHERE user_id = $1 AND channel = 'inbox' ORDER BY id DESC`, p.id)
	if err != nil {
		p.h.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var kind string
		if err := rows.Scan(&kind); err != nil {
			p.h.t.Fatal(err)
		}
		kinds = append(kinds, kind)
	}
	return kinds
}

func TestExportOfAllThatIsKnown(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		h := newHubOn(t, db)
		ada, eve, staff := h.person(fleet.RoleRider), h.person(fleet.RoleRider), h.person(fleet.RoleDispatcher)
		ada.must(http.StatusCreated, "POST", "/api/users/addresses", map[string]any{"label": "home", "text": "1 Secret Lane", "lat": 51.5, "lon": -0.1})
		ada.must(http.StatusCreated, "POST", "/api/users/contacts", map[string]any{"name": "Bo", "relation": "brother", "email": "bo@example.com"})
		ada.must(http.StatusOK, "PUT", "/api/users/questionnaire/steps/threats", threats(true, false, false, true, false, false, false))
		photo := ada.keep("avatar", portrait(t))
		eve.must(http.StatusCreated, "POST", "/api/users/addresses", map[string]any{"text": "Eve's place", "lat": 1, "lon": 1})
		phone := as[struct {
			ID fleet.DeviceID `json:"device_id"`
		}](t, ada.must(http.StatusOK, "POST", "/api/devices/enrol", map[string]any{"name": "Ada's phone", "platform": "android", "app_version": "1"})).ID
		h.points(phone, h.clock.Now(), 6000) // more than a page
		staff.must(http.StatusOK, "GET", "/api/devices/"+phone.String()+"/points?from="+h.clock.Now().Add(-time.Hour).Format(time.RFC3339), nil)

		asked := as[Export](t, ada.must(http.StatusAccepted, "POST", exportsPath, nil))
		if asked.State != "running" {
			t.Errorf("asked for %+v", asked)
		}
		path := exportsPath + "/" + asked.ID.String()
		problem(t, ada.do("POST", exportsPath, nil), http.StatusConflict, fleet.CodeConflict)
		problem(t, ada.do("GET", path+"/download", nil), http.StatusNotFound, fleet.CodeNotFound)
		// Its first job was killed in the middle; the second gets through, the third is late.
		before := h.blobCount()
		if _, _, err := (schema.Exports{DB: db}).Claim(t.Context(), asked.ID, h.draft()); err != nil {
			t.Fatal(err)
		}
		h.makeExport(asked.ID)
		h.makeExport(asked.ID)
		if n := h.blobCount(); n != before+1 {
			t.Errorf("%d blobs, there were %d", n, before)
		}
		if got := as[Export](t, ada.must(http.StatusOK, "GET", path, nil)); got.State != "ready" || got.Size == 0 || !got.ExpiresAt.Equal(h.clock.Now().Add(7*24*time.Hour)) {
			t.Errorf("made %+v", got)
		}
		if got := ada.kinds(); !slices.Equal(got[:2], []string{"export_ready", "export_asked"}) {
			t.Errorf("told of %v", got)
		}
		for _, p := range []string{path, path + "/download"} {
			problem(t, eve.do("GET", p, nil), http.StatusNotFound, fleet.CodeNotFound)
		}
		var blob string
		if err := db.Pool().QueryRow(t.Context(), `SELECT file::text FROM exports`).Scan(&blob); err != nil {
			t.Fatal(err)
		}
		problem(t, ada.do("GET", "/api/files/"+blob, nil), http.StatusNotFound, fleet.CodeNotFound) // not by the way of files
		got := ada.must(http.StatusOK, "GET", path+"/download", nil)
		if kind := got.Header.Get("Content-Type"); kind != "application/zip" {
			t.Errorf("content type %s", kind)
		}
		files := unzip(t, got.body)
		for name, want := range map[string]string{
			"account.json": ada.id.String() + "@example.com", "addresses.json": `"text":"1 Secret Lane"`, "emergency_contacts.json": "bo@example.com",
			"questionnaire.json": `"step":"threats"`, "phones.json": "Ada's phone", "audit.csv": "a staff member of role dispatcher read where you had been",
			"files.json": photo.ID.String(), "index.json": `"not_here"`, "consents.json": "[]", "sessions.csv": "password",
		} {
			if !strings.Contains(files[name], want) {
				t.Errorf("%s lacks %q: %s", name, want, files[name])
			}
		}
		if strings.Contains(files["questionnaire.json"], "sealed") || !strings.Contains(files["questionnaire.json"], `"answer":{`) {
			t.Errorf("the questionnaire is %s", files["questionnaire.json"])
		}
		for name, text := range files {
			if strings.HasSuffix(name, ".json") && !json.Valid([]byte(text)) {
				t.Errorf("%s is no JSON: %.300s", name, text)
			}
			for _, secret := range []string{"Eve's place", eve.id.String(), staff.id.String(), "argon2", "sealed_"} {
				if strings.Contains(text, secret) {
					t.Errorf("%s says %q", name, secret)
				}
			}
		}
		for name, text := range files {
			if head, _, _ := strings.Cut(text, "\n"); strings.HasSuffix(name, ".csv") && !strings.Contains(head, ",") {
				t.Errorf("%s has no head line: %q", name, text)
			}
		}
		rows, err := csv.NewReader(strings.NewReader(files["points.csv"])).ReadAll()
		if err != nil || len(rows) != 6001 || rows[1][0] != phone.String() || rows[0][1] != "time" {
			t.Errorf("%d rows of points, %v", len(rows), err)
		}
		pictures := 0
		for name, content := range files {
			if strings.HasPrefix(name, "files/"+photo.ID.String()+".") && int64(len(content)) == photo.Size {
				pictures++
			}
		}
		if pictures != 1 {
			t.Errorf("the picture of %d bytes is not in it: %v, %s", photo.Size, slices.Sorted(maps.Keys(files)), files["files.json"])
		}
		// A stale sign-in neither asks nor downloads; after a week it is gone.
		h.clock.Advance(account.FreshFor + time.Second)
		ada.renew()
		problem(t, ada.do("GET", path+"/download", nil), http.StatusForbidden, fleet.CodeStaleSignIn)
		h.clock.Advance(7 * 24 * time.Hour)
		if err := (schema.Maintenance{DB: db}).Retain(t.Context(), h.clock.Now()); err != nil {
			t.Fatal(err)
		}
		again := h.again(ada)
		problem(t, again.do("GET", path+"/download", nil), http.StatusNotFound, fleet.CodeNotFound)
		problem(t, again.do("GET", path, nil), http.StatusNotFound, fleet.CodeNotFound)
		if n := h.count(`SELECT count(*) FROM river_job WHERE kind = 'drop_blob' AND args ->> 'file' = '` + blob + `'`); n != 1 {
			t.Errorf("%d jobs delete the blob", n)
		}
	})
}

func TestErasingOneself(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada, other := h.person(fleet.RoleRider), h.person(fleet.RoleRider)
	second := h.again(ada)
	phone := as[struct {
		ID    fleet.DeviceID `json:"device_id"`
		Token string         `json:"token"`
	}](t, ada.must(http.StatusOK, "POST", "/api/devices/enrol", map[string]any{"name": "p", "platform": "android", "app_version": "1"}))
	h.points(phone.ID, h.clock.Now().Add(-time.Minute), 3)
	var revoked []fleet.DeviceID
	var ended []fleet.UserSessionID
	h.bus.Revocations.Subscribe(func(r bus.Revocation) { revoked = append(revoked, r.Device) })
	h.bus.Sessions.Subscribe(func(id fleet.UserSessionID) { ended = append(ended, id) })

	address := ada.id.String() + "@example.com"
	for _, wrong := range []string{"yes", other.id.String() + "@example.com"} {
		problem(t, ada.do("POST", "/api/users/erase", map[string]any{"confirm": wrong}), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	}
	erased := as[Erasure](t, ada.must(http.StatusAccepted, "POST", "/api/users/erase", map[string]any{"confirm": strings.ToUpper(address)}))
	// At once: nobody is signed in, and what was open is to end.
	for _, p := range []*person{ada, second} {
		problem(t, p.do("GET", "/api/users/me", nil), http.StatusUnauthorized, fleet.CodeUnauthenticated)
	}
	if !slices.Contains(revoked, phone.ID) || !slices.Contains(ended, ada.session) || !slices.Contains(ended, second.session) {
		t.Errorf("revoked %v, ended %v", revoked, ended)
	}
	if _, err := h.sessions.Refresh(t.Context(), ada.refresh); fleet.CodeOf(err) != fleet.CodeUnauthenticated {
		t.Errorf("refreshed: %v", err)
	}
	if n := h.count(`SELECT count(*) FROM user_sessions WHERE end_reason = 'erased'`); n != 2 {
		t.Errorf("%d sessions ended by it", n)
	}
	// The old phone is late: nothing that it has opens a door.
	_, err := h.devices.Authenticate(t.Context(), fleet.Login{Username: phone.ID.String(), Password: phone.Token})
	if fleet.CodeOf(err) != fleet.CodeUnauthenticated {
		t.Errorf("the phone's token is still good: %v", err)
	}
	written, err := h.erasures.Journal()
	if err != nil || len(written) != 1 || written[0].ID != erased.ID || written[0].User != ada.id {
		t.Errorf("the journal holds %v, %v", written, err)
	}
	if err := h.erasures.Work(t.Context(), erased.ID); err != nil {
		t.Fatal(err)
	}
	if n := h.count(`SELECT count(*) FROM points`); n != 0 {
		t.Errorf("%d points are left", n)
	}
	// The farewell goes to the address that nothing else knows any more.
	if n := h.count(`SELECT count(*) FROM notices WHERE address = '` + address + `' AND kind = 'account_erased' AND channel = 'mail' AND state = 'queued'`); n != 1 {
		t.Errorf("%d farewells", n)
	}
	if n := h.count(`SELECT count(*) FROM notices WHERE user_id = '` + ada.id.String() + `'`); n != 1 {
		t.Errorf("%d notices are left", n)
	}
	// The address is free for whoever registers next.
	err = h.people.Register(t.Context(), account.Registration{Email: address, Password: "correct horse battery", Name: "New"})
	if err != nil || h.count(`SELECT count(*) FROM users WHERE email = '`+address+`'`) != 1 {
		t.Errorf("registered anew: %v", err)
	}
	if n := len(as[retentionBody](t, other.must(http.StatusOK, "GET", "/api/retention", nil)).Items); n != len(h.db.Classes()) {
		t.Errorf("%d classes are shown", n)
	}
}

type retentionBody struct {
	Items []DataClass `json:"items"`
}

// Erasing while an export is made leaves neither row nor blob.
func TestErasingDuringAnExport(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada := h.person(fleet.RoleRider)
	ready := as[Export](t, ada.must(http.StatusAccepted, "POST", exportsPath, nil))
	h.makeExport(ready.ID)
	running := as[Export](t, ada.must(http.StatusAccepted, "POST", exportsPath, nil))
	draft := h.draft()
	if _, _, err := (schema.Exports{DB: h.db}).Claim(t.Context(), running.ID, draft); err != nil {
		t.Fatal(err)
	}
	erased := as[Erasure](t, ada.must(http.StatusAccepted, "POST", "/api/users/erase", map[string]any{"confirm": ada.id.String() + "@example.com"}))
	err := schema.Exports{DB: h.db}.Finish(t.Context(), running.ID, fleet.File{ID: draft, Owner: ada.id, Purpose: fleet.ExportFile, Created: h.clock.Now()}, []byte("k"), nil)
	if fleet.CodeOf(err) != fleet.CodeNotFound {
		t.Errorf("finished: %v", err)
	}
	if err := h.erasures.Work(t.Context(), erased.ID); err != nil {
		t.Fatal(err)
	}
	h.makeExport(running.ID) // the job comes late
	if n := h.count(`SELECT (SELECT count(*) FROM exports) + (SELECT count(*) FROM files)`); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	if n := h.count(`SELECT count(*) FROM river_job WHERE kind = 'drop_blob'`); n != 1 {
		t.Errorf("%d blobs are to be deleted, want that of the first", n)
	}
}

// draft puts a blob into the store, as a job leaves one that is killed.
func (h *hub) draft() fleet.FileID {
	h.t.Helper()
	id := fleet.NewID[fleet.File]()
	name := id.String()
	dir := filepath.Join(h.blobs, name[len(name)-2:])
	if err := os.MkdirAll(dir, 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return id
}

func (h *hub) blobCount() (n int) {
	h.t.Helper()
	err := filepath.WalkDir(h.blobs, func(_ string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

func (h *hub) count(sql string) (n int) {
	h.t.Helper()
	if err := h.db.Pool().QueryRow(h.t.Context(), sql).Scan(&n); err != nil {
		h.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// again signs a person in once more.
func (h *hub) again(p *person) *person {
	h.t.Helper()
	tokens, err := h.sessions.Begin(h.t.Context(), account.SignIn{User: p.id, Method: fleet.ByPassword, SecondFactor: true})
	if err != nil {
		h.t.Fatal(err)
	}
	return &person{h: h, id: p.id, session: tokens.Session.ID, token: tokens.Access, refresh: tokens.Refresh}
}

// points stores some of a device's, a second apart, the last at a time.
func (h *hub) points(device fleet.DeviceID, last time.Time, n int) {
	h.t.Helper()
	if err := (schema.Maintenance{DB: h.db}).EnsurePartitions(h.t.Context(), last); err != nil {
		h.t.Fatal(err)
	}
	batch := make([]fleet.Point, n)
	for i := range batch {
		batch[i] = fleet.Point{Device: device, Fix: fleet.MillisOf(last.Add(-time.Duration(i) * time.Second)), Received: fleet.MillisOf(last), Lat: 51, Lon: 0}
		batch[i].Accuracy, batch[i].Speed = fleet.Unknown, 3
		batch[i].Heading, batch[i].Altitude, batch[i].Battery = fleet.Unknown, fleet.Unknown, fleet.Unknown
	}
	if _, err := schema.NewPoints(h.db).Insert(h.t.Context(), batch); err != nil {
		h.t.Fatal(err)
	}
}
