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
	return w, w.club(trialDays)
}

func (w *till) club(trialDays int) *payment.Members {
	w.t.Helper()
	w.post("/v1/prices", "currency=gbp&unit_amount=5000&recurring[interval]=month&product_data[name]=Membership&lookup_key=member")
	prices := stripe.All[stripe.Price](w.stripe)
	return payment.NewMembers(w.Cashier, prices[0].ID, trialDays)
}

// newMember is a club whose principal has paid their first month.
func newMember(t *testing.T) (*till, *payment.Members, fleet.Membership) {
	t.Helper()
	w, m := newClub(t, 0)
	w.keeps(stripe.Visa)
	joined, err := m.Join(t.Context(), w.user, fleet.PaymentMethodID{})
	w.must(err)
	return w, m, joined.Membership
}

// post asks Stripe for what the hub does not.
func (w *till) post(path, form string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.url+path, strings.NewReader(form))
	w.must(err)
	r.Header.Set("Authorization", "Bearer sk_test_till")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := http.DefaultClient.Do(r)
	w.must(err)
	w.must(answer.Body.Close())
	if answer.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: %s", path, answer.Status)
	}
}

// pays has a subscription be paid by another card from now on.
func (w *till) pays(subscription, card string) {
	w.t.Helper()
	w.post("/v1/subscriptions/"+subscription, "default_payment_method="+card)
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
	left, err := m.Leave(ctx, w.user, false)
	if err != nil || !left.Cancelling || left.State != fleet.MembershipActive {
		t.Errorf("%+v, %v", left, err)
	}
	w.member(m, true) // until the end of what is paid for
	// Who regrets it stays, and may leave again.
	stays, err := m.Join(ctx, w.user, fleet.PaymentMethodID{})
	if err != nil || stays.Cancelling || stays.ID != joined.ID || stays.State != fleet.MembershipActive {
		t.Errorf("%+v, %v", stays, err)
	}
	if left, err = m.Leave(ctx, w.user, false); err != nil || !left.Cancelling {
		t.Errorf("%+v, %v", left, err)
	}
	w.clock.Advance(40 * 24 * time.Hour)
	// Who comes back has another one, and no second trial, also if nobody has heard of the end.
	back, err := m.Join(ctx, w.user, fleet.PaymentMethodID{})
	if err != nil || back.ID == joined.ID || back.State != fleet.MembershipActive {
		t.Errorf("%+v, %v", back, err)
	}
	if _, err = m.Leave(ctx, w.user, false); err != nil {
		t.Error(err)
	}
	w.clock.Advance(40 * 24 * time.Hour)
	w.member(m, false)
	_, err = m.Of(ctx, w.user)
	w.want(err, fleet.CodeNotFound)
}

// Whatever happens to an answer, there is one subscription, and it is paid once.
func TestJoiningIsInterrupted(t *testing.T) {
	t.Parallel()
	for _, on := range []string{"POST /v1/subscriptions", "POST /v1/payment_intents/*/confirm", "GET /v1/subscriptions/*"} {
		for name, act := range map[string]stripe.Act{
			"before": stripe.Cut, "after": stripe.Lose, "too many": stripe.Limit, "broken": stripe.Fail, "broken after": stripe.FailAfter,
		} {
			t.Run(on+" "+name, func(t *testing.T) {
				t.Parallel()
				w, m := newClub(t, 0)
				w.keeps(stripe.Visa)
				w.stripe.Plan(stripe.Fault{Act: act, On: on})
				found := on == "POST /v1/subscriptions" && act == stripe.FailAfter // it is looked for at once
				if _, err := m.Join(t.Context(), w.user, fleet.PaymentMethodID{}); (fleet.CodeOf(err) == fleet.CodeUnavailable) == found {
					t.Fatalf("joined without an answer: %v", err)
				}
				if on == "POST /v1/subscriptions" && !found {
					w.member(m, false)
					w.clock.Advance(22 * time.Hour) // Stripe knows the key, and the subscription can be paid
				}
				joined, err := m.Join(t.Context(), w.user, fleet.PaymentMethodID{})
				if err != nil || joined.State != fleet.MembershipActive {
					t.Errorf("%+v, %v", joined, err)
				}
				w.member(m, true)
				paid := 0
				for _, s := range stripe.All[stripe.Subscription](w.stripe) {
					if s.Status == "active" {
						paid++
					}
				}
				if paid != 1 || w.charged() != 1 {
					t.Errorf("%d subscriptions, charged %d times", paid, w.charged())
				}
			})
		}
	}
}

