package timescaletest_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"armora/schema/timescaletest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func connect(t *testing.T, s *timescaletest.Server) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.DSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // its server may be gone
	return conn
}

func run(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func TestServersCopyTheSnapshotAndNothingElse(t *testing.T) {
	t.Parallel()
	process, err := timescaletest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := process.Close(); err != nil {
			t.Error(err)
		}
	})
	open := func() *timescaletest.Server {
		s, err := process.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := open()
	run(t, connect(t, first), `CREATE TABLE h (at timestamptz NOT NULL, v integer);
		SELECT create_hypertable('h', by_range('at'))`)
	if err := first.Snapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	run(t, connect(t, first), `INSERT INTO h VALUES ('2026-01-01', 1)`)

	second := connect(t, open())
	var rows int
	if err := second.QueryRow(t.Context(), `SELECT count(*) FROM h`).Scan(&rows); err != nil || rows != 0 {
		t.Fatalf("the copy has %d rows, %v", rows, err)
	}
	run(t, second, `INSERT INTO h VALUES ('2026-01-01', 1), ('2026-03-01', 2)`) // the library is loaded in the copy too
	var chunks int
	if err := second.QueryRow(t.Context(), `SELECT count(*) FROM show_chunks('h')`).Scan(&chunks); err != nil || chunks != 2 {
		t.Fatalf("%d chunks, %v; want 2", chunks, err)
	}
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := first.Snapshot(t.Context()); err == nil || !strings.Contains(err.Error(), "snapshot") {
		t.Fatalf("a closed server was copied: %v", err)
	}
	run(t, second, `SELECT 1`)
}

// TestATransactionThatIsLeftOpenEnds: it must not hold up the next connection.
func TestATransactionThatIsLeftOpenEnds(t *testing.T) {
	t.Parallel()
	process, err := timescaletest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := process.Close(); err != nil {
			t.Error(err)
		}
	})
	server, err := process.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	leaver := connect(t, server)
	run(t, leaver, `BEGIN; CREATE TABLE lost (id integer)`)
	if err := leaver.PgConn().Conn().Close(); err != nil {
		t.Fatal(err)
	}
	run(t, connect(t, server), `CREATE TABLE lost (id integer)`)
}
