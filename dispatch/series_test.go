package dispatch_test

import (
	"slices"
	"testing"
	"time"

	"armora/dispatch"
	"armora/fleet"
	"armora/schema"
)

// series lists when the bookings of a series are, on the wall and in UTC.
func (d *desk) series(id fleet.SeriesID) (wall, utc []string) {
	d.t.Helper()
	bookings, err := schema.Series{DB: d.db}.NotBegun(d.t.Context(), id)
	d.ok(err)
	for _, b := range bookings {
		wall, utc = append(wall, b.LocalStart), append(utc, b.Start.Format("01-02T15:04Z"))
	}
	return wall, utc
}

func TestASeriesKeepsItsTimeOnTheWall(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx := t.Context()
	s, err := d.Repeat(ctx, d.user, transfer(at("2027-03-18T01:30")), fleet.Recurrence{
		Every: 1, Weekdays: []time.Weekday{time.Sunday, time.Thursday}, Count: 5,
	})
	d.ok(err)
	wall, utc := d.series(s.ID)
	// On the 28th the clocks never show 01:30.
	wantWall := []string{"2027-03-18T01:30", "2027-03-21T01:30", "2027-03-25T01:30", "2027-03-28T02:00", "2027-04-01T01:30"}
	wantUTC := []string{"03-18T01:30Z", "03-21T01:30Z", "03-25T01:30Z", "03-28T01:00Z", "04-01T00:30Z"}
	if !slices.Equal(wall, wantWall) || !slices.Equal(utc, wantUTC) {
		t.Errorf("made at %v, which is %v", wall, utc)
	}
	d.ok(d.MakeSeries(ctx))
	if again, _ := d.series(s.ID); !slices.Equal(again, wall) {
		t.Errorf("made again: %v", again)
	}
}

func TestASeriesIsMadeEightWeeksAhead(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx := t.Context()
	s, err := d.Repeat(ctx, d.user, transfer(at("2027-03-02T12:00")), fleet.Recurrence{Every: 2, Count: 6})
	d.ok(err)
	first, _ := d.series(s.ID)
	if want := []string{"2027-03-02T12:00", "2027-03-16T12:00", "2027-03-30T12:00", "2027-04-13T12:00"}; !slices.Equal(first, want) || s.Made != 4 {
		t.Errorf("made %v, %d in all", first, s.Made)
	}
	// Two hubs at once make each once.
	d.clock.Advance(16 * 24 * time.Hour)
	done := make(chan error, 2)
	for range 2 {
		go func() { done <- d.MakeSeries(ctx) }()
	}
	d.ok(<-done)
	d.ok(<-done)
	second, _ := d.series(s.ID)
	if want := slices.Concat(first, []string{"2027-04-27T12:00", "2027-05-11T12:00"}); !slices.Equal(second, want) {
		t.Errorf("later: %v, want %v", second, want)
	}

	// Ended, what has begun stays.
	began := d.bookingsOf(s.ID)[0]
	officer, _ := d.officer()
	d.assign(began.ID, officer)
	d.move(began.ID, fleet.EnRoute)
	_, err = d.EndSeries(ctx, d.person(fleet.RoleRider), s.ID)
	d.code(err, fleet.CodeNotFound)
	ended, err := d.EndSeries(ctx, d.user, s.ID)
	d.ok(err)
	if left, _ := d.series(s.ID); len(left) != 0 || !ended.Ended.Equal(d.clock.Now()) {
		t.Errorf("left are %v of %+v", left, ended)
	}
	for _, b := range d.bookingsOf(s.ID) {
		if b.ID == began.ID && b.Status != fleet.EnRoute || b.ID != began.ID && (b.Status != fleet.Cancelled || b.Start.After(d.clock.Now().Add(24*time.Hour)) && b.Fee != fleet.Pence(6_00)) {
			t.Errorf("%s is %s at %s", b.LocalStart, b.Status, b.Fee)
		}
	}
	d.ok(d.MakeSeries(ctx))
	_, err = d.EndSeries(ctx, d.user, s.ID)
	d.ok(err)
}

