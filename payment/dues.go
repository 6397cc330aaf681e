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
	table, err := b.tariffOf(ctx, time.Unix(line.Created, 0).UTC())
	if err != nil {
		return err
	}
	return b.papers.dues(ctx, &membership, &table, charge)
}

// dues issues the invoice of what a member has paid, as it is posted: for the same
// cause, and of that day.
func (i *Invoices) dues(ctx context.Context, of *fleet.Membership, table *tariff.Table, charge *stripe.Charge) error {
	to, err := i.personal(ctx, of.User)
	if err != nil {
		return err
	}
	now, paid := i.clock.Now(), fleet.Money{Amount: charge.Amount, Currency: currencyOf(charge.Currency)}
	d := paper.Paper{
		Kind: fleet.PlainInvoice, Issued: paper.Date(now), Supplied: paper.Date(time.Unix(charge.BalanceTransaction.Created, 0)), Seller: i.seller, Buyer: to,
		Lines: []paper.Item{{Text: "Membership", Amount: paid}}, Total: paid, Paid: "Paid by card.", PaidAmount: paid,
	}
	d.SetVAT(table.VATIn(paid), table.VAT)
	cause := duesKey(charge.ID)
	return i.issue(ctx, cause, fleet.Invoice{ID: fleet.NewID[fleet.Invoice](), Kind: d.Kind, User: of.User, Issued: now}, d, duesPosted(cause, charge.BalanceTransaction))
}

// creditDues takes what was refunded at Stripe of a member's charge off its invoice, by a
// credit note, and puts it back by a debit note where the refund has failed since: each
// once, with the posting of its line of Stripe's book. A refund of anything else is left
// alone.
func (b *Books) creditDues(ctx context.Context, refund string) error {
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.RefundParams{}
	params.Context = asking
	for _, path := range []string{"charge.balance_transaction", "balance_transaction", "failure_balance_transaction"} {
		params.AddExpand(path)
	}
	from, err := b.stripe.Refunds.Get(refund, params)
	a := reduce(err)
	if err := a.failure(); err != nil || from.Charge == nil || from.Charge.Invoice == nil {
		return ifNotOurs(err)
	}
	if err := b.bookDues(ctx, from.Charge); err != nil { // whose line may be seen to after this one
		return err
	}
	return b.papers.creditDues(ctx, from)
}

func (i *Invoices) creditDues(ctx context.Context, from *stripe.Refund) error {
	papers, err := i.store.OfCause(ctx, duesKey(from.Charge.ID))
	if err != nil || len(papers) == 0 || from.BalanceTransaction == nil { // none: it is no membership of ours
		return err
	}
	of, credited, failed := &papers[0].Invoice, duesKey("refund/"+from.ID), duesKey("refund_failure/"+from.ID)
	err = i.credit(ctx, of, papers, credit{
		cause: credited, reason: "The payment was refunded.", amount: from.Amount, posted: duesPosted(credited, from.BalanceTransaction),
	})
	if err != nil || from.FailureBalanceTransaction == nil {
		return err
	}
	if papers, err = i.store.OfCause(ctx, duesKey(from.Charge.ID)); err != nil {
		return err
	}
	return i.debit(ctx, of, papers, credited, failed, duesPosted(failed, from.FailureBalanceTransaction))
}

// duesPosted is the posting of a line of Stripe's book about what members pay, below zero
// where it goes back, with the VAT of its paper.
func duesPosted(key string, line *stripe.BalanceTransaction) func(fleet.Invoice) []fleet.Posting {
	return func(i fleet.Invoice) []fleet.Posting {
		vat := i.VAT.Amount * line.Amount / i.Total.Amount // exact, but where Stripe exchanges
		entry := func(account fleet.Account, amount int64) fleet.Entry {
			return fleet.Entry{Account: account, Amount: fleet.Money{Amount: amount, Currency: currencyOf(line.Currency)}}
		}
		return []fleet.Posting{{Key: key, At: time.Unix(line.Created, 0).UTC(), Entries: []fleet.Entry{
			entry(fleet.AccountStripe, line.Amount-line.Fee), entry(fleet.AccountFees, line.Fee),
			entry(fleet.AccountRevenue, vat-line.Amount), entry(fleet.AccountVAT, -vat),
		}}}
	}
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
