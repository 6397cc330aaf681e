package payment_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"armora/fleet"
	"armora/payment"
	"armora/schema"
	"armora/sim/stripe"
)

// act is a step of a flow, and how often the hub may have to be started for it.
type act func(w *till, b fleet.BookingID) error

// settled settles a booking, and again when that is to be done, as the sweep does.
func settled(w *till, b fleet.BookingID) error {
	for range 4 {
		if err := w.Settle(w.t.Context(), b); err != nil {
			return err
		}
		w.must(w.earnings.Settle(w.t.Context(), b))
		var next *time.Time
		w.must(w.db.Pool().QueryRow(w.t.Context(), `SELECT next_look FROM booking_money WHERE booking_id = $1`, b).Scan(&next))
		if next == nil || next.Sub(w.clock.Now()) > 10*time.Minute {
			break
		}
		w.clock.Advance(max(0, next.Sub(w.clock.Now())))
	}
	return nil
}

func completed(fee fleet.Money) act {
	return func(w *till, b fleet.BookingID) error {
		w.runs(b, fleet.InProgress)
		w.ends(b, fleet.Completed, fee)
		return nil
	}
}

func givenBack(amount int64) act {
	return func(w *till, b fleet.BookingID) error {
		if refunds, err := w.payments.Refunds(w.t.Context(), b); err != nil || len(refunds) > 0 {
			return err // the request that died had saved it
		}
		payments := w.paid(b)
		_, err := w.Refund(w.t.Context(), payment.Staff{Roles: []fleet.Role{fleet.RoleFinance}}, payments[0].ID, amount, "it was late")
		return err
	}
}

// flows are the ways of money, with what they come to.
var flows = map[string]struct {
	in   time.Duration
	acts []act
	want string
}{
	"held, taken, given back": {0, []act{settled, completed(fleet.Pounds(120)), settled, givenBack(2_000), settled},
		"initial captured £120.00 gave back £20.00"},
	"held, taken in part": {0, []act{settled, func(w *till, b fleet.BookingID) error {
		w.ends(b, fleet.Cancelled, fleet.Pounds(60))
		return nil
	}, settled}, "initial captured £120.00 took £60.00"},
	"held, let go": {0, []act{settled, func(w *till, b fleet.BookingID) error {
		w.ends(b, fleet.Cancelled, fleet.Pounds(0))
		return nil
	}, settled}, "initial cancelled £120.00"},
	"taken, and more": {0, []act{settled, completed(fleet.Pounds(150)), settled}, "initial captured £120.00, overage captured £30.00"},
	"a fee without a hold": {40 * time.Hour, []act{func(w *till, b fleet.BookingID) error {
		w.ends(b, fleet.Cancelled, fleet.Pounds(6))
		return nil
	}, settled}, "fee captured £6.00"},
	"dearer": {0, []act{settled, func(w *till, b fleet.BookingID) error {
		w.change(b, func(c *schema.BookingTx) error {
			c.Total = fleet.Pounds(170)
			return c.Note(schema.Event{Kind: "edited"})
		})
		return nil
	}, settled, completed(fleet.Pounds(170)), settled}, "initial cancelled £120.00, reauthorisation captured £170.00"},
	"expired, and held anew": {0, []act{settled, func(w *till, b fleet.BookingID) error {
		p := w.paid(b)[0]
		w.stripe.Expire(p.Stripe)
		return w.SeeIntent(w.t.Context(), p.Stripe)
	}, settled, completed(fleet.Pounds(120)), settled}, "initial expired £120.00, reauthorisation captured £120.00"},
	"taken ahead, and too much": {0, []act{settled, func(w *till, b fleet.BookingID) error {
		_, err := w.Charge(w.t.Context(), payment.Staff{Roles: []fleet.Role{fleet.RoleFinance}}, w.paid(b)[0].ID)
		return err
	}, completed(fleet.Pounds(90)), settled}, "initial captured £120.00 gave back £30.00"},
	"a debt that is paid": {40 * time.Hour, []act{func(w *till, b fleet.BookingID) error {
		w.drops()
		w.ends(b, fleet.Cancelled, fleet.Pounds(6))
		return nil
	}, settled, func(w *till, b fleet.BookingID) error {
		d := w.debts(b)[0]
		if d.State != fleet.DebtOpen {
			return nil // the request that died had paid it
		}
		_, err := w.PayDebt(w.t.Context(), w.user, d.ID, "pm_card_visa")
		return err
	}, func(w *till, b fleet.BookingID) error {
		w.keeps(w.card)
		return nil
	}, settled}, "debt captured £6.00"},
	"passed on, and a part taken back": {0, []act{settled, guarded, worked(fleet.Pounds(150)), settled, givenBack(3_000), settled},
		"initial captured £120.00 gave back £30.00, overage captured £30.00, passed on £90.00, taken back £18.00"},
}

// goes runs a flow. A step that fails is a hub that has died: another one starts, some
// minutes later, and does what is to be done.
func (w *till) goes(in time.Duration, acts []act) fleet.BookingID {
	w.t.Helper()
	b, deaths := w.booked(in), 0
	for _, do := range acts {
		for do(w, b) != nil {
			if deaths++; deaths > 10 {
				w.t.Fatal("it does not go on")
			}
			w.restart()
			w.clock.Advance(max(w.down, 2*time.Minute<<deaths)) // a refund that broke is asked for by the same key for a day
		}
	}
	w.must(settled(w, b))
	return b
}

