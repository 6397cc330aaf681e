package main

import (
	"strings"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

func TestAdminAuditVerify(t *testing.T) {
	t.Parallel()
	dsn := schematest.PlainDSN(t)
	db, err := schema.Open(t.Context(), dsn, schema.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	log := schema.Audit{DB: db}
	if err := log.Record(t.Context(), fleet.AuditEntry{Actor: "bootstrap", Action: "x", At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if err := log.Seal(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	verify := func(more ...string) (int, string) {
		var out, problems strings.Builder
		code := run(t.Context(), append([]string{"admin", "audit", "verify", "--database-url", dsn, "--data-dir", t.TempDir()}, more...), console{&out, &problems})
		return code, out.String() + problems.String()
	}
	code, out := verify()
	_, head, found := strings.Cut(out, "head            ")
	head = strings.TrimSpace(head)
	if code != 0 || !found || !strings.Contains(out, "seals           1\n") {
		t.Fatalf("exit %d: %s", code, out)
	}
	if code, out := verify("--anchor", head); code != 0 {
		t.Errorf("with its own head: exit %d: %s", code, out)
	}
	if code, out := verify("--anchor", "7"+head[1:]); code != 1 || !strings.Contains(out, "seal 7 is missing") {
		t.Errorf("with a head that is gone: exit %d: %s", code, out)
	}
	for _, bad := range []string{"1", "1:xyz", "0:00", ":00"} {
		if code, out := verify("--anchor", bad); code != 1 || !strings.Contains(out, "is not a head") {
			t.Errorf("--anchor %s: exit %d: %s", bad, code, out)
		}
	}
	_, err = db.Pool().Exec(t.Context(), `ALTER TABLE audit_entries DISABLE TRIGGER ALL`)
	if err == nil {
		_, err = db.Pool().Exec(t.Context(), `UPDATE audit_entries SET actor = 'nobody'`)
	}
	if err != nil {
		t.Fatal(err)
	}
	if code, out := verify(); code != 1 || !strings.Contains(out, "of seal 1 was changed") {
		t.Errorf("after a change: exit %d: %s", code, out)
	}
}
