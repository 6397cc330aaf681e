package tariff

import (
	"time"

	"armora/fleet"
)

// Trip is what is to be priced.
type Trip struct {
	Tier     fleet.Tier
	Start    time.Time     // when protection begins; its seconds do not count
	Zone     string        // IANA, whose clock says what is night and which day it is; empty: the table's
	Time     time.Duration // for how long
	Metres   int           // of the way that the hub has worked out from the places, and never of GPS
	Officers int           // 1 to fleet.MaxOfficers
	Member   bool
}

// The longest trip that has a price, and the longest way: further than around the
// earth.
const (
	MaxTime   = 31 * 24 * time.Hour
	MaxMetres = 50_000_000
)

// mileMillimetres is an international mile.
const mileMillimetres = 1_609_344

// LineKind is what a line of a price is for.
type LineKind string

// The kinds of lines, in their order on a price.
const (
	Hours          LineKind = "hours"
	Mileage        LineKind = "mileage"
	Surcharge      LineKind = "surcharge"       // of hours at night and on bank holidays, once where both are
	BookingFee     LineKind = "booking_fee"     // not of members
	MemberDiscount LineKind = "member_discount" // less than zero
)

// Line is one item of a price.
type Line struct {
	Kind    LineKind    `json:"kind"`
	Minutes int         `json:"minutes,omitempty" doc:"Of hours and surcharges, for each officer"`
	Metres  int         `json:"metres,omitempty" doc:"Of mileage, for each officer"`
	Amount  fleet.Money `json:"amount" doc:"Of all officers together"`
}

// Price is what a trip costs, VAT included. The lines sum to the total; a line of
// nothing is left out.
type Price struct {
	Tariff   int         `json:"tariff" doc:"The version of the tariff that it is by"`
	Minutes  int         `json:"minutes" doc:"The time that is billed"`
	Officers int         `json:"officers"`
	Lines    []Line      `json:"lines"`
	Total    fleet.Money `json:"total"`
}

// Of returns what a price has for one kind of line, all officers together.
func (p Price) Of(kind LineKind) int64 {
	for _, line := range p.Lines {
		if line.Kind == kind {
			return line.Amount.Amount
		}
	}
	return 0
}

// Quote returns what a trip costs. The billed time is the trip's, rounded up to
// whole increments, and the minimum at least; it runs from the trip's start, so
// that what is added by rounding may be at night as well. CodeInvalid says what of
// the trip cannot be priced.
func (t *Table) Quote(trip Trip) (Price, error) {
	zone, err := t.check(&trip)
	if err != nil {
		return Price{}, err
	}
	rate, _ := t.Hourly.Of(trip.Tier)
	minutes := t.billed(trip.Time)
	dear := t.dearMinutes(trip.Start, minutes, zone)

	p := Price{Tariff: t.Version, Minutes: minutes, Officers: trip.Officers, Total: t.money(0)}
	add := func(line Line, amount int64) {
		if amount != 0 {
			line.Amount = t.money(amount)
			p.Lines = append(p.Lines, line)
			p.Total.Amount += amount
		}
	}
	officers := int64(trip.Officers)
	add(Line{Kind: Hours, Minutes: minutes}, officers*halfUp(rate*int64(minutes), 60))
	add(Line{Kind: Mileage, Metres: trip.Metres}, officers*halfUp(t.Mile*int64(trip.Metres)*1000, mileMillimetres))
	add(Line{Kind: Surcharge, Minutes: dear}, officers*halfUp(rate*int64(dear)*int64(t.Surcharge), 60*100))
	if trip.Member {
		add(Line{Kind: MemberDiscount}, -percent(p.Total.Amount, t.Discount))
	} else {
		add(Line{Kind: BookingFee}, t.Fee)
	}
	return p, nil
}

// Final returns what a trip costs once it is over: that of the longer of its
// booked and its actual time. It runs from the booked start, or from the actual one
// where that is earlier: an officer who begins late makes nothing dearer.
func (t *Table) Final(trip Trip, began, ended time.Time) (Price, error) {
	trip.Time = max(trip.Time, ended.Sub(began))
	if began.Before(trip.Start) {
		trip.Start = began
	}
	return t.Quote(trip)
}

// Extension returns what a trip costs when it is to be longer, and how much more
// that is: nothing, within the minimum or what was rounded up.
func (t *Table) Extension(trip Trip, by time.Duration) (whole Price, more fleet.Money, err error) {
	before, err := t.Quote(trip)
	if err != nil {
		return Price{}, fleet.Money{}, err
	}
	if by <= 0 {
		var f flaws
		f.unless(false, "minutes", "is greater than 0")
		return Price{}, fleet.Money{}, f.err("an extension makes a trip longer")
	}
	trip.Time += by
	if whole, err = t.Quote(trip); err != nil {
		return Price{}, fleet.Money{}, err
	}
	return whole, t.money(whole.Total.Amount - before.Total.Amount), nil
}

// check reports what is wrong with a trip, and returns the zone whose clock counts.
func (t *Table) check(trip *Trip) (*time.Location, error) {
	name := trip.Zone
	if name == "" {
		name = t.Zone
	}
	zone, err := loadZone(name)
	_, priced := t.Hourly.Of(trip.Tier)
	var f flaws
	f.unless(priced, "tier", "is one that the tariff has")
	f.unless(err == nil, "zone", "is an IANA time zone")
	f.unless(!trip.Start.IsZero(), "start", "is when it begins")
	f.unless(trip.Time > 0 && trip.Time <= MaxTime, "minutes", "is greater than 0, and 31 days at most")
	f.unless(trip.Metres >= 0 && trip.Metres <= MaxMetres, "metres", "is a way on earth")
	f.unless(trip.Officers >= 1 && trip.Officers <= fleet.MaxOfficers, "officers", "is from 1 to 10")
	return zone, f.err("this trip has no price")
}

// billed returns the minutes that a time is billed as.
func (t *Table) billed(d time.Duration) int {
	increment := time.Duration(t.Increment) * time.Minute
	n := (d + increment - 1) / increment
	return max(t.Minimum, int(n)*t.Increment)
}
