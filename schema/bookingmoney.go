package schema

import (
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// payable opens the money of a booking that is not funded by terms: its first look
// is at once.
func (c *BookingTx) payable() error {
	_, err := c.tx.Exec(c.ctx, `INSERT INTO booking_money (booking_id, user_id) VALUES ($1, $2)`, c.ID, c.User)
	if err != nil {
		return err
	}
	return c.LookAtMoney()
}

// LookAtMoney has the money of the booking looked at once the change is made, if it
// is paid by card.
func (c *BookingTx) LookAtMoney() error {
	tag, err := c.tx.Exec(c.ctx, `UPDATE booking_money SET next_look = $2 WHERE booking_id = $1`, c.ID, c.Now)
	if err != nil || tag.RowsAffected() == 0 {
		return err
	}
	return c.db.enqueue(c.ctx, c.tx, fleet.SettleBooking{Booking: c.ID}, time.Time{})
}

// aboutMoney reports whether an event changes what is to be held or is due.
func aboutMoney(kind string, to fleet.BookingStatus) bool {
	switch kind {
	case "edited", "extended", "fee_waived":
		return true
	}
	return to != "" && to.Ended()
}

// Money returns what is to be seen to about the booking's money; ok is false if it
// has terms.
func (c *BookingTx) Money() (m fleet.BookingMoney, ok bool, err error) {
	m = fleet.BookingMoney{Booking: c.ID, User: c.User}
	var next *time.Time
	err = c.tx.QueryRow(c.ctx, `
		SELECT method, session, next_look, reminded,
			EXISTS (SELECT FROM booking_events e WHERE e.booking_id = $1 AND e.to_status = 'assigned')
		FROM booking_money WHERE booking_id = $1`, c.ID).Scan(&m.Method, &m.Session, &next, &m.Reminded, &m.Assigned)
	if errors.Is(err, pgx.ErrNoRows) {
		return m, false, nil
	}
	m.NextLook = orZero(next)
	return m, err == nil, err
}

// SetMoney keeps what is to be seen to.
func (c *BookingTx) SetMoney(m *fleet.BookingMoney) error {
	_, err := c.tx.Exec(c.ctx, `
		UPDATE booking_money SET method = $2, session = $3, next_look = $4, reminded = $5 WHERE booking_id = $1`,
		c.ID, m.Method, m.Session, null(m.NextLook), m.Reminded)
	return err
}

// Payments returns the booking's payments in the order in which they were made.
func (c *BookingTx) Payments() ([]fleet.Payment, error) {
	return ofBooking(c, scanPayment, `SELECT `+paymentColumns+` FROM payments p WHERE p.booking_id = $1 ORDER BY p.created, p.id`)
}

// Refunds returns the booking's refunds in the order in which they were made.
func (c *BookingTx) Refunds() ([]fleet.Refund, error) {
	return ofBooking(c, scanRefund, `SELECT `+refundColumns+` FROM refunds r WHERE r.booking_id = $1 ORDER BY r.created, r.id`)
}

// Debts returns the booking's debts in the order in which they were made.
func (c *BookingTx) Debts() ([]fleet.Debt, error) {
	return ofBooking(c, scanDebt, `SELECT `+debtColumns+` FROM debts d WHERE d.booking_id = $1 ORDER BY d.created, d.id`)
}

func ofBooking[T any](c *BookingTx, scan pgx.RowToFunc[T], sql string) ([]T, error) {
	rows, err := c.tx.Query(c.ctx, sql, c.ID)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}

// AddPayment adds a payment of the booking, new, and numbers it.
func (c *BookingTx) AddPayment(p *fleet.Payment) error {
	p.ID, p.Booking, p.User, p.State, p.Version = fleet.NewID[fleet.Payment](), c.ID, c.User, fleet.PaymentNew, 1
	p.Created, p.Changed = c.Now, c.Now
	return c.tx.QueryRow(c.ctx, `
		INSERT INTO payments (id, booking_id, user_id, purpose, number, state, amount, currency, method, debt_id, created, changed)
		SELECT $1::uuid, $2::uuid, $3::uuid, $4::text, coalesce(max(number), 0) + 1, 'new', $5::bigint, $6::text, $7::text, $8::uuid, $9::timestamptz, $9
		FROM payments WHERE booking_id = $2 AND purpose = $4 RETURNING number`,
		p.ID, p.Booking, p.User, p.Purpose, p.Amount.Amount, p.Amount.Currency, p.Method, p.Debt, c.Now).Scan(&p.Number)
}

// SetPayment writes a payment of the booking as it is now. It is guarded by the
// version although the booking is locked: it holds for what is changed by hand, too.
func (c *BookingTx) SetPayment(p *fleet.Payment) error {
	var fee *int64
	if p.FeeKnown {
		fee = &p.Fee
	}
	tag, err := c.tx.Exec(c.ctx, `
		UPDATE payments SET state = $4, version = version + 1, captured = $5, refunded = $6, fee = $7, capture_before = $8, stripe_id = nullif($9, ''),
			charge_id = nullif($10, ''), method = $11, code = $12, decline_code = $13, capture_now = $14, changed = $15
		WHERE id = $1 AND booking_id = $2 AND version = $3`,
		p.ID, c.ID, p.Version, p.State, p.Captured, p.Refunded, fee, null(p.CaptureBefore), p.Stripe, p.Charge, text(p.Method),
		text(p.Code), text(p.Decline), p.CaptureNow, c.Now)
	if err == nil && tag.RowsAffected() == 0 {
		err = fmt.Errorf("payment %s: its version is not %d", p.ID, p.Version)
	}
	p.Version, p.Changed = p.Version+1, c.Now
	if err == nil && p.State == fleet.PaymentCaptured && c.Status.Ended() {
		err = c.writeDown()
	}
	return err
}

// AddRefund adds a refund of a payment of the booking, and numbers it. That it is
// not more than is left, the payment's row says: see SetPayment.
func (c *BookingTx) AddRefund(r *fleet.Refund) error {
	r.ID, r.Booking, r.User, r.Created, r.Changed = fleet.NewID[fleet.Refund](), c.ID, c.User, c.Now, c.Now
	return c.tx.QueryRow(c.ctx, `
		INSERT INTO refunds (id, payment_id, booking_id, user_id, number, state, amount, currency, reason, asked_by, excess, approval, created, changed)
		SELECT $1::uuid, $2::uuid, $3::uuid, $4::uuid, coalesce(max(number), 0) + 1, $5::text, $6::bigint, $7::text, $8::text, $9::uuid, $10::boolean, $11::uuid, $12::timestamptz, $12
		FROM refunds WHERE payment_id = $2 RETURNING number`,
		r.ID, r.Payment, r.Booking, r.User, r.State, r.Amount.Amount, r.Amount.Currency, text(r.Reason), r.By, r.Excess, r.Approval, c.Now).Scan(&r.Number)
}

// SetRefund writes a refund of the booking as it is now.
func (c *BookingTx) SetRefund(r *fleet.Refund) error {
	r.Changed = c.Now
	_, err := c.tx.Exec(c.ctx, `
		UPDATE refunds SET state = $3, stripe_id = nullif($4, ''), code = $5, changed = $6 WHERE id = $1 AND booking_id = $2`,
		r.ID, c.ID, r.State, r.Stripe, text(r.Code), c.Now)
	if err == nil && r.State == fleet.RefundSucceeded {
		err = c.writeDown()
	}
	return err
}

// AddDebt adds a debt of the booking.
func (c *BookingTx) AddDebt(d *fleet.Debt) error {
	d.ID, d.User, d.Booking, d.Created = fleet.NewID[fleet.Debt](), c.User, c.ID, c.Now
	if d.State != fleet.DebtOpen {
		d.Ended = c.Now
	}
	_, err := c.tx.Exec(c.ctx, `
		INSERT INTO debts (id, user_id, booking_id, state, amount, currency, reason, created, ended) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		d.ID, d.User, d.Booking, d.State, d.Amount.Amount, d.Amount.Currency, text(d.Reason), d.Created, null(d.Ended))
	if err == nil {
		err = c.writeDown()
	}
	return err
}

// EndDebt ends an open debt of the booking.
func (c *BookingTx) EndDebt(id fleet.DebtID, state fleet.DebtState, paidBy fleet.PaymentID) error {
	_, err := c.tx.Exec(c.ctx, `
		UPDATE debts SET state = $3, ended = $4, paid_by = $5 WHERE id = $1 AND booking_id = $2 AND state = 'open'`, id, c.ID, state, c.Now, paidBy)
	return err
}

// PreferredCard is Stripe's id of the card that the principal pays with without
// being asked; "": they have none. It is read on the change's own connection: one
// more for each change would leave none for any.
func (c *BookingTx) PreferredCard() (stripe string, err error) {
	err = c.tx.QueryRow(c.ctx, `
		SELECT coalesce((SELECT stripe_id FROM payment_methods WHERE user_id = $1 AND preferred), '')`, c.User).Scan(&stripe)
	return stripe, err
}

// Posted is what the ledger has of the booking in an account by transactions of a
// kind: the sum, and how many they are.
func (c *BookingTx) Posted(account fleet.Account, kind string) (sum int64, n int, err error) {
	err = c.tx.QueryRow(c.ctx, `
		SELECT coalesce(sum(e.amount), 0)::bigint, count(*) FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id
		WHERE t.booking_id = $1 AND e.account = $2 AND t.kind = $3`, c.ID, account, kind).Scan(&sum, &n)
	return sum, n, err
}

// Sold is what the ledger says that the booking has sold, and the VAT in it: what was
// taken back is not.
func (c *BookingTx) Sold() (total, vat int64, err error) {
	err = c.tx.QueryRow(c.ctx, `
		SELECT coalesce(-sum(e.amount), 0)::bigint, coalesce(-sum(e.amount) FILTER (WHERE e.account = $3), 0)::bigint
		FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id
		WHERE t.booking_id = $1 AND e.account IN ($2, $3)`, c.ID, fleet.AccountRevenue, fleet.AccountVAT).Scan(&total, &vat)
	return total, vat, err
}

// Ask asks a second person to approve something of the booking.
func (c *BookingTx) Ask(a fleet.Approval, told Telling) error { return c.db.ask(c.ctx, c.tx, a, told) }

// Notify tells the booking's principal of the change.
func (c *BookingTx) Notify(what Telling) error { return c.db.tell(c.ctx, c.tx, c.User, what) }
