package main

import (
	"bytes"
	"context"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"armora/schema"
	"armora/schema/schematest"
)

// refuses runs the binary, which has to end by itself with one line that says
// what to do.
func refuses(t *testing.T, env []string, want string, args ...string) {
	t.Helper()
	cmd := command(t, env, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // how it ended is in ProcessState
	}()
	select {
	case <-done:
	case <-time.After(answerTimeout):
		_ = cmd.Process.Kill()
		t.Fatalf("armora %v goes on:\n%s", args, &errs)
	}
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("armora %v ends with %d", args, code)
	}
	var said []string
	for line := range strings.Lines(errs.String()) {
		if !strings.HasPrefix(line, "time=") { // the log
			said = append(said, line)
		}
	}
	if len(said) != 1 || !strings.HasPrefix(said[0], "armora: ") || !strings.Contains(said[0], want) {
		t.Errorf("armora %v says %q, want one line with %q", args, said, want)
	}
}

func TestTakenPorts(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() //nolint:errcheck // it was never used
	dir := schematest.Dir(t)
	for _, flag := range []string{"--mqtt-addr", "--mqtt-ws-addr", "--http-addr", "--metrics-addr"} {
		args := []string{"serve", "--data-dir", dir}
		for _, other := range []string{"--mqtt-addr", "--mqtt-ws-addr", "--http-addr", "--metrics-addr"} {
			if other != flag {
				args = append(args, other, "127.0.0.1:0")
			}
		}
		args = append(args, flag, taken.Addr().String())
		refuses(t, nil, taken.Addr().String(), args...)
		refuses(t, nil, "taken", args...)
		refuses(t, nil, flag, args...)
	}
}

func TestBadDatabaseAddresses(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{
		"postgres://user:hunter2@127.0.0.1:1/none": "cannot be reached",
		"nonsense": "cannot be read",
	} {
		refuses(t, []string{"DATABASE_URL=" + dsn}, want, "serve", "--data-dir", schematest.Dir(t), "--metrics-addr", "off")
	}
	server := startPostgreSQL(t, schematest.Dir(t))
	wrong := strings.Replace(server.DSN(), "dbname=armora", "dbname=elsewhere", 1)
	refuses(t, []string{"DATABASE_URL=" + wrong}, "elsewhere", "migrate")
}

func TestNewerDatabase(t *testing.T) {
	t.Parallel()
	server := startPostgreSQL(t, schematest.Dir(t))
	env := []string{"DATABASE_URL=" + server.DSN()}
	if out, err := command(t, env, "migrate").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	db, err := schema.Open(t.Context(), server.DSN(), schema.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Pool().Exec(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`); err != nil {
		t.Fatal(err)
	}
	refuses(t, env, "newer than this binary", "migrate")
	refuses(t, env, "newer than this binary", "serve", "--data-dir", schematest.Dir(t), "--metrics-addr", "off")
}

func TestOneHubAFolder(t *testing.T) {
	t.Parallel()
	h := serve(t)
	refuses(t, nil, "in use by another hub", "serve", "--data-dir", h.dir, "--metrics-addr", "off")
}

func TestHealthOfARunningHub(t *testing.T) {
	t.Parallel()
	h := serve(t)
	addr := strings.TrimPrefix(h.api, "http://")
	if out, err := command(t, nil, "health", "--http-addr", addr).CombinedOutput(); err != nil || !strings.Contains(string(out), "ready") {
		t.Errorf("health: %v: %s", err, out)
	}
	h.stop()
	refuses(t, nil, "does not answer", "health", "--http-addr", addr)
}

// The demo runs, reports, stops, and goes on with the same fleet.
func TestDemo(t *testing.T) {
	t.Parallel()
	dir := schematest.Dir(t)
	var devices [2]string
	for i := range devices {
		ctx, cancel := context.WithTimeout(t.Context(), answerTimeout)
		defer cancel()
		path, err := hubBinary()
		if err != nil {
			t.Fatal(err)
		}
		demo := exec.CommandContext(ctx, path, "demo", "--data-dir", dir, "--officers", "5", "--for", "4s",
			"--mqtt-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--mqtt-ws-addr", "127.0.0.1:0", "--metrics-addr", "127.0.0.1:0")
		demo.Env = foreignEnv()
		out, err := demo.CombinedOutput()
		if err != nil {
			t.Fatalf("%v:\n%s", err, out)
		}
		for _, want := range []string{"MQTT ", "API docs", "metrics", "admin of the API", "a phone over MQTT", "points/s in ", "p99 ", "late ", "junk "} {
			if !strings.Contains(string(out), want) {
				t.Errorf("the demo does not say %q:\n%s", want, out)
			}
		}
		_, after, _ := strings.Cut(string(out), "a phone over MQTT  user ")
		devices[i], _, _ = strings.Cut(after, ",")
	}
	if devices[0] == "" || devices[0] != devices[1] {
		t.Errorf("the second demo has another fleet: %q and %q", devices[0], devices[1])
	}
}
