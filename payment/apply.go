package payment

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v76"

	"armora/fleet"
	"armora/schema"
	"armora/tariff"
)

// stateOf is what a payment intent is to us.
func stateOf(intent *stripe.PaymentIntent) fleet.PaymentState {
	switch intent.Status {
	case stripe.PaymentIntentStatusRequiresAction:
		return fleet.PaymentNeedsAction
	case stripe.PaymentIntentStatusProcessing:
		return fleet.PaymentProcessing
	case stripe.PaymentIntentStatusRequiresCapture:
		return fleet.PaymentHeld
	case stripe.PaymentIntentStatusSucceeded:
		return fleet.PaymentCaptured
	case stripe.PaymentIntentStatusCanceled:
		if intent.CancellationReason == stripe.PaymentIntentCancellationReasonAutomatic {
			return fleet.PaymentExpired
		}
		return fleet.PaymentCancelled
	}
	if e := intent.LastPaymentError; e != nil && e.Code == stripe.ErrorCodeAuthenticationRequired {
		return fleet.PaymentNeedsAction // Stripe takes it back to needing a card: it is the same one, with its holder there
	}
	return fleet.PaymentNeedsMethod
}

// apply brings a payment to what Stripe says of its intent. What does not follow
// from where the payment is was said before: it changes nothing.
func (c *Cashier) apply(tx *schema.BookingTx, p *fleet.Payment, intent *stripe.PaymentIntent) error {
	if intent.Metadata["payment"] != p.ID.String() || p.Stripe != "" && p.Stripe != intent.ID {
		c.log.Warn("an intent of Stripe's is not that of the payment", "payment", p.ID, "intent", intent.ID)
		return nil
	}
	if intent.Amount != p.Amount.Amount || !strings.EqualFold(string(intent.Currency), string(p.Amount.Currency)) {
		return fmt.Errorf("payment %s: Stripe has %d %s in place of %s", p.ID, intent.Amount, intent.Currency, p.Amount)
	}
	before := *p
	state := stateOf(intent)
	switch {
	case state == p.State:
	case !p.State.May(state):
		return nil
	case state == fleet.PaymentCancelled && !c.cancelling(tx, p):
		state = fleet.PaymentExpired // not by us
	}
	p.Stripe, p.State = intent.ID, state
	describe(p, intent)
	if *p == before {
		return nil
	}
	if err := tx.SetPayment(p); err != nil {
		return err
	}
	if err := c.moved(tx, p, before.State, intent); err != nil {
		return err
	}
	return postCapture(tx, p)
}

// cancelling reports whether we have asked Stripe to cancel a payment.
func (c *Cashier) cancelling(tx *schema.BookingTx, p *fleet.Payment) bool {
	calls, err := tx.Calls()
	return err == nil && slices.ContainsFunc(calls, func(k fleet.PaymentCall) bool { return k.Payment == p.ID && k.Step == fleet.CallCancel })
}

// describe copies what Stripe knows of a payment.
func describe(p *fleet.Payment, intent *stripe.PaymentIntent) {
	switch e := intent.LastPaymentError; {
	case intent.Status == stripe.PaymentIntentStatusRequiresPaymentMethod && e != nil:
		p.Code, p.Decline = string(e.Code), string(e.DeclineCode)
		if e.PaymentMethod != nil {
			p.Method = e.PaymentMethod.ID
		}
	case intent.Status != stripe.PaymentIntentStatusRequiresPaymentMethod && intent.Status != stripe.PaymentIntentStatusCanceled:
		p.Code, p.Decline = "", ""
	}
	if intent.PaymentMethod != nil && intent.PaymentMethod.ID != "" {
		p.Method = intent.PaymentMethod.ID
	}
	if p.State == fleet.PaymentCaptured {
		p.Captured = intent.AmountReceived
	}
	charge := intent.LatestCharge
	if charge == nil || charge.ID == "" || p.State != fleet.PaymentHeld && p.State != fleet.PaymentCaptured {
		return
	}
	p.Charge = charge.ID
	if d := charge.PaymentMethodDetails; d != nil && d.Card != nil && d.Card.CaptureBefore != 0 {
		p.CaptureBefore = time.Unix(d.Card.CaptureBefore, 0).UTC()
	}
	if b := charge.BalanceTransaction; b != nil && b.ID != "" && b.Type != "" && p.State == fleet.PaymentCaptured { // else it is not expanded, or not there yet
		p.Fee, p.FeeKnown = b.Fee, true
	}
}

