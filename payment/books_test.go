package payment_test

import (
	"slices"
	"testing"
	"time"

	api "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"

	"armora/fleet"
	"armora/payment"
	"armora/schema"
	"armora/sim/stripe"
)

// another is somebody else who uses the same account at Stripe.
func (w *till) another() *client.API {
	config := &api.BackendConfig{URL: api.String(w.url), MaxNetworkRetries: api.Int64(0), LeveledLogger: &api.LeveledLogger{Level: api.LevelNull}}
	return client.New("sk_test_till", api.NewBackendsWithConfig(config))
}

func (w *till) books() *payment.Books {
	w.t.Helper()
	books, err := payment.NewBooks(w.Cashier, w.invoices(), nil)
	w.must(err)
	return books
}

// wantDifferences reconciles and wants that many differences to be left, and ops to
// know.
func (w *till) wantDifferences(books *payment.Books, want int) []fleet.Difference {
	w.t.Helper()
	w.must(books.Reconcile(w.t.Context()))
	r, err := books.Report(w.t.Context())
	w.must(err)
	alerts, err := schema.Alerts{DB: w.db}.OpenOf(w.t.Context(), fleet.AlertBooks)
	w.must(err)
	if len(r.Differences) != want || len(alerts) != min(want, 1) || !r.Checked.Equal(w.clock.Now()) {
		w.t.Fatalf("%d alerts, differences %+v; want %d", len(alerts), r.Differences, want)
	}
	if want == 0 && r.Stripe != r.Ledger {
		w.t.Fatalf("Stripe has %s, the ledger %s, and nothing differs", r.Stripe, r.Ledger)
	}
	return r.Differences
}

func TestTheBooksAgreeAndWhatWasMissedIsMadeGood(t *testing.T) {
	t.Parallel()
	w := newTill(t)
	books := w.books()
	w.wantDifferences(books, 0)
	w.keeps(stripe.RefundFails)
	b := w.booked(0)
	w.settle(b)
	w.runs(b, fleet.Completed)
	w.settle(b)
	w.refund(b, 2_000)
	w.wantDifferences(books, 0)
	// The refund fails, a bank takes money back, and no webhook comes.
	w.clock.Advance(2 * time.Hour)
	intents := stripe.All[stripe.Intent](w.stripe)
	w.stripe.Dispute(string(intents[0].LatestCharge), "fraudulent")
	w.wantDifferences(books, 0)
	w.wantPaid(b, "initial captured £120.00")
	if sums := w.agrees(); sums[fleet.AccountDisputes] != 12_000 {
		t.Errorf("%v", sums)
	}
}

func TestACaptureOfWhichNothingWasHeardIsMadeGood(t *testing.T) {
	t.Parallel()
	w, b := newHeld(t)
	w.runs(b, fleet.Completed)
	w.stripe.Plan(stripe.Fault{Act: stripe.Lose, On: "POST /v1/payment_intents/*/capture"})
	w.want(w.Settle(t.Context(), b), fleet.CodeUnavailable)
	w.wantDifferences(w.books(), 0)
	w.wantPaid(b, "initial captured £120.00")
}

func TestWhatIsInOneBookAloneIsBeforeOps(t *testing.T) {
	t.Parallel()
	w := newTill(t)
	books, stranger := w.books(), w.another()
	p, err := stranger.PaymentIntents.New(&api.PaymentIntentParams{
		Amount: api.Int64(500), Currency: api.String("gbp"), PaymentMethod: api.String("pm_card_bypassPending"), Confirm: api.Bool(true),
		PaymentMethodTypes: api.StringSlice([]string{"card"}),
	})
	w.must(err)
	found := w.wantDifferences(books, 1)
	if d := found[0]; d.Type != "charge" || d.Source != p.LatestCharge.ID || d.Stripe != fleet.Pence(500-28) || d.Ledger != fleet.Pence(0) || d.Key != "" {
		t.Errorf("%+v", d)
	}
	ledger := schema.Ledger{DB: w.db}
	lost := fleet.Post("capture/lost", w.clock.Now(), fleet.Pence(700), fleet.AccountRevenue, fleet.AccountStripe)
	w.must(ledger.Post(t.Context(), lost))
	w.wantDifferences(books, 1) // Stripe has its time
	w.clock.Advance(2 * time.Hour)
	found = w.wantDifferences(books, 2)
	if !slices.ContainsFunc(found, func(d fleet.Difference) bool {
		return d.Key == "capture/lost" && d.Transaction == "" && d.Ledger == fleet.Pence(700)
	}) {
		t.Errorf("%+v", found)
	}
	// That it was given back is no news of ours either.
	_, err = stranger.Refunds.New(&api.RefundParams{PaymentIntent: api.String(p.ID)})
	w.must(err)
	w.wantDifferences(books, 3)
}

