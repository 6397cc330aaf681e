package payment

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/tariff"
)

const (
	// maxSteps is more than any booking needs at once: it ends what would not end.
	maxSteps = 60
	// keyLife is for how long Stripe knows what it was asked under a key.
	keyLife = 24 * time.Hour
	// brokenFor is for how long a request that broke at Stripe is repeated, before its
	// object is asked what has become of it.
	brokenFor = time.Minute
	// unknownAgain is when to look again at what nobody knows the answer of.
	unknownAgain = time.Minute
)

// Settle does what is to be done about the money of a booking by now, step by step
// until nothing is. A booking that is not paid by card needs nothing. It may be
// called at any time, by anybody, and again: CodeUnavailable says that Stripe could
// not be asked, and that it is to be.
func (c *Cashier) Settle(ctx context.Context, id fleet.BookingID) error {
	if err := c.refresh(ctx, id); err != nil {
		return err
	}
	for range maxSteps {
		todo, err := c.advance(ctx, id)
		if err != nil || todo == nil {
			return err
		}
		if err := c.carryOut(ctx, todo); err != nil {
			return err
		}
	}
	c.log.Error("the money of a booking does not come to rest", "booking", id)
	return fmt.Errorf("the money of booking %s does not come to rest", id)
}

// todo is a call that is saved, and to be made.
type todo struct {
	payment fleet.Payment
	call    fleet.PaymentCall
	user    fleet.UserID
	passing *passing // nil: it is about no transfer
}

// advance does the steps that need nobody else, and saves the first that does. What
// it decides is decided with the booking locked, by what is stored then.
func (c *Cashier) advance(ctx context.Context, id fleet.BookingID) (next *todo, err error) {
	_, err = c.bookings.Change(ctx, id, c.cfg.Clock.Now(), func(tx *schema.BookingTx) error {
		next = nil
		for range maxSteps {
			m, ok, err := c.read(tx)
			if err != nil || !ok {
				return err
			}
			s := m.next()
			if next, err = c.do(tx, m, &s); err != nil || next != nil || s.do == wait || s.do == alert {
				return err
			}
		}
		return fmt.Errorf("the money of booking %s does not come to rest", id)
	})
	return next, err
}

// read reads all that is known of the money of a booking that is locked; ok is
// false if it is not paid by card.
func (c *Cashier) read(tx *schema.BookingTx) (m *matter, ok bool, err error) {
	m = &matter{booking: &tx.Booking, now: tx.Now}
	if m.money, ok, err = tx.Money(); err != nil || !ok {
		return nil, false, err
	}
	if m.payments, err = tx.Payments(); err != nil {
		return nil, false, err
	}
	if m.refunds, err = tx.Refunds(); err != nil {
		return nil, false, err
	}
	if m.debts, err = tx.Debts(); err != nil {
		return nil, false, err
	}
	if m.calls, err = tx.Calls(); err != nil {
		return nil, false, err
	}
	if m.charged, _, err = tx.Posted(fleet.PrincipalAccount(tx.User), "due"); err != nil {
		return nil, false, err
	}
	for _, r := range m.refunds {
		if !r.Excess && (r.State == fleet.RefundPending || r.State == fleet.RefundSucceeded) {
			m.credited += r.Amount.Amount
		}
	}
	preferred, err := tx.PreferredCard()
	if err != nil {
		return nil, false, err
	}
	for _, card := range []string{m.money.Method, preferred} {
		if card != "" && (len(m.cards) == 0 || m.cards[0] != card) {
			m.cards = append(m.cards, card)
		}
	}
	if m.early() {
		m.money.Reminded = 0 // who has put it off is reminded anew
	}
	m.earned = c.earned(&tx.Booking, tx.Now)
	if !tx.Status.Ended() {
		return m, true, nil
	}
	if m.transfers, err = tx.Transfers(); err == nil {
		m.shares, err = shares(tx)
	}
	return m, err == nil, err
}

