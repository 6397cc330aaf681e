package payment_test

import (
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/sim/stripe"
)

// What nobody confirms for 23 hours has never been: it is not paid after that, and
// who comes back has another one.
func TestAMembershipThatIsNotPaidExpires(t *testing.T) {
	t.Parallel()
	w, m := newClub(t, 0)
	ctx := t.Context()
	w.keeps(stripe.AlwaysAuthenticate)
	first, err := m.Join(ctx, w.user, fleet.PaymentMethodID{})
	w.must(err)
	w.clock.Advance(23 * time.Hour)
	w.must(m.SeeAll(ctx)) // no webhook came
	_, err = m.Of(ctx, w.user)
	w.want(err, fleet.CodeNotFound)
	w.must(w.browser.Authenticate(ctx, first.URL, true)) // the bank's page is still open
	if w.charged() != 0 {
		t.Error("what has expired was paid")
	}
	second, err := m.Join(ctx, w.user, fleet.PaymentMethodID{})
	w.must(err)
	if second.ID == first.ID || second.State != fleet.MembershipIncomplete {
		t.Errorf("%+v", second)
	}
	// And so without a look between: Join finds that it has ended.
	w.clock.Advance(23 * time.Hour)
	if third, err := m.Join(ctx, w.user, fleet.PaymentMethodID{}); err != nil || third.ID == second.ID || third.State != fleet.MembershipIncomplete {
		t.Errorf("%+v, %v", third, err)
	}
}

// Who leaves at once is a member no more, and nobody pays for what is left of it.
func TestLeavingAtOnce(t *testing.T) {
	t.Parallel()
	w, m := newClub(t, 0)
	ctx := t.Context()
	w.keeps(stripe.Visa)
	_, err := m.Join(ctx, w.user, fleet.PaymentMethodID{})
	w.must(err)
	_, err = m.Leave(ctx, w.user, false)
	w.must(err)
	w.member(m, true)
	left, err := m.Leave(ctx, w.user, true)
	if err != nil || left.State != fleet.MembershipEnded {
		t.Errorf("%+v, %v", left, err)
	}
	w.member(m, false)
	_, err = m.Leave(ctx, w.user, true)
	w.want(err, fleet.CodeNotFound)
	// What waits for its payment ends at once in any case, though its answer is lost.
	w.keeps(stripe.AlwaysAuthenticate)
	methods, err := w.Methods(ctx, w.user)
	w.must(err)
	waits, err := m.Join(ctx, w.user, methods[0].ID)
	w.must(err)
	w.stripe.Plan(stripe.Fault{Act: stripe.Lose, On: "DELETE /v1/subscriptions/*"})
	_, err = m.Leave(ctx, w.user, false)
	w.want(err, fleet.CodeUnavailable)
	if left, err := m.Leave(ctx, w.user, false); err != nil || left.State != fleet.MembershipEnded || left.ID != waits.ID {
		t.Errorf("%+v, %v", left, err)
	}
	w.must(w.browser.Authenticate(ctx, waits.URL, true))
	if w.charged() != 1 {
		t.Errorf("charged %d times", w.charged())
	}
	// So does a period that is past due: its invoice can't be paid any more.
	w.keeps(stripe.DeclineAfterAttach)
	methods, err = w.Methods(ctx, w.user)
	w.must(err)
	w.keeps(stripe.Visa)
	good, err := w.Methods(ctx, w.user)
	w.must(err)
	due, err := m.Join(ctx, w.user, good[0].ID)
	w.must(err)
	w.pays(due.Stripe, methods[0].Stripe)
	w.clock.Advance(32 * 24 * time.Hour)
	w.member(m, false)
	_, err = m.Leave(ctx, w.user, false)
	w.must(err)
	for _, i := range stripe.All[stripe.Invoice](w.stripe) {
		if i.Status == "open" {
			t.Errorf("invoice %s is open", i.ID)
		}
	}
}

// A member whose period stays unpaid is told once that this has ended the membership;
// who leaves is not told what they know.
func TestWhoHasNotPaidIsToldThatItHasEnded(t *testing.T) {
	t.Parallel()
	w, m := newClub(t, 0)
	ctx := t.Context()
	w.keeps(stripe.DeclineAfterAttach)
	bad, err := w.Methods(ctx, w.user)
	w.must(err)
	w.keeps(stripe.Visa)
	good, err := w.Methods(ctx, w.user)
	w.must(err)
	ended := func() (n int) {
		for _, kind := range w.told {
			if kind == "payment_membership_ended" {
				n++
			}
		}
		return n
	}
	_, err = m.Join(ctx, w.user, good[0].ID)
	w.must(err)
	_, err = m.Leave(ctx, w.user, true)
	w.must(err)
	if ended() != 0 {
		t.Error("who left was told")
	}
	j, err := m.Join(ctx, w.user, good[0].ID)
	w.must(err)
	w.pays(j.Stripe, bad[0].Stripe)
	w.clock.Advance(60 * 24 * time.Hour)
	for range 2 {
		w.must(m.See(ctx, j.Stripe))
	}
	_, err = m.Of(ctx, w.user)
	w.want(err, fleet.CodeNotFound)
	if ended() != 1 {
		t.Errorf("told %q", w.told)
	}
}

// News that comes late brings nothing back that has ended.
func TestWhatHasEndedStaysSo(t *testing.T) {
	t.Parallel()
	w, m, ended := newMember(t)
	ended.State = fleet.MembershipEnded
	store := schema.Memberships{DB: w.db}
	w.must(store.Set(t.Context(), &ended, noon, nil))
	w.must(m.See(t.Context(), ended.Stripe)) // active there still
	_, err := m.Of(t.Context(), w.user)
	w.want(err, fleet.CodeNotFound)
	w.must(m.See(t.Context(), "sub_nobodys"))
}
