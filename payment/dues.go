package payment

import (
	"context"
	"encoding/json"
	"time"

	"github.com/stripe/stripe-go/v76"

	"armora/fleet"
	"armora/payment/paper"
	"armora/schema"
	"armora/tariff"
)

// bookDues invoices and posts what a member has paid for a period, by a charge of Stripe
// Billing's of which no booking knows: once, in one transaction. What came in, Stripe's
// fee of it, revenue and VAT are one posting, so that it is what the line of Stripe's
// book says. A charge for anything but a membership of ours is left alone.
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
	membership, err := schema.Memberships{DB: b.cfg.DB}.ByStripe(ctx, invoice.Subscription.ID)
	if err != nil {
		return ifNotOurs(err)
	}
	at := time.Unix(line.Created, 0).UTC()
	table, err := b.tariffOf(ctx, at)
	if err != nil {
		return err
	}
	paid := fleet.Money{Amount: line.Amount, Currency: currencyOf(line.Currency)}
	vat := table.VATIn(paid).Amount
	entry := func(account fleet.Account, amount int64) fleet.Entry {
		return fleet.Entry{Account: account, Amount: fleet.Money{Amount: amount, Currency: paid.Currency}}
	}
	return b.papers.dues(ctx, &membership, &table, fleet.Money{Amount: charge.Amount, Currency: currencyOf(charge.Currency)}, fleet.Posting{
		Key: duesKey(charge.ID), At: at, Entries: []fleet.Entry{
			entry(fleet.AccountStripe, paid.Amount-line.Fee), entry(fleet.AccountFees, line.Fee),
			entry(fleet.AccountRevenue, vat-paid.Amount), entry(fleet.AccountVAT, -vat),
		},
	})
}

// dues issues the invoice of what a member has paid, as it is posted: for the same
// cause, and of that day.
func (i *Invoices) dues(ctx context.Context, of *fleet.Membership, table *tariff.Table, paid fleet.Money, as fleet.Posting) error {
	to, err := i.personal(ctx, of.User)
	if err != nil {
		return err
	}
	now := i.clock.Now()
	d := paper.Paper{
		Kind: fleet.PlainInvoice, Issued: paper.Date(now), Supplied: paper.Date(as.At), Seller: i.seller, Buyer: to,
		Lines: []paper.Item{{Text: "Membership", Amount: paid}}, Total: paid, Paid: "Paid by card.", PaidAmount: paid,
	}
	d.SetVAT(table.VATIn(paid), table.VAT)
	return i.issue(ctx, as.Key, fleet.Invoice{ID: fleet.NewID[fleet.Invoice](), Kind: d.Kind, User: of.User, Issued: now}, d,
		func(fleet.Invoice) []fleet.Posting { return []fleet.Posting{as} })
}

// duesKey is that of the posting of a charge, and what its invoice is issued for;
// schema.StripeBook.Match and the table of invoices know it too.
func duesKey(charge string) string { return "membership/" + charge }

// tariffOf is the tariff that was in force at a time.
func (b *Books) tariffOf(ctx context.Context, at time.Time) (tariff.Table, error) {
	table := tariff.Default()
	body, err := schema.Tariffs{DB: b.cfg.DB}.Current(ctx, at)
	if err == nil && body != nil {
		err = json.Unmarshal(body, &table)
	}
	return table, err
}
