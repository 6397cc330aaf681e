package payment

import (
	"context"
	"encoding/json"
	"time"

	"github.com/stripe/stripe-go/v76"

	"armora/fleet"
	"armora/schema"
	"armora/tariff"
)

// bookDues posts what a member has paid for a period, by a charge of Stripe Billing's
// of which no booking knows: what came in, Stripe's fee of it, revenue and VAT in one
// posting, so that it is what the line of Stripe's book says. A charge for anything
// but a membership of ours is left alone.
func (b *Books) bookDues(ctx context.Context, charge *stripe.Charge) error {
	line := charge.BalanceTransaction
	if charge.Invoice == nil || line == nil || line.ID == "" || line.Type == "" {
		return nil
	}
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.InvoiceParams{}
	params.Context = asking
	invoice, err := b.stripe.Invoices.Get(charge.Invoice.ID, params)
	a := reduce(err)
	if err := a.failure(); err != nil || invoice.Subscription == nil {
		return ifNotOurs(err)
	}
	if _, err := (schema.Memberships{DB: b.cfg.DB}).ByStripe(ctx, invoice.Subscription.ID); err != nil {
		return ifNotOurs(err)
	}
	at := time.Unix(line.Created, 0).UTC()
	paid := fleet.Money{Amount: line.Amount, Currency: currencyOf(line.Currency)}
	vat, err := b.vatOf(ctx, paid, at)
	if err != nil {
		return err
	}
	entry := func(account fleet.Account, amount int64) fleet.Entry {
		return fleet.Entry{Account: account, Amount: fleet.Money{Amount: amount, Currency: paid.Currency}}
	}
	return b.ledger.Post(ctx, fleet.Posting{Key: duesKey(charge.ID), At: at, Entries: []fleet.Entry{
		entry(fleet.AccountStripe, paid.Amount-line.Fee), entry(fleet.AccountFees, line.Fee),
		entry(fleet.AccountRevenue, vat-paid.Amount), entry(fleet.AccountVAT, -vat),
	}})
}

// duesKey is that of the posting of a charge; schema.StripeBook.Match knows it too.
func duesKey(charge string) string { return "membership/" + charge }

// vatOf is the VAT in an amount by the tariff that was in force at a time.
func (b *Books) vatOf(ctx context.Context, amount fleet.Money, at time.Time) (int64, error) {
	table := tariff.Default()
	body, err := schema.Tariffs{DB: b.cfg.DB}.Current(ctx, at)
	if err == nil && body != nil {
		err = json.Unmarshal(body, &table)
	}
	return table.VATIn(amount).Amount, err
}
