package schema_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// start starts a private server that is stopped when the test ends.
func start(t *testing.T, dir string, opts ...schema.PrivateOption) *schema.Private {
	t.Helper()
	p, err := schema.StartPrivate(t.Context(), dir, nil, append(opts, schema.WithoutFsync())...)
	must(t, err)
	t.Cleanup(func() { must(t, p.Close(context.Background())) })
	return p
}

// ask runs one statement and returns the text it answers.
func ask(t testing.TB, dsn, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	must(t, err)
	defer func() { must(t, conn.Close(t.Context())) }()
	var answer string
	must(t, conn.QueryRow(t.Context(), sql).Scan(&answer))
	return answer
}

func TestPrivateServerKeepsItsData(t *testing.T) {
	t.Parallel()
	dir := schematest.Dir(t)
	p, err := schema.StartPrivate(t.Context(), dir, nil)
	must(t, err)
	db, err := schema.Open(t.Context(), p.DSN(), schema.Options{})
	must(t, err)
	must(t, db.Migrate(t.Context()))
	off, err := db.Durability(t.Context())
	must(t, err)
	if len(off) != 0 {
		t.Fatalf("a private server is not durable: %v", off)
	}
	device := newDevice(t, db, fleet.Phone)
	pid := p.PID()
	must(t, p.Close(t.Context())) // with a client still connected
	must(t, p.Close(t.Context()))
	db.Close()
	if err := syscall.Kill(pid, 0); err == nil {
		t.Fatalf("process %d is still there after Close", pid)
	}
	if leftover, err := os.ReadFile(filepath.Join(dir, "postgres", "postmaster.pid")); err == nil {
		t.Fatalf("Close left postmaster.pid: %q", leftover)
	}

	again := start(t, dir)
	db, err = schema.Open(t.Context(), again.DSN(), schema.Options{})
	must(t, err)
	defer db.Close()
	_, err = schema.Devices{DB: db}.Get(t.Context(), device)
	must(t, err)
	off, err = db.Durability(t.Context())
	must(t, err)
	if !slices.Equal(off, []string{"fsync=off", "full_page_writes=off"}) {
		t.Fatalf("what is off without fsync: %v", off)
	}
	for _, secret := range []string{"postgres.password", "hub.lock", "postgres.log"} {
		info, err := os.Stat(filepath.Join(dir, secret))
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Fatalf("%s has mode %v", secret, info.Mode().Perm())
		}
	}
}

func TestPrivateServerWantsItsPassword(t *testing.T) {
	t.Parallel()
	p := start(t, schematest.Dir(t))
	_, err := pgx.Connect(t.Context(), strings.ReplaceAll(p.DSN(), "password=", "password=x"))
	if err == nil || !strings.Contains(err.Error(), "password authentication failed") {
		t.Fatalf("a wrong password: %v", err)
	}
}

func TestPrivateServerFolderIsTakenOnce(t *testing.T) {
	t.Parallel()
	dir := schematest.Dir(t)
	first := start(t, dir)
	_, err := schema.StartPrivate(t.Context(), dir, nil)
	wantCode(t, err, fleet.CodeConflict)
	wantLine(t, err, "in use by another hub", strconv.Itoa(os.Getpid()))
	ask(t, first.DSN(), `SELECT 'undisturbed'`)
}

// wantLine wants one line that names everything that a person needs.
func wantLine(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Fatalf("%q does not say %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Fatalf("%q is more than a line", err)
	}
}

func TestPrivateServerMissingOrOfAnotherVersion(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	_, err := schema.StartPrivate(t.Context(), schematest.Dir(t), nil, schema.WithServersIn(empty))
	wantCode(t, err, fleet.CodeUnavailable)
	wantLine(t, err, "no PostgreSQL server", "apt-get install postgresql-15", "DATABASE_URL")

	dir := schematest.Dir(t)
	data := filepath.Join(dir, "postgres")
	must(t, os.Mkdir(data, 0o700))
	must(t, os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte("14\n"), 0o600))
	_, err = schema.StartPrivate(t.Context(), dir, nil)
	wantCode(t, err, fleet.CodeConflict)
	wantLine(t, err, data, "PostgreSQL 14", "apt-get install postgresql-14", "pg_upgrade")

	old := t.TempDir() // a server that is older than what we can use
	for _, name := range []string{"postgres", "initdb"} {
		must(t, os.WriteFile(filepath.Join(old, name), []byte("#!/bin/sh\necho 'postgres (PostgreSQL) 13.4'\n"), 0o755))
	}
	_, err = schema.StartPrivate(t.Context(), schematest.Dir(t), nil, schema.WithServersIn(old))
	wantLine(t, err, "no PostgreSQL server (15 or newer)")
}

func TestPrivateServerLostPassword(t *testing.T) {
	t.Parallel()
	dir := schematest.Dir(t)
	p := start(t, dir)
	must(t, p.Close(t.Context()))
	must(t, os.Remove(filepath.Join(dir, "postgres.password")))
	_, err := schema.StartPrivate(t.Context(), dir, nil)
	wantLine(t, err, "postgres.password is missing")
}

