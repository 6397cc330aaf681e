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

func TestADearerEditIsHeldAnewBeforeTheOldHoldGoes(t *testing.T) {
	t.Parallel()
	w, b := newHeld(t)
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
			w.keeps(stripe.Mastercard)
			if waits, err := w.payments.Unpaid(t.Context(), w.user); err != nil || !slices.Equal(waits, []fleet.BookingID{b}) {
				t.Errorf("for the new card wait %v, error %v", waits, err)
			}
			w.settle(b)
			w.wantPaid(b, "initial cancelled £120.00", "reauthorisation held £200.00")
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
	w, b := newHeld(t)
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