// earned is what a booking would cost if its trip were over now: nothing before it
// has begun.
func (c *Cashier) earned(b *fleet.Booking, now time.Time) int64 {
	if b.Status != fleet.InProgress {
		return 0
	}
	var table tariff.Table
	if err := json.Unmarshal(b.Tariff, &table); err != nil {
		return 0
	}
	price, err := table.Quote(tariff.Trip{
		Tier: b.Tier, Start: b.Start, Zone: b.Zone, Time: max(time.Minute, min(now.Sub(b.Started), b.Booked())),
		Metres: b.Metres, Officers: b.Officers, Member: b.Member,
	})
	if err != nil {
		c.log.Error("what a trip has earned cannot be worked out", "booking", b.ID, "error", err)
		return 0
	}
	return min(price.Total.Amount, b.Total.Amount)
}

// do does a step, or saves the call that it needs.
func (c *Cashier) do(tx *schema.BookingTx, m *matter, s *step) (*todo, error) {
	switch s.do {
	case repeat:
		return &todo{payment: *m.payment(s.call.Payment), call: *s.call, user: tx.User, passing: m.passing(s.call.Transfer)}, nil
	case open:
		p := fleet.Payment{Purpose: s.purpose, Method: s.method, Amount: fleet.Money{Amount: s.amount, Currency: tx.Total.Currency}}
		return nil, tx.AddPayment(&p)
	case create, confirm, capture, refund, send:
		return c.save(tx, m, s)
	case pass:
		return nil, tx.AddTransfer(s.transfer)
	case cancel:
		if s.payment.Stripe != "" {
			return c.save(tx, m, s)
		}
		s.payment.State = fleet.PaymentCancelled // Stripe knows nothing of it
		return nil, tx.SetPayment(s.payment)
	case giveBack:
		s.payment.Refunded += s.amount
		r := fleet.Refund{Payment: s.payment.ID, State: fleet.RefundNew, Reason: s.reason, Excess: true,
			Amount: fleet.Money{Amount: s.amount, Currency: s.payment.Amount.Currency}}
		if err := tx.AddRefund(&r); err != nil {
			return nil, err
		}
		return nil, tx.SetPayment(s.payment)
	case reject:
		return nil, setRefund(tx, s.payment, s.refund, fleet.RefundRejected)
	case fund:
		return nil, c.fund(tx, m)
	case unfund:
		return nil, tx.TakeBack("not_funded", schema.Event{Kind: "unfunded"})
	case charge:
		return nil, c.charge(tx, s.amount)
	case owe:
		return nil, c.owe(tx, s)
	case forgive:
		return nil, tx.EndDebt(s.debt.ID, fleet.DebtForgiven, fleet.PaymentID{})
	case remind:
		m.money.Reminded = int(s.amount)
		if err := tx.SetMoney(&m.money); err != nil {
			return nil, err
		}
		once := fmt.Sprintf("%d/%d", m.money.Reminded, tx.Start.Unix())
		return nil, tx.Notify(c.tell(&tx.Booking, "payment_action", once, tx.Total, tx.Start))
	case alert:
		if err := tx.Alert(fleet.AlertPayment, fleet.DriverID{}); err != nil {
			return nil, err
		}
	}
	m.money.NextLook = s.at
	return nil, tx.SetMoney(&m.money)
}

// save saves the call of a step.
func (c *Cashier) save(tx *schema.BookingTx, m *matter, s *step) (*todo, error) {
	k := fleet.PaymentCall{Amount: s.amount, Method: s.method, Session: s.session}
	switch s.do {
	case create:
		k.Step, k.Amount = fleet.CallCreate, s.payment.Amount.Amount
	case confirm:
		k.Step = fleet.CallConfirm
	case capture:
		k.Step = fleet.CallCapture
	case cancel:
		k.Step = fleet.CallCancel
	case refund:
		k.Step, k.Refund, k.Amount = fleet.CallRefund, s.refund.ID, s.refund.Amount.Amount
	case send:
		k.Step, k.Transfer, k.Amount = fleet.CallTransfer, s.transfer.ID, s.transfer.Amount.Amount
		if !s.transfer.Reverses.IsZero() {
			k.Step = fleet.CallReverse
		}
	}
	if m.money.Session && (s.session || s.do == create && s.method == "") { // they were asked
		m.money.Session = false
	}
	m.money.NextLook = m.now.Add(unknownAgain) // should nobody come back
	if err := tx.SetMoney(&m.money); err != nil {
		return nil, err
	}
	if err := tx.SaveCall(s.payment, &k); err != nil {
		return nil, err
	}
	return &todo{payment: *s.payment, call: k, user: tx.User, passing: m.passing(k.Transfer)}, nil
}

