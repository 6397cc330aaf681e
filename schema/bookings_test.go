package schema_test

import (
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

func TestTheTransitionTableIsTheDatabases(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		rows, err := db.Pool().Query(t.Context(), `SELECT from_status, to_status FROM booking_moves`)
		must(t, err)
		type move struct{ From, To fleet.BookingStatus }
		theirs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[move])
		must(t, err)
		var ours []move
		for _, from := range fleet.BookingStatuses() {
			for _, to := range from.Next() {
				ours = append(ours, move{from, to})
			}
		}
		for _, m := range ours {
			if !slices.Contains(theirs, m) {
				t.Errorf("the database does not know %v", m)
			}
		}
		if len(theirs) != len(ours) {
			t.Errorf("the database knows %d moves, fleet %d", len(theirs), len(ours))
		}
		// And it holds whoever changes a booking by hand to it.
		b := newBooking(t, db, newUser(t, db), noon, 1)
		_, err = db.Pool().Exec(t.Context(), `UPDATE bookings SET status = 'completed', ended = $2 WHERE id = $1`, b.ID, noon)
		if err == nil {
			t.Error("a scheduled booking was completed")
		}
	})
}

func TestABookingGoesItsWay(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, user, driver := t.Context(), newUser(t, db), newDriver(t, db, fleet.UserID{})
		bookings, offers := schema.Bookings{DB: db}, schema.Offers{DB: db}
		b := newBooking(t, db, user, noon.Add(time.Hour), 1)
		if b.Version != 1 || b.Seq != 1 || len(b.Seats) != 1 {
			t.Fatalf("placed as %+v", b)
		}
		if got, err := bookings.Of(ctx, user, b.ID); err != nil || got.Version != 1 || got.Pickup != b.Pickup || !got.Start.Equal(b.Start) {
			t.Errorf("got %+v, error %v", got, err)
		}
		_, err := bookings.Of(ctx, newUser(t, db), b.ID)
		wantCode(t, err, fleet.CodeNotFound)

		at := noon
		change := func(do func(*schema.BookingTx) error) fleet.Booking {
			t.Helper()
			at = at.Add(time.Minute)
			b, err := bookings.Change(ctx, b.ID, at, do)
			must(t, err)
			return b
		}
		phone, clock := newDevice(t, db, fleet.Phone), fleet.NewManualClock(noon.Add(10*time.Second))
		_, err = schema.Devices{DB: db}.Bind(ctx, phone, driver, fleet.VehicleID{}, noon)
		must(t, err)
		outbox := schema.Outbox{DB: db, Clock: clock}
		var told []fleet.DeviceID
		offer := fleet.Offer{ID: fleet.NewID[fleet.Offer](), Driver: driver, Seat: b.Seats[0].ID, Created: at, Expires: at.Add(fleet.OfferLife),
			From: b.Start.Add(-time.Hour), To: b.End().Add(time.Hour), Pickup: 10 * time.Minute}
		change(func(c *schema.BookingTx) error { return c.Move(fleet.Searching, schema.Event{Kind: "searching"}) })
		change(func(c *schema.BookingTx) error {
			if err := c.Offer(offer); err != nil {
				return err
			}
			if err := c.Tell(schema.OfficerMessage{Driver: driver, Kind: "offer", Expires: offer.Expires, Offer: offer.ID}); err != nil {
				return err
			}
			told = c.Told()
			return c.Move(fleet.Offered, schema.Event{Kind: "offered", Data: map[string]any{"offer": offer.ID}})
		})
		sent, err := outbox.Pending(ctx, phone, 0, 10)
		if err != nil || len(sent) != 1 || sent[0].Driver != driver || sent[0].Kind != "offer" || len(told) != 1 || told[0] != phone {
			t.Fatalf("sent %+v to %v, error %v", sent, told, err)
		}
		for range 2 {
			must(t, outbox.Acknowledge(ctx, phone, sent[0].Seq))
			clock.Advance(time.Second)
		}
		if o, err := offers.Of(ctx, driver, offer.ID); err != nil || !o.Expires.Equal(noon.Add(10*time.Second+fleet.OfferAfterDelivery)) {
			t.Errorf("delivered: %+v, error %v", o, err)
		}
		got := change(func(c *schema.BookingTx) error {
			seat := *c.Seat(offer.Seat)
			seat.State, seat.Driver, seat.From, seat.To = fleet.SeatCommitted, driver, offer.From, offer.To
			if err := c.EndOffers(fleet.OfferAccepted, "", nil); err != nil {
				return err
			}
			if err := c.Take(seat); err != nil {
				return err
			}
			return c.Move(fleet.Assigned, schema.Event{Kind: "assigned", By: fleet.Actor{Kind: fleet.ByOfficer}})
		})
		if got.Lead().Driver != driver || !got.Sought.IsZero() {
			t.Errorf("assigned: %+v", got)
		}

		// A change that fails has changed nothing.
		_, err = bookings.Change(ctx, b.ID, at, func(c *schema.BookingTx) error {
			if err := c.Move(fleet.EnRoute, schema.Event{Kind: "en_route"}); err != nil {
				return err
			}
			return c.Move(fleet.Completed, schema.Event{Kind: "completed"})
		})
		wantCode(t, err, fleet.CodeConflict)

		other := newBooking(t, db, user, noon.Add(90*time.Minute), 1)
		_, err = bookings.Change(ctx, other.ID, at, func(c *schema.BookingTx) error {
			seat := c.Seats[0]
			seat.State, seat.Driver, seat.From, seat.To = fleet.SeatCommitted, driver, other.Start, other.End()
			return c.Take(seat)
		})
		wantCode(t, err, fleet.CodeConflict)

		for _, to := range []fleet.BookingStatus{fleet.EnRoute, fleet.Arrived, fleet.InProgress, fleet.Completed} {
			got = change(func(c *schema.BookingTx) error { return c.Move(to, schema.Event{Kind: string(to)}) })
		}
		if got.Ended.IsZero() || got.Seats[0].State != fleet.SeatReleased || got.Seats[0].Driver != driver {
			t.Errorf("completed: %+v", got)
		}
		events, err := bookings.Events(ctx, b.ID, 0, 100)
		must(t, err)
		if len(events) != 8 || int(got.Seq) != len(events) || got.Version != got.Seq {
			t.Errorf("%d events of a booking with seq %d, version %d", len(events), got.Seq, got.Version)
		}
		for i, e := range events {
			if int(e.Seq) != i+1 {
				t.Errorf("event %d has seq %d", i+1, e.Seq)
			}
		}
	})
}

