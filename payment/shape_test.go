package payment_test

import (
	"net/http/httptest"
	"testing"
	"time"

	api "github.com/stripe/stripe-go/v76"

	"armora/fleet"
	"armora/payment"
	"armora/schema"
	"armora/sim/stripe"
	"armora/sim/stripe/mock"
)

// What is asked of Stripe has the shape that Stripe documents: each request of each
// flow passes stripe-mock, which knows every parameter and its type, on its way.
func TestEveryRequestHasItsShape(t *testing.T) {
	t.Parallel()
	m, err := mock.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	w := newTill(t)
	watched := httptest.NewServer(m.Watch(w.stripe, func(complaint string) { t.Error(complaint) }))
	t.Cleanup(watched.Close)
	w.url = watched.URL
	w.restart()

	w.keeps(stripe.DisputeFraudulent)
	for name, flow := range flows {
		if b := w.goes(flow.in, flow.acts[:len(flow.acts)-1]); len(w.paid(b)) == 0 {
			t.Errorf("%s: nothing was paid", name)
		}
	}
	b := w.booked(0)
	if _, err := w.Reserve(t.Context(), w.user, b, "pm_card_authenticationRequired"); err != nil {
		t.Error(err)
	}
	lost := w.booked(0)
	w.stripe.Plan(stripe.Fault{Act: stripe.Cut, On: "POST /v1/payment_intents"})
	w.want(w.Settle(t.Context(), lost), fleet.CodeUnavailable)
	w.clock.Advance(25 * time.Hour) // its key is forgotten: the customer's intents are listed
	w.must(w.Settle(t.Context(), lost))
	first, driver := w.user, w.officer()
	w.user = w.person(fleet.RoleRider)
	w.keeps(stripe.Visa) // whose charges are not disputed
	passed := w.booked(0)
	w.settle(passed)
	w.takes(passed, driver)
	w.works(passed, fleet.Pounds(120))
	w.settle(passed)
	unheard := func(on string) {
		w.must(w.earnings.Settle(t.Context(), passed))
		w.stripe.Plan(stripe.Fault{Act: stripe.Cut, On: on})
		w.want(w.Settle(t.Context(), passed), fleet.CodeUnavailable)
		w.clock.Advance(25 * time.Hour) // likewise
		w.must(settled(w, passed))
	}
	unheard("POST /v1/transfers")
	if _, err := w.Refund(t.Context(), payment.Staff{Roles: []fleet.Role{fleet.RoleFinance}}, w.paid(passed)[0].ID, 1_000, "it was late"); err != nil {
		t.Error(err)
	}
	unheard("POST /v1/transfers/*/reversals")
	w.must(w.SeeTransfer(t.Context(), w.transfers(passed)[0].Stripe))
	w.user = first
	for _, d := range stripe.All[stripe.Dispute](w.stripe) {
		w.must(w.SeeDispute(t.Context(), d.ID))
	}
	w.must(w.books().Reconcile(t.Context()))
	if _, err := w.Register(t.Context(), "https://hub.example/api/payments/webhook", false, false); err != nil {
		t.Error(err)
	}
	if _, err := w.Register(t.Context(), "https://hub.example/api/payments/webhook", true, true); err != nil {
		t.Error(err)
	}
	officer, err := schema.Drivers{DB: w.db}.Get(t.Context(), driver)
	w.must(err)
	if _, err := w.ForgetOfficer(t.Context(), officer.User); err != nil {
		t.Error(err)
	}
	w.joins()
	w.refundsMember()
	methods, err := w.Methods(t.Context(), w.user)
	w.must(err)
	w.must(w.RemoveMethod(t.Context(), w.user, methods[0].ID))
	if _, err := w.Forget(t.Context(), w.user); err != nil {
		t.Error(err)
	}
}

// joins makes the principal a member in each of the ways, and ends it in each.
func (w *till) joins() {
	w.t.Helper()
	ctx := w.t.Context()
	w.keeps(stripe.AlwaysAuthenticate)
	methods, err := w.Methods(ctx, w.user)
	w.must(err)
	m := w.club(14)
	for _, leave := range []func(string){
		func(string) { _, err = m.Leave(ctx, w.user, false) },                                       // with its trial
		func(string) { w.clock.Advance(15 * 24 * time.Hour); _, err = m.Leave(ctx, w.user, false) }, // before it is paid
		func(id string) { // what was interrupted is looked for
			w.must(m.See(ctx, id))
			_, err = m.Leave(ctx, w.user, true)
		},
	} {
		j, joining := m.Join(ctx, w.user, methods[0].ID)
		w.must(joining)
		leave(j.Stripe)
		w.must(err)
		w.must(m.SeeAll(ctx))
	}
	w.stripe.Plan(stripe.Fault{Act: stripe.Cut, On: "POST /v1/subscriptions"})
	_, err = m.Join(ctx, w.user, methods[0].ID)
	w.want(err, fleet.CodeUnavailable)
	w.clock.Advance(24 * time.Hour) // its key is forgotten: the customer's are listed
	_, err = m.Join(ctx, w.user, methods[0].ID)
	w.must(err)
	for _, i := range stripe.All[stripe.Invoice](w.stripe) {
		w.must(m.SeeInvoice(ctx, i.ID))
	}
}

// refundsMember makes somebody a member whose month is refunded at Stripe, and fails to be.
func (w *till) refundsMember() {
	w.t.Helper()
	was := w.user
	w.user = w.person(fleet.RoleRider)
	w.keeps(stripe.Visa)
	m := payment.NewMembers(w.Cashier, stripe.All[stripe.Price](w.stripe)[0].ID, 0)
	_, err := m.Join(w.t.Context(), w.user, fleet.PaymentMethodID{})
	w.must(err)
	var charge string
	for _, ch := range stripe.All[stripe.Charge](w.stripe) {
		if ch.Invoice != "" && ch.Paid {
			charge = ch.ID
		}
	}
	r, err := w.another().Refunds.New(&api.RefundParams{Charge: api.String(charge)})
	w.must(err)
	w.stripe.SettleRefund(r.ID, false)
	w.must(w.books().Reconcile(w.t.Context()))
	papers, err := schema.Invoices{DB: w.db}.OfCause(w.t.Context(), "membership/"+charge)
	if err != nil || len(papers) != 3 {
		w.t.Errorf("%d papers, %v", len(papers), err)
	}
	w.user = was
}