// carryOut makes a call and applies its answer.
func (c *Cashier) carryOut(ctx context.Context, t *todo) error {
	var customer string
	var err error
	if t.call.Step == fleet.CallCreate { // the one that names them: who is erased is nobody to Stripe
		if customer, err = c.customer(ctx, t.user); err != nil {
			return err
		}
	}
	var a answer
	if age := c.cfg.Clock.Now().Sub(t.call.Saved); age < keyLife {
		a = c.ask(ctx, t, customer)
		logAnswer(c.log, &t.call, &a)
		broke := a.verdict == broken && age >= brokenFor && !t.call.Step.Sends()
		if !broke && (a.verdict == unknown || a.verdict == broken) {
			return a.away()
		}
		if broke {
			a, err = c.lookUp(ctx, t, customer)
		}
	} else {
		a, err = c.lookUp(ctx, t, customer)
	}
	if err != nil {
		return err
	}
	if a.verdict == refused && a.intent == nil && t.payment.Stripe != "" && !t.call.Step.Sends() {
		if a.intent, err = c.intent(ctx, t.payment.Stripe); err != nil { // why it was: by what it is now
			return err
		}
	}
	return c.answer(ctx, t, &a)
}

// Codes of calls that were never answered, once it is known what became of them.
const (
	codeNeverArrived = "never_arrived" // Stripe does not know of it: it may be asked anew
	codeLookedUp     = "looked_up"     // what has become of the payment, says its state
)

// lookUp finds out what became of a call that was not answered.
func (c *Cashier) lookUp(ctx context.Context, t *todo, customer string) (a answer, err error) {
	switch t.call.Step {
	case fleet.CallCreate:
		if a.intent, err = c.find(ctx, &t.payment, customer); err == nil && a.intent == nil {
			a.verdict, a.code = refused, codeNeverArrived
		}
	case fleet.CallRefund:
		if a.refund, err = c.findRefund(ctx, &t.payment, t.call.Refund); err == nil && a.refund == nil {
			a.verdict, a.code = refused, codeNeverArrived
		}
	case fleet.CallTransfer, fleet.CallReverse:
		if a.sent, err = c.findTransfer(ctx, t); err == nil && a.sent == "" {
			a.verdict, a.code = refused, codeNeverArrived
		}
	default:
		a.verdict, a.code = refused, codeLookedUp
		a.intent, err = c.intent(ctx, t.payment.Stripe)
	}
	return a, err
}

// answer applies what Stripe has answered.
func (c *Cashier) answer(ctx context.Context, t *todo, a *answer) error {
	_, err := c.bookings.Change(ctx, t.call.Booking, c.cfg.Clock.Now(), func(tx *schema.BookingTx) error {
		p, err := paymentIn(tx, t.call.Payment)
		if err != nil {
			return err
		}
		k := t.call
		k.Code, k.Decline, k.Request = a.code, a.decline, a.request
		if err := tx.AnswerCall(&k); err != nil {
			return err
		}
		if k.Step == fleet.CallRefund {
			return c.answerRefund(tx, p, &k, a)
		}
		if k.Step.Sends() {
			return c.answerTransfer(tx, &k, a)
		}
		if k.Step == fleet.CallConfirm && a.verdict == refused {
			p.Method, p.Code, p.Decline = k.Method, a.code, a.decline
			if err := tx.SetPayment(p); err != nil {
				return err
			}
		}
		if a.intent != nil {
			return c.apply(tx, p, a.intent)
		}
		if a.verdict == refused && k.Step == fleet.CallCreate && a.code != codeNeverArrived {
			p.State, p.Code, p.Decline = fleet.PaymentFailed, a.code, a.decline
			return tx.SetPayment(p)
		}
		return nil
	})
	if err == nil && a.intent != nil {
		c.keepCard(ctx, t.user, a.intent)
	}
	return err
}
