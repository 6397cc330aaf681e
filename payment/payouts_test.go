package payment_test

import (
	"testing"

	"armora/fleet"
	"armora/schema"
	"armora/sim/stripe"
)

// Whether Stripe may pay somebody is told by an endpoint of its own; what is done in
// their account is their own.
func TestStripeTellsWhomItMayPay(t *testing.T) {
	t.Parallel()
	w := newRadio(t)
	driver := w.officer()
	ready := func() bool {
		t.Helper()
		a, err := w.PayoutAccountOf(t.Context(), driver)
		w.must(err)
		return a.Ready
	}
	w.connected()
	w.stripe.Clear(w.account(driver), false)
	w.hears()
	if ready() {
		t.Error("Stripe may not pay them any more")
	}
	w.stripe.Clear(w.account(driver), true)
	w.hears()
	if !ready() {
		t.Error("Stripe may pay them again")
	}
	now := w.clock.Now()
	theirs := []byte(`{"id":"evt_1","object":"event","account":"` + w.account(driver) + `","api_version":"2023-10-16","type":"charge.succeeded","created":1,"data":{"object":{"id":"ch_1"}}}`)
	w.must(w.feed.Take(t.Context(), theirs, stripe.Sign(w.secret, now, theirs)))
	if n := len(w.waiting()); n != 0 {
		t.Errorf("%d events of their own are looked at", n)
	}
	// An account that Stripe has deleted is no way to pay.
	a := w.account(driver)
	_, err := w.another().Accounts.Del(a, nil)
	w.must(err)
	w.must(w.SeeAccount(t.Context(), a))
	if ready() {
		t.Error("an account that is gone is paid to")
	}
}

// An officer has one account, however often they begin; who is erased has none.
func TestAnOfficerHasOneAccount(t *testing.T) {
	t.Parallel()
	w := newTill(t)
	_, err := w.Onboard(t.Context(), w.user)
	w.want(err, fleet.CodeNotFound)
	user := w.person(fleet.RoleDriver)
	w.must(schema.Drivers{DB: w.db}.Create(t.Context(), fleet.Driver{ID: fleet.NewID[fleet.Driver](), Name: "Cy", Tier: fleet.Essential, User: user}))
	w.stripe.Plan(stripe.Fault{Act: stripe.Lose, On: "POST /v1/accounts"})
	_, err = w.Onboard(t.Context(), user)
	w.want(err, fleet.CodeUnavailable)
	for range 2 {
		if page, err := w.Onboard(t.Context(), user); err != nil || page.URL == "" || !page.Expires.After(w.clock.Now()) {
			t.Fatalf("%+v, %v", page, err)
		}
	}
	if n := len(stripe.All[stripe.Account](w.stripe)); n != 1 {
		t.Errorf("%d accounts", n)
	}
	w.stripe.Plan(stripe.Fault{Act: stripe.Lose, On: "DELETE /v1/accounts/*"})
	_, err = w.ForgetOfficer(t.Context(), user)
	w.want(err, fleet.CodeUnavailable)
	for _, want := range []string{"the account by which they were paid was deleted", ""} {
		if told, err := w.ForgetOfficer(t.Context(), user); err != nil || told != want {
			t.Errorf("%q, %v", told, err)
		}
	}
	if n := len(stripe.All[stripe.Account](w.stripe)); n != 0 {
		t.Errorf("%d accounts are left", n)
	}
}
