package api

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
	"armora/payment"
	"armora/payment/paper"
	"armora/schema"
)

// Invoice is a numbered paper about money.
type Invoice struct {
	ID        fleet.InvoiceID   `json:"id" format:"uuid"`
	Number    string            `json:"number" doc:"Without a gap in its series: ARM-2026-000123"`
	Kind      fleet.InvoiceKind `json:"kind" enum:"invoice,credit_note,debit_note,receipt,statement"`
	UserID    fleet.UserID      `json:"user_id,omitzero" format:"uuid" doc:"The principal; absent: it is an organisation's"`
	BookingID fleet.BookingID   `json:"booking_id,omitzero" format:"uuid"`
	Corrects  fleet.InvoiceID   `json:"corrects,omitzero" format:"uuid" doc:"The invoice that a credit note, a debit note or a receipt is about"`
	IssuedAt  time.Time         `json:"issued_at"`
	Total     fleet.Money       `json:"total" doc:"VAT included"`
	VAT       fleet.Money       `json:"vat"`
	Document  paper.Paper       `json:"document" doc:"The paper as it was issued"`
}

// Receipt is what an assignment has cost in the end.
type Receipt struct {
	BookingID fleet.BookingID `json:"booking_id" format:"uuid"`
	Charged   fleet.Money     `json:"charged" doc:"By its invoice, VAT included"`
	Credited  fleet.Money     `json:"credited" doc:"By its credit notes, less its debit notes"`
	Papers    []Invoice       `json:"papers" doc:"The invoice, and what was issued about it: credit notes, debit notes of refunds that have failed, receipts of what was due"`
}

// PaperFormat is how a paper is asked for.
type PaperFormat struct {
	Format string `query:"format" enum:"json,pdf" doc:"Absent: as Accept asks, JSON unless that names application/pdf"`
	Accept string `header:"Accept"`
}

func (f PaperFormat) pdf() bool {
	return f.Format == "pdf" || f.Format == "" && strings.Contains(f.Accept, "application/pdf")
}

type receiptInput struct {
	BookingPath
	PaperFormat
}

type invoiceInput struct {
	ID fleet.InvoiceID `path:"id" format:"uuid"`
	PaperFormat
}

type listInvoicesInput struct {
	PageQuery
	User string `query:"user_id" format:"uuid" doc:"Of this principal alone, for finance"`
}

// invoiced are those who have papers, and finance.
func invoiced() access { return only(fleet.RoleRider, fleet.RoleFinance, fleet.RoleAdmin) }

func (s *Server) addInvoices() {
	tags := []string{"invoices"}
	papers := func(of reflect.Type) map[string]*huma.Response {
		return map[string]*huma.Response{"200": {
			Description: "The paper",
			Content: map[string]*huma.MediaType{
				"application/json": {Schema: s.huma.OpenAPI().Components.Schemas.Schema(of, true, "")}, "application/pdf": {},
			},
		}}
	}
	route(s, invoiced(), huma.Operation{
		OperationID: "get-booking-receipt", Method: http.MethodGet, Path: "/api/bookings/{id}/receipt",
		Summary:     "What an assignment has cost: its invoice and credit notes, or the invoice as PDF",
		Description: "There is one once the assignment is over, unless it cost nothing.",
		Tags:        tags, Responses: papers(reflect.TypeFor[Receipt]()),
	}, s.getReceipt)
	route(s, invoiced(), huma.Operation{
		OperationID: "list-invoices", Method: http.MethodGet, Path: "/api/invoices",
		Summary: "List one's own invoices and credit notes, the newest first; finance lists everybody's, which is entered in the audit log", Tags: tags,
	}, s.listInvoices)
	route(s, invoiced(), huma.Operation{
		OperationID: "get-invoice", Method: http.MethodGet, Path: "/api/invoices/{id}",
		Summary: "Get an invoice, a credit note or a statement, as JSON or PDF", Tags: tags, Responses: papers(reflect.TypeFor[Invoice]()),
	}, s.getInvoice)
}

func showInvoice(i fleet.Invoice) (Invoice, error) {
	shown := Invoice{
		ID: i.ID, Number: i.Number, Kind: i.Kind, UserID: i.User, BookingID: i.Booking, Corrects: i.Corrects,
		IssuedAt: i.Issued.UTC(), Total: i.Total, VAT: i.VAT,
	}
	return shown, json.Unmarshal(i.Document, &shown.Document)
}

