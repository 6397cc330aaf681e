package payment_test

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"

	api "github.com/stripe/stripe-go/v76"

	"armora/fleet"
	"armora/payment"
	"armora/sim/stripe"
)

// heard is all that is logged, by us and by Stripe's client, and each error.
type heard struct {
	mu   sync.Mutex
	text strings.Builder
}

func (h *heard) Write(line []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.Write(line)
}

func (h *heard) Debugf(format string, v ...any) { _, _ = fmt.Fprintf(h, format+"\n", v...) }
func (h *heard) Infof(format string, v ...any)  { h.Debugf(format, v...) }
func (h *heard) Warnf(format string, v ...any)  { h.Debugf(format, v...) }
func (h *heard) Errorf(format string, v ...any) { h.Debugf(format, v...) }

// secret is what nobody may read: the client secrets of intents, the numbers of cards,
// and keys, whosever they are.
var secret = regexp.MustCompile(`(pi|seti)_\w+_secret_\w+|\b[34568]\d{14,15}\b|\bsk_\w+|whsec_\w+`)

// Whatever becomes of money, no secret is in a log or in an error. It is not parallel:
// it listens to the logger that Stripe's client has unless it is told another.
func TestNoSecretIsLogged(t *testing.T) {
	h := &heard{}
	defer func(was api.LeveledLoggerInterface) { api.DefaultLeveledLogger = was }(api.DefaultLeveledLogger)
	api.DefaultLeveledLogger = h
	w := newRadio(t)
	w.log = slog.New(slog.NewTextHandler(h, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.restart()
	var err error
	w.feed, err = payment.NewFeed(payment.FeedConfig{Cashier: w.Cashier, Secrets: []string{w.secret}})
	w.must(err)
	m, ctx := w.club(0), t.Context()
	fails := func(err error, code fleet.Code) {
		t.Helper()
		w.want(err, code)
		for ; err != nil; err = errors.Unwrap(err) { // what a log would say of it, down to its cause
			h.Errorf("%v", err)
		}
	}

	b := w.booked(0)
	r, err := w.Reserve(ctx, w.user, b, "pm_card_visa_chargeDeclinedInsufficientFunds")
	w.must(err)
	if !secret.MatchString(r.ClientSecret) {
		t.Fatalf("the secret of an intent is %q", r.ClientSecret)
	}
	_, err = w.Reserve(ctx, w.user, b, stripe.Visa) // Stripe's refusal quotes it
	h.Errorf("a number in place of a card: %v", err)
	w.flow() // 3-D Secure, webhooks, a capture and a refund
	stranger := w.user
	for _, card := range []string{stripe.AlwaysAuthenticate, stripe.DeclineAfterAttach} {
		w.user = w.person(fleet.RoleRider)
		w.keeps(card)
		if j, err := m.Join(ctx, w.user, fleet.PaymentMethodID{}); err != nil || !secret.MatchString(j.ClientSecret) {
			t.Fatalf("joined %+v, error %v", j, err)
		}
	}
	w.user = w.person(fleet.RoleRider)
	w.keeps(stripe.Visa)
	w.stripe.Plan(stripe.Fault{Act: stripe.Lose, On: "POST /v1/subscriptions"})
	_, err = m.Join(ctx, w.user, fleet.PaymentMethodID{})
	fails(err, fleet.CodeUnavailable)
	for _, act := range []stripe.Act{stripe.Cut, stripe.Lose, stripe.Fail, stripe.Limit} { // nobody knows
		unknown := w.booked(0)
		w.stripe.Plan(stripe.Fault{Act: act, On: "POST /v1/payment_intents/*/confirm"})
		if err := w.Settle(ctx, unknown); err != nil {
			fails(err, fleet.CodeUnavailable)
		}
	}
	_, err = w.Reserve(ctx, stranger, w.booked(0), "")
	fails(err, fleet.CodeNotFound)
	forged := []byte(`{"id":"evt_1","data":{"object":{"id":"pi_1","client_secret":"` + r.ClientSecret + `"}`)
	for _, by := range []string{"whsec_other", w.secret} { // the one is not Stripe's, the other no JSON
		fails(w.feed.Take(ctx, forged, stripe.Sign(by, w.clock.Now(), forged)), fleet.CodeInvalid)
	}
	w.stripe.Deliver(ctx)
	for _, id := range w.waiting() {
		h.Errorf("%v", w.feed.Look(ctx, id)) // of some nobody knows yet
	}

	said := h.text.String()
	for _, line := range []string{"Stripe did not do what was asked", "card_declined", "an event was refused", "no answer"} {
		if !strings.Contains(said, line) {
			t.Errorf("nothing is said of %q", line)
		}
	}
	for line := range strings.Lines(said) {
		if secret.MatchString(line) || strings.Contains(line, w.secret) {
			t.Errorf("a secret is told: %s", line)
		}
	}
}