func TestADeclinedCardJoinsNobody(t *testing.T) {
	t.Parallel()
	w, m := newClub(t, 0)
	w.keeps(stripe.DeclineAfterAttach)
	j, err := m.Join(t.Context(), w.user, fleet.PaymentMethodID{})
	w.must(err)
	if j.State != fleet.MembershipIncomplete || j.Code != "card_declined" || j.NextAction != payment.ActConfirm || j.ClientSecret == "" {
		t.Errorf("%+v", j)
	}
	w.member(m, false)
	// Another's card is not found, and a good one pays for the same subscription.
	methods, err := w.Methods(t.Context(), w.user)
	w.must(err)
	stranger := w.person(fleet.RoleRider)
	_, err = m.Join(t.Context(), stranger, methods[0].ID)
	w.want(err, fleet.CodeNotFound)
	w.keeps(stripe.Visa)
	methods, err = w.Methods(t.Context(), w.user)
	w.must(err)
	paid, err := m.Join(t.Context(), w.user, methods[0].ID)
	w.must(err)
	subscriptions := stripe.All[stripe.Subscription](w.stripe)
	if paid.State != fleet.MembershipActive || paid.ID != j.ID || len(subscriptions) != 1 || string(subscriptions[0].DefaultPaymentMethod) != methods[0].Stripe {
		t.Errorf("%+v, %+v", paid, subscriptions)
	}
	w.member(m, true)
}

// A bank that asks is answered by its principal, on whose word alone they are a member.
func TestABankAsksBeforeSomebodyIsAMember(t *testing.T) {
	t.Parallel()
	w, m := newClub(t, 0)
	ctx := t.Context()
	w.keeps(stripe.AlwaysAuthenticate)
	join := func() payment.Joining {
		t.Helper()
		j, err := m.Join(ctx, w.user, fleet.PaymentMethodID{})
		w.must(err)
		return j
	}
	asked := join()
	if asked.State != fleet.MembershipIncomplete || asked.NextAction != payment.ActAuthenticate || asked.URL == "" || asked.ClientSecret == "" {
		t.Fatalf("%+v", asked)
	}
	w.member(m, false)
	if again := join(); again.URL != asked.URL || again.ID != asked.ID {
		t.Errorf("asked again: %+v", again)
	}
	w.must(w.browser.Authenticate(ctx, asked.URL, false))
	if refused := join(); refused.State != fleet.MembershipIncomplete || refused.URL == asked.URL {
		t.Errorf("refused, and joined again: %+v", refused)
	} else {
		w.must(w.browser.Authenticate(ctx, refused.URL, true))
	}
	w.member(m, true) // the webhook was lost
	if j := join(); j.State != fleet.MembershipActive || j.NextAction != "" || j.ClientSecret != "" {
		t.Errorf("%+v", j)
	}
	if charges := w.charged(); charges != 1 {
		t.Errorf("charged %d times", charges)
	}
}

// charged is how many charges have succeeded.
func (w *till) charged() (n int) {
	for _, c := range stripe.All[stripe.Charge](w.stripe) {
		if c.Status == "succeeded" {
			n++
		}
	}
	return n
}

// A renewal for which the bank wants the principal is past due, they are told once
// each time it is tried, and pay it on-session.
func TestARenewalAsksForItsMember(t *testing.T) {
	t.Parallel()
	w, m := newClub(t, 14)
	ctx := t.Context()
	w.keeps(stripe.AlwaysAuthenticate)
	trial, err := m.Join(ctx, w.user, fleet.PaymentMethodID{})
	w.must(err)
	if trial.State != fleet.MembershipTrialing || trial.NextAction != payment.ActSetUpCard {
		t.Fatalf("%+v", trial)
	}
	next, err := w.browser.Confirm(ctx, trial.ClientSecret, "")
	w.must(err)
	w.must(w.browser.Authenticate(ctx, next.URL, true))
	if j, err := m.Join(ctx, w.user, fleet.PaymentMethodID{}); err != nil || j.State != fleet.MembershipTrialing || j.NextAction != "" {
		t.Errorf("after it was set up: %+v, %v", j, err)
	}
	w.clock.Advance(14 * 24 * time.Hour)
	invoice := ""
	for _, i := range stripe.All[stripe.Invoice](w.stripe) {
		invoice = i.ID
	}
	for range 2 {
		w.must(m.SeeInvoice(ctx, invoice))
	}
	w.member(m, false)
	if due, err := m.Of(ctx, w.user); err != nil || due.State != fleet.MembershipPastDue {
		t.Errorf("%+v, %v", due, err)
	}
	if len(w.told) == 0 || w.told[0] != "payment_membership" {
		t.Errorf("told %q", w.told)
	}
	once := map[string]bool{}
	for _, about := range w.tidings {
		once[about.Once] = true
	}
	if len(once) != 1 {
		t.Errorf("told of one try as %v", once)
	}
	j, err := m.Join(ctx, w.user, fleet.PaymentMethodID{})
	w.must(err)
	if j.NextAction != payment.ActAuthenticate || j.ClientSecret == "" {
		t.Fatalf("%+v", j)
	}
	if next, err = w.browser.Confirm(ctx, j.ClientSecret, ""); err == nil {
		err = w.browser.Authenticate(ctx, next.URL, true)
	}
	w.must(err)
	w.member(m, true)
	if w.charged() != 1 {
		t.Errorf("charged %d times", w.charged())
	}
}

