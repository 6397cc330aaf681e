package schema

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Invoices are the numbered papers about money. What is issued is never changed.
type Invoices struct{ DB *DB }

const invoiceColumns = `i.id, i.number, i.kind, i.user_id, i.booking_id, i.organisation_id, i.corrects, i.issued, i.total, i.vat, i.currency, i.document::text`

func scanInvoice(row pgx.CollectableRow) (i fleet.Invoice, err error) {
	var document string
	err = row.Scan(&i.ID, &i.Number, &i.Kind, &i.User, &i.Booking, &i.Payer, &i.Corrects, &i.Issued, &i.Total.Amount, &i.VAT.Amount, &i.Total.Currency, &document)
	i.VAT.Currency, i.Issued, i.Document = i.Total.Currency, i.Issued.UTC(), []byte(document)
	return i, err
}

// Paper is what is to be issued, once for its cause, with the next number of its
// series.
type Paper struct {
	Series string
	Cause  string
	// Write completes the paper, in the transaction that issues it, by which its
	// number is taken: if it fails, the number is not.
	Write func(number string) (fleet.Invoice, error)
	Told  Telling // tells its reader, if it has one
	// Posted is what the ledger says of it.
	Posted func(fleet.Invoice) []fleet.Posting
}

// Issue issues a paper. One that was issued for the same cause already is not
// issued again: made is false.
func (t Invoices) Issue(ctx context.Context, p Paper) (made bool, err error) {
	if issued, err := t.issued(ctx, p.Cause); err != nil || issued {
		return false, err
	}
	err = t.DB.transact(ctx, "invoice", func(tx pgx.Tx) error {
		i, err := issue(ctx, tx, p)
		if err != nil || i.User.IsZero() {
			return err
		}
		return t.DB.tell(ctx, tx, i.User, p.Told)
	})
	if errors.Is(err, errIssued) {
		return false, nil
	}
	return err == nil, err
}

// issued reports whether there is a paper of a cause: it saves a number that would
// be given back.
func (t Invoices) issued(ctx context.Context, cause string) (bool, error) {
	return one(ctx, t.DB, "invoice", pgx.RowTo[bool], `SELECT EXISTS (SELECT FROM invoices WHERE cause = $1)`, cause)
}

// errIssued undoes the transaction of a paper whose cause has one already, and
// with it the number.
var errIssued = errors.New("it was issued already")

func issue(ctx context.Context, tx pgx.Tx, p Paper) (fleet.Invoice, error) {
	var last int64
	err := tx.QueryRow(ctx, `
		INSERT INTO invoice_series (series, last) VALUES ($1, 1)
		ON CONFLICT (series) DO UPDATE SET last = invoice_series.last + 1 RETURNING last`, p.Series).Scan(&last)
	if err != nil {
		return fleet.Invoice{}, err
	}
	i, err := p.Write(fmt.Sprintf("%s-%06d", p.Series, last))
	if err != nil {
		return i, err
	}
	tag, err := tx.Exec(ctx, `
		INSERT INTO invoices (id, number, kind, cause, user_id, booking_id, corrects, issued, total, vat, currency, document, organisation_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::text::jsonb, $13) ON CONFLICT (cause) DO NOTHING`,
		i.ID, i.Number, i.Kind, p.Cause, i.User, i.Booking, i.Corrects, i.Issued, i.Total.Amount, i.VAT.Amount, i.Total.Currency, string(i.Document), i.Payer)
	if err == nil && tag.RowsAffected() == 0 {
		err = errIssued
	}
	if err == nil && i.Kind != fleet.Receipt && !i.Corrects.IsZero() {
		err = withinInvoice(ctx, tx, i.Corrects)
	}
	if err == nil && p.Posted != nil {
		err = post(ctx, tx, p.Posted(i)...)
	}
	return i, err
}

// withinInvoice says no to credit notes that take back more than there was, and to
// debit notes that take back more than they did. The
// lock of the invoice makes two that are issued at once see each other.
func withinInvoice(ctx context.Context, tx pgx.Tx, invoice fleet.InvoiceID) error {
	var total, credited int64
	if err := tx.QueryRow(ctx, `SELECT total FROM invoices WHERE id = $1 FOR UPDATE`, invoice).Scan(&total); err != nil {
		return err
	}
	err := tx.QueryRow(ctx, `
		SELECT coalesce(sum(CASE kind WHEN 'credit_note' THEN total WHEN 'debit_note' THEN -total END), 0)::bigint FROM invoices WHERE corrects = $1`, invoice).Scan(&credited)
	if err != nil {
		return err
	}
	if credited < 0 || credited > total {
		return &fleet.Error{Code: fleet.CodeConflict, Message: "an invoice is not credited twice"}
	}
	return nil
}

