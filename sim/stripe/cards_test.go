package stripe

import (
	"errors"
	"testing"

	api "github.com/stripe/stripe-go/v76"
)

// end is how an attempt ended: the state of the intent, and why it was refused.
type end struct{ state, code, decline string }

func (e end) String() string { return e.state + " " + e.code + " " + e.decline }

// of reads how an intent stands after an attempt that was answered with err.
func (b bench) of(intent string, err error) end {
	b.Helper()
	got := end{}
	p := must[*api.PaymentIntent](b)(b.api.PaymentIntents.Get(intent, nil))
	got.state = string(p.Status)
	if p.LastPaymentError != nil {
		got.code, got.decline = string(p.LastPaymentError.Code), string(p.LastPaymentError.DeclineCode)
	}
	var mine *Error
	var theirs *api.Error
	switch {
	case errors.As(err, &mine) && (mine.Status != 402 || mine.Code != got.code || mine.DeclineCode != got.decline):
		b.Errorf("answered %v, the intent says %v", mine, got)
	case errors.As(err, &theirs) && (theirs.HTTPStatusCode != 402 || string(theirs.Code) != got.code || theirs.PaymentIntent == nil):
		b.Errorf("answered %v, the intent says %v", theirs.Code, got)
	}
	return got
}

func TestMagicCards(t *testing.T) {
	t.Parallel()
	const (
		held, paid = "requires_capture", "succeeded"
		again      = "requires_payment_method"
		unasked    = ""
	)
	no := func(code, decline string) end { return end{again, code, decline} }
	yes := end{state: held}
	cards := map[string]struct {
		there    end    // the holder is there, and approves when asked
		asked    bool   // they are
		setup    string // "" when the card can be kept, else the code of the refusal
		away     end    // kept, then tried while the holder is away
		notSetUp end    // attached without a setup, then tried while the holder is away
	}{
		Visa:                    {yes, false, unasked, yes, yes},
		Mastercard:              {yes, false, unasked, yes, yes},
		Amex:                    {yes, false, unasked, yes, yes},
		Debit:                   {yes, false, unasked, yes, yes},
		Declined:                {there: no("card_declined", "generic_decline"), setup: "card_declined"},
		InsufficientFunds:       {there: no("card_declined", "insufficient_funds"), setup: "card_declined"},
		LostCard:                {there: no("card_declined", "lost_card"), setup: "card_declined"},
		StolenCard:              {there: no("card_declined", "stolen_card"), setup: "card_declined"},
		VelocityExceeded:        {there: no("card_declined", "card_velocity_exceeded"), setup: "card_declined"},
		ExpiredCard:             {there: no("expired_card", ""), setup: "expired_card"},
		IncorrectCVC:            {there: no("incorrect_cvc", ""), setup: "incorrect_cvc"},
		ProcessingError:         {there: no("processing_error", ""), setup: "processing_error"},
		DeclineAfterAttach:      {no("card_declined", "generic_decline"), false, unasked, no("card_declined", "generic_decline"), no("card_declined", "generic_decline")},
		Blocked:                 {no("card_declined", "fraudulent"), false, unasked, no("card_declined", "fraudulent"), no("card_declined", "fraudulent")},
		AuthenticateUnlessSetUp: {yes, true, unasked, yes, no("authentication_required", "authentication_required")},
		AlwaysAuthenticate:      {yes, true, unasked, no("authentication_required", "authentication_required"), no("authentication_required", "authentication_required")},
		Authenticate3DS2:        {yes, true, unasked, no("authentication_required", "authentication_required"), no("authentication_required", "authentication_required")},
		AlreadySetUp:            {yes, true, unasked, yes, yes},
		AuthenticateNoFunds:     {no("card_declined", "insufficient_funds"), true, unasked, no("authentication_required", "authentication_required"), no("authentication_required", "authentication_required")},
		AuthenticateThenDecline: {no("card_declined", "generic_decline"), true, unasked, no("authentication_required", "authentication_required"), no("authentication_required", "authentication_required")},
		DisputeFraudulent:       {yes, false, unasked, yes, yes},
		DisputeNotReceived:      {yes, false, unasked, yes, yes},
		DisputeInquiry:          {yes, false, unasked, yes, yes},
		RefundPending:           {yes, false, unasked, yes, yes},
		RefundFails:             {yes, false, unasked, yes, yes},
		BypassPending:           {yes, false, unasked, yes, yes},
	}
	for _, m := range Cards {
		want, listed := cards[m.Number]
		if !listed {
			t.Errorf("nothing is expected of %s", m.PM)
			continue
		}
		t.Run(m.PM, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			customer := b.customer()
			p := must[*api.PaymentIntent](b)(b.hold(customer, 20_000))
			next, err := b.page.Confirm(t.Context(), p.ClientSecret, b.card(m.Number))
			if (next.URL != "") != want.asked {
				t.Errorf("asked %q, want %t", next.URL, want.asked)
			}
			if next.URL != "" {
				err = b.page.Authenticate(t.Context(), next.URL, true)
			}
			if got := b.of(p.ID, err); got != want.there {
				t.Errorf("while the holder is there: %v, want %v", got, want.there)
			}
			card, err := b.kept(customer, m.Number)
			if want.setup != "" {
				var refused *Error
				if !errors.As(err, &refused) || refused.Code != want.setup || refused.SetupIntent == nil {
					t.Errorf("keeping it: %v, want %s", err, want.setup)
				}
				_, err = b.api.PaymentMethods.Attach(b.card(m.Number), &api.PaymentMethodAttachParams{Customer: api.String(customer)})
				if refusal(t, err).Code != api.ErrorCode(want.setup) {
					t.Errorf("attaching it: %v", err)
				}
				return
			}
			for name, attempt := range map[string]struct {
				card string
				want end
			}{
				"kept":     {card, want.away},
				"attached": {must[*api.PaymentMethod](b)(b.api.PaymentMethods.Attach(m.PM, &api.PaymentMethodAttachParams{Customer: api.String(customer)})).ID, want.notSetUp},
			} {
				p, err := b.hold(customer, 20_000, off(attempt.card))
				id := ""
				if err == nil {
					id = p.ID
				} else if refused := refusal(t, err); refused.PaymentIntent != nil {
					id = refused.PaymentIntent.ID
				}
				if got := b.of(id, err); got != attempt.want {
					t.Errorf("%s, while the holder is away: %v, want %v", name, got, attempt.want)
				}
			}
		})
	}
}

