package tariff

import (
	"slices"
	"time"

	"github.com/rickar/cal/v2"
	"github.com/rickar/cal/v2/gb"
)

const day = 24 * 60 // minutes

// bankHolidays are those of England and Wales. It is only read.
var bankHolidays = cal.Calendar{Holidays: gb.Holidays}

// dearMinutes counts the minutes of [start, start + minutes) that are at night or
// on a bank holiday by the clock of the zone; those that are both count once. An
// hour that the clock shows twice is two hours, and one that it leaves out is none.
func (t *Table) dearMinutes(start time.Time, minutes int, zone *time.Location) int {
	n := 0
	at := start.Truncate(time.Minute)
	end := at.Add(time.Duration(minutes) * time.Minute)
	for at.Before(end) {
		// Up to the next change of the zone's offset, the clock on the wall runs
		// as any other.
		stretch := end
		local := at.In(zone)
		if _, until := local.ZoneBounds(); !until.IsZero() && until.Before(end) {
			stretch = until
		}
		_, offset := local.Zone()
		from := floor(at.Unix()+int64(offset), 60)
		n += t.dearOnTheWall(from, from+int64(stretch.Sub(at)/time.Minute))
		at = stretch
	}
	return n
}

// dearOnTheWall counts the dear minutes between two times on the wall, as minutes
// since the beginning of 1970 there.
func (t *Table) dearOnTheWall(from, to int64) int {
	n := int64(0)
	for from < to {
		midnight := floor(from, day) * day
		until := min(to, midnight+day)
		if t.isBankHoliday(floor(from, day)) {
			n += until - from
		} else {
			n += t.nightMinutes(from-midnight, until-midnight)
		}
		from = until
	}
	return int(n)
}

// nightMinutes counts those of night in a stretch of one day.
func (t *Table) nightMinutes(from, to int64) int64 {
	begins, ends := int64(t.Night.From), int64(t.Night.To)
	if begins <= ends {
		return overlap(from, to, begins, ends)
	}
	return overlap(from, to, 0, ends) + overlap(from, to, begins, day)
}

// isBankHoliday asks about a day, counted from the first of 1970. The day that
// stands in for one at a weekend is the bank holiday, and that one is not: so says
// the calendar of the government.
func (t *Table) isBankHoliday(days int64) bool {
	date := time.Unix(days*day*60, 0).UTC()
	_, observed, _ := bankHolidays.IsHoliday(date)
	return observed || slices.Contains(t.Holidays, date.Format(time.DateOnly))
}

// overlap is the length of what two intervals have in common.
func overlap(a, b, c, d int64) int64 { return max(0, min(b, d)-max(a, c)) }

// floor returns n/d, rounded down also where n is negative.
func floor(n, d int64) int64 {
	q := n / d
	if n%d < 0 {
		q--
	}
	return q
}
