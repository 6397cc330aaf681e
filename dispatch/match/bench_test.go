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
// medians.
func BenchmarkBesideScipy(b *testing.B) {
	for _, w := range crowds {
		for _, n := range []int{1000, 10_000} {
			g, _ := newCity(1, n, w).graph(nearestFew)
			b.Run(w.at(n), func(b *testing.B) {
				var s Solver
				s.Solve(g)
				compare(b, func() *Solution { return s.Solve(g) }, newScipy(b, g))
			})
		}
	}
}

// compare reports how long solve takes, and scipy beside it, as medians.
func compare(b *testing.B, solve func() *Solution, outside *scipy) {
	var ours, theirs []time.Duration
	var solution *Solution
	for b.Loop() {
		began := time.Now()
		solution = solve()
		ours = append(ours, time.Since(began))
		took, cost, err := outside.solve()
		if err != nil || cost != solution.Cost {
			b.Fatalf("scipy finds a cost of %d, the solver %d: %v", cost, solution.Cost, err)
		}
		theirs = append(theirs, took)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(ours), "ours-ms")
	b.ReportMetric(median(theirs), "scipy-ms")
	b.ReportMetric(median(theirs)/median(ours), "x-scipy")
	b.ReportMetric(float64(solution.Matched), "matched")
}

// median returns it in milliseconds.
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
				b.ReportAllocs()
				for b.Loop() {
					s.Solve(g)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/request")
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
				edges := 0
				for b.Loop() {
					g, rest := c.graph(nearestFew)
					began := time.Now()
					s.Solve(g)
					alone = append(alone, time.Since(began))
					var answering time.Duration
					began = time.Now()
					solution = s.Widen(g, rest, func(dst []Edge, row int, below Cost) ([]Edge, Cost) {
						asked := time.Now()
						defer func() { answering += time.Since(asked) }()
						return c.more(dst, row, below)
					})
					widened = append(widened, time.Since(began)-answering)
					edges = 0
					for row := range n {
						edges += len(g.Edges(row))
					}
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(median(alone), "k-ms")
				b.ReportMetric(median(widened), "all-ms")
				b.ReportMetric(float64(solution.Matched), "matched")
				b.ReportMetric(float64(solution.Widened), "asked")
				b.ReportMetric(float64(edges)/float64(n), "edges/request")
			})
		}
	}
}
