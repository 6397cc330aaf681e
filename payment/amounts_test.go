package payment_test

import (
	"strings"
	"testing"
	"time"

	api "github.com/stripe/stripe-go/v76"

	"armora/fleet"
	"armora/schema"
	"armora/sim/stripe"
)

// What is held, and what is taken in the end, at the edges of what Stripe takes.
func TestAmountsAtTheirEdges(t *testing.T) {
	t.Parallel()
	in := func(c fleet.Currency, amount int64) fleet.Money { return fleet.Money{Amount: amount, Currency: c} }
	for name, c := range map[string]struct {
		total, fee fleet.Money
		held, kept []string // the payments while it goes on, and when it is over
		lost       int64    // that is written off
	}{
		"nothing":              {fleet.Pence(0), fleet.Pence(0), nil, nil, 0},
		"a penny":              {fleet.Pence(1), fleet.Pence(1), nil, nil, 1},
		"under the least":      {fleet.Pence(29), fleet.Pence(29), nil, nil, 29},
		"the least":            {fleet.Pence(30), fleet.Pence(30), []string{"initial held £0.30"}, []string{"initial captured £0.30"}, 0},
		"the most":             {fleet.Pence(99_999_999), fleet.Pence(99_999_999), []string{"initial held £999999.99"}, []string{"initial captured £999999.99"}, 0},
		"all of the hold":      {fleet.Pence(120_00), fleet.Pence(120_00), []string{"initial held £120.00"}, []string{"initial captured £120.00"}, 0},
		"a penny less":         {fleet.Pence(120_00), fleet.Pence(119_99), []string{"initial held £120.00"}, []string{"initial captured £120.00 took £119.99"}, 0},
		"a penny more":         {fleet.Pence(120_00), fleet.Pence(120_01), []string{"initial held £120.00"}, []string{"initial captured £120.00"}, 1},
		"the least more":       {fleet.Pence(120_00), fleet.Pence(120_30), []string{"initial held £120.00"}, []string{"initial captured £120.00", "overage captured £0.30"}, 0},
		"under the least left": {fleet.Pence(120_00), fleet.Pence(29), []string{"initial held £120.00"}, []string{"initial cancelled £120.00"}, 29},
		"yen":                  {in("JPY", 50), in("JPY", 50), []string{"initial held 50 JPY"}, []string{"initial captured 50 JPY"}, 0},
		"too little of yen":    {in("JPY", 49), in("JPY", 49), nil, nil, 49},
		"yen more":             {in("JPY", 12_000), in("JPY", 12_049), []string{"initial held 12000 JPY"}, []string{"initial captured 12000 JPY"}, 49},
		"euros":                {in("EUR", 120_00), in("EUR", 120_50), []string{"initial held 120.00 EUR"}, []string{"initial captured 120.00 EUR", "overage captured 0.50 EUR"}, 0},
		"too little of euros":  {in("EUR", 49), in("EUR", 49), nil, nil, 49},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTill(t)
			w.keeps(stripe.Visa)
			b := w.priced(0, c.total)
			w.settle(b)
			w.wantPaid(b, c.held...)
			if w.booking(b).Funded.IsZero() {
				t.Fatal("it is not funded")
			}
			w.runs(b, fleet.InProgress)
			w.ends(b, fleet.Completed, c.fee)
			w.settle(b)
			w.settle(b)
			w.wantPaid(b, c.kept...)
			sums, err := schema.Ledger{DB: w.db}.Balances(t.Context(), c.total.Currency)
			w.must(err)
			if sums["principals"] != 0 || sums[fleet.AccountWrittenOff] != c.lost || -sums[fleet.AccountRevenue]-sums[fleet.AccountVAT] != c.fee.Amount {
				t.Errorf("balances are %v", sums)
			}
			if debts := w.debts(b); len(debts) > 1 || len(debts) == 1 && debts[0].State != fleet.DebtWrittenOff {
				t.Errorf("debts are %+v", debts)
			}
			for _, i := range stripe.All[stripe.Intent](w.stripe) {
				if !strings.EqualFold(i.Currency, string(c.total.Currency)) {
					t.Errorf("%s in place of %s", i.Currency, c.total.Currency)
				}
			}
			w.wantTruth(b)
			books := w.books()
			w.clock.Advance(2 * time.Hour)
			w.must(books.Reconcile(t.Context()))
			stripes := sums[fleet.AccountStripe]
			if r, err := books.Report(t.Context()); err != nil || len(r.Differences) > 0 || r.Stripe.Amount != stripes || r.Ledger != r.Stripe || stripes != 0 && r.Stripe.Currency != c.total.Currency {
				t.Errorf("Stripe has %s, the ledger %s (%d), error %v; %+v", r.Stripe, r.Ledger, stripes, err, r.Differences)
			}
		})
	}
}

