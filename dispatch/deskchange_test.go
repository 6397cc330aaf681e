package dispatch_test

import (
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"armora/dispatch"
	"armora/fleet"
	"armora/schema"
	"armora/tariff"
)

func reader(user fleet.UserID) dispatch.Reader { return dispatch.Reader{User: user} }

func ops(user fleet.UserID) dispatch.Reader { return dispatch.Reader{User: user, Ops: true} }

func TestCancellingCostsByTheBookingsTariff(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx := t.Context()
	staff := d.person(fleet.RoleDispatcher)
	cancel := func(id fleet.BookingID) int64 {
		t.Helper()
		v, err := d.Cancel(ctx, reader(d.user), id, 0, "plans have changed")
		d.ok(err)
		b := d.get(id)
		if v.Status != fleet.Cancelled || b.Status != fleet.Cancelled || b.EndedBy != fleet.ByPrincipal || b.EndReason != "plans have changed" || v.Booking.Fee != b.Fee {
			t.Errorf("cancelled as %+v", b)
		}
		return b.Fee.Amount
	}
	far, near, late := d.booked(at("2027-03-02T12:00")), d.booked(at("2027-03-01T14:00")), d.booked(at("2027-03-01T13:59"))
	d.reprice(func(t *tariff.Table) { t.Cancellation.Steps = nil }) // for whoever books now
	for b, fee := range map[*fleet.Booking]int64{far: 6_00, near: 60_00, late: 120_00} {
		if got := cancel(b.ID); got != fee {
			t.Errorf("a booking at %s costs %d, want %d", b.LocalStart, got, fee)
		}
	}
	d.reprice(func(t *tariff.Table) { *t = tariff.Default() })

	// For now: free until an officer has accepted, and for five minutes after.
	first, second := d.booked(), d.booked()
	if got := cancel(first.ID); got != 0 {
		t.Errorf("before anybody has accepted it costs %d", got)
	}
	officer, _ := d.officer()
	d.assign(second.ID, officer)
	d.clock.Advance(5*time.Minute + time.Second)
	if got := cancel(second.ID); got != second.Total.Amount {
		t.Errorf("5 min after acceptance it costs %d", got)
	}
	if seat := d.get(second.ID).Seats[0]; seat.State != fleet.SeatReleased {
		t.Errorf("the seat is %+v", seat)
	}
	_, err := d.Cancel(ctx, reader(d.user), second.ID, 0, "")
	d.code(err, fleet.CodeConflict)

	// Ops: free, with a reason; and they let people off.
	third := d.booked(at("2027-03-01T13:00"))
	_, err = d.Cancel(ctx, ops(staff), third.ID, 0, "")
	d.code(err, fleet.CodeInvalid)
	v, err := d.Cancel(ctx, ops(staff), third.ID, 0, "no officer is left")
	d.ok(err)
	if v.Booking.Fee.Amount != 0 || v.Booking.EndedBy != fleet.ByOps {
		t.Errorf("by ops: %+v", v.Booking)
	}
	_, err = d.Waive(ctx, staff, third.ID, 0, "x")
	d.code(err, fleet.CodeConflict)
	_, err = d.Waive(ctx, staff, second.ID, second.Version, "x")
	d.code(err, fleet.CodeVersionMismatch)
	v, err = d.Waive(ctx, staff, second.ID, 0, "a bereavement")
	d.ok(err)
	if v.Booking.Fee.Amount != 0 {
		t.Errorf("waived: %+v", v.Booking.Fee)
	}
	_, err = d.Waive(ctx, staff, second.ID, 0, "x")
	d.code(err, fleet.CodeConflict)
}

