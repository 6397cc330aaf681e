package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"armora/sim/load"
)

// figures are what a run has measured.
type figures struct {
	CPUs       int          `json:"cpus"`
	LoadBefore string       `json:"load_average_before"`
	LoadAfter  string       `json:"load_average_after"`
	Go         string       `json:"go"`
	PostgreSQL string       `json:"postgresql"`
	InMemory   bool         `json:"data_in_memory"`
	Encoding   string       `json:"encoding"`
	Window     int          `json:"window"`
	Idle       *idleFigures `json:"idle,omitempty"`
	Copy       *copyFigures `json:"copy_alone,omitempty"`
	Cells      []cell       `json:"cells"`
}

// idleFigures are the hub's memory, in bytes, without and with idle connections.
type idleFigures struct {
	Connections    int     `json:"connections"`
	ResidentBefore int64   `json:"resident_bytes_before"`
	ResidentAfter  int64   `json:"resident_bytes_after"`
	UsedBefore     int64   `json:"heap_and_stack_bytes_before"`
	UsedAfter      int64   `json:"heap_and_stack_bytes_after"`
	Resident       float64 `json:"resident_bytes_per_connection"`
	Used           float64 `json:"heap_and_stack_bytes_per_connection"`
}

func (f *idleFigures) fill() {
	f.Resident = ratio(float64(f.ResidentAfter-f.ResidentBefore), float64(f.Connections))
	f.Used = ratio(float64(f.UsedAfter-f.UsedBefore), float64(f.Connections))
}

// copyFigures are a run of bare COPY.
type copyFigures struct {
	Rows       int64   `json:"rows"`
	Seconds    float64 `json:"seconds"`
	Rate       float64 `json:"rows_per_second"`
	PostgreSQL float64 `json:"postgresql_cpu_seconds_per_100k_rows"`
	Load       float64 `json:"points_per_second_received_beside"` // and stored by nobody
	Others     float64 `json:"cpus_used_by_others"`
}

// cell is one combination of the matrix.
type cell struct {
	QoS          int          `json:"qos"`
	PerPacket    int          `json:"points_per_message"`
	Connections  int          `json:"connections"`
	Sent         int64        `json:"points_sent"`
	Acknowledged int64        `json:"points_acknowledged"` // QoS 1
	Stored       int64        `json:"points_stored"`
	Seconds      float64      `json:"seconds"`           // QoS 1: until the last acknowledgement; QoS 0: until the last commit
	Rate         float64      `json:"points_per_second"` // QoS 1: acknowledged; QoS 0: stored
	Hub          float64      `json:"hub_cpu_seconds_per_100k_points"`
	PostgreSQL   float64      `json:"postgresql_cpu_seconds_per_100k_points"`
	Generator    float64      `json:"generator_cpu_seconds_per_100k_points"` // sent
	Others       float64      `json:"cpus_used_by_others"`                   // which are no part of the bench
	P50          float64      `json:"p50_ms"`
	P99          float64      `json:"p99_ms"`
	Beside       *copyFigures `json:"copy_beside,omitempty"`
	OfCopyAlone  float64      `json:"rate_of_copy_alone,omitempty"`
	OfCopyBeside float64      `json:"rate_of_copy_beside,omitempty"`
}

// fill takes the generator's own report, and what was seen from outside.
func (m *cell) fill(r load.Result, stored int64, began, ended usage) {
	m.Sent, m.Stored, m.P50, m.P99 = r.Sent, stored, r.P50, r.P99
	m.Seconds, m.Rate = ended.at.Sub(began.at).Seconds(), 0
	if m.QoS == 1 {
		m.Acknowledged, m.Seconds, m.Rate = r.Acknowledged, r.Seconds, r.Rate
	} else {
		m.Rate = ratio(float64(stored), m.Seconds)
	}
	m.Hub = per100k(ended.hub-began.hub, stored)
	m.PostgreSQL = per100k(ended.postgreSQL-began.postgreSQL, stored)
	m.Others = ended.othersSince(began)
	m.Generator = per100k(time.Duration(r.CPU*float64(time.Second)), r.Sent)
}

// per100k is how many CPU seconds 100,000 points took.
func per100k(used time.Duration, points int64) float64 {
	return ratio(used.Seconds()*100_000, float64(points))
}

