package stripe

import (
	"crypto/rand"
	"strconv"
	"time"
)

// Subscription is a product that is paid for by the period.
type Subscription struct {
	Head
	CancelAt             stamp             `json:"cancel_at"`
	CancelAtPeriodEnd    bool              `json:"cancel_at_period_end"`
	CanceledAt           stamp             `json:"canceled_at"`
	CancellationDetails  Cancellation      `json:"cancellation_details"`
	CollectionMethod     string            `json:"collection_method"`
	Currency             string            `json:"currency"`
	CurrentPeriodEnd     int64             `json:"current_period_end"`
	CurrentPeriodStart   int64             `json:"current_period_start"`
	Customer             string            `json:"customer"`
	DefaultPaymentMethod ref               `json:"default_payment_method"`
	EndedAt              stamp             `json:"ended_at"`
	Items                Items             `json:"items"`
	LatestInvoice        ref               `json:"latest_invoice"`
	Metadata             map[string]string `json:"metadata"`
	PaymentSettings      PaymentSettings   `json:"payment_settings"`
	PendingSetupIntent   ref               `json:"pending_setup_intent"`
	StartDate            int64             `json:"start_date"`
	Status               string            `json:"status"` // incomplete, incomplete_expired, trialing, active, past_due, canceled
	TrialEnd             stamp             `json:"trial_end"`
	TrialStart           stamp             `json:"trial_start"`

	warned bool // that its trial ends
}

// Cancellation says why it has ended.
type Cancellation struct {
	Reason ref `json:"reason"` // cancellation_requested, payment_failed
}

// PaymentSettings say what becomes of the card that has paid.
type PaymentSettings struct {
	SaveDefaultPaymentMethod string `json:"save_default_payment_method"` // on_subscription, off
}

// Items are what it consists of.
type Items struct {
	Object string `json:"object"`
	Data   []Item `json:"data"`
}

// Item is one price.
type Item struct {
	Head
	Price    Price `json:"price"`
	Quantity int64 `json:"quantity"`
}

// Stripe's times, and the schedule of retries that this account has.
const (
	incompleteFor = 23 * time.Hour
	retryAfter    = 3 * 24 * time.Hour
	retries       = 4 // then it is cancelled
	trialWarning  = 3 * 24 * time.Hour
)

func (sub *Subscription) over() bool {
	return sub.Status == "canceled" || sub.Status == "incomplete_expired"
}

func (sub *Subscription) amount() (total int64) {
	for _, item := range sub.Items.Data {
		total += item.Price.UnitAmount * item.Quantity
	}
	return total
}

// priced reads items[0][price], items[0][quantity] and so on.
func (c *call) priced() ([]Item, error) {
	var items []Item
	for i := 0; c.has("items[" + strconv.Itoa(i) + "]"); i++ {
		at := "items[" + strconv.Itoa(i) + "]"
		price, err := find[Price](c.Server, c.str(at+"[price]"), at+"[price]")
		if err != nil {
			return nil, err
		}
		if price.Recurring == nil {
			return nil, invalid("", at+"[price]", "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.")
		}
		items = append(items, Item{Head: c.fresh("si", "subscription_item"), Price: *price, Quantity: max(1, c.num(at+"[quantity]"))})
	}
	if len(items) == 0 {
		return nil, invalid("parameter_missing", "items", "Missing required param: items.")
	}
	return items, nil
}

func createSubscription(c *call) (any, error) {
	if _, err := find[Customer](c.Server, c.str("customer"), "customer"); err != nil {
		return nil, err
	}
	items, err := c.priced()
	if err != nil {
		return nil, err
	}
	sub := &Subscription{
		Head: c.fresh("sub", "subscription"), CancelAtPeriodEnd: c.yes("cancel_at_period_end"), CollectionMethod: "charge_automatically", Currency: items[0].Price.Currency,
		CurrentPeriodStart: c.moment.Unix(), Customer: c.str("customer"), DefaultPaymentMethod: ref(c.str("default_payment_method")),
		Items: Items{Object: "list", Data: items}, Metadata: c.amend(nil), StartDate: c.moment.Unix(), Status: "incomplete",
		PaymentSettings: PaymentSettings{SaveDefaultPaymentMethod: c.or("payment_settings[save_default_payment_method]", "off")},
	}
	if err := c.owns(sub); err != nil {
		return nil, err
	}
	trial := c.trial()
	c.add(sub)
	if !trial.IsZero() {
		sub.Status, sub.TrialStart, sub.TrialEnd, sub.CurrentPeriodEnd = "trialing", stamp(c.moment.Unix()), stamp(trial.Unix()), trial.Unix()
		c.invoice(sub, "subscription_create", 0, false)
		c.setUpLater(sub)
		c.foresee(sub)
		c.emit("customer.subscription.created", sub)
		return sub, nil
	}
	sub.CurrentPeriodEnd = items[0].Price.Recurring.next(c.moment).Unix()
	c.emit("customer.subscription.created", sub)
	behavior := c.or("payment_behavior", "allow_incomplete")
	invoice := c.invoice(sub, "subscription_create", sub.amount(), behavior == "default_incomplete")
	if behavior == "error_if_incomplete" && !invoice.Paid {
		c.remove(sub.ID)
		p := c.index[string(invoice.PaymentIntent)].(*Intent)
		if p.LastPaymentError != nil {
			return nil, declined(p.LastPaymentError.Code, p.LastPaymentError.DeclineCode)
		}
		return nil, invalid("resource_missing", "", "This customer has no attached payment source or default payment method.")
	}
	c.foresee(sub)
	return sub, nil
}