// More than Stripe takes at once is refused by it, and does not come again and again.
func TestMoreThanCanBeTakenIsNotTaken(t *testing.T) {
	t.Parallel()
	w := newTill(t)
	w.keeps(stripe.Visa)
	b := w.priced(0, fleet.Pence(100_000_000))
	for range 3 {
		w.settle(b)
	}
	w.wantPaid(b, "initial failed £1000000.00")
	if p := w.paid(b)[0]; p.Code != string(api.ErrorCodeAmountTooLarge) || !w.booking(b).Funded.IsZero() {
		t.Errorf("%+v", p)
	}
	w.ends(b, fleet.Cancelled, fleet.Pence(0))
	w.settle(b)
	w.wantTruth(b)
}

// Refunds of a payment may come to all that it has brought, and to no penny more.
func TestRefundsUpToThePenny(t *testing.T) {
	t.Parallel()
	for _, parts := range [][]int64{{120_00}, {1, 119_99}, {33_33, 33_33, 53_34}, {60_00, 0}} {
		w := newTill(t)
		b, p := w.captured()
		finance := w.staff(fleet.RoleFinance)
		for _, tooMuch := range []int64{120_01, 99_999_999, -1} {
			_, err := w.Refund(t.Context(), finance, p, tooMuch, "late")
			w.want(err, fleet.CodeInvalid)
		}
		left := int64(120_00)
		for _, part := range parts {
			if left < 120_00 {
				_, err := w.Refund(t.Context(), finance, p, left+1, "late")
				w.want(err, fleet.CodeInvalid)
			}
			r, err := w.Refund(t.Context(), finance, p, part, "late")
			w.must(err)
			left -= r.Amount.Amount
			w.issued(b) // which says what the ledger does, to the penny of its VAT
		}
		_, err := w.Refund(t.Context(), finance, p, 1, "late")
		w.want(err, fleet.CodeConflict)
		w.wantPaid(b, "initial captured £120.00 gave back £120.00")
		if sums := w.agrees(); sums["principals"] != 0 || sums[fleet.AccountRevenue] != 0 || sums[fleet.AccountVAT] != 0 {
			t.Errorf("%v: balances are %v", parts, sums)
		}
		w.wantTruth(b)
	}
}

// What Stripe says of another amount, or of another currency, is not believed.
func TestAnIntentOfAnotherAmountIsNotOurs(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*api.PaymentIntentParams){
		"amount":   func(p *api.PaymentIntentParams) { p.Amount = api.Int64(120_01) },
		"currency": func(p *api.PaymentIntentParams) { p.Currency = api.String("eur") },
	} {
		w := newTill(t)
		b := w.booked(0)
		r, err := w.Reserve(t.Context(), w.user, b, "")
		w.must(err)
		params := &api.PaymentIntentParams{
			Amount: api.Int64(120_00), Currency: api.String("gbp"), PaymentMethod: api.String("pm_card_visa"), Confirm: api.Bool(true),
			PaymentMethodTypes: api.StringSlice([]string{"card"}),
		}
		change(params)
		params.AddMetadata("payment", r.Payment.ID.String())
		other, err := w.another().PaymentIntents.New(params)
		w.must(err)
		_ = w.SeeIntent(t.Context(), other.ID) // refused, or not ours: nothing comes of it
		if p := w.paid(b); len(p) != 1 || p[0].Captured != 0 || p[0].Stripe != r.Payment.Stripe || !w.booking(b).Funded.IsZero() {
			t.Errorf("%s: %+v", name, p)
		}
	}
}
