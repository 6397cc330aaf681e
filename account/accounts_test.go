package account

import (
	"context"
	"runtime"
	"testing"
	"time"

	"armora/bus"
	"armora/fleet"
	"armora/schema/schematest"
)

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

	ctx, stop := context.WithCancel(t.Context())
	standings, ended := make(chan bus.Standing, 16), make(chan struct{})
	o.bus.Standings.Subscribe(func(s bus.Standing) { standings <- s })
	go func() {
		defer close(ended)
		o.Run(ctx)
	}()
	defer func() {
		stop()
		<-ended
	}()
	for o.p.clock.Waiting() == 0 { // it listens
		runtime.Gosched()
	}
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
