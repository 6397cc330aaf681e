package dispatch

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"armora/bus"
	"armora/dispatch/eta"
	"armora/fleet"
	"armora/live"
	"armora/schema"
	"armora/schema/schematest"
)

// noon is when the tests' clock begins.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// strand is where principals are picked up.
var strand = fleet.Place{Lat: 51.5, Lon: -0.1, Label: "The Strand"}

// scene is a city with officers and an engine that ticks when the test says so.
type scene struct {
	*Engine
	t      *testing.T
	db     *schema.DB
	bus    *bus.Bus
	clock  *fleet.ManualClock
	index  *live.Index
	term   schema.Term
	user   fleet.UserID
	off    []fleet.DriverID // who was taken off duty
	outbox schema.Outbox
}

func newScene(t *testing.T) *scene {
	t.Helper()
	return newSceneOn(t, schematest.Plain(t))
}

func newSceneOn(t *testing.T, db *schema.DB) *scene {
	t.Helper()
	s := &scene{t: t, db: db, bus: &bus.Bus{}, clock: fleet.NewManualClock(noon), index: live.New(live.Options{})}
	s.outbox = schema.Outbox{DB: s.db, Clock: s.clock}
	s.Engine = s.engine("one")
	s.led = noon
	s.bus.Standings.Subscribe(func(o bus.Standing) { s.roster.forget(o.Driver) })
	s.term = must(schema.Dispatchers{DB: s.db}.Begin(t.Context(), "all", "one", noon))(t)
	s.user = fleet.NewID[fleet.User]()
	check(t, schema.Users{DB: s.db}.Create(t.Context(), fleet.User{
		ID: s.user, Email: s.user.String() + "@example.com", EmailVerified: noon, Name: "Ada", Roles: []fleet.Role{fleet.RoleRider}, Created: noon,
	}, ""))
	return s
}

// engine is another engine of the scene.
func (s *scene) engine(holder string) *Engine {
	s.t.Helper()
	return must(NewEngine(EngineConfig{
		DB: s.db, Bus: s.bus, Map: s.index, Travel: must(eta.New(eta.Config{Zone: time.UTC, Log: slog.New(slog.DiscardHandler)}))(s.t), Clock: s.clock, Log: slog.New(slog.DiscardHandler),
		Area: "all", Holder: holder, OffDuty: func(ctx context.Context, term schema.Term, d fleet.DriverID) error {
			if term != s.term {
				s.t.Errorf("%s is taken off duty in the term %v", d, term)
			}
			s.off = append(s.off, d)
			return s.duty(d, fleet.OffDuty)
		},
	}))(s.t)
}

// must returns what a call returned that has to succeed.
func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		check(t, err)
		return value
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t testing.TB, err error, code fleet.Code) {
	t.Helper()
	if err == nil || fleet.CodeOf(err) != code {
		t.Errorf("error %v, want the code %s", err, code)
	}
}

// officers makes n officers who are fit, on duty, each with a car and a phone, and
// shows them on the map, each 100 m farther from the Strand than the one before.
func (s *scene) officers(n int) []fleet.DriverID {
	s.t.Helper()
	ids := make([]fleet.DriverID, n)
	for i := range ids {
		ids[i] = s.officer(strand.Lat+float64(i+1)*0.0009, strand.Lon)
	}
	return ids
}

func (s *scene) officer(lat, lon float64) fleet.DriverID {
	s.t.Helper()
	d, car, phone := fleet.NewID[fleet.Driver](), fleet.NewID[fleet.Vehicle](), fleet.NewID[fleet.Device]()
	ctx := s.t.Context()
	for _, q := range []struct {
		sql  string
		args []any
	}{
		{`INSERT INTO drivers (id, name, tier) VALUES ($1, 'Bo Finch', 'essential')`, []any{d}},
		{`INSERT INTO vehicles (id, registration, driver) VALUES ($1::uuid, $1::uuid::text, $2)`, []any{car, d}},
		{`INSERT INTO devices (id, kind, name, format, driver, created) VALUES ($1, 'phone', 'phone', 0, $2, $3)`, []any{phone, d, noon}},
		{`INSERT INTO documents (id, driver, vehicle, kind, number, category, expires, status, submitted, submitted_by, verified, verified_by, reverify)
		  SELECT gen_random_uuid(), v.driver, v.vehicle, v.kind, '', v.category, $3::timestamptz, 'verified', $4, 'test', $4, 'test', $3
		  FROM (VALUES ($1::uuid, NULL::uuid, 'sia_licence', 'close_protection'), ($1, NULL, 'background_check', ''), ($1, NULL, 'right_to_work', ''),
		               (NULL, $2::uuid, 'insurance', ''), (NULL, $2, 'mot', '')) v (driver, vehicle, kind, category)`,
			[]any{d, car, noon.AddDate(1, 0, 0), noon}},
	} {
		_, err := s.db.Pool().Exec(ctx, q.sql, q.args...)
		check(s.t, err)
	}
	check(s.t, s.duty(d, fleet.OnDuty))
	s.see(d, lat, lon)
	return d
}

