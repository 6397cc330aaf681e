package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"armora/sim/load"
)

// shot is one run of the generator. It ends after so many points or so long,
// whichever is first; 0 is no limit.
type shot struct {
	broker                      string
	qos, perPacket, connections int
	rate                        float64 // 0: as fast as it goes
	points                      int64
	duration                    time.Duration
}

// generate starts the generator in a process of its own, and returns when it
// publishes.
func (b *bench) generate(ctx context.Context, s shot) (*child, error) {
	c, err := startChild(ctx, b.to.err, nil, "load generator", "bench", "load", "--announce",
		"--broker", s.broker, "--devices", b.logins(), "--connections", strconv.Itoa(s.connections),
		"--qos", strconv.Itoa(s.qos), "--per-packet", strconv.Itoa(s.perPacket), "--encoding", b.Encoding.String(),
		"--window", strconv.Itoa(b.Window), "--rate", strconv.FormatFloat(s.rate, 'f', -1, 64),
		"--points", strconv.FormatInt(s.points, 10), "--duration", s.duration.String())
	if err != nil {
		return nil, err
	}
	if _, err := c.line(); err != nil {
		return nil, err
	}
	return c, nil
}

// generated waits for the generator's end and returns what it has measured.
func generated(c *child) (result load.Result, err error) {
	text, err := c.finish()
	if err != nil {
		return result, err
	}
	if err := json.Unmarshal(text, &result); err != nil {
		return result, fmt.Errorf("read what the %s says: %w", c.name, err)
	}
	if result.Errors > 0 {
		return result, fmt.Errorf("%d of %d connections failed, the first with: %s", result.Errors, result.Connections, result.FirstError)
	}
	return result, nil
}

// warmUp lets every device publish once before anything is measured, so that
// what the hub learns of each only once is learnt.
func (b *bench) warmUp(ctx context.Context) error {
	connections := slices.Max(b.Connections)
	c, err := b.generate(ctx, shot{
		broker: b.hub.mqtt, qos: 1, perPacket: 10, connections: connections, points: int64(connections) * 100, duration: 10 * time.Second,
	})
	if err != nil {
		return err
	}
	_, err = generated(c)
	return err
}

// usage is the CPU time that was used until a moment: by the hub, by PostgreSQL,
// and by whoever is no part of the bench.
type usage struct {
	at                      time.Time
	hub, postgreSQL, others time.Duration
}

func (b *bench) usage() (u usage, err error) {
	u.at = time.Now()
	if u.hub, err = b.proc.cpu(b.hub.pid()); err != nil {
		return u, err
	}
	if u.postgreSQL, err = b.proc.cpuOfFamily(b.private.PID()); err != nil {
		return u, err
	}
	busy, err := b.proc.busy()
	if err != nil {
		return u, err
	}
	// Every process of the bench is a child of this one, but PostgreSQL's backends.
	children, err := b.proc.cpuOfFamily(os.Getpid())
	if err != nil {
		return u, err
	}
	backends, err := b.proc.cpuOfChildren(b.private.PID())
	u.others = busy - children - backends
	return u, err
}

// othersSince is how many processors others kept busy meanwhile, on average.
func (u usage) othersSince(began usage) float64 {
	return max(0, ratio((u.others-began.others).Seconds(), u.at.Sub(began.at).Seconds()))
}

