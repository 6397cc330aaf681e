package account

import (
	"testing"
	"time"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// newPhones is a Devices that knows who is signed in.
func newPhones(t *testing.T, db *schema.DB) (*people, *Devices) {
	t.Helper()
	p := newPeople(t, db)
	d, err := NewDevices(DevicesConfig{
		DB: db, Keyring: testKeyring(t, 1), Keys: p.keys, Sessions: p.Sessions, Bus: p.bus, Clock: p.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return p, d
}

// caller signs a user in.
func (p *people) caller(user fleet.UserID, second bool) *Caller {
	p.t.Helper()
	_, token := p.signIn(user, second)
	caller, err := p.Verify(p.t.Context(), token)
	if err != nil {
		p.t.Fatal(err)
	}
	return caller
}

func TestAPhoneIsLetInWhileItsPersonIsSignedIn(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		p, d := newPhones(t, db)
		user := p.user(fleet.RoleRider)
		caller := p.caller(user, false)
		id, token, err := d.Enrol(t.Context(), caller, Enrolment{Name: "Pixel", Platform: "android", App: "1.0"})
		if err != nil {
			t.Fatal(err)
		}
		login := func(device fleet.DeviceID, token string) (fleet.Identity, fleet.Code) {
			t.Helper()
			i, err := d.Authenticate(t.Context(), fleet.Login{Username: device.String(), Password: token})
			if err == nil {
				return i, ""
			}
			return i, fleet.CodeOf(err)
		}
		i, code := login(id, token.Token)
		if code != "" || i.User != user || i.Session != caller.Session || !i.Driver.IsZero() || !i.Expires.Equal(token.Expires) ||
			!token.Expires.Equal(noon.Add(phoneTokenLife)) {
			t.Fatalf("let in as %+v: %q", i, code)
		}
		if _, code := login(fleet.NewID[fleet.Device](), token.Token); code != fleet.CodeUnauthenticated {
			t.Errorf("under another name: %q", code)
		}
		// It is another's: no token, and no enrolling again.
		stranger := p.caller(p.user(fleet.RoleRider), false)
		_, err = d.PhoneToken(t.Context(), stranger, id)
		checkCode(t, fleet.CodeNotFound, err)
		_, _, err = d.Enrol(t.Context(), stranger, Enrolment{Device: id, Name: "Mine", Platform: "ios"})
		checkCode(t, fleet.CodeNotFound, err)
		// A token that names another's phone, were there ever one, is no good.
		forged, _, err := d.keys.mintPhone(id, stranger.Session, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if _, code := login(id, forged); code != fleet.CodeUnauthenticated {
			t.Errorf("with another person's session: %q", code)
		}
		again, _, err := d.Enrol(t.Context(), caller, Enrolment{Device: id, Name: "Pixel 9", Platform: "android"})
		if err != nil || again != id {
			t.Errorf("enrolled again as %v: %v", again, err)
		}

		// Who becomes a driver is, with a second factor, and the phone with them.
		driver := fleet.Driver{ID: fleet.NewID[fleet.Driver](), Name: "Ada", Tier: fleet.Shadow, User: p.user(fleet.RoleDriver)}
		if err := (schema.Drivers{DB: db}).Create(t.Context(), driver); err != nil {
			t.Fatal(err)
		}
		officer := p.caller(driver.User, true)
		phone, token, err := d.Enrol(t.Context(), officer, Enrolment{Name: "Duty phone", Platform: "ios"})
		if err != nil {
			t.Fatal(err)
		}
		if i, code := login(phone, token.Token); code != "" || i.Driver != driver.ID || i.User != driver.User {
			t.Errorf("the officer's phone is let in as %+v: %q", i, code)
		}
		single := p.caller(driver.User, false)
		weak, _, err := d.keys.mintPhone(phone, single.Session, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if _, code := login(phone, weak); code != fleet.CodeUnauthenticated {
			t.Errorf("an officer without a second factor: %q", code)
		}
		// Staff take it away: whoever enrolled it is let in no more.
		if err := d.Bind(t.Context(), phone, fleet.DriverID{}, fleet.VehicleID{}); err != nil {
			t.Fatal(err)
		}
		if _, code := login(phone, token.Token); code != fleet.CodeUnauthenticated {
			t.Errorf("a phone that was taken away: %q", code)
		}

		if err := p.End(t.Context(), user, caller.Session, fleet.EndedByLogout); err != nil {
			t.Fatal(err)
		}
		next, _, err := d.keys.mintPhone(id, caller.Session, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if _, code := login(id, next); code != fleet.CodeUnauthenticated {
			t.Errorf("after the session: %q", code)
		}
	})
}

// When the broker hears of the end of a session, the session is forgotten
// already: the client comes straight back.
func TestAnEndedSessionIsForgottenBeforeItIsTold(t *testing.T) {
	t.Parallel()
	p, d := newPhones(t, schematest.Plain(t))
	user := p.user(fleet.RoleRider)
	caller := p.caller(user, false)
	id, token, err := d.Enrol(t.Context(), caller, Enrolment{Name: "Pixel", Platform: "android"})
	if err != nil {
		t.Fatal(err)
	}
	back := func() error {
		_, err := d.Authenticate(t.Context(), fleet.Login{Username: id.String(), Password: token.Token})
		return err
	}
	checkCode(t, "", back())
	heard := make(chan error, 8)
	for range cap(heard) { // whatever the order in which subscribers are called
		p.bus.Sessions.Subscribe(func(fleet.UserSessionID) { heard <- back() })
	}
	if err := p.EndAll(t.Context(), user, fleet.UserSessionID{}, fleet.EndedByPassword); err != nil {
		t.Fatal(err)
	}
	for range cap(heard) {
		checkCode(t, fleet.CodeUnauthenticated, <-heard)
	}
}

func TestNobodyEnrolsPhonesWithoutEnd(t *testing.T) {
	t.Parallel()
	p, d := newPhones(t, schematest.Plain(t))
	caller := p.caller(p.user(fleet.RoleRider), false)
	results := make(chan error, 24)
	for range cap(results) {
		go func() {
			_, _, err := d.Enrol(t.Context(), caller, Enrolment{Name: "Pixel", Platform: "android"})
			results <- err
		}()
	}
	made := 0
	for range cap(results) {
		if err := <-results; err == nil {
			made++
		} else {
			checkCode(t, fleet.CodeConflict, err)
		}
	}
	if made != 20 {
		t.Errorf("%d phones, want 20", made)
	}
}

func TestABindingIsToldWhenTheDeviceIsForgotten(t *testing.T) {
	t.Parallel()
	d := newTestDevices(t, schematest.Plain(t))
	driver := fleet.Driver{ID: fleet.NewID[fleet.Driver](), Name: "Ada", Tier: fleet.Shadow}
	if err := (schema.Drivers{DB: d.db}).Create(t.Context(), driver); err != nil {
		t.Fatal(err)
	}
	device, secret := d.provision(fleet.Device{})
	d.expect("", device.ID.String(), secret)
	var at fleet.DriverID
	var moves []bus.Move
	d.bus.Revocations.Subscribe(func(bus.Revocation) { at = d.expect("", device.ID.String(), secret).Driver })
	d.bus.Moves.Subscribe(func(m bus.Move) { moves = append(moves, m) })
	if err := d.Bind(t.Context(), device.ID, driver.ID, fleet.VehicleID{}); err != nil {
		t.Fatal(err)
	}
	if at != driver.ID || len(moves) != 1 || moves[0] != (bus.Move{Device: device.ID, From: fleet.Unit(device.ID)}) {
		t.Errorf("came back as %v after %v", at, moves)
	}
	checkCode(t, fleet.CodeNotFound, d.Bind(t.Context(), fleet.NewID[fleet.Device](), driver.ID, fleet.VehicleID{}))
}
