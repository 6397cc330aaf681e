package payment_test

import (
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"armora/fleet"
	"armora/payment"
	"armora/payment/paper"
	"armora/schema"
	"armora/sim/stripe"
)

func (w *till) invoices() *payment.Invoices {
	return payment.NewInvoices(payment.InvoicesConfig{DB: w.db, Seller: paper.Party{Name: "ARMORA Ltd"}, Seal: asItIs, Clock: w.clock, Log: slog.New(slog.DiscardHandler)})
}

// issued issues what a booking lacks of papers, by several hubs at once, and returns
// all: "ARM £120.00 paid £60.00".
func (w *till) issued(b fleet.BookingID) (papers []schema.Caused, said []string) {
	w.t.Helper()
	invoices := w.invoices()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { w.must(invoices.Settle(w.t.Context(), b)) })
	}
	wg.Wait()
	papers, err := schema.Invoices{DB: w.db}.OfBooking(w.t.Context(), b)
	w.must(err)
	var total, vat int64
	for _, p := range papers {
		var d paper.Paper
		w.must(json.Unmarshal(p.Document, &d))
		line := p.Number[:3] + " " + p.Total.String()
		if d.Paid != "" {
			line += ": " + d.Paid
		}
		said = append(said, line)
		if d.Total != p.Total || d.VAT != p.VAT || d.Issued != paper.Date(p.Issued) || p.Kind == fleet.PlainInvoice && d.Supplied != paper.Date(w.booking(b).Ended) {
			w.t.Errorf("paper %+v of %s, issued %s, supplied %s", d, p.Total, p.Issued, w.booking(b).Ended)
		}
		switch p.Kind {
		case fleet.PlainInvoice, fleet.DebitNote:
			total, vat = total+p.Total.Amount, vat+p.VAT.Amount
		case fleet.CreditNote:
			total, vat = total-p.Total.Amount, vat-p.VAT.Amount
		}
	}
	if len(papers) > 0 {
		w.wantSale(b, total, vat)
	}
	return papers, said
}

// cameWith returns by which channels the principal was told of a kind of paper, with
// the name of the file that it comes with by mail.
func (w *till) cameWith(kind string) (by []string) {
	w.t.Helper()
	ctx, notices := w.t.Context(), schema.Notices{DB: w.db}
	all, err := notices.List(ctx, fleet.UserID{}, fleet.NoticeID{}, 100)
	w.must(err)
	for _, status := range all {
		if status.Notice.Kind != kind {
			continue
		}
		n, err := notices.Get(ctx, status.Notice.ID)
		w.must(err)
		var data map[string]string
		w.must(json.Unmarshal(n.Sealed, &data))
		name, file, err := w.invoices().Attached(ctx, &n, data)
		if err != nil || n.User != w.user || !strings.HasPrefix(string(file), "%PDF-") {
			w.t.Errorf("told %s with %d bytes of %q: %v", n.User, len(file), name, err)
		}
		by = append(by, string(n.Channel)+" "+name+" of "+data["corrects"]+" "+data["total"])
	}
	slices.Sort(by)
	return by
}

// wantSale wants the ledger to have sold what the papers say.
func (w *till) wantSale(b fleet.BookingID, total, vat int64) {
	w.t.Helper()
	postings, err := schema.Ledger{DB: w.db}.Of(w.t.Context(), b)
	w.must(err)
	sums := map[fleet.Account]int64{}
	for _, p := range postings {
		for _, e := range p.Entries {
			sums[e.Account] -= e.Amount.Amount
		}
	}
	if sums[fleet.AccountRevenue]+sums[fleet.AccountVAT] != total || sums[fleet.AccountVAT] != vat {
		w.t.Errorf("papers say %d with %d of VAT, the ledger %v", total, vat, sums)
	}
}

func (w *till) wantPapers(b fleet.BookingID, want ...string) []schema.Caused {
	w.t.Helper()
	papers, said := w.issued(b)
	if strings.Join(said, "\n") != strings.Join(want, "\n") {
		w.t.Errorf("papers are %q, want %q", said, want)
	}
	return papers
}

// An invoice says what was paid, and so waits until that is known.
func TestAnInvoiceSaysWhatWasPaid(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fee  fleet.Money
		want string
	}{
		"all of the hold":  {fleet.Pounds(120), "ARM £120.00: Paid by card."},
		"a part of it":     {fleet.Pounds(60), "ARM £60.00: Paid by card."},
		"and an overage":   {fleet.Pounds(150), "ARM £150.00: Paid by card."},
		"a penny more":     {fleet.Pence(120_01), "ARM £120.01: £120.00 was paid by card. £0.01 is less than can be paid by card, and is not asked for."},
		"under the least":  {fleet.Pence(29), "ARM £0.29: £0.29 is less than can be paid by card, and is not asked for."},
		"nothing was owed": {fleet.Pence(0), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, b := newHeld(t)
			w.runs(b, fleet.InProgress)
			w.ends(b, fleet.Completed, c.fee)
			if papers, _ := w.issued(b); len(papers) != 0 {
				t.Errorf("an invoice before anything was taken: %+v", papers)
			}
			w.clock.Advance(9 * time.Hour)
			w.settle(b)
			want := []string{c.want}
			if c.want == "" {
				want = nil
			}
			w.wantPapers(b, want...)
			w.wantPapers(b, want...)
		})
	}
}