// moved does what follows when a payment has come to another state.
func (c *Cashier) moved(tx *schema.BookingTx, p *fleet.Payment, from fleet.PaymentState, intent *stripe.PaymentIntent) error {
	if p.State == from {
		return nil
	}
	if p.State == fleet.PaymentHeld && intent.PaymentMethod != nil {
		money, ok, err := tx.Money()
		if err != nil || !ok {
			return err
		}
		money.Method = intent.PaymentMethod.ID
		return tx.SetMoney(&money)
	}
	if p.State == fleet.PaymentCaptured && p.Purpose == fleet.ForDebt {
		return tx.EndDebt(p.Debt, fleet.DebtPaid, p.ID)
	}
	return nil
}

// postCapture posts what a payment has brought, and what Stripe keeps of it, each
// once.
func postCapture(tx *schema.BookingTx, p *fleet.Payment) error {
	if p.State != fleet.PaymentCaptured {
		return nil
	}
	brought := fleet.Money{Amount: p.Captured, Currency: p.Amount.Currency}
	postings := []fleet.Posting{fleet.Post("capture/"+p.ID.String(), tx.Now, brought, fleet.PrincipalAccount(p.User), fleet.AccountStripe)}
	if p.FeeKnown {
		fee := fleet.Money{Amount: p.Fee, Currency: p.Amount.Currency}
		postings = append(postings, fleet.Post("fee/"+p.ID.String(), tx.Now, fee, fleet.AccountStripe, fleet.AccountFees))
	}
	for i := range postings {
		postings[i].Payment = p.ID
	}
	return tx.Post(postings...)
}

// fund lets a booking be dispatched, whose amount is held.
func (c *Cashier) fund(tx *schema.BookingTx, m *matter) error {
	tx.Funded = tx.Now
	m.money.Reminded, m.money.Session = 0, false
	if err := tx.SetMoney(&m.money); err != nil {
		return err
	}
	if err := tx.Note(schema.Event{Kind: "funded"}); err != nil {
		return err
	}
	return tx.Enqueue(c.cfg.DB, fleet.BookingFunded{Booking: tx.ID}, time.Time{})
}

// charge posts what has become due for a booking, or less so: the sale and its VAT.
func (c *Cashier) charge(tx *schema.BookingTx, more int64) error {
	_, n, err := tx.Posted(fleet.PrincipalAccount(tx.User), "due")
	if err != nil {
		return err
	}
	entries, err := sale(tx, more)
	if err != nil {
		return err
	}
	return tx.Post(fleet.Posting{Key: fmt.Sprintf("due/%s/%d", tx.ID, n+1), At: tx.Now, Entries: entries})
}

// sale is what more, or less, is due from a principal, and what it is: revenue and VAT.
// The VAT is that of all that is sold then, so that it is rounded once, in however many
// parts it is charged and given back.
func sale(tx *schema.BookingTx, more int64) ([]fleet.Entry, error) {
	sold, before, err := tx.Sold()
	if err != nil {
		return nil, err
	}
	var vat int64
	var table tariff.Table
	if json.Unmarshal(tx.Tariff, &table) == nil {
		vat = table.VATIn(fleet.Money{Amount: sold + more, Currency: tx.Total.Currency}).Amount - before
	}
	entry := func(account fleet.Account, amount int64) fleet.Entry {
		return fleet.Entry{Account: account, Amount: fleet.Money{Amount: amount, Currency: tx.Total.Currency}}
	}
	return []fleet.Entry{
		entry(fleet.PrincipalAccount(tx.User), more), entry(fleet.AccountRevenue, vat-more), entry(fleet.AccountVAT, -vat),
	}, nil
}

