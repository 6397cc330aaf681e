package schema_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// protect takes a booking from where it is placed to its completion by a driver.
func protect(t *testing.T, db *schema.DB, b *fleet.Booking, driver fleet.DriverID) {
	t.Helper()
	bookings := schema.Bookings{DB: db}
	for _, to := range []fleet.BookingStatus{fleet.Assigned, fleet.EnRoute, fleet.Arrived, fleet.InProgress, fleet.Completed} {
		_, err := bookings.Change(t.Context(), b.ID, noon, func(c *schema.BookingTx) error {
			if to == fleet.Assigned {
				seat := c.Seats[0]
				seat.State, seat.Driver, seat.From, seat.To = fleet.SeatCommitted, driver, b.Start, b.End()
				if err := c.Take(seat); err != nil {
					return err
				}
			}
			if err := c.Move(to, schema.Event{Kind: string(to)}); err != nil {
				return err
			}
			if accepted, err := c.Accepted(); err != nil || accepted.IsZero() == (to != fleet.Completed) {
				t.Errorf("%s: accepted at %v, error %v", to, accepted, err)
			}
			return nil
		})
		must(t, err)
	}
}

func TestOfficersAsPrincipalsKnowThem(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, officers, bookings := t.Context(), schema.Officers{DB: db}, schema.Bookings{DB: db}
		user, other := newUser(t, db, fleet.RoleRider), newUser(t, db, fleet.RoleRider)
		account := newUser(t, db, fleet.RoleDriver)
		past, approved, stranger := newDriver(t, db, fleet.UserID{}), newDriver(t, db, account), newDriver(t, db, fleet.UserID{})
		b := newBooking(t, db, user, noon.Add(time.Hour), 1)
		protect(t, db, &b, past)
		must(t, officers.Approve(ctx, approved, "Kestrel", true, noon))

		known := func(user fleet.UserID, driver fleet.DriverID) bool {
			may, err := officers.MayPrefer(ctx, user, driver)
			must(t, err)
			return may
		}
		if !known(user, past) || known(other, past) || !known(user, approved) || !known(other, approved) || known(user, stranger) {
			t.Error("who may be preferred: one's own of the past, and the approved")
		}
		must(t, officers.Wish(ctx, user, approved, fleet.Blocked, noon))
		must(t, officers.Wish(ctx, user, past, fleet.Favourite, noon))
		wantCode(t, officers.Wish(ctx, user, stranger, fleet.Blocked, noon), fleet.CodeNotFound)
		wantCode(t, officers.Wish(ctx, other, past, fleet.Favourite, noon), fleet.CodeNotFound)
		if known(user, approved) || !known(other, approved) {
			t.Error("one who is blocked is not preferred")
		}
		listed := func(user fleet.UserID, choice schema.Choice) (ids []fleet.DriverID) {
			list, err := officers.List(ctx, user, choice, fleet.DriverID{}, 10)
			must(t, err)
			for _, o := range list {
				ids = append(ids, o.ID)
			}
			return ids
		}
		for choice, want := range map[schema.Choice][2]fleet.DriverID{
			schema.ChooseApproved: {approved, approved}, schema.ChoosePast: {past, {}},
			schema.ChooseFavourite: {past, {}}, schema.ChooseBlocked: {approved, {}},
		} {
			for i, who := range []fleet.UserID{user, other} {
				var ids []fleet.DriverID
				if !want[i].IsZero() {
					ids = append(ids, want[i])
				}
				if got := listed(who, choice); !slices.Equal(got, ids) {
					t.Errorf("%s, to user %d: %v, want %v", choice, i, got, ids)
				}
			}
		}

		// A block holds for all bookings of the principal, and no others.
		mine, theirs := newBooking(t, db, user, noon, 1), newBooking(t, db, other, noon, 1)
		excluded, err := bookings.Excluded(ctx, []fleet.BookingID{mine.ID, theirs.ID})
		must(t, err)
		if !slices.Equal(excluded[mine.ID], []fleet.DriverID{approved}) || len(excluded[theirs.ID]) != 0 {
			t.Errorf("excluded: %v", excluded)
		}
		must(t, officers.Wish(ctx, user, approved, fleet.NoWish, noon))
		wantCode(t, officers.Wish(ctx, user, approved, fleet.NoWish, noon), fleet.CodeNotFound)

		rate := func(stars int) error {
			_, err := bookings.Change(ctx, b.ID, noon, func(c *schema.BookingTx) error { return c.Rate(fleet.Rating{Stars: stars, Text: "calm"}) })
			return err
		}
		must(t, rate(4))
		wantCode(t, rate(1), fleet.CodeConflict)
		cards, err := officers.ByIDs(ctx, []fleet.DriverID{past, approved})
		must(t, err)
		if o := cards[past]; o.Stars != 4 || o.Ratings != 1 || !slices.Equal(o.Tiers, []fleet.Tier{fleet.Shadow}) || !o.Approved.IsZero() {
			t.Errorf("after the rating: %+v", o)
		}
		if o := cards[approved]; o.Alias != "Kestrel" || !o.Approved.Equal(noon) || o.Ratings != 0 {
			t.Errorf("approved: %+v", o)
		}
		if ratings, err := bookings.Ratings(ctx, []fleet.BookingID{b.ID, mine.ID}); err != nil || len(ratings) != 1 || ratings[b.ID].Text != "calm" {
			t.Errorf("ratings are %+v, error %v", ratings, err)
		}

		// Who is suspended is offered to nobody.
		_, err = schema.Users{DB: db}.Suspend(ctx, account, fleet.Suspension{Reason: "x", By: other, Since: noon})
		must(t, err)
		if got := listed(user, schema.ChooseApproved); len(got) != 0 || known(other, approved) {
			t.Errorf("suspended and listed: %v", got)
		}
	})
}

