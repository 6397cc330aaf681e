package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"armora/fleet"
	"armora/sim"
)

// replayCommand publishes recorded tracks as devices would: over MQTT, to a hub
// that it starts for the purpose, or to one that runs already.
type replayCommand struct {
	settings `embed:""`

	File  string  `arg:"" type:"existingfile" help:"CSV with the columns track, time (RFC 3339), lat, lon and perhaps alt_ft."`
	Speed float64 `default:"0" group:"replay" help:"Recorded seconds a second; 0 is as fast as the hub acknowledges."`

	To      string `placeholder:"host:port" group:"replay" help:"A hub that runs already, by its MQTT address; without it one is started on the data folder."`
	Devices string `type:"existingfile" group:"replay" help:"With --to: JSON array of {\"id\",\"secret\"}, one device for each track."`
}

// Run implements the command.
func (c *replayCommand) Run(ctx context.Context, cli *cli, to console) error {
	tracks, err := readTracks(c.File)
	if err != nil {
		return err
	}
	log := cli.logger(to.err)
	config := sim.ReplayConfig{Tracks: tracks, Speed: c.Speed, Logger: log}
	if c.To != "" {
		config.Brokers = []string{c.To}
		if config.Devices, err = readDevices(c.Devices, len(tracks)); err != nil {
			return err
		}
		return replay(ctx, config, to.out)
	}
	h, err := openHub(ctx, c.settings, log)
	if err != nil {
		return err
	}
	if config.Devices, err = h.recorders(ctx, tracks); err == nil {
		config.Brokers = []string{h.broker.TCPAddr().String()}
		err = replay(ctx, config, to.out)
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.ShutdownTimeout)
	defer cancel()
	stats := h.pipeline.Stats()
	err = errors.Join(err, h.Close(closing))
	_, _ = fmt.Fprintf(to.out, "points %d · stored %d · true repeats %d · late %d · junk %d\n",
		stats.Points, stats.Stored, stats.Repeats, stats.Late, stats.Junk)
	return err
}

func readTracks(path string) ([]sim.Track, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	return sim.ReadTracks(f)
}

func readDevices(path string, tracks int) ([]sim.Device, error) {
	if path == "" {
		return nil, errors.New("--to needs --devices: the file with the logins to publish with")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var logins []struct{ ID, Secret string }
	if err := json.Unmarshal(text, &logins); err != nil {
		return nil, fmt.Errorf("read the devices in %s: %w", path, err)
	}
	if len(logins) < tracks {
		return nil, fmt.Errorf("%s has %d devices, and there are %d tracks: each needs its own", path, len(logins), tracks)
	}
	devices := make([]sim.Device, tracks)
	for i := range devices {
		devices[i] = sim.Device{ID: logins[i].ID, Secret: logins[i].Secret, Kind: sim.Tracker, Officer: i}
	}
	return devices, nil
}

// recorders makes a device for each track.
func (h *hub) recorders(ctx context.Context, tracks []sim.Track) ([]sim.Device, error) {
	devices := make([]sim.Device, len(tracks))
	for i, track := range tracks {
		device, secret, err := h.devices.Provision(ctx, fleet.Device{Kind: fleet.Tracker, Name: "replay of " + track.Name})
		if err != nil {
			return nil, err
		}
		devices[i] = sim.Device{ID: device.ID.String(), Secret: secret, Kind: sim.Tracker, Officer: i}
	}
	return devices, nil
}

func replay(ctx context.Context, config sim.ReplayConfig, out io.Writer) error {
	r, err := sim.NewReplay(config)
	if err != nil {
		return err
	}
	began := time.Now()
	done, err := r.Run(ctx)
	took := time.Since(began)
	for _, t := range done {
		_, _ = fmt.Fprintf(out, "track %-12s device %s  %6d fixes, shifted by %v\n", t.Track, t.Device, t.Points, t.Shift)
	}
	s := r.Stats()
	_, _ = fmt.Fprintf(out, "handed %d · acknowledged %d in %v · p99 %v\n", s.Handed, s.Acknowledged, took.Round(time.Millisecond), s.P99.Round(time.Millisecond))
	return err
}
