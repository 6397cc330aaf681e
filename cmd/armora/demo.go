package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"armora/fleet"
	"armora/live"
	"armora/schema"
	"armora/sim"
	"armora/sim/wire"
)

// demoCommand runs the hub and, beside it, a simulated city that knows nothing
// of the hub but its published contract.
type demoCommand struct {
	settings `embed:""`

	Officers     int           `default:"200" env:"ARMORA_DEMO_OFFICERS" group:"demo" help:"Officers on duty, each with a phone and a car's tracker."`
	Interval     time.Duration `default:"1s" env:"ARMORA_DEMO_INTERVAL" group:"demo" help:"Time between two points of a device."`
	OfflineEvery time.Duration `default:"30m" env:"ARMORA_DEMO_OFFLINE_EVERY" group:"demo" help:"Mean time between two spells without network of a device."`
	Riders       int           `default:"30" env:"ARMORA_DEMO_RIDERS" group:"demo" help:"Principals who book them; 0 for none."`
	BookEvery    time.Duration `default:"4m" env:"ARMORA_DEMO_BOOK_EVERY" group:"demo" help:"Mean time between the end of a principal's booking and their next."`
	Seed         uint64        `default:"1" env:"ARMORA_DEMO_SEED" group:"demo" help:"Another seed is another city."`
	For          time.Duration `name:"for" group:"demo" help:"Stop after this long; 0 for never."`
}

// Run implements the command.
func (c *demoCommand) Run(ctx context.Context, cli *cli, to console) (err error) {
	if c.Officers < 1 {
		return errors.New("--officers is 1 at least")
	}
	if listenOn(c.MQTTAddr) == "" {
		return errors.New("the demo's devices speak plain MQTT: --mqtt-addr cannot be off")
	}
	status := newStatusLine(to)
	log := cli.logger(status.above(to.err))
	if c.AdminToken == "" {
		c.AdminToken = rand.Text()
	}
	till, err := c.openStripe(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, till.close()) }()
	c.AllowBootstrap = true // the demo has an admin, and shows requests by the token
	h, err := openHub(ctx, c.settings, log, func(h *hub) { h.show = showOn(status.above(to.out)) })
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.ShutdownTimeout)
		defer cancel()
		err = errors.Join(err, h.Close(closing))
	}()
	roster, err := h.recruit(ctx, c.Officers)
	if err != nil {
		return err
	}
	roster.Devices = roster.Devices[:2*c.Officers]                                                     // the demo before may have had more
	if err := h.castOnCall(ctx, roster.People); err != nil && fleet.CodeOf(err) != fleet.CodeInvalid { // of an earlier demo they may be of ops no more
		return fmt.Errorf("put the demo's dispatcher on call: %w", err)
	}
	if err := h.vet(ctx); err != nil {
		return fmt.Errorf("give the demo's officers their papers: %w", err)
	}
	trips, err := h.openTrade(ctx, &roster, c.Officers, c.Riders)
	if err != nil {
		return fmt.Errorf("give the demo's people their accounts: %w", err)
	}
	trips.Every = c.BookEvery
	if err := till.tell(ctx, h); err != nil {
		return err
	}
	if till != nil {
		trips.Stripe = till.url
	}
	h.announce(to.out)
	till.introduce(to.out)
	introduce(to.out, "http://"+h.api.Addr().String(), roster.People)
	h.invite(to.out, roster)
	return errors.Join(c.simulate(ctx, h, roster, trips, status, log), h.closeTrade(context.WithoutCancel(ctx), trips))
}

func (c *demoCommand) simulate(ctx context.Context, h *hub, roster roster, trips *sim.Trips, status *statusLine, log *slog.Logger) error {
	city, err := sim.New(sim.Config{
		Connection:   sim.Connection{Brokers: []string{h.broker.TCPAddr().String()}},
		Devices:      roster.Devices,
		Trips:        trips,
		Seed:         c.Seed,
		Interval:     c.Interval,
		OfflineEvery: c.OfflineEvery,
		StopTimeout:  c.ShutdownTimeout,
		Logger:       log.With("part", "simulation"),
	})
	if err != nil {
		return err
	}
	if c.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.For)
		defer cancel()
	}
	board, err := newBoard(ctx, h)
	defer board.close()
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- city.Run(ctx) }()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for before := h.traffic(city); ; {
		select {
		case <-second.C:
			now := h.traffic(city)
			status.show(now.since(before) + board.line(now.sent.Trips))
			before = now
		case err := <-done:
			status.end()
			return err
		}
	}
}

// traffic is what went through the demo by a moment.
type traffic struct {
	at   time.Time
	sent sim.Stats
	in   uint64
	kept uint64
	late uint64
	junk uint64
}

func (h *hub) traffic(city *sim.Fleet) traffic {
	s := h.pipeline.Stats()
	return traffic{time.Now(), city.Stats(), s.Points, s.Stored, s.Late, s.Junk}
}

// since says what has happened since an earlier moment.
func (t traffic) since(before traffic) string {
	rate := func(now, then uint64) float64 { return float64(now-then) / t.at.Sub(before.at).Seconds() }
	return fmt.Sprintf("points/s in %.0f · stored %.0f · acknowledged %.0f · p99 %.0f ms · late %d · junk %d · online %d of %d",
		rate(t.in, before.in), rate(t.kept, before.kept), rate(t.sent.Acknowledged, before.sent.Acknowledged),
		float64(t.sent.P99)/float64(time.Millisecond), t.late, t.junk,
		t.sent.Devices-t.sent.Offline, t.sent.Devices)
}

