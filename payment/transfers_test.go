package payment_test

import (
	"log/slog"
	"sync"
	"testing"
	"time"

	"armora/fleet"
	"armora/payment"
	"armora/schema"
	"armora/sim/stripe"
	"armora/tariff"
)

// officer is an officer who has told Stripe all that it wants to know.
func (w *till) officer() fleet.DriverID {
	w.t.Helper()
	user := w.person(fleet.RoleDriver)
	id := fleet.NewID[fleet.Driver]()
	w.must(schema.Drivers{DB: w.db}.Create(w.t.Context(), fleet.Driver{ID: id, Name: "Ben Hale", Tier: fleet.Essential, User: user}))
	page, err := w.Onboard(w.t.Context(), user)
	w.must(err)
	w.must(w.browser.Onboard(w.t.Context(), page.URL))
	if a, err := w.PayoutAccount(w.t.Context(), user); err != nil || !a.Ready {
		w.t.Fatalf("%+v, %v", a, err)
	}
	return id
}

func (w *till) account(driver fleet.DriverID) string {
	w.t.Helper()
	a, err := w.PayoutAccountOf(w.t.Context(), driver)
	w.must(err)
	return a.Stripe
}

// takes gives the booking to an officer.
func (w *till) takes(b fleet.BookingID, driver fleet.DriverID) {
	w.t.Helper()
	for _, state := range []fleet.SeatState{fleet.SeatHeld, fleet.SeatCommitted} {
		w.change(b, func(c *schema.BookingTx) error {
			s := c.Seats[0]
			s.State, s.Driver, s.From, s.To, s.Held = state, driver, c.Start, c.Start.Add(time.Minute), c.Now.Add(time.Minute)
			return c.Take(s)
		})
	}
}

// works ends a booking, all of whose price is hours: an officer earns 60 % of it.
func (w *till) works(b fleet.BookingID, total fleet.Money) {
	w.t.Helper()
	w.runs(b, fleet.InProgress)
	price := tariff.Price{Minutes: 120, Officers: 1, Lines: []tariff.Line{{Kind: tariff.Hours, Minutes: 120, Amount: total}}, Total: total}
	w.change(b, func(c *schema.BookingTx) error {
		c.Fee = total
		return c.Move(fleet.Completed, schema.Event{Kind: "completed", Data: map[string]any{"price": price}})
	})
}

func guarded(w *till, b fleet.BookingID) error {
	w.takes(b, w.officer())
	return nil
}

func worked(total fleet.Money) act {
	return func(w *till, b fleet.BookingID) error {
		w.works(b, total)
		return nil
	}
}

// done is a booking of £120 that an officer has worked for, and all about it done.
func (w *till) done(driver fleet.DriverID) fleet.BookingID {
	w.t.Helper()
	b := w.booked(0)
	w.settle(b)
	w.takes(b, driver)
	w.works(b, fleet.Pounds(120))
	w.must(settled(w, b))
	return b
}

func (w *till) transfers(b fleet.BookingID) []fleet.Transfer {
	w.t.Helper()
	all, err := schema.Transfers{DB: w.db}.OfBooking(w.t.Context(), b)
	w.must(err)
	return all
}

// earned is what was written down for the officers of a booking, by how it is paid.
func (w *till) earned(b fleet.BookingID) map[fleet.Payout]int64 {
	w.t.Helper()
	sums := map[fleet.Payout]int64{}
	w.change(b, func(c *schema.BookingTx) error {
		earned, err := c.Earned()
		for _, e := range earned {
			sums[e.Payout] += e.Amount.Amount
		}
		return err
	})
	return sums
}

func (w *till) wantEarned(b fleet.BookingID, transfer, payroll int64) {
	w.t.Helper()
	if e := w.earned(b); e[fleet.ByTransfer] != transfer || e[fleet.ByPayroll] != payroll {
		w.t.Errorf("earned %v, want %d by transfer and %d by payroll", e, transfer, payroll)
	}
}

// wantPay wants officers to have by transfer what they are to have so, and the ledger
// to owe them the rest.
func (w *till) wantPay(b fleet.BookingID, postings []fleet.Posting) {
	w.t.Helper()
	earned, passed, owed := w.earned(b), int64(0), int64(0)
	for _, tr := range w.transfers(b) {
		passed += tr.Passed()
	}
	for _, p := range postings {
		for _, e := range p.Entries {
			if e.Account == fleet.AccountOfficers {
				owed -= e.Amount.Amount
			}
		}
	}
	if earned[fleet.ByTransfer] != passed || earned[fleet.ByPayroll] != owed {
		w.t.Errorf("booking %s: earned %v, %d was passed on, and the ledger owes %d", b, earned, passed, owed)
	}
}

func (w *till) refunds(b fleet.BookingID, amount int64) {
	w.t.Helper()
	w.refund(b, amount)
	w.must(settled(w, b))
}

