package dispatch_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"armora/bus"
	"armora/dispatch"
	"armora/dispatch/eta"
	"armora/fleet"
	"armora/live"
	"armora/schema"
	"armora/schema/schematest"
	"armora/tariff"
)

// deskNoon is a Monday in London, in winter.
var deskNoon = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

// desk is a desk on a database of its own, with a principal.
type desk struct {
	*dispatch.Desk
	t        *testing.T
	db       *schema.DB
	bookings schema.Bookings
	clock    *fleet.ManualClock
	index    *live.Index
	bus      *bus.Bus
	user     fleet.UserID
	metres   float64 // of every way
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, db: schematest.Plain(t), clock: fleet.NewManualClock(deskNoon), index: live.New(live.Options{}), bus: &bus.Bus{},
		metres: 6437.376} // 4 miles
	d.bookings = schema.Bookings{DB: d.db}
	d.Desk = dispatch.NewDesk(d.config())
	d.user = d.person(fleet.RoleRider)
	return d
}

// config is what the desk needs.
func (d *desk) config() dispatch.DeskConfig {
	return dispatch.DeskConfig{
		DB: d.db, Bus: d.bus, Map: d.index, Clock: d.clock, Log: slog.New(slog.DiscardHandler),
		Hash: func(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] },
		Way: func(_ context.Context, _ time.Time, places ...eta.Point) eta.Leg {
			if len(places) < 2 {
				return eta.Leg{}
			}
			return eta.Leg{Metres: d.metres * float64(len(places)-1), Time: 9*time.Minute + time.Second}
		},
	}
}

// reprice changes what everything costs from now on.
func (d *desk) reprice(change func(*tariff.Table)) {
	d.t.Helper()
	table, err := d.Tariff(d.t.Context())
	d.ok(err)
	change(&table)
	_, err = d.SetTariff(d.t.Context(), d.user, 0, table)
	d.ok(err)
}

func (d *desk) person(roles ...fleet.Role) fleet.UserID {
	d.t.Helper()
	id := fleet.NewID[fleet.User]()
	d.ok(schema.Users{DB: d.db}.Create(d.t.Context(), fleet.User{
		ID: id, Email: id.String() + "@example.com", EmailVerified: deskNoon, Name: "Ada Lovelace", Roles: roles, Created: deskNoon,
	}, ""))
	return id
}

// officer makes an officer, who signs in as the user.
func (d *desk) officer() (fleet.DriverID, fleet.UserID) {
	d.t.Helper()
	id, user := fleet.NewID[fleet.Driver](), d.person(fleet.RoleDriver)
	d.ok(schema.Drivers{DB: d.db}.Create(d.t.Context(), fleet.Driver{ID: id, Name: "Ben Hale", Tier: fleet.Essential, User: user}))
	return id, user
}

func (d *desk) ok(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) code(err error, code fleet.Code) {
	d.t.Helper()
	if err == nil || fleet.CodeOf(err) != code {
		d.t.Errorf("the error is %v, of code %s; want %s", err, fleet.CodeOf(err), code)
	}
}

// transfer is a request that can be had.
func transfer(change ...func(*dispatch.Request)) dispatch.Request {
	r := dispatch.Request{Order: fleet.Order{
		Type: fleet.SecureTransfer, Tier: fleet.Essential, Minutes: 120,
		Pickup:      fleet.Place{Lat: 51.5, Lon: -0.12, Label: "The Strand"},
		Destination: &fleet.Place{Lat: 51.47, Lon: -0.45, Label: "Heathrow"},
	}}
	for _, c := range change {
		c(&r)
	}
	return r
}

// at is a request for a time on the wall in London.
func at(local string) func(*dispatch.Request) {
	return func(r *dispatch.Request) { r.LocalStart, r.Zone = local, "Europe/London" }
}

func (d *desk) booked(change ...func(*dispatch.Request)) *fleet.Booking {
	d.t.Helper()
	v, err := d.Book(d.t.Context(), d.user, transfer(change...))
	d.ok(err)
	return d.get(v.ID)
}

func (d *desk) get(id fleet.BookingID) *fleet.Booking {
	d.t.Helper()
	b, err := d.bookings.Get(d.t.Context(), id)
	d.ok(err)
	return &b
}

// assign gives all seats of a booking to drivers, with half an hour before and
// after.
func (d *desk) assign(id fleet.BookingID, drivers ...fleet.DriverID) {
	d.t.Helper()
	d.change(id, func(c *schema.BookingTx) error {
		for i, s := range c.Seats {
			s.State, s.Driver, s.From, s.To = fleet.SeatCommitted, drivers[i], c.Start.Add(-30*time.Minute), c.End().Add(30*time.Minute)
			if err := c.Take(s); err != nil {
				return err
			}
		}
		return c.Move(fleet.Assigned, schema.Event{Kind: "assigned"})
	})
}