// Two teams that take each other's officers wait for each other: the database
// sacrifices one, which is made anew and finds that it came second.
func TestTwoTeamsThatBlockEachOther(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t)
	user, drivers := newUser(t, db), []fleet.DriverID{newDriver(t, db, fleet.UserID{}), newDriver(t, db, fleet.UserID{})}
	bookings := schema.Bookings{DB: db}
	var halfway, done sync.WaitGroup
	halfway.Add(2)
	won := make([]error, 2)
	for team := range 2 {
		b := newBooking(t, db, user, noon, 2)
		first := sync.OnceFunc(func() { halfway.Done(); halfway.Wait() })
		done.Go(func() {
			_, won[team] = bookings.Change(t.Context(), b.ID, noon, func(c *schema.BookingTx) error {
				for i := range 2 {
					seat := c.Seats[i]
					seat.State, seat.Driver, seat.From, seat.To = fleet.SeatHeld, drivers[(i+team)%2], b.Start, b.End()
					seat.Held = noon.Add(time.Minute)
					if err := c.Take(seat); err != nil {
						return err
					}
					first()
				}
				return c.Note(schema.Event{Kind: "held"})
			})
		})
	}
	done.Wait()
	if (won[0] == nil) == (won[1] == nil) {
		t.Errorf("%v and %v: one team of the two has both officers", won[0], won[1])
	}
	for _, err := range won {
		if err != nil {
			wantCode(t, err, fleet.CodeConflict)
		}
	}
}

