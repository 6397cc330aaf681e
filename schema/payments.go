package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Payments are the payment intents of bookings, with their refunds. They change
// with their booking's row locked, through BookingTx alone.
type Payments struct{ DB *DB }

const paymentColumns = `p.id, p.booking_id, p.user_id, p.purpose, p.number, p.state, p.version, p.amount, p.currency, p.captured, p.refunded,
	coalesce(p.fee, 0), p.fee IS NOT NULL, p.capture_before, coalesce(p.stripe_id, ''), coalesce(p.charge_id, ''), p.method, p.code, p.decline_code,
	p.capture_now, p.debt_id, p.created, p.changed`

func scanPayment(row pgx.CollectableRow) (p fleet.Payment, err error) {
	var before *time.Time
	err = row.Scan(&p.ID, &p.Booking, &p.User, &p.Purpose, &p.Number, &p.State, &p.Version, &p.Amount.Amount, &p.Amount.Currency, &p.Captured, &p.Refunded,
		&p.Fee, &p.FeeKnown, &before, &p.Stripe, &p.Charge, &p.Method, &p.Code, &p.Decline,
		&p.CaptureNow, &p.Debt, &p.Created, &p.Changed)
	p.CaptureBefore, p.Created, p.Changed = orZero(before), p.Created.UTC(), p.Changed.UTC()
	return p, err
}

// Get returns a payment, whoever it belongs to: for the hub itself and for those
// of the staff who see to money.
func (t Payments) Get(ctx context.Context, id fleet.PaymentID) (fleet.Payment, error) {
	return one(ctx, t.DB, "payment", scanPayment, `SELECT `+paymentColumns+` FROM payments p WHERE p.id = $1`, id)
}

// Of returns a payment of a user's own.
func (t Payments) Of(ctx context.Context, user fleet.UserID, id fleet.PaymentID) (fleet.Payment, error) {
	return one(ctx, t.DB, "payment", scanPayment, `SELECT `+paymentColumns+` FROM payments p WHERE p.id = $1 AND p.user_id = $2`, id, user)
}

// VisibleTo returns a payment to a member of the staff who sees its principal.
func (t Payments) VisibleTo(ctx context.Context, staff fleet.UserID, id fleet.PaymentID) (fleet.Payment, error) {
	return one(ctx, t.DB, "payment", scanPayment, `
		SELECT `+paymentColumns+` FROM payments p JOIN bookings b ON b.id = p.booking_id WHERE `+seen+` AND p.id = $2`, staff, id)
}

// ByStripe returns the payment of a payment intent of Stripe's.
func (t Payments) ByStripe(ctx context.Context, intent string) (fleet.Payment, error) {
	return one(ctx, t.DB, "payment", scanPayment, `SELECT `+paymentColumns+` FROM payments p WHERE p.stripe_id = $1`, intent)
}

// ByCharge returns the payment of a charge of Stripe's.
func (t Payments) ByCharge(ctx context.Context, charge string) (fleet.Payment, error) {
	return one(ctx, t.DB, "payment", scanPayment, `SELECT `+paymentColumns+` FROM payments p WHERE p.charge_id = $1`, charge)
}

// OfBooking returns the payments of a booking in the order in which they were made.
func (t Payments) OfBooking(ctx context.Context, booking fleet.BookingID) ([]fleet.Payment, error) {
	return all(ctx, t.DB, "payment", scanPayment, `SELECT `+paymentColumns+` FROM payments p WHERE p.booking_id = $1 ORDER BY p.id`, booking)
}

// ByCard reports whether a booking is paid by card: else it has terms.
func (t Payments) ByCard(ctx context.Context, booking fleet.BookingID) (bool, error) {
	return one(ctx, t.DB, "payment", pgx.RowTo[bool], `SELECT EXISTS (SELECT FROM booking_money WHERE booking_id = $1)`, booking)
}

// Changed returns payments that changed in a span of time, in order of id.
func (t Payments) Changed(ctx context.Context, from, to time.Time) ([]fleet.Payment, error) {
	return all(ctx, t.DB, "payment", scanPayment, `
		SELECT `+paymentColumns+` FROM payments p WHERE p.changed >= $1 AND p.changed < $2 ORDER BY p.id`, from, to)
}

const refundColumns = `r.id, r.payment_id, r.booking_id, r.user_id, r.number, r.state, r.amount, r.currency, r.reason, r.asked_by, r.excess, r.approval,
	coalesce(r.stripe_id, ''), r.code, r.created, r.changed`

func scanRefund(row pgx.CollectableRow) (r fleet.Refund, err error) {
	err = row.Scan(&r.ID, &r.Payment, &r.Booking, &r.User, &r.Number, &r.State, &r.Amount.Amount, &r.Amount.Currency, &r.Reason, &r.By, &r.Excess, &r.Approval,
		&r.Stripe, &r.Code, &r.Created, &r.Changed)
	r.Created, r.Changed = r.Created.UTC(), r.Changed.UTC()
	return r, err
}

// Refund returns a refund.
func (t Payments) Refund(ctx context.Context, id fleet.RefundID) (fleet.Refund, error) {
	return one(ctx, t.DB, "refund", scanRefund, `SELECT `+refundColumns+` FROM refunds r WHERE r.id = $1`, id)
}

