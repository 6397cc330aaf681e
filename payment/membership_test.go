package payment_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"armora/fleet"
	"armora/payment"
	"armora/schema"
	"armora/sim/stripe"
)

// club is a till with a membership at £50 a month.
func newClub(t *testing.T, trialDays int) (*till, *payment.Members) {
	t.Helper()
	w := newTill(t)
	form := "currency=gbp&unit_amount=5000&recurring[interval]=month&product_data[name]=Membership&lookup_key=member"
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/v1/prices", strings.NewReader(form))
	w.must(err)
	r.Header.Set("Authorization", "Bearer sk_test_till")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Stripe-Version", "2023-10-16")
	answer, err := http.DefaultClient.Do(r)
	w.must(err)
	w.must(answer.Body.Close())
	prices := stripe.All[stripe.Price](w.stripe)
	if len(prices) != 1 {
		t.Fatalf("%s, %d prices", answer.Status, len(prices))
	}
	return w, payment.NewMembers(w.Cashier, prices[0].ID, trialDays)
}

func (w *till) member(m *payment.Members, want bool) {
	w.t.Helper()
	if got, err := m.Member(w.t.Context(), w.user); err != nil || got != want {
		w.t.Errorf("a member: %v, %v, want %v", got, err, want)
	}
}

func TestAMembershipFromTrialToItsEnd(t *testing.T) {
	t.Parallel()
	w, m := newClub(t, 14)
	ctx := t.Context()
	w.member(m, false)
	_, err := m.Join(ctx, w.user, fleet.PaymentMethodID{})
	w.want(err, fleet.CodeConflict) // without a card
	w.keeps(stripe.Visa)
	joined, err := m.Join(ctx, w.user, fleet.PaymentMethodID{})
	w.must(err)
	if joined.State != fleet.MembershipTrialing || !joined.Until.Equal(noon.AddDate(0, 0, 14)) {
		t.Errorf("%+v", joined)
	}
	w.member(m, true)
	again, err := m.Join(ctx, w.user, fleet.PaymentMethodID{})
	if err != nil || again.ID != joined.ID || len(stripe.All[stripe.Subscription](w.stripe)) != 1 {
		t.Errorf("joined twice: %+v, %v", again, err)
	}
	// The trial ends and the month is paid; no webhook came.
	w.clock.Advance(15 * 24 * time.Hour)
	w.member(m, true)
	if known, err := m.Of(ctx, w.user); err != nil || known.State != fleet.MembershipActive {
		t.Errorf("%+v, %v", known, err)
	}
	left, err := m.Leave(ctx, w.user)
	if err != nil || !left.Cancelling || left.State != fleet.MembershipActive {
		t.Errorf("%+v, %v", left, err)
	}
	w.member(m, true) // until the end of what is paid for
	w.clock.Advance(40 * 24 * time.Hour)
	w.member(m, false)
	_, err = m.Of(ctx, w.user)
	w.want(err, fleet.CodeNotFound)
	// Who comes back has another one, and no second trial.
	back, err := m.Join(ctx, w.user, fleet.PaymentMethodID{})
	if err != nil || back.ID == joined.ID || back.State != fleet.MembershipActive {
		t.Errorf("%+v, %v", back, err)
	}
}

// Whatever happens to the answer, there is one subscription.
func TestJoiningIsInterrupted(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]stripe.Act{"before": stripe.Cut, "after": stripe.Lose, "too many": stripe.Limit} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, m := newClub(t, 0)
			w.keeps(stripe.Visa)
			w.stripe.Plan(stripe.Fault{Act: act, On: "POST /v1/subscriptions"})
			if _, err := m.Join(t.Context(), w.user, fleet.PaymentMethodID{}); err == nil {
				t.Fatal("joined without an answer")
			}
			w.member(m, false)
			if name == "after" { // a day later Stripe has forgotten the key
				w.clock.Advance(25 * time.Hour)
			}
			joined, err := m.Join(t.Context(), w.user, fleet.PaymentMethodID{})
			if err != nil || joined.State != fleet.MembershipActive || len(stripe.All[stripe.Subscription](w.stripe)) != 1 {
				t.Errorf("%+v, %v, %d subscriptions", joined, err, len(stripe.All[stripe.Subscription](w.stripe)))
			}
			w.member(m, true)
		})
	}
}

func TestADeclinedCardJoinsNobody(t *testing.T) {
	t.Parallel()
	w, m := newClub(t, 0)
	w.keeps(stripe.DeclineAfterAttach)
	if _, err := m.Join(t.Context(), w.user, fleet.PaymentMethodID{}); err == nil {
		t.Fatal("joined")
	}
	w.member(m, false)
	if len(stripe.All[stripe.Subscription](w.stripe)) != 0 {
		t.Error("a subscription was left")
	}
	// Another's card is not found, and a good one is the second attempt.
	methods, err := w.Methods(t.Context(), w.user)
	w.must(err)
	stranger := w.person(fleet.RoleRider)
	_, err = m.Join(t.Context(), stranger, methods[0].ID)
	w.want(err, fleet.CodeNotFound)
	w.keeps(stripe.Visa)
	methods, err = w.Methods(t.Context(), w.user)
	w.must(err)
	for _, method := range methods {
		if method.Last4 == "4242" {
			joined, err := m.Join(t.Context(), w.user, method.ID)
			w.must(err)
			if joined.State != fleet.MembershipActive {
				t.Errorf("%+v", joined)
			}
		}
	}
}

// News that comes late brings nothing back that has ended.
func TestWhatHasEndedStaysSo(t *testing.T) {
	t.Parallel()
	w, m := newClub(t, 0)
	w.keeps(stripe.Visa)
	joined, err := m.Join(t.Context(), w.user, fleet.PaymentMethodID{})
	w.must(err)
	ended := joined
	ended.State = fleet.MembershipEnded
	store := schema.Memberships{DB: w.db}
	w.must(store.Set(t.Context(), &ended, noon))
	w.must(m.See(t.Context(), joined.Stripe)) // active there still
	_, err = m.Of(t.Context(), w.user)
	w.want(err, fleet.CodeNotFound)
	w.must(m.See(t.Context(), "sub_nobodys"))
}

// What members pay is no booking's: it is found in Stripe's book, and posted once.
func TestWhatMembersPayIsInTheBooks(t *testing.T) {
	t.Parallel()
	w, m := newClub(t, 0)
	w.keeps(stripe.Visa)
	_, err := m.Join(t.Context(), w.user, fleet.PaymentMethodID{})
	w.must(err)
	books := w.books()
	for range 2 {
		w.wantDifferences(books, 0)
		for account, want := range map[fleet.Account]int64{fleet.AccountRevenue: -4_167, fleet.AccountVAT: -833} {
			got, err := schema.Ledger{DB: w.db}.Balance(t.Context(), account, fleet.GBP)
			if w.must(err); got.Amount != want {
				t.Errorf("%s has %s, want %d", account, got, want)
			}
		}
	}
}
