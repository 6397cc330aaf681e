package stripe

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Browser is the card form in a client's browser or app: it gives card data to
// Stripe, and to nobody else.
type Browser struct {
	URL string // of the API, http://host:port
	Key string // the publishable one
}

// Next is where an intent stands after it was confirmed.
type Next struct {
	Status string
	URL    string // of the 3-D Secure page, "" when none is to be seen
}

// Card makes a payment method of a card number.
func (b Browser) Card(ctx context.Context, number string) (string, error) {
	var made struct {
		ID string `json:"id"`
	}
	err := b.post(ctx, "/v1/payment_methods", url.Values{
		"type": {"card"}, "card[number]": {number}, "card[exp_month]": {"12"}, "card[exp_year]": {"2099"}, "card[cvc]": {"123"},
	}, &made)
	return made.ID, err
}

// Confirm confirms a payment intent or setup intent; pm "" leaves it the payment
// method that it has.
func (b Browser) Confirm(ctx context.Context, clientSecret, pm string) (Next, error) {
	id, _, _ := strings.Cut(clientSecret, "_secret_")
	at := "/v1/payment_intents/"
	if strings.HasPrefix(id, "seti_") {
		at = "/v1/setup_intents/"
	}
	ask := url.Values{"client_secret": {clientSecret}}
	if pm != "" {
		ask.Set("payment_method", pm)
	}
	var made struct {
		Status     string      `json:"status"`
		NextAction *NextAction `json:"next_action"`
	}
	err := b.post(ctx, at+url.PathEscape(id)+"/confirm", ask, &made)
	return Next{Status: made.Status, URL: made.NextAction.page()}, err
}

// page is where the holder authenticates.
func (n *NextAction) page() string {
	switch {
	case n == nil:
		return ""
	case n.RedirectToURL != nil:
		return n.RedirectToURL.URL
	default:
		at, _ := n.UseStripeSDK["stripe_js"].(string)
		return at
	}
}

// Authenticate presses a button of the 3-D Secure page.
func (b Browser) Authenticate(ctx context.Context, page string, approve bool) error {
	return press(ctx, page, map[bool]string{true: "approve", false: "refuse"}[approve])
}

// Onboard goes through Stripe's own page on which somebody says who is to be paid.
func (b Browser) Onboard(ctx context.Context, page string) error { return press(ctx, page, "complete") }

// press presses a button of a page.
func press(ctx context.Context, page, outcome string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, page, strings.NewReader(url.Values{"outcome": {outcome}}.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	reply, err := client.Do(request)
	if err != nil {
		return err
	}
	_ = reply.Body.Close()
	if reply.StatusCode >= 400 {
		return fmt.Errorf("page of Stripe's: %s", reply.Status)
	}
	return nil
}

func (b Browser) post(ctx context.Context, path string, form url.Values, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Authorization", "Bearer "+b.Key)
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = reply.Body.Close() }()
	if reply.StatusCode == http.StatusOK {
		return json.NewDecoder(reply.Body).Decode(into)
	}
	var refusal struct {
		Error *Error `json:"error"`
	}
	if err := json.NewDecoder(reply.Body).Decode(&refusal); err != nil || refusal.Error == nil {
		return fmt.Errorf("stripe: %s", reply.Status)
	}
	refusal.Error.Status = reply.StatusCode
	return refusal.Error
}
