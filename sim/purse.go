package sim

import (
	"context"
	"net/http"

	"armora/sim/stripe"
)

// reservation is what an app reads of how far a payment has come.
type reservation struct {
	ClientSecret string `json:"client_secret"`
	NextAction   *struct {
		Type string `json:"type"`
		URL  string `json:"url"`
	} `json:"next_action"`
}

// pay has the amount of a booking held. The card form gives the card to Stripe, and
// the principal does what their bank asks; a card that was given before is kept, and
// nothing is to be done.
func (r *rider) pay(ctx context.Context, b booking) error {
	if r.stripe == "" {
		return nil
	}
	var held reservation
	if err := r.do(ctx, http.MethodPost, "/api/payments/reserve", "reserve-"+b.ID, map[string]any{"booking_id": b.ID}, &held); err != nil {
		return err
	}
	if held.NextAction == nil || held.ClientSecret == "" {
		return nil
	}
	var config struct {
		PublishableKey string `json:"publishable_key"`
	}
	if err := r.do(ctx, http.MethodGet, "/api/payments/config", "", nil, &config); err != nil {
		return err
	}
	form := stripe.Browser{URL: r.stripe, Key: config.PublishableKey}
	page := held.NextAction.URL
	if page == "" {
		cards := []string{stripe.Visa, stripe.Visa, stripe.Mastercard, stripe.Debit, stripe.AuthenticateUnlessSetUp}
		card, err := form.Card(ctx, cards[r.random.IntN(len(cards))])
		if err != nil {
			return err
		}
		next, err := form.Confirm(ctx, held.ClientSecret, card)
		if err != nil {
			return err
		}
		page = next.URL
	}
	if page == "" {
		return nil
	}
	return form.Authenticate(ctx, page, true)
}
