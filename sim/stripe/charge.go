package stripe

import (
	"strings"
	"time"
)

// Charge is an attempt to pay.
type Charge struct {
	Head
	Amount               int64             `json:"amount"`
	AmountCaptured       int64             `json:"amount_captured"`
	AmountRefunded       int64             `json:"amount_refunded"` // what a capture leaves of the hold counts too
	BalanceTransaction   ref               `json:"balance_transaction"`
	Captured             bool              `json:"captured"`
	Currency             string            `json:"currency"`
	Customer             ref               `json:"customer"`
	Disputed             bool              `json:"disputed"`
	FailureCode          ref               `json:"failure_code"`
	FailureMessage       ref               `json:"failure_message"`
	Invoice              ref               `json:"invoice"`
	Metadata             map[string]string `json:"metadata"`
	Outcome              Outcome           `json:"outcome"`
	Paid                 bool              `json:"paid"`
	PaymentIntent        ref               `json:"payment_intent"`
	PaymentMethod        ref               `json:"payment_method"`
	PaymentMethodDetails MethodDetails     `json:"payment_method_details"`
	Refunded             bool              `json:"refunded"`
	Status               string            `json:"status"` // succeeded, failed
	TransferGroup        ref               `json:"transfer_group"`

	magic       Magic
	transferred int64
}

// Outcome says who decided.
type Outcome struct {
	Type   string `json:"type"`
	Reason ref    `json:"reason"`
}

// MethodDetails are of the card as it was then.
type MethodDetails struct {
	Type string     `json:"type"`
	Card ChargeCard `json:"card"`
}

// ChargeCard says until when a hold stands.
type ChargeCard struct {
	CardDetails
	CaptureBefore stamp `json:"capture_before,omitempty"`
}

func (s *Server) charge(p *Intent, m *Method) *Charge {
	ch := &Charge{
		Head: s.fresh("ch", "charge"), Amount: p.Amount, Currency: p.Currency, Customer: p.Customer, Invoice: p.Invoice, Metadata: p.Metadata,
		Outcome: Outcome{Type: "authorized"}, Paid: true, PaymentIntent: ref(p.ID), PaymentMethod: ref(m.ID), Status: "succeeded", TransferGroup: p.TransferGroup,
		PaymentMethodDetails: MethodDetails{Type: "card", Card: ChargeCard{CardDetails: m.Card}}, magic: m.magic,
	}
	s.add(ch)
	return ch
}

// capture takes an amount and gives up the rest of the hold.
func (s *Server) capture(p *Intent, ch *Charge, amount int64) {
	held := p.CaptureMethod == "manual"
	ch.Captured, ch.AmountCaptured, ch.AmountRefunded = true, amount, ch.Amount-amount
	ch.BalanceTransaction = ref(s.book("charge", "charge", ch.ID, ch.Currency, amount, fee(amount), !ch.magic.Available))
	p.Status, p.AmountReceived = "succeeded", amount
	if held {
		s.emit("charge.captured", ch)
	}
	s.emit("payment_intent.succeeded", p)
	if invoice, ok := s.index[string(p.Invoice)].(*Invoice); ok {
		s.paid(invoice)
	}
	if ch.magic.Dispute != "" {
		s.dispute(ch, ch.magic.Dispute, ch.magic.Inquiry)
	}
}

// fee is Stripe's for a British card: 1.5% and 20 minor units.
func fee(amount int64) int64 { return (amount*15+500)/1000 + 20 }

// Refund gives money back.
type Refund struct {
	Head
	Amount                    int64             `json:"amount"`
	BalanceTransaction        ref               `json:"balance_transaction"`
	Charge                    ref               `json:"charge"`
	Currency                  string            `json:"currency"`
	FailureBalanceTransaction ref               `json:"failure_balance_transaction,omitempty"`
	FailureReason             string            `json:"failure_reason,omitempty"`
	Metadata                  map[string]string `json:"metadata"`
	PaymentIntent             ref               `json:"payment_intent"`
	Reason                    ref               `json:"reason"`
	Status                    string            `json:"status"` // pending, succeeded, failed
}

