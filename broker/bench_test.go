package broker

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"armora/fleet"
)

// batcher resolves what it receives in batches, as a committing writer does.
type batcher struct {
	mu    sync.Mutex
	batch []*Ack
	size  int
	full  chan []*Ack
}

func (r *batcher) Receive(m Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batch = append(r.batch, m.Ack)
	if len(r.batch) >= r.size {
		r.full <- r.batch
		r.batch = make([]*Ack, 0, r.size)
	}
}

func (r *batcher) run() {
	for batch := range r.full {
		for _, a := range batch {
			a.Resolve(nil)
		}
		for _, a := range batch {
			a.Flush()
		}
	}
}

// flushRest hands over what has not made a batch, until stop is closed.
func (r *batcher) flushRest(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			close(r.full)
			return
		case <-time.After(time.Millisecond):
			r.mu.Lock()
			if len(r.batch) > 0 {
				r.full <- r.batch
				r.batch = make([]*Ack, 0, r.size)
			}
			r.mu.Unlock()
		}
	}
}

// BenchmarkPublish is 100 connections that publish one point a message at QoS 1
// with a window of 64 each, and a receiver that resolves 500 at a time. The
// clients run in a process of their own, so that the CPU time is the broker's.
func BenchmarkPublish(b *testing.B) {
	const connections = 100
	r := &batcher{size: 500, full: make(chan []*Ack, 1024)}
	h := benchHub(b, r)
	stop := make(chan struct{})
	var resolving sync.WaitGroup
	resolving.Go(r.run)
	resolving.Go(func() { r.flushRest(stop) })

	each := max(1, b.N/connections)
	b.ReportAllocs()
	before := cpuTime(b)
	b.ResetTimer()
	runHelper(b, "publish", h.TCPAddr().String(), strconv.Itoa(connections), strconv.Itoa(each))
	b.StopTimer()
	total := float64(each * connections)
	b.ReportMetric(total/b.Elapsed().Seconds(), "msgs/s")
	b.ReportMetric((cpuTime(b)-before).Seconds()/total*100_000, "cpu-s/100k")
	close(stop)
	resolving.Wait()
}

// BenchmarkIdleConnection measures what ten thousand idle connections cost; run
// it with -benchtime 1x.
func BenchmarkIdleConnection(b *testing.B) {
	const connections = 10_000
	for b.Loop() {
		h := benchHub(b, &batcher{size: 1, full: make(chan []*Ack, 1)})
		before, rss := heap(), resident(b)
		stop := startHelper(b, "idle", h.TCPAddr().String(), strconv.Itoa(connections))
		b.ReportMetric(float64(heap()-before)/connections, "heap+stack-B/conn")
		b.ReportMetric(float64(resident(b)-rss)/connections, "rss-B/conn")
		if n := h.Connections(); n != connections {
			b.Fatalf("%d connections", n)
		}
		stop()
	}
}

// heap returns the bytes of live objects and of stacks.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func resident(b *testing.B) int64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// anyone lets every login in as a device of its own.
type anyone struct{}

func (anyone) Authenticate(_ context.Context, l fleet.Login) (fleet.Identity, error) {
	id, err := fleet.ParseID[fleet.Device](l.Username)
	return fleet.Identity{Device: id}, err
}

func benchHub(b *testing.B, r Receiver) *Broker {
	b.Helper()
	limits := DefaultLimits()
	limits.DeviceRate, limits.DeviceBurst = 1e9, 1e9
	hub, err := New(Config{
		TCPAddr: "127.0.0.1:0", Limits: limits, Clock: fleet.SystemClock{},
		Auth: anyone{}, Sessions: &memorySessions{kept: map[string]fleet.Session{}}, Outbox: &memoryOutbox{clock: fleet.SystemClock{}},
		Routes: []Route{{Template: "v1/devices/{device}/points", Receiver: r}},
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := hub.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := hub.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return hub
}

// runHelper runs one of the helpers below in a process of its own.
func runHelper(b *testing.B, args ...string) {
	b.Helper()
	startHelper(b, args...)()
}

// startHelper starts one, waits until it says that it is ready, and returns
// what lets it end and waits for that.
func startHelper(b *testing.B, args ...string) (stop func()) {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	in, stdin, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, out, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	p, err := os.StartProcess(self, []string{self, "-test.run=^$"}, &os.ProcAttr{
		Env: append(os.Environ(), "ARMORA_BROKER_HELPER="+strings.Join(args, " ")), Files: []*os.File{in, out, os.Stderr},
	})
	if err != nil {
		b.Fatal(err)
	}
	_, _ = in.Close(), out.Close()
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "ready\n" {
		b.Fatalf("helper says %q: %v", line, err)
	}
	return func() {
		_, _ = stdin.Close(), stdout.Close()
		if state, err := p.Wait(); err != nil || !state.Success() {
			b.Fatalf("helper ended with %v, %v", state, err)
		}
	}
}

// helper is what the process of startHelper does.
func helper(args []string) error {
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	conns := make([]net.Conn, n)
	topics := make([]string, n)
	for i := range conns {
		if conns[i], topics[i], err = helperConnect(args[1]); err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
	}
	if args[0] == "publish" {
		each, err := strconv.Atoi(args[3])
		if err != nil {
			return err
		}
		if err := publishAll(conns, topics, each); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin) // until the other end hangs up
	return err
}

func helperConnect(addr string) (net.Conn, string, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, "", err
	}
	id := fleet.NewID[fleet.Device]()
	p := []byte{0x10, 0, 0, 4, 'M', 'Q', 'T', 'T', 4, 0xc2, 0, 0}
	for _, s := range []string{id.String(), id.String(), "x"} {
		p = append(p, 0, byte(len(s)))
		p = append(p, s...)
	}
	p[1] = byte(len(p) - 2)
	if _, err := conn.Write(p); err != nil {
		return nil, "", err
	}
	var ack [4]byte
	if _, err := io.ReadFull(conn, ack[:]); err != nil || ack[3] != 0 {
		return nil, "", fmt.Errorf("CONNACK %v: %w", ack, err)
	}
	return conn, pointsTopic(id), nil
}

func publishAll(conns []net.Conn, topics []string, each int) error {
	errs := make(chan error, len(conns))
	for i, conn := range conns {
		go func() { errs <- publishMany(conn, topics[i], each) }()
	}
	for range conns {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

// publishMany publishes each message in a write of its own, 64 unacknowledged
// at most, and returns when all are acknowledged.
func publishMany(conn net.Conn, topic string, n int) error {
	const window = 64
	slots := make(chan struct{}, window)
	read := make(chan error, 1)
	go func() {
		in := bufio.NewReader(conn)
		var ack [4]byte
		for range n {
			if _, err := io.ReadFull(in, ack[:]); err != nil {
				read <- err
				return
			}
			<-slots
		}
		read <- nil
	}()
	payload := `{"t":1777636800000,"lat":51.5073509,"lon":-0.1277583,"acc":4.5,"spd":8.2,"hdg":271,"bat":0.83}`
	for i := range n {
		slots <- struct{}{}
		p := []byte{0x32, 0, 0, byte(len(topic))}
		p = append(p, topic...)
		id := uint16(i%60_000 + 1)
		p = append(p, byte(id>>8), byte(id))
		p = append(p, payload...)
		size := len(p) - 2
		packet := append([]byte{0x32, byte(size&0x7f | 0x80), byte(size >> 7)}, p[2:]...)
		if _, err := conn.Write(packet); err != nil {
			return err
		}
	}
	return <-read
}