func TestWhatIsPaidAfterItsInvoiceHasAReceipt(t *testing.T) {
	t.Parallel()
	t.Run("a debt", func(t *testing.T) {
		t.Parallel()
		w, b := newHeld(t)
		w.drops()
		w.runs(b, fleet.InProgress)
		w.ends(b, fleet.Completed, fleet.Pounds(150))
		w.settle(b)
		invoice := "ARM £150.00: £120.00 was paid by card. £30.00 is due. A receipt follows when it is paid."
		w.wantPapers(b, invoice)
		_, err := w.PayDebt(t.Context(), w.user, w.debts(b)[0].ID, "pm_card_visa")
		w.must(err)
		w.settle(b)
		w.wantPapers(b, invoice, "RCT £30.00: Paid by card.")
		papers := w.wantPapers(b, invoice, "RCT £30.00: Paid by card.")
		if len(papers) == 2 && (papers[1].Corrects != papers[0].ID || papers[1].VAT.Amount != 0) {
			t.Errorf("%+v", papers[1])
		}
		about := " RCT-2026-000001.pdf of ARM-2026-000001 £30.00"
		if got := w.cameWith(payment.ReceiptNotice); !slices.Equal(got, []string{"inbox" + about, "mail" + about}) {
			t.Errorf("the receipt came by %q", got)
		}
	})
	t.Run("Stripe was away for a day", func(t *testing.T) {
		t.Parallel()
		w, b := newHeld(t)
		later := w.later(b)
		w.runs(b, fleet.Completed)
		if n := w.later(b) - later; n != 1 {
			t.Errorf("%d jobs look a day later", n)
		}
		w.clock.Advance(fleet.InvoicePatience - time.Second)
		w.wantPapers(b)
		w.clock.Advance(time.Second)
		w.fallsDue(b)
		invoice := "ARM £120.00: £120.00 is due. A receipt follows when it is paid."
		w.wantPapers(b, invoice)
		w.settle(b)
		w.wantPapers(b, invoice, "RCT £120.00: Paid by card.")
	})
}

// later counts the jobs that look at a booking's papers a day later.
func (w *till) later(b fleet.BookingID) (n int) {
	w.t.Helper()
	w.must(w.db.Pool().QueryRow(w.t.Context(), `
		SELECT count(*) FROM river_job WHERE kind = 'invoice_booking' AND args->>'booking' = $1 AND scheduled_at = $2`,
		b.String(), w.clock.Now().Add(fleet.InvoicePatience)).Scan(&n))
	return n
}

// fallsDue has what is due posted, while Stripe cannot be asked.
func (w *till) fallsDue(b fleet.BookingID) {
	w.stripe.Plan(stripe.Fault{Act: stripe.Cut, On: "POST /v1/payment_intents/*/capture"})
	if err := w.Settle(w.t.Context(), b); fleet.CodeOf(err) != fleet.CodeUnavailable {
		w.t.Fatalf("it was taken: %v", err)
	}
}

// A refund that fails after it had succeeded: its credit note is taken back by a debit
// note, and the next refund has a credit note of its own.
func TestTheCreditNoteOfARefundThatFailsIsTakenBack(t *testing.T) {
	t.Parallel()
	w := newRadio(t)
	w.keeps(stripe.RefundFails)
	b := w.booked(0)
	w.settle(b)
	w.runs(b, fleet.Completed)
	w.settle(b)
	w.refund(b, 33_33)
	first := []string{"ARM £120.00: Paid by card.", "CRN £33.33"}
	w.wantPapers(b, first...)
	jobs := w.jobs("invoice_booking")
	w.hoursPass()
	if n := w.jobs("invoice_booking") - jobs; n == 0 {
		t.Error("no job sees to it")
	}
	papers := w.wantPapers(b, append(first, "DBN £33.33")...)
	if len(papers) != 3 || papers[2].VAT != papers[1].VAT || papers[2].Corrects != papers[0].ID || papers[2].Number != "DBN-2026-000001" {
		t.Errorf("%+v", papers)
	}
	w.wantPaid(b, "initial captured £120.00")
	w.refund(b, 120_00) // all of it: as much as was invoiced is credited, to the penny of its VAT
	w.wantPapers(b, append(first, "DBN £33.33", "CRN £120.00")...)
	w.agrees()
}