func TestWhoSeesABooking(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, bookings, users := t.Context(), schema.Bookings{DB: db}, schema.Users{DB: db}
		open, hidden := newUser(t, db), newUser(t, db)
		named, staff := newUser(t, db, fleet.RoleDispatcher), newUser(t, db, fleet.RoleDispatcher)
		must(t, users.Restrict(ctx, fleet.UserID{}, hidden, true))
		must(t, users.AddViewer(ctx, hidden, named, staff, noon))
		driver := newDriver(t, db, fleet.UserID{})
		first, secret := newBooking(t, db, open, noon.Add(time.Hour), 1), newBooking(t, db, hidden, noon.Add(2*time.Hour), 1)
		protect(t, db, &secret, driver)

		_, err := bookings.VisibleTo(ctx, staff, first.ID)
		must(t, err)
		_, err = bookings.VisibleTo(ctx, named, secret.ID)
		must(t, err)
		_, err = bookings.VisibleTo(ctx, staff, secret.ID)
		wantCode(t, err, fleet.CodeNotFound)
		_, err = bookings.VisibleTo(ctx, fleet.UserID{}, secret.ID) // the bootstrap admin
		wantCode(t, err, fleet.CodeNotFound)

		note := func(c *schema.BookingTx) error { return c.Note(schema.Event{Kind: "seen"}) }
		_, err = bookings.ChangeFor(ctx, staff, secret.ID, noon, note)
		wantCode(t, err, fleet.CodeNotFound)
		_, err = bookings.ChangeFor(ctx, named, secret.ID, noon, note)
		must(t, err)
		_, err = bookings.ChangeOf(ctx, open, secret.ID, noon, note)
		wantCode(t, err, fleet.CodeNotFound)
		_, err = bookings.ChangeOf(ctx, hidden, secret.ID, noon, note)
		must(t, err)

		list := func(staff fleet.UserID, q schema.BookingQuery) string {
			t.Helper()
			q.Limit = 10
			found, err := bookings.List(ctx, staff, q)
			must(t, err)
			names := map[fleet.BookingID]string{first.ID: "f", secret.ID: "s"}
			s := ""
			for _, b := range found {
				s += names[b.ID]
			}
			return s
		}
		for _, c := range []struct {
			staff fleet.UserID
			q     schema.BookingQuery
			want  string
		}{
			{staff, schema.BookingQuery{}, "f"}, {named, schema.BookingQuery{}, "sf"},
			{named, schema.BookingQuery{Statuses: []fleet.BookingStatus{fleet.Completed, fleet.NoShow}}, "s"},
			{named, schema.BookingQuery{Driver: driver}, "s"}, {staff, schema.BookingQuery{Driver: driver}, ""},
			{named, schema.BookingQuery{User: open}, "f"},
			{named, schema.BookingQuery{From: noon.Add(90 * time.Minute)}, "s"},
			{named, schema.BookingQuery{To: noon.Add(2 * time.Hour)}, "f"},
			{named, schema.BookingQuery{Before: secret.ID}, "f"},
		} {
			if got := list(c.staff, c.q); got != c.want {
				t.Errorf("%+v lists %q, want %q", c.q, got, c.want)
			}
		}
	})
}

