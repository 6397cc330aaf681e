package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Transfers are what was passed on to officers by Stripe, and taken back. They change
// with their booking's row locked, through BookingTx alone.
type Transfers struct{ DB *DB }

const transferColumns = `t.id, t.booking_id, t.payment_id, t.seat_id, t.driver_id, t.reverses, t.number, t.state, t.amount, t.currency, t.account,
	coalesce(t.stripe_id, ''), t.code, t.created, t.changed`

func scanTransfer(row pgx.CollectableRow) (t fleet.Transfer, err error) {
	err = row.Scan(&t.ID, &t.Booking, &t.Payment, &t.Seat, &t.Driver, &t.Reverses, &t.Number, &t.State, &t.Amount.Amount, &t.Amount.Currency, &t.Account,
		&t.Stripe, &t.Code, &t.Created, &t.Changed)
	t.Created, t.Changed = t.Created.UTC(), t.Changed.UTC()
	return t, err
}

// Get returns a transfer, for the hub itself.
func (t Transfers) Get(ctx context.Context, id fleet.TransferID) (fleet.Transfer, error) {
	return one(ctx, t.DB, "transfer", scanTransfer, `SELECT `+transferColumns+` FROM transfers t WHERE t.id = $1`, id)
}

// OfBooking returns the transfers of a booking in the order in which they were saved.
func (t Transfers) OfBooking(ctx context.Context, booking fleet.BookingID) ([]fleet.Transfer, error) {
	return all(ctx, t.DB, "transfer", scanTransfer, `SELECT `+transferColumns+` FROM transfers t WHERE t.booking_id = $1 ORDER BY t.id`, booking)
}

// Transfers returns the booking's transfers in the order in which they were saved.
func (c *BookingTx) Transfers() ([]fleet.Transfer, error) {
	return ofBooking(c, scanTransfer, `SELECT `+transferColumns+` FROM transfers t WHERE t.booking_id = $1 ORDER BY t.id`)
}

// AddTransfer saves a transfer of the booking, and numbers it.
func (c *BookingTx) AddTransfer(t *fleet.Transfer) error {
	t.ID, t.Booking, t.Created, t.Changed = fleet.NewID[fleet.Transfer](), c.ID, c.Now, c.Now
	err := c.tx.QueryRow(c.ctx, `
		INSERT INTO transfers (id, booking_id, payment_id, seat_id, driver_id, reverses, number, state, amount, currency, account, code, created, changed)
		SELECT $1::uuid, $2::uuid, $3::uuid, $4::uuid, $5::uuid, $6::uuid, coalesce(max(number), 0) + 1, $7::text, $8::bigint, $9::text, $10::text, $11::text, $12::timestamptz, $12
		FROM transfers WHERE seat_id = $4 RETURNING number`,
		t.ID, t.Booking, t.Payment, t.Seat, t.Driver, t.Reverses, t.State, t.Amount.Amount, t.Amount.Currency, t.Account, text(t.Code), c.Now).Scan(&t.Number)
	return c.ifFailed(t, err)
}

// EndTransfer writes what has become of a new transfer of the booking.
func (c *BookingTx) EndTransfer(t *fleet.Transfer) error {
	t.Changed = c.Now
	_, err := c.tx.Exec(c.ctx, `
		UPDATE transfers SET state = $3, stripe_id = nullif($4, ''), code = $5, changed = $6 WHERE id = $1 AND booking_id = $2 AND state = 'new'`,
		t.ID, c.ID, t.State, t.Stripe, text(t.Code), c.Now)
	return c.ifFailed(t, err)
}

// ifFailed has it written down how else an officer is paid than by a transfer that has
// failed.
func (c *BookingTx) ifFailed(t *fleet.Transfer, err error) error {
	if err == nil && t.State == fleet.TransferFailed {
		err = c.writeDown()
	}
	return err
}

// Lost is what banks have kept of the booking's payments, by disputes that are lost.
func (c *BookingTx) Lost() (sum int64, err error) {
	err = c.tx.QueryRow(c.ctx, `SELECT coalesce(sum(amount), 0)::bigint FROM disputes WHERE booking_id = $1 AND state = 'lost'`, c.ID).Scan(&sum)
	return sum, err
}

