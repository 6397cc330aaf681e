package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Disputes are the charges that principals contest.
type Disputes struct{ DB *DB }

const disputeColumns = `id, stripe_id, charge_id, payment_id, booking_id, user_id, state, reason, amount, currency, due, opened, closed`

func scanDispute(row pgx.CollectableRow) (d fleet.Dispute, err error) {
	var due, closed *time.Time
	err = row.Scan(&d.ID, &d.Stripe, &d.Charge, &d.Payment, &d.Booking, &d.User, &d.State, &d.Reason, &d.Amount.Amount, &d.Amount.Currency, &due, &d.Opened, &closed)
	d.Due, d.Opened, d.Closed = orZero(due), d.Opened.UTC(), orZero(closed)
	return d, err
}

// See stores what Stripe says of a dispute, with the postings of the money that it
// has moved, and tells ops of one that is new or has ended. What was said before
// changes nothing: an end stays, and a posting is posted once.
func (t Disputes) See(ctx context.Context, d fleet.Dispute, now time.Time) error {
	return t.DB.transact(ctx, "dispute", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			INSERT INTO disputes (`+disputeColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
			ON CONFLICT (stripe_id) DO UPDATE SET state = EXCLUDED.state, due = EXCLUDED.due, closed = EXCLUDED.closed
			WHERE disputes.closed IS NULL AND disputes.state <> EXCLUDED.state`,
			d.ID, d.Stripe, d.Charge, d.Payment, d.Booking, d.User, d.State, text(d.Reason), d.Amount.Amount, d.Amount.Currency, null(d.Due), d.Opened, null(d.Closed))
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 1 && d.State != fleet.DisputeUnderReview && d.State != fleet.DisputeAskedReview {
			alert := fleet.Alert{ID: fleet.NewID[fleet.Alert](), Kind: fleet.AlertDispute, Booking: d.Booking, Raised: now}
			if err := raise(ctx, tx, alert); err != nil {
				return err
			}
		}
		if tag.RowsAffected() == 1 && d.State == fleet.DisputeLost && !d.Booking.IsZero() { // its officers may be paid by that money
			if err := t.DB.enqueue(ctx, tx, fleet.EarnBooking{Booking: d.Booking}, time.Time{}); err != nil {
				return err
			}
		}
		for i := range d.Postings {
			d.Postings[i].Booking, d.Postings[i].Payment = d.Booking, d.Payment
		}
		return post(ctx, tx, d.Postings...)
	})
}

// OfBooking returns the disputes about a booking in the order in which they came.
func (t Disputes) OfBooking(ctx context.Context, booking fleet.BookingID) ([]fleet.Dispute, error) {
	return all(ctx, t.DB, "dispute", scanDispute, `SELECT `+disputeColumns+` FROM disputes WHERE booking_id = $1 ORDER BY opened, id`, booking)
}
