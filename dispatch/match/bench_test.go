package match

import (
	"slices"
	"testing"
	"time"
)

// nearestFew is how many officers a request has edges to.
const nearestFew = 20

// BenchmarkBesideScipy solves the same edges by the solver and by scipy in turn, in
// one run, checks that they cost the same to the millisecond, and reports the
// medians of their CPU time.
func BenchmarkBesideScipy(b *testing.B) {
	python := findPython(b)
	for _, w := range crowds {
		for _, n := range []int{1000, 10_000} {
			g, _ := newCity(1, n, w).graph(nearestFew)
			b.Run(w.at(n), func(b *testing.B) {
				outside := newScipy(b, python, g)
				var s Solver
				solution := s.Solve(g) // grows the memory
				var ours, theirs []time.Duration
				for b.Loop() {
					ours = append(ours, cpuTime(func() { solution = s.Solve(g) }))
					took, cost, err := outside.solve()
					if err != nil || cost != solution.Cost {
						b.Fatalf("scipy finds a cost of %d, the solver %d: %v", cost, solution.Cost, err)
					}
					theirs = append(theirs, took)
				}
				report(b, "ours", ours)
				report(b, "scipy", theirs)
				b.ReportMetric(median(theirs)/median(ours), "x-scipy")
				b.ReportMetric(float64(solution.Matched), "matched")
			})
		}
	}
}

// report reports a median, in milliseconds, instead of the time by the clock.
func report(b *testing.B, name string, of []time.Duration) {
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(of), name+"-ms")
}

func median(of []time.Duration) float64 {
	slices.Sort(of)
	return float64(of[len(of)/2].Nanoseconds()) / 1e6
}

// BenchmarkGrowth shows how the solver grows with the number of requests.
func BenchmarkGrowth(b *testing.B) {
	for _, w := range crowds {
		for _, n := range []int{1000, 2000, 5000, 10_000, 20_000, 50_000} {
			g, _ := newCity(1, n, w).graph(nearestFew)
			b.Run(w.at(n), func(b *testing.B) {
				var s Solver
				s.Solve(g)
				var took []time.Duration
				b.ReportAllocs()
				for b.Loop() {
					took = append(took, cpuTime(func() { s.Solve(g) }))
				}
				report(b, "cpu", took)
				b.ReportMetric(median(took)*1e6/float64(n), "ns/request")
				b.ReportMetric(float64(len(s.left)), "paths")
			})
		}
	}
}

// BenchmarkWiden shows what it costs to be optimal on the complete graph: how
// often more edges were asked for, and how many edges there were in the end. What
// the city takes to answer is not counted.
func BenchmarkWiden(b *testing.B) {
	for _, w := range crowds {
		for _, n := range []int{1000, 10_000} {
			c := newCity(1, n, w)
			b.Run(w.at(n), func(b *testing.B) {
				var s Solver
				var solution *Solution
				var alone, widened []time.Duration
				var g *Graph
				for b.Loop() {
					var rest []Cost
					g, rest = c.graph(nearestFew)
					alone = append(alone, cpuTime(func() { s.Solve(g) }))
					var answering time.Duration
					more := func(dst []Edge, row int, below Cost) (edges []Edge, left Cost) {
						answering += cpuTime(func() { edges, left = c.more(dst, row, below) })
						return edges, left
					}
					took := cpuTime(func() { solution = s.Widen(g, rest, more) })
					widened = append(widened, took-answering)
				}
				edges := 0
				for row := range n {
					edges += len(g.Edges(row))
				}
				report(b, "nearest", alone)
				report(b, "all", widened)
				b.ReportMetric(float64(solution.Matched), "matched")
				b.ReportMetric(float64(solution.Widened), "asked")
				b.ReportMetric(float64(edges)/float64(n), "edges/request")
			})
		}
	}
}

// BenchmarkTeams has a tenth of the requests be for teams of three.
func BenchmarkTeams(b *testing.B) {
	for _, w := range crowds {
		const n = 1000
		singles, _ := newCity(1, n, w).graph(nearestFew)
		b.Run(w.at(n), func(b *testing.B) {
			var g Graph
			g.Reset(singles.Columns())
			for row := range n - n/10 {
				g.AddRow(singles.Skip(row), singles.Edges(row)...)
			}
			for row := n - n/10; row < n; row++ {
				seat := singles.Edges(row)
				g.AddTeam(3*patience, seat, seat, seat)
			}
			var s Solver
			var took []time.Duration
			for b.Loop() {
				took = append(took, cpuTime(func() { s.Solve(&g) }))
			}
			served := 0
			for _, team := range g.teams {
				if s.Column[team.from] != None {
					served++
				}
			}
			report(b, "cpu", took)
			b.ReportMetric(float64(served), "teams")
		})
	}
}