// Caused is an invoice with what it was issued for.
type Caused struct {
	fleet.Invoice
	Cause string
}

// OfBooking returns the papers of a booking, whoever it belongs to, in the order in
// which they were issued: for the hub itself.
func (t Invoices) OfBooking(ctx context.Context, booking fleet.BookingID) ([]Caused, error) {
	return all(ctx, t.DB, "invoice", scanCaused, `SELECT `+invoiceColumns+`, i.cause FROM invoices i WHERE i.booking_id = $1 ORDER BY i.id`, booking)
}

// OfCause is OfBooking of what was issued for a cause, and of what is about that.
func (t Invoices) OfCause(ctx context.Context, cause string) ([]Caused, error) {
	return all(ctx, t.DB, "invoice", scanCaused, `
		SELECT `+invoiceColumns+`, i.cause FROM invoices i
		WHERE i.cause = $1 OR i.corrects = (SELECT id FROM invoices WHERE cause = $1) ORDER BY i.id`, cause)
}

func scanCaused(row pgx.CollectableRow) (c Caused, err error) {
	var document string
	err = row.Scan(&c.ID, &c.Number, &c.Kind, &c.User, &c.Booking, &c.Payer, &c.Corrects, &c.Issued, &c.Total.Amount, &c.VAT.Amount, &c.Total.Currency, &document, &c.Cause)
	c.VAT.Currency, c.Issued, c.Document = c.Total.Currency, c.Issued.UTC(), []byte(document)
	return c, err
}

// InvoiceReader is who wants to see papers.
type InvoiceReader struct {
	User  fleet.UserID
	Every bool // finance sees everybody's whom they may see
}

// Approvers see what is on their organisation's account.
var mayRead = `(i.user_id = $1 OR $2 AND ` + shows("i.user_id") + ` AND ` + showsBooking("i.booking_id") + `
	OR i.organisation_id = (SELECT organisation_id FROM organisation_members WHERE user_id = $1 AND role = 'approver'))`

// Get returns a paper that the reader may see.
func (t Invoices) Get(ctx context.Context, who InvoiceReader, id fleet.InvoiceID) (fleet.Invoice, error) {
	return one(ctx, t.DB, "invoice", scanInvoice, `SELECT `+invoiceColumns+` FROM invoices i WHERE `+mayRead+` AND i.id = $3`, who.User, who.Every, id)
}

// ForBooking returns the papers of a booking that the reader may see, in the order
// in which they were issued.
func (t Invoices) ForBooking(ctx context.Context, who InvoiceReader, booking fleet.BookingID) ([]fleet.Invoice, error) {
	return all(ctx, t.DB, "invoice", scanInvoice, `
		SELECT `+invoiceColumns+` FROM invoices i WHERE `+mayRead+` AND i.booking_id = $3 ORDER BY i.id`, who.User, who.Every, booking)
}

// List returns up to limit papers that the reader may see, of one person if of is
// not zero, with ids before the given one, the newest first. The zero id starts
// with the newest.
func (t Invoices) List(ctx context.Context, who InvoiceReader, of fleet.UserID, before fleet.InvoiceID, limit int) ([]fleet.Invoice, error) {
	return all(ctx, t.DB, "invoice", scanInvoice, `
		SELECT `+invoiceColumns+` FROM invoices i
		WHERE `+mayRead+` AND ($3::uuid IS NULL OR i.user_id = $3) AND ($4::uuid IS NULL OR i.id < $4)
		ORDER BY i.id DESC LIMIT $5`, who.User, who.Every, of, before, limit)
}

// Number returns a paper that the reader may see by its number.
func (t Invoices) Number(ctx context.Context, who InvoiceReader, number string) (fleet.Invoice, error) {
	return one(ctx, t.DB, "invoice", scanInvoice, `SELECT `+invoiceColumns+` FROM invoices i WHERE `+mayRead+` AND i.number = $3`, who.User, who.Every, number)
}

// Ended returns the event by which a booking came to its end.
func (t Bookings) Ended(ctx context.Context, id fleet.BookingID) (fleet.BookingEvent, error) {
	events, err := t.events(ctx, `to_status IN ('completed', 'cancelled', 'no_show', 'unfulfilled')`, id, 0, 1)
	if err == nil && len(events) == 0 {
		err = translate("event", pgx.ErrNoRows)
	}
	if err != nil {
		return fleet.BookingEvent{}, err
	}
	return events[0], nil
}
