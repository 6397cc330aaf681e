package broker

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"armora/fleet"
)

func TestRefusedLogins(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err    error
		v3, v5 byte
		reason string
	}{
		{&fleet.Error{Code: fleet.CodeUnauthenticated}, 5, packets.ErrBadUsernameOrPassword.Code, "bad_credentials"},
		{&fleet.Error{Code: fleet.CodeUnavailable}, 3, packets.ErrServerUnavailable.Code, "unavailable"},
		{context.DeadlineExceeded, 3, packets.ErrServerUnavailable.Code, "unavailable"},
	} {
		h := newHub(t)
		id := h.device().String()
		h.auth.err = tc.err
		if ack := h.dial().login(login{id: id, name: id, clean: true}); ack.ReasonCode != tc.v3 {
			t.Errorf("%v: 3.1.1 gets %d, not %d", tc.err, ack.ReasonCode, tc.v3)
		}
		c := h.dial()
		if ack := c.login(login{id: id, name: id, clean: true, version: 5}); ack.ReasonCode != tc.v5 {
			t.Errorf("%v: 5 gets %#x, not %#x", tc.err, ack.ReasonCode, tc.v5)
		}
		c.expectEnd()
		if n := h.metric("refusals_total", tc.reason); n != 2 {
			t.Errorf("%v: %v counted as %s", tc.err, n, tc.reason)
		}
	}
}

// A login that nobody answers keeps the others waiting no longer than its time,
// and they are told that the server is unavailable.
func TestLoginsAreBounded(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(c *Config) {
		c.Limits.AuthConcurrency = 1
		c.Limits.AuthTimeout = 50 * time.Millisecond
	})
	h.auth.hold = func(ctx context.Context, _ fleet.Login) { <-ctx.Done() }
	h.auth.err = context.DeadlineExceeded
	id := h.device().String()
	var clients []*client
	for range 5 {
		c := h.dial()
		c.sendConnect(login{id: id, name: id, clean: true})
		clients = append(clients, c)
	}
	for _, c := range clients {
		if ack := c.expect(packets.Connack); ack.ReasonCode != 3 {
			t.Errorf("CONNACK %d", ack.ReasonCode)
		}
	}
}

func TestLoginShowsWhatTheClientSaid(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	id := h.device().String()
	seen := make(chan fleet.Login, 1)
	h.auth.hold = func(_ context.Context, l fleet.Login) { seen <- l }
	h.connect(login{id: "my phone", name: id, clean: true})
	l := <-seen
	if l.ClientID != "my phone" || l.Username != id || l.Password != id || l.Certificate != nil || !strings.HasPrefix(l.Remote, "127.0.0.1:") {
		t.Errorf("%+v", l)
	}
}

func TestPublishAccess(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.points.resolve = true
	other := h.device()
	c, id := h.phone5()
	forbidden := []string{
		pointsTopic(other), "v1/devices/" + id.String(), pointsTopic(id) + "/x", pointsTopic(id) + "/",
		"/" + pointsTopic(id), strings.ToUpper(pointsTopic(id)), "$SYS/broker", "points", commandTopic(id),
		commandTopic(other) + "/1/ack",
	}
	for i, topic := range forbidden {
		c.publish(topic, 1, uint16(i+1), "x")
		if pk := c.expect(packets.Puback); pk.ReasonCode != packets.ErrNotAuthorized.Code || pk.PacketID != uint16(i+1) {
			t.Errorf("%s: PUBACK %#x of %d", topic, pk.ReasonCode, pk.PacketID)
		}
	}
	c.publish(pointsTopic(other), 0, 0, "x")
	c.publish(pointsTopic(id), 1, 99, "mine")
	c.expectAcks(99)
	if m := h.points.next(t); string(m.Payload) != "mine" || len(h.points.got) != 0 {
		t.Errorf("%q got through", m.Payload)
	}

	// 3.1.1 cannot be told, and must not be told a lie.
	old, _ := h.phone()
	old.publish(pointsTopic(other), 1, 1, "x")
	old.expectEnd()
	if n := h.metric("disconnects_total", "not_authorized"); n != 1 {
		t.Errorf("%v counted", n)
	}
}

