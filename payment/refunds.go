package payment

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/stripe/stripe-go/v76"

	"armora/fleet"
	"armora/schema"
)

// refundLimits is how much one person may refund of a booking, all their refunds of
// it together, without a second person; pence.
var refundLimits = map[fleet.Role]int64{
	fleet.RoleDispatcher: 50_00, fleet.RoleFinance: 500_00, fleet.RoleAdmin: 500_00,
}

// Staff is who does something about money for the platform.
type Staff struct {
	User  fleet.UserID // zero: the bootstrap admin
	Roles []fleet.Role
}

func (s *Staff) limit() (most int64) {
	for _, r := range s.Roles {
		most = max(most, refundLimits[r])
	}
	return most
}

// Refund gives back what a payment has brought, or a part of it: amount 0 is all
// that is left. More than the limit of who asks waits for a second person, if there
// is one. More than is left is CodeInvalid.
func (c *Cashier) Refund(ctx context.Context, by Staff, id fleet.PaymentID, amount int64, reason string) (r fleet.Refund, err error) {
	p, err := c.payments.VisibleTo(ctx, by.User, id)
	if err != nil {
		return r, err
	}
	second, err := schema.Approvals{DB: c.cfg.DB}.Needed(ctx, by.User, fleet.ApproveRefund.Deciders())
	if err != nil {
		return r, err
	}
	_, err = c.bookings.Change(ctx, p.Booking, c.cfg.Clock.Now(), func(tx *schema.BookingTx) error {
		m, ok, err := c.read(tx)
		switch {
		case err != nil:
			return err
		case !ok:
			return &fleet.Error{Code: fleet.CodeConflict, Message: "this assignment is invoiced: there is nothing to refund"}
		}
		p := m.payment(id)
		if r, err = newRefund(p, by.User, amount, reason); err != nil {
			return err
		}
		if over := -m.missing(); tx.Status.Ended() && over > 0 { // it has bounced, and was never sold
			if r.Excess = true; r.Amount.Amount > over {
				return &fleet.Error{Code: fleet.CodeInvalid, Message: fleet.Money{Amount: over, Currency: r.Amount.Currency}.String() +
					" was taken beyond what is due, and has not come back: refund that first"}
			}
		}
		before, err := refundedBy(tx, by.User)
		if err != nil {
			return err
		}
		if second && before+r.Amount.Amount > by.limit() {
			if err := c.askForRefund(tx, &r); err != nil {
				return err
			}
		}
		p.Refunded += r.Amount.Amount
		if err := tx.SetPayment(p); err != nil {
			return err
		}
		if err := tx.AddRefund(&r); err != nil {
			return err
		}
		return tx.LookAtMoney()
	})
	if err != nil || r.State == fleet.RefundWaiting {
		return r, err
	}
	if err := c.Settle(ctx, p.Booking); err != nil && fleet.CodeOf(err) != fleet.CodeUnavailable {
		return r, err // else it is saved, and goes on by itself
	}
	return c.payments.Refund(ctx, r.ID)
}

func newRefund(p *fleet.Payment, by fleet.UserID, amount int64, reason string) (fleet.Refund, error) {
	switch left := p.Net(); {
	case p.State != fleet.PaymentCaptured:
		return fleet.Refund{}, &fleet.Error{Code: fleet.CodeConflict, Message: "nothing was taken by this payment: there is nothing to refund"}
	case left == 0:
		return fleet.Refund{}, &fleet.Error{Code: fleet.CodeConflict, Message: "all of this payment is refunded already"}
	case amount == 0:
		amount = left
	case amount < 0 || amount > left:
		return fleet.Refund{}, &fleet.Error{Code: fleet.CodeInvalid, Message: "of this payment " + fleet.Money{Amount: left, Currency: p.Amount.Currency}.String() + " can be refunded"}
	}
	return fleet.Refund{Payment: p.ID, State: fleet.RefundNew, By: by, Reason: reason, Amount: fleet.Money{Amount: amount, Currency: p.Amount.Currency}}, nil
}

// refundedBy is what a person has refunded of a booking already.
func refundedBy(tx *schema.BookingTx, by fleet.UserID) (sum int64, err error) {
	refunds, err := tx.Refunds()
	for _, r := range refunds {
		if !r.Excess && r.By == by && r.State.Counts() && r.State != fleet.RefundWaiting {
			sum += r.Amount.Amount
		}
	}
	return sum, err
}

// askForRefund has a refund wait for a second person.
func (c *Cashier) askForRefund(tx *schema.BookingTx, r *fleet.Refund) error {
	payload, err := json.Marshal(fleet.RefundAsked{Booking: tx.ID, Payment: r.Payment, Amount: r.Amount})
	if err != nil {
		return err
	}
	a := fleet.Approval{
		ID: fleet.NewID[fleet.Approval](), Kind: fleet.ApproveRefund, Subject: r.Payment.String(), Payload: payload, Reason: r.Reason,
		AskedBy: r.By, Asked: tx.Now, Expires: tx.Now.Add(RefundWait),
	}
	r.State, r.Approval = fleet.RefundWaiting, a.ID
	return tx.Ask(a, c.tellDeciders(&a))
}

