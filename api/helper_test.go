package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"

	"armora/account"
	"armora/bus"
	"armora/chat"
	"armora/dispatch"
	"armora/dispatch/eta"
	"armora/files"
	"armora/fleet"
	"armora/live"
	"armora/notify"
	"armora/payment"
	"armora/safety"
	"armora/schema"
	"armora/schema/schematest"
	"armora/sim/stripe"
)

const adminToken = "a-bootstrap-token-for-tests"

// hub is a running API on a database of its own.
type hub struct {
	*Server
	t        *testing.T
	url      string
	db       *schema.DB
	devices  *account.Devices
	officers *account.Officers
	sessions *account.Sessions
	people   *account.People
	keyring  *account.Keyring
	exports  *account.Exports
	erasures *account.Erasures
	blobs    string // the folder of the store of files
	clock    *fleet.ManualClock
	bus      *bus.Bus
	stripe   *stripe.Server
	browser  stripe.Browser // the card form of a client
	log      *bytes.Buffer  // only read after Close
}

// noon is when the tests' clock stands still.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newHub(t *testing.T, change ...func(*Config)) *hub {
	t.Helper()
	return newHubOn(t, schematest.Plain(t), change...)
}

func newHubOn(t *testing.T, db *schema.DB, change ...func(*Config)) *hub {
	t.Helper()
	return newHubAt(t, db, noon, change...)
}

