package account

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

type officers struct {
	*Officers
	p       *people
	devices *Devices
}

func newOfficers(t *testing.T, db *schema.DB) officers {
	t.Helper()
	p, d := newPhones(t, db)
	return officers{NewOfficers(OfficersConfig{
		DB: db, Keyring: testKeyring(t, 1), Devices: d, Bus: p.bus, Clock: p.clock, Log: slog.New(slog.DiscardHandler),
	}), p, d}
}

// reachable makes a user who may be written to.
func (o officers) reachable(roles ...fleet.Role) fleet.UserID {
	o.p.t.Helper()
	id := fleet.NewID[fleet.User]()
	u := fleet.User{ID: id, Email: id.String() + "@example.com", EmailVerified: noon, Name: "Ada Vale", Roles: roles, Created: noon}
	if err := (schema.Users{DB: o.p.db}).Create(o.p.t.Context(), u, ""); err != nil {
		o.p.t.Fatal(err)
	}
	return id
}

// verified adds a document that counts until expires and is looked at again at
// reverify.
func (o officers) verified(d fleet.Document, expires, reverify time.Time) fleet.Document {
	o.p.t.Helper()
	d.Number, d.Category, d.Expires = "1234567890123456", fleet.CloseProtection, expires
	d, err := o.Submit(o.p.t.Context(), "test", fleet.UserID{}, d)
	if err != nil {
		o.p.t.Fatal(err)
	}
	d, err = o.Decide(o.p.t.Context(), &Caller{Name: "bootstrap"}, d.ID, fleet.Verified, "", reverify)
	if err != nil {
		o.p.t.Fatal(err)
	}
	return d
}

// told reads the notices so far: who was told of what, by kind.
func (o officers) told() map[fleet.UserID][]string {
	o.p.t.Helper()
	list, err := (schema.Notices{DB: o.p.db}).List(o.p.t.Context(), fleet.UserID{}, fleet.NoticeID{}, 1000)
	if err != nil {
		o.p.t.Fatal(err)
	}
	all := make(map[fleet.UserID][]string)
	for _, s := range list {
		all[s.Notice.User] = append(all[s.Notice.User], s.Notice.Kind)
	}
	return all
}

func TestPeopleAreToldOfADeadlineOnce(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		o := newOfficers(t, db)
		officer, dispatcher, rider := o.reachable(fleet.RoleDriver), o.reachable(fleet.RoleDispatcher), o.reachable(fleet.RoleRider)
		driver, err := o.Add(t.Context(), "Ada Vale", fleet.Shadow, officer)
		if err != nil {
			t.Fatal(err)
		}
		const day = 24 * time.Hour
		expect := func(n int, when string) {
			t.Helper()
			for range 2 { // the second time tells nobody
				if err := o.Warn(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			told := o.told()
			if len(told[officer]) != 2*n || len(told[dispatcher]) != 2*n || len(told[rider]) != 0 {
				t.Fatalf("%s: told %v, want %d each, by mail and in the app", when, told, n)
			}
		}
		o.verified(fleet.Document{Driver: driver.ID, Kind: fleet.SIALicence}, noon.Add(100*day), noon.Add(200*day))
		o.verified(fleet.Document{Driver: driver.ID, Kind: fleet.RightToWork}, time.Time{}, noon.Add(90*day))
		expect(0, "long before")
		o.p.clock.Advance(60*day - time.Second)
		expect(0, "a second before the first")
		o.p.clock.Advance(time.Second)
		expect(1, "30 days before staff have to look again")
		o.p.clock.Advance(10 * day)
		expect(2, "30 days before the expiry")
		o.p.clock.Advance(40 * day)
		expect(2, "after both")
		// Another deadline is told of again; what a newer document replaces is not.
		right := o.verified(fleet.Document{Driver: driver.ID, Kind: fleet.RightToWork}, time.Time{}, o.p.clock.Now().Add(10*day))
		expect(3, "of a new document that is short")
		if _, err := o.Decide(t.Context(), &Caller{Name: "bootstrap"}, right.ID, fleet.Verified, "", o.p.clock.Now().Add(20*day)); err != nil {
			t.Fatal(err)
		}
		expect(4, "of its new deadline")
		if _, err := o.Decide(t.Context(), &Caller{Name: "bootstrap"}, right.ID, fleet.Verified, "", o.p.clock.Now().Add(25*day)); err != nil {
			t.Fatal(err)
		}
		o.verified(fleet.Document{Driver: driver.ID, Kind: fleet.RightToWork}, time.Time{}, o.p.clock.Now().Add(300*day))
		expect(4, "of one that has a successor")
	})
}

