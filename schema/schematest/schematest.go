// Package schematest gives tests real databases: each test its own, migrated
// and empty, on plain PostgreSQL and on TimescaleDB.
//
// One private PostgreSQL serves a test binary. It needs no TestMain and leaves
// nothing behind, however the binary ends: a small process beside it waits for
// the end of its standard input, which is the end of the binary, then ends the
// server and removes its folder. With ARMORA_TEST_POSTGRES_DSN set, that server
// is used instead, and only databases of its own are made there and dropped.
package schematest

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/schema"
)

// startPatience is far more than a start takes: it only ends what hangs.
const startPatience = 2 * time.Minute

// server is where this test binary makes its databases.
type server struct {
	dsn      func(database string) string
	template string   // a migrated database to copy; "" on a server that is not ours, to leave nothing there
	lifeline *os.File // its closing, by the end of this process, ends the server
}

// plain is started by the first test that needs it.
var plain = sync.OnceValues(startPlain)

// Plain returns an empty, migrated database on plain PostgreSQL, which is
// dropped when the test ends.
func Plain(t testing.TB) *schema.DB {
	t.Helper()
	db, err := schema.Open(t.Context(), PlainDSN(t), schema.Options{MaxConns: 8})
	if err != nil {
		t.Fatalf("open the test's database: %v", err)
	}
	t.Cleanup(db.Close)
	return db
}

// PlainDSN is Plain for tests that open the database themselves.
func PlainDSN(t testing.TB) string {
	t.Helper()
	s, err := plain()
	if err != nil {
		t.Fatalf("start PostgreSQL for tests: %v", err)
	}
	if s.template != "" {
		return s.database(t, s.template)
	}
	dsn := s.database(t, "template0")
	if err := migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	return dsn
}

// EmptyDSN is a database on plain PostgreSQL that was not migrated.
func EmptyDSN(t testing.TB) string {
	t.Helper()
	s, err := plain()
	if err != nil {
		t.Fatalf("start PostgreSQL for tests: %v", err)
	}
	return s.database(t, "template0")
}

// database makes a database for the test from a template.
func (s *server) database(t testing.TB, template string) string {
	t.Helper()
	name := newName()
	// A copy of the files keeps the server's log short, which would fill its memory.
	if err := s.run(t.Context(), `CREATE DATABASE `+name+` TEMPLATE `+template+` STRATEGY file_copy`); err != nil {
		t.Fatalf("make the test's database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startPatience)
		defer cancel()
		if err := s.run(ctx, `DROP DATABASE `+name+` WITH (FORCE)`); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	return s.dsn(name)
}

// newName is a database's: no other test binary on the server has it.
func newName() string { return "armora_test_" + strings.ToLower(rand.Text()) }

// run runs one statement on a connection of its own: no pool outlives a test.
func (s *server) run(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, s.dsn("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	if closed := conn.Close(ctx); err == nil {
		err = closed
	}
	return err
}

func startPlain() (*server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	if dsn := os.Getenv("ARMORA_TEST_POSTGRES_DSN"); dsn != "" {
		return newServer(dsn)
	}
	dsn, lifeline, err := startPrivate(ctx)
	if err != nil {
		return nil, err
	}
	s, err := newServer(dsn)
	if err != nil {
		return nil, err
	}
	s.lifeline, s.template = lifeline, newName()
	if err := s.run(ctx, `CREATE DATABASE `+s.template+` TEMPLATE template0`); err != nil {
		return nil, err
	}
	return s, migrate(ctx, s.dsn(s.template))
}

// newServer is the server of a database's address.
func newServer(dsn string) (*server, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	return &server{dsn: func(database string) string { return withDatabase(config, database) }}, nil
}

func migrate(ctx context.Context, dsn string) error {
	db, err := schema.Open(ctx, dsn, schema.Options{MaxConns: 2})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Migrate(ctx)
}

// withDatabase is the address of another database on the same server.
func withDatabase(c *pgx.ConnConfig, database string) string {
	return fmt.Sprintf("host='%s' port=%d user='%s' password='%s' dbname=%s sslmode=disable",
		c.Host, c.Port, c.User, c.Password, database)
}

// memory is a folder in memory with room for the servers of tests, "" if there is none: to
// make a database of a thousand files takes a tenth of the time there that it takes a disk.
func memory() string {
	const folder, room = "/dev/shm", 6 << 30
	var s syscall.Statfs_t
	if syscall.Statfs(folder, &s) != nil || uint64(s.Bsize)*s.Bavail < room { //nolint:gosec // a size of blocks is above zero
		return ""
	}
	return folder
}

// startPrivate starts a server that ends when lifeline is closed.
func startPrivate(ctx context.Context) (dsn string, lifeline *os.File, err error) {
	dir, err := os.MkdirTemp(memory(), "armora-schematest-")
	if err != nil {
		return "", nil, err
	}
	if lifeline, err = watch(dir); err != nil {
		return "", nil, err
	}
	p, err := schema.StartPrivate(ctx, dir, nil, schema.WithoutFsync())
	if err != nil {
		return "", nil, err
	}
	return p.DSN(), lifeline, nil
}

// endServer waits for the end of its input, then ends the server whose pid is
// in the file $1 and removes the folder $2.
const endServer = `
cat
if [ -f "$1" ]; then
	pid=$(head -n 1 "$1")
	kill -QUIT "$pid"
	tries=300 # a process that nobody reaps never goes away
	while [ $tries -gt 0 ] && kill -0 "$pid"; do sleep 0.1; tries=$((tries - 1)); done
fi
rm -rf "$2"`

// watch starts the process that cleans up after this one.
func watch(dir string) (lifeline *os.File, err error) {
	input, lifeline, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(context.Background(), "sh", "-c", endServer, "sh",
		filepath.Join(dir, "postgres", "postmaster.pid"), dir)
	cmd.Stdin = input
	// A session of its own: Ctrl-C must not end it before it has cleaned up.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return lifeline, input.Close()
}

// Dir returns a new folder for a hub's data, removed when the test ends. Unlike
// t.TempDir it can be passed through by the user that PostgreSQL runs as when
// the tests run as root.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "armora-test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the test's folder: %v", err)
		}
	})
	return dir
}
