package account

import (
	"testing"
	"time"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

type people struct {
	t     *testing.T
	db    *schema.DB
	clock *fleet.ManualClock
	*Sessions
}

func newPeople(t *testing.T, db *schema.DB) *people {
	t.Helper()
	clock := fleet.NewManualClock(noon)
	s, err := NewSessions(SessionsConfig{DB: db, Keyring: testKeyring(t, 1), Keys: testKeys(t, db, clock, 1), Bus: &bus.Bus{}, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return &people{t: t, db: db, clock: clock, Sessions: s}
}

func (p *people) user(roles ...fleet.Role) fleet.UserID {
	p.t.Helper()
	id := fleet.NewID[fleet.User]()
	u := fleet.User{ID: id, Email: id.String() + "@example.com", Name: "Ada Vale", Roles: roles, Created: noon}
	if err := (schema.Users{DB: p.db}).Create(p.t.Context(), u, ""); err != nil {
		p.t.Fatal(err)
	}
	return id
}

func (p *people) signIn(user fleet.UserID, second bool) (fleet.UserSession, string) {
	p.t.Helper()
	tokens, err := p.Begin(p.t.Context(), SignIn{User: user, Method: fleet.ByPassword, SecondFactor: second, Where: Where{Agent: "test"}})
	if err != nil {
		p.t.Fatal(err)
	}
	return tokens.Session, tokens.Access
}

// refused ends the test unless the token opens nothing.
func (p *people) refused(token, why string) {
	p.t.Helper()
	if caller, err := p.Verify(p.t.Context(), token); fleet.CodeOf(err) != fleet.CodeUnauthenticated {
		p.t.Errorf("%s: %+v, %v", why, caller, err)
	}
}

func TestAccessTokenIsGoodWhileItsSessionLives(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		p := newPeople(t, db)
		user := p.user(fleet.RoleRider)
		session, token := p.signIn(user, false)
		caller, err := p.Verify(t.Context(), token)
		if err != nil || caller.User != user || caller.Session != session.ID || !caller.Has(fleet.RoleRider) {
			t.Fatalf("%+v, %v", caller, err)
		}
		live, err := p.List(t.Context(), user)
		if err != nil || len(live) != 1 || live[0] != session {
			t.Fatalf("%+v, %v, want %+v", live, err, session)
		}
		stranger := p.user()
		if err := p.End(t.Context(), stranger, session.ID, fleet.EndedByUser); fleet.CodeOf(err) != fleet.CodeNotFound {
			t.Errorf("a stranger ends it: %v", err)
		}
		other, otherToken := p.signIn(user, false)
		if err := p.End(t.Context(), user, session.ID, fleet.EndedByLogout); err != nil {
			t.Fatal(err)
		}
		p.refused(token, "after logout")
		if _, err := p.Verify(t.Context(), otherToken); err != nil {
			t.Errorf("the other session: %v", err)
		}
		_, third := p.signIn(user, false)
		if err := p.EndAll(t.Context(), user, other.ID, fleet.EndedByPassword); err != nil {
			t.Fatal(err)
		}
		p.refused(third, "after all others were ended")
		p.clock.Advance(AccessLife)
		p.refused(otherToken, "expired")
	})
}

// A role that guards people takes a second factor, whatever the account holds.
func TestRolesWaitForTheSecondFactor(t *testing.T) {
	t.Parallel()
	p := newPeople(t, schematest.Plain(t))
	user := p.user(fleet.RoleRider, fleet.RoleDriver, fleet.RoleAdmin)
	for _, second := range []bool{false, true} {
		_, token := p.signIn(user, second)
		caller, err := p.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if !caller.Has(fleet.RoleRider) || caller.Has(fleet.RoleAdmin) != second || caller.Has(fleet.RoleDriver) != second {
			t.Errorf("second factor %v: roles %v", second, caller.Roles)
		}
	}
}

func TestTokensOfOtherUsesAreRefused(t *testing.T) {
	t.Parallel()
	p := newPeople(t, schematest.Plain(t))
	user := p.user(fleet.RoleRider)
	session, token := p.signIn(user, false)
	device, _, err := p.keys.MintDevice(fleet.DeviceID(user), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	p.refused(device, "a device's token")
	if _, err := p.keys.VerifyDevice(token); err == nil {
		t.Error("a person's token opens an MQTT session")
	}
	session.User = p.user(fleet.RoleAdmin)
	borrowed, err := p.mint(session, "")
	if err != nil {
		t.Fatal(err)
	}
	p.refused(borrowed.Access, "another user's session")
	p.refused("", "nothing")
}

func TestASignInFromSomewhereNewIsTold(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		p := newPeople(t, db)
		user, other := p.user(fleet.RoleRider), p.user(fleet.RoleRider)
		begin := func(user fleet.UserID, agent, address string) int {
			t.Helper()
			inbox := func() int {
				list, err := (schema.Notices{DB: db}).Inbox(t.Context(), user, fleet.NoticeID{}, 100)
				if err != nil {
					t.Fatal(err)
				}
				return len(list)
			}
			before := inbox()
			if _, err := p.Begin(t.Context(), SignIn{User: user, Method: fleet.ByPassword, Where: Where{Agent: agent, Address: address}}); err != nil {
				t.Fatal(err)
			}
			return inbox() - before
		}
		const home, away = "192.0.2.1", "2001:db8::1"
		for i, s := range []struct {
			user           fleet.UserID
			agent, address string
			told           int
		}{
			{user, "phone", home, 0}, // the first one
			{user, "phone", home, 0},
			{user, "phone", away, 1},
			{user, "phone", away, 0},
			{user, "laptop", away, 1},
			{user, "laptop", home, 0}, // both are known, if not together
			{other, "phone", home, 0}, // somebody else's first one
			{other, "laptop", away, 1},
		} {
			if got := begin(s.user, s.agent, s.address); got != s.told {
				t.Errorf("sign-in %d is told %d times, want %d", i, got, s.told)
			}
		}
		list, err := (schema.Notices{DB: db}).Inbox(t.Context(), other, fleet.NoticeID{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := p.keyring.Unseal(list[0].Sealed, list[0].Purpose())
		if err != nil || list[0].Kind != "new_sign_in" ||
			string(plain) != `{"address":"2001:db8::1","agent":"laptop","at":"`+noon.Format(time.RFC3339)+`","method":"password"}` {
			t.Errorf("%s says %s, %v", list[0].Kind, plain, err)
		}
	})
}