func TestADispatcherWhoseTermIsOver(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, bookings, dispatchers := t.Context(), schema.Bookings{DB: db}, schema.Dispatchers{DB: db}
		b := newBooking(t, db, newUser(t, db), noon, 1)
		old, err := dispatchers.Begin(ctx, "all", "one", noon)
		must(t, err)
		term, err := dispatchers.Begin(ctx, "all", "two", noon)
		must(t, err)
		search := func(c *schema.BookingTx) error { return c.Move(fleet.Searching, schema.Event{Kind: "searching"}) }
		_, err = bookings.ChangeIn(ctx, old, b.ID, noon, search)
		wantCode(t, err, fleet.CodeConflict)
		_, err = bookings.ChangeIn(ctx, term, b.ID, noon, search)
		must(t, err)
	})
}

func newBooking(t *testing.T, db *schema.DB, user fleet.UserID, start time.Time, officers int) fleet.Booking {
	t.Helper()
	b := fleet.Booking{ID: fleet.NewID[fleet.Booking](), User: user, Created: noon, Funded: noon,
		Order: fleet.Order{Start: start, Zone: "Europe/London", Minutes: 120, Type: fleet.AtTheirSide, Tier: fleet.Essential,
			Level: fleet.LevelStandard, Pickup: fleet.Place{Lat: 51.5, Lon: -0.1, Label: "The Strand"}, Officers: officers},
		Terms: fleet.Terms{Tariff: json.RawMessage(`{}`), Price: json.RawMessage(`{}`), Total: fleet.Pounds(120)}}
	must(t, schema.Bookings{DB: db}.Place(t.Context(), &b, fleet.Actor{Kind: fleet.ByPrincipal, User: user}))
	return b
}

func TestAlerts(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, alerts := t.Context(), schema.Alerts{DB: db}
		b, driver := newBooking(t, db, newUser(t, db), noon, 1), newDriver(t, db, fleet.UserID{})
		raise := func(booking fleet.BookingID, driver fleet.DriverID) fleet.AlertID {
			a := fleet.Alert{ID: fleet.NewID[fleet.Alert](), Kind: fleet.AlertSilent, Booking: booking, Driver: driver, Raised: noon}
			must(t, alerts.Raise(ctx, a))
			return a.ID
		}
		first := raise(b.ID, driver)
		raise(b.ID, driver) // again: the same
		raise(b.ID, fleet.DriverID{})
		raise(fleet.BookingID{}, driver)
		if open, err := alerts.List(ctx, fleet.UserID{}, true, fleet.AlertID{}, 10); err != nil || len(open) != 3 || open[2].ID != first {
			t.Errorf("open are %+v, error %v", open, err)
		}
		closed, err := alerts.Close(ctx, fleet.UserID{}, first, "Ops", "called them", noon.Add(time.Minute))
		if err != nil || closed.Note != "called them" || closed.Closed.IsZero() {
			t.Errorf("closed as %+v, error %v", closed, err)
		}
		_, err = alerts.Close(ctx, fleet.UserID{}, first, "Ops", "", noon)
		wantCode(t, err, fleet.CodeConflict)
		_, err = alerts.Close(ctx, fleet.UserID{}, fleet.NewID[fleet.Alert](), "Ops", "", noon)
		wantCode(t, err, fleet.CodeNotFound)
		raise(b.ID, driver) // it happens anew
		must(t, alerts.Settle(ctx, fleet.AlertSilent, b.ID, driver, "heard of again", noon))
		if open, err := alerts.List(ctx, fleet.UserID{}, true, fleet.AlertID{}, 10); err != nil || len(open) != 2 {
			t.Errorf("open are %+v, error %v", open, err)
		}
	})
}