// PayoutAccounts are who officers are to Stripe, which pays them.
type PayoutAccounts struct{ DB *DB }

const accountColumns = `a.driver_id, a.attempt, coalesce(a.stripe_id, ''), a.ready, a.created, a.changed`

func scanAccount(row pgx.CollectableRow) (a fleet.PayoutAccount, err error) {
	err = row.Scan(&a.Driver, &a.Attempt, &a.Stripe, &a.Ready, &a.Created, &a.Changed)
	a.Created, a.Changed = a.Created.UTC(), a.Changed.UTC()
	return a, err
}

// PayoutAccounts returns those of the booking's officers.
func (c *BookingTx) PayoutAccounts() (map[fleet.DriverID]fleet.PayoutAccount, error) {
	accounts, err := ofBooking(c, scanAccount, `
		SELECT `+accountColumns+` FROM payout_accounts a WHERE a.driver_id IN (SELECT driver_id FROM booking_seats WHERE booking_id = $1)`)
	of := make(map[fleet.DriverID]fleet.PayoutAccount, len(accounts))
	for _, a := range accounts {
		of[a.Driver] = a
	}
	return of, err
}

// Begin begins the account of the officer who signs in as a user, or returns the one
// that they have. Who is no officer is CodeNotFound.
func (t PayoutAccounts) Begin(ctx context.Context, user fleet.UserID, now time.Time) (fleet.PayoutAccount, error) {
	_, err := t.DB.pool.Exec(ctx, `
		INSERT INTO payout_accounts (driver_id, created, changed) SELECT id, $2, $2 FROM drivers WHERE user_id = $1 ON CONFLICT (driver_id) DO NOTHING`, user, now)
	if err != nil {
		return fleet.PayoutAccount{}, translate("account", err)
	}
	return t.OfUser(ctx, user)
}

// OfUser returns the account of the officer who signs in as a user.
func (t PayoutAccounts) OfUser(ctx context.Context, user fleet.UserID) (fleet.PayoutAccount, error) {
	return one(ctx, t.DB, "account", scanAccount, `
		SELECT `+accountColumns+` FROM payout_accounts a WHERE a.driver_id = (SELECT id FROM drivers WHERE user_id = $1)`, user)
}

// Of returns the account of an officer.
func (t PayoutAccounts) Of(ctx context.Context, driver fleet.DriverID) (fleet.PayoutAccount, error) {
	return one(ctx, t.DB, "account", scanAccount, `SELECT `+accountColumns+` FROM payout_accounts a WHERE a.driver_id = $1`, driver)
}

// Name keeps which account Stripe has made, once.
func (t PayoutAccounts) Name(ctx context.Context, driver fleet.DriverID, stripe string, now time.Time) error {
	_, err := t.DB.pool.Exec(ctx, `
		UPDATE payout_accounts SET stripe_id = $2, changed = $3 WHERE driver_id = $1 AND stripe_id IS NULL`, driver, stripe, now)
	return translate("account", err)
}

// Refused says that Stripe has refused an attempt to make one: the next is another.
func (t PayoutAccounts) Refused(ctx context.Context, a fleet.PayoutAccount, now time.Time) error {
	_, err := t.DB.pool.Exec(ctx, `
		UPDATE payout_accounts SET attempt = attempt + 1, changed = $3 WHERE driver_id = $1 AND attempt = $2 AND stripe_id IS NULL`, a.Driver, a.Attempt, now)
	return translate("account", err)
}

// See keeps whether Stripe may pay to one of its accounts; one that is nobody's of
// ours is nothing.
func (t PayoutAccounts) See(ctx context.Context, stripe string, ready bool, now time.Time) error {
	_, err := t.DB.pool.Exec(ctx, `
		UPDATE payout_accounts SET ready = $2, changed = $3 WHERE stripe_id = $1 AND ready <> $2`, stripe, ready, now)
	return translate("account", err)
}

// Forget forgets who an officer was to Stripe.
func (t PayoutAccounts) Forget(ctx context.Context, driver fleet.DriverID) error {
	_, err := t.DB.pool.Exec(ctx, `DELETE FROM payout_accounts WHERE driver_id = $1`, driver)
	return translate("account", err)
}
