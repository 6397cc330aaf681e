package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"armora/schema/schematest"
	"armora/sim"
	"armora/sim/loopback"
	"armora/sim/wire"
)

const testToken = "a-bootstrap-token-for-tests"

// hubBinary is the hub, built once, with the race detector if the tests have it.
var hubBinary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "armora-binary-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "armora")
	args := []string{"build", "-o", path}
	if raceEnabled {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := hubBinary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path)) // what is left of it is in the temporary folder
	}
	os.Exit(code)
}

// served is `armora serve`, a process of its own.
type served struct {
	t            *testing.T
	dir          string // its data folder
	env          []string
	mqtt         string // the same after a restart
	http         string // likewise; "": chosen by the system at each start
	api, metrics string
	cmd          *exec.Cmd
	exited       chan struct{}
	stderr       *safeBuffer
	private      bool
	token        string // of whoever asks the API
}

// safeBuffer is a log that is written by one goroutine and read by another.
type safeBuffer struct {
	mu  sync.Mutex
	log bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.String()
}

// serve starts a hub on a private PostgreSQL, or on the one that env names.
func serve(t *testing.T, env ...string) *served {
	t.Helper()
	h := &served{t: t, dir: schematest.Dir(t), env: env, mqtt: loopback.Free(t), private: true, stderr: new(safeBuffer), token: testToken}
	for _, e := range env {
		h.private = h.private && !strings.HasPrefix(e, "DATABASE_URL=")
	}
	t.Cleanup(h.cleanUp)
	h.start()
	return h
}

// command is the hub's binary with arguments, in an environment without settings.
func command(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := hubBinary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(append(foreignEnv(), "ARMORA_ADMIN_TOKEN="+testToken), env...)
	return cmd
}

// start returns when the hub is up.
func (h *served) start() {
	h.t.Helper()
	h.startUntil("database")
}

// startUntil starts the hub, and returns when it has said where something is.
func (h *served) startUntil(last string) {
	h.t.Helper()
	h.cmd = command(h.t, h.env, "serve", "--data-dir", h.dir, "--mqtt-addr", h.mqtt, "--http-addr", cmp.Or(h.http, "127.0.0.1:0"),
		"--mqtt-ws-addr", "off", "--metrics-addr", "127.0.0.1:0")
	h.cmd.Stderr = h.stderr
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.exited = make(chan struct{})
	lines, up := bufio.NewScanner(out), false
	for !up && lines.Scan() {
		what, where, _ := strings.Cut(strings.TrimSpace(lines.Text()), "  ")
		where = strings.TrimPrefix(strings.TrimSpace(where), "http://")
		switch what {
		case "API":
			h.api = "http://" + where
		case "metrics":
			h.metrics = "http://" + where
		}
		up = what == last
	}
	go func() {
		defer close(h.exited)
		_, _ = io.Copy(io.Discard, out)
		_ = h.cmd.Wait() // how it ended is in ProcessState
	}()
	if !up {
		<-h.exited
		h.t.Fatalf("the hub does not start:\n%s", h.stderr.String())
	}
}

// kill ends the hub with SIGKILL.
func (h *served) kill() { h.end(syscall.SIGKILL) }

// stop ends the hub politely.
func (h *served) stop() {
	h.t.Helper()
	h.end(syscall.SIGTERM)
	if code := h.cmd.ProcessState.ExitCode(); code != 0 {
		h.t.Errorf("the hub ends with %d:\n%s", code, h.stderr.String())
	}
}

func (h *served) end(signal syscall.Signal) {
	_ = h.cmd.Process.Signal(signal) // it may have ended
	<-h.exited
}

func (h *served) cleanUp() {
	if h.cmd != nil && h.cmd.Process != nil {
		h.kill()
	}
	if h.private {
		if pid := h.postmaster(); pid != 0 {
			signalFamily(pid, syscall.SIGKILL)
			waitFor(h.t, "the private PostgreSQL to be gone", func() bool { return syscall.Kill(pid, 0) != nil })
		}
	}
	if h.t.Failed() {
		h.t.Logf("the hub's log:\n%s", h.stderr.String())
	}
}

