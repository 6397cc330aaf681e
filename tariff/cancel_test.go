package tariff

import (
	"testing"
	"time"

	"armora/fleet"
)

func TestCancellationFee(t *testing.T) {
	t.Parallel()
	start := time.Date(2027, 3, 9, 20, 0, 0, 0, time.UTC)
	scheduled := func(notice time.Duration) Cancelled {
		return Cancelled{By: fleet.ByPrincipal, At: start.Add(-notice), Start: start, Funded: true, Accepted: start.Add(-48 * time.Hour)}
	}
	atOnce := func(since time.Duration) Cancelled {
		return Cancelled{By: fleet.ByPrincipal, At: start.Add(since), Start: start, Now: true, Funded: true, Accepted: start}
	}
	with := func(c Cancelled, change func(*Cancelled)) Cancelled {
		change(&c)
		return c
	}
	const h, s = time.Hour, time.Second
	for _, c := range []struct {
		rule      string
		quoted    int64
		cancelled Cancelled
		fee       int64
		reason    FeeReason
	}{
		{"a week before: 5 %", 120_00, scheduled(7 * 24 * h), 6_00, FeeByNotice},
		{"24 h before: 5 %", 120_00, scheduled(24 * h), 6_00, FeeByNotice},
		{"a second later: 50 %", 120_00, scheduled(24*h - s), 60_00, FeeByNotice},
		{"2 h before: 50 %", 120_00, scheduled(2 * h), 60_00, FeeByNotice},
		{"a second later: all", 120_00, scheduled(2*h - s), 120_00, FeeByNotice},
		{"at the start: all", 120_00, scheduled(0), 120_00, FeeByNotice},
		{"after the start: all", 120_00, scheduled(-h), 120_00, FeeByNotice},
		{"no-show: all", 120_00, with(scheduled(-h), func(c *Cancelled) { c.NoShow, c.By = true, fleet.ByOfficer }), 120_00, FeeNoShow},
		{"half a penny goes up", 88_10, scheduled(25 * h), 4_41, FeeByNotice}, // 440.5
		{"less than half goes down", 88_08, scheduled(25 * h), 4_40, FeeByNotice},
		{"half of an odd price", 120_01, scheduled(3 * h), 60_01, FeeByNotice},

		{"at once, before an officer has accepted", 120_00, with(atOnce(9*time.Minute), func(c *Cancelled) { c.Accepted = time.Time{} }), 0, FeeNotAccepted},
		{"at once, 5 min after acceptance", 120_00, atOnce(5 * time.Minute), 0, FeeInGrace},
		{"at once, a second later", 120_00, atOnce(5*time.Minute + s), 120_00, FeeByNotice},
		{"at once, never funded", 120_00, with(atOnce(9*time.Minute), func(c *Cancelled) { c.Funded = false }), 0, FeeNeverFunded},
		{"scheduled, before an officer has accepted", 120_00, with(scheduled(3*h), func(c *Cancelled) { c.Accepted = time.Time{} }), 60_00, FeeByNotice},
		{"scheduled, whose amount is held but a day before", 120_00, with(scheduled(48*h), func(c *Cancelled) { c.Funded = false }), 6_00, FeeByNotice},
		{"scheduled, an officer having just accepted", 120_00, with(scheduled(3*h), func(c *Cancelled) { c.Accepted = c.At }), 60_00, FeeByNotice},
		{"scheduled, and not approved", 120_00, with(scheduled(h), func(c *Cancelled) { c.Funded, c.Waits = false, true }), 0, FeeNotApproved},
		{"approved, made dearer, and not approved again", 180_00, with(scheduled(h), func(c *Cancelled) { c.Waits, c.Before = true, fleet.Pence(120_00) }), 120_00, FeePutOff},

		{"put off when it would have cost all", 120_00, with(scheduled(96*h), func(c *Cancelled) { c.Before = fleet.Pence(120_00) }), 120_00, FeePutOff},
		{"put off when it would have cost less than it does now", 120_00, with(scheduled(h), func(c *Cancelled) { c.Before = fleet.Pence(6_00) }), 120_00, FeeByNotice},
		{"made shorter when it would have cost half of more", 80_00, with(scheduled(3*h), func(c *Cancelled) { c.Before = fleet.Pence(60_00) }), 60_00, FeePutOff},
		{"put off, and no-show", 80_00, with(scheduled(-h), func(c *Cancelled) { c.NoShow, c.Before = true, fleet.Pence(120_00) }), 120_00, FeePutOff},
		{"put off, and cancelled by ops", 120_00, with(scheduled(h), func(c *Cancelled) { c.By, c.Before = fleet.ByOps, fleet.Pence(120_00) }), 0, FeeNotByPrincipal},
		{"put off, and waived", 120_00, with(scheduled(h), func(c *Cancelled) { c.Waived, c.Before = true, fleet.Pence(120_00) }), 0, FeeWaived},

		{"unfulfilled", 120_00, with(scheduled(-h), func(c *Cancelled) { c.By = fleet.BySystem }), 0, FeeNotByPrincipal},
		{"by the officer", 120_00, with(scheduled(h), func(c *Cancelled) { c.By = fleet.ByOfficer }), 0, FeeNotByPrincipal},
		{"by ops", 120_00, with(scheduled(h), func(c *Cancelled) { c.By = fleet.ByOps }), 0, FeeNotByPrincipal},
		{"ops waive it", 120_00, with(scheduled(h), func(c *Cancelled) { c.Waived = true }), 0, FeeWaived},
		{"ops waive a no-show", 120_00, with(scheduled(-h), func(c *Cancelled) { c.Waived, c.NoShow = true, true }), 0, FeeWaived},
	} {
		table := Default()
		got := table.CancellationFee(fleet.Pence(c.quoted), c.cancelled)
		if got.Amount != fleet.Pence(c.fee) || got.Reason != c.reason || (got.Percent == 0) != (c.fee == 0 || c.cancelled.Waits) {
			t.Errorf("%s: %s for %s at %d %%, want %s for %s", c.rule, got.Amount, got.Reason, got.Percent, fleet.Pence(c.fee), c.reason)
		}
	}
}

// Officers get 60 % of what their hours, mileage and surcharges cost before a
// member's discount, and of a cancellation fee.
func TestPay(t *testing.T) {
	t.Parallel()
	table := Default()
	trip := byDay(t, fleet.Executive, 6, 35) // £450 and £87.50
	for _, member := range []bool{false, true} {
		for officers := 1; officers <= fleet.MaxOfficers; officers++ {
			trip.Member, trip.Officers = member, officers
			if got := table.PayFor(quote(t, table, trip)); got != fleet.Pence(322_50) {
				t.Errorf("each of %d officers gets %s, want £322.50 (member: %v)", officers, got, member)
			}
		}
	}
	for _, c := range []struct {
		fee      int64
		officers int
		want     int64
	}{{120_00, 1, 72_00}, {120_00, 3, 24_00}, {100, 7, 8}, {0, 1, 0}} {
		if got := table.PayOfFee(fleet.Pence(c.fee), c.officers); got != fleet.Pence(c.want) {
			t.Errorf("each of %d gets %s of a fee of %s, want %s", c.officers, got, fleet.Pence(c.fee), fleet.Pence(c.want))
		}
	}
}
