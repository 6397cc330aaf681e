package simulate

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func someWatch(t *rapid.T) *Watch {
	w := &Watch{
		Bookings: rapid.IntRange(1, 60).Draw(t, "bookings"), Officers: rapid.IntRange(1, 40).Draw(t, "officers"),
		Rules: DefaultWatchRules(), Seed: rapid.Uint64Range(0, 1<<40).Draw(t, "seed"),
	}
	w.Rules.Tick, w.Rules.Rounds = 5*time.Minute, 20
	return w
}

// Every booking ends once; one that is served has as many officers as it wants, who
// suit it, are on duty and do nothing else meanwhile; and no policy serves more than
// the bound.
func TestNobodyGuardsTwoAtATime(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := someWatch(rt)
		bound := w.bound()
		for _, policy := range Policies {
			g, err := w.play(t.Context(), policy)
			if err != nil {
				rt.Fatal(err)
			}
			if problem := g.audit(); problem != "" {
				rt.Fatal(policy, ": ", problem)
			}
			if hours := g.hours(); hours > bound {
				rt.Fatalf("%s serves %v, and the bound is %v", policy, hours, bound)
			}
		}
	})
}

func (g *guard) hours() (sum time.Duration) {
	for i := range g.bookings {
		if b := &g.bookings[i]; b.outcome == served {
			sum += b.length * time.Duration(b.seats)
		}
	}
	return sum
}

// audit says what is wrong with a run that is over.
func (g *guard) audit() string {
	type stretch struct{ from, until time.Duration }
	work := make([][]stretch, len(g.officers))
	for i := range g.bookings {
		b := &g.bookings[i]
		switch {
		case b.outcome == waiting:
			return "a booking has not ended"
		case b.outcome == unserved && b.officers != nil:
			return "a booking was given up that has officers"
		case b.outcome == unserved:
			continue
		case len(b.officers) != b.seats:
			return "a team is not whole"
		case b.begun < b.start || b.given < b.asked || b.given >= b.start+g.Rules.Patience:
			return "a booking was served out of time"
		}
		for n, o := range b.officers {
			officer := &g.officers[o]
			switch {
			case !g.may(o, i, n == 0):
				return "an officer does not suit a booking"
			case slices.Contains(b.officers[:n], o):
				return "an officer has two seats of a booking"
			case b.given < officer.on || b.start+b.length > officer.off+g.Rules.Overtime:
				return "an officer was sent beyond their shift"
			}
			work[o] = append(work[o], stretch{b.given, b.begun + b.length + b.overrun})
		}
	}
	for _, all := range work {
		slices.SortFunc(all, func(a, b stretch) int { return int(a.from - b.from) })
		for n := 1; n < len(all); n++ {
			if all[n].from < all[n-1].until {
				return "an officer does two at a time"
			}
		}
	}
	return ""
}

func TestTheSameDayIsTheSameForEachPolicy(t *testing.T) {
	t.Parallel()
	w := &Watch{Bookings: 60, Officers: 40, Rules: DefaultWatchRules(), Seed: 7}
	w.Rules.Rounds = 50
	for _, policy := range Policies {
		first, err := w.Run(t.Context(), policy)
		if err != nil {
			t.Fatal(err)
		}
		second, err := w.Run(t.Context(), policy)
		if err != nil {
			t.Fatal(err)
		}
		if first.SolverP99, second.SolverP99 = 0, 0; first != second {
			t.Errorf("%s: %+v, and then %+v", policy, first, second)
		}
	}
}

// A plan keeps the one officer who suits it for the booking that is known to come;
// whoever takes the nearest officer does not.
func TestThePlanLooksAhead(t *testing.T) {
	t.Parallel()
	for policy, want := range map[string]int{"fifo": 1, "nearest": 1, "batch": 2} {
		w := &Watch{Bookings: 1, Officers: 1, Rules: DefaultWatchRules(), Seed: 1}
		g := newDay(w)
		day := officer{on: 6 * time.Hour, off: 18 * time.Hour, free: 6 * time.Hour}
		high, low := day, day
		high.tier, low.at = 2, spot{3000, 0}
		g.officers = []officer{high, low} // the one of the high tier is nearer
		g.bookings = []booking{
			{asked: 0, start: 8 * time.Hour, length: 4 * time.Hour, seats: 1},
			{asked: 0, start: 10 * time.Hour, length: 4 * time.Hour, seats: 1, tier: 2},
		}
		if err := g.run(t.Context(), newWatchPolicy(policy)); err != nil {
			t.Fatal(err)
		}
		n := 0
		for i := range g.bookings {
			if g.bookings[i].outcome == served {
				n++
			}
		}
		if n != want {
			t.Errorf("%s serves %d, want %d", policy, n, want)
		}
	}
}
