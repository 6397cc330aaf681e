package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// benchHub is `armora serve` in a process of its own, seen from outside.
type benchHub struct {
	*child
	token              string // of its admin
	mqtt, api, metrics string // where it listens, host:port
}

func startBenchHub(ctx context.Context, log io.Writer, dataDir, dsn string) (*benchHub, error) {
	h := &benchHub{token: rand.Text()}
	var err error
	h.child, err = startChild(ctx, log, []string{"DATABASE_URL=" + dsn, "ARMORA_ADMIN_TOKEN=" + h.token}, "hub",
		"serve", "--log-level", "ERROR", "--data-dir", dataDir, "--http-addr", "127.0.0.1:0",
		"--mqtt-addr", "127.0.0.1:0", "--mqtt-ws-addr", off, "--metrics-addr", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	for last := ""; last != "database"; {
		line, err := h.line()
		if err != nil {
			return nil, err
		}
		what, where, _ := strings.Cut(line, "  ")
		where = strings.TrimSpace(where)
		switch last = what; what {
		case "MQTT":
			h.mqtt = strings.TrimPrefix(where, "mqtt://")
		case "API":
			h.api = strings.TrimPrefix(where, "http://")
		case "metrics":
			h.metrics = strings.TrimSuffix(strings.TrimPrefix(where, "http://"), "/metrics")
		}
	}
	return h, nil
}

// provision makes so many devices over the API, and writes their logins to a
// file.
func (h *benchHub) provision(ctx context.Context, devices int, file string) error {
	logins := make([]login, devices)
	making, ctx := errgroup.WithContext(ctx)
	making.SetLimit(8)
	for i := range logins {
		making.Go(func() error { return h.makeDevice(ctx, i, &logins[i]) })
	}
	if err := making.Wait(); err != nil {
		return fmt.Errorf("provision %d devices: %w", devices, err)
	}
	text, err := json.Marshal(logins)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

func (h *benchHub) makeDevice(ctx context.Context, number int, made *login) error {
	wanted, err := json.Marshal(map[string]string{"kind": "phone", "name": "bench " + strconv.Itoa(number)})
	if err != nil {
		return err
	}
	answer, err := h.ask(ctx, http.MethodPost, "http://"+h.api+"/api/devices", bytes.NewReader(wanted))
	if err != nil {
		return err
	}
	return json.Unmarshal(answer, made)
}

// ask returns the body of a good answer.
func (h *benchHub) ask(ctx context.Context, method, url string, body io.Reader) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+h.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %.200s", method, url, response.Status, answer)
	}
	return answer, err
}

// counters are the hub's metrics, summed over their labels.
func (h *benchHub) counters(ctx context.Context) (map[string]float64, error) {
	text, err := h.ask(ctx, http.MethodGet, "http://"+h.metrics+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	return parseMetrics(text)
}

// parseMetrics reads Prometheus' text format: name{labels} value.
func parseMetrics(text []byte) (map[string]float64, error) {
	sums := make(map[string]float64)
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		end := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(line[end+1:], 64)
		if end < 0 || err != nil {
			return nil, fmt.Errorf("%.80q is no metric", line)
		}
		name, _, _ := strings.Cut(line[:end], "{")
		sums[name] += value
	}
	return sums, nil
}

// progress is what the hub has done with the points that it was sent.
type progress struct {
	decoded, stored, settled int64 // settled: stored, or a repeat, or refused by the database
}

func (h *benchHub) progress(ctx context.Context) (progress, error) {
	n, err := h.counters(ctx)
	if err != nil {
		return progress{}, err
	}
	const ingest = "armora_ingest_"
	stored := n[ingest+"stored_total"]
	return progress{
		decoded: int64(n[ingest+"points_total"]), stored: int64(stored),
		settled: int64(stored + n[ingest+"repeats_total"] + n[ingest+"refused_total"]),
	}, nil
}

// settled waits until nothing that was read waits for its commit.
func (h *benchHub) settled(ctx context.Context) (progress, error) {
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		p, err := h.progress(ctx)
		if err != nil || p.settled >= p.decoded {
			return p, err
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return p, ctx.Err()
		}
	}
}

// memory is what the hub's memory is right after a collection of garbage:
// resident, as the kernel sees it, and in use, as the Go runtime does.
func (h *benchHub) memory(ctx context.Context, proc procfs) (resident, used int64, err error) {
	for range 2 { // what has a finalizer goes with the second
		if _, err := h.ask(ctx, http.MethodGet, "http://"+h.metrics+"/debug/pprof/heap?gc=1", nil); err != nil {
			return 0, 0, err
		}
	}
	n, err := h.counters(ctx)
	if err != nil {
		return 0, 0, err
	}
	resident, err = proc.resident(h.pid())
	return resident, int64(n["go_memstats_heap_inuse_bytes"] + n["go_memstats_stack_inuse_bytes"]), err
}

// benchFolder makes a folder that the database's user can reach, too.
func benchFolder(in string) (string, error) {
	dir, err := os.MkdirTemp(in, "armora-bench-")
	if err != nil {
		return "", err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o711)
}
