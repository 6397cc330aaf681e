package payment

import (
	"context"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v76"

	"armora/fleet"
	"armora/schema"
)

// SeeDispute reads a dispute of Stripe's anew: what the bank takes of a charge, and
// gives back when it is won. The booking and its protection go on; ops are told.
func (c *Cashier) SeeDispute(ctx context.Context, id string) error {
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.DisputeParams{}
	params.Context = asking
	from, err := c.stripe.Disputes.Get(id, params)
	a := reduce(err)
	if err := a.failure(); err != nil {
		return ifNotOurs(err)
	}
	d := fleet.Dispute{
		ID: fleet.NewID[fleet.Dispute](), Stripe: from.ID, State: fleet.DisputeState(from.Status), Reason: string(from.Reason),
		Amount: fleet.Money{Amount: from.Amount, Currency: currencyOf(from.Currency)}, Opened: time.Unix(from.Created, 0).UTC(),
	}
	now := c.cfg.Clock.Now()
	if d.State.Ended() {
		d.Closed = now
	}
	if from.EvidenceDetails != nil && from.EvidenceDetails.DueBy > 0 {
		d.Due = time.Unix(from.EvidenceDetails.DueBy, 0).UTC()
	}
	if from.Charge != nil {
		d.Charge = from.Charge.ID
	}
	if from.PaymentIntent != nil {
		p, err := c.disputed(ctx, from.PaymentIntent.ID)
		if err != nil {
			return err
		}
		d.Payment, d.Booking, d.User = p.ID, p.Booking, p.User
	}
	for _, line := range from.BalanceTransactions {
		d.Postings = append(d.Postings, disputePosting(lineOf(line)))
	}
	return schema.Disputes{DB: c.cfg.DB}.See(ctx, d, now)
}

// disputed is the payment of an intent, which the hub may not have heard of yet; the
// zero payment when it is not of a booking.
func (c *Cashier) disputed(ctx context.Context, intent string) (fleet.Payment, error) {
	p, err := c.payments.ByStripe(ctx, intent)
	if fleet.CodeOf(err) != fleet.CodeNotFound {
		return p, err
	}
	if err := c.SeeIntent(ctx, intent); err != nil {
		return p, err
	}
	p, err = c.payments.ByStripe(ctx, intent)
	return p, ifNotOurs(err)
}

// disputePosting is what a line of Stripe's book about a dispute posts: what was
// taken, or came back, and the fee for it.
func disputePosting(l fleet.StripeTransaction) fleet.Posting {
	in := func(n int64) fleet.Money { return fleet.Money{Amount: n, Currency: l.Amount.Currency} }
	return fleet.Posting{Key: disputeKey(l.ID), At: l.Created, Entries: []fleet.Entry{
		{Account: fleet.AccountStripe, Amount: in(l.Net())},
		{Account: fleet.AccountDisputes, Amount: in(-l.Amount.Amount)},
		{Account: fleet.AccountFees, Amount: in(l.Fee)},
	}}
}

func disputeKey(line string) string { return "dispute/" + line }

func currencyOf(c stripe.Currency) fleet.Currency { return fleet.Currency(strings.ToUpper(string(c))) }
