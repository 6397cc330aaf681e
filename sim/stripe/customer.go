package stripe

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"regexp"
)

// Customer is whom payments are of.
type Customer struct {
	Head
	Email           ref               `json:"email"`
	Name            ref               `json:"name"`
	Phone           ref               `json:"phone"`
	Description     ref               `json:"description"`
	Balance         int64             `json:"balance"`
	InvoiceSettings InvoiceSettings   `json:"invoice_settings"`
	Metadata        map[string]string `json:"metadata"`
}

// InvoiceSettings hold the method by which invoices are paid.
type InvoiceSettings struct {
	DefaultPaymentMethod ref `json:"default_payment_method"`
}

// Method is a payment method, of which there are only cards.
type Method struct {
	Head
	Type           string            `json:"type"`
	Customer       ref               `json:"customer"`
	Card           CardDetails       `json:"card"`
	BillingDetails map[string]any    `json:"billing_details"`
	Metadata       map[string]string `json:"metadata"`

	magic Magic
	setUp bool // for payments while its holder is away
	used  bool // so that without a customer it can't be used again
}

// CardDetails are what is shown of a card.
type CardDetails struct {
	Brand       string `json:"brand"`
	Country     string `json:"country"`
	ExpMonth    int64  `json:"exp_month"`
	ExpYear     int64  `json:"exp_year"`
	Fingerprint string `json:"fingerprint"`
	Funding     string `json:"funding"`
	Last4       string `json:"last4"`
}

func createCustomer(c *call) (any, error) {
	o := &Customer{Head: c.fresh("cus", "customer")}
	if err := c.fill(o); err != nil {
		return nil, err
	}
	if pm := c.str("payment_method"); pm != "" {
		m, err := c.method(pm)
		if err != nil {
			return nil, err
		}
		if err := c.attach(m, o.ID); err != nil {
			return nil, err
		}
	}
	c.add(o)
	c.emit("customer.created", o)
	return o, nil
}

func updateCustomer(c *call) (any, error) {
	o, err := find[Customer](c.Server, c.id, "id")
	if err != nil {
		return nil, err
	}
	if err := c.fill(o); err != nil {
		return nil, err
	}
	c.emit("customer.updated", o)
	return o, nil
}

func (c *call) fill(o *Customer) error {
	for name, field := range map[string]*ref{"email": &o.Email, "name": &o.Name, "phone": &o.Phone, "description": &o.Description} {
		if c.has(name) {
			*field = ref(c.str(name))
		}
	}
	if pm := c.str("invoice_settings[default_payment_method]"); pm != "" {
		m, err := find[Method](c.Server, pm, "invoice_settings[default_payment_method]")
		if err != nil {
			return err
		}
		if string(m.Customer) != o.ID {
			return invalid("resource_missing", "invoice_settings[default_payment_method]", "The customer does not have a payment method with the ID %s.", pm)
		}
		o.InvoiceSettings.DefaultPaymentMethod = ref(pm)
	}
	o.Metadata = c.amend(o.Metadata)
	return nil
}

// deleteCustomer ends subscriptions and takes the cards away; payments stay.
func deleteCustomer(c *call) (any, error) {
	o, err := find[Customer](c.Server, c.id, "id")
	if err != nil {
		return nil, err
	}
	for _, sub := range every(c.Server, func(sub *Subscription) bool { return sub.Customer == o.ID && !sub.over() }) {
		c.end(sub, "canceled")
	}
	for _, m := range every(c.Server, func(m *Method) bool { return string(m.Customer) == o.ID }) {
		m.Customer = ""
		m.used = true
	}
	c.remove(o.ID)
	c.emit("customer.deleted", o)
	return gone{ID: o.ID, Object: "customer", Deleted: true}, nil
}

var digits = regexp.MustCompile(`^[0-9]+$`)