// refundLag is after how long a refund that is not settled at once is.
const refundLag = time.Hour

func createRefund(c *call) (any, error) {
	id := c.str("charge")
	if intent := c.str("payment_intent"); intent != "" {
		p, err := find[Intent](c.Server, intent, "payment_intent")
		if err != nil {
			return nil, err
		}
		if p.LatestCharge == "" || !p.in("succeeded") {
			return nil, p.unexpected("refunded")
		}
		id = string(p.LatestCharge)
	}
	ch, err := find[Charge](c.Server, id, "charge")
	if err != nil {
		return nil, err
	}
	left := ch.Amount - ch.AmountRefunded
	amount := left
	if c.has("amount") {
		amount = c.num("amount")
	}
	switch {
	case !ch.Captured || ch.Status != "succeeded":
		return nil, invalid("charge_not_refundable", "charge", "Charge %s has not been captured.", ch.ID)
	case ch.Disputed && c.withdrawn(ch):
		return nil, invalid("charge_disputed", "charge", "Charge %s has been charged back; cannot issue a refund.", ch.ID)
	case left == 0:
		return nil, invalid("charge_already_refunded", "", "Charge %s has already been refunded.", ch.ID)
	case amount < 1:
		return nil, invalid("parameter_invalid_integer", "amount", "Invalid positive integer")
	case amount > left:
		return nil, invalid("", "amount", "Refund amount (%d) is greater than unrefunded amount on charge (%d)", amount, left)
	}
	o := &Refund{
		Head: c.fresh("re", "refund"), Amount: amount, Charge: ref(ch.ID), Currency: ch.Currency, Metadata: c.amend(nil),
		PaymentIntent: ch.PaymentIntent, Reason: ref(c.str("reason")), Status: "succeeded",
	}
	o.BalanceTransaction = ref(c.book("refund", "refund", o.ID, o.Currency, -amount, 0, false))
	ch.AmountRefunded += amount
	ch.Refunded = ch.AmountRefunded == ch.Amount
	if ch.magic.Refund == "succeeded" {
		o.Status = "pending"
	}
	c.add(o)
	c.foresee(o)
	c.emit("charge.refunded", ch)
	return o, nil
}

// SettleRefund says now what becomes of a refund: one that seemed to have succeeded
// can still fail.
func (s *Server) SettleRefund(id string, ok bool) {
	s.locked(func() {
		if o, found := s.index[id].(*Refund); found {
			s.settle(o, ok)
		}
	})
}

func (s *Server) settle(o *Refund, ok bool) {
	switch {
	case o.Status == "failed" || ok && o.Status == "succeeded":
		return
	case ok:
		o.Status = "succeeded"
	default:
		o.Status, o.FailureReason = "failed", "lost_or_stolen_card"
		o.FailureBalanceTransaction = ref(s.book("refund_failure", "refund_failure", o.ID, o.Currency, o.Amount, 0, false))
		ch := s.index[string(o.Charge)].(*Charge)
		ch.AmountRefunded -= o.Amount
		ch.Refunded = false
	}
	s.emit("charge.refund.updated", o)
}

// Dispute is a charge that its holder contests.
type Dispute struct {
	Head
	Amount              int64                 `json:"amount"`
	BalanceTransactions []*BalanceTransaction `json:"balance_transactions"`
	Charge              ref                   `json:"charge"`
	Currency            string                `json:"currency"`
	EvidenceDetails     EvidenceDetails       `json:"evidence_details"`
	IsChargeRefundable  bool                  `json:"is_charge_refundable"`
	Metadata            map[string]string     `json:"metadata"`
	PaymentIntent       ref                   `json:"payment_intent"`
	Reason              string                `json:"reason"`
	Status              string                `json:"status"` // warning_needs_response, needs_response, under_review, won, lost…
}