// What an officer has earned is passed on once it was taken, once; in proportion to
// what is given back it is taken back, and paid by payroll.
func TestWhatAnOfficerHasEarnedIsPassedOn(t *testing.T) {
	t.Parallel()
	w := newTill(t)
	w.keeps(stripe.Visa)
	driver := w.officer()
	b := w.booked(0)
	w.settle(b)
	w.takes(b, driver)
	w.works(b, fleet.Pounds(120))
	w.must(w.earnings.Settle(t.Context(), b))
	w.wantEarned(b, 72_00, 0)
	if n := len(stripe.All[stripe.Transfer](w.stripe)); n != 0 {
		t.Fatalf("%d transfers before anything was taken", n)
	}
	has := func(want bool) {
		t.Helper()
		officer, err := schema.Drivers{DB: w.db}.Get(t.Context(), driver)
		w.must(err)
		own, err := schema.Earnings{DB: w.db}.Own(t.Context(), officer.User, schema.EarningQuery{From: noon, To: noon.AddDate(0, 0, 7), Limit: 10})
		if w.must(err); len(own) != 1 || own[0].Payout != fleet.ByTransfer || own[0].Transferred != want {
			t.Errorf("%+v, want that they have it: %v", own, want)
		}
	}
	has(false)
	w.must(settled(w, b))
	w.must(settled(w, b))
	sent := stripe.All[stripe.Transfer](w.stripe)
	if len(sent) != 1 || sent[0].Amount != 72_00 || sent[0].Destination != w.account(driver) || string(sent[0].SourceTransaction) != w.paid(b)[0].Charge ||
		string(sent[0].TransferGroup) != b.String() {
		t.Fatalf("%+v", sent)
	}
	has(true)
	w.wantTruth(b)
	if sums := w.agrees(); sums[fleet.AccountOfficers] != 0 || sums[fleet.AccountPay] != 72_00 {
		t.Errorf("%v", sums)
	}
	w.wantDifferences(w.books(), 0)

	w.refunds(b, 30_00) // a quarter
	w.wantEarned(b, 54_00, 18_00)
	w.refunds(b, 0) // the rest
	w.wantEarned(b, 0, 72_00)
	if got, want := w.state(b), "initial captured £120.00 gave back £120.00, passed on £72.00, taken back £18.00, taken back £54.00"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	w.wantTruth(b)
	if sums := w.agrees(); sums[fleet.AccountOfficers] != -72_00 {
		t.Errorf("%v", sums)
	}
	w.wantDifferences(w.books(), 0)
}

// By payroll goes all that was earned before Stripe might pay, of accounts with terms
// and without the switch; by transfer, what is neither owed still nor lost to a bank.
func TestWhatGoesByPayroll(t *testing.T) {
	t.Parallel()
	t.Run("no account", func(t *testing.T) {
		t.Parallel()
		w := newTill(t)
		w.keeps(stripe.Visa)
		driver := fleet.NewID[fleet.Driver]()
		user := w.person(fleet.RoleDriver)
		w.must(schema.Drivers{DB: w.db}.Create(t.Context(), fleet.Driver{ID: driver, Name: "Cy", Tier: fleet.Essential, User: user}))
		_, err := w.PayoutAccount(t.Context(), user)
		w.want(err, fleet.CodeNotFound)
		b := w.done(driver)
		w.wantEarned(b, 0, 72_00)
		page, err := w.Onboard(t.Context(), user)
		w.must(err)
		if next := w.done(driver); w.earned(next)[fleet.ByTransfer] != 0 {
			t.Error("paid before Stripe knows who they are")
		}
		w.must(w.browser.Onboard(t.Context(), page.URL))
		if a, err := w.PayoutAccount(t.Context(), user); err != nil || !a.Ready {
			t.Errorf("%+v, %v", a, err)
		}
		w.must(settled(w, b))
		w.wantEarned(b, 0, 72_00) // payroll may have paid it
		w.wantEarned(w.done(driver), 72_00, 0)
	})
	t.Run("the switch is off", func(t *testing.T) {
		t.Parallel()
		w := newTill(t)
		w.keeps(stripe.Visa)
		driver := w.officer()
		before := w.done(driver)
		w.earnings = payment.NewEarnings(w.db, false, w.clock, slog.New(slog.DiscardHandler))
		w.wantEarned(w.done(driver), 0, 72_00)
		w.refunds(before, 60_00) // what was begun goes on
		w.wantEarned(before, 36_00, 36_00)
		w.wantTruth(before)
	})
	t.Run("a debt", func(t *testing.T) {
		t.Parallel()
		w, b := newHeld(t)
		w.takes(b, w.officer())
		w.drops()
		w.works(b, fleet.Pounds(160)) // £40 of which nobody pays
		w.must(w.earnings.Settle(t.Context(), b))
		w.must(settled(w, b))
		w.wantEarned(b, 72_00, 24_00)
		w.wantTruth(b)
	})
	t.Run("a dispute that is lost", func(t *testing.T) {
		t.Parallel()
		w := newTill(t)
		w.keeps(stripe.Visa)
		b := w.done(w.officer())
		w.stripe.Dispute(w.paid(b)[0].Charge, "fraudulent")
		d := stripe.All[stripe.Dispute](w.stripe)[0].ID
		w.must(w.SeeDispute(t.Context(), d))
		w.must(settled(w, b))
		w.wantEarned(b, 72_00, 0) // it may be won
		w.stripe.CloseDispute(d, false)
		jobs := w.jobs("earn_booking")
		w.must(w.SeeDispute(t.Context(), d))
		if n := w.jobs("earn_booking") - jobs; n != 1 {
			t.Errorf("%d jobs of it", n)
		}
		w.must(settled(w, b))
		w.wantEarned(b, 0, 72_00)
		w.wantTruth(b)
		w.agrees()
	})
}

