package stripe

import (
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	api "github.com/stripe/stripe-go/v76"

	"armora/sim/stripe/mock"
)

// What the tests of this package ask for has the shape that Stripe documents, so
// that the server is not understood by a client of its own making alone.
func TestStripeMockKnowsTheRequests(t *testing.T) {
	t.Parallel()
	m, err := mock.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	b := newBench(t)
	watching := httptest.NewServer(m.Watch(b.s, func(what string) { t.Error(what) }))
	t.Cleanup(watching.Close)
	b.api = clientOf(watching.URL)

	p := b.paid(DisputeFraudulent, 10_000)
	b.api.Disputes.List(&api.DisputeListParams{PaymentIntent: api.String(p.ID)}).Next()
	p = b.paid(Visa, 10_000)
	must[*api.Refund](b)(b.api.Refunds.New(&api.RefundParams{PaymentIntent: api.String(p.ID), Amount: api.Int64(1), Reason: api.String("requested_by_customer")}))
	account := must[*api.Account](b)(b.api.Accounts.New(&api.AccountParams{Type: api.String("custom"), Country: api.String("GB")}))
	sent := must[*api.Transfer](b)(b.api.Transfers.New(&api.TransferParams{
		Amount: api.Int64(2), Currency: api.String("gbp"), Destination: api.String(account.ID), SourceTransaction: api.String(p.LatestCharge.ID),
	}))
	must[*api.TransferReversal](b)(b.api.TransferReversals.New(&api.TransferReversalParams{ID: api.String(sent.ID), Amount: api.Int64(1)}))
	b.subscribe(Visa, 14)
	b.listen()
	b.api.BalanceTransactions.List(&api.BalanceTransactionListParams{}).Next()
	b.api.Events.List(&api.EventListParams{}).Next()

	// It does complain.
	var complaints atomic.Int64
	strict := httptest.NewServer(m.Watch(b.s, func(what string) {
		complaints.Add(1)
		if !strings.Contains(what, "tip") {
			t.Error(what)
		}
	}))
	t.Cleanup(strict.Close)
	b.api = clientOf(strict.URL)
	if _, err := b.hold(b.customer(), 1_000, func(p *api.PaymentIntentParams) { p.AddExtra("tip", "1") }); err == nil || complaints.Load() != 1 {
		t.Errorf("%v, %d complaints", err, complaints.Load())
	}
}
