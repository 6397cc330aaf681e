package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// ReplayConfig describes a replay of recorded tracks.
type ReplayConfig struct {
	Connection
	Tracks  []Track
	Devices []Device // one for each track, in the same order
	// Speed is how many recorded seconds pass in a second; 0 is as fast as the
	// hub acknowledges.
	Speed float64
	// StopTimeout is how long the end waits for the last acknowledgements; 0
	// is a minute.
	StopTimeout time.Duration
	Log         *Log         // nil: no log is kept
	Logger      *slog.Logger // nil: slog.Default()
}

// Replay publishes recorded tracks through real MQTT clients, one device a
// track, one fix a message. Each track is shifted by whole seconds so that its
// newest fix is at the start of the replay; stamps within a second, repeats and
// the recorded order are kept.
type Replay struct {
	cfg   ReplayConfig
	tally *tally
}

// Replayed is what a replay has done with one track.
type Replayed struct {
	Track  string        `json:"track"`
	Device string        `json:"device"`
	Shift  time.Duration `json:"shift_ns"` // added to every fix time
	Points int           `json:"points"`   // handed to the MQTT client library
}

// NewReplay makes a replay that begins with Run.
func NewReplay(cfg ReplayConfig) (*Replay, error) {
	if len(cfg.Tracks) == 0 {
		return nil, errors.New("sim: no tracks to replay")
	}
	if len(cfg.Devices) != len(cfg.Tracks) {
		return nil, fmt.Errorf("sim: %d tracks but %d devices", len(cfg.Tracks), len(cfg.Devices))
	}
	if cfg.StopTimeout <= 0 {
		cfg.StopTimeout = time.Minute
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Replay{cfg: cfg, tally: newTally(len(cfg.Devices))}, nil
}

// Stats returns how the replay stands. It may be called at any time.
func (r *Replay) Stats() Stats { return r.tally.stats() }

// Run replays every track at once and returns when the hub has answered every
// message; ErrUnanswered when it did not in time. When ctx ends the replay
// stops early, with what was handed over by then. A replay runs once.
func (r *Replay) Run(ctx context.Context) ([]Replayed, error) {
	brokers, err := brokerURLs(r.cfg.Brokers)
	if err != nil {
		return nil, err
	}
	connections, disconnect := context.WithCancel(context.WithoutCancel(ctx))
	defer disconnect()
	var (
		start   = time.Now()
		done    = make([]Replayed, len(r.cfg.Tracks))
		clients = make([]*client, len(r.cfg.Tracks))
		playing sync.WaitGroup
	)
	for i, track := range r.cfg.Tracks {
		track.Points = slices.Clone(track.Points)
		done[i] = Replayed{Track: track.Name, Device: r.cfg.Devices[i].ID, Shift: track.shiftTo(start)}
		clients[i] = newClient(r.cfg.Devices[i], unixMillis, r.cfg.TLS, r.tally, r.cfg.Log, r.cfg.Logger)
		if err := clients[i].open(connections, brokers); err != nil {
			return nil, err
		}
		playing.Go(func() { done[i].Points = r.play(ctx, clients[i], track, start) })
	}
	playing.Wait()
	err = r.tally.drain(connections, r.cfg.StopTimeout)
	disconnect()
	for _, c := range clients {
		c.wait()
	}
	return done, errors.Join(err, r.cfg.Log.Flush())
}

// play hands a track over, each fix at its time, and returns how many fixes it
// handed over.
func (r *Replay) play(ctx context.Context, c *client, track Track, start time.Time) int {
	for i, p := range track.Points {
		if r.cfg.Speed > 0 {
			recorded := time.Duration(p.Fix-track.Points[0].Fix) * time.Millisecond
			if !sleepUntil(ctx, start.Add(time.Duration(float64(recorded)/r.cfg.Speed))) {
				return i
			}
		}
		if c.outbox.room(ctx) != nil || ctx.Err() != nil {
			return i
		}
		c.publishPoints(p)
	}
	return len(track.Points)
}

// sleepUntil returns false when ctx ended first.
func sleepUntil(ctx context.Context, moment time.Time) bool {
	return pause(ctx, time.Until(moment)) && ctx.Err() == nil
}

func unixMillis() int64 { return time.Now().UnixMilli() }