func (w *till) jobs(kind string) (n int) {
	w.t.Helper()
	w.must(w.db.Pool().QueryRow(w.t.Context(), `SELECT count(*) FROM river_job WHERE kind = $1`, kind).Scan(&n))
	return n
}

// What Stripe refuses to pass on is paid by payroll; what it refuses to take back, the
// officer keeps, and ops know.
func TestTransfersThatStripeRefuses(t *testing.T) {
	t.Parallel()
	t.Run("closed", func(t *testing.T) {
		t.Parallel()
		w := newTill(t)
		w.keeps(stripe.Visa)
		driver := w.officer()
		w.stripe.Clear(w.account(driver), false) // nobody has told us
		b := w.done(driver)
		w.wantEarned(b, 0, 72_00)
		w.wantTruth(b)
		if tr := w.transfers(b); len(tr) != 1 || tr[0].State != fleet.TransferFailed || tr[0].Code != "insufficient_capabilities_for_transfer" {
			t.Errorf("%+v", tr)
		}
	})
	t.Run("gone", func(t *testing.T) {
		t.Parallel()
		w := newTill(t)
		w.keeps(stripe.Visa)
		driver := w.officer()
		b := w.done(driver)
		w.stripe.PayOut(w.account(driver))
		w.refunds(b, 60_00)
		w.wantEarned(b, 72_00, 0)
		w.wantTruth(b)
		w.refunds(b, 0) // nor is it tried again
		w.wantEarned(b, 72_00, 0)
		w.wantTruth(b)
		alerts, err := schema.Alerts{DB: w.db}.OpenOf(t.Context(), fleet.AlertPayment)
		if err != nil || len(alerts) != 1 || alerts[0].Booking != b {
			t.Errorf("%+v, %v", alerts, err)
		}
		if sums := w.agrees(); sums[fleet.AccountOfficers] != 0 {
			t.Errorf("%v", sums)
		}
	})
}

// Two hubs pass on at once, and take back at once, while one refunds.
func TestTwoHubsPassOnOnce(t *testing.T) {
	t.Parallel()
	w, b := newHeld(t)
	w.takes(b, w.officer())
	w.works(b, fleet.Pounds(120))
	together := func() {
		t.Helper()
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				err := w.Settle(t.Context(), b)
				if i%2 == 0 {
					err = w.earnings.Settle(t.Context(), b)
				}
				if err != nil && fleet.CodeOf(err) != fleet.CodeUnavailable {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		w.must(settled(w, b))
		w.twins(b)
		w.wantTruth(b)
	}
	together()
	w.wantEarned(b, 72_00, 0)
	w.refund(b, 60_00)
	together()
	w.wantEarned(b, 36_00, 36_00)
	if n := len(stripe.All[stripe.Transfer](w.stripe)) + len(stripe.All[stripe.Reversal](w.stripe)); n != 2 {
		t.Errorf("%d transfers and reversals", n)
	}
	w.agrees()
}

// The webhook of a transfer comes before the answer, twice; or after a day, in which
// Stripe has forgotten the key: it is looked for in the booking's transfers.
func TestAnAnswerToATransferThatNobodyHears(t *testing.T) {
	t.Parallel()
	for _, told := range []bool{true, false} {
		w := newRadio(t)
		w.keeps(stripe.Visa)
		b := w.booked(0)
		w.settle(b)
		w.takes(b, w.officer())
		w.works(b, fleet.Pounds(120))
		w.must(w.earnings.Settle(t.Context(), b))
		w.stripe.Fates(func(stripe.Event) stripe.Fate { return stripe.Fate{Lost: !told, Copies: 1} })
		lost := func(on string) {
			t.Helper()
			w.stripe.Plan(stripe.Fault{Act: stripe.Lose, On: on})
			w.want(w.Settle(t.Context(), b), fleet.CodeUnavailable)
			if w.hears(); told {
				w.wantTruth(b)
			}
			w.clock.Advance(25 * time.Hour)
			w.must(settled(w.till, b))
			w.twins(b)
			w.wantTruth(b)
		}
		lost("POST /v1/transfers")
		w.refund(b, 60_00)
		w.must(w.earnings.Settle(t.Context(), b))
		lost("POST /v1/transfers/*/reversals")
		if got, want := w.state(b), "initial captured £120.00 gave back £60.00, passed on £72.00, taken back £36.00"; got != want {
			t.Errorf("told %v: %s, want %s", told, got, want)
		}
		w.agrees()
		w.wantDifferences(w.books(), 0)
	}
}
