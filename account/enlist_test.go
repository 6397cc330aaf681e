package account

import (
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

func TestEnlist(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		w := newTown(t, db)
		enlist := func(e Enlisting) Enlisted {
			t.Helper()
			made, err := w.Enlist(t.Context(), e)
			w.must(err)
			return made
		}
		otp := func(secret string) string {
			code, err := totp.GenerateCode(secret, w.clock.Now())
			w.must(err)
			return code
		}
		// Somebody registered, did not verify, and is made an admin.
		stale := w.register("ada@example.com", "the stranger's phrase")
		first := enlist(Enlisting{Email: "Ada@example.com", Name: "Ada Vale", Roles: []fleet.Role{fleet.RoleAdmin}})
		tokens, err := w.login("ada@example.com", first.Password, otp(first.Secret))
		w.must(err)
		_, _, err = w.VerifyEmail(t.Context(), "ada@example.com", stale, here) // which would put that password in force
		w.want(err, fleet.CodeUnauthenticated)
		caller := w.caller(tokens.Access)
		if !caller.Has(fleet.RoleAdmin) || !caller.Has(fleet.RoleRider) || caller.User != first.User {
			t.Errorf("%+v", caller)
		}
		w.clock.Advance(time.Minute)
		if _, err := w.login("ada@example.com", first.Password, first.Recovery[0]); err != nil {
			t.Errorf("a recovery code: %v", err)
		}

		// Once more: roles are added, nothing is replaced, and the sessions are over.
		second := enlist(Enlisting{Email: "ada@example.com", Roles: []fleet.Role{fleet.RoleFinance}})
		if second.Password != "" || second.Secret != "" || second.Recovery != nil || second.User != first.User {
			t.Errorf("%+v", second)
		}
		if _, err := w.sessions.Verify(t.Context(), tokens.Access); fleet.CodeOf(err) != fleet.CodeUnauthenticated {
			t.Errorf("a session from before: %v", err)
		}
		user, err := w.Get(t.Context(), first.User)
		w.must(err)
		if len(user.Roles) != 3 || !user.Has(fleet.RoleAdmin) || !user.Has(fleet.RoleFinance) {
			t.Errorf("roles %v", user.Roles)
		}

		// Anew: the old login is worth nothing.
		third := enlist(Enlisting{Email: "ada@example.com", Password: "correct horse battery", Roles: []fleet.Role{fleet.RoleAdmin}, Anew: true})
		w.clock.Advance(time.Minute)
		_, err = w.login("ada@example.com", first.Password, otp(first.Secret))
		w.want(err, fleet.CodeUnauthenticated)
		_, err = w.login("ada@example.com", "correct horse battery", first.Recovery[1])
		w.want(err, fleet.CodeUnauthenticated)
		if _, err := w.login("ada@example.com", "correct horse battery", otp(third.Secret)); err != nil {
			t.Errorf("the new login: %v", err)
		}

		if rider := enlist(Enlisting{Email: "bo@example.com", Roles: []fleet.Role{fleet.RoleRider}}); rider.Secret != "" || rider.Password == "" {
			t.Errorf("a rider needs no second factor: %+v", rider)
		}
		_, err = w.Enlist(t.Context(), Enlisting{Email: "cy@example.com", Password: "short"})
		w.want(err, fleet.CodeInvalid)
		_, err = w.users.Suspend(t.Context(), first.User, fleet.Suspension{Reason: "x", Since: noon})
		w.must(err)
		_, err = w.Enlist(t.Context(), Enlisting{Email: "ada@example.com", Roles: []fleet.Role{fleet.RoleAdmin}})
		w.want(err, fleet.CodeConflict)
	})
}

// That there is an admin is remembered for a while, also while the database is
// away; that there is none is not.
func TestWhetherThereIsAnAdmin(t *testing.T) {
	t.Parallel()
	db, err := schema.Open(t.Context(), schematest.PlainDSN(t), schema.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := newTown(t, db)
	fresh, never := NewDirectory(db, w.sessions, w.clock), NewDirectory(db, w.sessions, w.clock)
	has := func(want bool) {
		t.Helper()
		if got, err := fresh.HasAdmin(t.Context()); err != nil || got != want {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
	}
	has(false)
	_, err = w.Enlist(t.Context(), Enlisting{Email: "ada@example.com", Roles: []fleet.Role{fleet.RoleAdmin}})
	w.must(err)
	has(true)
	db.Close()
	has(true)
	w.clock.Advance(Staleness - time.Second)
	has(true)
	w.clock.Advance(time.Second)
	for name, d := range map[string]*Directory{"too old": fresh, "never asked": never} {
		if _, err := d.HasAdmin(t.Context()); fleet.CodeOf(err) != fleet.CodeUnavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
}
