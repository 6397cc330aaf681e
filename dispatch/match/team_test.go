package match

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawTeams draws a table whose last rows are the seats of teams.
func drawTeams(t *rapid.T) *table {
	d := drawTable(t, 9)
	for from := rapid.IntRange(0, len(d.skips)).Draw(t, "bookings of one seat"); from < len(d.skips); {
		to := min(from+rapid.IntRange(1, 4).Draw(t, "seats"), len(d.skips))
		for row := from; row < to; row++ {
			d.skips[row] = d.skips[from]
		}
		d.teams = append(d.teams, span{from, to})
		from = to
	}
	return d
}

func TestTeamsAreServedWholeAndBestAroundThem(t *testing.T) {
	t.Parallel()
	var s Solver
	rapid.Check(t, func(t *rapid.T) {
		d := drawTeams(t)
		solution := s.Solve(d.graph())
		if err := d.check(solution); err != nil {
			t.Fatal(err)
		}
		if err := pricesHold(d.graph(), solution); err != nil {
			t.Fatal(err)
		}
		if best := d.around(solution); solution.Cost != best {
			t.Fatalf("cost %d, and with these teams served it could be %d", solution.Cost, best)
		}
		cost, least := solution.Cost, d.brute()
		if bound := s.Bound(d.graph()); cost < least || bound > least {
			t.Fatalf("cost %d and bound %d, and the least cost is %d", cost, bound, least)
		}
	})
}

// pricesHold checks that the prices prove a solution, but for the teams left out.
func pricesHold(g *Graph, s *Solution) error {
	var dual Cost
	for _, v := range s.V {
		dual += v
	}
	out := make(map[int]bool)
	for _, team := range g.teams {
		if s.Column[team.from] == None {
			dual += g.Skip(team.from)
			for row := team.from; row < team.to; row++ {
				out[row] = true
			}
		}
	}
	for row, u := range s.U {
		if out[row] {
			continue
		}
		dual += u
		for _, e := range g.Edges(row) {
			if u+s.V[e.Column] > e.Cost {
				return fmt.Errorf("row %d, column %d: prices %d + %d are above the cost %d", row, e.Column, u, s.V[e.Column], e.Cost)
			}
		}
	}
	if dual != s.Cost {
		return fmt.Errorf("the prices add up to %d, and the cost is %d", dual, s.Cost)
	}
	return nil
}

// around returns the least cost if the teams that a solution serves have to be,
// and no others.
func (d *table) around(s *Solution) Cost {
	var cost Cost
	fixed := &table{columns: d.columns}
	add := func(row int, skip Cost) {
		costs := slices.Clone(d.costs[row])
		for column := range costs {
			if costs[column] >= d.skips[row] { // a graph leaves these out
				costs[column] = forbidden
			}
		}
		fixed.costs, fixed.skips = append(fixed.costs, costs), append(fixed.skips, skip)
	}
	for row := range d.singles() {
		add(row, d.skips[row])
	}
	for _, team := range d.teams {
		if s.Column[team.from] == None {
			cost += d.skips[team.from]
			continue
		}
		for row := team.from; row < team.to; row++ {
			add(row, MaxCost)
		}
	}
	return cost + fixed.hungarian()
}

func TestOlderTeamsAreServedAsIfThereWereNoYounger(t *testing.T) {
	t.Parallel()
	var s Solver
	rapid.Check(t, func(t *rapid.T) {
		d := drawTeams(t)
		if len(d.teams) == 0 {
			return
		}
		all := s.Solve(d.graph()).Clone()
		youngest := d.teams[len(d.teams)-1].from
		d.teams, d.costs, d.skips = d.teams[:len(d.teams)-1], d.costs[:youngest], d.skips[:youngest]
		without := s.Solve(d.graph())
		for _, team := range d.teams {
			if (without.Column[team.from] == None) != (all.Column[team.from] == None) {
				t.Fatalf("a younger team decides whether the team %v is served", team)
			}
		}
	})
}

func TestOfTwoTeamsThatBlockEachOtherTheOlderWins(t *testing.T) {
	t.Parallel()
	// Each has two of three officers nearer than the other has.
	older := [][]Edge{{{0, 10}, {1, 20}}, {{0, 10}, {1, 20}, {2, 30}}}
	younger := [][]Edge{{{1, 1}, {2, 1}}, {{1, 1}, {2, 1}}}
	var g Graph
	g.Reset(3)
	first, second := g.AddTeam(1000, older...), g.AddTeam(1000, younger...)
	var s Solver
	solution := s.Solve(&g)
	if solution.Column[first] == None || solution.Column[second] != None || solution.Cost != 1030 {
		t.Errorf("got %v at %d", solution.Column, solution.Cost)
	}
}

