package stripe

import (
	"crypto/rand"
	"crypto/subtle"
	"slices"
	"strings"
	"time"
)

// HoldFor is for how long a hold stands before Stripe lets it go, and HoldAway one of a
// Visa card whose holder was away.
const (
	HoldFor  = 7 * 24 * time.Hour
	HoldAway = 4*24*time.Hour + 18*time.Hour
)

// Intent is a payment intent.
type Intent struct {
	Head
	Amount             int64             `json:"amount"`
	AmountCapturable   int64             `json:"amount_capturable"`
	AmountReceived     int64             `json:"amount_received"`
	CanceledAt         stamp             `json:"canceled_at"`
	CancellationReason ref               `json:"cancellation_reason"`
	CaptureMethod      string            `json:"capture_method"`
	ClientSecret       string            `json:"client_secret"`
	ConfirmationMethod string            `json:"confirmation_method"`
	Currency           string            `json:"currency"`
	Customer           ref               `json:"customer"`
	Description        ref               `json:"description"`
	Invoice            ref               `json:"invoice"`
	LastPaymentError   *Error            `json:"last_payment_error"`
	LatestCharge       ref               `json:"latest_charge"`
	Metadata           map[string]string `json:"metadata"`
	NextAction         *NextAction       `json:"next_action"`
	PaymentMethod      ref               `json:"payment_method"`
	PaymentMethodTypes []string          `json:"payment_method_types"`
	SetupFutureUsage   ref               `json:"setup_future_usage"`
	Status             string            `json:"status"`
	TransferGroup      ref               `json:"transfer_group"`

	back string // where the browser goes after 3-D Secure
}

// NextAction is what the holder has to do.
type NextAction struct {
	Type          string         `json:"type"` // redirect_to_url or use_stripe_sdk
	RedirectToURL *Redirect      `json:"redirect_to_url,omitempty"`
	UseStripeSDK  map[string]any `json:"use_stripe_sdk,omitempty"`
}

// Redirect is where to, and back.
type Redirect struct {
	URL       string `json:"url"`
	ReturnURL ref    `json:"return_url"`
}

// minimum is the least that can be charged, in minor units (of Stripe's table for
// accounts that settle in the same currency).
var minimum = map[string]int64{"gbp": 30, "usd": 50, "eur": 50, "chf": 50, "cad": 50, "aud": 50, "jpy": 50, "dkk": 250, "nok": 300, "sek": 300, "pln": 200, "aed": 200}

func checkAmount(amount int64, currency string) error {
	least, known := minimum[currency]
	switch {
	case !known:
		return invalid("", "currency", "Invalid currency: %s. Stripe currently supports these currencies: usd, aed, gbp…", currency)
	case amount < 1:
		return invalid("parameter_invalid_integer", "amount", "This value must be greater than or equal to 1.")
	case amount < least:
		return invalid("amount_too_small", "amount", "Amount must be at least %d %s", least, currency)
	case amount > 99_999_999:
		return invalid("amount_too_large", "amount", "Amount must be no more than 999,999.99 %s", currency)
	default:
		return nil
	}
}

func createIntent(c *call) (any, error) {
	currency := strings.ToLower(c.str("currency"))
	if err := checkAmount(c.num("amount"), currency); err != nil {
		return nil, err
	}
	p := &Intent{
		Head: c.fresh("pi", "payment_intent"), Amount: c.num("amount"), Currency: currency, CaptureMethod: c.or("capture_method", "automatic"),
		ConfirmationMethod: c.or("confirmation_method", "automatic"), PaymentMethodTypes: []string{"card"}, Status: "requires_payment_method",
		Description: ref(c.str("description")), TransferGroup: ref(c.str("transfer_group")), Metadata: c.amend(nil), SetupFutureUsage: ref(c.str("setup_future_usage")),
	}
	p.ClientSecret = p.ID + "_secret_" + rand.Text()
	if customer := c.str("customer"); customer != "" {
		if _, err := find[Customer](c.Server, customer, "customer"); err != nil {
			return nil, err
		}
		p.Customer = ref(customer)
	}
	if err := c.choose(p); err != nil {
		return nil, err
	}
	if c.yes("off_session") && !c.yes("confirm") {
		return nil, invalid("", "off_session", "off_session can only be passed when confirm is true.")
	}
	c.add(p)
	c.emit("payment_intent.created", p)
	if c.yes("confirm") {
		return c.confirm(p)
	}
	return p, nil
}

// choose gives an intent the payment method that was sent, if it may have it.
func (c *call) choose(p *Intent) error {
	id := c.str("payment_method")
	if id == "" {
		return nil
	}
	m, err := c.method(id)
	if err != nil {
		return err
	}
	if err := usable(m, string(p.Customer)); err != nil {
		return err
	}
	p.PaymentMethod, p.Status = ref(m.ID), "requires_confirmation"
	return nil
}

