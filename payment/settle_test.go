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
	w := newTill(t)
	w.keeps(stripe.Visa)
	b := w.booked(0)
	w.settle(b)
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
			w := newTill(t)
			w.keeps(stripe.Visa)
			b := w.booked(0)
			w.settle(b)
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
	w := newTill(t)
	w.keeps(stripe.Visa)
	b := w.booked(0)
	w.settle(b)
	w.ends(b, fleet.Cancelled, fleet.Pounds(60))
	w.settle(b)
	w.waives(b)
	w.settle(b)
	w.wantPaid(b, "initial captured £120.00 took £60.00 gave back £60.00")
	if sums := w.agrees(); sums["principals"] != 0 || sums[fleet.AccountRevenue] != 0 || sums[fleet.AccountVAT] != 0 {
		t.Errorf("balances are %v", sums)
	}
}

func TestADearerEditIsHeldAnewBeforeTheOldHoldGoes(t *testing.T) {
	t.Parallel()
	w := newTill(t)
	w.keeps(stripe.Visa)
	b := w.booked(0)
	w.settle(b)
	dearer := func(total fleet.Money) {
		w.change(b, func(c *schema.BookingTx) error {
			c.Total = total
			return c.Note(schema.Event{Kind: "edited"})
		})
		w.settle(b)
	}
	dearer(fleet.Pounds(100)) // cheaper: the hold is enough
	w.wantPaid(b, "initial held £120.00")
	dearer(fleet.Pounds(170))
	w.wantPaid(b, "initial cancelled £120.00", "reauthorisation held £170.00")
	intents := stripe.All[stripe.Intent](w.stripe)
	if len(intents) != 2 {
		t.Fatalf("Stripe has %d intents", len(intents))
	}
	w.runs(b, fleet.InProgress)
	w.change(b, func(c *schema.BookingTx) error {
		c.Total = fleet.Pounds(195)
		return c.Note(schema.Event{Kind: "extended"})
	})
	w.settle(b)
	w.wantPaid(b, "initial cancelled £120.00", "reauthorisation held £170.00", "extension held £25.00")
	w.ends(b, fleet.Completed, fleet.Pounds(220))
	w.settle(b)
	w.wantPaid(b, "initial cancelled £120.00", "reauthorisation captured £170.00", "extension captured £25.00", "overage captured £25.00")
	w.agrees()
}

// A dearer edit that the card refuses: whom nobody has yet is not dispatched, and
// is as soon as there is another card. Whom somebody has keeps them.
func TestADearerEditThatIsRefused(t *testing.T) {
	t.Parallel()
	for _, stands := range []fleet.BookingStatus{fleet.Searching, fleet.Assigned, fleet.EnRoute} {
		assigned := stands != fleet.Searching
		w := newTill(t)
		card := w.keeps(stripe.Visa)
		b := w.booked(0)
		w.settle(b)
		if assigned {
			w.runs(b, stands)
		} else {
			w.runs(b, fleet.Searching)
			driver := w.officer()
			w.change(b, func(c *schema.BookingTx) error { // who waits for the others of a team
				seat := c.Seats[0]
				seat.State, seat.Driver, seat.From, seat.To, seat.Held = fleet.SeatHeld, driver, c.Start, c.Start.Add(time.Minute), c.Now.Add(time.Minute)
				return c.Take(seat)
			})
		}
		w.drops()
		w.change(b, func(c *schema.BookingTx) error {
			if stands == fleet.EnRoute { // the officer on the way gives it back, and another is looked for
				stands = fleet.Searching
				if err := c.Move(stands, schema.Event{Kind: "released"}); err != nil {
					return err
				}
			}
			c.Total = fleet.Pounds(200)
			return c.Note(schema.Event{Kind: "edited"})
		})
		w.settle(b)
		if held := w.paid(b)[0]; held.State != fleet.PaymentHeld {
			t.Errorf("nothing new is held, and the old hold is %s", held.State)
		}
		now := w.booking(b)
		if assigned {
			if now.Status != stands || now.Funded.IsZero() {
				t.Errorf("%s with its card %s gone: %s, funded %v", b, card, now.Status, now.Funded)
			}
			continue
		}
		if seat := now.Lead(); now.Status != fleet.Scheduled || !now.Funded.IsZero() || seat.State != fleet.SeatOpen || !seat.Driver.IsZero() {
			t.Errorf("it is %s, funded %v, its seat is %+v", now.Status, now.Funded, seat)
		}
		w.keeps(stripe.Mastercard)
		w.settle(b)
		if w.booking(b).Funded.IsZero() {
			t.Errorf("it is not funded by the new card: %+v", w.paid(b))
		}
	}
}

// Of a long assignment what is earned is taken a day before the hold runs out, which
// Stripe says when it does, and the rest held anew.
func TestAHoldThatRunsOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		card  string
		stood time.Duration
	}{"a Visa card": {stripe.Visa, stripe.HoldAway}, "another": {stripe.Mastercard, stripe.HoldFor}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTill(t)
			w.keeps(c.card)
			b := w.booked(0)
			w.change(b, func(c *schema.BookingTx) error {
				c.Minutes, c.Total = 7*24*60, fleet.Pounds(8500)
				return c.Note(schema.Event{Kind: "edited"})
			})
			w.settle(b)
			w.runs(b, fleet.InProgress)
			w.clock.Advance(c.stood - payment.CaptureAhead - time.Second)
			w.settle(b)
			w.wantPaid(b, "initial held £8500.00")
			w.clock.Advance(time.Second)
			w.settle(b)
			p := w.paid(b)
			if len(p) != 2 || p[0].State != fleet.PaymentCaptured || p[0].Captured < 3500_00 || p[0].Captured >= 8500_00 || p[1].Purpose != fleet.ForReauthorisation ||
				p[1].State != fleet.PaymentHeld || p[0].Captured+p[1].Amount.Amount != 8500_00 {
				t.Fatalf("payments are %+v", p)
			}
			w.ends(b, fleet.Completed, fleet.Pounds(8500))
			w.settle(b)
			if sums := w.agrees(); sums["principals"] != 0 {
				t.Errorf("balances are %v", sums)
			}
		})
	}
}

// A hold that Stripe or the bank gives up is held anew.
func TestAnExpiredHold(t *testing.T) {
	t.Parallel()
	w := newTill(t)
	w.keeps(stripe.Visa)
	b := w.booked(0)
	w.settle(b)
	w.runs(b, fleet.Assigned)
	intent := w.paid(b)[0].Stripe
	w.stripe.Expire(intent)
	w.must(w.SeeIntent(t.Context(), intent))
	w.wantPaid(b, "initial expired £120.00", "reauthorisation held £120.00")
	// And if nobody has told us, the capture finds out.
	w.stripe.Expire(w.paid(b)[1].Stripe)
	w.runs(b, fleet.Completed)
	w.settle(b)
	w.wantPaid(b, "initial expired £120.00", "reauthorisation expired £120.00", "overage captured £120.00")
	w.agrees()
}
