package api

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"armora/fleet"
	"armora/payment"
	"armora/payment/paper"
	"armora/schema"
)

// papers issues the papers of the hub's bookings.
func (h *hub) papers() *payment.Invoices {
	return payment.NewInvoices(payment.InvoicesConfig{
		DB: h.db, Seller: paper.Party{Name: "ARMORA Ltd", VATNumber: "GB123456789"}, Seal: h.keyring.Seal, Clock: h.clock, Log: slog.New(slog.DiscardHandler),
	})
}

// invoiceOf makes an invoice of a person's: half of what they booked and cancelled
// too late.
func (h *hub) invoiceOf(p *person) fleet.Invoice {
	h.t.Helper()
	b := p.book(map[string]any{"local_start": h.clock.Now().Add(3 * time.Hour).Format("2006-01-02T15:04"), "zone": "Europe/London"})
	p.must(http.StatusOK, "PUT", "/api/bookings/"+b.ID.String()+"/cancel", map[string]any{})
	if err := h.papers().Settle(h.t.Context(), b.ID); err != nil {
		h.t.Fatal(err)
	}
	rows, err := schema.Invoices{DB: h.db}.ForBooking(h.t.Context(), schema.InvoiceReader{User: p.id}, b.ID)
	if err != nil || len(rows) != 1 {
		h.t.Fatalf("%d papers, error %v", len(rows), err)
	}
	return rows[0]
}

func TestAReceiptIsReadAsJSONAndAsPDF(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada, staff := h.person(fleet.RoleRider), h.person(fleet.RoleFinance)
	i := h.invoiceOf(ada)
	path := "/api/bookings/" + i.Booking.String() + "/receipt"
	r := as[Receipt](t, ada.must(http.StatusOK, "GET", path, nil))
	if r.Charged != i.Total || r.Credited.Amount != 0 || len(r.Papers) != 1 || r.Papers[0].Document.Seller.Name != "ARMORA Ltd" ||
		r.Papers[0].Document.Lines[0].Amount != i.Total || !strings.HasPrefix(r.Papers[0].Document.Lines[0].Detail, "50% of £") {
		t.Errorf("%+v", r)
	}
	accept := h.request("GET", path, nil)
	accept.Header.Set("Authorization", "Bearer "+ada.token)
	accept.Header.Set("Accept", "application/pdf")
	for _, a := range []answer{h.send(accept), ada.do("GET", path+"?format=pdf", nil), staff.do("GET", "/api/invoices/"+i.ID.String()+"?format=pdf", nil)} {
		if a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "application/pdf" || !bytes.HasPrefix(a.body, []byte("%PDF-")) ||
			a.Header.Get("Content-Disposition") != `attachment; filename=ARM-2026-000001.pdf` {
			t.Errorf("%s %v %.20q", a.Status, a.Header, a.body)
		}
	}
	if e := h.audit()[0]; e.Action != "read_invoice" || e.Subject != ada.id || e.ActorUser != staff.id {
		t.Errorf("recorded %+v", e)
	}
	if got := as[Invoice](t, ada.must(http.StatusOK, "GET", "/api/invoices/"+i.ID.String(), nil)); got.Number != "ARM-2026-000001" || got.VAT != i.VAT {
		t.Errorf("%+v", got)
	}
	problem(t, ada.do("GET", "/api/bookings/"+ada.book(tomorrow).ID.String()+"/receipt", nil), http.StatusNotFound, fleet.CodeNotFound)
}

func TestInvoicesAreListedToTheirOwnerAndToFinance(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada, bo, staff := h.person(fleet.RoleRider), h.person(fleet.RoleRider), h.person(fleet.RoleFinance)
	first, second, third := h.invoiceOf(ada), h.invoiceOf(ada), h.invoiceOf(bo)
	list := func(p *person, query string) (got []string, next string) {
		t.Helper()
		l := as[page[Invoice]](t, p.must(http.StatusOK, "GET", "/api/invoices"+query, nil))
		for _, i := range l.Items {
			got = append(got, i.Number)
		}
		return got, l.Next
	}
	got, next := list(ada, "?limit=1")
	if len(got) != 1 || got[0] != second.Number || next == "" {
		t.Errorf("%v, then %q", got, next)
	}
	if got, next = list(ada, "?limit=1&cursor="+next); len(got) != 1 || got[0] != first.Number || next != "" {
		t.Errorf("%v, then %q", got, next)
	}
	if got, _ := list(ada, "?user_id="+bo.id.String()); len(got) != 0 {
		t.Errorf("another's: %v", got)
	}
	if got, _ := list(staff, ""); len(got) != 3 {
		t.Errorf("to finance: %v", got)
	}
	if got, _ := list(staff, "?user_id="+bo.id.String()); len(got) != 1 || got[0] != third.Number {
		t.Errorf("of one, to finance: %v", got)
	}
}