// RefundByStripe returns the refund of one of Stripe's.
func (t Payments) RefundByStripe(ctx context.Context, refund string) (fleet.Refund, error) {
	return one(ctx, t.DB, "refund", scanRefund, `SELECT `+refundColumns+` FROM refunds r WHERE r.stripe_id = $1`, refund)
}

// Refunds returns the refunds of a booking in the order in which they were made.
func (t Payments) Refunds(ctx context.Context, booking fleet.BookingID) ([]fleet.Refund, error) {
	return all(ctx, t.DB, "refund", scanRefund, `SELECT `+refundColumns+` FROM refunds r WHERE r.booking_id = $1 ORDER BY r.id`, booking)
}

// Wake has the money of bookings looked at that is to be by now, at most limit of
// them, and says how many. It is looked at again at next, unless whoever looks says
// another time: so one that fails does not keep the others waiting.
func (t Payments) Wake(ctx context.Context, now, next time.Time, limit int) (n int, err error) {
	err = t.DB.transact(ctx, "payment", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			UPDATE booking_money SET next_look = $2 WHERE booking_id IN (
				SELECT booking_id FROM booking_money WHERE next_look <= $1 ORDER BY next_look LIMIT $3 FOR UPDATE SKIP LOCKED)
			RETURNING booking_id`, now, next, limit)
		if err != nil {
			return err
		}
		due, err := pgx.CollectRows(rows, pgx.RowTo[fleet.BookingID])
		n = len(due)
		for i := 0; i < n && err == nil; i++ {
			err = t.DB.enqueue(ctx, tx, fleet.SettleBooking{Booking: due[i]}, time.Time{})
		}
		return err
	})
	return n, err
}

// Unpaid returns the bookings of a user that are paid by card and not over: they wait for
// their money, or, funded, may for what an edit has made dearer.
func (t Payments) Unpaid(ctx context.Context, user fleet.UserID) ([]fleet.BookingID, error) {
	return all(ctx, t.DB, "payment", pgx.RowTo[fleet.BookingID], `
		SELECT b.id FROM bookings b JOIN booking_money m ON m.booking_id = b.id
		WHERE b.user_id = $1 AND b.ended IS NULL ORDER BY b.starts, b.id`, user)
}

// Customer returns who a user is to Stripe; "" if they are nobody yet.
func (t Payments) Customer(ctx context.Context, user fleet.UserID) (string, error) {
	id, err := one(ctx, t.DB, "customer", pgx.RowTo[string], `SELECT stripe_id FROM customers WHERE user_id = $1`, user)
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return "", nil
	}
	return id, err
}

// AddCustomer keeps who a user is to Stripe, and returns who they are: somebody
// else may have been first.
func (t Payments) AddCustomer(ctx context.Context, user fleet.UserID, stripe string, now time.Time) (string, error) {
	return one(ctx, t.DB, "customer", pgx.RowTo[string], `
		INSERT INTO customers (user_id, stripe_id, created) VALUES ($1, $2, $3)
		ON CONFLICT (user_id) DO UPDATE SET user_id = customers.user_id -- to see who was first a moment ago
		RETURNING stripe_id`, user, stripe, now)
}

// ForgetCustomer forgets who a user was to Stripe, and their cards, once Stripe has
// deleted them.
func (t Payments) ForgetCustomer(ctx context.Context, user fleet.UserID) error {
	return t.DB.transact(ctx, "customer", func(tx pgx.Tx) error {
		for _, sql := range []string{
			`DELETE FROM card_setups WHERE user_id = $1`, `DELETE FROM payment_methods WHERE user_id = $1`, `DELETE FROM customers WHERE user_id = $1`,
		} {
			if _, err := tx.Exec(ctx, sql, user); err != nil {
				return err
			}
		}
		return nil
	})
}

// KnownToStripe are the ids of what a Stripe knows.
type KnownToStripe struct{ Customers, Methods, Intents, Accounts []string }

// Abandon forgets what the Stripe that there is does not know, as that of the demo
// before: its customers and their cards, and its connected accounts. What is under way there is invoiced from now on.
func (t Payments) Abandon(ctx context.Context, known KnownToStripe) error {
	return t.DB.transact(ctx, "customer", func(tx pgx.Tx) error {
		for _, unknown := range []struct {
			sql string
			ids []string
		}{
			{`DELETE FROM card_setups s WHERE NOT EXISTS (SELECT FROM customers c WHERE c.user_id = s.user_id AND c.stripe_id = ANY ($1::text[]))`, known.Customers},
			{`DELETE FROM payment_methods WHERE stripe_id <> ALL ($1::text[])`, known.Methods},
			{`DELETE FROM customers WHERE stripe_id <> ALL ($1::text[])`, known.Customers},
			{`DELETE FROM payout_accounts WHERE stripe_id <> ALL ($1::text[])`, known.Accounts},
			{`DELETE FROM booking_money m WHERE EXISTS (SELECT FROM payments p WHERE p.booking_id = m.booking_id AND p.stripe_id <> ALL ($1::text[]))`, known.Intents},
		} {
			if _, err := tx.Exec(ctx, unknown.sql, unknown.ids); err != nil {
				return err
			}
		}
		return nil
	})
}
