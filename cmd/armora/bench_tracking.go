package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"armora/account"
	"armora/bus"
	"armora/fleet"
	"armora/schema"
	"armora/sim/watch"
)

// trackingBench measures how old a position is when it comes to who watches a trip,
// beside what a plain broker takes from publisher to subscriber in the same run.
type trackingBench struct {
	Trips    int           `default:"200" help:"Trips, each with an officer's phone that publishes."`
	Watchers int           `default:"2000" help:"WebSockets in all, spread evenly over the trips."`
	Every    time.Duration `default:"1s" help:"Between two positions of a phone."`
	Duration time.Duration `default:"10s" help:"How long each measurement takes."`
	Runs     int           `default:"5" help:"Measurements of each; the median counts."`
	Dir      string        `type:"existingdir" help:"Where to make a temporary data folder."`
}

// Run implements the command.
func (c *trackingBench) Run(ctx context.Context, to console) (err error) {
	if c.Trips < 1 || c.Watchers < c.Trips || c.Every <= 0 || c.Duration < c.Every || c.Runs < 1 {
		return errors.New("there is at least one trip, a watcher for each, and time for each phone to publish")
	}
	b := &trackBench{trackingBench: c, to: to}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.open(ctx); err != nil {
		return err
	}
	return errors.Join(b.measure(ctx), b.endings(ctx))
}

// trackBench is a run of it, with everything that it has started.
type trackBench struct {
	*trackingBench
	to      console
	closers []func(context.Context) error

	hub     *benchHub
	devices []watch.Device
	trips   []fleet.BookingID
	tokens  []string // of the principals
	peer    string   // Mosquitto's address; "": there is none
}

func (b *trackBench) onClose(end func(context.Context) error) { b.closers = append(b.closers, end) }

func (b *trackBench) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var failed []error
	for _, end := range slices.Backward(b.closers) {
		failed = append(failed, end(ctx))
	}
	return errors.Join(failed...)
}

func (b *trackBench) open(ctx context.Context) error {
	dir, err := benchFolder(b.Dir)
	if err != nil {
		return err
	}
	b.onClose(func(context.Context) error { return os.RemoveAll(dir) })
	log := b.logger()
	private, err := schema.StartPrivate(ctx, dir, log)
	if err != nil {
		return err
	}
	b.onClose(private.Close)
	data := filepath.Join(dir, "hub")
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	if b.hub, err = startBenchHub(ctx, b.to.err, data, private.DSN()); err != nil {
		return err
	}
	b.onClose(func(context.Context) error {
		_, err := b.hub.end()
		return err
	})
	db, err := schema.Open(ctx, private.DSN(), schema.Options{Log: log})
	if err != nil {
		return err
	}
	b.onClose(func(context.Context) error {
		db.Close()
		return nil
	})
	if err := b.populate(ctx, db, data); err != nil {
		return fmt.Errorf("make %d trips: %w", b.Trips, err)
	}
	return b.openPeer(ctx)
}

// populate makes the trips, each with a principal who has signed in and an officer
// who has set out with a phone.
func (b *trackBench) populate(ctx context.Context, db *schema.DB, data string) error {
	clock, log := fleet.SystemClock{}, b.logger()
	keyring, err := account.OpenKeyring(data, "")
	if err != nil {
		return err
	}
	keys := account.NewKeys(account.KeysConfig{DB: db, Keyring: keyring, Clock: clock, Log: log, Issuer: "http://127.0.0.1:8080"})
	if err := keys.Open(ctx); err != nil {
		return err
	}
	news := new(bus.Bus) // the hub hears nothing of it, and reads it all anew
	sessions, err := account.NewSessions(account.SessionsConfig{DB: db, Keyring: keyring, Keys: keys, Bus: news, Clock: clock})
	if err != nil {
		return err
	}
	defer sessions.Close()
	devices, err := account.NewDevices(account.DevicesConfig{DB: db, Keyring: keyring, Keys: keys, Sessions: sessions, Bus: news, Clock: clock})
	if err != nil {
		return err
	}
	defer devices.Close()
	for i := range b.Trips {
		if err := b.addTrip(ctx, db, sessions, devices, i); err != nil {
			return err
		}
	}
	return nil
}

