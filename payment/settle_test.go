package payment_test

import (
	"slices"
	"testing"
	"time"

	"armora/fleet"
	"armora/payment"
	"armora/schema"
	"armora/sim/stripe"
)

func TestABookingForNowIsHeldByTheKeptCardAndTakenAtItsEnd(t *testing.T) {
	t.Parallel()
	w, b := newHeld(t)
	w.wantPaid(b, "initial held £120.00")
	if w.booking(b).Funded.IsZero() {
		t.Error("it is not funded")
	}
	w.runs(b, fleet.Completed)
	w.settle(b)
	w.settle(b)
	w.wantPaid(b, "initial captured £120.00")
	sums := w.agrees()
	if sums["principals"] != 0 || sums[fleet.AccountRevenue] != -10000 || sums[fleet.AccountVAT] != -2000 || sums[fleet.AccountFees] <= 0 {
		t.Errorf("balances are %v", sums)
	}
}

func TestACardGivenOnSessionIsKeptForLater(t *testing.T) {
	t.Parallel()
	w := newTill(t)
	b := w.booked(0)
	w.settle(b)
	w.wantPaid(b) // there is no card, and nobody to ask
	r, err := w.Reserve(t.Context(), w.user, b, "")
	w.must(err)
	if r.ClientSecret == "" || r.NextAction != payment.ActConfirm || r.Payment.State != fleet.PaymentNeedsMethod {
		t.Fatalf("reserved %+v", r)
	}
	pm, err := w.browser.Card(t.Context(), stripe.AuthenticateUnlessSetUp)
	w.must(err)
	next, err := w.browser.Confirm(t.Context(), r.ClientSecret, pm)
	w.must(err)
	w.must(w.browser.Authenticate(t.Context(), next.URL, true))
	w.settle(b) // no webhook has come
	w.wantPaid(b, "initial held £120.00")
	methods, err := w.Methods(t.Context(), w.user)
	if err != nil || len(methods) != 1 || methods[0].Last4 != "3155" || !methods[0].Preferred {
		t.Errorf("cards are %+v, error %v", methods, err)
	}
	w.runs(b, fleet.InProgress)
	w.ends(b, fleet.Completed, fleet.Pounds(150))
	w.settle(b)
	w.wantPaid(b, "initial captured £120.00", "overage captured £30.00")
	w.agrees()
}

func TestADeclinedCardGatesDispatchAndAnotherOneOpensIt(t *testing.T) {
	t.Parallel()
	w := newTill(t)
	b := w.booked(0)
	r, err := w.Reserve(t.Context(), w.user, b, "pm_card_visa_chargeDeclinedInsufficientFunds")
	w.must(err)
	if r.Payment.State != fleet.PaymentNeedsMethod || r.Payment.Code != "card_declined" || r.Payment.Decline != "insufficient_funds" || r.ClientSecret == "" {
		t.Errorf("reserved %+v", r)
	}
	w.settle(b) // it is not tried again by itself
	if !w.booking(b).Funded.IsZero() {
		t.Error("it is funded")
	}
	r, err = w.Reserve(t.Context(), w.user, b, "pm_card_visa")
	w.must(err)
	if r.Payment.State != fleet.PaymentHeld || r.ClientSecret != "" {
		t.Errorf("reserved %+v", r)
	}
	w.wantPaid(b, "initial held £120.00")
	again, err := w.Reserve(t.Context(), w.user, b, "")
	if err != nil || again.Payment.ID != r.Payment.ID || len(stripe.All[stripe.Intent](w.stripe)) != 1 {
		t.Errorf("reserved again: %+v, error %v", again, err)
	}
}

func TestAScheduledBookingIsHeldADayBefore(t *testing.T) {
	t.Parallel()
	w := newTill(t)
	b := w.booked(10 * 24 * time.Hour)
	r, err := w.Reserve(t.Context(), w.user, b, "")
	w.must(err)
	if !r.Planned || r.NextAction != payment.ActSetUpCard || r.ClientSecret == "" {
		t.Fatalf("reserved %+v", r)
	}
	pm, err := w.browser.Card(t.Context(), stripe.Visa)
	w.must(err)
	_, err = w.browser.Confirm(t.Context(), r.ClientSecret, pm)
	w.must(err)
	if r, err = w.Reserve(t.Context(), w.user, b, ""); err != nil || !r.Planned || r.NextAction != "" {
		t.Fatalf("reserved %+v, error %v", r, err)
	}
	w.clock.Advance(9*24*time.Hour - time.Second)
	w.settle(b)
	w.wantPaid(b, "initial new £120.00")
	w.clock.Advance(time.Second)
	w.settle(b)
	w.wantPaid(b, "initial held £120.00")
	if w.booking(b).Funded.IsZero() {
		t.Error("it is not funded")
	}
}

