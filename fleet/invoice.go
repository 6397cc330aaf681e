package fleet

import (
	"encoding/json"
	"time"
)

// InvoiceID identifies an invoice, a credit note or a statement.
type InvoiceID = ID[Invoice]

// InvoiceKind is which paper it is.
type InvoiceKind string

// The kinds. Each has a series of numbers of its own every year.
const (
	PlainInvoice InvoiceKind = "invoice"     // what a booking has cost
	CreditNote   InvoiceKind = "credit_note" // takes back an invoice, or a part of it
	DebitNote    InvoiceKind = "debit_note"  // takes back a credit note, whose refund has failed
	Receipt      InvoiceKind = "receipt"     // what was due by an invoice was paid, or a part of it
	Statement    InvoiceKind = "statement"   // what an organisation owes for a month
)

// Series names the series of numbers of a kind in a year.
func (k InvoiceKind) Series(year int) string {
	prefix := map[InvoiceKind]string{PlainInvoice: "ARM", CreditNote: "CRN", DebitNote: "DBN", Receipt: "RCT", Statement: "STM"}[k]
	return prefix + "-" + time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).Format("2006")
}

// Invoice is a numbered paper about money. It is never changed once it is issued.
type Invoice struct {
	ID       InvoiceID
	Number   string // ARM-2026-000123: without a gap in its series
	Kind     InvoiceKind
	User     UserID         // to whom: the principal; of a statement, zero
	Booking  BookingID      // of a statement, zero
	Payer    OrganisationID // whose account it is on; zero: nobody's but the user's
	Corrects InvoiceID      // that a credit note, a debit note or a receipt is about
	Issued   time.Time
	Total    Money // VAT included; of a credit note, what is credited
	VAT      Money // in it
	// Document is the paper itself, a paper.Paper.
	Document json.RawMessage
}

// InvoicePatience is for how long after its end the invoice of a booking waits for what
// is paid of it, by card, to be known.
const InvoicePatience = 24 * time.Hour

// InvoiceBooking is the job of issuing what a booking lacks of invoices and credit
// notes.
type InvoiceBooking struct {
	Booking BookingID `json:"booking"`
}

// Kind names the job.
func (InvoiceBooking) Kind() string { return "invoice_booking" }
