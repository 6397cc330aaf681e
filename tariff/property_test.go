package tariff

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"armora/fleet"
)

func drawTable(t *rapid.T) Table {
	table := Default()
	for _, rate := range []*int64{&table.Hourly.Essential, &table.Hourly.Executive, &table.Hourly.Shadow, &table.Hourly.ClientVehicle} {
		*rate = rapid.Int64Range(1, maxRate).Draw(t, "rate")
	}
	table.Mile = rapid.Int64Range(0, maxRate).Draw(t, "mile")
	table.Fee = rapid.Int64Range(0, maxFee).Draw(t, "fee")
	table.Increment = rapid.IntRange(1, 90).Draw(t, "increment")
	table.Minimum = table.Increment * rapid.IntRange(1, 10).Draw(t, "minimum")
	table.Discount = rapid.IntRange(0, 100).Draw(t, "discount")
	table.Surcharge = rapid.IntRange(0, 500).Draw(t, "surcharge")
	table.Pay.Work = rapid.IntRange(0, 100-table.Discount).Draw(t, "work")
	table.Pay.Fee = rapid.IntRange(0, 100).Draw(t, "share")
	if err := table.Check(); err != nil {
		t.Fatalf("the table is not one: %v", err)
	}
	return table
}

func drawTrip(t *rapid.T) Trip {
	return Trip{
		Tier:     rapid.SampledFrom([]fleet.Tier{fleet.Essential, fleet.Executive, fleet.Shadow, fleet.ClientVehicle}).Draw(t, "tier"),
		Start:    time.Unix(rapid.Int64Range(1767225600, 1956528000).Draw(t, "start"), 0), // 2026 to 2032
		Zone:     rapid.SampledFrom([]string{"", "Europe/London", "Europe/Paris", "America/New_York"}).Draw(t, "zone"),
		Time:     time.Duration(rapid.Int64Range(1, int64(3*24*time.Hour)).Draw(t, "time")),
		Metres:   rapid.IntRange(0, MaxMetres).Draw(t, "metres"),
		Officers: rapid.IntRange(1, fleet.MaxOfficers).Draw(t, "officers"),
		Member:   rapid.Bool().Draw(t, "member"),
	}
}

func mustQuote(t *rapid.T, table *Table, trip Trip) Price {
	p, err := table.Quote(trip)
	if err != nil {
		t.Fatalf("%+v: %v", trip, err)
	}
	return p
}

func TestPricesAreLawful(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		table, trip := drawTable(t), drawTrip(t)
		p := mustQuote(t, &table, trip)

		sum := int64(0)
		for _, line := range p.Lines {
			sum += line.Amount.Amount
			if line.Amount.Amount == 0 || (line.Amount.Amount < 0) != (line.Kind == MemberDiscount) {
				t.Fatalf("the line %+v", line)
			}
		}
		if sum != p.Total.Amount || p.Total.Amount < 0 {
			t.Fatalf("the lines sum to %d, the total is %s", sum, p.Total)
		}
		if billed := time.Duration(p.Minutes) * time.Minute; billed < trip.Time || p.Minutes < table.Minimum || p.Minutes%table.Increment != 0 {
			t.Fatalf("%v are billed for %v", billed, trip.Time)
		}

		more := func(what string, change func(*Trip)) {
			dearer := trip
			change(&dearer)
			if q := mustQuote(t, &table, dearer); q.Total.Amount < p.Total.Amount {
				t.Fatalf("more %s: %s in place of %s", what, q.Total, p.Total)
			}
		}
		more("time", func(trip *Trip) {
			trip.Time += time.Duration(rapid.Int64Range(0, int64(24*time.Hour)).Draw(t, "longer"))
		})
		more("way", func(trip *Trip) { trip.Metres = rapid.IntRange(trip.Metres, MaxMetres).Draw(t, "further") })
		more("officers", func(trip *Trip) { trip.Officers = rapid.IntRange(trip.Officers, fleet.MaxOfficers).Draw(t, "others") })

		standard, member := trip, trip
		standard.Member, member.Member = false, true
		if s, m := mustQuote(t, &table, standard), mustQuote(t, &table, member); m.Total.Amount > s.Total.Amount {
			t.Fatalf("a member pays %s, others %s", m.Total, s.Total)
		}
		// Officers never get more than the principal pays; a penny is lost or won
		// by rounding, for each officer.
		if paid := table.PayFor(p).Amount * int64(trip.Officers); paid > p.Total.Amount+int64(trip.Officers) {
			t.Fatalf("officers get %d of %s", paid, p.Total)
		}
	})
}