// move takes a booking along its way.
func (d *desk) move(id fleet.BookingID, way ...fleet.BookingStatus) {
	d.t.Helper()
	for _, to := range way {
		d.change(id, func(c *schema.BookingTx) error { return c.Move(to, schema.Event{Kind: string(to)}) })
	}
}

func (d *desk) change(id fleet.BookingID, do func(*schema.BookingTx) error) {
	d.t.Helper()
	_, err := d.bookings.Change(d.t.Context(), id, d.clock.Now(), do)
	d.ok(err)
}

func TestAQuoteIsBookedAtItsPrice(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx := t.Context()
	told := make(chan bus.BookingChange, 1)
	defer d.bus.Bookings.Subscribe(func(c bus.BookingChange) { told <- c })()
	q, err := d.Quote(ctx, d.user, transfer())
	d.ok(err)
	if q.Total != fleet.Pounds(120) || q.Metres != 6437 || !q.Expires.Equal(deskNoon.Add(dispatch.QuoteLife)) || q.Order.Zone != "Europe/London" {
		t.Errorf("quoted %+v", q)
	}
	// It costs more by now, and is night: the quote stands.
	d.reprice(func(t *tariff.Table) { t.Hourly.Essential *= 2 })
	d.clock.Advance(10 * time.Minute)
	_, err = d.BookQuote(ctx, d.person(fleet.RoleRider), q.ID, dispatch.Details{})
	d.code(err, fleet.CodeNotFound)
	v, err := d.BookQuote(ctx, d.user, q.ID, dispatch.Details{Notes: "the red door", Vehicle: "a black Volvo"})
	d.ok(err)
	b := d.get(v.ID)
	if b.Total != q.Total || b.Notes != "the red door" || !b.ClientVehicle || !b.Start.Equal(deskNoon.Add(10*time.Minute)) || !b.Now() ||
		b.Funded.IsZero() || b.Status != fleet.Scheduled || len(b.Seats) != 1 || v.Version != 1 {
		t.Errorf("booked %+v", b)
	}
	if c := <-told; c.ID != b.ID || c.Seq != 1 {
		t.Errorf("told of %+v", c)
	}
	_, err = d.BookQuote(ctx, d.user, q.ID, dispatch.Details{})
	d.code(err, fleet.CodeConflict)

	late, err := d.Quote(ctx, d.user, transfer())
	d.ok(err)
	d.clock.Advance(dispatch.QuoteLife)
	_, err = d.BookQuote(ctx, d.user, late.ID, dispatch.Details{})
	d.code(err, fleet.CodeConflict)
	soon, err := d.Quote(ctx, d.user, transfer(at("2027-03-01T12:30")))
	d.ok(err)
	d.clock.Advance(6 * time.Minute)
	_, err = d.BookQuote(ctx, d.user, soon.ID, dispatch.Details{})
	d.code(err, fleet.CodeInvalid)
}

// A quote that is booked by two phones at once is booked once.
func TestAQuoteIsBookedOnceByManyAtOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	q, err := d.Quote(t.Context(), d.user, transfer())
	d.ok(err)
	var all sync.WaitGroup
	errs := make([]error, 6)
	for i := range errs {
		all.Go(func() { _, errs[i] = d.BookQuote(t.Context(), d.user, q.ID, dispatch.Details{}) })
	}
	all.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			d.code(err, fleet.CodeConflict)
		}
	}
	if won != 1 {
		t.Errorf("%d of 6 have booked it", won)
	}
}

func TestWhatCannotBeBooked(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	stranger, _ := d.officer()
	place := fleet.Place{Lat: 1, Lon: 1}
	for where, change := range map[string]func(*dispatch.Request){
		"destination":        func(r *dispatch.Request) { r.Destination = nil },
		"destination static": func(r *dispatch.Request) { r.Type = fleet.StaticProtection },
		"destination stops": func(r *dispatch.Request) {
			r.Type, r.Destination, r.Stops = fleet.StaticProtection, nil, []fleet.Place{place}
		},
		"minutes short":                 func(r *dispatch.Request) { r.Minutes = 90 },
		"minutes odd":                   func(r *dispatch.Request) { r.Minutes = 125 },
		"minutes long":                  func(r *dispatch.Request) { r.Minutes = 7*24*60 + 30 },
		"local_start past":              at("2027-03-01T11:59"),
		"local_start far":               at("2028-03-02T12:01"),
		"local_start gap":               at("2027-03-28T01:30"),
		"zone":                          func(r *dispatch.Request) { r.Zone = "Mars/Olympus" },
		"zone missing":                  func(r *dispatch.Request) { r.LocalStart = "2027-03-28T10:00" },
		"preferred_officer_id":          func(r *dispatch.Request) { r.Preferred = stranger },
		"preferred_officer_id nobody's": func(r *dispatch.Request) { r.Preferred = fleet.NewID[fleet.Driver]() },
	} {
		_, err := d.Book(t.Context(), d.user, transfer(change))
		d.code(err, fleet.CodeInvalid)
		e, ok := errors.AsType[*fleet.Error](err)
		location, _, _ := strings.Cut(where, " ")
		if !ok || len(e.Flaws) == 0 || e.Flaws[0].Location != location {
			t.Errorf("%s: %v, flaws %+v", where, err, e)
		}
	}
	_, err := d.Book(t.Context(), d.user, transfer(func(r *dispatch.Request) { r.Armed = true }))
	d.code(err, fleet.CodeArmed)
	if list, err := d.History(t.Context(), d.user, dispatch.AsPrincipal, fleet.BookingID{}, 10); err != nil || len(list) != 0 {
		t.Errorf("booked all the same: %+v, error %v", list, err)
	}
	d.booked(at("2027-03-01T12:00"))
	d.booked(at("2028-03-01T12:00"))
	d.booked(func(r *dispatch.Request) { r.Minutes = 7 * 24 * 60 })
}