func TestStaffHearThatAnOfficerIsTakenOffWork(t *testing.T) {
	t.Parallel()
	o := newOfficers(t, schematest.Plain(t))
	officer, dispatcher := o.reachable(fleet.RoleDriver), o.reachable(fleet.RoleDispatcher)
	driver, err := o.Add(t.Context(), "Ada Vale", fleet.Shadow, officer)
	if err != nil {
		t.Fatal(err)
	}
	far := noon.Add(300 * 24 * time.Hour)
	licence := o.verified(fleet.Document{Driver: driver.ID, Kind: fleet.SIALicence}, far, time.Time{})
	o.verified(fleet.Document{Driver: driver.ID, Kind: fleet.BackgroundCheck}, far, time.Time{})
	var last bus.Standing
	o.bus.Standings.Subscribe(func(s bus.Standing) { last = s })
	o.verified(fleet.Document{Driver: driver.ID, Kind: fleet.RightToWork}, far, time.Time{})
	if last.Driver != driver.ID || len(last.Tiers) != 1 {
		t.Fatalf("stands as %+v", last)
	}
	if _, err := o.Decide(t.Context(), &Caller{Name: "bootstrap"}, licence.ID, fleet.Suspended, "as the register says", time.Time{}); err != nil {
		t.Fatal(err)
	}
	if last.Tiers != nil {
		t.Errorf("stands as %+v", last)
	}
	if told := o.told(); len(told) != 1 || len(told[dispatcher]) != 2 || told[dispatcher][0] != officerUnfit {
		t.Errorf("told %v, want the dispatcher by mail and in the app", told)
	}
	inbox, err := (schema.Notices{DB: o.p.db}).Inbox(t.Context(), dispatcher, fleet.NoticeID{}, 10)
	if err != nil || len(inbox) != 1 || inbox[0].To != "" {
		t.Fatalf("the dispatcher's inbox: %v, %v", inbox, err)
	}
	notice := inbox[0]
	plain, err := testKeyring(t, 1).Unseal(notice.Sealed, notice.Purpose())
	if err != nil {
		t.Fatal(err)
	}
	var data map[string]string
	if err := json.Unmarshal(plain, &data); err != nil || data["officer"] != "Ada Vale" || data["status"] != "suspended" || data["document"] != "sia_licence" {
		t.Errorf("says %v (%v)", data, err)
	}
	// What did not happen is not told of.
	_, err = o.Decide(t.Context(), &Caller{Name: "bootstrap"}, licence.ID, fleet.Suspended, "again", time.Time{})
	checkCode(t, fleet.CodeConflict, err)
	if told := o.told(); len(told[dispatcher]) != 2 {
		t.Errorf("told %v", told)
	}
}

