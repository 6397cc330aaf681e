package safety

import (
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// alarmed is automatic alarms on a database of their own, with one trip under way.
type alarmed struct {
	*Alarms
	t       *testing.T
	db      *schema.DB
	clock   *fleet.ManualClock
	bus     *bus.Bus
	driver  fleet.DriverID
	booking fleet.Booking
	phone   fleet.DeviceID
	second  int
}

func newAlarmed(t *testing.T) *alarmed {
	t.Helper()
	a := &alarmed{t: t, db: schematest.Plain(t), clock: fleet.NewManualClock(noon), bus: new(bus.Bus), driver: fleet.NewID[fleet.Driver](), phone: fleet.NewID[fleet.Device]()}
	user := fleet.NewID[fleet.User]()
	a.must(schema.Users{DB: a.db}.Create(t.Context(), fleet.User{ID: user, Email: "ada@example.com", Name: "Ada", Roles: []fleet.Role{fleet.RoleRider}, Created: noon}, ""))
	a.must(schema.Drivers{DB: a.db}.Create(t.Context(), fleet.Driver{ID: a.driver, Name: "Bo", Tier: fleet.Essential}))
	a.booking = fleet.Booking{ID: fleet.NewID[fleet.Booking](), User: user, Created: noon, Funded: noon,
		Order: fleet.Order{Start: noon, Zone: "Europe/London", Minutes: 120, Type: fleet.SecureTransfer, Tier: fleet.Essential,
			Level: fleet.LevelStandard, Pickup: alarmStart, Destination: &alarmEnd, Officers: 1},
		Terms: fleet.Terms{Tariff: json.RawMessage(`{}`), Price: json.RawMessage(`{}`), Total: fleet.Pounds(110)}}
	a.must(schema.Bookings{DB: a.db}.Place(t.Context(), &a.booking, fleet.Actor{Kind: fleet.ByPrincipal, User: user}))
	a.change(func(c *schema.BookingTx) error {
		seat := c.Seats[0]
		seat.State, seat.Driver, seat.From, seat.To = fleet.SeatCommitted, a.driver, noon, c.End()
		return c.Take(seat)
	})
	a.to(fleet.Assigned, fleet.EnRoute, fleet.Arrived, fleet.InProgress)
	a.restart()
	return a
}

// tidings makes notices as notify does, with their words in the open.
func (a *alarmed) tidings(t fleet.Tidings) schema.Telling {
	return func(to fleet.User) (notices []fleet.Notice, err error) {
		for _, channel := range t.Channels {
			notices = append(notices, fleet.Notice{
				ID: fleet.NewID[fleet.Notice](), User: to.ID, Channel: channel, To: to.Phone, Kind: t.Kind, Sealed: []byte(t.Data["what"]),
				Booking: t.Booking, Once: t.Once, Created: a.clock.Now(), Expires: t.Expires,
			})
		}
		return notices, nil
	}
}

// restart is a hub that has died and come back.
func (a *alarmed) restart() {
	a.t.Helper()
	if a.Alarms != nil {
		a.Close()
	}
	a.Alarms = NewAlarms(AlarmsConfig{DB: a.db, Bus: a.bus, Tell: a.tidings, Clock: a.clock, Log: slog.New(slog.DiscardHandler)})
	a.Open()
	a.t.Cleanup(a.Close)
	a.until("the trip to be watched", func() bool { return a.watches() })
}

func (a *alarmed) watches() bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	s := a.watched[a.driver]
	return s != nil && s.booking == a.booking.ID
}

func (a *alarmed) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *alarmed) until(what string, holds func() bool) {
	a.t.Helper()
	(&world{t: a.t}).until(what, holds)
}

func (a *alarmed) change(do func(*schema.BookingTx) error) {
	a.t.Helper()
	b, err := schema.Bookings{DB: a.db}.Change(a.t.Context(), a.booking.ID, a.clock.Now(), do)
	a.must(err)
	a.booking = b
	a.bus.Bookings.Publish(bus.BookingChange{ID: b.ID, User: b.User, Status: b.Status, Seq: b.Seq})
}

func (a *alarmed) to(statuses ...fleet.BookingStatus) {
	a.t.Helper()
	for _, to := range statuses {
		a.change(func(c *schema.BookingTx) error { return c.Move(to, schema.Event{Kind: string(to)}) })
	}
}

// fixes are so many seconds at a speed, at a place off the way or on it.
func (a *alarmed) fixes(seconds int, lat float64, speed float32) {
	for range seconds {
		at := fleet.MillisOf(noon.Add(time.Duration(a.second) * time.Second))
		p := fleet.NewPoint(at, lat, -0.1)
		p.Device, p.Speed = a.phone, speed
		a.Observe(fleet.Unit(a.driver), at, &p)
		a.second++
	}
}

// open waits until an alert of a kind is open, or none is.
func (a *alarmed) open(kind fleet.AlertKind, want int) {
	a.t.Helper()
	a.until("an alert", func() bool {
		alerts, err := schema.Alerts{DB: a.db}.OpenOf(a.t.Context(), kind)
		a.must(err)
		for _, alert := range alerts {
			if alert.Booking != a.booking.ID || alert.Driver != a.driver {
				a.t.Errorf("about somebody else: %+v", alert)
			}
		}
		return len(alerts) == want
	})
}

func TestAlarmsBecomeAlerts(t *testing.T) {
	t.Parallel()
	a := newAlarmed(t)
	a.fixes(150, 51.6, 30) // 11 km north of the way
	a.open(fleet.AlertOffRoute, 1)
	a.fixes(30, 51.6, 45)
	a.open(fleet.AlertSpeed, 1)
	a.fixes(70, 51.5, 20)
	a.open(fleet.AlertSpeed, 0)
	a.open(fleet.AlertOffRoute, 0)

	// What was raised before a restart is over once it is seen to be.
	a.fixes(150, 51.6, 30)
	a.open(fleet.AlertOffRoute, 1)
	a.restart()
	a.fixes(100, 51.6, 30) // and the same is raised once
	a.open(fleet.AlertOffRoute, 1)
	a.fixes(70, 51.5, 20)
	a.open(fleet.AlertOffRoute, 0)

	// The end of the trip ends them, and nothing is seen of it afterwards.
	a.fixes(150, 51.6, 30)
	a.open(fleet.AlertOffRoute, 1)
	a.to(fleet.Completed)
	a.open(fleet.AlertOffRoute, 0)
	a.until("the trip to be watched no more", func() bool { return !a.watches() })
	a.fixes(300, 51.6, 45)
	a.open(fleet.AlertOffRoute, 0)
}

// What is found while the database is away is stored when it is back.
func TestAlarmsOutliveTheDatabase(t *testing.T) {
	t.Parallel()
	a := newAlarmed(t)
	tx, err := a.db.Pool().Begin(t.Context())
	a.must(err)
	_, err = tx.Exec(t.Context(), `LOCK TABLE alerts IN ACCESS EXCLUSIVE MODE`)
	a.must(err)
	waiting := a.clock.Waiting()
	a.fixes(150, 51.6, 30)
	a.until("the connection that waits to be ended", func() bool {
		var ended int
		a.must(a.db.Pool().QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&ended))
		return ended > 0
	})
	a.must(tx.Rollback(t.Context()))
	a.until("it to wait for a moment", func() bool { return a.clock.Waiting() >= waiting })
	a.until("the alert", func() bool {
		a.clock.Advance(alarmsAgain)
		alerts, err := schema.Alerts{DB: a.db}.OpenOf(t.Context(), fleet.AlertOffRoute)
		a.must(err)
		return len(alerts) == 1
	})
}
