// Package tariff says what protection costs: a quote, the final price, what an
// extension adds, what a cancellation costs, and what officers are paid. It is
// pure: the same table and the same trip have the same price for ever, so that a
// booking keeps its table and is priced by it to the end.
//
// # Rounding
//
// Money is whole pence, and nothing is ever a float. There is one rule, half up to
// the penny, and these are the places where it applies:
//
//   - a line is worked out exactly for one officer, rounded once, and then taken
//     times the officers: n officers cost n times one, and the fee once;
//   - a member's discount is a share of the sum of the rounded lines that it
//     covers, rounded once;
//   - a cancellation fee is a share of the quoted price; the VAT in an amount and
//     an officer's pay are shares too, each rounded once. An officer's part of a
//     cancellation fee alone is rounded down, so that all of a team together get no
//     more than their share.
//
// Time is billed in whole increments, rounded up. The start is cut to its whole
// minute, so that each minute is either in the night or not. The way is whole
// metres, and a mile is 1,609.344 m: the half metre by which a way may be off is
// worth less than a tenth of a penny at £2.50 a mile, so that whole miles cost what
// people expect.
package tariff

import (
	"fmt"
	"slices"
	"time"

	"armora/fleet"
)

// Table is what everything costs, VAT included. Amounts are in the smallest unit
// of the currency. A booking keeps the one that it was quoted with. Only one that
// passes Check prices anything.
type Table struct {
	Version   int            `json:"version" doc:"Which edition of the tariff this is"`
	ValidFrom time.Time      `json:"valid_from,omitzero" doc:"From when on quotes are by it; absent: from ever; of one that is set, absent or past: at once"`
	Currency  fleet.Currency `json:"currency"`

	Hourly    Hourly `json:"hourly" doc:"An hour of one officer"`
	Mile      int64  `json:"mile" doc:"A mile of one officer"`
	Fee       int64  `json:"fee" doc:"The booking fee, once a booking; members pay none"`
	Minimum   int    `json:"minimum" doc:"The shortest time that is billed, minutes"`
	Increment int    `json:"increment" doc:"Longer times are rounded up to whole ones of these, minutes"`

	Discount  int      `json:"discount" doc:"What members are let off, percent of hours, mileage and surcharges"`
	Surcharge int      `json:"surcharge" doc:"What hours at night or on a bank holiday cost more, percent"`
	Night     Night    `json:"night" doc:"When it is night, in local time"`
	Zone      string   `json:"zone" doc:"IANA time zone of trips that name none"`
	Holidays  []string `json:"holidays,omitempty" doc:"Days that count as bank holidays besides those of England and Wales, such as one that was proclaimed: 2006-01-02"`

	Cancellation Cancellation `json:"cancellation"`
	Pay          Pay          `json:"pay"`
	VAT          int          `json:"vat" doc:"Percent of the net price; every amount includes it"`
}

// Hourly is what an hour costs, by tier.
type Hourly struct {
	Essential     int64 `json:"essential"`
	Executive     int64 `json:"executive"`
	Shadow        int64 `json:"shadow"`
	ClientVehicle int64 `json:"client_vehicle"`
}

// Of returns the hourly rate of a tier; false if there is no such tier.
func (h Hourly) Of(tier fleet.Tier) (rate int64, ok bool) {
	switch tier {
	case fleet.Essential:
		return h.Essential, true
	case fleet.Executive:
		return h.Executive, true
	case fleet.Shadow:
		return h.Shadow, true
	case fleet.ClientVehicle:
		return h.ClientVehicle, true
	}
	return 0, false
}

// Night is when hours cost more. To is not part of it. It may go over midnight;
// where both are the same there is no night.
type Night struct {
	From LocalTime `json:"from"`
	To   LocalTime `json:"to"`
}

// LocalTime is a time of the day by the clock on the wall, in minutes from
// midnight; as text, 23:00.
type LocalTime int

// MarshalText implements encoding.TextMarshaler.
func (l LocalTime) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%02d:%02d", l/60, l%60), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *LocalTime) UnmarshalText(text []byte) error {
	at, err := time.Parse("15:04", string(text))
	if err != nil {
		return fmt.Errorf("a time of the day looks like 23:00")
	}
	*l = LocalTime(at.Hour()*60 + at.Minute())
	return nil
}

