package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"armora/schema/schematest"
	"armora/sim/load"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	const rest = " S 7 42 42 0 -1 4194560 1 2 3 4 150 25 1000 500 20 0 11 0 100 1 2"
	want := process{parent: 7, used: 1750 * time.Millisecond, reaped: 15 * time.Second}
	for _, name := range []string{"postgres", "a b", "x) S 1 (y", ")", "", "tab\tand\nline"} {
		got, err := parseStat("42 (" + name + ")" + rest + "\n")
		if err != nil || got != want {
			t.Errorf("program named %q: %+v, %v; want %+v", name, got, err, want)
		}
	}
	for _, text := range []string{"", "42", "42 (x", "42 (x) S 1 2", "42 (x)" + strings.Replace(rest, "150", "many", 1)} {
		if got, err := parseStat(text); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
}

// A family is the process, its children that live (and those that nobody has
// reaped), and those that have ended; each once, and nobody else's.
func TestCPUOfFamily(t *testing.T) {
	t.Parallel()
	proc := procfs(t.TempDir())
	for pid, state := range map[int]string{
		10: "(postgres) S 1 0 0 0 0 0 0 0 0 0 100 100 300 400 0",
		11: "(postgres: walwriter) S 10 0 0 0 0 0 0 0 0 0 10 20 0 0 0",
		12: "(postgres: (x) y) Z 10 0 0 0 0 0 0 0 0 0 3 4 5 6 0",
		13: "(stranger) S 1 0 0 0 0 0 0 0 0 0 9999 0 0 0 0",
	} {
		writeFile(t, filepath.Join(string(proc), strconv.Itoa(pid), "stat"), strconv.Itoa(pid)+" "+state)
	}
	writeFile(t, filepath.Join(string(proc), "self", "stat"), "no process of its own")
	writeFile(t, filepath.Join(string(proc), "14", "cmdline"), "ended while it was looked at")
	for pid, want := range map[int]time.Duration{10: 948 * tick, 11: 30 * tick} {
		if got, err := proc.cpuOfFamily(pid); err != nil || got != want {
			t.Errorf("process %d: %v, %v; want %v", pid, got, err, want)
		}
	}
	if _, err := proc.cpuOfFamily(99); err == nil {
		t.Error("a process that is not there has used CPU time")
	}
}

