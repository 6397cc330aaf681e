package stripe

import (
	"testing"
	"time"

	api "github.com/stripe/stripe-go/v76"
)

// paid is a payment of a card that was taken.
func (b bench) paid(number string, amount int64) *api.PaymentIntent {
	b.Helper()
	customer := b.customer()
	card := must[string](b)(b.kept(customer, number))
	p := must[*api.PaymentIntent](b)(b.hold(customer, amount, off(card)))
	return must[*api.PaymentIntent](b)(b.api.PaymentIntents.Capture(p.ID, nil))
}

// net is what the account's book says that it has, pending or not.
func (b bench) net() (sum int64) {
	for _, o := range All[BalanceTransaction](b.s) {
		sum += o.Net
	}
	return sum
}

func TestAHoldExpires(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	customer := b.customer()
	p := must[*api.PaymentIntent](b)(b.hold(customer, 20_000, off("pm_card_visa")))
	b.clock.step(HoldAway - time.Second)
	if got := b.of(p.ID, nil); got.state != "requires_capture" {
		t.Fatal(got)
	}
	b.clock.step(time.Second)
	_, err := b.api.PaymentIntents.Capture(p.ID, nil)
	refused := refusal(t, err)
	if refused.Code != api.ErrorCodePaymentIntentUnexpectedState || refused.PaymentIntent.Status != api.PaymentIntentStatusCanceled ||
		refused.PaymentIntent.CancellationReason != "automatic" {
		t.Fatalf("%+v", refused)
	}
	if b.net() != 0 {
		t.Error("an expired hold moved money")
	}
}

func TestAmountsAndCurrencies(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	customer := b.customer()
	for _, c := range []struct {
		amount   int64
		currency string
		code     api.ErrorCode
		param    string
	}{
		{29, "gbp", api.ErrorCodeAmountTooSmall, "amount"},
		{30, "gbp", "", ""},
		{99_999_999, "gbp", "", ""},
		{100_000_000, "gbp", api.ErrorCodeAmountTooLarge, "amount"},
		{49, "jpy", api.ErrorCodeAmountTooSmall, "amount"},
		{0, "gbp", api.ErrorCodeParameterInvalidInteger, "amount"},
		{-100, "gbp", api.ErrorCodeParameterInvalidInteger, "amount"},
		{100, "zzz", "", "currency"},
	} {
		_, err := b.hold(customer, c.amount, func(p *api.PaymentIntentParams) { p.Currency = api.String(c.currency) })
		if c.param == "" {
			if err != nil {
				t.Errorf("%d %s: %v", c.amount, c.currency, err)
			}
			continue
		}
		if refused := refusal(t, err); refused.Code != c.code || refused.Param != c.param {
			t.Errorf("%d %s: %s %s, want %s", c.amount, c.currency, refused.Code, refused.Param, c.code)
		}
	}
	p := must[*api.PaymentIntent](b)(b.hold(customer, 1_000, off("pm_card_visa")))
	for _, amount := range []int64{1_001, 0, -1} {
		if _, err := b.api.PaymentIntents.Capture(p.ID, &api.PaymentIntentCaptureParams{AmountToCapture: api.Int64(amount)}); err == nil {
			t.Errorf("captured %d of 1000", amount)
		}
	}
}

func TestRefundsThatTurnOutLater(t *testing.T) {
	t.Parallel()
	for number, c := range map[string]struct {
		first, last api.RefundStatus
		net         int64 // of 10,000 with a fee of 170 and 4,000 given back
	}{
		Visa:          {api.RefundStatusSucceeded, api.RefundStatusSucceeded, 5_830},
		RefundPending: {api.RefundStatusPending, api.RefundStatusSucceeded, 5_830},
		RefundFails:   {api.RefundStatusSucceeded, api.RefundStatusFailed, 9_830},
	} {
		b := newBench(t)
		p := b.paid(number, 10_000)
		refund := must[*api.Refund](b)(b.api.Refunds.New(&api.RefundParams{PaymentIntent: api.String(p.ID), Amount: api.Int64(4_000)}))
		if refund.Status != c.first {
			t.Errorf("%s: at first %s, want %s", number, refund.Status, c.first)
		}
		b.clock.step(refundLag)
		if refund = must[*api.Refund](b)(b.api.Refunds.Get(refund.ID, nil)); refund.Status != c.last || b.net() != c.net {
			t.Errorf("%s: in the end %s, net %d; want %s, %d", number, refund.Status, b.net(), c.last, c.net)
		}
		if _, err := b.api.Refunds.New(&api.RefundParams{PaymentIntent: api.String(p.ID), Amount: api.Int64(10_001)}); err == nil {
			t.Errorf("%s: more was given back than taken", number)
		}
	}
}

