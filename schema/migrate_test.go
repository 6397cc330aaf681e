package schema_test

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
	"armora/sim/loopback"
)

func TestMigrateAtOnceFromNothing(t *testing.T) {
	t.Parallel()
	dsn := schematest.EmptyDSN(t)
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			db, err := schema.Open(t.Context(), dsn, schema.Options{MaxConns: 3})
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			if err := db.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
			if err := db.Ready(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestReadyNamesTheMissingMigration(t *testing.T) {
	t.Parallel()
	db, err := schema.Open(t.Context(), schematest.EmptyDSN(t), schema.Options{})
	must(t, err)
	defer db.Close()
	err = db.Ready(t.Context())
	wantCode(t, err, fleet.CodeUnavailable)
	wantLine(t, err, "at migration 0", "run armora migrate")
}

func TestNewerDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		newer := schema.LatestVersion() + 1
		_, err := db.Pool().Exec(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, true)`, newer)
		must(t, err)
		for _, err := range []error{db.Migrate(t.Context()), db.Ready(t.Context())} {
			if !errors.Is(err, schema.ErrDatabaseNewer) {
				t.Fatalf("error is %v", err)
			}
			wantLine(t, err, fmt.Sprintf("at migration %d", newer), "start the newer binary")
		}
	})
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	good := start(t, schematest.Dir(t)).DSN() // a server that wants a password
	for name, c := range map[string]struct {
		dsn  string
		code fleet.Code
		says []string
	}{
		"nonsense":       {"postgres://secret:hunter2@:::", fleet.CodeInvalid, []string{"cannot be read", "postgres://user:password@host"}},
		"nobody there":   {"postgres://u:hunter2@" + loopback.Free(t) + "/x?sslmode=disable", fleet.CodeUnavailable, []string{"cannot be reached", "DATABASE_URL"}},
		"wrong password": {strings.Replace(good, "password=", "password=hunter2", 1), fleet.CodeInvalid, []string{"does not let armora in"}},
		"no database":    {strings.Replace(good, "dbname=armora", "dbname=nowhere", 1), fleet.CodeInvalid, []string{"no database nowhere", "createdb"}},
	} {
		_, err := schema.Open(t.Context(), c.dsn, schema.Options{})
		wantCode(t, err, c.code)
		wantLine(t, err, c.says...)
		if strings.Contains(err.Error(), "hunter2") {
			t.Fatalf("%s: %v shows the password", name, err)
		}
	}
}

// TestBothServersHaveTheSameNames: tables, views and their columns, but for
// what keeps the rollups and the partitions of plain PostgreSQL.
func TestBothServersHaveTheSameNames(t *testing.T) {
	t.Parallel()
	columns := func(db *schema.DB) []string {
		return column(t.Context(), t, db, `
			SELECT table_name || '.' || column_name || ' ' || data_type FROM information_schema.columns
			WHERE table_schema = 'public' AND table_name NOT IN ('points_dirty', 'points_default') ORDER BY 1`)
	}
	plain, timescale := columns(schematest.Plain(t)), columns(schematest.Timescale(t))
	if !slices.Equal(plain, timescale) {
		t.Fatalf("plain has\n%s\nTimescaleDB has\n%s", strings.Join(plain, "\n"), strings.Join(timescale, "\n"))
	}
}

// TestStatementsTakeTimeAsAParameter: a clock that is stepped must reach every
// statement. The one that asks for the server's clock, and writes nothing, is
// ClockOffset's.
func TestStatementsTakeTimeAsAParameter(t *testing.T) {
	t.Parallel()
	clock := regexp.MustCompile(`(?i)\b(now|clock_timestamp|statement_timestamp|transaction_timestamp)\(\)|\bcurrent_(timestamp|date|time)\b`)
	allowed := regexp.MustCompile(`time\.Now\(\)|[Cc]lock\.Now\(\)|Order\.Now\(\)|No statement calls now\(\)|"SELECT clock_timestamp\(\)"\)\.Scan\(&theirs\)`)
	check := func(file string) {
		raw, err := os.ReadFile(file)
		must(t, err)
		if found := clock.Find(allowed.ReplaceAll(raw, nil)); found != nil {
			t.Errorf("%s uses %s", file, found)
		}
	}
	for _, folder := range []string{".", "migrations/both", "migrations/plain", "migrations/timescale"} {
		entries, err := os.ReadDir(folder)
		must(t, err)
		for _, e := range entries {
			if !e.IsDir() && !strings.HasSuffix(e.Name(), "_test.go") {
				check(folder + "/" + e.Name())
			}
		}
	}
}