func TestASingleBookingIsWorthAsMuchAsATeamOfItsPrice(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		single      Cost // its skip price
		teamIsThere bool
	}{{"dearer", 900, false}, {"cheaper", 200, true}} {
		var g Graph
		g.Reset(2)
		g.AddRow(c.single, Edge{1, 10})
		team := g.AddTeam(500, []Edge{{0, 100}}, []Edge{{1, 100}})
		var s Solver
		if got := s.Solve(&g).Column[team] != None; got != c.teamIsThere {
			t.Errorf("%s: the team is served: %v", c.name, got)
		}
	}
}

// TestTeamsBesideBruteForce measures how far from the best the heuristic is, where
// teams and single bookings compete for too few officers. docs/dispatch.md has the
// figures.
func TestTeamsBesideBruteForce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		officers int
		best     float64 // at least this share is the best that there is
		gap      float64 // the mean of all is at most so much above it
	}{{"scarce", 6, 0.35, 0.04}, {"few", 9, 0.8, 0.012}, {"enough", 12, 1, 0}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var s Solver
			random := rand.New(rand.NewPCG(4, uint64(c.officers)))
			best, sum, worst := 0, 0.0, 0.0
			const cases = 500
			for range cases {
				d := teamsOnAPlane(random, c.officers)
				cost, least := s.Solve(d.graph()).Cost, d.brute()
				gap := float64(cost-least) / float64(least)
				if gap == 0 {
					best++
				}
				sum, worst = sum+gap, max(worst, gap)
			}
			t.Logf("%d officers: %.1f%% are the best; the mean is %.2f%% above it, the worst %.1f%%", c.officers, 100*float64(best)/cases, 100*sum/cases, 100*worst)
			if float64(best)/cases < c.best || sum/cases > c.gap {
				t.Errorf("below what it was")
			}
		})
	}
}

// teamsOnAPlane puts three single bookings, three teams of two or three seats and
// officers at random places of a square of 10 km. Two of three officers may lead.
func teamsOnAPlane(random *rand.Rand, officers int) *table {
	put := func() place { return place{10_000 * random.Float64(), 10_000 * random.Float64()} }
	at := make([]place, officers)
	for i := range at {
		at[i] = put()
	}
	d := &table{columns: officers}
	add := func(p place, seats int) {
		for seat := range seats {
			row := make([]Cost, officers)
			for i, q := range at {
				row[i] = Cost(math.Hypot(p.x-q.x, p.y-q.y) / speed * 1000)
				if seats > 1 && seat == 0 && i%3 == 2 {
					row[i] = forbidden
				}
			}
			d.costs, d.skips = append(d.costs, row), append(d.skips, patience*Cost(seats))
		}
	}
	for range 3 {
		add(put(), 1)
	}
	for range 3 {
		from, seats := len(d.skips), 2+random.IntN(2)
		add(put(), seats)
		d.teams = append(d.teams, span{from, from + seats})
	}
	return d
}

// brute returns the least cost, by trying everything: row by row, for each set of
// columns that are taken.
func (d *table) brute() Cost {
	known := make([]Cost, len(d.skips)<<d.columns) // 0: not yet, else one more than it is
	ends := make(map[int]int)                      // of teams, by their first rows
	inside := make(map[int]bool)
	for _, team := range d.teams {
		ends[team.from] = team.to
		for row := team.from + 1; row < team.to; row++ {
			inside[row] = true
		}
	}
	var from func(row, taken int) Cost
	from = func(row, taken int) Cost {
		if row == len(d.skips) {
			return 0
		}
		memo := &known[row<<d.columns|taken]
		if *memo != 0 {
			return *memo - 1
		}
		least := Cost(math.MaxInt64 / 2)
		if !inside[row] { // else the team's first seat is filled, and so must this be
			least = d.skips[row] + from(max(row+1, ends[row]), taken)
		}
		for column, cost := range d.costs[row] {
			if cost < d.skips[row] && taken>>column&1 == 0 {
				least = min(least, cost+from(row+1, taken|1<<column))
			}
		}
		*memo = least + 1
		return least
	}
	return from(0, 0)
}