// ratio is a/b, and 0 when there is no b.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func (f *figures) printMachine(out io.Writer) {
	_, _ = fmt.Fprintf(out, "%d CPUs, load average %s; %s; %s; points as %s, at most %d messages of a connection unacknowledged\n",
		f.CPUs, f.LoadBefore, f.PostgreSQL, f.Go, f.Encoding, f.Window)
}

func (f *idleFigures) print(out io.Writer) {
	mb := func(bytes int64) float64 { return float64(bytes) / 1e6 }
	_, _ = fmt.Fprintf(out, "%s idle connections: the hub's resident memory went from %.1f to %.1f MB, %.1f kB a connection (heap and stacks in use: %.1f kB)\n",
		grouped(float64(f.Connections)), mb(f.ResidentBefore), mb(f.ResidentAfter), f.Resident/1e3, f.Used/1e3)
}

func (f *copyFigures) print(out io.Writer) {
	_, _ = fmt.Fprintf(out, "bare COPY alone: %s rows/s, PostgreSQL %.3f CPU s per 100k rows; %.1f CPUs were used by others\n",
		grouped(f.Rate), f.PostgreSQL, f.Others)
}

// The table: a row is printed when it is measured, so the columns have widths of
// their own.
const (
	headFormat = "%-4s %8s %8s %10s %10s %10s %8s %8s %8s %6s %8s %8s %9s %7s %7s\n"
	rowFormat  = "%-4d %8d %8d %10s %10s %10s %8.3f %8.3f %8.3f %6.1f %8s %8s %9s %7s %7s\n"
)

func printHead(out io.Writer) {
	line := func(cells ...any) {
		_, _ = fmt.Fprintln(out, strings.TrimRight(fmt.Sprintf(headFormat, cells...), " \n"))
	}
	_, _ = fmt.Fprintln(out)
	line("", "points/", "connec-", "", "points", "points", "CPU s", "per 100k", "points", "CPUs", "publish", "to ack", "COPY", "hub to", "COPY")
	line("QoS", "message", "tions", "points/s", "sent", "stored", "hub", "Postgres", "load", "others", "p50 ms", "p99 ms", "rows/s", "beside", "alone")
}

func (m *cell) print(out io.Writer) {
	p50, p99, copied, beside, alone := "-", "-", "-", "-", "-"
	if m.QoS == 1 {
		p50, p99 = fmt.Sprintf("%.1f", m.P50), fmt.Sprintf("%.1f", m.P99)
	}
	others := m.Others
	if m.Beside != nil {
		others = max(others, m.Beside.Others)
		copied = grouped(m.Beside.Rate)
		beside, alone = fmt.Sprintf("%.1f%%", 100*m.OfCopyBeside), fmt.Sprintf("%.1f%%", 100*m.OfCopyAlone)
	}
	_, _ = fmt.Fprintf(out, rowFormat, m.QoS, m.PerPacket, m.Connections, grouped(m.Rate), grouped(float64(m.Sent)), grouped(float64(m.Stored)),
		m.Hub, m.PostgreSQL, m.Generator, others, p50, p99, copied, beside, alone)
}

func (f *figures) printFoot(out io.Writer) {
	_, _ = fmt.Fprintf(out, `
points/s   QoS 1: acknowledged, which is committed. QoS 0, at most once: stored, until the last commit; what was sent and
           is not stored was dropped because too much waited for the database. QoS 0 is sent at the points/s of QoS 1, if
           that was measured and there is no --rate.
CPU s      of each process: the hub, PostgreSQL with all its backends, and the load generator (per 100k points sent).
others     processors that programs which are no part of the bench kept busy meanwhile, or beside COPY if
           that was more: the row is as good as this is close to 0.
to ack     from the write of a message until its PUBACK, with the most unacknowledged that are allowed.
COPY       rows packed, sorted and encoded beforehand, by bare COPY of %d rows over %d connections into a table with the
           columns, partitions and unique index of points, in a database of its own; the table is empty at first.
beside     measured while the generator sends, in the row's own way and at the row's own points/s, to a front door with
           nothing behind it: the hub's broker in a process of its own, which acknowledges after %v and stores nothing.
load average after: %s
`, ceilingRows, ceilingConnections, sinkRhythm, f.LoadAfter)
}

// grouped writes a number rounded and with its thousands apart.
func grouped(n float64) string {
	digits := fmt.Sprintf("%.0f", n)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}
