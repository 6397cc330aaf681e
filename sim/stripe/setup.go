package stripe

import (
	"crypto/rand"
	"crypto/subtle"
	"slices"
)

// SetupIntent keeps a card for payments to come.
type SetupIntent struct {
	Head
	CancellationReason ref               `json:"cancellation_reason"`
	ClientSecret       string            `json:"client_secret"`
	Customer           ref               `json:"customer"`
	Description        ref               `json:"description"`
	LastSetupError     *Error            `json:"last_setup_error"`
	Metadata           map[string]string `json:"metadata"`
	NextAction         *NextAction       `json:"next_action"`
	PaymentMethod      ref               `json:"payment_method"`
	PaymentMethodTypes []string          `json:"payment_method_types"`
	Status             string            `json:"status"`
	Usage              string            `json:"usage"`
}

func createSetup(c *call) (any, error) {
	o := &SetupIntent{
		Head: c.fresh("seti", "setup_intent"), Customer: ref(c.str("customer")), Description: ref(c.str("description")), Metadata: c.amend(nil),
		PaymentMethodTypes: []string{"card"}, Status: "requires_payment_method", Usage: c.or("usage", "off_session"),
	}
	o.ClientSecret = o.ID + "_secret_" + rand.Text()
	if o.Customer != "" {
		if _, err := find[Customer](c.Server, string(o.Customer), "customer"); err != nil {
			return nil, err
		}
	}
	if err := c.chooseSetup(o); err != nil {
		return nil, err
	}
	c.add(o)
	c.emit("setup_intent.created", o)
	if c.yes("confirm") {
		return c.setup(o)
	}
	return o, nil
}

func (c *call) chooseSetup(o *SetupIntent) error {
	id := c.str("payment_method")
	if id == "" {
		return nil
	}
	m, err := c.method(id)
	if err != nil {
		return err
	}
	if err := usable(m, string(o.Customer)); err != nil {
		return err
	}
	o.PaymentMethod, o.Status = ref(m.ID), "requires_confirmation"
	return nil
}

func getSetup(c *call) (any, error) { return c.setupIntent() }

func (c *call) setupIntent() (*SetupIntent, error) {
	o, err := find[SetupIntent](c.Server, c.id, "intent")
	if err == nil && c.public && subtle.ConstantTimeCompare([]byte(c.str("client_secret")), []byte(o.ClientSecret)) != 1 {
		return nil, invalid("setup_intent_invalid_parameter", "client_secret", "The client_secret provided does not match the client_secret associated with the SetupIntent.")
	}
	return o, err
}

func confirmSetup(c *call) (any, error) {
	o, err := c.setupIntent()
	if err != nil {
		return nil, err
	}
	return c.setup(o)
}

func (o *SetupIntent) unexpected(doing string) *Error {
	err := invalid("setup_intent_unexpected_state", "", "This SetupIntent could not be %s because it has a status of %s.", doing, o.Status)
	whole := copied(o)
	err.SetupIntent = &whole
	return err
}

func (c *call) setup(o *SetupIntent) (any, error) {
	if !slices.Contains([]string{"requires_payment_method", "requires_confirmation", "requires_action"}, o.Status) {
		return nil, o.unexpected("confirmed")
	}
	if err := c.chooseSetup(o); err != nil {
		return nil, err
	}
	m, ok := c.index[string(o.PaymentMethod)].(*Method)
	if !ok {
		return nil, invalid("setup_intent_unexpected_state", "payment_method", "You cannot confirm this SetupIntent because it's missing a payment method.")
	}
	if m.asksToBeSetUp() {
		o.Status, o.NextAction = "requires_action", c.ask(o.ID, c.str("return_url"))
		c.emit("setup_intent.requires_action", o)
		return o, nil
	}
	if err := c.keep(o, m); err != nil {
		return nil, err
	}
	return o, nil
}

// keep attaches the card, if its issuer lets it.
func (s *Server) keep(o *SetupIntent, m *Method) error {
	o.NextAction = nil
	if m.magic.Code != "" && !m.magic.Attaches {
		refusal := declined(m.magic.Code, m.magic.DeclineCode)
		s.refuseSetup(o, m, refusal)
		shown := copied(o)
		refusal.SetupIntent = &shown
		return refusal
	}
	if o.Customer != "" {
		if err := s.attach(m, string(o.Customer)); err != nil {
			return err
		}
	}
	m.setUp, o.Status, o.LastSetupError = true, "succeeded", nil
	s.emit("setup_intent.succeeded", o)
	for _, sub := range every(s, func(sub *Subscription) bool { return string(sub.PendingSetupIntent) == o.ID }) {
		sub.PendingSetupIntent, sub.DefaultPaymentMethod = "", ref(m.ID)
		s.emit("customer.subscription.updated", sub)
	}
	return nil
}

func (s *Server) refuseSetup(o *SetupIntent, m *Method, refusal *Error) {
	noted, method := *refusal, copied(m)
	noted.PaymentMethod = &method
	o.Status, o.PaymentMethod, o.LastSetupError, o.NextAction = "requires_payment_method", "", &noted, nil
	s.emit("setup_intent.setup_failed", o)
}

func (s *Server) authenticatedSetup(o *SetupIntent, approved bool) {
	m, ok := s.index[string(o.PaymentMethod)].(*Method)
	if !ok || o.Status != "requires_action" {
		return // cancelled, or confirmed with another card meanwhile
	}
	if !approved {
		s.refuseSetup(o, m, invalid("setup_intent_authentication_failure", "", "The latest attempt to set up the payment method has failed because authentication failed."))
		return
	}
	_ = s.keep(o, m) // the refusal is on the intent
}

func cancelSetup(c *call) (any, error) {
	o, err := c.setupIntent()
	if err != nil {
		return nil, err
	}
	if o.Status == "succeeded" || o.Status == "canceled" {
		return nil, o.unexpected("canceled")
	}
	o.Status, o.CancellationReason, o.NextAction = "canceled", ref(c.str("cancellation_reason")), nil
	c.emit("setup_intent.canceled", o)
	return o, nil
}
