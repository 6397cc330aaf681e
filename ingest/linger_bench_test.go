package ingest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// BenchmarkLinger is what the default of Config.Linger was chosen by: the CPU
// that a point costs this process and PostgreSQL, at a given pace, for several
// times to linger. An operation is a point; one a message, of 1000 devices.
//
//	go test ./ingest -run - -bench Linger -benchtime 20000x
func BenchmarkLinger(b *testing.B) {
	for _, pace := range []int{1000, 10000} {
		for _, linger := range []time.Duration{time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond} {
			b.Run(fmt.Sprintf("%d_a_second/%v", pace, linger), func(b *testing.B) { benchmarkLinger(b, pace, linger) })
		}
	}
}

// stopwatch is an ack that adds up how long acks took.
type stopwatch struct {
	since   time.Time
	total   *atomic.Int64
	waiting *atomic.Int64
}

func (w *stopwatch) Resolve(error) {
	w.total.Add(int64(time.Since(w.since)))
	w.waiting.Add(-1)
}
func (w *stopwatch) Weigh(int) error { return nil }
func (w *stopwatch) Refuse(error)    {}
func (w *stopwatch) Flush()          {}

func benchmarkLinger(b *testing.B, pace int, linger time.Duration) {
	db := schematest.Plain(b)
	froms := make([]*fleet.Identity, 1000)
	devices := schema.Devices{DB: db}
	for i := range froms {
		froms[i] = phone()
		device := fleet.Device{ID: froms[i].Device, Kind: fleet.Phone, Name: "phone", Created: start}
		if err := devices.Create(context.Background(), device); err != nil {
			b.Fatal(err)
		}
	}
	if err := (schema.Maintenance{DB: db}).EnsurePartitions(context.Background(), start); err != nil {
		b.Fatal(err)
	}
	c := config(nil, fleet.SystemClock{})
	c.Store, c.DeadLetters, c.Linger = schema.NewPoints(db), schema.DeadLetters{DB: db}, linger
	p := running(b, c)
	var total, waiting atomic.Int64
	ours, theirs := ownCPU(b), serverCPU(b, db)
	b.ResetTimer()
	begin := time.Now()
	for i := range b.N {
		if ahead := time.Duration(i)*time.Second/time.Duration(pace) - time.Since(begin); ahead > time.Millisecond {
			time.Sleep(ahead) // the pace is what is set here, not a wait for something
		}
		second := float64(i / len(froms))
		waiting.Add(1)
		p.Receive(Message{
			From: froms[i%len(froms)], Topic: "v1/devices/x/points", Payload: payload(fix(second, 10*second)),
			Received: at(second), Ack: &stopwatch{since: time.Now(), total: &total, waiting: &waiting},
		})
	}
	mustDrain(b, p)
	b.StopTimer()
	n := float64(b.N)
	b.ReportMetric((ownCPU(b)-ours).Seconds()*1e6/n, "hub-µs/op")
	b.ReportMetric((serverCPU(b, db)-theirs).Seconds()*1e6/n, "pg-µs/op")
	b.ReportMetric(float64(total.Load())/1e6/n, "ms/ack")
	if got := p.Stats(); got.Stored != uint64(b.N) || waiting.Load() != 0 {
		b.Fatalf("stats %+v, %d not acknowledged", got, waiting.Load())
	}
}

// ownCPU returns the CPU time that this process has used.
func ownCPU(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// serverCPU returns the CPU time that the processes of db's server have used:
// those whose parent is its postmaster.
func serverCPU(b *testing.B, db *schema.DB) time.Duration {
	b.Helper()
	var backend int
	if err := db.Pool().QueryRow(context.Background(), "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		b.Fatal(err)
	}
	_, postmaster := processStat(strconv.Itoa(backend))
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
	}
	var ticks int64
	for _, path := range stats {
		if used, parent := processStat(filepath.Base(filepath.Dir(path))); parent == postmaster {
			ticks += used
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100 wherever Go runs
}

// processStat returns the clock ticks that a process has used, and its parent;
// zeros when it is gone.
func processStat(pid string) (ticks int64, parent int) {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return 0, 0
	}
	_, rest, _ := strings.Cut(string(text), ") ") // after the name, which may hold anything
	fields := strings.Fields(rest)
	parent, _ = strconv.Atoi(fields[1])
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return user + system, parent
}
