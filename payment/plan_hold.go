package payment

import (
	"time"

	"armora/fleet"
)

// What is next before a booking is over: its amount is held.

// secure sees that the amount of a booking that is not over is held.
func (m *matter) secure() step {
	b := m.booking
	total, small := b.Total.Amount, b.Total.Currency.Least()
	early := m.early()
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

// early reports whether it is too early to have anything held.
func (m *matter) early() bool {
	return !m.booking.Now() && m.now.Before(m.booking.Start.Add(-AuthoriseAhead))
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
	if !b.Funded.IsZero() && !m.money.Assigned && (b.Status == fleet.Scheduled || b.Status == fleet.Searching || b.Status == fleet.Offered) {
		return step{do: unfund}
	}
	if !b.Funded.IsZero() || b.Now() {
		return step{} // from assigned on, no payment ends or delays anything: also while another officer is looked for
	}
	due, next := 1, time.Time{} // the first as soon as it is known
	for _, before := range reminders {
		if at := b.Start.Add(-before); m.now.Before(at) {
			next = at
			break
		}
		due++
	}
	if m.money.Reminded != due { // more were sent than are due of one that was put off
		return step{do: remind, amount: int64(due)}
	}
	return step{at: next}
}
