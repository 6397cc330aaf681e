package schema

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Statements are what organisations owe, month by month.
type Statements struct{ DB *DB }

const statementColumns = `s.id, i.number, s.organisation_id, s.month, s.due, s.total, s.currency, s.reminded, s.paid, s.reference`

func scanStatement(row pgx.CollectableRow) (s fleet.StatementOf, err error) {
	var paid *time.Time
	err = row.Scan(&s.ID, &s.Number, &s.Organisation, &s.Month, &s.Due, &s.Total.Amount, &s.Total.Currency, &s.Reminded, &paid, &s.Reference)
	s.Paid = orZero(paid)
	return s, err
}

// Stated is what of a booking is to go on a statement: below zero, what was stated
// before and is not due any more.
type Stated struct {
	Booking       fleet.BookingID
	Invoice       string // its number
	Ended         time.Time
	PurchaseOrder string
	CostCentre    string
	Amount        int64
}

// Unstated returns the organisations that have something to be stated of what had
// ended, and was invoiced, before a time.
func (t Statements) Unstated(ctx context.Context, before time.Time) ([]fleet.OrganisationID, error) {
	return all(ctx, t.DB, "organisation", pgx.RowTo[fleet.OrganisationID], `
		SELECT DISTINCT a.organisation_id FROM account_bookings a JOIN bookings b ON b.id = a.booking_id
		JOIN invoices i ON i.booking_id = b.id AND i.kind = 'invoice'
		WHERE b.ended < $1 AND b.fee <> a.stated ORDER BY 1`, before)
}

// Issue issues an organisation's statement of a month, of all that had ended before a
// time and is not stated yet. write makes the paper of it; a sum that is not above
// zero waits for the next one. made is false if there is none, or was one already.
func (t Statements) Issue(ctx context.Context, s fleet.StatementOf, before time.Time, p Paper, write func(number string, lines []Stated) (fleet.Invoice, error)) (made bool, err error) {
	err = t.DB.transact(ctx, "statement", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT FROM organisations WHERE id = $1 FOR UPDATE`, s.Organisation); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `
			SELECT b.id, i.number, b.ended, a.purchase_order, a.cost_centre, b.fee - a.stated
			FROM account_bookings a JOIN bookings b ON b.id = a.booking_id JOIN invoices i ON i.booking_id = b.id AND i.kind = 'invoice'
			WHERE a.organisation_id = $1 AND b.ended < $2 AND b.fee <> a.stated ORDER BY b.ended, b.id`, s.Organisation, before)
		if err != nil {
			return err
		}
		lines, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Stated])
		if err != nil {
			return err
		}
		s.Total.Amount = 0
		for _, l := range lines {
			s.Total.Amount += l.Amount
		}
		if s.Total.Amount <= 0 {
			return errIssued
		}
		p.Write = func(number string) (fleet.Invoice, error) { return write(number, lines) }
		paper, err := issue(ctx, tx, p)
		if err != nil {
			return err
		}
		for _, l := range lines {
			if _, err := tx.Exec(ctx, `UPDATE account_bookings SET stated = stated + $2 WHERE booking_id = $1`, l.Booking, l.Amount); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, `INSERT INTO statements (id, organisation_id, month, due, total, currency) VALUES ($1, $2, $3, $4, $5, $6)`,
			paper.ID, s.Organisation, s.Month, s.Due, s.Total.Amount, s.Total.Currency)
		if err != nil {
			return err
		}
		return t.DB.tellAll(ctx, tx, p.Told, approvers, s.Organisation)
	})
	if errors.Is(err, errIssued) {
		return false, nil
	}
	return err == nil, err
}

const approvers = `id IN (SELECT user_id FROM organisation_members WHERE organisation_id = $1 AND role = 'approver')`

// List returns the statements of an organisation, the newest first.
func (t Statements) List(ctx context.Context, of fleet.OrganisationID) ([]fleet.StatementOf, error) {
	return all(ctx, t.DB, "statement", scanStatement, `
		SELECT `+statementColumns+` FROM statements s JOIN invoices i ON i.id = s.id WHERE s.organisation_id = $1 ORDER BY s.month DESC`, of)
}

// Overdue returns the statements that are not paid, were due before a day, and of
// which fewer than so many reminders were sent.
func (t Statements) Overdue(ctx context.Context, before time.Time, reminded int) ([]fleet.StatementOf, error) {
	return all(ctx, t.DB, "statement", scanStatement, `
		SELECT `+statementColumns+` FROM statements s JOIN invoices i ON i.id = s.id
		WHERE s.paid IS NULL AND s.due < $1::date AND s.reminded < $2 ORDER BY s.due, s.id`, before, reminded)
}

// Remind keeps that the n-th reminder of a statement was sent, and tells the
// approvers of it; the staff too, and books nothing new on the account, if it is the
// last one.
func (t Statements) Remind(ctx context.Context, s *fleet.StatementOf, n int, last bool, now time.Time, approver, staff Telling) error {
	return t.DB.transact(ctx, "statement", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE statements SET reminded = $2 WHERE id = $1 AND reminded < $2 AND paid IS NULL`, s.ID, n)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		if err := t.DB.tellAll(ctx, tx, approver, approvers, s.Organisation); err != nil || !last {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE organisations SET blocked = $2 WHERE id = $1 AND blocked IS NULL`, s.Organisation, now); err != nil {
			return err
		}
		return t.DB.tellAll(ctx, tx, staff, `roles && ARRAY['finance', 'dispatcher'] AND suspended IS NULL`)
	})
}

// lastReminder is the one with which an account is blocked.
const lastReminder = 3

// Pay keeps that a statement was paid, and posts it. Once none is left of which the
// last reminder was sent, the account is good again. One that is paid is
// CodeConflict.
func (t Statements) Pay(ctx context.Context, id fleet.InvoiceID, by fleet.UserID, reference string, now time.Time) (s fleet.StatementOf, err error) {
	err = t.DB.transact(ctx, "statement", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+statementColumns+` FROM statements s JOIN invoices i ON i.id = s.id WHERE s.id = $1 FOR UPDATE OF s`, id)
		if err != nil {
			return err
		}
		if s, err = pgx.CollectExactlyOneRow(rows, scanStatement); err != nil {
			return err
		}
		if !s.Paid.IsZero() {
			return &fleet.Error{Code: fleet.CodeConflict, Message: "this statement is paid already"}
		}
		s.Paid, s.Reference = now, reference
		if _, err := tx.Exec(ctx, `UPDATE statements SET paid = $2, paid_by = $3, reference = $4 WHERE id = $1`, id, now, by, text(reference)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE organisations SET blocked = NULL WHERE id = $1 AND NOT EXISTS (
			SELECT FROM statements WHERE organisation_id = $1 AND paid IS NULL AND reminded >= $2)`, s.Organisation, lastReminder); err != nil {
			return err
		}
		return post(ctx, tx, fleet.Post("statement/"+id.String(), now, s.Total, fleet.OrganisationAccount(s.Organisation), fleet.AccountBank))
	})
	return s, err
}
