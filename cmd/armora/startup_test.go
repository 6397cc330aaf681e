package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"armora/schema"
	"armora/schema/schematest"
	"armora/sim"
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

// A backup holds a lock on every table until it is done.
func TestAHubStartsDuringABackup(t *testing.T) {
	t.Parallel()
	dsn := schematest.PlainDSN(t)
	db, err := schema.Open(t.Context(), dsn, schema.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	backup, err := db.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = backup.Rollback(context.WithoutCancel(t.Context())) }() // it has changed nothing
	if _, err := backup.Exec(t.Context(), `SET LOCAL idle_in_transaction_session_timeout = 0; LOCK TABLE points_default IN ACCESS SHARE MODE`); err != nil {
		t.Fatal(err)
	}
	h := serve(t, "DATABASE_URL="+dsn)
	if !strings.Contains(h.stderr.String(), "not all partitions could be made") {
		t.Error("the backup was in nobody's way")
	}
	device := h.device(sim.Phone)
	c, _ := h.dial(device, 5)
	c.publish(device, 1, point(time.Now(), 0))
	c.expect(packets.Puback)
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

// The demo runs, reports, answers the request that it prints, stops when it is
// told to, and goes on with the same fleet, and with the cards that it was given.
func TestDemo(t *testing.T) {
	t.Parallel()
	dir := schematest.Dir(t)
	var phones [2]string
	for i := range phones {
		demo, out := command(t, nil, "demo", "--data-dir", dir, "--officers", "5", "--riders", "5", "--book-every", "1s",
			"--mqtt-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--mqtt-ws-addr", "127.0.0.1:0", "--metrics-addr", "127.0.0.1:0"), new(safeBuffer)
		demo.Stdout, demo.Stderr = out, out
		if err := demo.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = demo.Process.Kill() }) // it has ended, if all is well
		for _, want := range []string{"MQTT ", "API docs", "metrics", "admin of the API", "points/s in ", "p99 ", "late ", "junk "} {
			waitFor(t, "the demo to say "+want, func() bool { return strings.Contains(out.String(), want) })
		}
		nearby := printed(t, out, `curl -H '(Authorization: Bearer .*)' '(.*)'`)
		waitFor(t, "the officers to be nearby", func() bool { return countNearby(t, nearby[1], nearby[2]) == 5 })
		waitFor(t, "an officer to set out", func() bool { return regexp.MustCompile(`under way [1-9]`).MatchString(out.String()) })
		ada := signsIn(t, out)
		if i == 0 {
			everybodySignsIn(t, out, ada.api)
			ada.keepsCard(out)
		}
		ada.paysByCard()
		phones[i] = printed(t, out, `a phone over MQTT  user (\S+), password \S+`)[1]
		if err := demo.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := demo.Wait(); err != nil {
			t.Fatalf("%v:\n%s", err, out)
		}
		if strings.Contains(out.String(), "went wrong") {
			t.Errorf("a booking or a trip went wrong:\n%s", out)
		}
	}
	if phones[0] != phones[1] {
		t.Errorf("the second demo has another fleet: %q and %q", phones[0], phones[1])
	}
}

// printed finds what a program has printed.
func printed(t *testing.T, out *safeBuffer, pattern string) []string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(out.String())
	if found == nil {
		t.Fatalf("%s is not printed:\n%s", pattern, out)
	}
	return found
}

// countNearby does what the printed curl would.
func countNearby(t *testing.T, header, url string) int {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	name, value, _ := strings.Cut(header, ": ")
	request.Header.Set(name, value)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	var found struct{ Items []struct{ Name string } }
	if err := json.NewDecoder(response.Body).Decode(&found); err != nil {
		t.Fatal(err)
	}
	return len(found.Items)
}
