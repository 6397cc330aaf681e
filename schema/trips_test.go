package schema_test

import (
	"errors"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

func TestTripCommandsAndPresence(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, bookings, trips := t.Context(), schema.Bookings{DB: db}, schema.Trips{DB: db}
		driver, b := newDriver(t, db, fleet.UserID{}), newBooking(t, db, newUser(t, db), noon, 1)
		first := fleet.TripCommand{ID: fleet.NewID[fleet.TripCommand](), Kind: fleet.TapStart, Driver: driver, Occurred: noon, Received: noon, Conflict: "too soon"}
		second := first
		second.ID, second.Occurred = fleet.NewID[fleet.TripCommand](), noon.Add(-time.Minute)
		_, err := bookings.Change(ctx, b.ID, noon, func(c *schema.BookingTx) error {
			for _, cmd := range []*fleet.TripCommand{&first, &second} {
				if _, ok, err := c.Command(cmd.ID); ok || err != nil {
					t.Errorf("known before it was kept, error %v", err)
				}
				must(t, c.Keep(cmd))
			}
			if waiting, err := c.Waiting(); err != nil || len(waiting) != 2 || waiting[0].ID != second.ID {
				t.Errorf("%+v wait, error %v", waiting, err)
			}
			first.Resolved, first.Resolution = noon, "done"
			must(t, c.Keep(&first))
			got, ok, err := c.Command(first.ID)
			if err != nil || !ok || got.Resolution != "done" || !got.Resolved.Equal(noon) || got.Conflict == "" {
				t.Errorf("kept as %+v, error %v", got, err)
			}
			for _, step := range []struct{ inside, news bool }{{false, false}, {true, true}, {true, false}, {false, true}, {false, false}, {true, true}} {
				at := noon.Add(time.Duration(c.Seq) * time.Minute)
				c.Seq++
				if news, err := c.Present(driver, fleet.AtPickup, step.inside, at); err != nil || news != step.news {
					t.Errorf("inside %v is news: %v, error %v", step.inside, news, err)
				}
			}
			return errors.New("no")
		})
		if err == nil {
			t.Fatal("the change was made")
		}
		_, err = bookings.Change(ctx, b.ID, noon, func(c *schema.BookingTx) error {
			// What an attempt has done goes with it, and the rest stays.
			must(t, c.Keep(&second))
			failed := errors.New("no")
			err := c.Attempt(func() error {
				must(t, c.Move(fleet.Searching, schema.Event{Kind: "searching"}))
				must(t, c.Move(fleet.Scheduled, schema.Event{Kind: "scheduled"}))
				if _, err := c.OpenSeat(1, fleet.SeatID{}); err == nil {
					t.Error("there are two seats of a number")
				}
				return failed
			})
			if !errors.Is(err, failed) || c.Status != fleet.Scheduled || c.Seq != 1 || len(c.Seats) != 1 {
				t.Errorf("after the attempt: error %v, %s, seq %d", err, c.Status, c.Seq)
			}
			return c.Move(fleet.Searching, schema.Event{Kind: "searching"})
		})
		must(t, err)
		if events, err := bookings.Events(ctx, b.ID, 0, 10); err != nil || len(events) != 2 {
			t.Errorf("events %+v, error %v", events, err)
		}
		if waiting, err := trips.Conflicts(ctx, fleet.UserID{}, fleet.TripCommand{}, 10); err != nil || len(waiting) != 1 || waiting[0].ID != second.ID {
			t.Errorf("%+v wait, error %v", waiting, err)
		}
		if waiting, err := trips.Conflicts(ctx, fleet.UserID{}, second, 10); err != nil || len(waiting) != 0 {
			t.Errorf("%+v wait after the last, error %v", waiting, err)
		}
	})
}

func TestWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, bookings, trips := t.Context(), schema.Bookings{DB: db}, schema.Trips{DB: db}
		user, driver := newUser(t, db), newDriver(t, db, fleet.UserID{})
		b, later := newBooking(t, db, user, noon, 1), newBooking(t, db, user, noon.Add(24*time.Hour), 1)
		for _, id := range []fleet.BookingID{b.ID, later.ID} {
			_, err := bookings.Change(ctx, id, noon, func(c *schema.BookingTx) error {
				seat := c.Seats[0]
				seat.State, seat.Driver, seat.From, seat.To = fleet.SeatCommitted, driver, c.Start, c.End()
				must(t, c.Take(seat))
				return c.Move(fleet.Assigned, schema.Event{Kind: "assigned"})
			})
			must(t, err)
		}
		if got, err := trips.UnderWay(ctx, noon.Add(time.Hour), fleet.BookingID{}, 10); err != nil || len(got) != 1 || got[0].ID != b.ID {
			t.Errorf("under way are %+v, error %v", got, err)
		}
		if got, err := trips.UnderWayFor(ctx, newUser(t, db), noon.Add(time.Hour), fleet.BookingID{}, 10); err != nil || len(got) != 1 {
			t.Errorf("staff see %+v under way, error %v", got, err)
		}
		must(t, schema.Users{DB: db}.Restrict(ctx, fleet.UserID{}, user, true))
		if got, err := trips.UnderWayFor(ctx, newUser(t, db), noon.Add(time.Hour), fleet.BookingID{}, 10); err != nil || len(got) != 0 {
			t.Errorf("staff who may not see the principal see %+v under way, error %v", got, err)
		}
		protects := func(user fleet.UserID) bool {
			is, err := trips.Protects(ctx, driver, user)
			must(t, err)
			return is
		}
		if protects(user) {
			t.Error("a driver who has not set out is seen")
		}
		_, err := bookings.Change(ctx, b.ID, noon, func(c *schema.BookingTx) error {
			if at, err := c.LastCame(fleet.Assigned); err != nil || !at.Equal(noon) {
				t.Errorf("assigned at %v, error %v", at, err)
			}
			others, err := c.Elsewhere(driver, noon, noon.Add(48*time.Hour))
			if err != nil || len(others) != 1 || others[0].Booking != later.ID {
				t.Errorf("elsewhere %+v, error %v", others, err)
			}
			if others, err := c.Elsewhere(driver, noon, noon.Add(time.Hour)); err != nil || len(others) != 0 {
				t.Errorf("elsewhere %+v, error %v", others, err)
			}
			if _, err := c.Present(driver, fleet.AtPickup, true, noon); err != nil {
				return err
			}
			return c.Move(fleet.EnRoute, schema.Event{Kind: "en_route"})
		})
		must(t, err)
		if !protects(user) || protects(newUser(t, db)) {
			t.Error("the officer is seen by the principal, and by nobody else")
		}
		if p, err := trips.Presence(ctx, b.ID); err != nil || len(p) != 1 || !p[0].Inside || !p[0].Since.Equal(noon) {
			t.Errorf("presence %+v, error %v", p, err)
		}
	})
}

func TestWhenOfficersWorked(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, duty := t.Context(), schema.DutySpells{DB: db}
		driver, other := newDriver(t, db, fleet.UserID{}), newDriver(t, db, fleet.UserID{})
		for i, d := range []fleet.Duty{fleet.OnDuty, fleet.OnBreak, fleet.OnDuty, fleet.OffDuty, fleet.OnDuty} {
			must(t, duty.Set(ctx, driver, d, noon.Add(time.Duration(i)*time.Hour)))
		}
		got, err := duty.Worked(ctx, []fleet.DriverID{driver, other}, noon.Add(90*time.Minute))
		must(t, err)
		stints := got[driver]
		if len(got) != 1 || len(stints) != 3 || stints[0].Duty != fleet.OnBreak || !stints[1].To.Equal(noon.Add(3*time.Hour)) || !stints[2].To.IsZero() {
			t.Errorf("worked %+v", got)
		}
	})
}

