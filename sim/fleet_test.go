package sim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"math"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	armorav1 "armora/deploy/proto/armora/v1"
	"armora/sim/wire"
)

// start is a whole second long ago, so that simulated time may run fast.
var start = time.Unix(1_790_000_000, 0)

// sixDevices are three officers' phones and trackers.
func sixDevices() []Device {
	var devices []Device
	for officer := range 3 {
		n := string(rune('0' + officer))
		devices = append(devices,
			Device{ID: "phone-" + n, Secret: "secret", Kind: Phone, Officer: officer},
			Device{ID: "tracker-" + n, Secret: "secret", Kind: Tracker, Officer: officer, Encoding: wire.Protobuf})
	}
	return devices
}

// runUntilReached runs a fleet until the broker has enough.
func runUntilReached(t *testing.T, b *broker, cfg Config) (Stats, error) {
	t.Helper()
	cfg.Brokers, cfg.Start, cfg.Logger = []string{b.address}, start, quiet
	fleet, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- fleet.Run(ctx) }()
	<-b.reached
	cancel()
	err = <-done
	return fleet.Stats(), err
}

// keysOf lists the identities of what a happening befell, with how often.
func keysOf(log *Log, what Happening) map[Entry]int {
	keys := make(map[Entry]int)
	for _, e := range log.Entries() {
		if e.Happening == what {
			e.Happening = ""
			keys[e]++
		}
	}
	return keys
}

// keysReceived decodes what the broker received, repeats apart.
func (b *broker) keysReceived(t *testing.T) (first, repeats map[Entry]int) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	first, repeats = make(map[Entry]int), make(map[Entry]int)
	for _, p := range b.received {
		parts := strings.Split(p.TopicName, "/")
		if parts[len(parts)-1] != "points" {
			continue
		}
		e := Entry{Device: parts[2]}
		if p.Payload[0] == '{' {
			var point struct {
				T        int64
				Lat, Lon float64
			}
			if err := json.Unmarshal(p.Payload, &point); err != nil {
				t.Fatalf("%s: %v", p.Payload, err)
			}
			e.Fix, e.Lat, e.Lon = point.T, wire.E7(point.Lat), wire.E7(point.Lon)
		} else {
			var batch armorav1.PointBatch
			if err := proto.Unmarshal(p.Payload, &batch); err != nil || len(batch.Points) != 1 {
				t.Fatalf("%v, %d points", err, len(batch.Points))
			}
			point := batch.Points[0]
			e.Fix, e.Lat, e.Lon = point.GetFixMs(), point.GetLatE7(), point.GetLonE7()
		}
		if p.FixedHeader.Dup {
			repeats[e]++
		} else {
			first[e]++
		}
	}
	return first, repeats
}

func equal(a, b map[Entry]int) bool {
	for key, n := range a {
		if b[key] != n {
			return false
		}
	}
	return len(a) == len(b)
}

