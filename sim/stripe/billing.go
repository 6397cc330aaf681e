package stripe

import (
	"slices"
	"strings"
	"time"
)

// Product is what is subscribed to.
type Product struct {
	Head
	Active      bool              `json:"active"`
	Description ref               `json:"description"`
	Metadata    map[string]string `json:"metadata"`
	Name        string            `json:"name"`
}

// Price is what a product costs.
type Price struct {
	Head
	Active     bool              `json:"active"`
	Currency   string            `json:"currency"`
	LookupKey  ref               `json:"lookup_key"`
	Metadata   map[string]string `json:"metadata"`
	Nickname   ref               `json:"nickname"`
	Product    string            `json:"product"`
	Recurring  *Recurring        `json:"recurring"`
	Type       string            `json:"type"` // recurring, one_time
	UnitAmount int64             `json:"unit_amount"`
}

// Recurring is how often it is due.
type Recurring struct {
	Interval      string `json:"interval"` // day, week, month, year
	IntervalCount int64  `json:"interval_count"`
}

func (r Recurring) next(from time.Time) time.Time {
	n := int(r.IntervalCount)
	switch r.Interval {
	case "day":
		return from.AddDate(0, 0, n)
	case "week":
		return from.AddDate(0, 0, 7*n)
	case "year":
		return from.AddDate(n, 0, 0)
	default:
		return from.AddDate(0, n, 0)
	}
}

func createProduct(c *call) (any, error) {
	o := &Product{Head: c.fresh("prod", "product"), Active: c.or("active", "true") == "true", Description: ref(c.str("description")), Metadata: c.amend(nil), Name: c.str("name")}
	if id := c.str("id"); id != "" {
		if c.index[id] != nil {
			return nil, invalid("resource_already_exists", "id", "Product already exists.")
		}
		o.ID = id
	}
	c.add(o)
	c.emit("product.created", o)
	return o, nil
}

func createPrice(c *call) (any, error) {
	o := &Price{
		Head: c.fresh("price", "price"), Active: true, Currency: strings.ToLower(c.str("currency")), LookupKey: ref(c.str("lookup_key")), Metadata: c.amend(nil),
		Nickname: ref(c.str("nickname")), Product: c.str("product"), Type: "one_time", UnitAmount: c.num("unit_amount"),
	}
	if name := c.str("product_data[name]"); name != "" {
		product := &Product{Head: c.fresh("prod", "product"), Active: true, Metadata: map[string]string{}, Name: name}
		c.add(product)
		o.Product = product.ID
	}
	if _, err := find[Product](c.Server, o.Product, "product"); err != nil {
		return nil, err
	}
	if interval := c.str("recurring[interval]"); interval != "" {
		if !slices.Contains([]string{"day", "week", "month", "year"}, interval) {
			return nil, invalid("", "recurring[interval]", "Invalid recurring[interval]: must be one of day, month, week, or year")
		}
		o.Type, o.Recurring = "recurring", &Recurring{Interval: interval, IntervalCount: max(1, c.num("recurring[interval_count]"))}
	}
	if o.LookupKey != "" && len(every(c.Server, func(p *Price) bool { return p.LookupKey == o.LookupKey })) > 0 {
		return nil, invalid("", "lookup_key", "A price already uses that lookup key.")
	}
	c.add(o)
	return o, nil
}

// Invoice is what a period of a subscription costs.
type Invoice struct {
	Head
	AmountDue          int64             `json:"amount_due"`
	AmountPaid         int64             `json:"amount_paid"`
	AmountRemaining    int64             `json:"amount_remaining"`
	AttemptCount       int64             `json:"attempt_count"`
	Attempted          bool              `json:"attempted"`
	BillingReason      string            `json:"billing_reason"` // subscription_create, subscription_cycle
	Charge             ref               `json:"charge"`
	Currency           string            `json:"currency"`
	Customer           string            `json:"customer"`
	HostedInvoiceURL   string            `json:"hosted_invoice_url"`
	Metadata           map[string]string `json:"metadata"`
	NextPaymentAttempt stamp             `json:"next_payment_attempt"`
	Number             string            `json:"number"`
	Paid               bool              `json:"paid"`
	PaymentIntent      ref               `json:"payment_intent"`
	PeriodEnd          int64             `json:"period_end"`
	PeriodStart        int64             `json:"period_start"`
	Status             string            `json:"status"` // open, paid, void, uncollectible
	Subscription       ref               `json:"subscription"`
	Total              int64             `json:"total"`
}