// The bank wants the principal for a scheduled booking: they are told, reminded at
// 20, 6 and 2 hours, and confirm the same intent.
func TestAScheduledBookingThatNeedsItsPrincipal(t *testing.T) {
	t.Parallel()
	w := newTill(t)
	w.keeps(stripe.AlwaysAuthenticate)
	b := w.booked(30 * time.Hour)
	w.settle(b)
	for _, step := range []struct {
		after time.Duration
		told  int
	}{{6 * time.Hour, 1}, {3*time.Hour + 59*time.Minute, 1}, {time.Minute, 2}, {14 * time.Hour, 3}, {4 * time.Hour, 4}, {time.Hour, 4}} {
		w.clock.Advance(step.after)
		w.settle(b)
		if len(w.told) != step.told || slices.ContainsFunc(w.told, func(kind string) bool { return kind != "payment_action" }) {
			t.Fatalf("%s before the start: told %v, want %d of them", w.booking(b).Start.Sub(w.clock.Now()), w.told, step.told)
		}
	}
	for _, about := range w.tidings {
		if !slices.Equal(about.Channels, []fleet.Channel{fleet.PushChannel, fleet.MailChannel, fleet.SMSChannel, fleet.InboxChannel}) ||
			about.Data["link"] != "https://armora.test/pay#"+b.String() {
			t.Errorf("told by %v: %v", about.Channels, about.Data)
		}
	}
	if !w.booking(b).Funded.IsZero() {
		t.Error("it is funded")
	}
	r, err := w.Reserve(t.Context(), w.user, b, "")
	w.must(err)
	if r.NextAction != payment.ActAuthenticate || r.URL == "" {
		t.Fatalf("reserved %+v", r)
	}
	again, err := w.Reserve(t.Context(), w.user, b, "")
	if err != nil || again.URL != r.URL {
		t.Errorf("reserved again: %+v, error %v", again, err)
	}
	w.must(w.browser.Authenticate(t.Context(), r.URL, true))
	w.must(w.SeeIntent(t.Context(), r.Payment.Stripe))
	w.wantPaid(b, "initial held £120.00")
	if w.booking(b).Funded.IsZero() || len(stripe.All[stripe.Intent](w.stripe)) != 1 {
		t.Error("it is not funded by the same intent")
	}
}

// Who puts off what is not paid for is told of it at the times before the new start.
func TestWhoHasPutItOffIsRemindedAnew(t *testing.T) {
	t.Parallel()
	w := newTill(t)
	w.keeps(stripe.DeclineAfterAttach)
	b := w.booked(5 * time.Hour)
	putOff := func(by time.Duration) {
		w.change(b, func(c *schema.BookingTx) error {
			c.Start = c.Start.Add(by)
			return c.Note(schema.Event{Kind: "edited"})
		})
	}
	for i, step := range []struct{ after, by time.Duration }{
		{0, 0}, {0, 7 * 24 * time.Hour}, {7*24*time.Hour - 19*time.Hour, 0}, {4 * time.Hour, 0}, {14*time.Hour + time.Minute, 0}, {0, 5 * time.Hour},
	} {
		w.clock.Advance(step.after)
		if step.by > 0 {
			putOff(step.by)
		}
		w.settle(b)
		if want := []int{1, 1, 2, 3, 4, 5}[i]; len(w.told) != want {
			t.Fatalf("%s before the start: told %d times, want %d", w.booking(b).Start.Sub(w.clock.Now()), len(w.told), want)
		}
	}
	told := map[string]bool{}
	for _, about := range w.tidings {
		if told[about.Once] {
			t.Errorf("%s would be told once alone", about.Once)
		}
		told[about.Once] = true
	}
}

