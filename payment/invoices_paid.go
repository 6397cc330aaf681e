package payment

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"armora/fleet"
	"armora/payment/paper"
	"armora/schema"
	"armora/tariff"
)

// account is what has become of what a booking has cost that is paid by card.
type account struct {
	taken int64 // by payments
	due   int64 // a debt
	off   int64 // less than can be taken, and given up
}

// accountOf returns the account of a booking; ok is false if it has terms.
func (i *Invoices) accountOf(ctx context.Context, b *fleet.Booking) (a account, ok bool, err error) {
	if ok, err = i.payments.ByCard(ctx, b.ID); err != nil || !ok {
		return a, ok, err
	}
	payments, err := i.payments.OfBooking(ctx, b.ID)
	if err != nil {
		return a, ok, err
	}
	debts, err := i.debts.OfBooking(ctx, b.ID)
	for _, p := range payments {
		a.taken += p.Captured
	}
	a.taken = min(a.taken, b.Fee.Amount) // what is more is given back
	for _, d := range debts {
		switch d.State {
		case fleet.DebtOpen:
			a.due += d.Amount.Amount
		case fleet.DebtWrittenOff:
			a.off += d.Amount.Amount
		}
	}
	return a, ok, err
}

// waits reports whether it is too early for the invoice of a booking: it says what was
// paid, and so is issued once that is known, but not later than it would be late.
func (a *account) waits(b *fleet.Booking, now time.Time) bool {
	return a.taken+a.due+a.off < b.Fee.Amount && now.Before(b.Ended.Add(fleet.InvoicePatience))
}

// says how a total is paid, as it stands.
func (a *account) says(total fleet.Money) string {
	in := func(amount int64) string { return fleet.Money{Amount: amount, Currency: total.Currency}.String() }
	var parts []string
	switch {
	case a.taken == total.Amount:
		return "Paid by card."
	case a.taken > 0:
		parts = append(parts, in(a.taken)+" was paid by card.")
	}
	if left := total.Amount - a.taken - a.off; left > 0 {
		parts = append(parts, in(left)+" is due. A receipt follows when it is paid.")
	}
	if a.off > 0 {
		parts = append(parts, in(a.off)+" is less than can be paid by card, and is not asked for.")
	}
	return strings.Join(parts, " ")
}

// receipt issues a receipt of what was paid of an invoice since it was issued, and
// since the last receipt. An invoice that does not say what was paid is none of those.
func (i *Invoices) receipt(ctx context.Context, b *fleet.Booking, of *fleet.Invoice, papers []schema.Caused) error {
	a, byCard, err := i.accountOf(ctx, b)
	if err != nil || !byCard {
		return err
	}
	var was paper.Paper
	if err := json.Unmarshal(of.Document, &was); err != nil {
		return fmt.Errorf("invoice %s: %w", of.Number, err)
	}
	if was.PaidAmount.Currency == "" {
		return nil
	}
	told, number := was.PaidAmount.Amount, 1
	for _, p := range papers {
		if p.Kind == fleet.Receipt {
			told, number = told+p.Total.Amount, number+1
		}
	}
	paid := fleet.Money{Amount: min(a.taken, of.Total.Amount) - told, Currency: of.Total.Currency}
	if paid.Amount <= 0 {
		return nil
	}
	d := i.about(of, &was, fleet.Receipt, "")
	d.Lines, d.Total, d.Paid = []paper.Item{{Text: "Paid of invoice " + of.Number, Amount: paid}}, paid, "Paid by card."
	d.SetVAT(fleet.Money{Currency: paid.Currency}, 0) // which is on the invoice
	return i.issueAbout(ctx, fmt.Sprintf("receipt/%s/%d", b.ID, number), of, d, nil)
}

// debit issues the debit note of a credit note, if it was issued, whose refund has
// failed: what was credited is owed again, until it is given back by another refund.
func (i *Invoices) debit(ctx context.Context, of *fleet.Invoice, papers []schema.Caused, credited, cause string, posted func(fleet.Invoice) []fleet.Posting) error {
	for _, p := range papers {
		if p.Cause != credited {
			continue
		}
		var was paper.Paper
		if err := json.Unmarshal(of.Document, &was); err != nil {
			return fmt.Errorf("invoice %s: %w", of.Number, err)
		}
		d := i.about(of, &was, fleet.DebitNote, "The refund did not arrive.")
		d.Lines, d.Total = []paper.Item{{Text: "Takes back credit note " + p.Number, Amount: p.Total}}, p.Total
		left, leftVAT := left(of, papers)
		d.SetVAT(vatUntil(left+p.Total.Amount, leftVAT, of.Total.Currency, was.VATPercent), was.VATPercent)
		return i.issueAbout(ctx, cause, of, d, posted)
	}
	return nil
}

// creditCause is what the credit note of a refund is issued for.
func creditCause(r fleet.RefundID) string { return "refund/" + r.String() }

// about is a paper about an invoice, without its amounts.
func (i *Invoices) about(of *fleet.Invoice, was *paper.Paper, kind fleet.InvoiceKind, reason string) paper.Paper {
	return paper.Paper{
		Kind: kind, Issued: paper.Date(i.clock.Now()), Seller: was.Seller, Buyer: was.Buyer, Booking: of.Booking,
		PurchaseOrder: was.PurchaseOrder, CostCentre: was.CostCentre, Corrects: of.Number, Reason: reason,
	}
}

func (i *Invoices) issueAbout(ctx context.Context, cause string, of *fleet.Invoice, d paper.Paper, posted func(fleet.Invoice) []fleet.Posting) error {
	return i.issue(ctx, cause, fleet.Invoice{
		ID: fleet.NewID[fleet.Invoice](), Kind: d.Kind, User: of.User, Booking: of.Booking, Payer: of.Payer, Corrects: of.ID, Issued: i.clock.Now(),
	}, d, posted)
}

// left is what of an invoice is neither credited, nor credited and debited again.
func left(of *fleet.Invoice, papers []schema.Caused) (total, vat int64) {
	total, vat = of.Total.Amount, of.VAT.Amount
	for _, p := range papers {
		switch p.Kind {
		case fleet.CreditNote:
			total, vat = total-p.Total.Amount, vat-p.VAT.Amount
		case fleet.DebitNote:
			total, vat = total+p.Total.Amount, vat+p.VAT.Amount
		}
	}
	return total, vat
}

// vatUntil is by how much the VAT changes when as much of an invoice is left: it is that
// of all that is left, as in the ledger, and rounded once.
func vatUntil(left, before int64, in fleet.Currency, percent int) fleet.Money {
	vat := (&tariff.Table{VAT: percent}).VATIn(fleet.Money{Amount: left}).Amount - before
	return fleet.Money{Amount: max(vat, -vat), Currency: in}
}