func TestSubscribeAccess(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	other := h.device()
	c, id := h.phone5()
	forbidden := []string{
		"#", "+/#", "v1/#", "v1/devices/+/commands", "v1/devices/" + id.String() + "/#", commandTopic(id) + "/#", commandTopic(other),
		"$share/g/" + commandTopic(other), "$share/g/#", "$SHARE/g/" + commandTopic(id), "$SYS/#", pointsTopic(id),
		"v1/drivers/00000000-0000-0000-0000-000000000000/offers",
	}
	for i, code := range c.subscribe(forbidden...) {
		if code < 0x80 {
			t.Errorf("%s is allowed", forbidden[i])
		}
	}
	if n := h.metric("dropped_total", "subscription"); n != float64(len(forbidden)) {
		t.Errorf("%v counted of %d", n, len(forbidden))
	}
	old, oldID := h.phone()
	if codes := old.subscribe("#", commandTopic(oldID)); !bytes.Equal(codes, []byte{0x80, 1}) {
		t.Errorf("3.1.1: SUBACK %#x", codes)
	}
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	device, driver := fleet.NewID[fleet.Device](), fleet.NewID[fleet.Driver]()
	id := &fleet.Identity{
		Device: device, Driver: driver, External: "350424063817363",
		Children: map[string]fleet.Child{"van 7": {Device: fleet.NewID[fleet.Device]()}},
	}
	nobody, fixed := new(fleet.Identity), &fleet.Identity{Device: device, Driver: driver, Kind: fleet.Tracker}
	for _, tc := range []struct {
		id              *fleet.Identity
		template, topic string
		want            bool
	}{
		{id, "{external}/data", "350424063817363/data", true},
		{id, "{external}/data", "350424063817364/data", false},
		{nobody, "{external}/data", "/data", false},
		{id, "v1/drivers/{driver}/duty", "v1/drivers/" + driver.String() + "/duty", true},
		{nobody, "v1/drivers/{driver}/duty", "v1/drivers/" + nobody.Driver.String() + "/duty", false},
		{fixed, "v1/drivers/{driver}/duty", "v1/drivers/" + driver.String() + "/duty", false},
		{id, "gw/{child}", "gw/van 7", true},
		{id, "gw/{child}", "gw/van 8", false},
		{id, "owntracks/+/{device}", "owntracks/anna/" + device.String(), true},
		{id, "owntracks/+/{device}", "owntracks//" + device.String(), false},
		{id, "owntracks/+/{device}", "owntracks/a/b/" + device.String(), false},
	} {
		tmpl, err := compile(tc.template)
		if err != nil {
			t.Fatal(err)
		}
		if got := tmpl.match(tc.id, strings.Split(tc.topic, "/")); got != tc.want {
			t.Errorf("%s on %s: %v", tc.template, tc.topic, got)
		}
	}
	for _, bad := range []string{"", "a//b", "a/{nobody}", "a/#", "a/b+", "{device"} {
		if _, err := compile(bad); err == nil {
			t.Errorf("template %q is taken", bad)
		}
	}
}

func TestRevocation(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	id := h.device()
	old, renewed := h.auth.known[id.String()], h.auth.known[id.String()]
	renewed.Credential = fleet.NewID[fleet.Credential]()
	l := func(client string) login { return login{id: client, name: id.String(), version: 5, clean: true} }
	first, _ := h.connect(l("first"))
	h.auth.set(id.String(), renewed)
	second, _ := h.connect(l("second"))
	other, _ := h.phone()

	h.Disconnect(id, old.Credential)
	if code := first.expectEnd(); code != packets.ErrNotAuthorized.Code {
		t.Errorf("DISCONNECT %#x", code)
	}
	second.ping()
	h.Disconnect(id, fleet.CredentialID{})
	second.expectEnd()
	other.ping()

	// Revoked after it was checked, before it is connected.
	h.auth.hold = func(context.Context, fleet.Login) { h.Disconnect(id, renewed.Credential) }
	if ack := h.dial().login(l("third")); ack.ReasonCode != packets.ErrBadUsernameOrPassword.Code {
		t.Errorf("CONNACK %#x", ack.ReasonCode)
	}
	eventually(t, "no revocation to be kept, for nobody", func() bool { // the login is over a moment after its answer
		r := h.Broker.registry
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.revoked) == 0
	})
}

// A connection ends at the latest an hour after its login stopped being good.
func TestTokenExpiry(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	id := h.device()
	h.auth.set(id.String(), fleet.Identity{Device: id, Expires: h.clock.Now().Add(10 * time.Minute)})
	c, _ := h.connect(login{id: "phone", name: id.String(), version: 5, clean: true})
	forever, _ := h.phone()
	tick := func(d time.Duration) {
		eventually(t, "the broker waits for its next tick", func() bool { return h.clock.Waiting() > 0 })
		h.clock.Advance(d)
	}
	tick(69 * time.Minute)
	c.ping()
	tick(time.Minute)
	if code := c.expectEnd(); code != packets.ErrNotAuthorized.Code {
		t.Errorf("DISCONNECT %#x", code)
	}
	forever.ping()
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	good := Config{Auth: new(memoryAuth), Sessions: new(memorySessions), Outbox: new(memoryOutbox), Clock: fleet.SystemClock{}}
	for name, change := range map[string]func(*Config){
		"no authenticator": func(c *Config) { c.Auth = nil },
		"no TLS":           func(c *Config) { c.TLSAddr = "127.0.0.1:0" },
		"bad template":     func(c *Config) { c.Routes = []Route{{Template: "a/{b}", Receiver: new(recorder)}} },
		"no receiver":      func(c *Config) { c.Routes = []Route{{Template: "a"}} },
		"template twice": func(c *Config) {
			c.Routes = []Route{{Template: "a", Receiver: new(recorder)}, {Template: "a", Receiver: new(recorder)}}
		},
		"limit of zero": func(c *Config) { c.Limits = DefaultLimits(); c.Limits.WriteTimeout = 0 },
	} {
		cfg := good
		change(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0"} {
		cfg := good
		cfg.WSAddr = addr
		b, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "plaintext") {
			t.Errorf("plaintext on %s: %v", addr, err)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
