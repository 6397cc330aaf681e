package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// A person is erased; the database is lost, and restored from before: the next
// start erases them again, before anybody is let in.
func TestAnErasureOutlivesARestore(t *testing.T) {
	t.Parallel()
	dump, err := exec.LookPath("pg_dump")
	if err != nil {
		t.Skip("there is no pg_dump")
	}
	dir, dsn := t.TempDir(), schematest.PlainDSN(t)
	h := openInsideOn(t, dsn, dir)
	rider, user, session := h.person(fleet.RoleRider)
	phone := rider.enrol("")
	c, _ := rider.dial(phone, 5)
	rider.ask("POST", "/api/users/addresses", map[string]any{"text": "1 Secret Lane", "lat": 51, "lon": 0}, http.StatusCreated)
	backup := filepath.Join(t.TempDir(), "backup")
	if out, err := exec.Command(dump, "-Fc", "-f", backup, dsn).CombinedOutput(); err != nil {
		t.Fatalf("pg_dump: %v: %s", err, out)
	}
	rider.ask("POST", "/api/users/erase", map[string]any{"confirm": user.String() + "@example.com"}, http.StatusAccepted)
	c.ended()
	if _, ack := h.dial(phone, 5); ack.ReasonCode != packets.ErrBadUsernameOrPassword.Code {
		t.Errorf("the phone comes back: %#x", ack.ReasonCode)
	}
	gone := func(db *schema.DB) func() bool {
		return func() bool {
			var done bool
			err := db.Pool().QueryRow(t.Context(), `
				SELECT (SELECT done IS NOT NULL AND calls = '{}' AND contact IS NULL FROM erasures WHERE user_id = $1) AND
					NOT EXISTS (SELECT FROM addresses) AND (SELECT email IS NULL AND erased IS NOT NULL FROM users WHERE id = $1)`, user).Scan(&done)
			return err == nil && done
		}
	}
	waitFor(t, "the erasure", gone(h.db))
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	restored := schematest.EmptyDSN(t)
	if out, err := exec.Command("pg_restore", "-d", restored, backup).CombinedOutput(); err != nil {
		t.Fatalf("pg_restore: %v: %s", err, out)
	}
	admin := func(what string) string {
		var out, problems strings.Builder
		if code := run(t.Context(), []string{"admin", "erasures", what, "--database-url", restored, "--data-dir", dir}, console{&out, &problems}); code != 0 {
			t.Errorf("exit %d: %s", code, problems.String())
		}
		return out.String()
	}
	if out := admin("list"); !strings.Contains(out, user.String()+"  in the journal alone") {
		t.Errorf("before the start: %s", out)
	}
	h = openInsideOn(t, restored, dir)
	signedIn, err := schema.UserSessions{DB: h.db}.SignedIn(context.Background(), session.ID)
	if fleet.CodeOf(err) != fleet.CodeNotFound && (err != nil || signedIn.Session.Ended.IsZero()) {
		t.Errorf("the session that was restored: %+v, %v", signedIn, err)
	}
	waitFor(t, "the erasure, again", gone(h.db))
	if _, ack := h.dial(phone, 5); ack.ReasonCode != packets.ErrBadUsernameOrPassword.Code {
		t.Errorf("the phone comes back after the restore: %#x", ack.ReasonCode)
	}
	if out := admin("list"); !strings.Contains(out, user.String()+"  done") {
		t.Errorf("after it: %s", out)
	}
	if out := admin("replay"); !strings.HasPrefix(out, "0 erasures") {
		t.Errorf("once more: %s", out)
	}
}

// The journal is what an operator, and the next version, reads: ids and times
// alone; a line that a crash has cut is passed over, and so is a person whom the
// database never knew.
func TestTheJournalOfErasures(t *testing.T) {
	t.Parallel()
	dir, dsn := t.TempDir(), schematest.PlainDSN(t)
	stranger, known := fleet.NewID[fleet.User](), fleet.NewID[fleet.User]()
	db, err := schema.Open(t.Context(), dsn, schema.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := (schema.Users{DB: db}).Create(t.Context(), fleet.User{ID: known, Email: "a@example.com", Name: "A", Created: time.Now()}, ""); err != nil {
		t.Fatal(err)
	}
	line := func(user fleet.UserID) string {
		text, err := json.Marshal(map[string]any{"erasure": fleet.NewID[fleet.Erasure](), "user": user, "asked": time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	journal := line(stranger) + "\n" + line(known) + "\n" + line(known)[:40]
	if err := os.WriteFile(filepath.Join(dir, "erasures.journal"), []byte(journal), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1 erasures", "0 erasures"} {
		var out, problems strings.Builder
		code := run(t.Context(), []string{"admin", "erasures", "replay", "--database-url", dsn, "--data-dir", dir}, console{&out, &problems})
		if code != 0 || !strings.HasPrefix(out.String(), want) {
			t.Errorf("exit %d: %s%s, want %s", code, out.String(), problems.String(), want)
		}
	}
	user, err := schema.Users{DB: db}.Get(t.Context(), known)
	if err != nil || user.Erased.IsZero() || user.Email != "" || user.Name != "" {
		t.Errorf("the person is %+v, %v", user, err)
	}
}