// setUpLater has the holder of a card that its issuer asks for, and that pays nothing
// yet, authenticate it for the payments to come.
func (c *call) setUpLater(sub *Subscription) {
	m := c.payer(sub)
	if m == nil || !m.asksToBeSetUp() {
		return
	}
	o := &SetupIntent{
		Head: c.fresh("seti", "setup_intent"), Customer: ref(sub.Customer), Metadata: map[string]string{}, PaymentMethod: ref(m.ID),
		PaymentMethodTypes: []string{"card"}, Status: "requires_confirmation", Usage: "off_session",
	}
	o.ClientSecret = o.ID + "_secret_" + rand.Text()
	sub.PendingSetupIntent = ref(o.ID)
	c.add(o)
	c.emit("setup_intent.created", o)
}

// owns checks that the card that is to pay is the customer's.
func (c *call) owns(sub *Subscription) error {
	if sub.DefaultPaymentMethod == "" {
		return nil
	}
	m, err := find[Method](c.Server, string(sub.DefaultPaymentMethod), "default_payment_method")
	if err == nil && string(m.Customer) != sub.Customer {
		return invalid("resource_missing", "default_payment_method", "The customer does not have a payment method with the ID %s.", m.ID)
	}
	return err
}

// trial is when the trial ends that was asked for, zero when none was.
func (c *call) trial() time.Time {
	if days := c.num("trial_period_days"); days > 0 {
		return c.moment.AddDate(0, 0, int(days))
	}
	if end := c.num("trial_end"); end > c.moment.Unix() {
		return time.Unix(end, 0)
	}
	return time.Time{}
}

func (s *Server) renew(sub *Subscription) {
	if sub.CancelAtPeriodEnd {
		s.end(sub, "canceled")
		return
	}
	sub.CurrentPeriodStart = sub.CurrentPeriodEnd
	sub.CurrentPeriodEnd = sub.Items.Data[0].Price.Recurring.next(time.Unix(sub.CurrentPeriodStart, 0)).Unix()
	if sub.Status == "trialing" {
		sub.Status = "active"
	}
	invoice := s.invoice(sub, "subscription_cycle", sub.amount(), false)
	if !invoice.Paid {
		sub.Status = "past_due"
		s.retry(invoice)
	}
	s.emit("customer.subscription.updated", sub)
	s.foresee(sub)
}

// retry has an invoice that could not be paid tried again.
func (s *Server) retry(invoice *Invoice) {
	invoice.NextPaymentAttempt = stamp(s.moment.Add(retryAfter).Unix())
	s.foresee(invoice)
}

// tryAgain tries it, and gives up in the end.
func (s *Server) tryAgain(sub *Subscription, invoice *Invoice) {
	switch {
	case invoice.Status != "open" || sub.over():
	case invoice.AttemptCount >= retries:
		invoice.Status, invoice.NextPaymentAttempt = "uncollectible", 0
		sub.CancellationDetails.Reason = "payment_failed"
		s.end(sub, "canceled")
	case s.collect(invoice, sub) != nil:
		s.retry(invoice)
	}
}

func (s *Server) end(sub *Subscription, status string) {
	now := stamp(s.moment.Unix())
	sub.Status, sub.EndedAt = status, now
	if sub.CanceledAt == 0 {
		sub.CanceledAt = now
	}
	if status == "incomplete_expired" {
		s.emit("customer.subscription.updated", sub)
		return
	}
	s.emit("customer.subscription.deleted", sub)
}

func updateSubscription(c *call) (any, error) {
	sub, err := find[Subscription](c.Server, c.id, "id")
	if err != nil {
		return nil, err
	}
	if sub.over() {
		return nil, invalid("resource_missing", "id", "No such subscription: '%s'", sub.ID)
	}
	if c.has("default_payment_method") {
		next := *sub
		next.DefaultPaymentMethod = ref(c.str("default_payment_method"))
		if err := c.owns(&next); err != nil {
			return nil, err
		}
		sub.DefaultPaymentMethod = next.DefaultPaymentMethod
	}
	if c.has("items") {
		items, err := c.priced()
		if err != nil {
			return nil, err
		}
		sub.Items.Data = items
	}
	if c.has("cancel_at_period_end") {
		sub.CancelAtPeriodEnd, sub.CancelAt, sub.CanceledAt = c.yes("cancel_at_period_end"), 0, 0
		if sub.CancelAtPeriodEnd {
			sub.CancelAt, sub.CanceledAt = stamp(sub.CurrentPeriodEnd), stamp(c.moment.Unix())
		}
	}
	sub.Metadata = c.amend(sub.Metadata)
	if c.str("trial_end") == "now" && sub.Status == "trialing" {
		sub.TrialEnd, sub.CurrentPeriodEnd = stamp(c.moment.Unix()), c.moment.Unix()
		c.renew(sub)
		return sub, nil
	}
	c.emit("customer.subscription.updated", sub)
	return sub, nil
}

func cancelSubscription(c *call) (any, error) {
	sub, err := find[Subscription](c.Server, c.id, "id")
	if err != nil {
		return nil, err
	}
	if sub.over() {
		return nil, invalid("resource_missing", "id", "No such subscription: '%s'", sub.ID)
	}
	if sub.Status == "incomplete" { // its one invoice is of nothing then; others stay open
		if invoice, ok := c.index[string(sub.LatestInvoice)].(*Invoice); ok {
			c.void(invoice)
		}
	}
	sub.CancellationDetails.Reason = "cancellation_requested"
	c.end(sub, "canceled")
	return sub, nil
}

func listsSubscription(c *call, sub *Subscription) bool {
	switch status := c.or("status", ""); status {
	case "all":
	case "":
		if sub.over() {
			return false
		}
	default:
		if sub.Status != status {
			return false
		}
	}
	return c.fits("customer", sub.Customer)
}