func TestWhoMayCancel(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx := t.Context()
	officer, user := d.officer()
	b := d.booked(at("2027-03-02T12:00"))
	d.assign(b.ID, officer)
	_, err := d.Cancel(ctx, reader(user), b.ID, 0, "ill")
	d.code(err, fleet.CodeForbidden)
	_, err = d.Cancel(ctx, reader(d.person(fleet.RoleRider)), b.ID, 0, "x")
	d.code(err, fleet.CodeNotFound)
	_, err = d.Cancel(ctx, reader(d.user), b.ID, b.Version, "x") // it was assigned since
	d.code(err, fleet.CodeVersionMismatch)
	d.ok(schema.Users{DB: d.db}.Restrict(ctx, fleet.UserID{}, d.user, true))
	_, err = d.Cancel(ctx, ops(d.person(fleet.RoleDispatcher)), b.ID, 0, "x")
	d.code(err, fleet.CodeNotFound)
	_, err = d.Waive(ctx, d.person(fleet.RoleDispatcher), b.ID, 0, "x")
	d.code(err, fleet.CodeNotFound)
	d.move(b.ID, fleet.EnRoute, fleet.Arrived, fleet.InProgress)
	_, err = d.Cancel(ctx, reader(d.user), b.ID, 0, "x")
	d.code(err, fleet.CodeConflict)
}

// Of a cancellation, an acceptance and an edit at once one is first, and the
// others see it as it then is.
func TestCancellingEditingAndAcceptingAtOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	officer, _ := d.officer()
	for range 8 {
		b := d.booked(at("2027-03-02T12:00"))
		d.move(b.ID, fleet.Searching)
		var all sync.WaitGroup
		errs := make([]error, 3)
		all.Go(func() { _, errs[0] = d.Cancel(t.Context(), reader(d.user), b.ID, 0, "x") })
		later := "2027-03-03T12:00"
		all.Go(func() { _, errs[1] = d.Edit(t.Context(), d.user, b.ID, 0, dispatch.Edit{LocalStart: &later}) })
		all.Go(func() {
			_, errs[2] = d.bookings.Change(t.Context(), b.ID, deskNoon, func(c *schema.BookingTx) error {
				s := c.Seats[0]
				s.State, s.Driver, s.From, s.To = fleet.SeatCommitted, officer, c.Start, c.End()
				if err := c.Take(s); err != nil {
					return err
				}
				return c.Move(fleet.Assigned, schema.Event{Kind: "assigned"})
			})
		})
		all.Wait()
		for _, err := range errs {
			if err != nil {
				d.code(err, fleet.CodeConflict)
			}
		}
		got := d.get(b.ID)
		events, err := d.bookings.Events(t.Context(), b.ID, 0, 100)
		d.ok(err)
		if errs[0] != nil || got.Status != fleet.Cancelled || len(events) != int(got.Seq) {
			t.Fatalf("it is %s with %d events, seq %d; errors %v", got.Status, len(events), got.Seq, errs)
		}
	}
}

func TestAnEditIsPricedByTheBookingsTariff(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx := t.Context()
	b := d.booked(at("2027-03-02T12:00"))
	d.reprice(func(t *tariff.Table) { t.Hourly.Essential *= 2 })
	text := func(s string) *string { return &s }
	edit := func(e dispatch.Edit) *fleet.Booking {
		t.Helper()
		v, err := d.Edit(ctx, d.user, b.ID, 0, e)
		d.ok(err)
		got := d.get(b.ID)
		if v.Booking.Total != got.Total || v.Version != got.Version || string(got.Tariff) != string(b.Tariff) {
			t.Errorf("shown as %+v, stored as %+v", v.Booking, got)
		}
		return got
	}
	if got := edit(dispatch.Edit{Notes: text("the red door")}); got.Notes != "the red door" || string(got.Price) != string(b.Price) || !got.Start.Equal(b.Start) {
		t.Errorf("with a note: %+v", got)
	}
	if got := edit(dispatch.Edit{LocalStart: text("2027-03-28T22:00")}); got.Total != fleet.Pence(120_00+25_00) || got.Start.Hour() != 21 {
		t.Errorf("in the night: %s at %v", got.Total, got.Start)
	}
	if got := edit(dispatch.Edit{LocalStart: text("2027-03-28T17:00"), Zone: text("America/New_York")}); got.Total != fleet.Pence(120_00) || got.Start.Hour() != 21 {
		t.Errorf("the same, by other clocks: %s at %v", got.Total, got.Start)
	}
	d.metres *= 2 // by whoever is asked now: it is the same way
	four := 240
	if got := edit(dispatch.Edit{Zone: text("Europe/London"), Minutes: &four, LocalStart: text("2027-03-02T12:00")}); got.Total != fleet.Pence(220_00) || got.Minutes != four {
		t.Errorf("for four hours: %s", got.Total)
	}
	d.metres /= 2
	stops := []fleet.Place{{Lat: 51.49, Lon: -0.2}}
	if got := edit(dispatch.Edit{Stops: &stops}); got.Total != fleet.Pence(230_00) || got.Metres != 12875 {
		t.Errorf("with a stop: %s for %d m", got.Total, got.Metres)
	}
	if got := edit(dispatch.Edit{LocalStart: text("2027-03-02T12:00"), Zone: text("America/New_York")}); got.Start.Hour() != 17 || got.Zone != "America/New_York" {
		t.Errorf("elsewhere: %v", got.Start)
	}
	short, paris := 60, "Europe/Paris"
	for _, bad := range []dispatch.Edit{
		{LocalStart: text("2027-02-02T12:00")}, {LocalStart: text("2028-04-02T12:00")}, {LocalStart: text("2027-03-28T01:30"), Zone: text("Europe/London")},
		{Minutes: &short}, {Zone: &paris},
	} {
		_, err := d.Edit(ctx, d.user, b.ID, 0, bad)
		d.code(err, fleet.CodeInvalid)
	}
	_, err := d.Edit(ctx, d.user, b.ID, 1, dispatch.Edit{Notes: text("x")})
	d.code(err, fleet.CodeVersionMismatch)
	_, err = d.Edit(ctx, d.person(fleet.RoleRider), b.ID, 0, dispatch.Edit{Notes: text("x")})
	d.code(err, fleet.CodeNotFound)
}

