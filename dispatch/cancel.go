package dispatch

import (
	"context"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/tariff"
)

// Cancellation is why a booking was cancelled and what it costs, as its event
// says it.
type Cancellation struct {
	Reason string     `json:"reason,omitempty"`
	Fee    tariff.Fee `json:"fee"`
}

// Cancel ends a booking before the principal is protected: by the principal at the
// fee of the booking's tariff, by ops free, with a reason. wanted is the version
// that was read, 0 for any.
func (d *Desk) Cancel(ctx context.Context, who Reader, id fleet.BookingID, wanted int64, reason string) (View, error) {
	_, as, err := d.find(ctx, who, id)
	if err != nil {
		return View{}, err
	}
	var b fleet.Booking
	switch as {
	case AsPrincipal:
		b, err = d.changeOf(ctx, who.User, id, wanted, func(c *schema.BookingTx) error {
			return cancelBooking(c, fleet.Actor{Kind: fleet.ByPrincipal, User: who.User}, c.Now, reason)
		})
	case AsOps:
		if reason == "" {
			return View{}, &fleet.Error{Code: fleet.CodeInvalid, Message: "ops give a reason", Flaws: []fleet.Flaw{{Location: "reason", Message: "ops give one"}}}
		}
		b, err = d.changeFor(ctx, who.User, id, wanted, func(c *schema.BookingTx) error {
			return cancelBooking(c, fleet.Actor{Kind: fleet.ByOps, User: who.User}, c.Now, reason)
		})
	default: // an officer who cannot come gives the seat back
		err = &fleet.Error{Code: fleet.CodeForbidden, Message: "an assignment is cancelled by its principal or by ops"}
	}
	if err != nil {
		return View{}, err
	}
	return d.view(ctx, &b, as, who.User)
}

// cancelBooking ends a booking; its fee is that of a moment by the hub's clock.
func cancelBooking(c *schema.BookingTx, by fleet.Actor, at time.Time, reason string) error {
	fee, err := feeOf(c, by.Kind, at)
	if err != nil {
		return err
	}
	c.EndedBy, c.EndReason, c.Fee = by.Kind, reason, fee.Amount
	return c.Move(fleet.Cancelled, schema.Event{Kind: "cancelled", By: by, Data: Cancellation{Reason: reason, Fee: fee}})
}

// feeOf is what it costs to cancel a booking as it is, at a moment.
func feeOf(c *schema.BookingTx, by fleet.ActorKind, at time.Time) (tariff.Fee, error) {
	table, err := tariffOf(&c.Booking)
	if err != nil {
		return tariff.Fee{}, err
	}
	acceptedAt, err := c.Accepted()
	if err != nil {
		return tariff.Fee{}, err
	}
	waits, err := c.WaitsForApproval()
	if err != nil {
		return tariff.Fee{}, err
	}
	before, err := c.FeeBefore()
	return table.CancellationFee(c.Total, tariff.Cancelled{
		By: by, At: at, Start: c.Start, Now: c.Order.Now(), Funded: !c.Funded.IsZero(), Waits: waits, Accepted: acceptedAt, Before: before,
	}), err
}

// Waive lets a principal off the fee of a booking that was cancelled, or to which
// they did not come.
func (d *Desk) Waive(ctx context.Context, staff fleet.UserID, id fleet.BookingID, wanted int64, reason string) (View, error) {
	b, err := d.changeFor(ctx, staff, id, wanted, func(c *schema.BookingTx) error {
		if c.Status != fleet.Cancelled && c.Status != fleet.NoShow || c.Fee.Amount == 0 {
			return &fleet.Error{Code: fleet.CodeConflict, Message: "there is no fee to waive"}
		}
		table, err := tariffOf(&c.Booking)
		if err != nil {
			return err
		}
		fee := table.CancellationFee(c.Total, tariff.Cancelled{Waived: true})
		c.Fee = fee.Amount
		return c.Note(schema.Event{Kind: fleet.EventFeeWaived, By: fleet.Actor{Kind: fleet.ByOps, User: staff}, Data: Cancellation{Reason: reason, Fee: fee}})
	})
	if err != nil {
		return View{}, err
	}
	return d.view(ctx, &b, AsOps, staff)
}

// Rate keeps what the principal thought of an assignment that is completed, once.
func (d *Desk) Rate(ctx context.Context, user fleet.UserID, id fleet.BookingID, r fleet.Rating) (View, error) {
	b, err := d.changeOf(ctx, user, id, 0, func(c *schema.BookingTx) error {
		if c.Status != fleet.Completed {
			return &fleet.Error{Code: fleet.CodeConflict, Message: "an assignment is rated once it is completed"}
		}
		if err := c.Rate(r); err != nil {
			return err
		}
		return c.Note(schema.Event{Kind: "rated", By: fleet.Actor{Kind: fleet.ByPrincipal, User: user}})
	})
	if err != nil {
		return View{}, err
	}
	return d.view(ctx, &b, AsPrincipal, user)
}

// Publish lets other principals read what the principal has said of an assignment,
// without their name and once staff have read it, or no longer.
func (d *Desk) Publish(ctx context.Context, user fleet.UserID, id fleet.BookingID, publish bool) (View, error) {
	b, err := d.changeOf(ctx, user, id, 0, func(c *schema.BookingTx) error {
		if err := c.Publish(publish); err != nil {
			return err
		}
		kind := "review_withdrawn"
		if publish {
			kind = "review_permitted"
		}
		return c.Note(schema.Event{Kind: kind, By: fleet.Actor{Kind: fleet.ByPrincipal, User: user}})
	})
	if err != nil {
		return View{}, err
	}
	return d.view(ctx, &b, AsPrincipal, user)
}