// Default returns the tariff of a new hub.
func Default() Table {
	return Table{
		Version: 1, Currency: fleet.GBP,
		Hourly: Hourly{Essential: 50_00, Executive: 75_00, Shadow: 65_00, ClientVehicle: 55_00},
		Mile:   2_50, Fee: 10_00, Minimum: 120, Increment: 30,
		Discount: 20, Surcharge: 50, Night: Night{From: 23 * 60, To: 6 * 60}, Zone: "Europe/London",
		Cancellation: Cancellation{
			Steps: []Step{{Notice: 24 * 60, Percent: 5}, {Notice: 2 * 60, Percent: 50}},
			Late:  100, Grace: 5,
		},
		Pay: Pay{Work: 60, Fee: 60},
		VAT: 20,
	}
}

// The largest amounts that a table may have, in the smallest unit: beyond them it
// is a slip of the keyboard. With those of a trip, no price leaves an int64.
const (
	maxRate = 10_000_00
	maxFee  = 10_000_00
)

// Check reports what is wrong with a table that somebody has edited: CodeInvalid,
// with all of its flaws.
func (t *Table) Check() error {
	var f flaws
	f.unless(t.Currency.Known(), "currency", "is one that can be taken by card")
	for _, tier := range []fleet.Tier{fleet.Essential, fleet.Executive, fleet.Shadow, fleet.ClientVehicle} {
		rate, _ := t.Hourly.Of(tier)
		f.unless(rate > 0 && rate <= maxRate, "hourly."+string(tier), "is greater than 0 and no more than 10,000.00")
	}
	f.unless(t.Mile >= 0 && t.Mile <= maxRate, "mile", "is from 0 to 10,000.00")
	f.unless(t.Fee >= 0 && t.Fee <= maxFee, "fee", "is from 0 to 10,000.00")
	f.unless(t.Increment > 0 && t.Increment <= 24*60, "increment", "is from 1 minute to a day")
	f.unless(t.Minimum > 0 && t.Minimum <= 24*60, "minimum", "is from 1 minute to a day")
	f.unless(t.Increment <= 0 || t.Minimum%t.Increment == 0, "minimum", "is a whole number of increments")
	f.unless(t.Discount >= 0 && t.Discount <= 100, "discount", "is from 0 to 100 percent")
	f.unless(t.Surcharge >= 0 && t.Surcharge <= 500, "surcharge", "is from 0 to 500 percent")
	f.unless(t.Night.From.valid(), "night.from", "is a time of the day")
	f.unless(t.Night.To.valid(), "night.to", "is a time of the day")
	_, err := loadZone(t.Zone)
	f.unless(err == nil, "zone", "is an IANA time zone")
	for i, day := range t.Holidays {
		_, err := time.Parse(time.DateOnly, day)
		f.unless(err == nil, fmt.Sprintf("holidays.%d", i), "is a day: 2006-01-02")
	}
	t.Cancellation.check(&f)
	f.unless(t.Pay.Work >= 0 && t.Pay.Work <= 100-t.Discount, "pay.work", "is no more than what members pay of the same hours")
	f.unless(t.Pay.Fee >= 0 && t.Pay.Fee <= 100, "pay.fee", "is from 0 to 100 percent")
	f.unless(t.VAT >= 0 && t.VAT <= 100, "vat", "is from 0 to 100 percent")
	return f.err("the tariff is not one that can be charged")
}

func (l LocalTime) valid() bool { return l >= 0 && l < 24*60 }

// VATIn returns the VAT that an amount includes.
func (t *Table) VATIn(m fleet.Money) fleet.Money {
	return fleet.Money{Amount: halfUp(m.Amount*int64(t.VAT), int64(100+t.VAT)), Currency: m.Currency}
}

func (t *Table) money(amount int64) fleet.Money {
	return fleet.Money{Amount: amount, Currency: t.Currency}
}

// halfUp returns n/d to the nearest whole number, halves up. Neither is negative.
func halfUp(n, d int64) int64 { return (2*n + d) / (2 * d) }

// percent returns a share of an amount, half up.
func percent(amount int64, share int) int64 { return halfUp(amount*int64(share), 100) }

// loadZone loads a time zone that has a name of its own: Go's "Local" is another
// one on each machine, and "" is a zone that was forgotten.
func loadZone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, fmt.Errorf("%q is not an IANA time zone", name)
	}
	return time.LoadLocation(name)
}

// flaws collects what is wrong.
type flaws []fleet.Flaw

func (f *flaws) unless(right bool, where, what string) {
	if !right {
		*f = append(*f, fleet.Flaw{Location: where, Message: what})
	}
}

// err returns nil if nothing is wrong.
func (f *flaws) err(message string) error {
	if len(*f) == 0 {
		return nil
	}
	return &fleet.Error{Code: fleet.CodeInvalid, Message: message, Flaws: slices.Clip(*f)}
}