func (d *desk) bookingsOf(id fleet.SeriesID) []fleet.Booking {
	d.t.Helper()
	all, err := d.bookings.History(d.t.Context(), d.user, fleet.BookingID{}, 100)
	d.ok(err)
	all = slices.DeleteFunc(all, func(b fleet.Booking) bool { return b.Series != id })
	slices.Reverse(all)
	return all
}

func TestASeriesGoesOnWithoutWhatHasChanged(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx, users := t.Context(), schema.Users{DB: d.db}
	officer, _ := d.officer()
	d.ok(schema.Officers{DB: d.db}.Approve(ctx, officer, "Kestrel", true, deskNoon))
	s, err := d.Repeat(ctx, d.user, transfer(at("2027-03-02T12:00"), func(r *dispatch.Request) { r.Preferred = officer }), fleet.Recurrence{Every: 4, Count: 4})
	d.ok(err)
	d.ok(schema.Officers{DB: d.db}.Wish(ctx, d.user, officer, fleet.Blocked, deskNoon))
	d.clock.Advance(5 * 24 * time.Hour)
	d.ok(d.MakeSeries(ctx))
	made := d.bookingsOf(s.ID)
	if len(made) != 3 || made[0].Preferred != officer || !made[2].Preferred.IsZero() {
		t.Errorf("made %+v", made)
	}
	// One who owes something books nothing, and keeps the others from nothing.
	_, err = d.bookings.Change(ctx, made[0].ID, d.clock.Now(), func(c *schema.BookingTx) error {
		return c.AddDebt(&fleet.Debt{State: fleet.DebtOpen, Amount: fleet.Pounds(6), Reason: "no_card"})
	})
	d.ok(err)
	d.clock.Advance(28 * 24 * time.Hour)
	d.ok(d.MakeSeries(ctx))
	// One who is suspended when it comes to the last is not booked for.
	_, err = users.Suspend(ctx, d.user, fleet.Suspension{Reason: "x", By: d.user, Since: deskNoon})
	d.ok(err)
	d.clock.Advance(32 * 24 * time.Hour)
	d.ok(d.MakeSeries(ctx))
	d.clock.Advance(60 * 24 * time.Hour)
	d.ok(users.Reinstate(ctx, d.user, d.user, "y", d.clock.Now()))
	d.ok(d.MakeSeries(ctx))
	if got, err := d.Series(ctx, d.user, s.ID); err != nil || got.Made != 4 || len(d.bookingsOf(s.ID)) != 3 {
		t.Errorf("%d of them were made or passed, error %v", got.Made, err)
	}
}

func TestWhatIsNoSeries(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, c := range []struct {
		r    dispatch.Request
		rule fleet.Recurrence
	}{
		{transfer(), fleet.Recurrence{Every: 1, Count: 2}},
		{transfer(at("2027-03-02T12:00")), fleet.Recurrence{Every: 0, Count: 2}},
		{transfer(at("2027-03-02T12:00")), fleet.Recurrence{Every: 5, Count: 2}},
		{transfer(at("2027-03-02T12:00")), fleet.Recurrence{Every: 1, Count: 1}},
		{transfer(at("2027-03-02T12:00")), fleet.Recurrence{Every: 1, Count: 261}},
		{transfer(at("2027-03-02T12:00")), fleet.Recurrence{Every: 1, Count: 2, Weekdays: []time.Weekday{time.Monday}}},
		{transfer(at("2027-03-28T01:30")), fleet.Recurrence{Every: 1, Count: 2}},
		{transfer(at("2027-10-31T01:30"), func(r *dispatch.Request) { r.Fold = 1 }), fleet.Recurrence{Every: 1, Count: 2}},
	} {
		_, err := d.Repeat(t.Context(), d.user, c.r, c.rule)
		d.code(err, fleet.CodeInvalid)
	}
	if list, err := d.SeriesOf(t.Context(), d.user, fleet.SeriesID{}, 10); err != nil || len(list) != 0 {
		t.Errorf("made all the same: %+v, error %v", list, err)
	}
}
