package payment

import (
	"slices"

	"armora/fleet"
)

// What is next when a booking has brought what it will: what its officers have earned
// by transfer is passed on to them.

// share is what an officer is to have of a booking by transfer, for a seat.
type share struct {
	seat    fleet.SeatID
	driver  fleet.DriverID
	account string // "": they have none any more
	due     int64
}

// payOfficers takes back what is not due any more, and then passes on what is. What
// Stripe has refused once is not tried again: Earnings have it paid by payroll.
func (m *matter) payOfficers() step {
	for i := range m.transfers {
		if t := &m.transfers[i]; t.State == fleet.TransferNew {
			return step{do: send, transfer: t, payment: m.payment(t.Payment)}
		}
	}
	for i := range m.shares {
		if s := &m.shares[i]; m.passed(s) > s.due && !m.refused(s, true) {
			return m.takeBack(s)
		}
	}
	for i := range m.shares {
		if s := &m.shares[i]; m.passed(s) < s.due && !m.refused(s, false) {
			if next := m.passOn(s); next.do != wait {
				return next
			}
		}
	}
	return step{}
}

// passOn adds a transfer of what a payment has left, the oldest first. Where none has
// anything, what was to be taken is a debt, or was given back, and Earnings will know.
func (m *matter) passOn(s *share) step {
	for i := range m.payments {
		p := &m.payments[i]
		left := p.Net()
		for j := range m.transfers {
			if m.transfers[j].Payment == p.ID {
				left -= m.transfers[j].Passed()
			}
		}
		if left <= 0 || p.Charge == "" {
			continue
		}
		t := &fleet.Transfer{
			Payment: p.ID, Seat: s.seat, Driver: s.driver, State: fleet.TransferNew, Account: s.account,
			Amount: fleet.Money{Amount: min(left, s.due-m.passed(s)), Currency: p.Amount.Currency},
		}
		if s.account == "" {
			t.State, t.Code = fleet.TransferFailed, "no_account"
		}
		return step{do: pass, transfer: t}
	}
	return step{}
}

// takeBack adds the reversal of a transfer, or of a part of it, the newest first.
func (m *matter) takeBack(s *share) step {
	for _, t := range slices.Backward(m.transfers) {
		if t.Seat != s.seat || !t.Reverses.IsZero() {
			continue
		}
		left := t.Passed()
		for j := range m.transfers {
			if m.transfers[j].Reverses == t.ID {
				left += m.transfers[j].Passed()
			}
		}
		if left > 0 {
			return step{do: pass, transfer: &fleet.Transfer{
				Payment: t.Payment, Seat: t.Seat, Driver: t.Driver, Reverses: t.ID, State: fleet.TransferNew, Account: t.Account,
				Amount: fleet.Money{Amount: min(left, m.passed(s)-s.due), Currency: t.Amount.Currency},
			}}
		}
	}
	return step{}
}

// passed is what an officer has by transfer, for a seat.
func (m *matter) passed(s *share) int64 { return passedTo(m.transfers, s.seat) }

func passedTo(transfers []fleet.Transfer, seat fleet.SeatID) (sum int64) {
	for i := range transfers {
		if transfers[i].Seat == seat {
			sum += transfers[i].Passed()
		}
	}
	return sum
}

// refused reports whether Stripe has refused a transfer for a seat, or a reversal.
func (m *matter) refused(s *share, back bool) bool { return refusedTo(m.transfers, s.seat, back) }

func refusedTo(transfers []fleet.Transfer, seat fleet.SeatID, back bool) bool {
	return slices.ContainsFunc(transfers, func(t fleet.Transfer) bool {
		return t.Seat == seat && t.State == fleet.TransferFailed && t.Reverses.IsZero() != back
	})
}

// transfer returns one of the booking's transfers: the database knows no call about
// another's.
func (m *matter) transfer(id fleet.TransferID) *fleet.Transfer {
	i := slices.IndexFunc(m.transfers, func(t fleet.Transfer) bool { return t.ID == id })
	if i < 0 {
		return nil
	}
	return &m.transfers[i]
}
