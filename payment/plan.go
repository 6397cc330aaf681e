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

// Minimum is the least that Stripe takes by card.
// https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
var Minimum = map[fleet.Currency]int64{fleet.GBP: 30}

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
	debt    *fleet.Debt
	state   fleet.DebtState // owe
	reason  string          // owe, giveBack
	at      time.Time       // wait: when to look again; zero: when something happens
}

// matter is all that is known of the money of a booking. What is to be done follows
// from it alone: whoever was interrupted reads it again and goes on.
type matter struct {
	booking  *fleet.Booking
	money    fleet.BookingMoney
	payments []fleet.Payment
	refunds  []fleet.Refund
	debts    []fleet.Debt
	calls    []fleet.PaymentCall
	cards    []string // that the principal has, the best first
	charged  int64    // what was posted as due
	credited int64    // of that, what staff have taken back by refunds
	earned   int64    // what would be due if it ended now
	now      time.Time
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
		s = m.settleUp()
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

// secure sees that the amount of a booking that is not over is held.
func (m *matter) secure() step {
	b := m.booking
	total, small := b.Total.Amount, Minimum[b.Total.Currency]
	early := !b.Now() && m.now.Before(b.Start.Add(-AuthoriseAhead))
	held, kept := int64(0), m.kept() // held by what does not run out before it is looked at again
	var stale, fresh []*fleet.Payment
	for i := range m.payments {
		p := &m.payments[i]
		switch {
		case p.State != fleet.PaymentHeld:
		case p.CaptureNow && total > kept && !m.stuck(p, fleet.CallCapture):
			return step{do: capture, payment: p, amount: min(p.Amount.Amount, total-kept)}
		case !p.CaptureBefore.IsZero() && !m.now.Before(p.CaptureBefore.Add(-CaptureAhead)):
			stale = append(stale, p)
		default:
			fresh, held = append(fresh, p), held+p.Amount.Amount
		}
	}
	for _, p := range stale {
		switch earned := min(p.Amount.Amount, m.earned-kept); {
		case earned >= small && !m.stuck(p, fleet.CallCapture):
			return step{do: capture, payment: p, amount: earned}
		case early || kept+held >= total:
			return m.giveUp(p)
		}
	}
	if missing := total - kept - held; missing >= small || missing > 0 && b.Funded.IsZero() && total >= small {
		return m.hold(missing, early, len(stale) == 0 && len(fresh) > 0)
	}
	for _, p := range fresh { // the oldest first
		if kept+held-p.Amount.Amount >= total {
			return m.giveUp(p)
		}
	}
	for i := range m.payments {
		if p := &m.payments[i]; p.State != fleet.PaymentHeld && p.State != fleet.PaymentProcessing && !p.State.Ended() {
			return m.giveUp(p)
		}
	}
	if b.Funded.IsZero() {
		return step{do: fund}
	}
	return step{}
}

// hold has what is missing held. A booking that has a hold, and became dearer, has
// all of it held anew before the old hold is given up; one that is under way, the
// difference.
func (m *matter) hold(missing int64, early, dearer bool) step {
	b := m.booking
	purpose, amount := fleet.ForReauthorisation, b.Total.Amount-m.kept()
	switch {
	case !m.held():
		purpose = fleet.ForInitial
	case b.Status == fleet.InProgress:
		amount = missing
		if dearer {
			purpose = fleet.ForExtension
		}
	}
	pending := m.pending()
	card := m.card()
	switch {
	case pending != nil && pending.Amount.Amount != amount:
		return m.giveUp(pending)
	case early:
		return step{at: b.Start.Add(-AuthoriseAhead)}
	case pending == nil && (card != "" && !m.failed(amount, card) || m.money.Session):
		return step{do: open, purpose: purpose, amount: amount, method: card}
	case pending == nil:
		return m.unpaid()
	case pending.State == fleet.PaymentNew:
		return step{do: create, payment: pending, method: card}
	case pending.State == fleet.PaymentProcessing:
		return step{}
	case m.money.Session && card != "":
		return step{do: confirm, payment: pending, method: card, session: true}
	}
	if card = m.untried(pending); card != "" {
		if m.cardless(pending) {
			return m.giveUp(pending) // Stripe keeps a card either now, or uses it without the principal
		}
		return step{do: confirm, payment: pending, method: card}
	}
	return m.unpaid()
}

// unpaid is a booking for which the principal has to do something.
func (m *matter) unpaid() step {
	b := m.booking
	if !b.Funded.IsZero() && (b.Status == fleet.Scheduled || b.Status == fleet.Searching || b.Status == fleet.Offered) {
		return step{do: unfund}
	}
	if !b.Funded.IsZero() || b.Now() {
		return step{} // from assigned on, no payment ends or delays anything
	}
	due, next := 1, time.Time{} // the first as soon as it is known
	for _, before := range reminders {
		if at := b.Start.Add(-before); m.now.Before(at) {
			next = at
			break
		}
		due++
	}
	if m.money.Reminded < due {
		return step{do: remind, amount: int64(due)}
	}
	return step{at: next}
}

// settleUp takes what is due for a booking that is over, and gives back the rest.
func (m *matter) settleUp() step {
	due := m.booking.Fee.Amount
	if charged := max(due, m.credited); charged != m.charged {
		return step{do: charge, amount: charged - m.charged}
	}
	missing := due - m.kept() - m.owed()
	switch small := Minimum[m.booking.Total.Currency]; {
	case missing < 0:
		return m.tooMuch(-missing)
	case missing == 0:
		return m.release()
	case missing < small:
		return step{do: owe, amount: missing, state: fleet.DebtWrittenOff, reason: "under_minimum"}
	}
	for i := range m.payments {
		p := &m.payments[i]
		if p.State == fleet.PaymentHeld && !m.stuck(p, fleet.CallCapture) {
			return step{do: capture, payment: p, amount: min(p.Amount.Amount, missing)}
		}
	}
	return m.take(missing)
}

// take takes what no hold is there for: off-session from the kept card, once, and
// what cannot be had is a debt.
func (m *matter) take(missing int64) step {
	purpose := fleet.ForFee
	if m.booking.Status == fleet.Completed {
		purpose = fleet.ForOverage
	}
	reason := "no_card"
	for i := range m.payments {
		p := &m.payments[i]
		mine := p.Purpose == fleet.ForFee || p.Purpose == fleet.ForOverage
		switch {
		case p.Purpose == fleet.ForDebt || p.State == fleet.PaymentCaptured:
		case p.State.Ended():
			if mine {
				reason = orElse(p.Code, "refused")
			}
		case p.State == fleet.PaymentProcessing:
			return step{}
		case !mine || p.Amount.Amount != missing:
			return m.giveUp(p)
		case p.State == fleet.PaymentNew:
			return step{do: create, payment: p, method: m.card()}
		default:
			if card := m.untried(p); card != "" {
				return step{do: confirm, payment: p, method: card}
			}
			return m.giveUp(p)
		}
	}
	if reason == "no_card" && m.card() != "" {
		return step{do: open, purpose: purpose, amount: missing, method: m.card()}
	}
	return step{do: owe, amount: missing, state: fleet.DebtOpen, reason: reason}
}

// tooMuch gives back what was taken beyond what is due: a debt first, then money.
// What staff have refunded already is not given back twice.
func (m *matter) tooMuch(excess int64) step {
	for i := range m.debts {
		if m.debts[i].State == fleet.DebtOpen {
			return step{do: forgive, debt: &m.debts[i]}
		}
	}
	for i := len(m.payments) - 1; i >= 0; i-- {
		if p := &m.payments[i]; p.Net() > 0 {
			return step{do: giveBack, payment: p, amount: min(excess, p.Net()), reason: "more was taken than is due"}
		}
	}
	return m.release()
}

// release gives up every payment that is not needed any more.
func (m *matter) release() step {
	for i := range m.payments {
		if p := &m.payments[i]; p.Purpose != fleet.ForDebt && p.State != fleet.PaymentProcessing && !p.State.Ended() {
			return m.giveUp(p)
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

// kept is what was taken for the booking, but for what was given back because it
// was too much. What staff have refunded was due all the same.
func (m *matter) kept() (sum int64) {
	for i := range m.payments {
		sum += m.payments[i].Captured
	}
	for i := range m.refunds {
		if m.refunds[i].Excess {
			sum -= m.refunds[i].Amount.Amount
		}
	}
	return sum
}

// owed is what is not to be taken, since it is a debt or written off.
func (m *matter) owed() (sum int64) {
	for i := range m.debts {
		if s := m.debts[i].State; s == fleet.DebtOpen || s == fleet.DebtWrittenOff {
			sum += m.debts[i].Amount.Amount
		}
	}
	return sum
}

// pending is the payment that is to become a hold.
func (m *matter) pending() *fleet.Payment {
	for i := range m.payments {
		if p := &m.payments[i]; p.Purpose.Held() && p.State != fleet.PaymentHeld && !p.State.Ended() {
			return p
		}
	}
	return nil
}

// held reports whether something was ever held for the booking.
func (m *matter) held() bool {
	return slices.ContainsFunc(m.payments, func(p fleet.Payment) bool {
		return p.Purpose.Held() && (p.State == fleet.PaymentHeld || p.State == fleet.PaymentCaptured || !p.CaptureBefore.IsZero())
	})
}

// failed reports whether Stripe has refused to make a payment of an amount since
// the principal has had a card.
func (m *matter) failed(amount int64, card string) bool {
	return slices.ContainsFunc(m.payments, func(p fleet.Payment) bool {
		return p.Purpose.Held() && p.State == fleet.PaymentFailed && p.Amount.Amount == amount && p.Method == card
	})
}

// card is what is paid with: what was chosen for the booking, else the preferred one.
func (m *matter) card() string {
	if len(m.cards) == 0 {
		return ""
	}
	return m.cards[0]
}

// untried is the best card that a payment was not refused with. That a request broke
// at Stripe says nothing of the card: it is tried again, a few times.
func (m *matter) untried(p *fleet.Payment) string {
	for _, card := range m.cards {
		if !slices.ContainsFunc(m.calls, func(k fleet.PaymentCall) bool {
			return k.Payment == p.ID && k.Step == fleet.CallConfirm && k.Method == card && (k.Code != codeLookedUp || m.stuck(p, fleet.CallConfirm))
		}) {
			return card
		}
	}
	return ""
}

// cardless reports whether a payment was made for a card that the principal is to
// give, and that Stripe then keeps.
func (m *matter) cardless(p *fleet.Payment) bool {
	return slices.ContainsFunc(m.calls, func(k fleet.PaymentCall) bool {
		return k.Payment == p.ID && k.Step == fleet.CallCreate && k.Method == ""
	})
}

// stuck reports whether Stripe has refused a step of a payment too often.
func (m *matter) stuck(p *fleet.Payment, s fleet.CallStep) bool {
	n := 0
	for i := range m.calls {
		if k := &m.calls[i]; k.Payment == p.ID && k.Step == s && k.Code != "" {
			n++
		}
	}
	return n >= tries
}

func (m *matter) payment(id fleet.PaymentID) *fleet.Payment {
	i := slices.IndexFunc(m.payments, func(p fleet.Payment) bool { return p.ID == id })
	return &m.payments[i] // the database knows no refund without its payment
}

// unready reports whether a payment waits for a card, or for the principal.
func unready(p *fleet.Payment) bool {
	return p.State == fleet.PaymentNeedsMethod || p.State == fleet.PaymentNeedsAction
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
