package payment

import (
	"context"
	"slices"

	"github.com/stripe/stripe-go/v76"

	"armora/fleet"
	"armora/schema"
)

// shares are what the officers of a booking that is locked are to have by transfer.
func shares(tx *schema.BookingTx) ([]share, error) {
	earned, err := tx.Earned()
	if err != nil {
		return nil, err
	}
	var all []share
	for _, e := range earned {
		if e.Payout != fleet.ByTransfer {
			continue
		}
		i := slices.IndexFunc(all, func(s share) bool { return s.seat == e.Seat })
		if i < 0 {
			i, all = len(all), append(all, share{seat: e.Seat, driver: e.Driver})
		}
		all[i].due += e.Amount.Amount
	}
	if len(all) == 0 {
		return nil, nil
	}
	accounts, err := tx.PayoutAccounts()
	for i := range all {
		all[i].account = accounts[all[i].driver].Stripe
	}
	return all, err
}

// passing is a transfer that is to be made, with what it reverses if it is a reversal.
type passing struct {
	fleet.Transfer
	of string // Stripe's id of the transfer that it reverses
}

func (m *matter) passing(id fleet.TransferID) *passing {
	t := m.transfer(id)
	if t == nil {
		return nil
	}
	p := &passing{Transfer: *t}
	if of := m.transfer(t.Reverses); of != nil {
		p.of = of.Stripe
	}
	return p
}

// askTransfer has Stripe pass money on, or take it back. The charge is where it comes
// from, so that it does not matter whether Stripe has it yet.
func (c *Cashier) askTransfer(ctx context.Context, t *todo) (id string, err error) {
	if t.call.Step == fleet.CallReverse {
		params := &stripe.TransferReversalParams{ID: stripe.String(t.passing.of), Amount: stripe.Int64(t.call.Amount)}
		params.Context, params.IdempotencyKey = ctx, stripe.String(t.call.Key)
		params.AddMetadata("transfer", t.passing.ID.String())
		made, err := c.stripe.TransferReversals.New(params)
		if err != nil {
			return "", err
		}
		return made.ID, nil
	}
	params := &stripe.TransferParams{
		Amount: stripe.Int64(t.call.Amount), Currency: stripe.String(lower(t.passing.Amount.Currency)), Destination: stripe.String(t.passing.Account),
		SourceTransaction: stripe.String(t.payment.Charge), TransferGroup: stripe.String(t.call.Booking.String()),
	}
	params.Context, params.IdempotencyKey = ctx, stripe.String(t.call.Key)
	params.AddMetadata("transfer", t.passing.ID.String())
	params.AddMetadata("booking", t.call.Booking.String())
	made, err := c.stripe.Transfers.New(params)
	if err != nil {
		return "", err
	}
	return made.ID, nil
}

// findTransfer looks among the transfers of a booking for one of ours, or among what
// was taken back of one; "" if it is not there.
func (c *Cashier) findTransfer(ctx context.Context, t *todo) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	ours := t.passing.ID.String()
	if t.call.Step == fleet.CallReverse {
		params := &stripe.TransferReversalListParams{ID: stripe.String(t.passing.of)}
		params.Context, params.Limit = ctx, stripe.Int64(100)
		found := c.stripe.TransferReversals.List(params)
		for found.Next() {
			if r := found.TransferReversal(); r.Metadata["transfer"] == ours {
				return r.ID, nil
			}
		}
		a := reduce(found.Err())
		return "", a.failure()
	}
	params := &stripe.TransferListParams{TransferGroup: stripe.String(t.call.Booking.String())}
	params.Context, params.Limit = ctx, stripe.Int64(100)
	found := c.stripe.Transfers.List(params)
	for found.Next() {
		if r := found.Transfer(); r.Metadata["transfer"] == ours {
			return r.ID, nil
		}
	}
	a := reduce(found.Err())
	return "", a.failure()
}

// answerTransfer applies what Stripe has answered to a transfer, or to a reversal.
func (c *Cashier) answerTransfer(tx *schema.BookingTx, k *fleet.PaymentCall, a *answer) error {
	t, err := transferIn(tx, k.Transfer)
	switch {
	case err != nil || t.State != fleet.TransferNew:
		return err // a webhook was first
	case a.sent != "":
		return made(tx, t, a.sent)
	case a.verdict != refused || a.code == codeNeverArrived:
		return nil // it is asked anew
	}
	t.State, t.Code = fleet.TransferFailed, a.code
	if err := tx.EndTransfer(t); err != nil || t.Reverses.IsZero() {
		return err
	}
	return tx.Alert(fleet.AlertPayment, fleet.DriverID{}) // the officer keeps what is not the house's any more
}

// made says that Stripe has made a transfer, or a reversal, and posts it once.
func made(tx *schema.BookingTx, t *fleet.Transfer, stripe string) error {
	t.State, t.Stripe = fleet.TransferMade, stripe
	if err := tx.EndTransfer(t); err != nil {
		return err
	}
	p := fleet.Post(transferKey(stripe), tx.Now, t.Amount, fleet.AccountStripe, fleet.AccountOfficers)
	if !t.Reverses.IsZero() {
		p = fleet.Post(transferBackKey(stripe), tx.Now, t.Amount, fleet.AccountOfficers, fleet.AccountStripe)
	}
	p.Payment = t.Payment
	return tx.Post(p)
}

// The keys of the postings of transfers are of Stripe's ids, as its own book knows
// them.
func transferKey(stripe string) string     { return "transfer/" + stripe }
func transferBackKey(stripe string) string { return "transfer_back/" + stripe }

func transferIn(tx *schema.BookingTx, id fleet.TransferID) (*fleet.Transfer, error) {
	all, err := tx.Transfers()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(t fleet.Transfer) bool { return t.ID == id })
	if i < 0 {
		return nil, &fleet.Error{Code: fleet.CodeNotFound, Message: "no such transfer"}
	}
	return &all[i], nil
}

// SeeTransfer reads a transfer anew, of which a webhook has told, with what was taken
// back of it. One that is not ours is nothing.
func (c *Cashier) SeeTransfer(ctx context.Context, id string) error {
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.TransferParams{}
	params.Context = asking
	from, err := c.stripe.Transfers.Get(id, params)
	a := reduce(err)
	if err := a.failure(); err != nil {
		return ifNotOurs(err)
	}
	known := map[string]string{from.Metadata["transfer"]: from.ID}
	if from.Reversals != nil {
		for _, r := range from.Reversals.Data {
			known[r.Metadata["transfer"]] = r.ID
		}
	}
	ours, err := fleet.ParseID[fleet.Transfer](from.Metadata["transfer"])
	if err != nil {
		return nil //nolint:nilerr // made by hand, or by another hub
	}
	t, err := schema.Transfers{DB: c.cfg.DB}.Get(ctx, ours)
	if err != nil {
		return ifNotOurs(err)
	}
	_, err = c.bookings.Change(ctx, t.Booking, c.cfg.Clock.Now(), func(tx *schema.BookingTx) error {
		all, err := tx.Transfers()
		for i := 0; i < len(all) && err == nil; i++ {
			if stripe := known[all[i].ID.String()]; stripe != "" && all[i].State == fleet.TransferNew {
				err = made(tx, &all[i], stripe)
			}
		}
		return err
	})
	return err
}