// createMethod is what the card form calls. A raw number under the secret key is
// refused: the hub has no business with it.
func createMethod(c *call) (any, error) {
	number, year, month := c.str("card[number]"), c.num("card[exp_year]"), c.num("card[exp_month]")
	if token := c.str("card[token]"); token != "" {
		return c.method("pm_card_" + token[len("tok_"):])
	}
	if !c.public {
		return nil, &Error{
			Status: http.StatusPaymentRequired, Type: "card_error", Code: "", Param: "card[number]",
			Message: "Sending credit card numbers directly to the Stripe API is generally unsafe.",
		}
	}
	m, known := magic(number)
	switch cvc := c.str("card[cvc]"); {
	case !known || !luhn(number):
		return nil, declined("incorrect_number", "")
	case month < 1 || month > 12:
		return nil, declined("invalid_expiry_month", "")
	case year < int64(c.moment.Year()) || year == int64(c.moment.Year()) && month < int64(c.moment.Month()):
		return nil, declined("invalid_expiry_year", "")
	case cvc != "" && (!digits.MatchString(cvc) || len(cvc) < 3 || len(cvc) > 4):
		return nil, declined("invalid_cvc", "")
	}
	return c.card(m, year, month), nil
}

func (c *call) card(m Magic, year, month int64) *Method {
	o := &Method{
		Head: c.fresh("pm", "payment_method"), Type: "card", magic: m, BillingDetails: map[string]any{}, Metadata: c.amend(nil),
		setUp: m.Asks == OnSession,
		Card: CardDetails{
			Brand: m.Brand, Country: "GB", ExpMonth: month, ExpYear: year, Funding: "credit", Last4: m.Number[len(m.Number)-4:],
			Fingerprint: fmt.Sprintf("%x", sha256.Sum256([]byte(m.Number)))[:16],
		},
	}
	for _, name := range []string{"name", "email"} {
		if v := c.str("billing_details[" + name + "]"); v != "" {
			o.BillingDetails[name] = v
		}
	}
	c.add(o)
	return o
}

// method finds a payment method, or makes the one that a pm_card_… stands for.
func (c *call) method(id string) (*Method, error) {
	if m, ok := magic(id); ok && m.PM == id {
		o := c.card(m, int64(c.moment.Year())+1, int64(c.moment.Month()))
		o.Metadata = map[string]string{}
		return o, nil
	}
	return find[Method](c.Server, id, "payment_method")
}

func updateMethod(c *call) (any, error) {
	m, err := find[Method](c.Server, c.id, "id")
	if err != nil {
		return nil, err
	}
	m.Metadata = c.amend(m.Metadata)
	return m, nil
}

func attachMethod(c *call) (any, error) {
	m, err := c.method(c.id)
	if err != nil {
		return nil, err
	}
	if _, err := find[Customer](c.Server, c.str("customer"), "customer"); err != nil {
		return nil, err
	}
	if err := c.attach(m, c.str("customer")); err != nil {
		return nil, err
	}
	return m, nil
}

// attach keeps a card with a customer, which its issuer is asked about.
func (s *Server) attach(m *Method, customer string) error {
	switch {
	case string(m.Customer) == customer:
		return nil
	case m.Customer != "":
		return invalid("", "payment_method", "The payment method you provided has already been attached to a customer.")
	case m.used:
		return invalid("", "payment_method", "This PaymentMethod was previously used without being attached to a Customer or was detached from a Customer, and may not be used again.")
	case m.magic.Code != "" && !m.magic.Attaches:
		return declined(m.magic.Code, m.magic.DeclineCode)
	}
	m.Customer = ref(customer)
	s.emit("payment_method.attached", m)
	return nil
}

func detachMethod(c *call) (any, error) {
	m, err := find[Method](c.Server, c.id, "id")
	if err != nil {
		return nil, err
	}
	if m.Customer == "" {
		return nil, invalid("", "", "The payment method you provided is not attached to a customer so detachment is impossible.")
	}
	if o, ok := c.index[string(m.Customer)].(*Customer); ok && string(o.InvoiceSettings.DefaultPaymentMethod) == m.ID {
		o.InvoiceSettings.DefaultPaymentMethod = ""
	}
	m.Customer, m.used = "", true
	c.emit("payment_method.detached", m)
	return m, nil
}