// measureCell loads the hub, and then the bare COPY beside the same load.
func (b *bench) measureCell(ctx context.Context, s shot, alone *copyFigures) (cell, error) {
	m := cell{QoS: s.qos, PerPacket: s.perPacket, Connections: s.connections}
	if err := b.ceiling.Checkpoint(ctx); err != nil {
		return m, err
	}
	before, err := b.hub.settled(ctx)
	if err != nil {
		return m, err
	}
	generator, err := b.generate(ctx, s)
	if err != nil {
		return m, err
	}
	began, err := b.usage()
	if err != nil {
		_, stopped := generator.end()
		return m, errors.Join(err, stopped)
	}
	result, err := generated(generator)
	if err != nil {
		return m, err
	}
	after, err := b.hub.settled(ctx)
	if err != nil {
		return m, err
	}
	ended, err := b.usage()
	if err != nil {
		return m, err
	}
	m.fill(result, after.stored-before.stored, began, ended)
	if m.QoS == 1 && m.Stored != m.Acknowledged {
		return m, fmt.Errorf("%d points were acknowledged and %d are stored: the hub has broken its promise", m.Acknowledged, m.Stored)
	}
	if alone == nil {
		return m, nil
	}
	s.broker, s.rate, s.points, s.duration = b.door, m.Rate, 0, 0
	if m.Beside, err = b.copyBeside(ctx, s); err != nil {
		return m, err
	}
	m.OfCopyAlone, m.OfCopyBeside = ratio(m.Rate, alone.Rate), ratio(m.Rate, m.Beside.Rate)
	return m, nil
}

// copyAlone measures what the server takes when it has the machine to itself.
// The first run is not counted: a new server makes the files of its write-ahead
// log, which it uses again afterwards.
func (b *bench) copyAlone(ctx context.Context) (f *copyFigures, err error) {
	for range 2 {
		if err := b.ceiling.Empty(ctx); err != nil {
			return nil, err
		}
		if f, err = b.copy(ctx); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// copyBeside measures what it takes while the machine receives, at the rate that
// the hub has reached, a load that nobody stores.
func (b *bench) copyBeside(ctx context.Context, s shot) (*copyFigures, error) {
	if err := b.ceiling.Empty(ctx); err != nil {
		return nil, err
	}
	s.duration = b.Ceiling + time.Minute // it is told to stop before
	generator, err := b.generate(ctx, s)
	if err != nil {
		return nil, err
	}
	f, err := b.copy(ctx)
	generator.stop()
	result, failed := generated(generator)
	if err = errors.Join(err, failed); err != nil {
		return nil, err
	}
	f.Load = result.Rate
	return f, nil
}

func (b *bench) copy(ctx context.Context) (*copyFigures, error) {
	began, err := b.usage()
	if err != nil {
		return nil, err
	}
	rows, took, err := b.ceiling.Run(ctx, b.Ceiling, ceilingConnections)
	if err != nil {
		return nil, err
	}
	ended, err := b.usage()
	if err != nil {
		return nil, err
	}
	return &copyFigures{
		Rows: rows, Seconds: took.Seconds(), Rate: ratio(float64(rows), took.Seconds()),
		PostgreSQL: per100k(ended.postgreSQL-began.postgreSQL, rows), Others: ended.othersSince(began),
	}, nil
}

// measureIdle opens connections that say nothing, and looks at the hub's memory
// before and after.
func (b *bench) measureIdle(ctx context.Context) (*idleFigures, error) {
	f := &idleFigures{Connections: b.Idle}
	var err error
	if f.ResidentBefore, f.UsedBefore, err = b.hub.memory(ctx, b.proc); err != nil {
		return nil, err
	}
	holder, err := startChild(ctx, b.to.err, nil, "holder of idle connections", "bench", "idle",
		"--broker", b.hub.mqtt, "--devices", b.logins(), "--connections", strconv.Itoa(b.Idle))
	if err != nil {
		return nil, err
	}
	if _, err := holder.line(); err != nil {
		return nil, err
	}
	f.ResidentAfter, f.UsedAfter, err = b.hub.memory(ctx, b.proc)
	text, failed := holder.end()
	if err = errors.Join(err, failed); err != nil {
		return nil, err
	}
	var left idleResult
	if err := json.Unmarshal(text, &left); err != nil {
		return nil, fmt.Errorf("read what the %s says: %w", holder.name, err)
	}
	if left.Alive != b.Idle {
		return nil, fmt.Errorf("%d of %d idle connections were ended by the hub", b.Idle-left.Alive, b.Idle)
	}
	f.fill()
	return f, nil
}
