package schematest_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"armora/schema"
	"armora/schema/schematest"
)

const child = "ARMORA_SCHEMATEST_CHILD"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestEveryTestHasADatabaseOfItsOwn: what one writes, none of the others sees.
func TestEveryTestHasADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	for range 3 {
		schematest.Each(t, func(t *testing.T, db *schema.DB) {
			if err := db.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := db.Pool().Exec(t.Context(), `CREATE TABLE mine (id integer)`); err != nil {
				t.Fatal(err)
			}
			if db.Timescale() != strings.HasPrefix(last(t.Name()), "timescale") {
				t.Fatalf("%s runs on TimescaleDB: %v", t.Name(), db.Timescale())
			}
		})
	}
}

func last(name string) string { return name[strings.LastIndex(name, "/")+1:] }

// TestChild is the other process of the next test.
func TestChild(t *testing.T) {
	if os.Getenv(child) == "" {
		return
	}
	config, err := pgx.ParseConfig(schematest.PlainDSN(t))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("folder " + config.Host)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// TestTheServerEndsWithTheTests: however they end.
func TestTheServerEndsWithTheTests(t *testing.T) {
	t.Parallel()
	if os.Getenv("ARMORA_TEST_POSTGRES_DSN") != "" {
		return // that server is not ours to end
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestChild$")
	cmd.Env = append(os.Environ(), child+"=1")
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = input.Close() }()
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	folder, ok := strings.CutPrefix(strings.TrimSpace(line), "folder ")
	if err != nil || !ok {
		t.Fatalf("the child says %q, %v", line, err)
	}
	if _, err := os.Stat(folder + "/.s.PGSQL.5432"); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	for {          // until the folder is gone; the test's own deadline ends it otherwise
		if _, err := os.Stat(folder); os.IsNotExist(err) {
			return
		}
	}
}