// newHubAt is a hub whose clock stands at a time: for tests with others that
// have a clock of their own.
func newHubAt(t *testing.T, db *schema.DB, now time.Time, change ...func(*Config)) *hub {
	t.Helper()
	h := &hub{t: t, db: db, clock: fleet.NewManualClock(now), bus: &bus.Bus{}, log: &bytes.Buffer{}}
	root := make([]byte, 32)
	rand.Read(root)
	keyring, err := account.NewKeyring(root)
	if err != nil {
		t.Fatal(err)
	}
	h.keyring = keyring
	log := slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	keys := account.NewKeys(account.KeysConfig{DB: db, Keyring: keyring, Clock: h.clock, Log: log, Issuer: "test"})
	if err := keys.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.sessions, err = account.NewSessions(account.SessionsConfig{DB: db, Keyring: keyring, Keys: keys, Bus: h.bus, Clock: h.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.sessions.Close)
	h.people = account.NewPeople(account.PeopleConfig{
		DB: db, Keyring: keyring, Sessions: h.sessions, Clock: h.clock,
		Cost: &argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32},
	})
	h.keyring = keyring
	h.devices, err = account.NewDevices(account.DevicesConfig{DB: db, Keyring: keyring, Keys: keys, Sessions: h.sessions, Bus: h.bus, Clock: h.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.devices.Close)
	h.officers = account.NewOfficers(account.OfficersConfig{DB: db, Keyring: keyring, Devices: h.devices, Bus: h.bus, Clock: h.clock, Log: log})
	shares := account.NewShares(account.SharesConfig{
		DB: db, Keyring: keyring, Keys: keys, Bus: h.bus, Clock: h.clock, URL: "https://hub.example/watch",
	})
	cfg := Config{
		Addr: "127.0.0.1:0", AdminToken: adminToken, AllowBootstrap: true, DB: db, Keyring: keyring, Limits: DefaultLimits().Times(1e6),
		Directory: account.NewDirectory(db, h.sessions, h.clock), Approvals: account.NewApprovals(db, h.sessions, h.clock),
		PublicURL: "https://hub.example", PublicMQTTURL: "mqtts://mqtt.example:8883",
		Devices: h.devices, Officers: h.officers, Commands: account.NewCommands(db, h.bus, h.clock), Keys: keys, Sessions: h.sessions, People: h.people, Map: live.New(live.Options{}),
		Federation: account.NewFederation(account.FederationConfig{DB: db, Keyring: keyring, People: h.people, Clock: h.clock}),
		Partners:   account.NewPartners(db, keyring, keys, h.bus, h.clock),
		Tickets:    account.NewTickets(db, keyring, h.sessions, shares, h.clock),
		Bus:        h.bus,
		Shares:     shares,
		Clock:      h.clock, Log: log,
	}
	h.addPeople(&cfg)
	h.addSafety(&cfg)
	h.addDispatch(&cfg)
	h.addPayments(&cfg)
	cfg.Earnings = payment.NewEarnings(db, true, h.clock, log)
	cfg.Terms = payment.NewTerms(payment.InvoicesConfig{DB: db, Seal: h.keyring.Seal, Clock: h.clock, Log: log})
	for _, c := range change {
		c(&cfg)
	}
	h.addTrips(&cfg)
	if index, ok := cfg.Map.(*live.Index); ok {
		h.bus.Standings.Subscribe(func(s bus.Standing) {
			index.Describe(fleet.Unit(s.Driver), live.ClassOf(s.Tiers...), live.StatusOf(s.Duty))
		})
	}
	if h.Server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	h.app.Server().MaxIdleWorkerDuration = 100 * time.Millisecond // a server that was closed is kept for as long: 10 s of the tests' hubs are a gigabyte
	if err := h.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.url = "http://" + h.Addr().String()
	t.Cleanup(h.stop)
	return h
}

// addPeople makes what is about people.
func (h *hub) addPeople(cfg *Config) {
	h.t.Helper()
	var err error
	if cfg.Profiles, err = account.NewProfiles(h.db, h.clock); err != nil {
		h.t.Fatal(err)
	}
	if cfg.Consents, err = account.NewConsents(h.db, h.clock); err != nil {
		h.t.Fatal(err)
	}
	if cfg.Questionnaires, err = account.NewQuestionnaires(h.db, h.keyring, cfg.Consents, h.clock); err != nil {
		h.t.Fatal(err)
	}
	cfg.PushTokens = account.NewPushTokens(h.db, h.keyring, h.clock)
	cfg.Addresses = account.NewAddresses(h.db, h.keyring, h.clock)
	cfg.Contacts = account.NewEmergencyContacts(h.db, h.keyring, h.clock, "https://hub.example/")
	h.blobs = h.t.TempDir()
	store, err := files.OpenStore("file://" + h.blobs)
	if err != nil {
		h.t.Fatal(err)
	}
	cfg.Files = files.New(files.Config{DB: h.db, Store: store, Sealer: h.keyring, Clock: h.clock, Log: cfg.Log})
	cfg.Exports = account.NewExports(account.ExportsConfig{DB: h.db, Keyring: h.keyring, Files: cfg.Files, Clock: h.clock})
	cfg.Erasures = account.NewErasures(account.ErasuresConfig{
		DB: h.db, Keyring: h.keyring, Sessions: h.sessions, Devices: h.devices, Bus: h.bus,
		Journal: filepath.Join(h.t.TempDir(), "erasures.journal"), Clock: h.clock, Log: cfg.Log,
	})
	h.exports, h.erasures = cfg.Exports, cfg.Erasures
	if cfg.Notify, err = notify.New(notify.Config{DB: h.db, Seal: h.keyring.Seal, Unseal: h.keyring.Unseal, Clock: h.clock, Log: cfg.Log}); err != nil {
		h.t.Fatal(err)
	}
}

// addSafety makes what sees to emergencies, and opens it.
func (h *hub) addSafety(cfg *Config) {
	h.t.Helper()
	watch, err := safety.New(safety.Config{
		DB: h.db, Sealer: h.keyring, Dir: h.t.TempDir(), Send: cfg.Notify.Direct, Contact: cfg.Contacts.Open, Command: cfg.Commands.Send,
		Code: h.keyring.HashCode, Bus: h.bus, Clock: h.clock, Log: cfg.Log,
	})
	if err == nil {
		err = watch.Open(h.t.Context())
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(watch.Close)
	cfg.Safety = watch
}

// addTrips makes what is about bookings and trips, on the map as it is so far. The
// start code that trips take is 4711.
func (h *hub) addTrips(cfg *Config) {
	h.t.Helper()
	index, _ := cfg.Map.(*live.Index)
	cfg.Chat = chat.New(chat.Config{DB: h.db, Seal: h.keyring.Seal, Unseal: h.keyring.Unseal, Bus: h.bus, Clock: h.clock, Log: cfg.Log})
	if cfg.Desk == nil {
		cfg.Desk = dispatch.NewDesk(dispatch.DeskConfig{DB: h.db, Bus: h.bus, Map: index, Hash: h.keyring.Hash, Clock: h.clock, Log: cfg.Log})
	}
	var err error
	cfg.Trips, err = dispatch.NewTrips(dispatch.TripsConfig{
		DB: h.db, Bus: h.bus, Map: index, Clock: h.clock, Log: cfg.Log,
		StartCode: func(fleet.BookingID) string { return "4711" },
		Between: func(_ context.Context, _ time.Time, from, to eta.Point) eta.Leg {
			return eta.Default().Leg(12, from, to)
		},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	cfg.Tracks, err = dispatch.NewTracks(dispatch.TracksConfig{
		DB: h.db, Bus: h.bus, Map: index, ETA: cfg.Trips.ETA, Clock: h.clock, Log: cfg.Log,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	if err := cfg.Tracks.Open(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(cfg.Tracks.Close)
}

// addDispatch makes what is about bookings. Nobody looks for officers until the
// engine is opened.
func (h *hub) addDispatch(cfg *Config) {
	h.t.Helper()
	index, _ := cfg.Map.(*live.Index)
	travel, err := eta.New(eta.Config{Zone: time.UTC, Log: cfg.Log})
	if err != nil {
		h.t.Fatal(err)
	}
	cfg.Engine, err = dispatch.NewEngine(dispatch.EngineConfig{
		DB: h.db, Bus: h.bus, Map: index, Travel: travel, Clock: h.clock, Log: cfg.Log, Area: "all", Holder: "test",
		OffDuty: h.officers.OffDuty,
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *hub) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := h.Close(ctx); err != nil {
		h.t.Errorf("close the API: %v", err)
	}
}

// answer is a response, read whole.
type answer struct {
	*http.Response
	body []byte
}

// as reads the body as JSON.
func as[T any](t *testing.T, a answer) (v T) {
	t.Helper()
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("%s %s: %v in %s", a.Request.Method, a.Request.URL, err, a.body)
	}
	return v
}

// do sends a request as the admin. A body that is not a reader is sent as JSON.
func (h *hub) do(method, path string, body any) answer {
	h.t.Helper()
	return h.send(h.request(method, path, body))
}

// must is do, for what has to succeed.
func (h *hub) must(status int, method, path string, body any) answer {
	h.t.Helper()
	a := h.do(method, path, body)
	if a.StatusCode != status {
		h.t.Fatalf("%s %s: %s, want %d: %s", method, path, a.Status, status, a.body)
	}
	return a
}

func (h *hub) request(method, path string, body any) *http.Request {
	h.t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case io.Reader:
		reader = b
	case string:
		reader = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			h.t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, reader)
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+adminToken)
	if reader != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

func (h *hub) send(r *http.Request) answer {
	h.t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatalf("%s %s: read the body: %v", r.Method, r.URL, err)
	}
	return answer{Response: resp, body: body}
}

// problem asserts that an answer is a problem of the given status and code.
func problem(t *testing.T, a answer, status int, code fleet.Code) Problem {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s: %s, want %d: %s", a.Request.Method, a.Request.URL, a.Status, status, a.body)
	}
	if kind := a.Header.Get("Content-Type"); kind != problemType {
		t.Fatalf("%s %s: content type %q: %s", a.Request.Method, a.Request.URL, kind, a.body)
	}
	p := as[Problem](t, a)
	if p.Code != code || p.Status != status {
		t.Errorf("%s %s: code %q and status %d, want %q: %s", a.Request.Method, a.Request.URL, p.Code, p.Status, code, a.body)
	}
	return p
}

type created struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`
}

func (h *hub) device(body map[string]any) created {
	h.t.Helper()
	if body == nil {
		body = map[string]any{"kind": "phone", "name": "Ada's phone"}
	}
	return as[created](h.t, h.must(http.StatusCreated, http.MethodPost, "/api/devices", body))
}

// person is a user who has signed in.
type person struct {
	h       *hub
	id      fleet.UserID
	session fleet.UserSessionID
	token   string
	refresh string
}

// person makes a user with the roles, signed in with a second factor just now.
func (h *hub) person(roles ...fleet.Role) *person {
	h.t.Helper()
	id := fleet.NewID[fleet.User]()
	err := schema.Users{DB: h.db}.Create(h.t.Context(), fleet.User{
		ID: id, Email: id.String() + "@example.com", EmailVerified: h.clock.Now(), Name: "Test Person", Roles: roles, Created: h.clock.Now(),
	}, "")
	if err != nil {
		h.t.Fatal(err)
	}
	tokens, err := h.sessions.Begin(h.t.Context(), account.SignIn{User: id, Method: fleet.ByPassword, SecondFactor: true})
	if err != nil {
		h.t.Fatal(err)
	}
	return &person{h: h, id: id, session: tokens.Session.ID, token: tokens.Access, refresh: tokens.Refresh}
}

// renew gives the person new tokens.
func (p *person) renew() {
	p.h.t.Helper()
	tokens, err := p.h.sessions.Refresh(p.h.t.Context(), p.refresh)
	if err != nil {
		p.h.t.Fatal(err)
	}
	p.token, p.refresh = tokens.Access, tokens.Refresh
}

// do sends a request as the person.
func (p *person) do(method, path string, body any) answer {
	p.h.t.Helper()
	r := p.h.request(method, path, body)
	r.Header.Set("Authorization", "Bearer "+p.token)
	return p.h.send(r)
}

// must is do, for what has to succeed.
func (p *person) must(status int, method, path string, body any) answer {
	p.h.t.Helper()
	a := p.do(method, path, body)
	if a.StatusCode != status {
		p.h.t.Fatalf("%s %s: %s, want %d: %s", method, path, a.Status, status, a.body)
	}
	return a
}

// publish tells the others that a booking has changed.
func (h *hub) publish(b fleet.Booking) {
	h.bus.Bookings.Publish(bus.BookingChange{ID: b.ID, User: b.User, Status: b.Status, Seq: b.Seq})
}