func TestWhatIsHandedOverArrivesAndIsAcknowledged(t *testing.T) {
	t.Parallel()
	b, log := newBroker(t, 1500), NewLog()
	stats, err := runUntilReached(t, b, Config{
		Devices: sixDevices(), Seed: 1, Speed: 200, OfflineEvery: -1, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	handed, acknowledged := keysOf(log, Handed), keysOf(log, Acknowledged)
	received, repeats := b.keysReceived(t)
	if len(handed) < 1500 || !equal(handed, acknowledged) || !equal(handed, received) || len(repeats) != 0 {
		t.Errorf("handed %d, acknowledged %d, received %d, of them %d twice",
			len(handed), len(acknowledged), len(received), len(repeats))
	}
	total := 0
	for _, n := range handed {
		total += n
	}
	if int(stats.Handed) != total || stats.Published != stats.Handed || stats.Acknowledged != stats.Handed ||
		stats.Pending != 0 || stats.Lost+stats.Rejected+stats.Refused+stats.Reconnects != 0 {
		t.Errorf("stats: %+v", stats)
	}
	if stats.P50 <= 0 || stats.P99 < stats.P50 {
		t.Errorf("latencies: %v, %v", stats.P50, stats.P99)
	}
	// Everybody said hello and goodbye, and the goodbye is retained.
	for _, device := range sixDevices() {
		topic := "v1/devices/" + device.ID + "/status"
		kept, ok := b.Topics.Retained.Get(topic)
		if !ok || !strings.Contains(string(kept.Payload), `"online":false`) {
			t.Errorf("retained on %s: %s", topic, kept.Payload)
		}
	}
}

// TestBacklogIsDrainedOnce lets devices lose their network every few seconds.
func TestBacklogIsDrainedOnce(t *testing.T) {
	t.Parallel()
	b, log := newBroker(t, 6000), NewLog()
	stats, err := runUntilReached(t, b, Config{
		Devices: sixDevices(), Seed: 4, Speed: 200, OfflineEvery: 2 * time.Minute, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	handed, acknowledged := keysOf(log, Handed), keysOf(log, Acknowledged)
	received, repeats := b.keysReceived(t)
	if !equal(handed, acknowledged) {
		t.Errorf("handed %d, acknowledged %d", len(handed), len(acknowledged))
	}
	// What was on the way when the network went may come a second time, and
	// then says so. Nothing else does, and nothing is missing.
	for key, n := range handed {
		if received[key] > n || received[key]+repeats[key] < n {
			t.Errorf("%v: handed over %d times, received %d and again %d times", key, n, received[key], repeats[key])
		}
	}
	for key := range received {
		if handed[key] == 0 {
			t.Errorf("%v was received, but nobody sent it", key)
		}
	}
	if stats.Reconnects < 6 || stats.Lost != 0 || stats.Refused != 0 {
		t.Errorf("stats: %+v", stats)
	}
}

// TestPointsFollowFromTheSeed compares two runs, as far as both went.
func TestPointsFollowFromTheSeed(t *testing.T) {
	t.Parallel()
	var tracks [2]map[string][]Entry
	for i := range tracks {
		b, log := newBroker(t, 300), NewLog()
		if _, err := runUntilReached(t, b, Config{Devices: sixDevices(), Seed: 9, Speed: 100, Log: log}); err != nil {
			t.Fatal(err)
		}
		tracks[i] = make(map[string][]Entry)
		for _, e := range log.Entries() {
			if e.Happening == Handed {
				tracks[i][e.Device] = append(tracks[i][e.Device], e)
			}
		}
	}
	for device, one := range tracks[0] {
		other := tracks[1][device]
		both := min(len(one), len(other))
		if both < 20 {
			t.Errorf("%s: only %d points to compare", device, both)
		}
		for i := range both {
			if one[i] != other[i] {
				t.Fatalf("%s: point %d is %v and %v", device, i, one[i], other[i])
			}
		}
	}
}

func TestCommandsAreAcknowledged(t *testing.T) {
	t.Parallel()
	b := newBroker(t, -1)
	fleet, err := New(Config{
		Connection: Connection{Brokers: []string{"mqtt://" + b.address}}, Devices: sixDevices()[:1], Logger: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- fleet.Run(ctx) }()
	b.await("v1/devices/phone-0/commands")
	for _, payload := range []string{`{"seq":41,"kind":"locate"}`, "garbage", `{"seq":42,"kind":"locate"}`} {
		if err := b.Publish("v1/devices/phone-0/commands", []byte(payload), false, 1); err != nil {
			t.Fatal(err)
		}
	}
	b.await("v1/devices/phone-0/commands/41/ack")
	b.await("v1/devices/phone-0/commands/42/ack")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := fleet.Stats().Commands; n != 2 {
		t.Errorf("%d commands", n)
	}
}

// TestDevicesSpeakTLS borrows the certificate of the standard library's test
// server.
func TestDevicesSpeakTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(nil)
	server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	b, log := newTLSBroker(t, 100, &tls.Config{Certificates: server.TLS.Certificates, MinVersion: tls.VersionTLS12}), NewLog()
	fleet, err := New(Config{
		Connection: Connection{
			Brokers: []string{"mqtts://" + b.address},
			TLS:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		},
		Devices: sixDevices(), Speed: 100, Start: start, Log: log, Logger: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- fleet.Run(ctx) }()
	<-b.reached
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if handed, got := keysOf(log, Handed), keysOf(log, Acknowledged); !equal(handed, got) {
		t.Errorf("handed %d, acknowledged %d", len(handed), len(got))
	}
}

// TestFleetStopsWithoutABroker: nobody is there, and then somebody who does
// not like the password.
func TestFleetStopsWithoutABroker(t *testing.T) {
	t.Parallel()
	b := newBroker(t, -1)
	stranger := sixDevices()[:1]
	stranger[0].Secret = "wrong"
	for _, cfg := range []Config{
		{Connection: Connection{Brokers: []string{"127.0.0.1:1"}}, Devices: sixDevices()},
		{Connection: Connection{Brokers: []string{b.address}}, Devices: stranger},
	} {
		cfg.Logger, cfg.StopTimeout = quiet, 300*time.Millisecond
		fleet, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := fleet.Run(ctx); !errors.Is(err, ErrUnanswered) {
			t.Errorf("stopped with %v", err)
		}
		if stats := fleet.Stats(); stats.Failures == 0 || stats.Offline != stats.Devices || stats.Acknowledged != 0 {
			t.Errorf("stats: %+v", stats)
		}
	}
}

func TestConfigsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	good := Config{Connection: Connection{Brokers: []string{"127.0.0.1:1883"}}, Devices: sixDevices()}
	for want, change := range map[string]func(*Config){
		"no broker":                     func(c *Config) { c.Brokers = nil },
		"is not host:port":              func(c *Config) { c.Brokers = []string{"http://127.0.0.1"} },
		"no devices":                    func(c *Config) { c.Devices = nil },
		`"car" is neither phone nor tr`: func(c *Config) { c.Devices = []Device{{ID: "x", Kind: "car"}} },
	} {
		cfg := good
		change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}

// TestStatusSaysWhatIsKnown: a battery that was never measured is left out,
// since JSON has no NaN.
func TestStatusSaysWhatIsKnown(t *testing.T) {
	t.Parallel()
	c := newClient(Device{ID: "x"}, unixMillis, nil, newTally(1), nil, quiet)
	if got := string(c.status(true)); got != `{"online":true,"app_version":"sim"}` {
		t.Errorf("status: %s", got)
	}
	c.battery.Store(math.Float32bits(0.5))
	if got := string(c.status(false)); got != `{"online":false,"battery":0.5,"app_version":"sim"}` {
		t.Errorf("status: %s", got)
	}
}