// What finance knows the reason of is not reported again, as long as it is of that
// amount; the ledger is corrected where it is wrong; much of it takes two.
func TestAKnownDifferenceIsNotReportedAgain(t *testing.T) {
	t.Parallel()
	w := newTill(t)
	ctx, books, stranger := t.Context(), w.books(), w.another()
	charge := func(amount int64) {
		t.Helper()
		_, err := stranger.PaymentIntents.New(&api.PaymentIntentParams{
			Amount: api.Int64(amount), Currency: api.String("gbp"), PaymentMethod: api.String("pm_card_bypassPending"), Confirm: api.Bool(true),
			PaymentMethodTypes: api.StringSlice([]string{"card"}),
		})
		w.must(err)
	}
	staff := func() payment.Staff {
		return payment.Staff{User: w.person(fleet.RoleFinance), Roles: []fleet.Role{fleet.RoleFinance}}
	}
	bo, cy := staff(), staff()
	charge(5_000)
	small := w.wantDifferences(books, 1)[0]
	_, err := books.Know(ctx, bo, "txn_nobodys", "x", "")
	w.want(err, fleet.CodeNotFound)
	_, err = books.Know(ctx, bo, small.Line(), "x", fleet.AccountRevenue)
	w.want(err, fleet.CodeInvalid)
	k, err := books.Know(ctx, bo, small.Line(), "of our other shop, and posted", fleet.AccountBank)
	w.must(err)
	if k.Agreed.IsZero() || k.Amount != small.Stripe {
		t.Errorf("%+v", k)
	}
	w.clock.Advance(2 * time.Hour) // the correction is no news of Stripe's either
	w.wantDifferences(books, 0)    // and the balances agree
	_, err = books.Know(ctx, cy, small.Line(), "x", "")
	w.want(err, fleet.CodeNotFound)

	charge(60_000) // more than finance may refund
	much := w.wantDifferences(books, 1)[0]
	k, err = books.Know(ctx, bo, much.Line(), "the other shop", fleet.AccountBank)
	w.must(err)
	if !k.Agreed.IsZero() {
		t.Errorf("agreed by one: %+v", k)
	}
	if d := w.wantDifferences(books, 1)[0]; d.Known == nil || d.Known.SaidBy != bo.User || d.Known.Reason != "the other shop" {
		t.Errorf("waiting: %+v", d.Known)
	}
	_, err = books.Know(ctx, bo, much.Line(), "the other shop", fleet.AccountBank)
	w.want(err, fleet.CodeConflict)
	_, err = books.Know(ctx, cy, much.Line(), "elsewhere", fleet.AccountFees)
	w.want(err, fleet.CodeConflict)
	k, err = books.Know(ctx, cy, much.Line(), "so it is", fleet.AccountBank)
	w.must(err)
	if k.AgreedBy != cy.User || k.SaidBy != bo.User || k.Reason != "the other shop" {
		t.Errorf("%+v", k)
	}
	w.wantDifferences(books, 0)

	// By another amount than is known it is reported.
	w.must(schema.StripeBook{DB: w.db}.Know(ctx, &fleet.KnownDifference{
		Line: "line/lost", Amount: fleet.Pence(1), Reason: "x", SaidBy: bo.User, Said: noon, AgreedBy: bo.User, Agreed: noon,
	}))
	w.must(schema.Ledger{DB: w.db}.Post(ctx, fleet.Post("line/lost", w.clock.Now(), fleet.Pence(700), fleet.AccountRevenue, fleet.AccountStripe)))
	w.clock.Advance(2 * time.Hour)
	lost := w.wantDifferences(books, 1)[0]
	if _, err = books.Know(ctx, bo, lost.Line(), "posted twice by hand", fleet.AccountWrittenOff); err != nil || lost.Line() != "line/lost" {
		t.Errorf("%s: %v", lost.Line(), err)
	}
	w.wantDifferences(books, 0)
}