// A card that is given while a first period is paid is listed, until it is taken away.
func TestACardGivenForAMembershipIsListed(t *testing.T) {
	t.Parallel()
	w, m := newClub(t, 0)
	ctx := t.Context()
	w.keeps(stripe.DeclineAfterAttach)
	j, err := m.Join(ctx, w.user, fleet.PaymentMethodID{})
	w.must(err)
	pm, err := w.browser.Card(ctx, stripe.Mastercard)
	w.must(err)
	_, err = w.browser.Confirm(ctx, j.ClientSecret, pm)
	w.must(err)
	for range 2 {
		w.must(m.See(ctx, j.Stripe))
	}
	methods, err := w.Methods(ctx, w.user)
	if err != nil || len(methods) != 2 || methods[0].Last4 != "4444" || methods[0].Stripe != pm {
		t.Fatalf("%+v, %v", methods, err)
	}
	w.must(w.RemoveMethod(ctx, w.user, methods[0].ID))
	w.must(m.See(ctx, j.Stripe))
	if methods, err = w.Methods(ctx, w.user); err != nil || len(methods) != 1 || methods[0].Last4 == "4444" {
		t.Errorf("after it was taken away: %+v, %v", methods, err)
	}
}

// News that was asked for before what is known is old.
func TestAnOldAnswerIsNoNews(t *testing.T) {
	t.Parallel()
	w, m, before := newMember(t)
	before.State = fleet.MembershipIncomplete
	w.must(schema.Memberships{DB: w.db}.Set(t.Context(), &before, noon.Add(-time.Second), nil))
	if known, err := m.Of(t.Context(), w.user); err != nil || known.State != fleet.MembershipActive {
		t.Errorf("%+v, %v", known, err)
	}
}

// Who got no answer and asks again with another card has one subscription, paid by that
// card: the key was used for the other one, and is no good for this.
func TestJoiningWithAnotherCardAfterNoAnswer(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]stripe.Act{"made": stripe.Lose, "not made": stripe.Fail} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, m := newClub(t, 0)
			w.keeps(stripe.Visa)
			w.keeps(stripe.Mastercard)
			cards, err := w.Methods(t.Context(), w.user)
			w.must(err)
			if act == stripe.Fail { // Stripe breaks, and its answer is lost: the key leads to it
				w.stripe.Plan(stripe.Fault{Act: act, On: "POST /v1/subscriptions"}, stripe.Fault{Act: stripe.Cut, On: "GET /v1/subscriptions"})
			} else {
				w.stripe.Plan(stripe.Fault{Act: act, On: "POST /v1/subscriptions"})
			}
			_, err = m.Join(t.Context(), w.user, cards[1].ID)
			w.want(err, fleet.CodeUnavailable)
			_, err = m.Join(t.Context(), w.user, cards[0].ID) // the first may be on its way
			w.want(err, fleet.CodeUnavailable)
			w.clock.Advance(time.Minute)
			joined, err := m.Join(t.Context(), w.user, cards[0].ID)
			if act == stripe.Fail {
				w.want(err, fleet.CodeUnavailable) // it is known now that nothing was made
				joined, err = m.Join(t.Context(), w.user, cards[0].ID)
			}
			if err != nil || joined.State != fleet.MembershipActive || len(stripe.All[stripe.Subscription](w.stripe)) != 1 || w.charged() != 1 {
				t.Errorf("%+v, %v, charged %d times", joined, err, w.charged())
			}
			if paid := stripe.All[stripe.Charge](w.stripe); len(paid) != 1 || paid[0].PaymentMethodDetails.Card.Last4 != "4444" {
				t.Errorf("paid by %+v", paid)
			}
		})
	}
}
