package dispatch_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"armora/bus"
	"armora/dispatch"
	"armora/dispatch/eta"
	"armora/fleet"
	"armora/live"
	"armora/schema"
	"armora/schema/schematest"
	"armora/tariff"
)

// tripsNoon is when the clock of these tests stands at first.
var tripsNoon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// The places of the tests' trips, some 3.5 km apart.
var (
	strand = fleet.Place{Lat: 51.5110, Lon: -0.1197, Label: "The Strand"}
	museum = fleet.Place{Lat: 51.4967, Lon: -0.1764, Label: "The museum"}
)

// tripWorld is trips on a database of their own.
type tripWorld struct {
	*dispatch.Trips
	t        *testing.T
	db       *schema.DB
	bus      *bus.Bus
	clock    *fleet.ManualClock
	index    *live.Index
	bookings schema.Bookings
	user     fleet.UserID
	metrics  *prometheus.Registry  // of the hub as it is
	look     func(context.Context) // at the fixes since it was last called
}

func newTripWorld(t *testing.T) *tripWorld {
	t.Helper()
	w := &tripWorld{t: t, db: schematest.Plain(t), bus: &bus.Bus{}, clock: fleet.NewManualClock(tripsNoon), index: live.New(live.Options{})}
	w.bookings = schema.Bookings{DB: w.db}
	w.user = w.person(fleet.RoleRider)
	w.restart()
	return w
}

// restart is a hub that has died and come back: it remembers nothing.
func (w *tripWorld) restart() {
	w.t.Helper()
	var err error
	w.metrics = prometheus.NewRegistry()
	w.Trips, err = dispatch.NewTrips(dispatch.TripsConfig{
		DB: w.db, Bus: w.bus, Map: w.index, Clock: w.clock, Log: slog.New(slog.DiscardHandler), Metrics: w.metrics,
		StartCode: func(fleet.BookingID) string { return "4711" },
		Between: func(_ context.Context, _ time.Time, from, to eta.Point) eta.Leg {
			return eta.Default().Leg(12, from, to)
		},
	})
	w.must(err)
}

// watchByHand watches as Open does, but only when told to look.
func (w *tripWorld) watchByHand() {
	w.t.Helper()
	var err error
	w.look, err = w.WatchByHand(w.t.Context())
	w.must(err)
}

func (w *tripWorld) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *tripWorld) want(err error, code fleet.Code) {
	w.t.Helper()
	if err == nil || fleet.CodeOf(err) != code {
		w.t.Fatalf("error %v, want code %s", err, code)
	}
}

// counted is what a counter has counted, by its labels in their order.
func (w *tripWorld) counted(name string) map[string]float64 {
	w.t.Helper()
	by := make(map[string]float64)
	families, err := w.metrics.Gather()
	w.must(err)
	for _, family := range families {
		for _, one := range family.GetMetric() {
			if family.GetName() != name {
				continue
			}
			var labels []string
			for _, l := range one.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			by[strings.Join(labels, " ")] = one.GetCounter().GetValue()
		}
	}
	return by
}

func (w *tripWorld) person(roles ...fleet.Role) fleet.UserID {
	w.t.Helper()
	id := fleet.NewID[fleet.User]()
	w.must(schema.Users{DB: w.db}.Create(w.t.Context(), fleet.User{
		ID: id, Email: id.String() + "@example.com", EmailVerified: tripsNoon, Name: "Ada", Roles: roles, Created: tripsNoon,
	}, ""))
	return id
}

// tripOfficer is a driver with an account.
type tripOfficer struct {
	w    *tripWorld
	id   fleet.DriverID
	user fleet.UserID
}

func (w *tripWorld) officer() *tripOfficer {
	w.t.Helper()
	o := &tripOfficer{w: w, id: fleet.NewID[fleet.Driver](), user: w.person(fleet.RoleDriver)}
	w.must(schema.Drivers{DB: w.db}.Create(w.t.Context(), fleet.Driver{ID: o.id, Name: "Bo", Tier: fleet.Essential, User: o.user}))
	return o
}

// assigned is a booking that begins at start, for two hours, and has its officers.
func (w *tripWorld) assigned(start time.Time, team ...*tripOfficer) fleet.Booking {
	w.t.Helper()
	table, err := json.Marshal(tariff.Default())
	w.must(err)
	b := fleet.Booking{ID: fleet.NewID[fleet.Booking](), User: w.user, Created: w.clock.Now(), Funded: w.clock.Now(),
		Order: fleet.Order{Start: start, Zone: "Europe/London", LocalStart: start.Format("2006-01-02T15:04"), Minutes: 120, Type: fleet.SecureTransfer,
			Tier: fleet.Essential, Level: fleet.LevelStandard, Pickup: strand, Destination: &museum, Officers: len(team)},
		Terms: fleet.Terms{Tariff: table, Price: json.RawMessage(`{}`), Total: fleet.Pounds(110)}}
	w.must(w.bookings.Place(w.t.Context(), &b, fleet.Actor{Kind: fleet.ByPrincipal, User: w.user}))
	return w.change(b.ID, func(c *schema.BookingTx) error {
		for i, o := range team {
			seat := c.Seats[i]
			seat.State, seat.Driver, seat.From, seat.To = fleet.SeatCommitted, o.id, start.Add(-30*time.Minute), b.End().Add(30*time.Minute)
			if err := c.Take(seat); err != nil {
				return err
			}
		}
		return c.Move(fleet.Assigned, schema.Event{Kind: "assigned"})
	})
}