func TestAnOfficerSaysSinceWhenTheyWork(t *testing.T) {
	t.Parallel()
	o := newOfficers(t, schematest.Plain(t))
	user := o.reachable(fleet.RoleDriver)
	driver, err := o.Add(t.Context(), "Ada Vale", fleet.Shadow, user)
	if err != nil {
		t.Fatal(err)
	}
	var spells []fleet.Spell
	var standing bus.Standing
	o.bus.Spells.Subscribe(func(s bus.Spells) { spells = s.Spells })
	o.bus.Standings.Subscribe(func(s bus.Standing) { standing = s })
	ago := func(d time.Duration) time.Time { return o.p.clock.Now().Add(-d) }
	say := func(duty fleet.Duty, since time.Time) {
		t.Helper()
		if err := o.SayDuty(t.Context(), driver.ID, duty, since); err != nil {
			t.Fatal(err)
		}
	}
	say(fleet.OnDuty, ago(time.Hour))
	say(fleet.OffDuty, ago(2*time.Hour)) // said earlier, heard later
	if want := []fleet.Spell{{From: fleet.MillisOf(ago(time.Hour))}}; len(spells) != 1 || spells[0] != want[0] || standing.Duty != fleet.OnDuty {
		t.Errorf("works %v as %s, want %v", spells, standing.Duty, want)
	}
	now := ago(0)
	say(fleet.OffDuty, now.Add(time.Hour)) // by a clock that is fast
	if len(spells) != 1 || spells[0].To != fleet.MillisOf(now) || standing.Duty != fleet.OffDuty {
		t.Errorf("works %v as %s", spells, standing.Duty)
	}
	checkCode(t, fleet.CodeInvalid, o.SayDuty(t.Context(), driver.ID, fleet.OnDuty, ago(lateDuty+time.Second)))
	say(fleet.OnDuty, ago(lateDuty)) // which is older than the last change
	if len(spells) != 1 {
		t.Errorf("works %v", spells)
	}
}

// tickingClock is never asked the same moment twice, as clocks are.
type tickingClock struct{ *fleet.ManualClock }

func (c tickingClock) Now() time.Time {
	c.Advance(time.Microsecond)
	return c.ManualClock.Now()
}

func TestWhoGoesOffDutyAfterTheClockWasSetBackIsOffDuty(t *testing.T) {
	t.Parallel()
	o := newOfficers(t, schematest.Plain(t))
	driver, err := o.Add(t.Context(), "Ada Vale", fleet.Shadow, fleet.UserID{})
	if err != nil {
		t.Fatal(err)
	}
	o.clock = tickingClock{o.p.clock}
	var standing bus.Standing
	o.bus.Standings.Subscribe(func(s bus.Standing) { standing = s })
	for _, duty := range []fleet.Duty{fleet.OnDuty, fleet.OffDuty, fleet.OnDuty} {
		if err := o.SetDuty(t.Context(), driver.ID, duty); err != nil || standing.Duty != duty {
			t.Errorf("%s (%v), want %s", standing.Duty, err, duty)
		}
		o.p.clock.Advance(-time.Minute)
	}
}

// Who is given another's account takes over the phones that staff bound, and the
// person before is followed no more.
func TestAnOfficersAccountChanges(t *testing.T) {
	t.Parallel()
	o := newOfficers(t, schematest.Plain(t))
	first, second := o.reachable(fleet.RoleDriver), o.reachable(fleet.RoleDriver)
	driver, err := o.Add(t.Context(), "Ada Vale", fleet.Shadow, first)
	if err != nil {
		t.Fatal(err)
	}
	phone, password, err := o.devices.Enrol(t.Context(), o.p.caller(first, true), Enrolment{Name: "x", Platform: "ios"})
	if err != nil {
		t.Fatal(err)
	}
	spells := make(map[fleet.UserID]int)
	o.bus.Spells.Subscribe(func(s bus.Spells) { spells[s.User] = len(s.Spells) })
	for _, duty := range []fleet.Duty{fleet.OnDuty, fleet.OnDuty, fleet.OnBreak} {
		o.p.clock.Advance(time.Minute)
		if err := o.SetDuty(t.Context(), driver.ID, duty); err != nil {
			t.Fatal(err)
		}
	}
	if spells[first] != 2 {
		t.Errorf("spells %v", spells)
	}
	driver.User = second
	if err := o.Change(t.Context(), fleet.UserID{}, &fleet.DriverProfile{Driver: driver}); err != nil {
		t.Fatal(err)
	}
	if spells[first] != 0 || spells[second] != 2 {
		t.Errorf("spells %v", spells)
	}
	_, err = o.devices.Authenticate(t.Context(), fleet.Login{Username: phone.String(), Password: password.Token})
	checkCode(t, fleet.CodeUnauthenticated, err)
}
