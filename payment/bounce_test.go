package payment_test

import (
	"slices"
	"testing"
	"time"

	"armora/fleet"
	"armora/payment"
	"armora/sim/stripe"
)

var finance = payment.Staff{Roles: []fleet.Role{fleet.RoleFinance}}

// A refund that fails, of a fee that was waived since: it is due all the same, and given
// back by the hub, whoever has told of the failure.
func TestAWaivedFeeIsGivenBackThoughARefundOfItFails(t *testing.T) {
	t.Parallel()
	w := newRadio(t)
	w.keeps(stripe.RefundFails)
	b := w.booked(0)
	w.settle(b)
	w.ends(b, fleet.Cancelled, fleet.Pounds(60))
	w.settle(b)
	w.refund(b, 20_00)
	w.hears()
	w.clock.Advance(time.Hour - time.Second)
	w.waives(b)
	w.wantPaid(b, "initial captured £120.00 took £60.00 gave back £60.00")
	w.hears()
	w.hoursPass() // both fail: what staff gave back is sent once more, what the hub did is for staff
	w.wantPaid(b, "initial captured £120.00 took £60.00 gave back £20.00")
	w.agrees()
}

// What was taken beyond the price and does not arrive is owed to the principal still:
// staff who give it back again take back nothing of what was sold.
func TestTooMuchThatDoesNotArriveIsNoSale(t *testing.T) {
	t.Parallel()
	w := newRadio(t)
	w.keeps(stripe.RefundFails)
	b := w.booked(0)
	w.settle(b)
	w.runs(b, fleet.Assigned)
	_, err := w.Charge(t.Context(), finance, w.paid(b)[0].ID)
	w.must(err)
	w.ends(b, fleet.Cancelled, fleet.Pounds(60))
	w.settle(b)
	w.wantPaid(b, "initial captured £120.00 gave back £60.00")
	w.hoursPass()
	w.settle(b) // not to the same card by itself
	w.wantPaid(b, "initial captured £120.00")
	for _, more := range []int64{0, 60_01} { // 0 is all of it
		_, err = w.Refund(t.Context(), finance, w.paid(b)[0].ID, more, "it did not come")
		w.want(err, fleet.CodeInvalid)
	}
	w.refund(b, 60_00)
	w.wantPaid(b, "initial captured £120.00 gave back £60.00")
	if sums := w.agrees(); sums["principals"] != 0 || sums[fleet.AccountRevenue] != -50_00 || sums[fleet.AccountVAT] != -10_00 {
		t.Errorf("balances are %v", sums)
	}
	if _, papers := w.issued(b); !slices.Equal(papers, []string{"ARM £60.00: Paid by card."}) {
		t.Errorf("papers are %q", papers)
	}
	w.refund(b, 10_00) // of what was sold
	if sums := w.agrees(); sums["principals"] != 0 || sums[fleet.AccountRevenue] != -41_67 {
		t.Errorf("balances are %v", sums)
	}
}