// duty changes an officer's duty as account does: the map and the others hear.
func (s *scene) duty(d fleet.DriverID, duty fleet.Duty) error {
	err := schema.DutySpells{DB: s.db}.Set(context.Background(), d, duty, s.clock.Now())
	s.index.Describe(fleet.Unit(d), live.ClassOf(fleet.Essential), live.StatusOf(duty))
	s.bus.Standings.Publish(bus.Standing{Driver: d, Tiers: []fleet.Tier{fleet.Essential}, Duty: duty})
	return err
}

// see shows an officer on the map, heard of now.
func (s *scene) see(d fleet.DriverID, lat, lon float64) {
	at := fleet.MillisOf(s.clock.Now())
	s.index.Apply(live.Fix{Unit: fleet.Unit(d), At: at, Received: at, Lat: lat, Lon: lon})
}

// book places a booking for now, funded, from the Strand.
func (s *scene) book(change ...func(*fleet.Booking)) fleet.Booking {
	s.t.Helper()
	b := s.draft(s.clock.Now())
	for _, c := range change {
		c(&b)
	}
	check(s.t, s.Place(s.t.Context(), &b, fleet.Actor{Kind: fleet.ByPrincipal, User: s.user}))
	return b
}

func (s *scene) draft(now time.Time) fleet.Booking {
	return fleet.Booking{ID: fleet.NewID[fleet.Booking](), User: s.user, Created: now, Funded: now,
		Order: fleet.Order{Start: now, Zone: "Europe/London", Minutes: 120, Type: fleet.AtTheirSide, Tier: fleet.Essential,
			Level: fleet.LevelStandard, Pickup: strand, Officers: 1},
		Terms: fleet.Terms{Tariff: json.RawMessage(`{}`), Price: json.RawMessage(`{}`), Total: fleet.Pounds(120)}}
}

// later is a booking that starts after a while.
func later(d time.Duration) func(*fleet.Booking) {
	return func(b *fleet.Booking) { b.Start, b.LocalStart = b.Start.Add(d), "2026-03-02T18:00" }
}

func team(n int) func(*fleet.Booking) { return func(b *fleet.Booking) { b.Officers = n } }

// step lets time pass and the engine tick. Everybody who is on the map is heard.
func (s *scene) step(d time.Duration) {
	s.t.Helper()
	s.clock.Advance(d)
	check(s.t, s.tick(s.t.Context(), s.term))
}

// is asserts how far a booking has come, and returns it.
func (s *scene) is(id fleet.BookingID, want fleet.BookingStatus) fleet.Booking {
	s.t.Helper()
	b := must(s.Get(s.t.Context(), id))(s.t)
	if b.Status != want {
		s.t.Fatalf("the booking is %s, want %s; its events are %v", b.Status, want, s.kinds(id))
	}
	return b
}

// kinds lists what has happened to a booking, and checks that nothing is missing.
func (s *scene) kinds(id fleet.BookingID) []string {
	s.t.Helper()
	var kinds []string
	for i, e := range must(s.Events(s.t.Context(), id, 0, 1000))(s.t) {
		if e.Seq != int64(i+1) {
			s.t.Errorf("event %d of the booking has seq %d", i+1, e.Seq)
		}
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// offer returns the offer that a driver has, and that there is one.
func (s *scene) offer(d fleet.DriverID) (fleet.Offer, bool) {
	s.t.Helper()
	for _, o := range must(s.offers.Open(s.t.Context()))(s.t) {
		if o.Driver == d {
			return o, true
		}
	}
	return fleet.Offer{}, false
}

func (s *scene) mustOffer(d fleet.DriverID) fleet.Offer {
	s.t.Helper()
	o, ok := s.offer(d)
	if !ok {
		s.t.Fatal("the officer has no offer")
	}
	return o
}

// accept accepts the offer that a driver has.
func (s *scene) accept(d fleet.DriverID) {
	s.t.Helper()
	must(s.Accept(s.t.Context(), d, s.mustOffer(d).ID, officer))(s.t)
}

var officer = fleet.Actor{Kind: fleet.ByOfficer}

func (s *scene) phones(d fleet.DriverID) ([]fleet.DeviceID, error) {
	return schema.Devices{DB: s.db}.OfDriver(s.t.Context(), d)
}