// An alert about what was seen a moment ago is not raised once nobody would settle
// it any more.
func TestAnAlertOfATripEndsWithIt(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, bookings, alerts := t.Context(), schema.Bookings{DB: db}, schema.Alerts{DB: db}
		driver, b := newDriver(t, db, fleet.UserID{}), newBooking(t, db, newUser(t, db), noon, 1)
		raise := func(kind fleet.AlertKind) int {
			must(t, alerts.RaiseOf(ctx, fleet.Alert{ID: fleet.NewID[fleet.Alert](), Kind: kind, Booking: b.ID, Driver: driver, Raised: noon}))
			open, err := alerts.List(ctx, fleet.UserID{}, true, fleet.AlertID{}, 10)
			must(t, err)
			return len(open)
		}
		if n := raise(fleet.AlertSilent); n != 0 {
			t.Error("of an officer without a seat")
		}
		change := func(do func(*schema.BookingTx) error) {
			t.Helper()
			_, err := bookings.Change(ctx, b.ID, noon, do)
			must(t, err)
		}
		change(func(c *schema.BookingTx) error {
			seat := c.Seats[0]
			seat.State, seat.Driver, seat.From, seat.To = fleet.SeatActive, driver, c.Start, c.End()
			must(t, c.Take(seat))
			return c.Move(fleet.Assigned, schema.Event{Kind: "assigned"})
		})
		raise(fleet.AlertSilent)
		if n := raise(fleet.AlertSilent); n != 1 {
			t.Errorf("%d alerts are open, want 1", n)
		}
		wantCode(t, schema.DutySpells{DB: db}.Set(ctx, driver, fleet.OffDuty, noon), fleet.CodeConflict)
		change(func(c *schema.BookingTx) error { return c.Move(fleet.Cancelled, schema.Event{Kind: "cancelled"}) })
		if n := raise(fleet.AlertLate); n != 0 {
			t.Errorf("%d alerts are open once it is over", n)
		}
		must(t, schema.DutySpells{DB: db}.Set(ctx, driver, fleet.OffDuty, noon))
	})
}

// A driver is heard by their phones and by their car's tracker, and by nothing of
// somebody else's.
func TestWhenADriverWasHeard(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, trips, devices := t.Context(), schema.Trips{DB: db}, schema.Devices{DB: db}
		ada, bo := fleet.NewID[fleet.Driver](), fleet.NewID[fleet.Driver]()
		for _, id := range []fleet.DriverID{ada, bo} {
			must(t, schema.Drivers{DB: db}.Create(ctx, fleet.Driver{ID: id, Name: "x", Tier: fleet.Shadow}))
		}
		car := fleet.Vehicle{ID: fleet.NewID[fleet.Vehicle](), Registration: "LV67 XYZ", Driver: ada}
		must(t, schema.Vehicles{DB: db}.Create(ctx, car, noon))
		heard := func(d fleet.Device, at time.Time, want time.Time) {
			t.Helper()
			d.ID, d.Name, d.Created = fleet.NewID[fleet.Device](), "x", noon
			must(t, devices.Create(ctx, d))
			p := newPoint(d.ID, at, 51.5, -0.12)
			p.Received = fleet.MillisOf(at.Add(time.Second))
			insert(t, schema.NewPoints(db), []fleet.Point{p}, 1)
			if got, err := trips.Heard(ctx, ada, noon); err != nil || !got.Equal(want) {
				t.Errorf("heard at %v, %v; want %v", got, err, want)
			}
		}
		heard(fleet.Device{Kind: fleet.Phone, Driver: bo}, noon.Add(time.Hour), time.Time{})
		heard(fleet.Device{Kind: fleet.Phone, Driver: ada}, noon.Add(-time.Second), time.Time{}) // too long ago
		heard(fleet.Device{Kind: fleet.Phone, Driver: ada}, noon.Add(time.Minute), noon.Add(61*time.Second))
		heard(fleet.Device{Kind: fleet.Tracker, Vehicle: car.ID}, noon.Add(2*time.Minute), noon.Add(121*time.Second))
		heard(fleet.Device{Kind: fleet.Phone, Driver: ada}, noon.Add(30*time.Second), noon.Add(121*time.Second))
	})
}