func showInvoices(rows []fleet.Invoice) ([]Invoice, error) {
	shown := make([]Invoice, 0, len(rows))
	for _, row := range rows {
		i, err := showInvoice(row)
		if err != nil {
			return nil, err
		}
		shown = append(shown, i)
	}
	return shown, nil
}

// invoiceReader says as whom the caller looks at papers.
func invoiceReader(ctx context.Context) schema.InvoiceReader {
	caller := callerOf(ctx)
	return schema.InvoiceReader{User: caller.User, Every: caller.Has(fleet.RoleFinance, fleet.RoleAdmin)}
}

// invoicesRead records whose papers the caller was shown.
func (s *Server) invoicesRead(ctx context.Context, object string, shown ...fleet.Invoice) error {
	var people []fleet.UserID
	for _, i := range shown {
		if !i.User.IsZero() {
			people = append(people, i.User)
		}
	}
	if len(people) == 0 {
		return nil
	}
	return s.audited(ctx, "read_invoice", object, people, nil)
}

func (s *Server) getReceipt(ctx context.Context, in *receiptInput) (*huma.StreamResponse, error) {
	rows, err := s.tables.invoices.ForBooking(ctx, invoiceReader(ctx), in.ID)
	if err == nil && len(rows) == 0 {
		err = &fleet.Error{Code: fleet.CodeNotFound, Message: "there is no receipt of this assignment, or none yet"}
	}
	if err == nil {
		err = s.invoicesRead(ctx, "booking/"+in.ID.String(), rows...)
	}
	if err != nil {
		return nil, err
	}
	if in.pdf() {
		return sendPaper(&rows[0])
	}
	receipt := Receipt{BookingID: in.ID, Charged: fleet.Money{Currency: rows[0].Total.Currency}, Credited: fleet.Money{Currency: rows[0].Total.Currency}}
	for _, i := range rows {
		switch i.Kind {
		case fleet.PlainInvoice:
			receipt.Charged = receipt.Charged.Plus(i.Total)
		case fleet.CreditNote:
			receipt.Credited = receipt.Credited.Plus(i.Total)
		case fleet.DebitNote:
			receipt.Credited.Amount -= i.Total.Amount
		}
	}
	if receipt.Papers, err = showInvoices(rows); err != nil {
		return nil, err
	}
	return s.answer(receipt), nil
}

func (s *Server) listInvoices(ctx context.Context, in *listInvoicesInput) (*pageOutput[Invoice], error) {
	var before fleet.InvoiceID
	var of fleet.UserID
	err := readCursor(in.Cursor, &before)
	if err == nil && in.User != "" {
		of, err = fleet.ParseID[fleet.User](in.User)
	}
	if err != nil {
		return nil, &fleet.Error{Code: fleet.CodeInvalid, Message: err.Error(), Err: err}
	}
	rows, err := s.tables.invoices.List(ctx, invoiceReader(ctx), of, before, in.Limit+1)
	if err == nil {
		err = s.invoicesRead(ctx, "invoices", rows[:min(len(rows), in.Limit)]...)
	}
	if err != nil {
		return nil, err
	}
	shown, err := showInvoices(rows)
	if err != nil {
		return nil, err
	}
	return newPage(shown, in.Limit, func(i Invoice) Invoice { return i }, func(i Invoice) any { return i.ID })
}

func (s *Server) getInvoice(ctx context.Context, in *invoiceInput) (*huma.StreamResponse, error) {
	i, err := s.tables.invoices.Get(ctx, invoiceReader(ctx), in.ID)
	if err == nil {
		err = s.invoicesRead(ctx, "invoice/"+in.ID.String(), i)
	}
	if err != nil {
		return nil, err
	}
	if in.pdf() {
		return sendPaper(&i)
	}
	shown, err := showInvoice(i)
	if err != nil {
		return nil, err
	}
	return s.answer(shown), nil
}

// sendPaper answers with a paper as PDF.
func sendPaper(i *fleet.Invoice) (*huma.StreamResponse, error) {
	name, content, err := payment.PDF(i)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		ctx.SetStatus(http.StatusOK)
		ctx.SetHeader("Content-Type", "application/pdf")
		ctx.SetHeader("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
		ctx.SetHeader("Content-Security-Policy", "sandbox; default-src 'none'")
		_, _ = ctx.BodyWriter().Write(content) // into memory
	}}, nil
}