func TestParseBusy(t *testing.T) {
	t.Parallel()
	got, err := parseBusy("cpu  100 20 3 99999 88888 4000 50000 600000 7 7\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
	if want := 654123 * tick; err != nil || got != want {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	for _, text := range []string{"", "cpu 1 2 3", "cpu0 1 2 3 4 5 6 7 8 9 0", "cpu 1 2 x 4 5 6 7 8 9 0"} {
		if got, err := parseBusy(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestMemoryOfAProcess(t *testing.T) {
	t.Parallel()
	proc := procfs(t.TempDir())
	writeFile(t, filepath.Join(string(proc), "10", "status"), "Name:\tVmRSS: x\nVmHWM:\t  900 kB\nVmRSS:\t    1234 kB\n")
	writeFile(t, filepath.Join(string(proc), "11", "status"), "Name:\tkthreadd\n")
	if got, err := proc.resident(10); err != nil || got != 1234<<10 {
		t.Errorf("%d, %v", got, err)
	}
	if got, err := proc.resident(11); err == nil {
		t.Errorf("a kernel thread has %d bytes", got)
	}
}

func TestNoProcIsAClearError(t *testing.T) {
	t.Parallel()
	err := procfs(t.TempDir()).check()
	if err == nil || !strings.Contains(err.Error(), "Linux") {
		t.Error(err)
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestParseMetrics(t *testing.T) {
	t.Parallel()
	got, err := parseMetrics([]byte("# HELP a_total x\n# TYPE a_total counter\na_total{format=\"json\"} 3\na_total{format=\"o s\"} 1.5e+06\n\nb 0.25\n"))
	if err != nil || len(got) != 2 || got["a_total"] != 1500003 || got["b"] != 0.25 {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"a_total", "a_total x", "17"} {
		if got, err := parseMetrics([]byte(text)); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestCellFigures(t *testing.T) {
	t.Parallel()
	began := usage{at: time.Unix(100, 0), hub: time.Second, postgreSQL: 10 * time.Second, others: time.Second}
	ended := usage{at: time.Unix(104, 0), hub: 3 * time.Second, postgreSQL: 11 * time.Second, others: 3 * time.Second}
	report := load.Result{Sent: 400_000, Acknowledged: 400_000, Seconds: 2, Rate: 200_000, CPU: 0.5}

	acknowledged := cell{QoS: 1}
	acknowledged.fill(report, 400_000, began, ended)
	if m := acknowledged; m.Rate != 200_000 || m.Seconds != 2 || m.Hub != 0.5 || m.PostgreSQL != 0.25 || m.Generator != 0.125 || m.Others != 0.5 {
		t.Errorf("QoS 1: %+v", m)
	}
	stored := cell{QoS: 0} // half of it, when the last commit was done
	stored.fill(report, 200_000, began, ended)
	if m := stored; m.Rate != 50_000 || m.Seconds != 4 || m.Hub != 1 || m.PostgreSQL != 0.5 || m.Generator != 0.125 || m.Acknowledged != 0 {
		t.Errorf("QoS 0: %+v", m)
	}
	nothing := cell{QoS: 0}
	nothing.fill(load.Result{}, 0, began, ended)
	if nothing.Rate != 0 || nothing.Hub != 0 || nothing.Generator != 0 {
		t.Errorf("nothing: %+v", nothing)
	}
}

func TestTableLinesUp(t *testing.T) {
	t.Parallel()
	var head, row strings.Builder
	printHead(&head)
	m := cell{
		QoS: 1, PerPacket: 10, Connections: 1000, Rate: 345_678.9, Sent: 12_345_678, Stored: 12_345_678, Hub: 0.25, PostgreSQL: 1, P50: 12.34, P99: 1234.56,
		Beside: &copyFigures{Rate: 512_345}, OfCopyAlone: 0.614, OfCopyBeside: 0.675,
	}
	m.print(&row)
	for _, want := range []string{"345,679", "12,345,678", "0.250", "12.3", "1234.6", "512,345", "61.4%", "67.5%"} {
		if !strings.Contains(row.String(), want) {
			t.Errorf("%s is not in %s", want, row.String())
		}
	}
	lines := strings.Split(strings.TrimSpace(head.String())+"\n"+row.String(), "\n")
	titles, values := lines[len(lines)-3], lines[len(lines)-2]
	if len(titles) != len(values) {
		t.Errorf("columns do not line up:\n%s\n%s", titles, values)
	}
	for n, want := range map[float64]string{0: "0", 999.4: "999", 999.6: "1,000", -1234567: "-1,234,567", -12: "-12"} {
		if got := grouped(n); got != want {
			t.Errorf("%v is written %s, want %s", n, got, want)
		}
	}
}

func TestBenchRefusesWhatItCannotMeasure(t *testing.T) {
	t.Parallel()
	for _, args := range []string{
		"--qos 2", "--qos 1,-1", "--per-packet 0", "--connections 0", "--connections 100000000", "--idle -1",
		"--duration 0s", "--dir /no/such/folder",
	} {
		var out, log strings.Builder
		if code := run(t.Context(), append([]string{"bench", "ingest"}, strings.Fields(args)...), console{&out, &log}); code != 1 || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("%s: code %d: %s%s", args, code, out.String(), log.String())
		}
	}
}

// benchBinary builds the program.
func benchBinary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "armora")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// Tiny as it is, it is the whole bench: what is acknowledged is stored, and
// nothing of it is left behind.
func TestBenchIngest(t *testing.T) {
	t.Parallel()
	dir, report := schematest.Dir(t), filepath.Join(t.TempDir(), "figures.json")
	bench := exec.CommandContext(t.Context(), benchBinary(t), "bench", "ingest", "--dir", dir, "--json", report,
		"--connections", "3", "--points", "300", "--idle", "5", "--ceiling", "100ms")
	out, err := bench.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var f figures
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Cells) != 4 || f.Idle == nil || f.Idle.Connections != 5 || f.Copy == nil || f.Copy.Rows == 0 {
		t.Fatalf("figures are missing: %s", text)
	}
	for _, m := range f.Cells {
		if m.Sent != 300 || m.Stored != 300 || m.QoS == 1 && m.Acknowledged != 300 {
			t.Errorf("points were lost: %+v", m)
		}
		if m.Rate <= 0 || m.Beside == nil || m.Beside.Rows == 0 {
			t.Errorf("figures are missing: %+v", m)
		}
	}
	nothingIsLeft(t, dir)
	t.Logf("%s", out)
}

func TestInterruptedBenchLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := schematest.Dir(t)
	bench := exec.CommandContext(t.Context(), benchBinary(t), "bench", "ingest", "--dir", dir, "--connections", "3", "--idle", "3", "--ceiling", "100ms", "--duration", "10m")
	var log strings.Builder
	bench.Stderr = &log
	out, err := bench.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := bench.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "QoS") { // then the generator runs
	}
	if err := bench.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	if err := bench.Wait(); err == nil || strings.TrimSpace(log.String()) != "armora: interrupted: the figures are not complete" {
		t.Errorf("%v: %s", err, log.String())
	}
	nothingIsLeft(t, dir)
}

// nothingIsLeft checks that neither a file nor a process is.
func nothingIsLeft(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range processes {
		if line, err := os.ReadFile(path); err == nil && strings.Contains(string(line), dir) {
			t.Errorf("a process is left: %s", strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
}
