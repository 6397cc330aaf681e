package payment

import (
	"slices"

	"armora/fleet"
	"armora/schema"
)

// byTransfer says how much of what the officers of a completed booking are owed goes
// to them by transfer, and has payroll pay the rest: the sum stays what it is. An
// officer's way is that of when it was first written down, so that nothing is paid
// twice; what once goes by payroll does not come back.
func (e *Earnings) byTransfer(c *schema.BookingTx, owed []fleet.Earning) ([]fleet.Earning, error) {
	if _, byCard, err := c.Money(); err != nil || !byCard {
		return owed, err
	}
	earned, err := c.Earned()
	if err != nil {
		return nil, err
	}
	transfers, err := c.Transfers()
	if err != nil {
		return nil, err
	}
	accounts, err := c.PayoutAccounts()
	if err != nil {
		return nil, err
	}
	part, whole, err := brought(c, owed)
	if err != nil {
		return nil, err
	}
	var split []fleet.Earning
	for _, o := range owed {
		most := int64(0) // that may go by transfer
		if e.transfers && accounts[o.Driver].Ready {
			most = o.Amount.Amount
		}
		if slices.ContainsFunc(earned, func(was fleet.Earning) bool { return was.Seat == o.Seat }) {
			most = earnedByTransfer(earned, o.Seat)
		}
		passed := passedTo(transfers, o.Seat)
		by := min(most, o.Amount.Amount*part/max(1, whole))
		switch {
		case refusedTo(transfers, o.Seat, true): // the officer has it, and it is not to be had back
			by = passed
		case refusedTo(transfers, o.Seat, false):
			by = min(by, passed)
		}
		if most == 0 && by == 0 {
			split = append(split, o)
			continue
		}
		rest := o
		rest.Amount.Amount, rest.Minutes = o.Amount.Amount-by, 0
		o.Payout, o.Amount.Amount = fleet.ByTransfer, by
		split = append(split, o, rest)
	}
	return split, nil
}

func earnedByTransfer(earned []fleet.Earning, seat fleet.SeatID) (sum int64) {
	for _, e := range earned {
		if e.Seat == seat && e.Payout == fleet.ByTransfer {
			sum += e.Amount.Amount
		}
	}
	return sum
}

// brought is how much of what a booking has cost the house has, or will have: not what
// is a debt, was given back by staff, or was lost to a bank. whole is what that is a
// part of.
func brought(c *schema.BookingTx, owed []fleet.Earning) (part, whole int64, err error) {
	debts, err := c.Debts()
	if err != nil {
		return 0, 0, err
	}
	refunds, err := c.Refunds()
	if err != nil {
		return 0, 0, err
	}
	lost, err := c.Lost()
	if err != nil {
		return 0, 0, err
	}
	sold, open, back := c.Fee.Amount, int64(0), int64(0)
	for _, d := range debts {
		switch d.State {
		case fleet.DebtOpen:
			open += d.Amount.Amount
		case fleet.DebtWrittenOff:
			sold -= d.Amount.Amount // the house's to bear
		}
	}
	for _, r := range refunds {
		if r.State == fleet.RefundSucceeded && !r.Excess {
			back += r.Amount.Amount
		}
	}
	pay := int64(0)
	for _, o := range owed {
		pay += o.Amount.Amount
	}
	return max(0, sold-open-back-lost), max(sold, pay), nil
}