func TestAnEditMovesTheTimeOfWhoHasAccepted(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx := t.Context()
	officer, _ := d.officer()
	b, other := d.booked(at("2027-03-02T12:00")), d.booked(at("2027-03-02T18:00"))
	d.assign(b.ID, officer)
	d.assign(other.ID, officer)
	edit := func(local string) error {
		_, err := d.Edit(ctx, d.user, b.ID, 0, dispatch.Edit{LocalStart: &local})
		return err
	}
	d.ok(edit("2027-03-02T14:00"))
	got := d.get(b.ID)
	if s := got.Seats[0]; got.Status != fleet.Assigned || !s.From.Equal(got.Start.Add(-30*time.Minute)) || !s.To.Equal(got.End().Add(30*time.Minute)) {
		t.Errorf("moved to %+v", got)
	}
	d.code(edit("2027-03-02T16:00"), fleet.CodeConflict) // the other begins at 18:00
	d.code(edit("2027-03-01T12:15"), fleet.CodeConflict) // who is to be half an hour on the way
	six := 360
	_, err := d.Edit(ctx, d.user, b.ID, 0, dispatch.Edit{Minutes: &six})
	d.code(err, fleet.CodeConflict)
	if again := d.get(b.ID); again.Version != got.Version || !again.Start.Equal(got.Start) || again.Total != got.Total {
		t.Errorf("what was refused has changed it: %+v", again)
	}
	d.move(b.ID, fleet.EnRoute)
	d.code(edit("2027-03-02T15:00"), fleet.CodeConflict)
	nine, york := "2027-03-02T09:00", "America/New_York" // when it is, by clocks of where it is cheaper
	_, err = d.Edit(ctx, d.user, b.ID, 0, dispatch.Edit{LocalStart: &nine, Zone: &york})
	d.code(err, fleet.CodeConflict)
	d.move(b.ID, fleet.Arrived, fleet.InProgress)
	_, err = d.Edit(ctx, d.user, b.ID, 0, dispatch.Edit{Destination: &fleet.Place{Lat: 51, Lon: 0}})
	d.ok(err) // on the way one may think better of where to
	d.move(b.ID, fleet.Completed)
	_, err = d.Edit(ctx, d.user, b.ID, 0, dispatch.Edit{Destination: &fleet.Place{Lat: 52, Lon: 0}})
	d.code(err, fleet.CodeConflict)
}

