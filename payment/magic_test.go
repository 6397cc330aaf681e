package payment_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"armora/fleet"
	"armora/payment"
	"armora/schema"
	"armora/sim/stripe"
)

// Every card of Stripe's list by the hub's own ways: named while its principal is there,
// kept, tried while they are away, and charged, with what comes of that.
func TestEveryMagicCardByTheHubsWays(t *testing.T) {
	t.Parallel()
	const held, authenticate = "held", "needs_action authentication_required authentication_required"
	no := func(code, decline string) string { return strings.TrimSpace("needs_method " + code + " " + decline) }
	good := magicWay{there: held, away: held, end: "succeeded"}
	refused := func(code, decline string) magicWay { return magicWay{there: no(code, decline), keep: code} }
	ways := map[string]magicWay{
		stripe.Visa: good, stripe.Mastercard: good, stripe.Amex: good, stripe.Debit: good, stripe.BypassPending: good,
		stripe.Declined:                refused("card_declined", "generic_decline"),
		stripe.InsufficientFunds:       refused("card_declined", "insufficient_funds"),
		stripe.LostCard:                refused("card_declined", "lost_card"),
		stripe.StolenCard:              refused("card_declined", "stolen_card"),
		stripe.VelocityExceeded:        refused("card_declined", "card_velocity_exceeded"),
		stripe.ExpiredCard:             refused("expired_card", ""),
		stripe.IncorrectCVC:            refused("incorrect_cvc", ""),
		stripe.ProcessingError:         refused("processing_error", ""),
		stripe.DeclineAfterAttach:      {there: no("card_declined", "generic_decline"), away: no("card_declined", "generic_decline")},
		stripe.Blocked:                 {there: no("card_declined", "fraudulent"), away: no("card_declined", "fraudulent")},
		stripe.AuthenticateUnlessSetUp: {there: held, asks: true, away: held, end: "succeeded"},
		stripe.AlwaysAuthenticate:      {there: held, asks: true, away: authenticate, end: "succeeded"},
		stripe.Authenticate3DS2:        {there: held, asks: true, away: authenticate, end: "succeeded"},
		stripe.AlreadySetUp:            {there: held, asks: true, away: held, end: "succeeded"},
		stripe.AuthenticateNoFunds:     {there: no("card_declined", "insufficient_funds"), asks: true, away: authenticate},
		stripe.AuthenticateThenDecline: {there: no("card_declined", "generic_decline"), asks: true, away: authenticate},
		stripe.DisputeFraudulent:       {there: held, away: held, disputed: fleet.DisputeNeedsResponse, end: "failed charge_disputed"},
		stripe.DisputeNotReceived:      {there: held, away: held, disputed: fleet.DisputeNeedsResponse, end: "failed charge_disputed"},
		stripe.DisputeInquiry:          {there: held, away: held, disputed: fleet.DisputeAsked, end: "succeeded"},
		stripe.RefundPending:           {there: held, away: held, end: "succeeded", first: "pending"},
		stripe.RefundFails:             {there: held, away: held, end: "failed lost_or_stolen_card", first: "succeeded"},
	}
	w := newRadio(t)
	for _, card := range stripe.Cards {
		want, listed := ways[card.Number]
		if !listed {
			t.Errorf("nothing is expected of %s", card.PM)
			continue
		}
		t.Run(card.PM, func(t *testing.T) {
			got := magicWay{}
			defer func(was *testing.T) { w.t = was }(w.t)
			w.t = t
			w.user = w.person(fleet.RoleRider)
			w.there(card.Number, &got)
			w.user = w.person(fleet.RoleRider)
			w.away(card.Number, &got)
			if got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
	w.agrees()
	w.wantDifferences(w.books(), 0)
}

// magicWay is what a card leads to.
type magicWay struct {
	there    string             // how the hold stands, by a card that is named while its principal is there
	asks     bool               // the principal is asked by their bank
	keep     string             // why it can't be kept
	away     string             // how the hold stands by the kept card, with its principal away
	disputed fleet.DisputeState // how the dispute stands that the charge leads to
	first    string             // what was said at first of a refund, if that was not its end
	end      string             // what becomes of a refund
}

// stands is how the one payment of a booking does.
func (w *till) stands(b fleet.BookingID) string {
	w.t.Helper()
	p := w.paid(b)
	last := p[len(p)-1]
	if funded := !w.booking(b).Funded.IsZero(); funded != (last.State == fleet.PaymentHeld) {
		w.t.Errorf("it is %s, and funded: %v", last.State, funded)
	}
	if last.State == fleet.PaymentHeld {
		return "held"
	}
	return strings.TrimSpace(string(last.State) + " " + last.Code + " " + last.Decline)
}

// approves answers the bank, where it asks, with yes.
func (w *radio) approves(r payment.Reservation) (asked bool) {
	w.t.Helper()
	if asked = r.NextAction == payment.ActAuthenticate; asked {
		if err := w.browser.Authenticate(w.t.Context(), r.URL, true); err != nil && !errors.As(err, new(*stripe.Error)) {
			w.t.Fatal(err)
		}
		w.hears()
	}
	return asked
}

// there pays by a card while its principal is there, and has a part of it given back. One
// that is refused is in nobody's way: another pays.
func (w *radio) there(number string, got *magicWay) {
	w.t.Helper()
	ctx := w.t.Context()
	pm, err := w.browser.Card(ctx, number)
	w.must(err)
	b := w.booked(0)
	r, err := w.Reserve(ctx, w.user, b, pm)
	w.must(err)
	got.asks = w.approves(r)
	got.there = w.stands(b)
	if got.there != "held" {
		r, err := w.Reserve(ctx, w.user, b, "pm_card_visa")
		if err != nil || r.Payment.State != fleet.PaymentHeld || w.booking(b).Funded.IsZero() {
			w.t.Errorf("by another card: %+v, %v", r, err)
		}
	}
	w.runs(b, fleet.Completed)
	w.settle(b)
	w.hears()
	if got.there != "held" {
		w.wantPaid(b, "initial captured £120.00")
		w.wantTruth(b)
		return
	}
	disputes, err := schema.Disputes{DB: w.db}.OfBooking(ctx, b)
	w.must(err)
	for _, d := range disputes {
		got.disputed = d.State
	}
	refund := w.refund(b, 20_00)
	w.hoursPass()
	now, err := w.payments.Refund(ctx, refund.ID)
	w.must(err)
	if refund.State != now.State {
		got.first = string(refund.State)
	}
	got.end = strings.TrimSpace(string(now.State) + " " + now.Code)
	w.wantTruth(b)
}

// away pays by a kept card what starts tomorrow, and takes a fee of it when that is
// cancelled: of a card that is refused the fee is a debt.
func (w *radio) away(number string, got *magicWay) {
	w.t.Helper()
	ctx := w.t.Context()
	pm, err := w.browser.Card(ctx, number)
	w.must(err)
	_, secret, err := w.SetUp(ctx, w.user)
	w.must(err)
	next, err := w.browser.Confirm(ctx, secret, pm)
	var refused *stripe.Error
	if errors.As(err, &refused) {
		got.keep = refused.Code
	} else if w.must(err); next.URL != "" {
		w.must(w.browser.Authenticate(ctx, next.URL, true))
	}
	w.hears()
	methods, err := w.Methods(ctx, w.user)
	if w.must(err); len(methods) != map[bool]int{true: 1}[got.keep == ""] {
		w.t.Errorf("%q of %s, and the hub lists %+v", got.keep, number, methods)
	}
	if got.keep != "" {
		return
	}
	b := w.booked(23 * time.Hour)
	w.told = nil
	w.settle(b)
	got.away = w.stands(b)
	if asked := len(w.told) == 1 && w.told[0] == "payment_action"; asked == (got.away == "held") {
		w.t.Errorf("%s, and told %q", got.away, w.told)
	}
	w.ends(b, fleet.Cancelled, fleet.Pounds(6))
	w.settle(b)
	w.settle(b)
	if debts := w.debts(b); (len(debts) == 0) != (got.away == "held") {
		w.t.Errorf("%s, and debts are %+v", got.away, debts)
	}
	w.hears()
	w.wantTruth(b)
}
