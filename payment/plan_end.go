package payment

import "armora/fleet"

// What is next once a booking is over: what is due is taken, and the rest let go.

// settleUp takes what is due for a booking that is over, and gives back the rest.
func (m *matter) settleUp() step {
	due := m.booking.Fee.Amount
	if charged := max(due, m.credited); charged != m.charged {
		return step{do: charge, amount: charged - m.charged}
	}
	missing := m.missing()
	switch small := m.booking.Total.Currency.Least(); {
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
		if p := &m.payments[i]; p.Net() > 0 && !m.bounced(p) {
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
