package schema_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// tamper does what the triggers forbid, as somebody would who owns the database.
func tamper(t *testing.T, db *schema.DB, sql string) {
	t.Helper()
	_, err := db.Pool().Exec(t.Context(), `SET LOCAL session_replication_role = replica; `+sql, pgx.QueryExecModeSimpleProtocol)
	must(t, err)
}

func verify(t *testing.T, db *schema.DB, anchors ...schema.AuditAnchor) schema.AuditReport {
	t.Helper()
	report, err := schema.Audit{DB: db}.Verify(t.Context(), anchors...)
	must(t, err)
	return report
}

// chained is a log of three seals of two entries each, and two in the tail.
func chained(t *testing.T, db *schema.DB) {
	t.Helper()
	log := schema.Audit{DB: db}
	for n := range 4 {
		must(t, log.Record(t.Context(), entry("read", fleet.NewID[fleet.User]()), entry("write")))
		if n < 3 {
			must(t, log.Seal(t.Context(), noon.Add(time.Duration(n)*time.Minute)))
		}
	}
}

func TestTheChainShowsWhatIsSealed(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		if r := verify(t, db); r.Break != "" || r.Seals != 0 || r.Head.Seq != 0 {
			t.Errorf("an empty log: %+v", r)
		}
		chained(t, db)
		r := verify(t, db)
		if r.Break != "" || r.Seals != 3 || r.Entries != 6 || r.Tail != 2 || r.Head.Seq != 3 || len(r.Head.Hash) != 32 {
			t.Errorf("report %+v", r)
		}
		got, err := schema.Audit{DB: db}.List(t.Context(), fleet.UserID{}, schema.AuditQuery{Limit: 10})
		must(t, err)
		for i, l := range got {
			if l.Sealed != (i >= 2) {
				t.Errorf("entry %d of %d, from the newest: sealed is %t", i, len(got), l.Sealed)
			}
		}
		must(t, schema.Audit{DB: db}.Seal(t.Context(), noon))
		must(t, schema.Audit{DB: db}.Seal(t.Context(), noon)) // with nothing to seal
		if r := verify(t, db, schema.AuditAnchor{Seq: r.Head.Seq, Hash: r.Head.Hash}); r.Break != "" || r.Seals != 4 || r.Tail != 0 {
			t.Errorf("report %+v", r)
		}
	})
}

func TestTamperingIsFound(t *testing.T) {
	t.Parallel()
	const second = `(SELECT entries[1] FROM audit_seals WHERE seq = 2)`
	const copied = `INSERT INTO audit_entries SELECT gen_random_uuid(), actor, actor_user, action, subjects, object, detail, at, request_id
		FROM audit_entries LIMIT 1`
	for name, c := range map[string]struct{ sql, want string }{
		"actor changed":        {`UPDATE audit_entries SET actor = 'x' WHERE id = ` + second, "of seal 2 was changed"},
		"actor user changed":   {`UPDATE audit_entries SET actor_user = gen_random_uuid() WHERE id = ` + second, "of seal 2 was changed"},
		"subjects changed":     {`UPDATE audit_entries SET subjects = '{}' WHERE id = ` + second, "of seal 2 was changed"},
		"detail changed":       {`UPDATE audit_entries SET detail = '{"b": 2}' WHERE id = ` + second, "of seal 2 was changed"},
		"detail taken":         {`UPDATE audit_entries SET detail = NULL WHERE id = ` + second, "of seal 2 was changed"},
		"time changed":         {`UPDATE audit_entries SET at = at + interval '1 microsecond' WHERE id = ` + second, "of seal 2 was changed"},
		"field moved":          {`UPDATE audit_entries SET action = action || object, object = '' WHERE id = ` + second, "of seal 2 was changed"},
		"entry taken":          {`DELETE FROM audit_entries WHERE id = ` + second, "of seal 2 is missing"},
		"entry added":          {copied, "no seal covers it"},
		"tail hidden":          {`DELETE FROM audit_tail`, "taken out of the tail"},
		"entry of tail taken":  {`DELETE FROM audit_entries WHERE id = (SELECT min(entry::text)::uuid FROM audit_tail)`, "of the tail is missing"},
		"entries reordered":    {`UPDATE audit_seals SET entries = ARRAY[entries[2], entries[1]] WHERE seq = 2`, "of seal 2 was changed, or is not in its place"},
		"hashes changed":       {`UPDATE audit_seals SET hashes = decode(repeat('00', 64), 'hex') WHERE seq = 2`, "seal 2 was changed"},
		"seal dated back":      {`UPDATE audit_seals SET sealed = sealed - interval '8 years' WHERE seq = 2`, "seal 2 was changed"},
		"seal taken":           {`DELETE FROM audit_seals WHERE seq = 2`, "seal 2 is missing"},
		"first seal taken":     {`DELETE FROM audit_seals WHERE seq = 1`, "seal 1 is missing"},
		"seals reordered":      {`UPDATE audit_seals SET seq = 9 - seq WHERE seq > 1; UPDATE audit_seals SET seq = seq - 4 WHERE seq > 1`, "seal 2"},
		"retired too early":    {`UPDATE audit_seals SET retired = sealed + interval '1 year' WHERE seq = 2`, "before their time"},
		"retired but there":    {`UPDATE audit_seals SET retired = sealed + interval '8 years' WHERE seq = 2`, "no seal covers it"},
		"seal of another hash": {`UPDATE audit_seals SET hash = hash || '\x00' WHERE seq = 3`, "seal 3 was changed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := schematest.Plain(t)
			chained(t, db)
			if r := verify(t, db); r.Break != "" {
				t.Fatalf("broken before: %s", r.Break)
			}
			tamper(t, db, c.sql)
			if r := verify(t, db); !strings.Contains(r.Break, c.want) {
				t.Errorf("found %q, want %q", r.Break, c.want)
			}
		})
	}
}

