// Package watch measures how long it takes from when a device publishes where it is
// to when those who watch it are told: over WebSockets of the hub, or through any
// MQTT broker to plain subscribers.
package watch

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Config is a run.
type Config struct {
	Broker   string // host:port to which the devices publish
	Devices  []Device
	Watchers []Watcher
	Every    time.Duration // between two positions of a device
	Duration time.Duration
}

// Device publishes on Topic at QoS 1.
type Device struct {
	Username, Password, Topic string
}

// Watcher is told of one device: over a WebSocket, or on a topic of the broker.
type Watcher struct {
	Device int
	URL    string // of the WebSocket; "": Topic
	Token  string
	Topic  string
}

// Result is what a run has measured.
type Result struct {
	Published int64   `json:"published"`
	Told      int64   `json:"told"` // once for each watcher
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Max       float64 `json:"max_ms"`
}

// patience is for opening a connection, and for what is still on its way at the end.
const patience = 30 * time.Second

// run is a run under way.
type run struct {
	cfg       Config
	published []sent // by device
	count     atomic.Int64

	mu    sync.Mutex
	delay []float64 // milliseconds
}

// sent is what a device has published last: watchers are told within an interval, or
// not counted.
type sent struct {
	mu   sync.Mutex
	fix  int64 // milliseconds: names the message
	when time.Time
}

// Run connects everybody, lets the devices publish, each at a moment of its own
// within Every, and says how long it took until each watcher was told.
func Run(ctx context.Context, cfg Config) (Result, error) {
	r := &run{cfg: cfg, published: make([]sent, len(cfg.Devices))}
	listening, stop := context.WithCancel(ctx)
	defer stop()
	var watching sync.WaitGroup
	opened := make(chan error, len(cfg.Watchers))
	slots := make(chan struct{}, 32)
	for _, w := range cfg.Watchers {
		watching.Go(func() { r.watch(listening, w, slots, opened) })
	}
	for range cfg.Watchers {
		if err := <-opened; err != nil {
			stop()
			watching.Wait()
			return Result{}, err
		}
	}
	publishing, end := context.WithTimeout(ctx, cfg.Duration)
	defer end()
	errs := make([]error, len(cfg.Devices))
	var devices sync.WaitGroup
	for i := range cfg.Devices {
		devices.Go(func() { errs[i] = r.publish(publishing, i) })
	}
	devices.Wait()
	settle := time.NewTimer(cfg.Every)
	<-settle.C // what is on its way
	stop()
	watching.Wait()
	return r.result(), errors.Join(errs...)
}

func (r *run) result() Result {
	slices.Sort(r.delay)
	at := func(q float64) float64 {
		if len(r.delay) == 0 {
			return math.NaN()
		}
		return r.delay[min(len(r.delay)-1, int(q*float64(len(r.delay))))]
	}
	return Result{Published: r.count.Load(), Told: int64(len(r.delay)), P50: at(0.5), P99: at(0.99), Max: at(1)}
}

// watch opens a watcher, says so, and notes what it is told until ctx ends.
func (r *run) watch(ctx context.Context, w Watcher, slots chan struct{}, opened chan<- error) {
	open := subscribe
	if w.URL != "" {
		open = dial
	}
	slots <- struct{}{}
	next, done, err := open(ctx, r.cfg.Broker, w)
	<-slots
	opened <- err
	if err != nil {
		return
	}
	defer done()
	stop := context.AfterFunc(ctx, done)
	defer stop()
	var delays []float64
	for {
		fix, err := next()
		now := time.Now()
		if err != nil {
			break
		}
		s := &r.published[w.Device]
		s.mu.Lock()
		when, mine := s.when, s.fix == fix
		s.mu.Unlock()
		if mine {
			delays = append(delays, float64(now.Sub(when).Nanoseconds())/1e6)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delay = append(r.delay, delays...)
}

// publish has a device publish until ctx ends.
func (r *run) publish(ctx context.Context, number int) error {
	d := r.cfg.Devices[number]
	c, err := connect(ctx, r.cfg.Broker, d.Username, d.Password, "watch-device-"+strconv.Itoa(number))
	if err != nil {
		return fmt.Errorf("device %d: %w", number, err)
	}
	defer c.leave()
	go c.discard()
	tick := time.NewTicker(r.cfg.Every)
	defer tick.Stop()
	offset := time.NewTimer(r.cfg.Every * time.Duration(number) / time.Duration(len(r.cfg.Devices)))
	defer offset.Stop()
	select {
	case <-offset.C:
	case <-ctx.Done():
		return nil
	}
	tick.Reset(r.cfg.Every)
	for id := uint16(1); ; id = id%60_000 + 1 {
		now := time.Now()
		fix := now.UnixMilli()
		payload := fmt.Appendf(nil, `{"t":%d,"lat":%.6f,"lon":%.6f,"acc":5,"spd":8.3,"hdg":90}`,
			fix, 51.5+0.0001*float64(number), -0.12+0.0001*math.Mod(float64(id), 600))
		s := &r.published[number]
		s.mu.Lock()
		s.fix, s.when = fix, now
		s.mu.Unlock()
		if err := c.publish(d.Topic, id, payload); err != nil {
			return fmt.Errorf("device %d: %w", number, err)
		}
		r.count.Add(1)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
