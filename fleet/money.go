package fleet

import "fmt"

// Currency is an ISO 4217 code.
type Currency string

// GBP is what the tariff is in.
const GBP Currency = "GBP"

// Money is an amount in the smallest unit of its currency: 12000 GBP are £120.
type Money struct {
	Amount   int64    `json:"amount"`
	Currency Currency `json:"currency"`
}

// Pounds returns whole pounds.
func Pounds(n int64) Money { return Pence(n * 100) }

// Pence returns pence.
func Pence(n int64) Money { return Money{Amount: n, Currency: GBP} }

// Plus adds money of the same currency. Two currencies have no sum: that is a
// mistake of the program, and panics.
func (m Money) Plus(n Money) Money {
	if m.Currency != n.Currency {
		panic("money: " + string(m.Currency) + " and " + string(n.Currency) + " have no sum")
	}
	return Money{m.Amount + n.Amount, m.Currency}
}

// String is the amount as people write it, and as logs do.
func (m Money) String() string {
	sign, n := "", m.Amount
	if n < 0 {
		sign, n = "-", -n
	}
	if m.Currency == GBP {
		return fmt.Sprintf("%s£%d.%02d", sign, n/100, n%100)
	}
	return fmt.Sprintf("%s%d.%02d %s", sign, n/100, n%100, m.Currency)
}