func TestCancellingTakesItsFeeFromTheHold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fee  fleet.Money
		want string
	}{
		{fleet.Pounds(0), "initial cancelled £120.00"},
		{fleet.Pounds(6), "initial captured £120.00 took £6.00"},
		{fleet.Pence(29), "initial cancelled £120.00"}, // under the minimum: written off
		{fleet.Pence(30), "initial captured £120.00 took £0.30"},
		{fleet.Pounds(120), "initial captured £120.00"},
	} {
		t.Run(c.fee.String(), func(t *testing.T) {
			t.Parallel()
			w, b := newHeld(t)
			w.ends(b, fleet.Cancelled, c.fee)
			w.settle(b)
			w.wantPaid(b, c.want)
			if sums := w.agrees(); sums["principals"] != 0 {
				t.Errorf("balances are %v", sums)
			}
		})
	}
}

func TestAFeeWithoutAHoldIsTakenOffSessionOrIsADebt(t *testing.T) {
	t.Parallel()
	t.Run("taken", func(t *testing.T) {
		t.Parallel()
		w := newTill(t)
		w.keeps(stripe.Visa)
		b := w.booked(30 * time.Hour)
		w.settle(b)
		w.ends(b, fleet.Cancelled, fleet.Pounds(6))
		w.settle(b)
		w.wantPaid(b, "fee captured £6.00")
		w.agrees()
	})
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		w := newTill(t)
		w.keeps(stripe.DeclineAfterAttach)
		b := w.booked(30 * time.Hour)
		w.settle(b)
		w.ends(b, fleet.Cancelled, fleet.Pounds(6))
		w.settle(b)
		w.settle(b)
		w.wantPaid(b, "fee cancelled £6.00")
		debts := w.debts(b)
		if len(debts) != 1 || debts[0].Amount != fleet.Pounds(6) || debts[0].State != fleet.DebtOpen || debts[0].Reason != "card_declined" {
			t.Fatalf("debts are %+v", debts)
		}
		if owes, err := (schema.Debts{DB: w.db}).Indebted(t.Context(), w.user); err != nil || !owes {
			t.Errorf("indebted: %v, error %v", owes, err)
		}
		if len(w.tidings) != 1 || w.told[0] != "payment_failed" || w.tidings[0].Booking != b || w.tidings[0].Data["amount"] != "£6.00" {
			t.Errorf("of the debt the principal was told %+v", w.tidings)
		}
		_, err := w.PayDebt(t.Context(), w.person(fleet.RoleRider), debts[0].ID, "pm_card_visa")
		w.want(err, fleet.CodeNotFound)
		r, err := w.PayDebt(t.Context(), w.user, debts[0].ID, "pm_card_authenticationRequired")
		w.must(err)
		w.must(w.browser.Authenticate(t.Context(), r.URL, true))
		w.settle(b)
		w.wantPaid(b, "fee cancelled £6.00", "debt captured £6.00")
		if debts := w.debts(b); len(debts) != 1 || debts[0].State != fleet.DebtPaid || debts[0].PaidBy != r.Payment.ID {
			t.Errorf("debts are %+v", debts)
		}
		_, err = w.PayDebt(t.Context(), w.user, debts[0].ID, "pm_card_visa")
		w.want(err, fleet.CodeConflict)
		if sums := w.agrees(); sums["principals"] != 0 {
			t.Errorf("balances are %v", sums)
		}
	})
	t.Run("no card", func(t *testing.T) {
		t.Parallel()
		w := newTill(t)
		b := w.booked(30 * time.Hour)
		w.ends(b, fleet.Cancelled, fleet.Pounds(6))
		w.settle(b)
		w.wantPaid(b)
		if debts := w.debts(b); len(debts) != 1 || debts[0].Reason != "no_card" {
			t.Errorf("debts are %+v", debts)
		}
		w.waives(b)
		if debts := w.debts(b); len(debts) != 1 || debts[0].State != fleet.DebtForgiven {
			t.Errorf("debts are %+v", debts)
		}
		if sums := w.agrees(); sums["principals"] != 0 || sums[fleet.AccountRevenue] != 0 {
			t.Errorf("balances are %v", sums)
		}
	})
}

// A waived fee that was taken is given back.
func TestWhatIsNotDueAnyMoreIsGivenBack(t *testing.T) {
	t.Parallel()
	w, b := newHeld(t)
	w.ends(b, fleet.Cancelled, fleet.Pounds(60))
	w.settle(b)
	w.waives(b)
	w.settle(b)
	w.wantPaid(b, "initial captured £120.00 took £60.00 gave back £60.00")
	if sums := w.agrees(); sums["principals"] != 0 || sums[fleet.AccountRevenue] != 0 || sums[fleet.AccountVAT] != 0 {
		t.Errorf("balances are %v", sums)
	}
}