// invoice bills a period, and pays it if it can: at once, or when the holder is
// there and confirms its intent.
func (s *Server) invoice(sub *Subscription, reason string, amount int64, wait bool) *Invoice {
	o := &Invoice{
		Head: s.fresh("in", "invoice"), AmountDue: amount, AmountRemaining: amount, BillingReason: reason, Currency: sub.Currency, Customer: sub.Customer,
		HostedInvoiceURL: "https://invoice.stripe.com/i/test", Metadata: map[string]string{}, Number: "ARMORA-0001", PeriodStart: sub.CurrentPeriodStart,
		PeriodEnd: sub.CurrentPeriodEnd, Status: "open", Subscription: ref(sub.ID), Total: amount,
	}
	s.add(o)
	sub.LatestInvoice = ref(o.ID)
	s.emit("invoice.created", o)
	s.emit("invoice.finalized", o)
	if amount == 0 {
		s.paid(o)
		return o
	}
	p := &Intent{
		Head: s.fresh("pi", "payment_intent"), Amount: amount, Currency: o.Currency, CaptureMethod: "automatic", ConfirmationMethod: "automatic",
		Customer: ref(o.Customer), Description: "Subscription", Invoice: ref(o.ID), Metadata: map[string]string{}, PaymentMethodTypes: []string{"card"},
		SetupFutureUsage: "off_session", Status: "requires_payment_method",
	}
	p.ClientSecret = p.ID + "_secret_" + p.ID[len("pi_"):]
	s.add(p)
	o.PaymentIntent = ref(p.ID)
	s.emit("payment_intent.created", p)
	if wait {
		if m := s.payer(sub); m != nil {
			p.PaymentMethod, p.Status = ref(m.ID), "requires_confirmation"
		}
		return o
	}
	_ = s.collect(o, sub) // the refusal is on the intent
	return o
}

// payer is the card that pays a subscription.
func (s *Server) payer(sub *Subscription) *Method {
	if m, ok := s.index[string(sub.DefaultPaymentMethod)].(*Method); ok && string(m.Customer) == sub.Customer {
		return m
	}
	customer, ok := s.index[sub.Customer].(*Customer)
	if !ok {
		return nil
	}
	m, _ := s.index[string(customer.InvoiceSettings.DefaultPaymentMethod)].(*Method)
	return m
}

// collect tries to pay an open invoice while the holder is away.
func (s *Server) collect(o *Invoice, sub *Subscription) error {
	p, ok := s.index[string(o.PaymentIntent)].(*Intent)
	if !ok || o.Status != "open" {
		return nil
	}
	o.Attempted = true
	o.AttemptCount++
	m := s.payer(sub)
	var err error
	switch {
	case m == nil:
		err = invalid("invoice_payment_intent_requires_action", "", "This customer has no attached payment source or default payment method.")
		s.emit("invoice.payment_failed", o)
	case m.asks(true): // unlike an intent of one's own, that of an invoice waits for its holder
		p.PaymentMethod, p.Status = ref(m.ID), "requires_action"
		p.NextAction = &NextAction{Type: "use_stripe_sdk", UseStripeSDK: map[string]any{"type": "three_d_secure_redirect"}}
		err = invalid("invoice_payment_intent_requires_action", "", "This payment requires additional user action before it can be completed successfully.")
		s.emit("payment_intent.requires_action", p)
		s.emit("invoice.payment_action_required", o)
		s.emit("invoice.payment_failed", o)
	default:
		p.PaymentMethod = ref(m.ID)
		if err = s.pay(p, m, true); err != nil {
			s.emit("invoice.payment_failed", o)
		}
	}
	return err
}

// paid marks an invoice as paid, which brings its subscription to life.
func (s *Server) paid(o *Invoice) {
	o.Status, o.Paid, o.Attempted, o.NextPaymentAttempt = "paid", true, true, 0
	o.AmountPaid, o.AmountRemaining = o.AmountDue, 0
	p, _ := s.index[string(o.PaymentIntent)].(*Intent) // nil: there was nothing to pay
	if p != nil {
		o.Charge = p.LatestCharge
	}
	s.emit("invoice.paid", o)
	s.emit("invoice.payment_succeeded", o)
	sub, ok := s.index[string(o.Subscription)].(*Subscription)
	if ok && p != nil && sub.PaymentSettings.SaveDefaultPaymentMethod == "on_subscription" {
		sub.DefaultPaymentMethod = p.PaymentMethod
	}
	if ok && slices.Contains([]string{"incomplete", "past_due", "unpaid"}, sub.Status) {
		sub.Status = "active"
		s.emit("customer.subscription.updated", sub)
	}
}

// void has nobody pay an invoice any more.
func (s *Server) void(o *Invoice) {
	o.Status, o.NextPaymentAttempt = "void", 0
	if p, ok := s.index[string(o.PaymentIntent)].(*Intent); ok {
		s.cancel(p, "void_invoice")
	}
	s.emit("invoice.voided", o)
}

func voidInvoice(c *call) (any, error) {
	o, err := find[Invoice](c.Server, c.id, "id")
	if err != nil {
		return nil, err
	}
	if o.Status != "open" && o.Status != "uncollectible" {
		return nil, invalid("invoice_not_editable", "", "You can only pass in open invoices. This invoice isn't open.")
	}
	c.void(o)
	return o, nil
}

func payInvoice(c *call) (any, error) {
	o, err := find[Invoice](c.Server, c.id, "id")
	if err != nil {
		return nil, err
	}
	sub, err := find[Subscription](c.Server, string(o.Subscription), "subscription")
	if err != nil {
		return nil, err
	}
	if o.Status != "open" {
		return nil, invalid("", "", "Invoice is already %s", o.Status)
	}
	if pm := c.str("payment_method"); pm != "" {
		sub.DefaultPaymentMethod = ref(pm)
	}
	if err := c.collect(o, sub); err != nil {
		return nil, err
	}
	return o, nil
}