// EvidenceDetails say until when evidence is taken.
type EvidenceDetails struct {
	DueBy       stamp `json:"due_by"`
	HasEvidence bool  `json:"has_evidence"`
}

const disputeFee = 2000 // in minor units; it is not given back

// Dispute contests a charge now and returns the dispute's id, or "" when the charge
// can't be contested.
func (s *Server) Dispute(charge, reason string) (id string) {
	s.locked(func() {
		if ch, ok := s.index[charge].(*Charge); ok && ch.Captured && !ch.Disputed {
			id = s.dispute(ch, reason, false).ID
		}
	})
	return id
}

func (s *Server) dispute(ch *Charge, reason string, inquiry bool) *Dispute {
	o := &Dispute{
		Head: s.fresh("dp", "dispute"), Amount: ch.AmountCaptured, Charge: ref(ch.ID), Currency: ch.Currency, Metadata: map[string]string{},
		PaymentIntent: ch.PaymentIntent, Reason: reason, Status: "needs_response", BalanceTransactions: []*BalanceTransaction{},
		EvidenceDetails: EvidenceDetails{DueBy: stamp(s.moment.Add(HoldFor).Unix())}, IsChargeRefundable: inquiry,
	}
	if inquiry {
		o.Status = "warning_needs_response"
	}
	ch.Disputed = true
	s.add(o)
	s.emit("charge.dispute.created", o)
	if !inquiry {
		s.move(o, -o.Amount, disputeFee, "dispute")
		s.emit("charge.dispute.funds_withdrawn", o)
	}
	return o
}

func (s *Server) move(o *Dispute, amount, fee int64, category string) {
	id := s.book("adjustment", category, o.ID, o.Currency, amount, fee, false)
	o.BalanceTransactions = append(o.BalanceTransactions, s.index[id].(*BalanceTransaction))
}

// withdrawn reports whether a dispute has taken the money of a charge.
func (s *Server) withdrawn(ch *Charge) bool {
	return len(every(s, func(o *Dispute) bool {
		return string(o.Charge) == ch.ID && len(o.BalanceTransactions) > 0 && o.Status != "won"
	})) > 0
}

// CloseDispute decides a dispute.
func (s *Server) CloseDispute(id string, won bool) {
	s.locked(func() {
		if o, ok := s.index[id].(*Dispute); ok {
			s.decide(o, won)
		}
	})
}

func (s *Server) decide(o *Dispute, won bool) {
	switch {
	case o.Status == "won" || o.Status == "lost" || o.Status == "warning_closed":
		return
	case strings.HasPrefix(o.Status, "warning"):
		o.Status = "warning_closed"
	case won:
		o.Status = "won"
		s.move(o, o.Amount, 0, "dispute_reversal")
		s.emit("charge.dispute.funds_reinstated", o)
	default:
		o.Status = "lost"
	}
	s.emit("charge.dispute.closed", o)
}

// updateDispute takes evidence; Stripe's test mode reads the verdict from it.
func updateDispute(c *call) (any, error) {
	o, err := find[Dispute](c.Server, c.id, "id")
	if err != nil {
		return nil, err
	}
	o.Metadata = c.amend(o.Metadata)
	if c.has("evidence") {
		o.EvidenceDetails.HasEvidence, o.Status = true, strings.Replace(o.Status, "needs_response", "under_review", 1)
		c.emit("charge.dispute.updated", o)
	}
	switch c.str("evidence[uncategorized_text]") {
	case "winning_evidence":
		c.decide(o, true)
	case "losing_evidence":
		c.decide(o, false)
	}
	return o, nil
}

func closeDispute(c *call) (any, error) {
	o, err := find[Dispute](c.Server, c.id, "id")
	if err == nil {
		c.decide(o, false)
	}
	return o, err
}