func TestAnEditWhileOfficersAreAsked(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	later, sooner := "2027-03-03T12:00", "2027-03-02T08:00"
	for _, c := range []struct {
		local string
		want  fleet.BookingStatus
	}{{later, fleet.Scheduled}, {sooner, fleet.Searching}} {
		officer, _ := d.officer()
		b := d.booked(at("2027-03-02T12:00"))
		d.move(b.ID, fleet.Searching)
		o := fleet.Offer{ID: fleet.NewID[fleet.Offer](), Driver: officer, Seat: b.Seats[0].ID, Created: deskNoon, Expires: deskNoon.Add(time.Minute), From: b.Start, To: b.End()}
		d.change(b.ID, func(c *schema.BookingTx) error {
			if err := c.Offer(o); err != nil {
				return err
			}
			return c.Move(fleet.Offered, schema.Event{Kind: "offered"})
		})
		note := "ring twice"
		_, err := d.Edit(t.Context(), d.user, b.ID, 0, dispatch.Edit{Notes: &note})
		d.ok(err)
		if got := d.get(b.ID); got.Status != fleet.Offered {
			t.Errorf("with a note it is %s", got.Status)
		}
		_, err = d.Edit(t.Context(), d.user, b.ID, 0, dispatch.Edit{LocalStart: &c.local})
		d.ok(err)
		if got := d.get(b.ID); got.Status != c.want {
			t.Errorf("at %s it is %s, want %s", c.local, got.Status, c.want)
		}
		offers := schema.Offers{DB: d.db}
		if got, err := offers.Of(t.Context(), officer, o.ID); err != nil || got.State != fleet.OfferWithdrawn {
			t.Errorf("the offer is %+v, error %v", got, err)
		}
	}
}

func TestRating(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx := t.Context()
	officer, user := d.officer()
	b := d.booked()
	rate := func(who fleet.UserID) error {
		_, err := d.Rate(ctx, who, b.ID, fleet.Rating{Stars: 5, Text: "calm and kind"})
		return err
	}
	d.code(rate(d.user), fleet.CodeConflict)
	d.assign(b.ID, officer)
	d.move(b.ID, fleet.EnRoute, fleet.Arrived, fleet.InProgress, fleet.Completed)
	d.code(rate(user), fleet.CodeNotFound)
	d.ok(rate(d.user))
	d.code(rate(d.user), fleet.CodeConflict)
	v, err := d.Read(ctx, reader(d.user), b.ID)
	if err != nil || v.Rating == nil || v.Rating.Stars != 5 {
		t.Errorf("rated as %+v, error %v", v.Rating, err)
	}
	if v, err = d.Read(ctx, reader(user), b.ID); err != nil || v.Rating != nil {
		t.Errorf("the officer sees %+v, error %v", v.Rating, err)
	}
}

func TestTheTariffHasEditions(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx := t.Context()
	first, err := d.Tariff(ctx)
	d.ok(err)
	dearer := first
	dearer.Hourly.Essential = 60_00
	second, err := d.SetTariff(ctx, d.user, 1, dearer)
	d.ok(err)
	if got, err := d.Tariff(ctx); err != nil || got.Version != 2 || second.Version != 2 || got.Hourly.Essential != 60_00 {
		t.Errorf("the second edition is %+v, error %v", got, err)
	}
	_, err = d.SetTariff(ctx, d.user, 1, dearer)
	d.code(err, fleet.CodeVersionMismatch)
	free := first
	free.Hourly.Essential = 0
	_, err = d.SetTariff(ctx, d.user, 0, free)
	d.code(err, fleet.CodeInvalid)
	// Officers are paid by rates of their own, whatever the table says of pay: members
	// would pay less.
	cheap := first
	cheap.Discount, cheap.Pay.Work = 50, 40
	_, err = d.SetTariff(ctx, d.user, 0, cheap)
	d.code(err, fleet.CodeInvalid)
	// Of many who set one at once upon the same, one does.
	var all sync.WaitGroup
	errs := make([]error, 6)
	for i := range errs {
		all.Go(func() { _, errs[i] = d.SetTariff(ctx, d.user, 2, dearer) })
	}
	all.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			d.code(err, fleet.CodeVersionMismatch)
		}
	}
	if got, err := d.Tariff(ctx); err != nil || won != 1 || got.Version != 3 {
		t.Errorf("%d have set it, which is edition %d, error %v", won, got.Version, err)
	}
}

