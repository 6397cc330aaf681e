package payment_test

import (
	"testing"
	"time"

	"armora/fleet"
	"armora/payment"
	"armora/schema"
	"armora/sim/stripe"
)

// captured is a booking that is over and has brought £120.
func (w *till) captured() (fleet.BookingID, fleet.PaymentID) {
	w.t.Helper()
	w.keeps(stripe.Visa)
	b := w.booked(0)
	w.settle(b)
	w.runs(b, fleet.Completed)
	w.settle(b)
	return b, w.paid(b)[0].ID
}

func (w *till) staff(role fleet.Role) payment.Staff {
	w.t.Helper()
	return payment.Staff{User: w.person(role), Roles: []fleet.Role{role}}
}

// What is beyond a limit waits for a second person: they may refuse, or never say
// anything. Until then it takes from what can be refunded.
func TestARefundBeyondTheLimitWaits(t *testing.T) {
	t.Parallel()
	w := newTill(t)
	b, p := w.captured()
	dispatcher, finance := w.staff(fleet.RoleDispatcher), w.staff(fleet.RoleFinance)
	refused, err := w.Refund(t.Context(), dispatcher, p, 60_00, "late")
	w.must(err)
	forgotten, err := w.Refund(t.Context(), dispatcher, p, 60_00, "late")
	w.must(err)
	if refused.State != fleet.RefundWaiting || forgotten.State != fleet.RefundWaiting {
		t.Fatalf("refunds are %s and %s", refused.State, forgotten.State)
	}
	_, err = w.Refund(t.Context(), finance, p, 1, "late") // all of it is spoken for
	w.want(err, fleet.CodeConflict)
	approvals := schema.Approvals{DB: w.db}
	decide := func(r fleet.Refund, outcome fleet.Outcome) error {
		_, _, err := approvals.Decide(t.Context(), schema.Decision{
			ID: r.Approval, By: finance.User, Kinds: fleet.ApprovalKinds(), Outcome: outcome, Good: time.Hour, Now: w.clock.Now(),
		})
		return err
	}
	w.must(decide(refused, fleet.OutcomeRejected))
	w.clock.Advance(payment.RefundWait)
	w.settle(b)
	w.want(decide(forgotten, fleet.OutcomeApproved), fleet.CodeConflict)
	w.wantPaid(b, "initial captured £120.00")
	if n := len(stripe.All[stripe.Refund](w.stripe)); n != 0 {
		t.Errorf("Stripe has %d refunds", n)
	}
	agreed, err := w.Refund(t.Context(), dispatcher, p, 0, "late")
	w.must(err)
	w.must(decide(agreed, fleet.OutcomeApproved))
	w.settle(b)
	w.wantPaid(b, "initial captured £120.00 gave back £120.00")
	if sums := w.agrees(); sums["principals"] != 0 || sums[fleet.AccountRevenue] != 0 || sums[fleet.AccountVAT] != 0 {
		t.Errorf("balances are %v", sums)
	}
}

// A charge in advance that turns out to be too much is given back at the end, and
// what it lacked is taken.
func TestAChargeBeforeTheEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fee  fleet.Money
		want []string
	}{
		{fleet.Pounds(90), []string{"initial captured £120.00 gave back £30.00"}},
		{fleet.Pounds(150), []string{"initial captured £120.00", "overage captured £30.00"}},
	} {
		w, b := newHeld(t)
		finance := w.staff(fleet.RoleFinance)
		taken, err := w.Charge(t.Context(), finance, w.paid(b)[0].ID)
		if err != nil || taken.State != fleet.PaymentCaptured || taken.Captured != 120_00 {
			t.Fatalf("charged %+v, error %v", taken, err)
		}
		w.runs(b, fleet.InProgress)
		w.settle(b)
		w.wantPaid(b, "initial captured £120.00")
		w.ends(b, fleet.Completed, c.fee)
		w.settle(b)
		w.wantPaid(b, c.want...)
		if sums := w.agrees(); sums["principals"] != 0 || sums[fleet.AccountRevenue]+sums[fleet.AccountVAT] != -c.fee.Amount {
			t.Errorf("balances are %v", sums)
		}
	}
}

// Whom staff may not see, they cannot refund.
func TestARestrictedPrincipalsMoneyIsSeenByNamedStaffAlone(t *testing.T) {
	t.Parallel()
	w := newTill(t)
	b, p := w.captured()
	if _, err := w.db.Pool().Exec(t.Context(), `UPDATE users SET restricted = true WHERE id = $1`, w.user); err != nil {
		t.Fatal(err)
	}
	finance := w.staff(fleet.RoleFinance)
	_, err := w.Refund(t.Context(), finance, p, 0, "late")
	w.want(err, fleet.CodeNotFound)
	_, err = w.Charge(t.Context(), finance, p)
	w.want(err, fleet.CodeNotFound)
	_, err = w.Paid(t.Context(), finance, b)
	w.want(err, fleet.CodeNotFound)
	if paid, err := w.Paid(t.Context(), payment.Staff{User: w.user}, b); err != nil || len(paid.Payments) != 1 {
		t.Errorf("its principal sees %+v, error %v", paid, err)
	}
}

func TestStripeForgetsWhoIsErased(t *testing.T) {
	t.Parallel()
	w := newTill(t)
	b, _ := w.captured()
	w.stripe.Plan(stripe.Fault{Act: stripe.Lose, On: "DELETE /v1/customers/*"})
	if _, err := w.Forget(t.Context(), w.user); fleet.CodeOf(err) != fleet.CodeUnavailable {
		t.Fatalf("forgotten without an answer: %v", err)
	}
	for range 2 { // and again: it is done
		if _, err := w.Forget(t.Context(), w.user); err != nil {
			t.Fatal(err)
		}
	}
	if cards, err := w.Methods(t.Context(), w.user); err != nil || len(cards) != 0 {
		t.Errorf("cards are %+v, error %v", cards, err)
	}
	w.settle(b)
	w.wantPaid(b, "initial captured £120.00")
}

// A sweep has looked at what is due by then, once.
func TestASweepWakesWhatIsDue(t *testing.T) {
	t.Parallel()
	w := newTill(t)
	w.keeps(stripe.Visa)
	b := w.booked(30 * time.Hour)
	w.settle(b)
	jobs := func() (n int) {
		w.must(w.db.Pool().QueryRow(t.Context(), `SELECT count(*) FROM river_job WHERE kind = 'settle_booking'`).Scan(&n))
		return n
	}
	before := jobs()
	w.must(w.Sweep(t.Context()))
	if n := jobs() - before; n != 0 {
		t.Errorf("%d bookings are looked at six hours too early", n)
	}
	w.clock.Advance(6 * time.Hour)
	for range 2 {
		w.must(w.Sweep(t.Context()))
	}
	if n := jobs() - before; n != 1 {
		t.Errorf("%d jobs, want 1", n)
	}
}