func TestARefusedCardFormSaysWhy(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for number, code := range map[string]string{IncorrectNumber: "incorrect_number", "4242": "incorrect_number", "not a number": "incorrect_number"} {
		var refused *Error
		if _, err := b.page.Card(t.Context(), number); !errors.As(err, &refused) || refused.Code != code || refused.Type != "card_error" {
			t.Errorf("%s: %v, want %s", number, err, code)
		}
	}
	_, err := b.api.PaymentMethods.New(&api.PaymentMethodParams{
		Type: api.String("card"), Card: &api.PaymentMethodCardParams{Number: api.String(Visa), ExpMonth: api.Int64(12), ExpYear: api.Int64(2030)},
	})
	if err == nil {
		t.Error("card data went by the secret key")
	}
}

func TestARefusedAuthenticationAsksForAnotherCard(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := must[*api.PaymentIntent](b)(b.hold(b.customer(), 20_000))
	next := must[Next](b)(b.page.Confirm(t.Context(), p.ClientSecret, b.card(AlwaysAuthenticate)))
	if err := b.page.Authenticate(t.Context(), next.URL, false); err != nil {
		t.Fatal(err)
	}
	if got := b.of(p.ID, nil); got != (end{"requires_payment_method", "payment_intent_authentication_failure", ""}) {
		t.Fatal(got)
	}
	if err := b.page.Authenticate(t.Context(), next.URL, true); err == nil {
		t.Error("a page can be used twice")
	}
	must[Next](b)(b.page.Confirm(t.Context(), p.ClientSecret, b.card(Visa)))
	if got := b.of(p.ID, nil); got.state != "requires_capture" {
		t.Error(got)
	}
}
