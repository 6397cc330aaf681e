package fleet_test

import (
	"testing"
	"time"

	"armora/fleet"
)

func TestHowLongAnOfficerMayWork(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	hours := func(h float64) time.Time { return noon.Add(time.Duration(h * float64(time.Hour))) }
	on := func(from, to float64) fleet.Stint {
		return fleet.Stint{Duty: fleet.OnDuty, From: hours(from), To: hours(to)}
	}
	off := func(from, to float64) fleet.Stint {
		return fleet.Stint{Duty: fleet.OnBreak, From: hours(from), To: hours(to)}
	}
	still := func(from float64) fleet.Stint { return fleet.Stint{Duty: fleet.OnDuty, From: hours(from)} }
	for _, c := range []struct {
		name   string
		stints []fleet.Stint
		left   float64 // hours
	}{
		{"nothing yet", nil, 6},
		{"just begun", []fleet.Stint{still(0)}, 6},
		{"two hours of a stretch", []fleet.Stint{still(-2)}, 4},
		{"at the end of a stretch", []fleet.Stint{still(-6)}, 0},
		{"far beyond it", []fleet.Stint{still(-30)}, 0},
		{"a break of half an hour ends a stretch", []fleet.Stint{on(-6, -2), off(-2, -1.5), still(-1.5)}, 4.5},
		{"a shorter one does not", []fleet.Stint{on(-5, -1.25), off(-1.25, -1), still(-1)}, 1.25},
		{"time off duty is a break", []fleet.Stint{on(-8, -3), still(-2)}, 4},
		{"who is on a break now begins anew after half an hour", []fleet.Stint{on(-5, -0.5), {Duty: fleet.OnBreak, From: hours(-0.5)}}, 6},
		{"and not before", []fleet.Stint{on(-5, -0.25), {Duty: fleet.OnBreak, From: hours(-0.25)}}, 1.25},
		{"the shift counts in all", []fleet.Stint{on(-14, -9), on(-8, -3), still(-1)}, 1},
		{"and is over", []fleet.Stint{on(-14, -8), on(-7, -1)}, 0},
		{"what is longer ago than a day does not count", []fleet.Stint{on(-30, -22), on(-12, -6)}, 4},
		{"what is to come does not count", []fleet.Stint{on(1, 3)}, 6},
	} {
		if got := fleet.DefaultWorkLimits().Left(c.stints, noon); got.Hours() != c.left {
			t.Errorf("%s: %v is left, want %v h", c.name, got, c.left)
		}
	}
}
