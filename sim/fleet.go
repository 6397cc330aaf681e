package sim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"sync"
	"time"

	"armora/sim/wire"
)

// Device is a phone or a tracker with the credential that the hub gave it.
type Device struct {
	ID       string // also its MQTT user name and client id
	Secret   string // its MQTT password
	Kind     Kind
	Officer  int           // whose phone it is, or whose car it is fixed to
	Encoding wire.Encoding // what it speaks
}

// Connection says where the hub is.
type Connection struct {
	Brokers []string    // host:port, mqtt://host:port or mqtts://host:port; tried in turn
	TLS     *tls.Config // for mqtts; nil: the system's defaults
}

// Config describes a simulated fleet.
type Config struct {
	Connection
	Devices []Device
	Seed    uint64

	// Start is the simulated time at which the fleet begins; zero is the time
	// of Run.
	Start time.Time
	// Speed is how many simulated seconds pass in a second; 0 is 1. Above 1,
	// let Start lie far enough in the past: devices stamp simulated time.
	Speed float64
	// Interval is the simulated time between two points of a device; 0 is a
	// second. Phones stamp whole seconds whatever it is.
	Interval time.Duration
	// OfflineEvery is the mean simulated time that a device has network
	// between two offline spells; 0 is half an hour, negative is for ever.
	OfflineEvery time.Duration
	// StopTimeout is how long stopping waits for the last acknowledgements; 0
	// is ten seconds.
	StopTimeout time.Duration

	// Trips has principals book the officers; nil: officers just drive about.
	Trips *Trips

	Log    *Log         // nil: no log is kept
	Logger *slog.Logger // nil: slog.Default()
}

// Fleet is a city's officers on duty, with their devices.
type Fleet struct {
	cfg     Config
	brokers []*url.URL
	tally   *tally
	clock   clock
	members []*member
	crowd   *crowd // nil: nobody books
}

// member is one device of the fleet with all that moves it. The measuring half
// belongs to the goroutine of Run.
type member struct {
	*client
	*instrument
	coverage *coverage
	officer  *Officer // shared with the other devices of the same officer
	phase    int64    // milliseconds into the interval at which it measures
}

// New makes a fleet that stands still until Run.
func New(cfg Config) (*Fleet, error) {
	cfg.setDefaults()
	brokers, err := brokerURLs(cfg.Brokers)
	if err != nil {
		return nil, err
	}
	if len(cfg.Devices) == 0 {
		return nil, errors.New("sim: no devices")
	}
	f := &Fleet{cfg: cfg, brokers: brokers, tally: newTally(len(cfg.Devices))}
	f.clock = clock{speed: cfg.Speed}
	city := NewCity(cfg.Seed)
	officers := make(map[int]*Officer)
	for i, device := range cfg.Devices {
		if device.Kind != Phone && device.Kind != Tracker {
			return nil, fmt.Errorf("sim: device %s: kind %q is neither phone nor tracker", device.ID, device.Kind)
		}
		if officers[device.Officer] == nil {
			officers[device.Officer] = NewOfficer(city, cfg.Seed, device.Officer)
		}
		m := f.newMember(device, officers[device.Officer])
		m.phase = int64(i) * cfg.Interval.Milliseconds() / int64(len(cfg.Devices))
		f.members = append(f.members, m)
	}
	if cfg.Trips != nil {
		f.crowd = f.newCrowd(cfg.Trips, city)
	}
	return f, nil
}

func (cfg *Config) setDefaults() {
	if cfg.Speed <= 0 {
		cfg.Speed = 1
	}
	if cfg.Interval <= 0 {
		cfg.Interval = time.Second
	}
	cfg.Interval = max(cfg.Interval, time.Millisecond)
	if cfg.OfflineEvery == 0 {
		cfg.OfflineEvery = 30 * time.Minute
	}
	if cfg.StopTimeout <= 0 {
		cfg.StopTimeout = 10 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
}

func (f *Fleet) newMember(device Device, officer *Officer) *member {
	use := streamPhoneCoverage
	if device.Kind == Tracker {
		use = streamTrackerCoverage
	}
	in := newInstrument(device.Kind, f.cfg.Seed, device.Officer)
	now := func() int64 { return f.clock.now() + in.skew }
	return &member{
		client:     newClient(device, now, f.cfg.TLS, f.tally, f.cfg.Log, f.cfg.Logger),
		instrument: in,
		coverage:   newCoverage(stream(f.cfg.Seed, device.Officer, use), f.cfg.OfflineEvery.Seconds()),
		officer:    officer,
	}
}

// Stats returns how the simulation stands. It may be called at any time.
func (f *Fleet) Stats() Stats {
	s := f.tally.stats()
	if f.crowd != nil {
		s.Trips = f.crowd.tally.stats()
	}
	return s
}

// Run drives the fleet until ctx ends. Then the devices say goodbye, everything
// that was handed to the library is sent and answered, within the stop timeout,
// and the connections are closed; the sessions stay. It returns ErrUnanswered
// when the hub did not answer in time. A fleet runs once.
func (f *Fleet) Run(ctx context.Context) error {
	connections, disconnect := context.WithCancel(context.WithoutCancel(ctx))
	defer disconnect()
	if f.cfg.Start.IsZero() {
		f.cfg.Start = time.Now()
	}
	f.clock.begin(f.cfg.Start)
	var living sync.WaitGroup
	if f.crowd != nil {
		f.crowd.open(ctx)
		living.Go(func() { f.crowd.run(ctx) })
	}
	defer living.Wait()
	for _, m := range f.members {
		if err := m.open(connections, f.brokers); err != nil {
			return err
		}
	}
	f.drive(ctx)
	living.Wait()

	for _, m := range f.members {
		m.link.restore()
		m.publish(&message{topic: m.topic("status"), payload: m.status(false), retain: true})
	}
	err := f.tally.drain(connections, f.cfg.StopTimeout)
	disconnect()
	for _, m := range f.members {
		m.wait()
	}
	return errors.Join(err, f.cfg.Log.Flush())
}

// drive is the one goroutine that moves everybody: each device in its turn,
// evenly over the interval. When the machine was too slow it catches up, so
// that what is measured does not depend on it.
func (f *Fleet) drive(ctx context.Context) {
	const tick = 20 * time.Millisecond
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	interval := f.cfg.Interval.Milliseconds()
	next := 0
	for round := int64(0); ; {
		elapsed := f.clock.now() - f.clock.start
		for ctx.Err() == nil {
			due := round*interval + f.members[next].phase
			if due > elapsed {
				break
			}
			f.members[next].step(f.clock.start, due)
			if next++; next == len(f.members) {
				next, round = 0, round+1
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// step lets a device measure and report, ms milliseconds after start.
func (m *member) step(start, ms int64) {
	if offline, changed := m.coverage.at(ms); changed && offline {
		m.link.cut()
	} else if changed {
		m.link.restore()
	}
	m.officer.Advance(ms)
	if r, ok := m.read(start, ms, m.officer.Motion()); ok {
		m.publishPoints(r.point)
	}
}

// clock is simulated time. It is set once, before anything reads it.
type clock struct {
	speed float64
	start int64     // simulated, Unix milliseconds
	began time.Time // real
}

func (c *clock) begin(start time.Time) { c.start, c.began = start.UnixMilli(), time.Now() }

// now returns the simulated time in Unix milliseconds.
func (c *clock) now() int64 {
	return c.start + int64(math.Floor(float64(time.Since(c.began))*c.speed/1e6))
}