// TestPrivateServerOfRootNeedsAnOpenFolder: PostgreSQL runs as another user
// then, who cannot walk through a closed home.
func TestPrivateServerOfRootNeedsAnOpenFolder(t *testing.T) {
	t.Parallel()
	dir := schematest.Dir(t)
	must(t, os.Chmod(dir, 0o700))
	inside := filepath.Join(dir, "clone", "var")
	p, err := schema.StartPrivate(t.Context(), inside, nil, schema.WithoutFsync())
	if os.Geteuid() != 0 {
		must(t, err)
		must(t, p.Close(t.Context()))
		return
	}
	wantCode(t, err, fleet.CodeInvalid)
	wantLine(t, err, inside, dir+" is closed", "--data-dir /var/lib/armora")
	if _, err := os.Stat(inside); err == nil {
		t.Fatal("a folder was made that cannot be used")
	}
	// The data folder itself is ours to open.
	must(t, start(t, dir).Close(t.Context()))
}

func TestPrivateServerInADeepFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(schematest.Dir(t), strings.Repeat("deep/", 30))
	p := start(t, dir) // longer than the path of a socket may be
	if got := ask(t, p.DSN(), `SHOW data_directory`); got != filepath.Join(dir, "postgres") {
		t.Fatalf("data_directory is %s", got)
	}
}

const hubFolder = "ARMORA_SCHEMATEST_HUB"

// beHub is a hub that waits to be killed.
func beHub(dir string) {
	p, err := schema.StartPrivate(context.Background(), dir, nil, schema.WithoutFsync())
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println(p.PID())
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends, if nobody kills it
	_ = p.Close(context.Background())
}

// killedHub runs a hub in another process, ends it by the signal to its process
// group, and returns the process id of the server that it has left running.
func killedHub(t *testing.T, dir string, signal syscall.Signal) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), hubFolder+"="+dir)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	input, err := cmd.StdinPipe()
	must(t, err)
	defer func() { _ = input.Close() }()
	output, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	line, err := bufio.NewReader(output).ReadString('\n')
	must(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("the hub says %q", line)
	}
	must(t, syscall.Kill(-cmd.Process.Pid, signal))
	if err := cmd.Wait(); err == nil {
		t.Fatal("the hub was not killed")
	}
	return pid
}

// TestPrivateServerIsAdopted: a hub that is killed, or that Ctrl-C ends at
// once, leaves its server running, and the next hub goes on with it.
func TestPrivateServerIsAdopted(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			dir := schematest.Dir(t)
			left := killedHub(t, dir, signal)
			p := start(t, dir)
			if p.PID() != left {
				t.Fatalf("process %d was started, want %d adopted", p.PID(), left)
			}
			ask(t, p.DSN(), `SELECT 'adopted'`)
			must(t, p.Close(t.Context()))
			if file, err := os.ReadFile(filepath.Join(dir, "postgres", "postmaster.pid")); err == nil {
				t.Fatalf("an adopted server was not stopped: %q", file)
			}
		})
	}
}

// TestPrivateServerThatIsStaleIsReplaced: it was killed with its hub, its pid
// is somebody else's now, or it hangs.
func TestPrivateServerThatIsStaleIsReplaced(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, dir string, pid int){
		"killed": func(t *testing.T, _ string, pid int) { must(t, syscall.Kill(pid, syscall.SIGKILL)) },
		"pid reused": func(t *testing.T, dir string, pid int) {
			must(t, syscall.Kill(pid, syscall.SIGKILL))
			file := filepath.Join(dir, "postgres", "postmaster.pid")
			raw, err := os.ReadFile(file)
			must(t, err)
			_, rest, _ := strings.Cut(string(raw), "\n")
			must(t, os.WriteFile(file, []byte(strconv.Itoa(os.Getpid())+"\n"+rest), 0o600))
		},
		"frozen": func(t *testing.T, _ string, pid int) { must(t, syscall.Kill(pid, syscall.SIGSTOP)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := schematest.Dir(t)
			left := killedHub(t, dir, syscall.SIGKILL)
			spoil(t, dir, left)
			p := start(t, dir, schema.WithPatience(time.Second))
			if p.PID() == left {
				t.Fatalf("process %d was adopted", left)
			}
			ask(t, p.DSN(), `SELECT 'fresh'`)
		})
	}
}

// TestPrivateServerIsStartedAgain: what was committed is there after its server
// was killed under the hub.
func TestPrivateServerIsStartedAgain(t *testing.T) {
	t.Parallel()
	p := start(t, schematest.Dir(t))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.Supervise(ctx)
	}()
	db, err := schema.Open(ctx, p.DSN(), schema.Options{})
	must(t, err)
	defer db.Close()
	must(t, db.Migrate(ctx))
	device := newDevice(t, db, fleet.Phone)
	killed := p.PID()
	must(t, syscall.Kill(killed, syscall.SIGKILL))
	for {
		_, err := schema.Devices{DB: db}.Get(ctx, device)
		if err == nil && p.PID() != killed {
			break
		}
		if err != nil {
			wantCode(t, err, fleet.CodeUnavailable)
		}
	}
	cancel()
	<-ended
}
