package payment

import (
	"slices"
	"time"

	"armora/fleet"
)

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

	transfers []fleet.Transfer // to its officers
	shares    []share          // that they are to have so
}

// kept is what was taken for the booking, but for what was given back because it
// was too much. What staff have refunded was due all the same.
func (m *matter) kept() (sum int64) {
	for i := range m.payments {
		sum += m.payments[i].Captured
	}
	for i := range m.refunds {
		if r := &m.refunds[i]; r.Excess && r.State.Counts() {
			sum -= r.Amount.Amount
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

// missing is what is to be taken still of a booking that is over; below zero, what was too
// much.
func (m *matter) missing() int64 { return m.booking.Fee.Amount - m.kept() - m.owed() }

// bounced reports whether what was too much of a payment has not arrived where it came
// from: it is not sent there again unless staff do.
func (m *matter) bounced(p *fleet.Payment) bool {
	return slices.ContainsFunc(m.refunds, func(r fleet.Refund) bool { return r.Payment == p.ID && r.Excess && r.State == fleet.RefundFailed })
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
