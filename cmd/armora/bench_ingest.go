package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"armora/schema"
)

// ingestBench measures the hub as it is shipped: the real binary, a durable
// PostgreSQL, real connections, and each part in a process of its own.
type ingestBench struct {
	loadShape `embed:""`

	QoS         []int         `name:"qos" default:"0,1" help:"Which to measure."`
	PerPacket   []int         `default:"1,10" help:"Points in a message."`
	Connections []int         `default:"100,1000" help:"How many connections publish."`
	Idle        int           `default:"1000" help:"Connections that are opened to measure what an idle one takes of memory; 0 for none."`
	Ceiling     time.Duration `default:"5s" help:"How long each bare COPY runs; 0 for none."`
	Dir         string        `type:"existingdir" help:"Where to make a temporary data folder: its disk is what is measured."`
	JSON        string        `name:"json" type:"path" help:"File to write the figures to."`
}

const (
	ceilingRows        = 5000 // in a batch
	ceilingConnections = 2
)

func (c *ingestBench) check() error {
	switch {
	case c.Points <= 0 && c.Duration <= 0:
		return errors.New("--duration or --points says when a measurement ends")
	case len(c.QoS) == 0 || slices.Min(c.QoS) < 0 || slices.Max(c.QoS) > 1:
		return errors.New("--qos is 0, 1 or both: more is not measured")
	case len(c.PerPacket) == 0 || slices.Min(c.PerPacket) < 1:
		return errors.New("--per-packet is 1 at least")
	case len(c.Connections) == 0 || slices.Min(c.Connections) < 1 || c.Idle < 0:
		return errors.New("--connections is 1 at least, and --idle not negative")
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return err
	}
	const beside = 100 // files that a process has open beside its connections
	if need := c.devices() + beside; uint64(need) > files.Max {
		return fmt.Errorf("%d connections need more open files than the %d that a process may have here: raise the limit (ulimit -n) or open fewer", c.devices(), files.Max)
	}
	return procfs("/proc").check()
}

// devices is how many there must be, one for each connection.
func (c *ingestBench) devices() int { return max(slices.Max(c.Connections), c.Idle) }

// Run implements the command.
func (c *ingestBench) Run(ctx context.Context, to console) (err error) {
	if err := c.check(); err != nil {
		return err
	}
	b := &bench{ingestBench: c, to: to, proc: "/proc"}
	defer func() {
		if ctx.Err() != nil {
			err = errors.New("interrupted: the figures are not complete")
		}
		err = errors.Join(err, b.Close())
	}()
	if err := b.open(ctx); err != nil {
		return err
	}
	figures, err := b.measure(ctx)
	if err != nil || c.JSON == "" {
		return err
	}
	text, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(c.JSON, append(text, '\n'), 0o644)
}

// bench is a run of it, with everything that it has started.
type bench struct {
	*ingestBench
	to   console
	proc procfs

	dir     string
	private *schema.Private
	db      *schema.DB
	hub     *benchHub
	sink    *child
	door    string // the sink's address
	ceiling *schema.Ceiling
	closers []func(context.Context) error
}

// Close ends what was started, the last first, and removes the folder. Ctx has
// ended long ago when it was Ctrl-C.
func (b *bench) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var failed []error
	for _, end := range slices.Backward(b.closers) {
		failed = append(failed, end(ctx))
	}
	return errors.Join(failed...)
}

func (b *bench) onClose(end func(context.Context) error) { b.closers = append(b.closers, end) }