// owe makes what is missing a debt, or writes it off.
func (c *Cashier) owe(tx *schema.BookingTx, s *step) error {
	d := fleet.Debt{State: s.state, Amount: fleet.Money{Amount: s.amount, Currency: tx.Total.Currency}, Reason: s.reason}
	if err := tx.AddDebt(&d); err != nil {
		return err
	}
	if d.State == fleet.DebtWrittenOff {
		return tx.Post(fleet.Post("written_off/"+d.ID.String(), tx.Now, d.Amount, fleet.PrincipalAccount(tx.User), fleet.AccountWrittenOff))
	}
	return tx.Notify(c.tell(&tx.Booking, "payment_failed", d.ID.String(), d.Amount, time.Time{}))
}

// paymentIn returns a payment of a booking that is locked.
func paymentIn(tx *schema.BookingTx, id fleet.PaymentID) (*fleet.Payment, error) {
	payments, err := tx.Payments()
	if err != nil {
		return nil, err
	}
	for i := range payments {
		if payments[i].ID == id {
			return &payments[i], nil
		}
	}
	return nil, &fleet.Error{Code: fleet.CodeNotFound, Message: "no such payment"}
}

// refresh asks Stripe what has become of what the principal, their bank or time may
// have moved: webhooks may be lost.
func (c *Cashier) refresh(ctx context.Context, id fleet.BookingID) error {
	payments, err := c.payments.OfBooking(ctx, id)
	if err != nil {
		return err
	}
	now := c.cfg.Clock.Now()
	for i := range payments {
		p := &payments[i]
		if !mayHaveMoved(p, now) {
			continue
		}
		intent, err := c.intent(ctx, p.Stripe)
		if err != nil {
			return err
		}
		if err := c.see(ctx, p, intent); err != nil {
			return err
		}
	}
	refunds, err := c.payments.Refunds(ctx, id)
	for i := 0; i < len(refunds) && err == nil; i++ {
		if refunds[i].State == fleet.RefundPending {
			_, err = c.seeRefund(ctx, refunds[i].Stripe)
		}
	}
	return err
}

func mayHaveMoved(p *fleet.Payment, now time.Time) bool {
	switch {
	case p.Stripe == "":
		return false
	case p.State == fleet.PaymentHeld:
		return p.CaptureBefore.IsZero() || !now.Before(p.CaptureBefore.Add(-CaptureAhead))
	case p.State == fleet.PaymentCaptured:
		return !p.FeeKnown && now.Before(p.Changed.Add(feePatience))
	}
	return !p.State.Ended()
}

// see applies an intent that was read to its payment.
func (c *Cashier) see(ctx context.Context, p *fleet.Payment, intent *stripe.PaymentIntent) error {
	_, err := c.bookings.Change(ctx, p.Booking, c.cfg.Clock.Now(), func(tx *schema.BookingTx) error {
		now, err := paymentIn(tx, p.ID)
		if err != nil {
			return err
		}
		return c.apply(tx, now, intent)
	})
	if err == nil {
		c.keepCard(ctx, p.User, intent)
	}
	return err
}

// SeeIntent reads a payment intent anew, of which a webhook has told, applies it and
// does what follows. One that is not ours is nothing.
func (c *Cashier) SeeIntent(ctx context.Context, id string) error {
	intent, err := c.intent(ctx, id)
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	payment, err := fleet.ParseID[fleet.Payment](intent.Metadata["payment"])
	if err != nil {
		return nil //nolint:nilerr // made by hand, or by another hub
	}
	p, err := c.payments.Get(ctx, payment)
	if err != nil {
		return ifNotOurs(err)
	}
	if err := c.see(ctx, &p, intent); err != nil {
		return err
	}
	return c.Settle(ctx, p.Booking)
}

// SeeCharge is SeeIntent of the intent of a charge.
func (c *Cashier) SeeCharge(ctx context.Context, charge string) error {
	p, err := c.payments.ByCharge(ctx, charge)
	if err != nil {
		return ifNotOurs(err)
	}
	return c.SeeIntent(ctx, p.Stripe)
}

func ifNotOurs(err error) error {
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return nil
	}
	return err
}
