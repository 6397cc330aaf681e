package schema_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

func entry(action string, subjects ...fleet.UserID) fleet.AuditEntry {
	return fleet.AuditEntry{
		ID: fleet.NewID[fleet.AuditEntry](), Actor: "bootstrap", Action: action, Subjects: subjects,
		Object: "device/1", Detail: json.RawMessage(`{"b": 1,  "a":"\u0000"}`), At: noon, RequestID: "r",
	}
}

func TestTheAuditLogIsSearched(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, log := t.Context(), schema.Audit{DB: db}
		ada, bob, staff := fleet.NewID[fleet.User](), fleet.NewID[fleet.User](), fleet.NewID[fleet.User]()
		both, one, later := entry("read", ada, bob), entry("read"), entry("write")
		one.Subject, one.Actor, one.ActorUser = ada, staff.String(), staff
		later.At = noon.Add(time.Hour)
		must(t, log.Record(ctx, both, one, later))
		for name, c := range map[string]struct {
			q    schema.AuditQuery
			want []fleet.AuditEntry
		}{
			"all":     {schema.AuditQuery{}, []fleet.AuditEntry{later, one, both}},
			"before":  {schema.AuditQuery{Before: later.ID}, []fleet.AuditEntry{one, both}},
			"limit":   {schema.AuditQuery{Limit: 1}, []fleet.AuditEntry{later}},
			"subject": {schema.AuditQuery{Subject: ada}, []fleet.AuditEntry{one, both}},
			"another": {schema.AuditQuery{Subject: bob}, []fleet.AuditEntry{both}},
			"actor":   {schema.AuditQuery{Actor: staff.String()}, []fleet.AuditEntry{one}},
			"action":  {schema.AuditQuery{Action: "write"}, []fleet.AuditEntry{later}},
			"from":    {schema.AuditQuery{From: later.At}, []fleet.AuditEntry{later}},
			"to":      {schema.AuditQuery{To: later.At}, []fleet.AuditEntry{one, both}},
			"nobody":  {schema.AuditQuery{Subject: staff}, nil},
		} {
			if c.q.Limit == 0 {
				c.q.Limit = 10
			}
			got, err := log.List(ctx, fleet.UserID{}, c.q)
			must(t, err)
			if len(got) != len(c.want) {
				t.Fatalf("%s: %d entries, want %d", name, len(got), len(c.want))
			}
			for i := range got {
				if got[i].ID != c.want[i].ID || got[i].Sealed || len(got[i].About()) != len(c.want[i].About()) ||
					string(got[i].Detail) != string(c.want[i].Detail) || !got[i].At.Equal(c.want[i].At) || got[i].ActorUser != c.want[i].ActorUser {
					t.Errorf("%s: entry %d is %+v, want %+v", name, i, got[i], c.want[i])
				}
			}
		}
	})
}

func TestTheDatabaseRefusesToChangeTheAuditLog(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, log := t.Context(), schema.Audit{DB: db}
		must(t, log.Record(ctx, entry("read")))
		for _, sql := range []string{
			`UPDATE audit_entries SET actor = 'nobody'`,
			`DELETE FROM audit_entries`,
			`TRUNCATE audit_entries, audit_tail`,
			`SET LOCAL armora.audit = 'retire'; UPDATE audit_entries SET actor = 'nobody'`,
			`SET LOCAL armora.audit = 'retire'; TRUNCATE audit_entries, audit_tail`,
		} {
			_, err := db.Pool().Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
			if err == nil || !strings.Contains(err.Error(), "the audit log is added to and never changed") {
				t.Errorf("%s: %v", sql, err)
			}
		}
		got, err := log.List(ctx, fleet.UserID{}, schema.AuditQuery{Limit: 10})
		must(t, err)
		if len(got) != 1 || got[0].Actor != "bootstrap" {
			t.Errorf("the log is now %+v", got)
		}
	})
}
