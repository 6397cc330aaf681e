package payment_test

import (
	"strings"

	"armora/fleet"
	"armora/schema"
	"armora/sim/stripe"
)

// sums are what was done with money: by our rows, by our ledger, by Stripe's book.
type sums struct{ rows, ledger, stripe int64 }

// truth is what one booking has brought, from three places that nobody keeps in step
// but the hub: captured − refunds that have not failed − what banks hold or have
// kept − fees − transfers + reversals.
func (w *till) truth(id fleet.BookingID) (s sums) {
	w.t.Helper()
	for _, p := range w.paid(id) {
		s.rows += p.Captured - p.Fee
	}
	refunds, err := w.payments.Refunds(w.t.Context(), id)
	w.must(err)
	for _, r := range refunds {
		if r.State == fleet.RefundPending || r.State == fleet.RefundSucceeded {
			s.rows -= r.Amount.Amount
		}
	}
	for _, tr := range w.transfers(id) {
		s.rows -= tr.Passed()
	}
	postings, err := schema.Ledger{DB: w.db}.Of(w.t.Context(), id)
	w.must(err)
	for _, posting := range postings {
		for _, e := range posting.Entries {
			if e.Account == fleet.AccountStripe {
				s.ledger += e.Amount.Amount
			}
			if posting.Kind == "dispute" && e.Account != fleet.AccountStripe {
				s.rows -= e.Amount.Amount // what the bank has, and its fee: disputes alone know
			}
		}
	}
	s.stripe = w.byStripe(func(i *stripe.Intent) bool { return i.Metadata["booking"] == id.String() })
	return s
}

// byStripe is the sum of the lines of Stripe's book that lead to some intents.
func (w *till) byStripe(of func(*stripe.Intent) bool) (sum int64) {
	about := make(map[string]bool) // charges, refunds, disputes of those intents
	for _, i := range stripe.All[stripe.Intent](w.stripe) {
		if of(&i) {
			about[i.ID] = true
		}
	}
	for _, ch := range stripe.All[stripe.Charge](w.stripe) {
		about[ch.ID] = about[string(ch.PaymentIntent)]
	}
	for _, r := range stripe.All[stripe.Refund](w.stripe) {
		about[r.ID] = about[string(r.PaymentIntent)]
	}
	for _, d := range stripe.All[stripe.Dispute](w.stripe) {
		about[d.ID] = about[string(d.PaymentIntent)]
	}
	for _, tr := range stripe.All[stripe.Transfer](w.stripe) {
		about[tr.ID] = about[string(tr.SourceTransaction)]
	}
	for _, r := range stripe.All[stripe.Reversal](w.stripe) {
		about[r.ID] = about[r.Transfer]
	}
	for _, line := range stripe.All[stripe.BalanceTransaction](w.stripe) {
		if about[string(line.Source)] {
			sum += line.Net
		}
	}
	return sum
}

// wantTruth wants the three to agree of a booking that has come to rest, nobody to be
// owed anything but by a debt, and nothing to be held.
func (w *till) wantTruth(id fleet.BookingID) {
	w.t.Helper()
	if s := w.truth(id); s.rows != s.ledger || s.ledger != s.stripe {
		w.t.Errorf("booking %s has brought %d by our rows, %d by our ledger, %d by Stripe's book", id, s.rows, s.ledger, s.stripe)
	}
	var owed, debts int64
	postings, err := schema.Ledger{DB: w.db}.Of(w.t.Context(), id)
	w.must(err)
	for _, posting := range postings {
		for _, e := range posting.Entries {
			if strings.HasPrefix(string(e.Account), "principal:") {
				owed += e.Amount.Amount
			}
		}
	}
	for _, d := range w.debts(id) {
		if d.State == fleet.DebtOpen {
			debts += d.Amount.Amount
		}
	}
	w.wantPay(id, postings)
	if w.booking(id).Status.Ended() && owed != debts {
		w.t.Errorf("booking %s: the principal owes %d by the ledger, and has debts of %d", id, owed, debts)
	}
	for _, i := range stripe.All[stripe.Intent](w.stripe) {
		if w.booking(id).Status.Ended() && i.Metadata["booking"] == id.String() && i.AmountCapturable != 0 {
			w.t.Errorf("booking %s is over, and %s still holds %d", id, i.ID, i.AmountCapturable)
		}
	}
}

// twins wants no payment of a booking to have been made or taken twice at Stripe.
func (w *till) twins(id fleet.BookingID) {
	w.t.Helper()
	made := make(map[string]int)
	for _, i := range stripe.All[stripe.Intent](w.stripe) {
		if i.Metadata["booking"] == id.String() {
			made[i.Metadata["payment"]]++
		}
	}
	for payment, n := range made {
		if n > 1 {
			w.t.Errorf("payment %s has %d intents", payment, n)
		}
	}
	refunded := make(map[string]int)
	for _, r := range stripe.All[stripe.Refund](w.stripe) {
		if r.Status != "failed" {
			refunded[r.Metadata["refund"]]++
		}
	}
	for _, tr := range stripe.All[stripe.Transfer](w.stripe) {
		refunded[tr.Metadata["transfer"]]++
	}
	for _, r := range stripe.All[stripe.Reversal](w.stripe) {
		refunded[r.Metadata["transfer"]]++
	}
	for refund, n := range refunded {
		if n > 1 {
			w.t.Errorf("refund or transfer %s was made %d times", refund, n)
		}
	}
}