// Whoever owns the database can make a good chain anew. What was noted elsewhere
// tells.
func TestAChainThatWasMadeAnewIsFoundByWhatWasNoted(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t)
	chained(t, db)
	head := verify(t, db).Head
	noted := schema.AuditAnchor{Seq: head.Seq, Hash: head.Hash}
	tamper(t, db, `INSERT INTO audit_tail SELECT unnest(entries) FROM audit_seals WHERE seq = 3; DELETE FROM audit_seals WHERE seq = 3`)
	if r := verify(t, db); r.Break != "" {
		t.Errorf("a chain that was cut off looks whole, unless it was noted: %s", r.Break)
	}
	if r := verify(t, db, noted); !strings.Contains(r.Break, "seal 3 is missing") {
		t.Errorf("found %q", r.Break)
	}
	must(t, schema.Audit{DB: db}.Seal(t.Context(), noon))
	if r := verify(t, db, noted); !strings.Contains(r.Break, "made anew") {
		t.Errorf("found %q", r.Break)
	}
}

// A transaction that took its id first and commits last is sealed by the next
// seal, and breaks nothing.
func TestASlowTransactionIsSealedLater(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t)
	ctx, log := t.Context(), schema.Audit{DB: db}
	early := entry("slow")
	tx, err := db.Pool().Begin(ctx)
	must(t, err)
	must(t, schema.Record(ctx, tx, early))
	must(t, log.Record(ctx, entry("fast")))
	must(t, log.Seal(ctx, noon))
	if r := verify(t, db); r.Break != "" || r.Entries != 1 {
		t.Errorf("while it is open: %+v", r)
	}
	must(t, tx.Commit(ctx))
	if r := verify(t, db); r.Break != "" || r.Tail != 1 {
		t.Errorf("before it is sealed: %+v", r)
	}
	must(t, log.Seal(ctx, noon))
	if r := verify(t, db); r.Break != "" || r.Entries != 2 || r.Head.Entries[0] != early.ID {
		t.Errorf("once it is sealed: %+v", r)
	}
}

func TestWritersAndSealersAtOnceLoseNothing(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t)
	ctx, log := t.Context(), schema.Audit{DB: db}
	const writers, each = 4, 300
	var writing, sealing sync.WaitGroup
	done := make(chan struct{})
	for range writers {
		writing.Go(func() {
			for range each {
				if err := log.Record(ctx, entry("read")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 2 {
		sealing.Go(func() {
			for {
				if err := log.Seal(ctx, noon); err != nil {
					t.Error(err)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	writing.Wait()
	close(done)
	sealing.Wait()
	must(t, log.Seal(ctx, noon))
	r := verify(t, db)
	if r.Break != "" || r.Entries != writers*each || r.Tail != 0 || r.Seals < 2 {
		t.Errorf("report %+v", r)
	}
	rows := column(ctx, t, db, `SELECT count(DISTINCT id)::text FROM (SELECT unnest(entries) AS id FROM audit_seals) s`)
	if rows[0] != "1200" {
		t.Errorf("%s entries are sealed", rows[0])
	}
}

func TestASealHoldsSoManyEntries(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t)
	log := schema.Audit{DB: db}
	many := make([]fleet.AuditEntry, 1001)
	for i := range many {
		many[i] = entry("read")
	}
	must(t, log.Record(t.Context(), many...))
	must(t, log.Seal(t.Context(), noon))
	if r := verify(t, db); r.Break != "" || r.Seals != 2 || r.Entries != 1001 {
		t.Errorf("report %+v", r)
	}
}

func TestOldEntriesLeaveAndTheChainStays(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, log, tables := t.Context(), schema.Audit{DB: db}, schema.Maintenance{DB: db}
		must(t, log.Record(ctx, entry("old"), entry("old")))
		must(t, log.Seal(ctx, noon))
		must(t, log.Record(ctx, entry("new")))
		must(t, log.Seal(ctx, noon.AddDate(1, 0, 0)))
		seven := noon.Add(7 * 365 * 24 * time.Hour)
		must(t, tables.Retain(ctx, seven.Add(-time.Second)))
		if r := verify(t, db); r.Break != "" || r.Entries != 3 {
			t.Errorf("before their time: %+v", r)
		}
		must(t, tables.Retain(ctx, seven))
		if r := verify(t, db); r.Break != "" || r.Seals != 2 || r.Entries != 1 || r.Retired != 2 {
			t.Errorf("after their time: %+v", r)
		}
	})
}