// fill gives an open seat to an officer, as the engine does.
func (w *tripWorld) fill(id fleet.BookingID, o *tripOfficer) fleet.Booking {
	w.t.Helper()
	return w.change(id, func(c *schema.BookingTx) error {
		open := c.Vacant()
		if len(open) != 1 {
			w.t.Fatalf("seats %+v are open, want one", open)
		}
		seat := open[0]
		seat.State, seat.Driver, seat.From, seat.To = fleet.SeatCommitted, o.id, c.Now, c.End().Add(30*time.Minute)
		if err := c.Take(seat); err != nil {
			return err
		}
		if c.Status == fleet.InProgress {
			return c.Note(schema.Event{Kind: "relief_assigned"})
		}
		return c.Move(fleet.Assigned, schema.Event{Kind: "assigned"})
	})
}

func (w *tripWorld) change(id fleet.BookingID, do func(*schema.BookingTx) error) fleet.Booking {
	w.t.Helper()
	b, err := w.bookings.Change(w.t.Context(), id, w.clock.Now(), do)
	w.must(err)
	return b
}

func (w *tripWorld) get(id fleet.BookingID) fleet.Booking {
	w.t.Helper()
	b, err := w.bookings.Get(w.t.Context(), id)
	w.must(err)
	return b
}

// tap is what the officer's app sends.
func (o *tripOfficer) tap(b fleet.BookingID, kind fleet.TripCommandKind, change ...func(*fleet.TripCommand)) (fleet.Booking, error) {
	cmd := fleet.TripCommand{ID: fleet.NewID[fleet.TripCommand](), Booking: b, Kind: kind, Driver: o.id,
		By: fleet.Actor{Kind: fleet.ByOfficer, User: o.user}, Code: "4711", Reason: "illness"}
	for _, c := range change {
		c(&cmd)
	}
	return o.w.Do(o.w.t.Context(), cmd)
}

func (o *tripOfficer) mustTap(b fleet.BookingID, kinds ...fleet.TripCommandKind) fleet.Booking {
	o.w.t.Helper()
	var got fleet.Booking
	for _, kind := range kinds {
		var err error
		got, err = o.tap(b, kind)
		o.w.must(err)
	}
	return got
}

func tappedAt(when time.Time) func(*fleet.TripCommand) {
	return func(c *fleet.TripCommand) { c.Occurred = when }
}

func tappedAs(id fleet.TripCommandID) func(*fleet.TripCommand) {
	return func(c *fleet.TripCommand) { c.ID = id }
}

func (w *tripWorld) extend(b fleet.BookingID, minutes int) (fleet.Booking, error) {
	return w.Do(w.t.Context(), fleet.TripCommand{ID: fleet.NewID[fleet.TripCommand](), Booking: b, Kind: fleet.AskExtend, Minutes: minutes,
		By: fleet.Actor{Kind: fleet.ByPrincipal, User: w.user}})
}

// events are the kinds of what has happened, and checks that none is missing.
func (w *tripWorld) events(id fleet.BookingID) []string {
	w.t.Helper()
	events, err := w.bookings.Events(w.t.Context(), id, 0, 1000)
	w.must(err)
	kinds := make([]string, len(events))
	for i, e := range events {
		if e.Seq != int64(i+1) {
			w.t.Errorf("event %d has seq %d", i+1, e.Seq)
		}
		kinds[i] = e.Kind
	}
	return kinds
}

func (w *tripWorld) count(id fleet.BookingID, kind string) int {
	w.t.Helper()
	n := 0
	for _, k := range w.events(id) {
		if k == kind {
			n++
		}
	}
	return n
}

func (w *tripWorld) conflicts() ([]fleet.TripCommand, error) {
	return schema.Trips{DB: w.db}.Conflicts(w.t.Context(), fleet.UserID{}, fleet.TripCommand{}, 10)
}

// alerts are the kinds of the open alerts about a booking.
func (w *tripWorld) alerts(id fleet.BookingID) []fleet.AlertKind {
	w.t.Helper()
	open, err := schema.Alerts{DB: w.db}.List(w.t.Context(), fleet.UserID{}, true, fleet.AlertID{}, 1000)
	w.must(err)
	var kinds []fleet.AlertKind
	for _, a := range open {
		if a.Booking == id {
			kinds = append(kinds, a.Kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

func (w *tripWorld) wantAlerts(id fleet.BookingID, want ...fleet.AlertKind) {
	w.t.Helper()
	if got := w.alerts(id); !slices.Equal(got, want) {
		w.t.Fatalf("alerts %v are open, want %v", got, want)
	}
}

// goes puts the officer some metres north of a place, by a fix of now.
func (o *tripOfficer) goes(to fleet.Place, north float64) {
	o.w.t.Helper()
	now := fleet.MillisOf(o.w.clock.Now())
	o.w.index.Apply(live.Fix{Unit: fleet.Unit(o.id), Source: fleet.DeviceID(o.id), At: now, Received: now,
		Lat: to.Lat + north/111_195, Lon: to.Lon, Accuracy: 8, Speed: float32(math.NaN())})
}