// Whatever happens, the final price is no less than that of as many hours, and an
// extension never pays anything back.
func TestFinalAndExtensionAreLawful(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		table, trip := drawTable(t), drawTrip(t)
		quoted := mustQuote(t, &table, trip)
		late := time.Duration(rapid.Int64Range(0, int64(6*time.Hour)).Draw(t, "late"))
		actual := time.Duration(rapid.Int64Range(0, int64(24*time.Hour)).Draw(t, "actual"))
		final, err := table.Final(trip, trip.Start.Add(late), trip.Start.Add(late+actual))
		if err != nil {
			t.Fatal(err)
		}
		if final.Total.Amount < quoted.Total.Amount {
			t.Fatalf("%s in the end of %s", final.Total, quoted.Total)
		}
		if actual <= trip.Time && final.Total != quoted.Total {
			t.Fatalf("%s in the end of %s, though it was not longer", final.Total, quoted.Total)
		}
		_, more, err := table.Extension(trip, time.Duration(rapid.Int64Range(1, int64(12*time.Hour)).Draw(t, "by")))
		if err != nil || more.Amount < 0 {
			t.Fatalf("an extension costs %s (%v)", more, err)
		}
	})
}

// A fee is never more than the price, rises as the start comes near, and officers
// together get no more than their share of it.
func TestFeesAreLawful(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		table := drawTable(t)
		quoted := fleet.Pence(rapid.Int64Range(0, 1e12).Draw(t, "quoted"))
		c := Cancelled{
			By: fleet.ByPrincipal, Start: time.Unix(1.8e9, 0), Now: rapid.Bool().Draw(t, "now"), Funded: rapid.Bool().Draw(t, "funded"),
		}
		c.At = c.Start.Add(-time.Duration(rapid.Int64Range(-int64(time.Hour), int64(72*time.Hour)).Draw(t, "notice")))
		if rapid.Bool().Draw(t, "accepted") {
			c.Accepted = c.At.Add(-time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "since")))
		}
		early := table.CancellationFee(quoted, c)
		if early.Amount.Amount < 0 || early.Amount.Amount > quoted.Amount {
			t.Fatalf("%s of %s", early.Amount, quoted)
		}
		c.At = c.At.Add(time.Duration(rapid.Int64Range(0, int64(72*time.Hour)).Draw(t, "later")))
		if late := table.CancellationFee(quoted, c); late.Amount.Amount < early.Amount.Amount {
			t.Fatalf("%s before and %s later", early.Amount, late.Amount)
		}
		officers := rapid.IntRange(1, fleet.MaxOfficers).Draw(t, "officers")
		if all := int64(officers) * table.PayOfFee(early.Amount, officers).Amount; all*100 > early.Amount.Amount*int64(table.Pay.Fee) {
			t.Fatalf("%d officers get %d of %s", officers, all, early.Amount)
		}
	})
}

func TestCheck(t *testing.T) {
	t.Parallel()
	table := Default()
	if err := table.Check(); err != nil {
		t.Fatalf("the default: %v", err)
	}
	table.Currency = "KWD" // of three decimals
	wantFlaw(t, table.Check(), "currency")
	for flaw, change := range map[string]func(*Table){
		"currency":                     func(t *Table) { t.Currency = "" },
		"hourly.essential":             func(t *Table) { t.Hourly.Essential = 0 },
		"hourly.client_vehicle":        func(t *Table) { t.Hourly.ClientVehicle = maxRate + 1 },
		"mile":                         func(t *Table) { t.Mile = -1 },
		"fee":                          func(t *Table) { t.Fee = -1 },
		"increment":                    func(t *Table) { t.Increment = 0 },
		"minimum":                      func(t *Table) { t.Minimum = 100 },
		"discount":                     func(t *Table) { t.Discount, t.Pay.Work = -1, 0 },
		"surcharge":                    func(t *Table) { t.Surcharge = -1 },
		"night.from":                   func(t *Table) { t.Night.From = day },
		"night.to":                     func(t *Table) { t.Night.To = -1 },
		"zone":                         func(t *Table) { t.Zone = "London" },
		"holidays.1":                   func(t *Table) { t.Holidays = []string{"2027-06-01", "1 June"} },
		"cancellation.steps.1.notice":  func(t *Table) { t.Cancellation.Steps[1].Notice = 24 * 60 },
		"cancellation.steps.1.percent": func(t *Table) { t.Cancellation.Steps[1].Percent = 4 },
		"cancellation.late":            func(t *Table) { t.Cancellation.Late = 49 },
		"cancellation.grace":           func(t *Table) { t.Cancellation.Grace = -1 },
		"pay.work":                     func(t *Table) { t.Pay.Work = 81 }, // members pay 80 %
		"pay.fee":                      func(t *Table) { t.Pay.Fee = 101 },
		"vat":                          func(t *Table) { t.VAT = -1 },
	} {
		table := Default()
		change(&table)
		wantFlaw(t, table.Check(), flaw)
	}
}