// roster is who takes part in the demo. It is kept in the data folder, with the
// devices' secrets, so that the next demo goes on with the same fleet.
type roster struct {
	Devices []sim.Device   `json:"devices"` // two for each officer, in their order
	Visitor sim.Device     `json:"visitor"` // for whoever looks at the demo
	People  []demoPerson   `json:"people"`
	Crew    []employee     `json:"crew"`   // one for each officer, in their order
	Riders  []fleet.UserID `json:"riders"` // who book
}

const rosterFile = "demo-fleet.json"

// recruit returns a fleet of so many officers at least, and makes those that
// are missing.
func (h *hub) recruit(ctx context.Context, officers int) (roster, error) {
	path := filepath.Join(h.settings.dataDir(), rosterFile)
	r, err := h.readRoster(ctx, path)
	if err != nil {
		return r, err
	}
	complete := len(r.Devices) >= 2*officers && len(r.People) > 0
	for i := len(r.Devices) / 2; i < officers; i++ {
		pair, err := h.recruitOfficer(ctx, i)
		if err != nil {
			return r, fmt.Errorf("provision officer %d: %w", i, err)
		}
		r.Devices = append(r.Devices, pair...)
	}
	if complete {
		return r, h.castAgrees(ctx, r.People)
	}
	if r.Visitor.ID == "" {
		if r.Visitor, err = h.provision(ctx, fleet.Device{Kind: fleet.Phone, Name: "Visitor's phone"}, 0, wire.JSON); err != nil {
			return r, fmt.Errorf("provision the visitor's phone: %w", err)
		}
	}
	if len(r.People) == 0 {
		if r.People, err = h.enlistCast(ctx); err != nil {
			return r, err
		}
	}
	if err := h.castAgrees(ctx, r.People); err != nil {
		return r, err
	}
	return r, r.write(path)
}

func (r *roster) write(path string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// readRoster returns the fleet of the demo before; an empty one if there was
// none, or if it was on another database.
func (h *hub) readRoster(ctx context.Context, path string) (r roster, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return r, fmt.Errorf("read the demo's fleet in %s (without the file a new one is made): %w", path, err)
	}
	visitor, err := fleet.ParseID[fleet.Device](r.Visitor.ID)
	if err == nil {
		_, err = (schema.Devices{DB: h.db}).Get(ctx, visitor)
	}
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return roster{}, nil
	}
	return r, err
}

// recruitOfficer adds an officer with a car, a phone and a tracker. Trackers
// speak protobuf, phones JSON.
func (h *hub) recruitOfficer(ctx context.Context, i int) ([]sim.Device, error) {
	tiers := []fleet.Tier{fleet.Essential, fleet.Executive, fleet.Shadow}
	driver := fleet.Driver{ID: fleet.NewID[fleet.Driver](), Name: fmt.Sprintf("Officer %03d", i+1), Tier: tiers[i%len(tiers)]}
	if err := (schema.Drivers{DB: h.db}).Create(ctx, driver); err != nil {
		return nil, err
	}
	h.index.Describe(fleet.Unit(driver.ID), live.ClassOf(driver.Tier), 0) // the map was made before
	car := fleet.Vehicle{ID: fleet.NewID[fleet.Vehicle](), Registration: fmt.Sprintf("AR%03d", i+1), Driver: driver.ID}
	if err := (schema.Vehicles{DB: h.db}).Create(ctx, car, h.clock.Now()); err != nil {
		return nil, err
	}
	phone, err := h.provision(ctx, fleet.Device{Kind: fleet.Phone, Name: driver.Name + "'s phone", Driver: driver.ID}, i, wire.JSON)
	if err != nil {
		return nil, err
	}
	tracker, err := h.provision(ctx, fleet.Device{Kind: fleet.Tracker, Name: car.Registration, Format: fleet.FormatProtobuf, Vehicle: car.ID}, i, wire.Protobuf)
	return []sim.Device{phone, tracker}, err
}

func (h *hub) provision(ctx context.Context, d fleet.Device, officer int, encoding wire.Encoding) (sim.Device, error) {
	device, secret, err := h.devices.Provision(ctx, d)
	if err != nil {
		return sim.Device{}, err
	}
	return sim.Device{
		ID: device.ID.String(), Secret: secret, Kind: sim.Kind(d.Kind), Officer: officer, Encoding: encoding,
	}, nil
}

// invite says which logins work, and what to try.
func (h *hub) invite(out io.Writer, r roster) {
	api, mqtt := "http://"+h.api.Addr().String(), h.broker.TCPAddr().(*net.TCPAddr)
	_, _ = fmt.Fprintf(out, `
  admin of the API   %s
  a phone over MQTT  user %s, password %s

  curl -H 'Authorization: Bearer %s' '%s/api/drivers/nearby?lat=51.5074&lon=-0.1278&limit=5'
  mosquitto_pub -p %d -u %s -P %s -q 1 -t v1/devices/%s/points -m '{"t":%d,"lat":51.5074,"lon":-0.1278}'

%d devices are about. Ctrl-C stops everything, and the next start goes on with the same data.
`, h.settings.AdminToken, r.Visitor.ID, r.Visitor.Secret,
		h.settings.AdminToken, api,
		mqtt.Port, r.Visitor.ID, r.Visitor.Secret, r.Visitor.ID, h.clock.Now().UnixMilli(), len(r.Devices))
}