// A tariff that is set ahead prices nothing before its time, and everything from then
// on, whatever was set meanwhile; one for the same time replaces it.
func TestATariffComesIntoForce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx := t.Context()
	set := func(rate int64, from time.Time) tariff.Table {
		t.Helper()
		table, err := d.Tariff(ctx)
		d.ok(err)
		table.Hourly.Essential, table.ValidFrom = rate, from
		table, err = d.SetTariff(ctx, d.user, 0, table)
		d.ok(err)
		return table
	}
	costs := func(version int) {
		t.Helper()
		q, err := d.Quote(ctx, d.user, transfer())
		d.ok(err)
		table := tariff.Table{}
		d.ok(json.Unmarshal(q.Tariff, &table))
		if table.Version != version {
			t.Errorf("at %v edition %d counts, want %d", d.clock.Now(), table.Version, version)
		}
	}
	july := deskNoon.Add(100 * 24 * time.Hour)
	set(70_00, july)
	costs(1)
	d.clock.Advance(24 * time.Hour)
	set(60_00, time.Time{})
	costs(3)
	set(71_00, july)
	costs(3)
	d.clock.Advance(july.Add(-time.Second).Sub(d.clock.Now()))
	costs(3)
	d.clock.Advance(time.Second)
	costs(4)
	if got := set(72_00, deskNoon); !got.ValidFrom.Equal(d.clock.Now()) { // as of an edition that was read
		t.Errorf("it counts from %v", got.ValidFrom)
	}
	costs(5)
	all, err := d.Tariffs(ctx, 0, 10)
	d.ok(err)
	var versions []int
	for _, e := range all {
		versions = append(versions, e.Version)
	}
	page, err := d.Tariffs(ctx, 3, 1)
	d.ok(err)
	if !slices.Equal(versions, []int{5, 4, 3, 2, 1}) || len(page) != 1 || page[0].Version != 2 || !page[0].ValidFrom.Equal(july) {
		t.Errorf("editions %v, and one before the third is %+v", versions, page)
	}
}

// Who puts a booking off, or makes it cheaper, and then cancels, pays what cancelling
// would have cost before; ops cancel free all the same.
func TestPuttingOffDoesNotMakeCancellingCheaper(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx := t.Context()
	edit := func(id fleet.BookingID, e dispatch.Edit) {
		t.Helper()
		_, err := d.Edit(ctx, d.user, id, 0, e)
		d.ok(err)
	}
	far, note := "2027-03-20T12:00", "the red door"
	b := d.booked(at("2027-03-01T13:00")) // in an hour: all of it
	whole := b.Total
	edit(b.ID, dispatch.Edit{LocalStart: &far})
	edit(b.ID, dispatch.Edit{Notes: &note})
	if _, err := d.Cancel(ctx, reader(d.user), b.ID, 0, "plans have changed"); err != nil {
		t.Fatal(err)
	}
	if got := d.get(b.ID).Fee; got != whole {
		t.Errorf("put off, it costs %s, want %s", got, whole)
	}
	eight, two := 480, 120
	b = d.booked(at("2027-03-01T18:00"), func(r *dispatch.Request) { r.Minutes = eight }) // in six hours: half
	half := fleet.Pence((b.Total.Amount + 1) / 2)
	edit(b.ID, dispatch.Edit{Minutes: &two})
	if _, err := d.Cancel(ctx, reader(d.user), b.ID, 0, "plans have changed"); err != nil {
		t.Fatal(err)
	}
	if got := d.get(b.ID).Fee; got != half {
		t.Errorf("made shorter, it costs %s, want %s", got, half)
	}
	b = d.booked(at("2027-03-01T13:00"))
	edit(b.ID, dispatch.Edit{LocalStart: &far})
	if _, err := d.Cancel(ctx, ops(fleet.UserID{}), b.ID, 0, "no officer is left"); err != nil {
		t.Fatal(err)
	}
	if got := d.get(b.ID).Fee; got.Amount != 0 {
		t.Errorf("by ops it costs %s", got)
	}
}