// answerRefund applies what Stripe has answered to a refund.
func (c *Cashier) answerRefund(tx *schema.BookingTx, p *fleet.Payment, k *fleet.PaymentCall, a *answer) error {
	r, err := refundIn(tx, k.Refund)
	switch {
	case err != nil:
		return err
	case a.refund != nil:
		return c.applyRefund(tx, p, r, a.refund)
	case a.verdict == refused && a.code != codeNeverArrived:
		r.Code = a.code
		return c.refundFailed(tx, p, r)
	}
	return nil // it is asked anew
}

// applyRefund brings a refund to what Stripe says of it.
func (c *Cashier) applyRefund(tx *schema.BookingTx, p *fleet.Payment, r *fleet.Refund, from *stripe.Refund) error {
	if r.Stripe != "" && r.Stripe != from.ID {
		return nil
	}
	r.Stripe = from.ID
	to := fleet.RefundPending
	switch from.Status {
	case stripe.RefundStatusSucceeded:
		to = fleet.RefundSucceeded
	case stripe.RefundStatusFailed, stripe.RefundStatusCanceled:
		to = fleet.RefundFailed
	}
	if !r.State.May(to) {
		return nil
	}
	if r.State == fleet.RefundNew { // Stripe has taken it from what it holds for us
		if err := move(tx, r, "", -r.Amount.Amount); err != nil {
			return err
		}
	}
	if to == fleet.RefundFailed {
		r.Code = string(from.FailureReason)
		if err := move(tx, r, "_failed", r.Amount.Amount); err != nil {
			return err
		}
		return c.refundFailed(tx, p, r)
	}
	r.State = to
	return tx.SetRefund(r)
}

// refundFailed ends a refund that has failed, and tells ops: somebody waits for
// money that a card does not take.
func (c *Cashier) refundFailed(tx *schema.BookingTx, p *fleet.Payment, r *fleet.Refund) error {
	if err := setRefund(tx, p, r, fleet.RefundFailed); err != nil {
		return err
	}
	return tx.Alert(fleet.AlertPayment, fleet.DriverID{})
}

// setRefund brings a refund to a state in which it takes nothing from its payment.
func setRefund(tx *schema.BookingTx, p *fleet.Payment, r *fleet.Refund, to fleet.RefundState) error {
	r.State = to
	if err := tx.SetRefund(r); err != nil {
		return err
	}
	p.Refunded -= r.Amount.Amount
	return tx.SetPayment(p)
}

// move posts a refund, or that it has failed: the money, by how much more there is; and
// the sale that staff take back by it.
func move(tx *schema.BookingTx, r *fleet.Refund, suffix string, more int64) error {
	amount := fleet.Money{Amount: more, Currency: r.Amount.Currency}
	postings := []fleet.Posting{fleet.Post("refund"+suffix+"/"+r.ID.String(), tx.Now, amount, fleet.PrincipalAccount(tx.User), fleet.AccountStripe)}
	if !r.Excess {
		entries, err := sale(tx, more)
		if err != nil {
			return err
		}
		postings = append(postings, fleet.Posting{Key: "credit" + suffix + "/" + r.ID.String(), At: tx.Now, Entries: entries})
	}
	for i := range postings {
		postings[i].Payment = r.Payment
	}
	return tx.Post(postings...)
}

// refundIn returns a refund of a booking that is locked.
func refundIn(tx *schema.BookingTx, id fleet.RefundID) (*fleet.Refund, error) {
	refunds, err := tx.Refunds()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(refunds, func(r fleet.Refund) bool { return r.ID == id })
	if i < 0 {
		return nil, &fleet.Error{Code: fleet.CodeNotFound, Message: "no such refund"}
	}
	return &refunds[i], nil
}

// SeeRefund reads a refund of Stripe's anew, of which a webhook has told, and does what
// follows: it may fail days after it has succeeded, and what is due be given back still.
// One that is not ours is nothing.
func (c *Cashier) SeeRefund(ctx context.Context, id string) error {
	booking, err := c.seeRefund(ctx, id)
	if err != nil || booking.IsZero() {
		return err
	}
	return c.Settle(ctx, booking)
}

// seeRefund reads a refund anew, and says of which booking it is: zero, of none.
func (c *Cashier) seeRefund(ctx context.Context, id string) (booking fleet.BookingID, err error) {
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.RefundParams{}
	params.Context = asking
	from, err := c.stripe.Refunds.Get(id, params)
	a := reduce(err)
	if err := a.failure(); err != nil {
		return booking, ifNotOurs(err)
	}
	ours, err := fleet.ParseID[fleet.Refund](from.Metadata["refund"])
	if err != nil {
		return booking, nil //nolint:nilerr // made by hand, or a member's
	}
	r, err := c.payments.Refund(ctx, ours)
	if err != nil {
		return booking, ifNotOurs(err)
	}
	_, err = c.bookings.Change(ctx, r.Booking, c.cfg.Clock.Now(), func(tx *schema.BookingTx) error {
		p, err := paymentIn(tx, r.Payment)
		if err != nil {
			return err
		}
		now, err := refundIn(tx, r.ID)
		if err != nil {
			return err
		}
		return c.applyRefund(tx, p, now, from)
	})
	return r.Booking, err
}