func TestDisputesTakeTheMoneyUntilTheyAreWon(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		won    bool
		status api.DisputeStatus
		net    int64
	}{"won": {true, api.DisputeStatusWon, 10_000 - 170 - disputeFee}, "lost": {false, api.DisputeStatusLost, -170 - disputeFee}} {
		b := newBench(t)
		p := b.paid(DisputeFraudulent, 10_000)
		disputes := All[Dispute](b.s)
		if len(disputes) != 1 || string(disputes[0].PaymentIntent) != p.ID || b.net() != -170-disputeFee {
			t.Fatalf("%s: %+v, net %d", name, disputes, b.net())
		}
		_, err := b.api.Refunds.New(&api.RefundParams{PaymentIntent: api.String(p.ID)})
		if refusal(t, err).Code != api.ErrorCodeChargeDisputed {
			t.Errorf("%s: a refund of what is disputed: %v", name, err)
		}
		b.s.CloseDispute(disputes[0].ID, c.won)
		got := must[*api.Dispute](b)(b.api.Disputes.Get(disputes[0].ID, nil))
		if got.Status != c.status || b.net() != c.net {
			t.Errorf("%s: %s, net %d; want %s, %d", name, got.Status, b.net(), c.status, c.net)
		}
	}
}

func TestTransfersAreBoundByTheirCharge(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.paid(Visa, 10_000)
	account := must[*api.Account](b)(b.api.Accounts.New(&api.AccountParams{Type: api.String("custom"), Country: api.String("GB")}))
	send := func(amount int64, source *string) (*api.Transfer, error) {
		return b.api.Transfers.New(&api.TransferParams{
			Amount: api.Int64(amount), Currency: api.String("gbp"), Destination: api.String(account.ID), SourceTransaction: source,
		})
	}
	_, err := send(1, nil)
	if refusal(t, err).Code != api.ErrorCodeBalanceInsufficient {
		t.Errorf("of pending money: %v", err)
	}
	sent := must[*api.Transfer](b)(send(6_000, api.String(p.LatestCharge.ID)))
	if _, err := send(4_001, api.String(p.LatestCharge.ID)); err == nil {
		t.Error("more was passed on than taken")
	}
	must[*api.TransferReversal](b)(b.api.TransferReversals.New(&api.TransferReversalParams{ID: api.String(sent.ID), Amount: api.Int64(2_000)}))
	if b.net() != 10_000-170-4_000 {
		t.Errorf("net %d", b.net())
	}
	b.clock.step(pendingFor)
	must[*api.Transfer](b)(send(1, nil))
	list := b.api.BalanceTransactions.List(&api.BalanceTransactionListParams{ListParams: api.ListParams{Limit: api.Int64(1)}})
	n, sum := 0, int64(0)
	for list.Next() {
		n, sum = n+1, sum+list.BalanceTransaction().Net
	}
	if list.Err() != nil || n != 4 || sum != b.net() {
		t.Errorf("%d lines over pages of one, net %d: %v", n, sum, list.Err())
	}
}

// Who is paid is seen by Stripe first, on a page that is good once; what they have
// been paid out cannot be taken back.
func TestWhoIsPaidIsSeenByStripeFirst(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.paid(Visa, 10_000)
	account := must[*api.Account](b)(b.api.Accounts.New(&api.AccountParams{
		Type: api.String("express"), Country: api.String("GB"),
		Capabilities: &api.AccountCapabilitiesParams{Transfers: &api.AccountCapabilitiesTransfersParams{Requested: api.Bool(true)}},
	}))
	send := func() (*api.Transfer, error) {
		return b.api.Transfers.New(&api.TransferParams{
			Amount: api.Int64(1_000), Currency: api.String("gbp"), Destination: api.String(account.ID), SourceTransaction: api.String(p.LatestCharge.ID),
		})
	}
	_, err := send()
	if code := refusal(t, err).Code; code != "insufficient_capabilities_for_transfer" || account.PayoutsEnabled {
		t.Errorf("paid before Stripe has seen them: %s", code)
	}
	link := must[*api.AccountLink](b)(b.api.AccountLinks.New(&api.AccountLinkParams{
		Account: api.String(account.ID), Type: api.String("account_onboarding"), ReturnURL: api.String("https://hub.example/done"), RefreshURL: api.String("https://hub.example/again"),
	}))
	browser := Browser{}
	if err := browser.Onboard(t.Context(), link.URL); err != nil {
		t.Fatal(err)
	}
	if browser.Onboard(t.Context(), link.URL) == nil {
		t.Error("the page is there twice")
	}
	account = must[*api.Account](b)(b.api.Accounts.GetByID(account.ID, nil))
	if !account.PayoutsEnabled || account.Capabilities.Transfers != api.AccountCapabilityStatusActive {
		t.Errorf("%+v", account)
	}
	sent := must[*api.Transfer](b)(send())
	must[*api.TransferReversal](b)(b.api.TransferReversals.New(&api.TransferReversalParams{ID: api.String(sent.ID), Amount: api.Int64(400)}))
	if _, err := b.api.Accounts.Del(account.ID, nil); err == nil {
		t.Error("an account with money was deleted")
	}
	b.s.PayOut(account.ID)
	_, err = b.api.TransferReversals.New(&api.TransferReversalParams{ID: api.String(sent.ID)})
	if code := refusal(t, err).Code; code != api.ErrorCodeBalanceInsufficient {
		t.Errorf("what is paid out was taken back: %s", code)
	}
	b.s.Clear(account.ID, false)
	if _, err := send(); err == nil {
		t.Error("paid after Stripe has closed it")
	}
}
