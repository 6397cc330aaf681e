package payment

import (
	"slices"
	"time"

	"armora/fleet"
)

// The times by which the money of a booking is seen to.
const (
	// AuthoriseAhead is how long before its start the amount of a scheduled booking
	// is held: a hold does not last much longer than a week.
	AuthoriseAhead = 24 * time.Hour
	// CaptureAhead is how long before a hold runs out what is earned of it is taken.
	CaptureAhead = 24 * time.Hour
	// RefundWait is how long a refund waits for a second person.
	RefundWait = 72 * time.Hour
	// feePatience is for how long Stripe's fee of a capture is asked for.
	feePatience = 7 * 24 * time.Hour
	// tries is how often Stripe may refuse the same step before ops are asked.
	tries = 3
)

// reminders are how long before the start a principal is reminded that their
// booking is not paid for.
var reminders = []time.Duration{20 * time.Hour, 6 * time.Hour, 2 * time.Hour}

// action is what a step does.
type action int

const (
	wait     action = iota // nothing, until step.at or until something happens
	repeat                 // make a call that nobody has heard the answer of
	open                   // add a payment
	create                 // have Stripe make the intent of a payment
	confirm                // try a card
	capture                // take money that is held
	cancel                 // give a payment up
	giveBack               // add a refund of what was taken beyond what is due
	refund                 // have Stripe refund
	reject                 // a refund that nobody has approved in time
	fund                   // let the booking be dispatched
	unfund                 // let it not be: nobody has it yet
	charge                 // post what is due
	owe                    // make what is missing a debt
	forgive                // a debt of what is not due any more
	remind                 // tell the principal that it is not paid for
	alert                  // ask ops
	pass                   // add a transfer to an officer, or the reversal of one
	send                   // have Stripe make it
)

// step is the one next thing to do about the money of a booking.
type step struct {
	do      action
	payment *fleet.Payment // confirm, capture, cancel, create, giveBack, refund
	purpose fleet.Purpose  // open
	amount  int64          // open, capture, giveBack, charge, owe
	method  string         // confirm, and of open: "" is a card that the principal is to give
	session bool           // confirm
	call    *fleet.PaymentCall
	refund  *fleet.Refund

	transfer *fleet.Transfer // pass, send
	debt     *fleet.Debt
	state    fleet.DebtState // owe
	reason   string          // owe, giveBack
	at       time.Time       // wait: when to look again; zero: when something happens
}

// next returns what to do.
func (m *matter) next() step {
	for i := range m.calls {
		if m.calls[i].Answered.IsZero() {
			return step{do: repeat, call: &m.calls[i]}
		}
	}
	if s := m.pendingRefund(); s.do != wait {
		return s
	}
	if s := m.pendingDebt(); s.do != wait {
		return s
	}
	var s step
	if m.booking.Status.Ended() {
		if s = m.settleUp(); s.do == wait {
			s = m.payOfficers()
		}
	} else {
		s = m.secure()
	}
	if s.do == wait {
		s.at = m.lookAgain(s.at)
	}
	return s
}

// pendingRefund sends refunds to Stripe.
func (m *matter) pendingRefund() step {
	for i := range m.refunds {
		switch r := &m.refunds[i]; {
		case r.State == fleet.RefundNew:
			return step{do: refund, refund: r, payment: m.payment(r.Payment)}
		case r.State == fleet.RefundWaiting && !m.now.Before(r.Created.Add(RefundWait)):
			return step{do: reject, refund: r, payment: m.payment(r.Payment)}
		}
	}
	return step{}
}

// pendingDebt sees to the payments by which the principal pays a debt.
func (m *matter) pendingDebt() step {
	for i := range m.payments {
		p := &m.payments[i]
		if p.Purpose != fleet.ForDebt || p.State.Ended() {
			continue
		}
		if !slices.ContainsFunc(m.debts, func(d fleet.Debt) bool { return d.ID == p.Debt && d.State == fleet.DebtOpen }) {
			return m.giveUp(p)
		}
		if p.State == fleet.PaymentNew {
			return step{do: create, payment: p, method: m.card()}
		}
		if card := m.card(); m.money.Session && card != "" && unready(p) {
			return step{do: confirm, payment: p, method: card, session: true}
		}
	}
	return step{}
}

// giveUp cancels a payment, unless Stripe has refused that too often.
func (m *matter) giveUp(p *fleet.Payment) step {
	if m.stuck(p, fleet.CallCancel) {
		return step{do: alert, payment: p, at: m.now.Add(time.Hour)}
	}
	return step{do: cancel, payment: p}
}

// lookAgain returns when to look at the matter again, which is at at or before it,
// if at is not zero. Webhooks may be lost: what Stripe may have news of is asked
// for.
func (m *matter) lookAgain(at time.Time) time.Time {
	sooner := func(t time.Time) {
		if t.Before(m.now) {
			t = m.now.Add(time.Minute)
		}
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	for i := range m.payments {
		switch p := &m.payments[i]; {
		case p.State == fleet.PaymentHeld && !p.CaptureBefore.IsZero():
			if warn := p.CaptureBefore.Add(-CaptureAhead); m.now.Before(warn) {
				sooner(warn)
			} else {
				sooner(m.now.Add(time.Hour))
			}
		case p.State == fleet.PaymentNew: // planned
		case !p.State.Ended():
			sooner(m.now.Add(m.patience()))
		case p.State == fleet.PaymentCaptured && !p.FeeKnown && m.now.Before(p.Changed.Add(feePatience)):
			sooner(m.now.Add(time.Hour))
		}
	}
	for i := range m.refunds {
		switch m.refunds[i].State {
		case fleet.RefundWaiting:
			sooner(m.refunds[i].Created.Add(RefundWait))
		case fleet.RefundPending:
			sooner(m.now.Add(6 * time.Hour))
		}
	}
	return at
}

// patience is how often Stripe is asked about what the principal or their bank
// does.
func (m *matter) patience() time.Duration {
	if m.booking.Now() {
		return time.Minute
	}
	return 5 * time.Minute
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
