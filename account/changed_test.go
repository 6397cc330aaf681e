package account

import (
	"context"
	"encoding/json"
	"runtime"
	"slices"
	"testing"
	"time"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// run lets the officers listen until the test ends, or stop has returned.
func (o *officers) run() (stop func()) {
	ctx, cancel := context.WithCancel(o.p.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		o.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-ended
	}
	o.p.t.Cleanup(stop)
	for o.p.clock.Waiting() == 0 { // it listens
		runtime.Gosched()
	}
	return stop
}

// What becomes of somebody's account is known to those who offer them work at
// once, and not when it is next looked.
func TestAnAccountThatChangesReachesMatching(t *testing.T) {
	t.Parallel()
	o := newOfficers(t, schematest.Plain(t))
	user, rider := o.reachable(fleet.RoleDriver), o.reachable(fleet.RoleRider)
	driver, err := o.Add(t.Context(), "Ada Vale", fleet.Shadow, user)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []fleet.DocumentKind{fleet.SIALicence, fleet.BackgroundCheck, fleet.RightToWork} {
		o.verified(fleet.Document{Driver: driver.ID, Kind: kind}, noon.AddDate(1, 0, 0), time.Time{})
	}
	admin := o.reachable(fleet.RoleAdmin)
	directory := NewDirectory(o.p.db, o.p.Sessions, o.p.clock)
	approvals := NewApprovals(o.p.db, o.p.Sessions, o.p.clock)

	ctx := t.Context()
	standings := make(chan bus.Standing, 16)
	o.bus.Standings.Subscribe(func(s bus.Standing) { standings <- s })
	o.run()
	fit := func(want bool, why string) {
		t.Helper()
		if s := <-standings; s.Driver != driver.ID || (len(s.Tiers) > 0) != want {
			t.Errorf("%s: %+v, want fit: %v", why, s, want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	by := &Caller{Name: "x", User: admin, Roles: []fleet.Role{fleet.RoleAdmin}}
	must(directory.Suspend(ctx, by, rider, "no officer's account")) // of which nobody hears
	must(directory.Suspend(ctx, by, user, "a complaint"))
	fit(false, "suspended")
	must(directory.Reinstate(ctx, by, user, "settled"))
	fit(true, "reinstated")
	_, err = directory.SetRoles(ctx, by, user, nil, "leaves")
	must(err)
	fit(false, "no officer any more")
	second := &Caller{Name: "y", User: o.reachable(fleet.RoleAdmin), Roles: []fleet.Role{fleet.RoleAdmin}}
	asked, err := directory.SetRoles(ctx, by, user, []fleet.Role{fleet.RoleDriver}, "is back")
	must(err)
	_, err = approvals.Decide(ctx, second, asked.ID, fleet.OutcomeApproved)
	must(err)
	fit(true, "an officer again, as another admin approved")
	if _, err := o.p.db.Pool().Exec(ctx, `UPDATE users SET erased = $2 WHERE id = $1`, user, noon); err != nil {
		t.Fatal(err)
	}
	o.bus.Accounts.Publish(user) // as an erasure does
	fit(false, "erased")
	if len(standings) != 0 {
		t.Errorf("somebody else is told of: %+v", <-standings)
	}
}

// The phone of a principal is followed once an officer has set out to them, and no
// more when the trip has ended.
func TestAPrincipalIsFollowedOnTheirTrip(t *testing.T) {
	t.Parallel()
	o := newOfficers(t, schematest.Plain(t))
	rider := o.reachable(fleet.RoleRider)
	ctx := t.Context()
	followed := make(chan bus.Spells, 16)
	o.bus.Spells.Subscribe(func(s bus.Spells) { followed <- s })
	stop := o.run()
	phone := fleet.NewID[fleet.Device]()
	_, err := o.p.db.Pool().Exec(ctx, `INSERT INTO devices (id, kind, name, format, user_id, created) VALUES ($1, 'phone', 'phone', 0, $2, $3)`, phone, rider, noon)
	if err != nil {
		t.Fatal(err)
	}
	var gone []bus.Move // Run's until it has ended
	o.bus.Moves.Subscribe(func(m bus.Move) { gone = append(gone, m) })
	bookings := schema.Bookings{DB: o.p.db}
	b := fleet.Booking{ID: fleet.NewID[fleet.Booking](), User: rider, Created: noon, Funded: noon,
		Order: fleet.Order{Start: noon, Zone: "UTC", Minutes: 120, Type: fleet.AtTheirSide, Tier: fleet.Essential, Officers: 1},
		Terms: fleet.Terms{Tariff: json.RawMessage(`{}`), Price: json.RawMessage(`{}`), Total: fleet.Pounds(120)}}
	if err := bookings.Place(ctx, &b, fleet.Actor{Kind: fleet.ByPrincipal, User: rider}); err != nil {
		t.Fatal(err)
	}
	move := func(to fleet.BookingStatus) {
		t.Helper()
		at := o.p.clock.Now()
		_, err := bookings.Change(ctx, b.ID, at, func(c *schema.BookingTx) error { return c.Move(to, schema.Event{Kind: string(to)}) })
		if err != nil {
			t.Fatal(err)
		}
		o.bus.Bookings.Publish(bus.BookingChange{ID: b.ID, User: rider, Status: to})
		o.p.clock.Advance(time.Second)
	}
	at := func(seconds int) fleet.Millis { return fleet.MillisOf(noon.Add(time.Duration(seconds) * time.Second)) }
	move(fleet.Assigned)
	move(fleet.EnRoute)
	if s := <-followed; s.User != rider || !slices.Equal(s.Spells, []fleet.Spell{{From: at(1)}}) {
		t.Errorf("an officer has set out: %+v", s)
	}
	move(fleet.Cancelled)
	if s := <-followed; s.User != rider || !slices.Equal(s.Spells, []fleet.Spell{{From: at(1), To: at(2)}}) {
		t.Errorf("it is over: %+v", s)
	}
	stop()
	if !slices.Equal(gone, []bus.Move{{Device: phone, From: fleet.Unit(phone)}}) {
		t.Errorf("off the map are %+v", gone)
	}
}