// postmaster is the process id of the hub's own PostgreSQL, 0 if there is none.
func (h *served) postmaster() int {
	text, err := os.ReadFile(filepath.Join(h.dir, "postgres", "postmaster.pid"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil || syscall.Kill(pid, 0) != nil {
		return 0
	}
	return pid
}

// signalFamily sends a signal to a process and to its children.
func signalFamily(pid int, signal syscall.Signal) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	family := []int{pid}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state ppid …, and a name may hold anything.
		after := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if after[1] == strconv.Itoa(pid) {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			family = append(family, child)
		}
	}
	for _, member := range family {
		_ = syscall.Kill(member, signal) // it may have ended
	}
}

// waitFor waits until something holds.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick, deadline := time.NewTicker(20*time.Millisecond), time.After(90*time.Second)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited too long for %s", what)
		}
	}
}

// ask calls the API, as the admin unless token is another's, and returns the answer's body.
func (h *served) ask(method, path string, body any, status int) []byte {
	h.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		h.t.Fatal(err)
	}
	request, err := http.NewRequest(method, h.api+path, bytes.NewReader(text))
	if err != nil {
		h.t.Fatal(err)
	}
	if body == nil {
		request.Body = http.NoBody
	} else {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("Authorization", "Bearer "+h.token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	if response.StatusCode != status {
		h.t.Fatalf("%s %s: %s: %s", method, path, response.Status, answer)
	}
	return answer
}

// device makes a device over the API.
func (h *served) device(kind sim.Kind) sim.Device {
	h.t.Helper()
	var made struct{ ID, Secret string }
	h.read(h.ask("POST", "/api/devices", map[string]any{"kind": kind, "name": "of a test"}, http.StatusCreated), &made)
	return sim.Device{ID: made.ID, Secret: made.Secret, Kind: kind}
}

func (h *served) read(text []byte, into any) {
	h.t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		h.t.Fatalf("%v in %s", err, text)
	}
}

// devices makes a phone and a tracker for each of so many officers.
func (h *served) devices(officers int) (made []sim.Device) {
	h.t.Helper()
	for i := range officers {
		phone, tracker := h.device(sim.Phone), h.device(sim.Tracker)
		phone.Officer, tracker.Officer, tracker.Encoding = i, i, wire.Protobuf
		made = append(made, phone, tracker)
	}
	return made
}

// city is a simulated fleet that reports to the hub at 10 Hz, and keeps a log.
type city struct {
	*sim.Fleet
	t    *testing.T
	log  *sim.Log
	end  func()
	done chan error
}

func (h *served) city(devices []sim.Device) *city {
	h.t.Helper()
	c := &city{t: h.t, log: sim.NewLog(), done: make(chan error, 1)}
	var err error
	c.Fleet, err = sim.New(sim.Config{
		Connection: sim.Connection{Brokers: []string{h.mqtt}}, Devices: devices, Seed: 7,
		Interval: 100 * time.Millisecond, OfflineEvery: -1, StopTimeout: 80 * time.Second,
		Log: c.log, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := contextOf(h.t)
	c.end = cancel
	go func() { c.done <- c.Run(ctx) }()
	return c
}

// acknowledged waits until so many more points are acknowledged.
func (c *city) acknowledged(more uint64) {
	c.t.Helper()
	want := c.Stats().Acknowledged + more
	waitFor(c.t, fmt.Sprintf("%d more acknowledged points", more), func() bool { return c.Stats().Acknowledged >= want })
}

// stop ends the fleet once everything it sent is answered.
func (c *city) stop() {
	c.t.Helper()
	c.end()
	if err := <-c.done; err != nil {
		c.t.Errorf("the fleet: %v (%+v)", err, c.Stats())
	}
	if s := c.Stats(); s.Lost+s.Refused+s.Rejected > 0 {
		c.t.Errorf("lost %d, refused %d, rejected %d", s.Lost, s.Refused, s.Rejected)
	}
}
