package match

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestCostIsMadeOfItsTerms(t *testing.T) {
	t.Parallel()
	w := DefaultWeights()
	base := Terms{Pickup: 10 * time.Minute, Acceptance: 1, Share: 1}
	for _, c := range []struct {
		name   string
		change func(t *Terms)
		adds   time.Duration
	}{
		{"nothing", func(*Terms) {}, 0},
		{"farther", func(t *Terms) { t.Pickup += time.Minute }, time.Minute},
		{"says yes every other time", func(t *Terms) { t.Acceptance = 0.5 }, 20 * time.Second},
		{"says yes one time in a hundred", func(t *Terms) { t.Acceptance = 0.01 }, 100 * time.Second},
		{"never says yes", func(t *Terms) { t.Acceptance = 0 }, 100 * time.Second},
		{"more than certain", func(t *Terms) { t.Acceptance = 1.5 }, 0},
		{"idle for half an hour", func(t *Terms) { t.Idle = 30 * time.Minute }, -30 * time.Second},
		{"idle for a day", func(t *Terms) { t.Idle = 24 * time.Hour }, -time.Minute},
		{"idle from tomorrow on", func(t *Terms) { t.Idle = -time.Hour }, 0},
		{"has had no work", func(t *Terms) { t.Share = 0 }, -time.Minute},
		{"has had half as much again", func(t *Terms) { t.Share = 1.5 }, 30 * time.Second},
		{"has had ten times the work", func(t *Terms) { t.Share = 10 }, time.Minute},
		{"preferred", func(t *Terms) { t.Preferred = true }, -10 * time.Minute},
		{"has let an offer of it pass", func(t *Terms) { t.Other = 10 * time.Minute }, 10 * time.Minute},
		{"planned", func(t *Terms) { t.Other = -time.Hour }, -time.Hour},
	} {
		terms := base
		c.change(&terms)
		if got, want := w.Cost(&terms), Cost((base.Pickup + c.adds).Milliseconds()); got != want {
			t.Errorf("%s: %d, want %d", c.name, got, want)
		}
	}
}

func TestLeastIsABoundOnStrangers(t *testing.T) {
	t.Parallel()
	w := DefaultWeights()
	rapid.Check(t, func(t *rapid.T) {
		near := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "near"))
		terms := Terms{
			Pickup:     near + time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "beyond")),
			Acceptance: rapid.Float64Range(0, 1).Draw(t, "acceptance"),
			Idle:       time.Duration(rapid.Int64Range(0, int64(3*time.Hour)).Draw(t, "idle")),
			Share:      rapid.Float64Range(0, 5).Draw(t, "share"),
		}
		if cost, least := w.Cost(&terms), w.Least(near); cost < least {
			t.Fatalf("%+v costs %d, which is below %d", terms, cost, least)
		}
	})
}

func TestWhoHasWaitedLongerGoesFirst(t *testing.T) {
	t.Parallel()
	w := DefaultWeights()
	edge := Edge{0, w.Cost(&Terms{Pickup: 10 * time.Minute, Acceptance: 1, Share: 1})}
	var g Graph
	g.Reset(1)
	for _, waited := range []time.Duration{0, 20 * time.Second, 10 * time.Second} {
		g.AddRow(w.Skip(waited), edge)
	}
	var s Solver
	if served := s.Solve(&g).Row[0]; served != 1 {
		t.Errorf("row %d was served", served)
	}
}

// TestAPlanStandsWhileTheCityJitters: if no cost changes by as much as a quarter of
// the switching cost, no pair is parted. Where n pairs are, n + 1 new ones come at
// most, so that what that gains has changed by 2n + 1 ≤ 3n times as much.
func TestAPlanStandsWhileTheCityJitters(t *testing.T) {
	t.Parallel()
	var s Solver
	rapid.Check(t, func(t *rapid.T) {
		d := drawTable(t, 10)
		const switching = 40
		plan := s.Solve(d.graph()).Clone()
		jitter := rapid.IntRange(-9, 9)
		for row, column := range plan.Column {
			for other := range d.costs[row] {
				if d.costs[row][other] != forbidden {
					d.costs[row][other] += Cost(jitter.Draw(t, "jitter"))
				}
			}
			if column != None {
				d.costs[row][column] -= switching
			}
		}
		for row, column := range s.Solve(d.graph()).Column {
			if plan.Column[row] != None && plan.Column[row] != column {
				t.Fatalf("row %d had column %d, and has %d", row, plan.Column[row], column)
			}
		}
	})
}

func TestABookingIsHeldForTenSecondsInAll(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2027, 3, 28, 0, 59, 55, 0, time.UTC)
		var hold Hold
		var first time.Time
		for range rapid.IntRange(1, 30).Draw(t, "ticks") {
			matched := hold.Open(now) && rapid.Bool().Draw(t, "provisional")
			if matched && first.IsZero() {
				first = now
			}
			if matched && now.Sub(first) >= HoldMost {
				t.Fatalf("held from %v to %v", first, now)
			}
			if !hold.Open(now) && first.IsZero() {
				t.Fatal("closed, and it was never held")
			}
			hold = hold.After(matched, now)
			now = now.Add(time.Duration(rapid.IntRange(0, 4000).Draw(t, "ms")) * time.Millisecond)
		}
	})
}

func TestAHoldEndsWhenTheClockIsPutBack(t *testing.T) {
	t.Parallel()
	now := time.Date(2027, 10, 31, 1, 0, 0, 0, time.UTC)
	hold := Hold{}.After(true, now)
	if hold.Open(now.Add(-time.Second)) || !hold.Open(now.Add(HoldMost-1)) || hold.Open(now.Add(HoldMost)) {
		t.Error("it lasts from its beginning for ten seconds")
	}
}

func TestASwapIsAllowed(t *testing.T) {
	t.Parallel()
	const m = time.Minute
	for _, c := range []struct {
		name       string
		left, then time.Duration
		want       bool
	}{
		{"half the wait", 20 * m, 10 * m, true},
		{"close", 5*m - 1, 0, false},
		{"not quite close", 5 * m, 0, true},
		{"a second", 20 * m, 20*m - time.Second, false},
		{"much, and little of the whole", 40 * m, 35 * m, false},
		{"all of little", 10 * m, 8 * m, false},
		{"later", 20 * m, 30 * m, false},
	} {
		if got := DefaultSwapRules().Allows(c.left, c.then); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
