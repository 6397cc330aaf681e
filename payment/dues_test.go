package payment_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	api "github.com/stripe/stripe-go/v76"

	"armora/fleet"
	"armora/payment"
	"armora/payment/paper"
	"armora/schema"
	"armora/sim/stripe"
)

// What members pay is no booking's: it is found in Stripe's book, posted and invoiced
// once. The paper is its member's.
func TestWhatMembersPayIsInTheBooks(t *testing.T) {
	t.Parallel()
	w, _, _ := newMember(t)
	books := w.books()
	for range 2 {
		w.wantDifferences(books, 0)
		for account, want := range map[fleet.Account]int64{fleet.AccountRevenue: -4_167, fleet.AccountVAT: -833} {
			got, err := schema.Ledger{DB: w.db}.Balance(t.Context(), account, fleet.GBP)
			if w.must(err); got.Amount != want {
				t.Errorf("%s has %s, want %d", account, got, want)
			}
		}
	}
	store := schema.Invoices{DB: w.db}
	papers, err := store.List(t.Context(), schema.InvoiceReader{User: w.user}, fleet.UserID{}, fleet.InvoiceID{}, 9)
	if err != nil || len(papers) != 1 {
		t.Fatalf("%d papers, %v", len(papers), err)
	}
	issued := papers[0]
	var d paper.Paper
	w.must(json.Unmarshal(issued.Document, &d))
	if issued.Number != "ARM-2026-000001" || issued.Total != fleet.Pounds(50) || issued.VAT != fleet.Pence(833) || d.VATPercent != 20 ||
		d.Paid != "Paid by card." || d.PaidAmount != issued.Total || d.Buyer.Name != "Ada" || d.Supplied != "2026-03-02" || d.Lines[0].Text != "Membership" {
		t.Errorf("%+v: %+v", issued, d)
	}
	_, err = store.Get(t.Context(), schema.InvoiceReader{User: w.person(fleet.RoleRider)}, issued.ID)
	w.want(err, fleet.CodeNotFound)
	name, content, err := w.invoices().Attached(t.Context(), &fleet.Notice{User: w.user, Kind: payment.InvoiceNotice}, map[string]string{"number": issued.Number})
	if err != nil || name != "ARM-2026-000001.pdf" || !bytes.HasPrefix(content, []byte("%PDF-")) {
		t.Errorf("%s begins with %.8q, %v", name, content, err)
	}
	var mails int
	w.must(w.db.Pool().QueryRow(t.Context(), `SELECT count(*) FROM notices WHERE user_id = $1 AND kind = 'payment_invoice' AND channel = 'mail'`, w.user).Scan(&mails))
	if mails != 1 {
		t.Errorf("%d mails", mails)
	}
}

// What is refunded at Stripe of what a member has paid is credited, once each, and debited
// again where it fails: papers, ledger and Stripe's book agree to the penny of VAT.
func TestWhatIsRefundedToMembersIsCredited(t *testing.T) {
	t.Parallel()
	w, _, _ := newMember(t)
	charge := stripe.All[stripe.Charge](w.stripe)[0].ID
	refund := func(amount int64) string {
		t.Helper()
		r, err := w.another().Refunds.New(&api.RefundParams{Charge: api.String(charge), Amount: api.Int64(amount)})
		w.must(err)
		return r.ID
	}
	books, ledger := w.books(), schema.Ledger{DB: w.db}
	wantPapers := func(want string) {
		t.Helper()
		for range 2 {
			w.wantDifferences(books, 0)
		}
		papers, err := schema.Invoices{DB: w.db}.OfCause(t.Context(), "membership/"+charge)
		w.must(err)
		var said []string
		sold, vat := int64(0), int64(0)
		for _, p := range papers {
			sign := int64(-1)
			if p.Kind == fleet.CreditNote {
				sign = 1
			}
			sold, vat = sold+sign*(p.Total.Amount-p.VAT.Amount), vat+sign*p.VAT.Amount
			said = append(said, p.Number[:3]+" "+p.Total.String())
			if p.User != w.user || p.Kind != fleet.PlainInvoice && p.Corrects != papers[0].ID {
				t.Errorf("%+v", p)
			}
		}
		if got := strings.Join(said, ", "); got != want {
			t.Errorf("papers are %s, want %s", got, want)
		}
		for account, want := range map[fleet.Account]int64{fleet.AccountRevenue: sold, fleet.AccountVAT: vat} {
			got, err := ledger.Balance(t.Context(), account, fleet.GBP)
			if w.must(err); got.Amount != want {
				t.Errorf("%s has %s, by the papers %d", account, got, want)
			}
		}
	}
	refund(16_67) // and nothing is known of the charge yet
	wantPapers("ARM £50.00, CRN £16.67")
	fails := refund(16_67)
	w.stripe.SettleRefund(fails, false) // nor of that it was made
	wantPapers("ARM £50.00, CRN £16.67, CRN £16.67, DBN £16.67")
	refund(33_33)
	wantPapers("ARM £50.00, CRN £16.67, CRN £16.67, DBN £16.67, CRN £33.33")
	for _, account := range []fleet.Account{fleet.AccountRevenue, fleet.AccountVAT} {
		if left, err := ledger.Balance(t.Context(), account, fleet.GBP); err != nil || left.Amount != 0 {
			t.Errorf("all is refunded, and %s has %s, %v", account, left, err)
		}
	}
	if got := w.cameWith(payment.CreditNotice); len(got) != 6 || got[3] != "mail CRN-2026-000001.pdf of ARM-2026-000001 £16.67" {
		t.Errorf("the credit notes came by %q", got)
	}
}