func TestWhoMayNotBook(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	users := schema.Users{DB: d.db}
	unverified := fleet.NewID[fleet.User]()
	d.ok(users.Create(t.Context(), fleet.User{ID: unverified, Email: "x@example.com", Roles: []fleet.Role{fleet.RoleRider}, Created: deskNoon}, ""))
	suspended := d.person(fleet.RoleRider)
	q, err := d.Quote(t.Context(), suspended, transfer())
	d.ok(err)
	_, err = users.Suspend(t.Context(), suspended, fleet.Suspension{Reason: "x", By: d.user, Since: deskNoon})
	d.ok(err)
	_, officer := d.officer()
	for _, who := range []fleet.UserID{unverified, suspended, officer} {
		_, err := d.Quote(t.Context(), who, transfer())
		d.code(err, fleet.CodeForbidden)
		_, err = d.Book(t.Context(), who, transfer())
		d.code(err, fleet.CodeForbidden)
		_, err = d.Repeat(t.Context(), who, transfer(at("2027-03-02T10:00")), fleet.Recurrence{Every: 1, Count: 2})
		d.code(err, fleet.CodeForbidden)
	}
	_, err = d.BookQuote(t.Context(), suspended, q.ID, dispatch.Details{})
	d.code(err, fleet.CodeForbidden)
}

// The risk band is that of the principal's assessment, whatever a request says.
func TestRiskIsNotSaidByThePrincipal(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	say := func(r *dispatch.Request) { r.Risk = "green" }
	if b := d.booked(say); b.Risk != "" {
		t.Errorf("without an assessment the risk is %q", b.Risk)
	}
	d.ok(schema.Questionnaires{DB: d.db}.Put(t.Context(), d.user, fleet.Questionnaire{
		FilledForm: fleet.FilledForm{Version: 1, Form: 1, Body: []byte(`{}`), Changed: deskNoon}, Risk: fleet.RiskOrange,
	}))
	if b := d.booked(say); b.Risk != "orange" {
		t.Errorf("the risk is %q", b.Risk)
	}
}

func TestAPreferredOfficerIsOneOfThePastOrListed(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	officer, _ := d.officer()
	prefer := func(r *dispatch.Request) { r.Preferred = officer }
	first := d.booked()
	d.assign(first.ID, officer)
	_, err := d.Book(t.Context(), d.user, transfer(prefer))
	d.code(err, fleet.CodeInvalid) // assigned, and not yet of the past
	d.move(first.ID, fleet.EnRoute, fleet.Arrived, fleet.InProgress, fleet.Completed)
	if b := d.booked(prefer, at("2027-03-02T10:00")); b.Preferred != officer {
		t.Errorf("preferred is %v", b.Preferred)
	}
	d.ok(schema.Officers{DB: d.db}.Wish(t.Context(), d.user, officer, fleet.Blocked, deskNoon))
	_, err = d.Book(t.Context(), d.user, transfer(prefer))
	d.code(err, fleet.CodeInvalid)
	other := d.person(fleet.RoleRider)
	_, err = d.Book(t.Context(), other, transfer(prefer))
	d.code(err, fleet.CodeInvalid)
	d.ok(schema.Officers{DB: d.db}.Approve(t.Context(), officer, "", true, deskNoon))
	_, err = d.Book(t.Context(), other, transfer(prefer))
	d.ok(err)
}

func TestTheStartCodeIsSixDigitsOfTheBooking(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	codes := map[string]bool{}
	for range 100 {
		id := fleet.NewID[fleet.Booking]()
		code := d.StartCode(id)
		if len(code) != 6 || strings.Trim(code, "0123456789") != "" || code != d.StartCode(id) {
			t.Fatalf("the code is %q", code)
		}
		codes[code] = true
	}
	if len(codes) < 90 {
		t.Errorf("100 bookings have %d codes", len(codes))
	}
}
