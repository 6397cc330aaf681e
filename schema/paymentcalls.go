package schema

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

const callColumns = `k.key, k.booking_id, k.payment_id, k.refund_id, k.transfer_id, k.step, k.attempt, k.amount, k.method, k.session, k.saved, k.answered,
	k.code, k.decline_code, k.request_id`

func scanCall(row pgx.CollectableRow) (k fleet.PaymentCall, err error) {
	var answered *time.Time
	err = row.Scan(&k.Key, &k.Booking, &k.Payment, &k.Refund, &k.Transfer, &k.Step, &k.Attempt, &k.Amount, &k.Method, &k.Session, &k.Saved, &answered,
		&k.Code, &k.Decline, &k.Request)
	k.Saved, k.Answered = k.Saved.UTC(), orZero(answered)
	return k, err
}

// Calls returns the booking's calls to Stripe in the order in which they were saved.
func (c *BookingTx) Calls() ([]fleet.PaymentCall, error) {
	return ofBooking(c, scanCall, `SELECT `+callColumns+` FROM payment_calls k WHERE k.booking_id = $1 ORDER BY k.saved, k.key`)
}

// SaveCall saves a call about a payment before it is made, and gives it its key:
// the attempt is one more than that of the last call that has asked for the same,
// all of which are answered.
func (c *BookingTx) SaveCall(p *fleet.Payment, k *fleet.PaymentCall) error {
	k.Booking, k.Payment, k.Saved = c.ID, p.ID, c.Now
	err := c.tx.QueryRow(c.ctx, `
		SELECT count(*) + 1 FROM payment_calls
		WHERE payment_id = $1 AND step = $2 AND refund_id IS NOT DISTINCT FROM $3 AND transfer_id IS NOT DISTINCT FROM $4`,
		k.Payment, k.Step, k.Refund, k.Transfer).Scan(&k.Attempt)
	if err != nil {
		return err
	}
	about := string(k.Step)
	switch {
	case !k.Refund.IsZero():
		about += "-" + k.Refund.String()
	case !k.Transfer.IsZero():
		about += "-" + k.Transfer.String()
	}
	k.Key = fmt.Sprintf("%s/%s/%d/%s/%d", c.ID, p.Purpose, p.Number, about, k.Attempt)
	_, err = c.tx.Exec(c.ctx, `
		INSERT INTO payment_calls (key, booking_id, payment_id, refund_id, transfer_id, step, attempt, amount, method, session, saved)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		k.Key, k.Booking, k.Payment, k.Refund, k.Transfer, k.Step, k.Attempt, k.Amount, text(k.Method), k.Session, k.Saved)
	return err
}

// AnswerCall keeps what became of a call, once.
func (c *BookingTx) AnswerCall(k *fleet.PaymentCall) error {
	k.Answered = c.Now
	_, err := c.tx.Exec(c.ctx, `
		UPDATE payment_calls SET answered = $3, code = $4, decline_code = $5, request_id = $6 WHERE key = $1 AND booking_id = $2 AND answered IS NULL`,
		k.Key, c.ID, k.Answered, text(k.Code), text(k.Decline), text(k.Request))
	return err
}