func usable(m *Method, customer string) error {
	switch {
	case m.Customer == "" && m.used:
		return invalid("", "payment_method", "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared with a connected account without Customer attachment, or was detached from a Customer. It may not be used again.")
	case m.Customer != "" && customer == "":
		return invalid("", "payment_method", "The PaymentMethod %s belongs to a Customer. Please include the Customer in the `customer` parameter on the PaymentIntent.", m.ID)
	case m.Customer != "" && string(m.Customer) != customer:
		return invalid("", "payment_method", "The PaymentMethod %s does not belong to the Customer you supplied %s.", m.ID, customer)
	default:
		return nil
	}
}

func getIntent(c *call) (any, error) { return c.intent() }

// intent finds the intent of the path; a browser has to know its secret.
func (c *call) intent() (*Intent, error) {
	p, err := find[Intent](c.Server, c.id, "intent")
	if err == nil && c.public && subtle.ConstantTimeCompare([]byte(c.str("client_secret")), []byte(p.ClientSecret)) != 1 {
		return nil, invalid("payment_intent_invalid_parameter", "client_secret", "The client_secret provided does not match the client_secret associated with the PaymentIntent.")
	}
	return p, err
}

func (p *Intent) in(states ...string) bool { return slices.Contains(states, p.Status) }

// unexpected refuses what can't be done in the state that there is.
func (p *Intent) unexpected(doing string) *Error {
	err := invalid("payment_intent_unexpected_state", "", "This PaymentIntent could not be %s because it has a status of %s.", doing, p.Status)
	whole := copied(p)
	err.PaymentIntent = &whole
	return err
}

func updateIntent(c *call) (any, error) {
	p, err := c.intent()
	if err != nil {
		return nil, err
	}
	beyond := c.has("amount") || c.has("payment_method") || c.has("customer") || c.has("currency")
	if beyond && !p.in("requires_payment_method", "requires_confirmation", "requires_action") {
		return nil, p.unexpected("updated")
	}
	if c.has("amount") {
		if err := checkAmount(c.num("amount"), p.Currency); err != nil {
			return nil, err
		}
		p.Amount = c.num("amount")
	}
	if customer := c.str("customer"); customer != "" {
		if _, err := find[Customer](c.Server, customer, "customer"); err != nil {
			return nil, err
		}
		p.Customer = ref(customer)
	}
	if err := c.choose(p); err != nil {
		return nil, err
	}
	for name, field := range map[string]*ref{"description": &p.Description, "setup_future_usage": &p.SetupFutureUsage, "transfer_group": &p.TransferGroup} {
		if c.has(name) {
			*field = ref(c.str(name))
		}
	}
	p.Metadata = c.amend(p.Metadata)
	return p, nil
}

func cancelIntent(c *call) (any, error) {
	p, err := c.intent()
	if err != nil {
		return nil, err
	}
	if p.Invoice != "" {
		return nil, invalid("payment_intent_unexpected_state", "", "You cannot cancel this PaymentIntent: it belongs to an invoice.")
	}
	if !p.in("requires_payment_method", "requires_confirmation", "requires_action", "requires_capture") {
		return nil, p.unexpected("canceled")
	}
	c.cancel(p, c.str("cancellation_reason"))
	return p, nil
}

// cancel ends an intent and lets its hold go.
func (s *Server) cancel(p *Intent, reason string) {
	if ch, ok := s.index[string(p.LatestCharge)].(*Charge); ok && p.Status == "requires_capture" {
		ch.AmountRefunded, ch.Refunded = ch.Amount, true
		if reason == "automatic" {
			s.emit("charge.expired", ch)
		} else {
			s.emit("charge.refunded", ch)
		}
	}
	p.Status, p.CancellationReason, p.CanceledAt = "canceled", ref(reason), stamp(s.moment.Unix())
	p.AmountCapturable, p.NextAction = 0, nil
	s.emit("payment_intent.canceled", p)
}

// Expire lets a hold go before its time, as an issuer may.
func (s *Server) Expire(intent string) {
	s.locked(func() {
		if p, ok := s.index[intent].(*Intent); ok && p.Status == "requires_capture" {
			s.cancel(p, "automatic")
		}
	})
}

func captureIntent(c *call) (any, error) {
	p, err := c.intent()
	if err != nil {
		return nil, err
	}
	if p.Status != "requires_capture" {
		return nil, p.unexpected("captured")
	}
	amount := p.AmountCapturable
	if c.has("amount_to_capture") {
		amount = c.num("amount_to_capture")
	}
	switch {
	case amount < 1:
		return nil, invalid("parameter_invalid_integer", "amount_to_capture", "This value must be greater than or equal to 1.")
	case amount > p.AmountCapturable:
		return nil, invalid("amount_too_large", "amount_to_capture", "The requested capture amount is greater than the authorized amount.")
	}
	p.Metadata = c.amend(p.Metadata)
	ch := c.index[string(p.LatestCharge)].(*Charge)
	p.AmountCapturable = 0
	c.capture(p, ch, amount)
	return p, nil
}
