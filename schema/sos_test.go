package schema_test

import (
	"slices"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// A trip is in the book with those who are on it, and what lets them in; an SOS on it
// freezes what is known of all of them, once.
func TestATripInTheBookAndFrozen(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx := t.Context()
		ada, bo, stranger := newUser(t, db), newUser(t, db, fleet.RoleDriver), newUser(t, db)
		driver := newDriver(t, db, bo)
		b := newBooking(t, db, ada, noon, 1)
		_, err := (schema.Bookings{DB: db}).Change(ctx, b.ID, noon, func(c *schema.BookingTx) error {
			seat := c.Seats[0]
			seat.State, seat.Driver, seat.From, seat.To = fleet.SeatCommitted, driver, c.Start, c.End()
			must(t, c.Take(seat))
			return c.Move(fleet.Assigned, schema.Event{Kind: "assigned"})
		})
		must(t, err)
		phones := map[fleet.UserID]fleet.DeviceID{}
		for _, user := range []fleet.UserID{ada, bo, stranger} {
			d := fleet.Device{ID: fleet.NewID[fleet.Device](), Kind: fleet.Phone, Name: "phone", User: user, Created: noon}
			must(t, schema.Devices{DB: db}.Create(ctx, d))
			phones[user] = d.ID
		}
		_, err = db.Pool().Exec(ctx, `INSERT INTO contacts (id, user_id, sealed, state, created, changed) VALUES
			(gen_random_uuid(), $1, 'a', 'opted_in', $3, $3), (gen_random_uuid(), $1, 'b', 'invited', $3, $3), (gen_random_uuid(), $2, 'c', 'opted_in', $3, $3)`,
			ada, stranger, noon)
		must(t, err)

		book, err := (schema.SOSBooks{DB: db}).Take(ctx, noon.Add(-time.Hour))
		must(t, err)
		if len(book.Trips) != 1 || book.Trips[0].Principal != ada || !slices.Equal(book.Trips[0].Drivers, []fleet.DriverID{driver}) || book.Trips[0].Active {
			t.Errorf("trips: %+v", book.Trips)
		}
		if len(book.Contacts) != 1 || string(book.Contacts[0].Sealed) != "a" {
			t.Errorf("contacts: %+v", book.Contacts)
		}
		known := map[fleet.DeviceID]bool{}
		for _, d := range book.Devices {
			known[d.Identity.Device] = true
		}
		if !known[phones[ada]] || !known[phones[bo]] || known[phones[stranger]] {
			t.Errorf("devices: %+v", book.Devices)
		}
		if later, err := (schema.SOSBooks{DB: db}).Take(ctx, noon.Add(-3*time.Hour)); err != nil || len(later.Trips) != 0 {
			t.Errorf("a trip of later: %+v, %v", later.Trips, err)
		}

		s := fleet.SOS{ID: fleet.NewID[fleet.SOS]()}
		raised := fleet.SOSEntry{ID: fleet.NewID[fleet.SOSEntry](), SOS: s.ID, Kind: fleet.SOSRaised, At: noon, By: bo.String(), Call: &fleet.SOSCall{
			Raiser: fleet.Raiser{User: bo, Driver: driver}, Trip: b.ID, Type: fleet.SOSThreat, Occurred: noon, Via: "rest",
		}}
		must(t, s.Apply(raised))
		table := schema.SOSes{DB: db}
		for range 2 { // a commit whose outcome was not known is tried again
			stored, err := table.Store(ctx, schema.SOSRecord{SOS: &s, Entries: []fleet.SOSEntry{raised}, Protect: []fleet.UserID{ada}})
			if err != nil || len(stored) != 1 || stored[0].Seq != 1 {
				t.Fatalf("%+v, %v", stored, err)
			}
		}
		held := func() (users []string) {
			rows, err := db.Pool().Query(ctx, `SELECT user_id::text FROM legal_holds WHERE released IS NULL ORDER BY user_id`)
			must(t, err)
			defer rows.Close()
			for rows.Next() {
				var user string
				must(t, rows.Scan(&user))
				users = append(users, user)
			}
			return users
		}
		want := []string{ada.String(), bo.String()}
		slices.Sort(want)
		if got := held(); !slices.Equal(got, want) {
			t.Errorf("frozen are %v, want %v", got, want)
		}
		if _, err := table.Of(ctx, ada, s.ID); fleet.CodeOf(err) != fleet.CodeNotFound {
			t.Errorf("who did not raise it: %v", err)
		}
	})
}