func (b *bench) open(ctx context.Context) (err error) {
	if b.dir, err = benchFolder(b.Dir); err != nil {
		return err
	}
	b.onClose(func(context.Context) error { return os.RemoveAll(b.dir) })
	if b.private, err = schema.StartPrivate(ctx, filepath.Join(b.dir, "database"), nil); err != nil {
		return err
	}
	b.onClose(b.private.Close)
	if b.hub, err = startBenchHub(ctx, b.to.err, filepath.Join(b.dir, "hub"), b.private.DSN()); err != nil {
		return err
	}
	b.onClose(func(context.Context) error {
		_, err := b.hub.end()
		return err
	})
	if err := b.hub.provision(ctx, b.devices(), b.logins()); err != nil {
		return err
	}
	if b.db, err = schema.Open(ctx, b.private.DSN(), schema.Options{}); err != nil {
		return err
	}
	b.onClose(func(context.Context) error {
		b.db.Close()
		return nil
	})
	if b.ceiling, err = schema.OpenCeiling(ctx, b.db, slices.Max(b.Connections), ceilingRows, time.Now()); err != nil {
		return err
	}
	b.onClose(b.ceiling.Close)
	return b.openSink(ctx)
}

func (b *bench) openSink(ctx context.Context) (err error) {
	if b.sink, err = startChild(ctx, b.to.err, nil, "front door without a hub", "bench", "sink"); err != nil {
		return err
	}
	b.onClose(func(context.Context) error {
		_, err := b.sink.end()
		return err
	})
	b.door, err = b.sink.line()
	return err
}

// logins is the file with those of the devices.
func (b *bench) logins() string { return filepath.Join(b.dir, "logins.json") }

// measure takes every figure, and prints each as soon as it is there.
func (b *bench) measure(ctx context.Context) (f figures, err error) {
	f = figures{CPUs: runtime.NumCPU(), LoadBefore: b.proc.load(), Go: runtime.Version(), Encoding: b.Encoding.String(), Window: b.Window}
	if f.PostgreSQL, err = b.ceiling.Version(ctx); err != nil {
		return f, err
	}
	f.printMachine(b.to.out)
	if b.isInMemory() {
		f.InMemory = true
		_, _ = fmt.Fprintf(b.to.out, "WARNING: %s is in memory, not on a disk: nothing is durable there. Choose another with --dir.\n", b.dir)
	}
	if b.Idle > 0 { // first, while the hub's memory is that of a hub that has just started
		if f.Idle, err = b.measureIdle(ctx); err != nil {
			return f, err
		}
		f.Idle.print(b.to.out)
	}
	if b.Ceiling > 0 {
		if f.Copy, err = b.copyAlone(ctx); err != nil {
			return f, err
		}
		f.Copy.print(b.to.out)
	}
	if err := b.warmUp(ctx); err != nil {
		return f, err
	}
	printHead(b.to.out)
	if err := b.measureMatrix(ctx, &f); err != nil {
		return f, err
	}
	f.LoadAfter = b.proc.load()
	f.printFoot(b.to.out)
	return f, nil
}

// measureMatrix measures QoS 1 before QoS 0. Nothing holds a sender of QoS 0
// back but the sockets, which take gigabytes: it sends at the rate at which QoS 1
// was acknowledged, if that was measured and no other rate was asked for.
func (b *bench) measureMatrix(ctx context.Context, f *figures) error {
	acknowledged := make(map[[2]int]float64) // points/s by points a message and connections
	for _, qos := range []int{1, 0} {
		if !slices.Contains(b.QoS, qos) {
			continue
		}
		for _, perPacket := range b.PerPacket {
			for _, connections := range b.Connections {
				s := shot{broker: b.hub.mqtt, qos: qos, perPacket: perPacket, connections: connections, rate: b.Rate, points: b.Points, duration: b.Duration}
				shape := [2]int{perPacket, connections}
				if s.rate == 0 {
					s.rate = acknowledged[shape]
				}
				m, err := b.measureCell(ctx, s, f.Copy)
				if err != nil {
					return err
				}
				if qos == 1 {
					acknowledged[shape] = m.Rate
				}
				m.print(b.to.out)
				f.Cells = append(f.Cells, m)
			}
		}
	}
	return nil
}

// isInMemory reports whether the folder is a tmpfs.
func (b *bench) isInMemory() bool {
	const tmpfs = 0x01021994 // TMPFS_MAGIC of statfs(2)
	var s syscall.Statfs_t
	return syscall.Statfs(b.dir, &s) == nil && s.Type == tmpfs
}