func (w *till) state(b fleet.BookingID) string {
	var states []string
	for _, p := range w.paid(b) {
		states = append(states, strings.TrimSuffix(fmt.Sprintf("%s %s %s", p.Purpose, p.State, p.Amount), " "))
		last := &states[len(states)-1]
		if p.Captured != 0 && p.Captured != p.Amount.Amount {
			*last += " took " + fleet.Pence(p.Captured).String()
		}
		if p.Refunded != 0 {
			*last += " gave back " + fleet.Pence(p.Refunded).String()
		}
	}
	for _, tr := range w.transfers(b) {
		what := map[bool]string{true: "passed on ", false: "taken back "}[tr.Reverses.IsZero()] + tr.Amount.String()
		if tr.State != fleet.TransferMade {
			what += " " + string(tr.State)
		}
		states = append(states, what)
	}
	return strings.Join(states, ", ")
}

// moving are the requests that money moves by.
var moving = []string{"/v1/payment_intents", "/v1/refunds", "/v1/transfers"}

// Each request to Stripe of each flow is answered by an error, which says whether Stripe
// has done it or not; or the hub dies for a day before or after Stripe does it. It comes to
// the same. That it dies for a moment, TestAHubIsKilledAtEachRequest shows.
func TestEachRequestFails(t *testing.T) {
	t.Parallel()
	faults := map[string]struct {
		act  stripe.Act
		down time.Duration
	}{
		"500 before": {act: stripe.Fail}, "500 after": {act: stripe.FailAfter}, "429": {act: stripe.Limit},
		"before, for a day": {stripe.Cut, 25 * time.Hour}, "after, for a day": {stripe.Lose, 25 * time.Hour}, // Stripe has forgotten the key
	}
	for name, flow := range flows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTill(t)
			w.keeps(stripe.Visa)
			var mu sync.Mutex
			n, at, fault := 0, 0, stripe.Pass
			w.stripe.Interfere(func(r stripe.Request) stripe.Act {
				mu.Lock()
				defer mu.Unlock()
				if r.Method != http.MethodPost || !slices.ContainsFunc(moving, func(path string) bool { return strings.HasPrefix(r.Path, path) }) {
					return stripe.Pass
				}
				if n++; n == at {
					return fault
				}
				return stripe.Pass
			})
			b := w.goes(flow.in, flow.acts)
			if got := w.state(b); got != flow.want {
				t.Fatalf("without a fault: %s, want %s", got, flow.want)
			}
			steps := n
			for how, f := range faults {
				w.down = f.down
				for step := 1; step <= steps; step++ {
					mu.Lock()
					n, at, fault = 0, step, f.act
					mu.Unlock()
					b := w.goes(flow.in, flow.acts)
					if got := w.state(b); got != flow.want {
						t.Errorf("%s request %d of %d: %s, want %s", how, step, steps, got, flow.want)
					}
					if n < at {
						t.Errorf("%s request %d of %d: nothing happened", how, step, steps)
					}
					w.wantTruth(b)
					w.twins(b)
				}
			}
			w.agrees()
		})
	}
}

// Two hubs settle the same booking at once: it is held once, and taken once.
func TestTwoHubsSettleAtOnce(t *testing.T) {
	t.Parallel()
	w := newTill(t)
	w.keeps(stripe.Visa)
	b := w.booked(0)
	together := func(do ...func() error) {
		t.Helper()
		var wg sync.WaitGroup
		for _, f := range do {
			wg.Go(func() {
				if err := f(); err != nil && fleet.CodeOf(err) != fleet.CodeUnavailable && fleet.CodeOf(err) != fleet.CodeConflict {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	settle := func() error { return w.Settle(t.Context(), b) }
	together(settle, settle, settle)
	w.settle(b)
	w.wantPaid(b, "initial held £120.00")
	w.runs(b, fleet.Completed)
	together(settle, settle, settle)
	w.settle(b)
	w.wantPaid(b, "initial captured £120.00")
	by := payment.Staff{Roles: []fleet.Role{fleet.RoleFinance}}
	refund := func() error {
		_, err := w.Refund(t.Context(), by, w.paid(b)[0].ID, 8_000, "it was late")
		if fleet.CodeOf(err) == fleet.CodeInvalid {
			return nil // somebody was first: as much is not left
		}
		return err
	}
	together(refund, refund, settle)
	w.settle(b)
	w.wantPaid(b, "initial captured £120.00 gave back £80.00")
	w.wantTruth(b)
	w.twins(b)
	w.agrees()
}

// A refund is asked for while the capture is on its way.
func TestARefundDuringTheCapture(t *testing.T) {
	t.Parallel()
	w, b := newHeld(t)
	w.runs(b, fleet.Completed)
	w.stripe.Plan(stripe.Fault{Act: stripe.Lose, On: "POST /v1/payment_intents/*/capture"})
	w.want(w.Settle(t.Context(), b), fleet.CodeUnavailable)
	by := payment.Staff{Roles: []fleet.Role{fleet.RoleFinance}}
	_, err := w.Refund(t.Context(), by, w.paid(b)[0].ID, 0, "it was late")
	w.want(err, fleet.CodeConflict) // by what is known nothing was taken
	w.settle(b)
	_, err = w.Refund(t.Context(), by, w.paid(b)[0].ID, 0, "it was late")
	w.must(err)
	w.wantPaid(b, "initial captured £120.00 gave back £120.00")
	w.wantTruth(b)
	w.agrees()
}
