package stripe

import (
	"context"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	api "github.com/stripe/stripe-go/v76"
)

// again is a server that goes on from what another one has left.
func (b bench) again(path string) bench {
	b.Helper()
	next := bench{T: b.T, s: New(secretKey, publishableKey, b.clock), clock: b.clock}
	listening := httptest.NewServer(next.s)
	b.Cleanup(listening.Close)
	next.url, next.api, next.page = listening.URL, clientOf(listening.URL), Browser{URL: listening.URL, Key: publishableKey}
	if err := next.s.Restore(path, next.url); err != nil {
		b.Fatal(err)
	}
	return next
}

// leave writes what there is, as the end does.
func (b bench) leave(path string) {
	b.Helper()
	ended, end := context.WithCancel(b.Context())
	end()
	if err := b.s.Keep(ended, path); err != nil {
		b.Fatal(err)
	}
}

// After a restart cards still pay, holds still run out, subscriptions are renewed,
// refunds fail, keys are replayed and a bank's page is where it is now.
func TestAServerGoesOnFromWhatItHasWritten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := filepath.Join(t.TempDir(), "stripe.json")
	if err := b.s.Restore(path, b.url); err != nil {
		t.Fatalf("without a file: %v", err)
	}
	customer := b.customer()
	card := must[string](b)(b.kept(customer, AuthenticateUnlessSetUp))
	held := must[*api.PaymentIntent](b)(b.hold(customer, 5_000, off(card)))
	asked := must[*api.PaymentIntent](b)(b.hold(customer, 6_000, func(p *api.PaymentIntentParams) {
		p.PaymentMethod, p.Confirm, p.ReturnURL = api.String(must[string](b)(b.kept(customer, AlwaysAuthenticate))), api.Bool(true), api.String("https://hub.example")
	}))
	sub := b.subscribe(Visa, 14)
	paid := b.paid(RefundFails, 7_000)
	keyed := &api.RefundParams{PaymentIntent: api.String(paid.ID)}
	keyed.SetIdempotencyKey("refund/1")
	refund := must[*api.Refund](b)(b.api.Refunds.New(keyed))
	before := b.net()

	b.leave(path)
	b = b.again(path)
	if got := b.net(); got != before {
		t.Errorf("net %d, before it was %d", got, before)
	}
	if again := must[*api.Refund](b)(b.api.Refunds.New(keyed)); again.ID != refund.ID {
		t.Errorf("the key leads to refund %s, before to %s", again.ID, refund.ID)
	}
	page := must[*api.PaymentIntent](b)(b.api.PaymentIntents.Get(asked.ID, nil)).NextAction.RedirectToURL.URL
	if err := b.page.Authenticate(t.Context(), page, true); err != nil {
		t.Fatalf("at %s: %v", page, err)
	}
	if p := must[*api.PaymentIntent](b)(b.hold(customer, 8_000, off(card))); p.Status != api.PaymentIntentStatusRequiresCapture {
		t.Errorf("the card that was kept: %s", p.Status)
	}
	b.clock.step(refundLag)
	if r := must[*api.Refund](b)(b.api.Refunds.Get(refund.ID, nil)); r.Status != api.RefundStatusFailed {
		t.Errorf("the refund is %s", r.Status)
	}

	b.leave(path)
	b.clock.step(15 * 24 * time.Hour) // while nobody runs it
	b = b.again(path)
	for _, id := range []string{held.ID, asked.ID} {
		if p := must[*api.PaymentIntent](b)(b.api.PaymentIntents.Get(id, nil)); p.Status != api.PaymentIntentStatusCanceled {
			t.Errorf("a hold is %s", p.Status)
		}
	}
	if sub = b.subscription(sub.ID); sub.Status != api.SubscriptionStatusActive || !sub.LatestInvoice.Paid {
		t.Errorf("the subscription is %s", sub.Status)
	}
}
