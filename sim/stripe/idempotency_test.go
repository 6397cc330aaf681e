package stripe

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	api "github.com/stripe/stripe-go/v76"
)

func keyedBy(key string) func(*api.PaymentIntentParams) {
	return func(p *api.PaymentIntentParams) { p.IdempotencyKey = api.String(key) }
}

func TestAKeyLeadsToItsFirstResult(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	customer := b.customer()
	first := must[*api.PaymentIntent](b)(b.hold(customer, 20_000, keyedBy("one")))
	second := must[*api.PaymentIntent](b)(b.hold(customer, 20_000, keyedBy("one")))
	if first.ID != second.ID || len(All[Intent](b.s)) != 1 {
		t.Fatal("a key made two intents")
	}
	if second.LastResponse.Header.Get("Idempotent-Replayed") != "true" {
		t.Error("the replay is not marked")
	}
	_, err := b.hold(customer, 20_001, keyedBy("one"))
	if refused := refusal(t, err); refused.Type != api.ErrorTypeIdempotency || refused.HTTPStatusCode != http.StatusBadRequest {
		t.Errorf("another body: %+v", refused)
	}
	b.clock.step(24 * time.Hour)
	third := must[*api.PaymentIntent](b)(b.hold(customer, 20_000, keyedBy("one")))
	if third.ID == first.ID {
		t.Error("a key outlived its day")
	}
}

func TestARefusalIsReplayedButNotOneBeforeTheStart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	customer := b.customer()
	broke := must[*api.PaymentMethod](b)(b.api.PaymentMethods.Attach("pm_card_chargeCustomerFail", &api.PaymentMethodAttachParams{Customer: api.String(customer)})).ID
	for range 2 {
		_, err := b.hold(customer, 20_000, off(broke), keyedBy("declined"))
		if refused := refusal(t, err); refused.Code != api.ErrorCodeCardDeclined {
			t.Fatalf("%+v", refused)
		}
	}
	if n := len(All[Charge](b.s)); n != 1 {
		t.Errorf("the issuer was asked %d times", n)
	}
	b.s.Plan(Fault{Act: Fail})
	for range 2 {
		_, err := b.hold(customer, 20_000, keyedBy("broken"))
		if refused := refusal(t, err); refused.HTTPStatusCode != http.StatusInternalServerError {
			t.Fatalf("%+v", refused)
		}
	}
	// What never began is not kept: an unknown parameter, a limit.
	_, err := b.hold(customer, 20_000, keyedBy("typo"), func(p *api.PaymentIntentParams) { p.AddExtra("tip", "1") })
	if refused := refusal(t, err); refused.Code != api.ErrorCodeParameterUnknown || refused.Param != "tip" {
		t.Fatalf("%+v", refused)
	}
	must[*api.PaymentIntent](b)(b.hold(customer, 20_000, keyedBy("typo")))
	b.s.Plan(Fault{Act: Limit})
	_, err = b.hold(customer, 20_000, keyedBy("limit"))
	if refused := refusal(t, err); refused.HTTPStatusCode != http.StatusTooManyRequests {
		t.Fatalf("%+v", refused)
	}
	must[*api.PaymentIntent](b)(b.hold(customer, 20_000, keyedBy("limit")))
}

func TestAnswersThatAreLost(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]struct {
		act  Act
		made int // intents after the first attempt
	}{"cut before": {Cut, 0}, "lost after": {Lose, 1}, "500 after": {FailAfter, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			customer := b.customer()
			b.s.Plan(Fault{Act: act.act, On: "POST /v1/payment_intents"})
			if _, err := b.hold(customer, 20_000, keyedBy("one")); err == nil {
				t.Fatal("it was answered")
			}
			if n := len(All[Intent](b.s)); n != act.made {
				t.Fatalf("%d intents, want %d", n, act.made)
			}
			if _, err := b.hold(customer, 20_000, keyedBy("one")); (err != nil) != (act.act == FailAfter) {
				t.Errorf("again: %v", err)
			}
			if n := len(All[Intent](b.s)); n != 1 {
				t.Errorf("%d intents", n)
			}
		})
	}
}

func TestAKeyInFlightIsRefused(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]Act{"stalls before": Stall, "hangs after": Hang} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			customer := b.customer()
			b.s.Plan(Fault{Act: act, On: "POST /v1/payment_intents"})
			ctx, cancel := context.WithCancel(t.Context())
			left := make(chan error, 1)
			go func() {
				_, err := b.hold(customer, 20_000, keyedBy("one"), func(p *api.PaymentIntentParams) { p.Context = ctx })
				left <- err
			}()
			<-b.s.Stalled()
			_, err := b.hold(customer, 20_000, keyedBy("one"))
			if act == Stall && refusal(t, err).HTTPStatusCode != http.StatusConflict {
				t.Errorf("%v, want 409", err)
			}
			if act == Hang && err != nil {
				t.Errorf("the effect has happened: %v", err)
			}
			cancel()
			if err := <-left; err == nil {
				t.Error("the stalled request was answered")
			}
		})
	}
}

func TestOnlyTheKeysOfTheAccountAreAnswered(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := must[*api.PaymentIntent](b)(b.hold(b.customer(), 20_000))
	var refused *Error
	for name, page := range map[string]Browser{"unknown": {b.url, "pk_test_other"}, "none": {b.url, ""}} {
		if _, err := page.Card(t.Context(), Visa); !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
			t.Errorf("%s: %v", name, err)
		}
	}
	forged := p.ID + "_secret_guessed"
	if _, err := b.page.Confirm(t.Context(), forged, b.card(Visa)); !errors.As(err, &refused) || refused.Param != "client_secret" {
		t.Errorf("a guessed secret: %v", err)
	}
	if err := b.page.post(t.Context(), "/v1/refunds", url.Values{"payment_intent": {p.ID}}, nil); !errors.As(err, &refused) || refused.Status != http.StatusForbidden {
		t.Errorf("a refund from a browser: %v", err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/v1/balance", strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+secretKey)
	request.Header.Set("Stripe-Version", "2020-08-27")
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = reply.Body.Close()
	if reply.StatusCode != http.StatusBadRequest {
		t.Errorf("another version: %s", reply.Status)
	}
}