func (b *trackBench) addTrip(ctx context.Context, db *schema.DB, sessions *account.Sessions, devices *account.Devices, number int) error {
	now := time.Now()
	user := fleet.User{ID: fleet.NewID[fleet.User](), Email: fmt.Sprintf("bench%d@armora.test", number), EmailVerified: now, Name: "Bench", Roles: []fleet.Role{fleet.RoleRider}, Created: now}
	if err := (schema.Users{DB: db}).Create(ctx, user, ""); err != nil {
		return err
	}
	tokens, err := sessions.Begin(ctx, account.SignIn{User: user.ID, Method: fleet.ByPassword})
	if err != nil {
		return err
	}
	driver := fleet.Driver{ID: fleet.NewID[fleet.Driver](), Name: "Bench", Tier: fleet.Essential}
	if err := (schema.Drivers{DB: db}).Create(ctx, driver); err != nil {
		return err
	}
	phone, secret, err := devices.Provision(ctx, fleet.Device{Kind: fleet.Phone, Name: "bench " + strconv.Itoa(number), Driver: driver.ID})
	if err != nil {
		return err
	}
	booking := fleet.Booking{
		ID: fleet.NewID[fleet.Booking](), User: user.ID, Created: now, Funded: now,
		Order: fleet.Order{
			Start: now, Zone: "Europe/London", Minutes: 120, Type: fleet.SecureTransfer, Tier: fleet.Essential, Level: fleet.LevelStandard,
			Pickup: fleet.Place{Lat: 51.55, Lon: -0.1}, Destination: &fleet.Place{Lat: 51.6, Lon: -0.2}, Officers: 1,
		},
		Terms: fleet.Terms{Tariff: []byte(`{}`), Price: []byte(`{}`), Total: fleet.Pounds(110)},
	}
	bookings := schema.Bookings{DB: db}
	if err := bookings.Place(ctx, &booking, fleet.Actor{Kind: fleet.ByPrincipal, User: user.ID}); err != nil {
		return err
	}
	_, err = bookings.Change(ctx, booking.ID, now, func(c *schema.BookingTx) error {
		seat := c.Seats[0]
		seat.State, seat.Driver, seat.From, seat.To = fleet.SeatCommitted, driver.ID, now, c.End()
		if err := c.Take(seat); err != nil {
			return err
		}
		if err := c.Move(fleet.Assigned, schema.Event{Kind: "assigned"}); err != nil {
			return err
		}
		return c.Move(fleet.EnRoute, schema.Event{Kind: "en_route"})
	})
	b.devices = append(b.devices, watch.Device{Username: phone.ID.String(), Password: secret, Topic: "v1/devices/" + phone.ID.String() + "/points"})
	b.trips, b.tokens = append(b.trips, booking.ID), append(b.tokens, tokens.Access)
	return err
}

