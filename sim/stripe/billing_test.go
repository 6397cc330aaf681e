package stripe

import (
	"testing"
	"time"

	api "github.com/stripe/stripe-go/v76"
)

// subscribe asks for £20 a month by a kept card.
func (b bench) subscribe(number string, trialDays int64) *api.Subscription {
	b.Helper()
	customer := b.customer()
	card := must[string](b)(b.kept(customer, number))
	product := must[*api.Product](b)(b.api.Products.New(&api.ProductParams{Name: api.String("Membership")}))
	price := must[*api.Price](b)(b.api.Prices.New(&api.PriceParams{
		Product: api.String(product.ID), Currency: api.String("gbp"), UnitAmount: api.Int64(2_000),
		Recurring: &api.PriceRecurringParams{Interval: api.String("month")},
	}))
	params := &api.SubscriptionParams{
		Customer: api.String(customer), DefaultPaymentMethod: api.String(card), Items: []*api.SubscriptionItemsParams{{Price: api.String(price.ID)}},
	}
	if trialDays > 0 {
		params.TrialPeriodDays = api.Int64(trialDays)
	}
	return must[*api.Subscription](b)(b.api.Subscriptions.New(params))
}

func (b bench) subscription(id string) *api.Subscription {
	b.Helper()
	params := &api.SubscriptionParams{}
	params.AddExpand("latest_invoice.payment_intent")
	return must[*api.Subscription](b)(b.api.Subscriptions.Get(id, params))
}

func TestATrialBecomesAPaidMonthAndAnother(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sub := b.subscribe(Visa, 14)
	if sub.Status != api.SubscriptionStatusTrialing || b.net() != 0 {
		t.Fatalf("%s", sub.Status)
	}
	b.clock.step(14 * 24 * time.Hour)
	if sub = b.subscription(sub.ID); sub.Status != api.SubscriptionStatusActive || b.net() != 1_950 || !sub.LatestInvoice.Paid {
		t.Fatalf("%s, net %d", sub.Status, b.net())
	}
	b.clock.step(31 * 24 * time.Hour)
	must[*api.Subscription](b)(b.api.Subscriptions.Update(sub.ID, &api.SubscriptionParams{CancelAtPeriodEnd: api.Bool(true)}))
	if b.net() != 3_900 {
		t.Fatalf("net %d after another month", b.net())
	}
	b.clock.step(31 * 24 * time.Hour)
	if sub = b.subscription(sub.ID); sub.Status != api.SubscriptionStatusCanceled || b.net() != 3_900 {
		t.Errorf("%s, net %d", sub.Status, b.net())
	}
}

func TestAMonthThatIsNotPaidIsPastDueUntilItIs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sub := b.subscribe(DeclineAfterAttach, 14)
	b.clock.step(14 * 24 * time.Hour)
	if sub = b.subscription(sub.ID); sub.Status != api.SubscriptionStatusPastDue || sub.LatestInvoice.Status != api.InvoiceStatusOpen {
		t.Fatalf("%s, %s", sub.Status, sub.LatestInvoice.Status)
	}
	must[Next](b)(b.page.Confirm(t.Context(), sub.LatestInvoice.PaymentIntent.ClientSecret, b.card(Visa)))
	if sub = b.subscription(sub.ID); sub.Status != api.SubscriptionStatusActive {
		t.Fatalf("%s after it was paid", sub.Status)
	}
	other := b.subscribe(DeclineAfterAttach, 14)
	b.clock.step((14 + 3*4) * 24 * time.Hour)
	if other = b.subscription(other.ID); other.Status != api.SubscriptionStatusCanceled {
		t.Errorf("%s after the last attempt", other.Status)
	}
}

func TestAFirstMonthThatIsNotPaidIsIncomplete(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sub := b.subscribe(DeclineAfterAttach, 0)
	if sub = b.subscription(sub.ID); sub.Status != api.SubscriptionStatusIncomplete {
		t.Fatalf("%s", sub.Status)
	}
	b.clock.step(incompleteFor)
	if sub = b.subscription(sub.ID); sub.Status != api.SubscriptionStatusIncompleteExpired {
		t.Errorf("%s", sub.Status)
	}
}

func TestATrialOfACardThatAsksIsSetUpByItsHolder(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sub := b.subscribe(AlwaysAuthenticate, 14)
	params := &api.SubscriptionParams{}
	params.AddExpand("pending_setup_intent")
	sub = must[*api.Subscription](b)(b.api.Subscriptions.Get(sub.ID, params))
	if sub.Status != api.SubscriptionStatusTrialing || sub.PendingSetupIntent == nil || sub.PendingSetupIntent.Status != api.SetupIntentStatusRequiresConfirmation {
		t.Fatalf("%s, %+v", sub.Status, sub.PendingSetupIntent)
	}
	next := must[Next](b)(b.page.Confirm(t.Context(), sub.PendingSetupIntent.ClientSecret, ""))
	if err := b.page.Authenticate(t.Context(), next.URL, true); err != nil {
		t.Fatal(err)
	}
	if sub = b.subscription(sub.ID); sub.PendingSetupIntent != nil {
		t.Errorf("%+v", sub.PendingSetupIntent)
	}
	// The period that follows is paid by nobody while its holder is away.
	b.clock.step(14 * 24 * time.Hour)
	sub = b.subscription(sub.ID)
	if p := sub.LatestInvoice.PaymentIntent; sub.Status != api.SubscriptionStatusPastDue || p.Status != api.PaymentIntentStatusRequiresAction || p.PaymentMethod == nil {
		t.Fatalf("%s, %s", sub.Status, p.Status)
	}
	invoice := must[*api.Invoice](b)(b.api.Invoices.VoidInvoice(sub.LatestInvoice.ID, nil))
	if sub = b.subscription(sub.ID); invoice.Status != api.InvoiceStatusVoid || sub.LatestInvoice.PaymentIntent.Status != api.PaymentIntentStatusCanceled {
		t.Errorf("%s, %s", invoice.Status, sub.LatestInvoice.PaymentIntent.Status)
	}
	if _, err := b.api.Invoices.VoidInvoice(invoice.ID, nil); err == nil {
		t.Error("it was voided twice")
	}
}