func TestAQuoteIsBookedOnce(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, bookings, quotes := t.Context(), schema.Bookings{DB: db}, schema.Quotes{DB: db}
		user := newUser(t, db)
		b := newBooking(t, db, user, noon, 1)
		q := fleet.Quote{ID: fleet.NewID[fleet.Quote](), User: user, Order: b.Order, Terms: b.Terms, Created: noon, Expires: noon.Add(15 * time.Minute)}
		must(t, quotes.Add(ctx, &q))
		place := func() error {
			b.ID, b.Quote = fleet.NewID[fleet.Booking](), q.ID
			return bookings.Place(ctx, &b, fleet.Actor{Kind: fleet.ByPrincipal, User: user})
		}
		must(t, place())
		wantCode(t, place(), fleet.CodeConflict)
		if b, err := bookings.History(ctx, user, fleet.BookingID{}, 10); err != nil || len(b) != 2 || b[0].Quote != q.ID {
			t.Errorf("booked %+v, error %v", b, err)
		}
		must(t, schema.Maintenance{DB: db}.Retain(ctx, q.Expires.Add(23*time.Hour)))
		_, err := quotes.Of(ctx, user, q.ID)
		must(t, err)
		must(t, schema.Maintenance{DB: db}.Retain(ctx, q.Expires.Add(25*time.Hour)))
		_, err = quotes.Of(ctx, user, q.ID)
		wantCode(t, err, fleet.CodeNotFound)
	})
}

func TestSeries(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, series := t.Context(), schema.Series{DB: db}
		user, other := newUser(t, db), newUser(t, db)
		model := newBooking(t, db, user, noon, 1)
		s := fleet.Series{ID: fleet.NewID[fleet.Series](), User: user, Order: model.Order, Created: noon,
			Rule: fleet.Recurrence{Every: 1, Weekdays: []time.Weekday{time.Monday}, Count: 3}}
		s.Order.LocalStart = "2026-03-02T10:00"
		must(t, series.Add(ctx, &s, 1))
		again := s
		again.ID = fleet.NewID[fleet.Series]()
		wantCode(t, series.Add(ctx, &again, 1), fleet.CodeTooMany)

		got, err := series.Of(ctx, user, s.ID)
		must(t, err)
		if a, b := asJSON(t, got), asJSON(t, s); a != b || got.Order.LocalStart != s.Order.LocalStart || got.Order.Minutes != s.Order.Minutes {
			t.Errorf("kept as %s, want %s", a, b)
		}
		_, err = series.Of(ctx, other, s.ID)
		wantCode(t, err, fleet.CodeNotFound)

		place := func(made int) error {
			b := model
			b.ID, b.Series = fleet.NewID[fleet.Booking](), s.ID
			return series.Place(ctx, &b, made, fleet.Actor{Kind: fleet.ByPrincipal, User: user})
		}
		must(t, place(0))
		wantCode(t, place(0), fleet.CodeConflict) // by two hubs at once: the other was first
		must(t, series.Pass(ctx, s.ID, 1))
		wantCode(t, series.Pass(ctx, s.ID, 1), fleet.CodeConflict)
		if list, err := series.Unfinished(ctx, fleet.SeriesID{}, 10); err != nil || len(list) != 1 || list[0].Made != 2 {
			t.Errorf("unfinished: %+v, error %v", list, err)
		}
		if list, err := series.NotBegun(ctx, s.ID); err != nil || len(list) != 1 {
			t.Errorf("not begun: %d, error %v", len(list), err)
		}
		wantCode(t, series.End(ctx, other, s.ID, noon), fleet.CodeNotFound)
		must(t, series.End(ctx, user, s.ID, noon))
		must(t, series.End(ctx, user, s.ID, noon.Add(time.Hour)))
		wantCode(t, place(2), fleet.CodeConflict)
		if list, err := series.List(ctx, user, fleet.SeriesID{}, 10); err != nil || len(list) != 1 || !list[0].Ended.Equal(noon) {
			t.Errorf("ended: %+v, error %v", list, err)
		}
		if list, err := series.Unfinished(ctx, fleet.SeriesID{}, 10); err != nil || len(list) != 0 {
			t.Errorf("unfinished: %+v, error %v", list, err)
		}
	})
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	must(t, err)
	return string(text)
}
