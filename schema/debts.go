package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Debts are what is due and could not be taken.
type Debts struct{ DB *DB }

const debtColumns = `d.id, d.user_id, d.booking_id, d.state, d.amount, d.currency, d.reason, d.created, d.ended, d.paid_by`

func scanDebt(row pgx.CollectableRow) (d fleet.Debt, err error) {
	var ended *time.Time
	err = row.Scan(&d.ID, &d.User, &d.Booking, &d.State, &d.Amount.Amount, &d.Amount.Currency, &d.Reason, &d.Created, &ended, &d.PaidBy)
	d.Created, d.Ended = d.Created.UTC(), orZero(ended)
	return d, err
}

// Of returns a debt of a user's own.
func (t Debts) Of(ctx context.Context, user fleet.UserID, id fleet.DebtID) (fleet.Debt, error) {
	return one(ctx, t.DB, "debt", scanDebt, `SELECT `+debtColumns+` FROM debts d WHERE d.id = $1 AND d.user_id = $2`, id, user)
}

// Get returns a debt, whoever it belongs to.
func (t Debts) Get(ctx context.Context, id fleet.DebtID) (fleet.Debt, error) {
	return one(ctx, t.DB, "debt", scanDebt, `SELECT `+debtColumns+` FROM debts d WHERE d.id = $1`, id)
}

// OfBooking returns the debts of a booking in the order in which they were made.
func (t Debts) OfBooking(ctx context.Context, booking fleet.BookingID) ([]fleet.Debt, error) {
	return all(ctx, t.DB, "debt", scanDebt, `SELECT `+debtColumns+` FROM debts d WHERE d.booking_id = $1 ORDER BY d.id`, booking)
}

// Own returns up to limit debts of a user with ids before the given one, the newest
// first; those that are open alone, if open.
func (t Debts) Own(ctx context.Context, user fleet.UserID, open bool, before fleet.DebtID, limit int) ([]fleet.Debt, error) {
	return all(ctx, t.DB, "debt", scanDebt, `
		SELECT `+debtColumns+` FROM debts d
		WHERE d.user_id = $1 AND (NOT $2::boolean OR d.state = 'open') AND ($3::uuid IS NULL OR d.id < $3)
		ORDER BY d.id DESC LIMIT $4`, user, open, before, limit)
}

// List is Own of everybody whom a member of the staff sees, or of one of them if of
// is not zero.
func (t Debts) List(ctx context.Context, staff, of fleet.UserID, open bool, before fleet.DebtID, limit int) ([]fleet.Debt, error) {
	return all(ctx, t.DB, "debt", scanDebt, `
		SELECT `+debtColumns+` FROM debts d
		WHERE `+shows("d.user_id")+` AND ($2::uuid IS NULL OR d.user_id = $2) AND (NOT $3::boolean OR d.state = 'open')
		      AND ($4::uuid IS NULL OR d.id < $4)
		ORDER BY d.id DESC LIMIT $5`, staff, of, open, before, limit)
}

// Indebted reports whether a user has an open debt.
func (t Debts) Indebted(ctx context.Context, user fleet.UserID) (bool, error) {
	return one(ctx, t.DB, "debt", pgx.RowTo[bool], `SELECT EXISTS (SELECT FROM debts WHERE user_id = $1 AND state = 'open')`, user)
}
