package tariff

import "armora/fleet"

// Pay is what officers get of what principals pay, VAT included. A member's
// discount is the house's to bear: it makes no officer's hour cheaper. The booking
// fee is the house's too.
type Pay struct {
	Work int `json:"work" doc:"Percent of an officer's hours, mileage and surcharges, before a member's discount"`
	Fee  int `json:"fee" doc:"Percent of a cancellation fee, shared evenly among the officers who had the booking"`
}

// PayFor returns what each officer of a trip is paid.
func (t *Table) PayFor(p Price) fleet.Money {
	work := p.Of(Hours) + p.Of(Mileage) + p.Of(Surcharge)
	// Each of these lines is a whole number of officers' amounts.
	return t.money(percent(work/int64(max(1, p.Officers)), t.Pay.Work))
}

// PayOfFee returns what each of the officers who had a booking gets of its
// cancellation fee, rounded down.
func (t *Table) PayOfFee(fee fleet.Money, officers int) fleet.Money {
	return fleet.Money{Amount: fee.Amount * int64(t.Pay.Fee) / (100 * int64(max(1, officers))), Currency: fee.Currency}
}

// PayRates are an edition of Pay. An officer is paid by the one of when they
// accepted.
type PayRates struct {
	Version int `json:"version" doc:"Which edition this is"`
	Pay
}

// Check reports what is wrong with rates that somebody has edited, beside the
// tariff of now: CodeInvalid, with all of its flaws.
func (r *PayRates) Check(t *Table) error {
	var f flaws
	f.unless(r.Work >= 0 && r.Work <= 100-t.Discount, "work", "is no more than what members pay of the same hours")
	f.unless(r.Fee >= 0 && r.Fee <= 100, "fee", "is from 0 to 100 percent")
	return f.err("these are not rates that can be paid")
}

// By returns the table with the pay of an edition.
func (t *Table) By(r PayRates) *Table {
	by := *t
	by.Pay = r.Pay
	return &by
}
