package stripe

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"html"
	"net/http"
)

func confirmIntent(c *call) (any, error) {
	p, err := c.intent()
	if err != nil {
		return nil, err
	}
	if c.has("setup_future_usage") {
		p.SetupFutureUsage = ref(c.str("setup_future_usage"))
	}
	return c.confirm(p)
}

// confirm tries to pay. What the issuer refuses leaves the intent without a
// payment method.
func (c *call) confirm(p *Intent) (any, error) {
	if !p.in("requires_payment_method", "requires_confirmation", "requires_action") {
		return nil, p.unexpected("confirmed")
	}
	if err := c.choose(p); err != nil {
		return nil, err
	}
	m, ok := c.index[string(p.PaymentMethod)].(*Method)
	if !ok {
		return nil, invalid("payment_intent_unexpected_state", "payment_method", "You cannot confirm this PaymentIntent because it's missing a payment method.")
	}
	if err := usable(m, string(p.Customer)); err != nil {
		return nil, err
	}
	p.back = c.str("return_url")
	off := c.yes("off_session") || c.str("off_session") == "one_off" || c.str("off_session") == "recurring"
	if m.asks(off) {
		if off || c.yes("error_on_requires_action") {
			return nil, c.fail(p, m, declined("authentication_required", "authentication_required"))
		}
		p.Status, p.NextAction = "requires_action", c.ask(p.ID, p.back)
		c.emit("payment_intent.requires_action", p)
		return p, nil
	}
	if err := c.pay(p, m, off); err != nil {
		return nil, err
	}
	return p, nil
}

// pay asks the issuer, and holds or takes the amount; off: while its holder is away.
func (s *Server) pay(p *Intent, m *Method, off bool) error {
	p.NextAction = nil
	if m.magic.Code != "" {
		return s.fail(p, m, declined(m.magic.Code, m.magic.DeclineCode))
	}
	if p.SetupFutureUsage != "" && p.Customer != "" {
		_ = s.attach(m, string(p.Customer)) // a card that pays is attached
		m.setUp = true
	}
	m.used = true
	ch := s.charge(p, m)
	p.LatestCharge, p.LastPaymentError = ref(ch.ID), nil
	if p.CaptureMethod == "manual" {
		p.Status, p.AmountCapturable = "requires_capture", p.Amount
		hold := HoldFor
		if off && m.magic.Brand == "visa" {
			hold = HoldAway
		}
		ch.PaymentMethodDetails.Card.CaptureBefore = stamp(s.moment.Add(hold).Unix())
		s.foresee(p)
		s.emit("charge.succeeded", ch)
		s.emit("payment_intent.amount_capturable_updated", p)
		return nil
	}
	s.emit("charge.succeeded", ch)
	s.capture(p, ch, p.Amount)
	return nil
}

// fail notes a refusal on the intent and returns it with the intent inside.
func (s *Server) fail(p *Intent, m *Method, refusal *Error) error {
	ch := s.charge(p, m)
	ch.Status, ch.Paid = "failed", false
	ch.FailureCode, ch.FailureMessage = ref(refusal.Code), ref(refusal.Message)
	ch.Outcome.Type, ch.Outcome.Reason = "issuer_declined", ref(refusal.DeclineCode)
	if m.magic.Blocked {
		ch.Outcome.Type, ch.Outcome.Reason = "blocked", "highest_risk_level"
	}
	refusal.Charge = ch.ID
	s.refuse(p, m, refusal)
	p.LatestCharge = ref(ch.ID)
	s.emit("charge.failed", ch)
	s.emit("payment_intent.payment_failed", p)
	whole := *refusal
	shown := copied(p)
	whole.PaymentIntent = &shown
	return &whole
}

func (s *Server) refuse(p *Intent, m *Method, refusal *Error) {
	noted, method := *refusal, copied(m)
	noted.PaymentMethod = &method
	refusal.PaymentMethod = &method
	p.Status, p.PaymentMethod, p.LastPaymentError, p.NextAction = "requires_payment_method", "", &noted, nil
	if m.Customer == "" {
		m.used = m.magic.Asks == Never // a holder who only has to authenticate may try it again
	}
}

// challenge is a page of 3-D Secure.
type challenge struct {
	Head
	of   string // the intent
	back string
}

func (c *call) ask(intent, back string) *NextAction {
	page := &challenge{Head: Head{ID: "tdsrc_" + rand.Text(), Object: "three_d_secure", Created: c.moment.Unix()}, of: intent, back: back}
	c.add(page)
	url := c.base + "/authenticate/" + page.ID
	if back == "" {
		return &NextAction{Type: "use_stripe_sdk", UseStripeSDK: map[string]any{"type": "three_d_secure_redirect", "stripe_js": url, "source": page.ID}}
	}
	return &NextAction{Type: "redirect_to_url", RedirectToURL: &Redirect{URL: url, ReturnURL: ref(back)}}
}

// page shows the holder who asks.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	what := ""
	s.locked(func() {
		if page, ok := s.index[r.PathValue("id")].(*challenge); ok {
			what = "this card for later payments"
			if p, ok := s.index[page.of].(*Intent); ok {
				what = fmt.Sprintf("%d.%02d %s", p.Amount/100, p.Amount%100, p.Currency)
			}
		}
	})
	if what == "" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprintf(w, `<!doctype html><html lang="en"><title>3-D Secure</title><h1>Your bank asks</h1><p>Do you approve %s?</p>
<form method="post"><button name="outcome" value="approve">Complete</button> <button name="outcome" value="refuse">Fail</button></form>`, html.EscapeString(what))
}

// pressed is a button of the page: the payment goes on, or is refused.
func (s *Server) pressed(w http.ResponseWriter, r *http.Request) {
	approved := subtle.ConstantTimeCompare([]byte(r.PostFormValue("outcome")), []byte("approve")) == 1
	back, found := "", false
	s.locked(func() {
		page, ok := s.index[r.PathValue("id")].(*challenge)
		if !ok {
			return
		}
		found, back = true, page.back
		s.changes++
		s.remove(page.ID)
		switch one := s.index[page.of].(type) {
		case *Intent:
			s.authenticated(one, approved)
		case *SetupIntent:
			s.authenticatedSetup(one, approved)
		}
	})
	switch {
	case !found:
		http.NotFound(w, r)
	case back != "":
		http.Redirect(w, r, back, http.StatusSeeOther)
	default:
		_, _ = fmt.Fprintln(w, "You may close this page.")
	}
}

func (s *Server) authenticated(p *Intent, approved bool) {
	m, ok := s.index[string(p.PaymentMethod)].(*Method)
	if !ok || p.Status != "requires_action" {
		return // cancelled, or confirmed with another card meanwhile
	}
	if !approved {
		refusal := invalid("payment_intent_authentication_failure", "", "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new PaymentMethod to attempt to fulfill this PaymentIntent again.")
		s.refuse(p, m, refusal)
		s.emit("payment_intent.payment_failed", p)
		return
	}
	_ = s.pay(p, m, false) // the refusal is on the intent
}
