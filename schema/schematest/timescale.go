package schematest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"armora/schema"
	"armora/schema/timescaletest"
)

// timescale is started by the first test that needs it.
var timescale = sync.OnceValues(startTimescale)

// Each runs the same test on a database of plain PostgreSQL and on one of
// TimescaleDB, in parallel. TimescaleDB is its WebAssembly build: one backend,
// so a test about locks or concurrency is for Plain. Where
// ARMORA_TEST_TIMESCALE_DSN names a native one, the test runs there as well.
func Each(t *testing.T, test func(t *testing.T, db *schema.DB)) {
	t.Helper()
	t.Run("plain", func(t *testing.T) {
		t.Parallel()
		test(t, Plain(t))
	})
	t.Run("timescale", func(t *testing.T) {
		t.Parallel()
		test(t, Timescale(t))
	})
	if dsn := os.Getenv("ARMORA_TEST_TIMESCALE_DSN"); dsn != "" {
		t.Run("timescale_native", func(t *testing.T) {
			t.Parallel()
			test(t, native(t, dsn))
		})
	}
}

// Timescale returns an empty, migrated database on the WebAssembly build of
// TimescaleDB, which ends with the test.
func Timescale(t testing.TB) *schema.DB {
	t.Helper()
	process, err := timescale()
	if err != nil {
		t.Fatalf("start TimescaleDB for tests: %v", err)
	}
	server, err := process.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	db, err := schema.Open(t.Context(), server.DSN(), schema.Options{MaxConns: 2})
	if err != nil {
		t.Fatalf("open the test's TimescaleDB: %v", err)
	}
	t.Cleanup(db.Close)
	return db
}

// startTimescale starts a process whose servers are migrated already.
func startTimescale() (*timescaletest.Process, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	process, err := timescaletest.Start()
	if err != nil {
		return nil, err
	}
	server, err := process.Open(ctx)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, server.DSN()); err != nil {
		return nil, err
	}
	if err := server.Snapshot(ctx); err != nil {
		return nil, err
	}
	return process, server.Close(ctx)
}

// native returns an empty, migrated database of a TimescaleDB server.
func native(t *testing.T, dsn string) *schema.DB {
	t.Helper()
	s, err := newServer(dsn)
	if err != nil {
		t.Fatalf("ARMORA_TEST_TIMESCALE_DSN: %v", err)
	}
	own := s.database(t, "template0") // nobody connects to it; TimescaleDB's workers do to template1
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, own)
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.Exec(ctx, `CREATE EXTENSION IF NOT EXISTS timescaledb`)
	if closed := conn.Close(ctx); err == nil {
		err = closed
	}
	if err != nil {
		t.Fatal(fmt.Errorf("ARMORA_TEST_TIMESCALE_DSN names a server without TimescaleDB: %w", err))
	}
	if err := migrate(ctx, own); err != nil {
		t.Fatal(err)
	}
	db, err := schema.Open(ctx, own, schema.Options{MaxConns: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}