// openPeer starts Mosquitto, if it is there.
func (b *trackBench) openPeer(ctx context.Context) error {
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/mosquitto"); err != nil {
			_, err = fmt.Fprintln(b.to.out, "Mosquitto is not installed (apt install mosquitto): the hub is measured alone")
			return err
		}
	}
	var listen net.ListenConfig
	free, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b.peer = free.Addr().String()
	_, port, _ := net.SplitHostPort(b.peer)
	config := filepath.Join(os.TempDir(), "armora-mosquitto-"+port+".conf")
	text := "listener " + port + " 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type none\nmax_queued_messages 0\nset_tcp_nodelay true\n"
	if err := errors.Join(free.Close(), os.WriteFile(config, []byte(text), 0o644)); err != nil {
		return err
	}
	b.onClose(func(context.Context) error { return os.Remove(config) })
	peer := exec.CommandContext(ctx, path, "-c", config)
	if err := peer.Start(); err != nil {
		return err
	}
	b.onClose(func(context.Context) error {
		_ = peer.Process.Kill() // an error means that it has ended
		_ = peer.Wait()         // it was killed
		return nil
	})
	for range 100 {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", b.peer)
		if err == nil {
			return conn.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("mosquitto does not listen on %s", b.peer)
}

// measure takes turns, so that whatever else the machine does hits both.
func (b *trackBench) measure(ctx context.Context) error {
	table := tabwriter.NewWriter(b.to.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, err := fmt.Fprintf(table, "run\t\tpublished\ttold\tp50 ms\tp99 ms\tmax ms\t\n")
	var ours, theirs []float64
	for run := range b.Runs {
		for _, way := range []struct {
			name string
			do   func() (watch.Result, error)
			into *[]float64
		}{
			{"hub: phone → WebSocket", func() (watch.Result, error) { return b.hubRun(ctx) }, &ours},
			{"Mosquitto: publish → subscribe", func() (watch.Result, error) { return b.peerRun(ctx) }, &theirs},
		} {
			if b.peer == "" && way.into == &theirs {
				continue
			}
			r, failed := way.do()
			if failed != nil {
				return errors.Join(failed, table.Flush())
			}
			*way.into = append(*way.into, r.P99)
			if _, failed := fmt.Fprintf(table, "%d\t%s\t%d\t%d\t%.1f\t%.1f\t%.1f\t\n", run+1, way.name, r.Published, r.Told, r.P50, r.P99, r.Max); failed != nil {
				err = failed
			}
		}
	}
	if err := errors.Join(err, table.Flush()); err != nil {
		return err
	}
	p99 := median(ours)
	_, err = fmt.Fprintf(b.to.out, "\n%d watchers of %d trips, a position every %v: p99 from the phone's publish to the watcher %.1f ms (median of %d)\n",
		b.Watchers, b.Trips, b.Every, p99, b.Runs)
	if err == nil && b.peer != "" {
		_, err = fmt.Fprintf(b.to.out, "Mosquitto, publish to subscribe: %.1f ms; the hub takes %.2f times as long\n", median(theirs), p99/median(theirs))
	}
	return err
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

func (b *trackBench) hubRun(ctx context.Context) (watch.Result, error) {
	return watch.Run(ctx, watch.Config{
		Broker: b.hub.mqtt, Devices: b.devices, Watchers: b.watchers(), Every: b.Every, Duration: b.Duration,
	})
}

func (b *trackBench) watchers() (all []watch.Watcher) {
	for i := range b.Watchers {
		trip := i % b.Trips
		all = append(all, watch.Watcher{
			Device: trip, URL: "http://" + b.hub.api + "/api/tracking/" + b.trips[trip].String(), Token: b.tokens[trip],
		})
	}
	return all
}

// endings has each principal sign out while their sockets are open.
func (b *trackBench) endings(ctx context.Context) error {
	r, err := watch.Endings(ctx, b.watchers(), func(ctx context.Context, token string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+b.hub.api+"/api/auth/logout", http.NoBody)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		if err := resp.Body.Close(); err != nil || resp.StatusCode >= http.StatusMultipleChoices {
			return errors.Join(err, fmt.Errorf("sign out: %s", resp.Status))
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(b.to.out, "%d sign-outs closed %d sockets: from the request to the close p50 %.1f ms, p99 %.1f, max %.1f\n",
		r.Published, r.Told, r.P50, r.P99, r.Max)
	return err
}

func (b *trackBench) peerRun(ctx context.Context) (watch.Result, error) {
	cfg := watch.Config{Broker: b.peer, Every: b.Every, Duration: b.Duration}
	for i := range b.devices {
		cfg.Devices = append(cfg.Devices, watch.Device{Topic: "watch/" + strconv.Itoa(i)})
	}
	for i := range b.Watchers {
		cfg.Watchers = append(cfg.Watchers, watch.Watcher{Device: i % b.Trips, Topic: "watch/" + strconv.Itoa(i%b.Trips)})
	}
	return watch.Run(ctx, cfg)
}

func (b *trackBench) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(b.to.err, &slog.HandlerOptions{Level: slog.LevelError}))
}
