package fleet

import "fmt"

// Currency is an ISO 4217 code.
type Currency string

// GBP is what the tariff is in, unless ops have set another.
const GBP Currency = "GBP"

// currencies are those that can be taken by card: how many digits their smallest unit
// is behind the point, and the least of them that Stripe takes.
// https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
var currencies = map[Currency]struct {
	digits int
	least  int64
}{
	GBP: {2, 30}, "AED": {2, 200}, "AUD": {2, 50}, "CAD": {2, 50}, "CHF": {2, 50}, "DKK": {2, 250}, "EUR": {2, 50}, "JPY": {0, 50},
	"NOK": {2, 300}, "PLN": {2, 200}, "SEK": {2, 300}, "USD": {2, 50},
}

// Known reports whether a currency can be taken.
func (c Currency) Known() bool { return currencies[c].least > 0 }

// Least is the least that is taken by card.
func (c Currency) Least() int64 { return currencies[c].least }

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
	switch known, ok := currencies[m.Currency]; {
	case m.Currency == GBP:
		return fmt.Sprintf("%s£%d.%02d", sign, n/100, n%100)
	case ok && known.digits == 0:
		return fmt.Sprintf("%s%d %s", sign, n, m.Currency)
	}
	return fmt.Sprintf("%s%d.%02d %s", sign, n/100, n%100, m.Currency)
}
