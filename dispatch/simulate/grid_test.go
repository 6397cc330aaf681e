package simulate

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The grid finds whom a look at everybody finds, also outside its box.
func TestNearest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 60).Draw(t, "drivers")
		metres := rapid.Float64Range(-3000, 6000)
		at := func() spot { return spot{metres.Draw(t, "x"), metres.Draw(t, "y")} }
		g := newGrid(make([]spot, n), rapid.Float64Range(100, 2000).Draw(t, "side"), spot{}, spot{3000, 2000})
		var free []int32
		for d := range int32(n) {
			g.put(d, at())
			free = append(free, d)
		}
		for _, d := range slices.Clone(free) {
			if rapid.Bool().Draw(t, "taken") {
				g.take(d)
				free = slices.DeleteFunc(free, func(f int32) bool { return f == d })
			}
		}
		p, k := at(), rapid.IntRange(1, 20).Draw(t, "k")
		var excluded []int32
		if len(free) > 0 {
			excluded = rapid.SliceOf(rapid.SampledFrom(free)).Draw(t, "excluded")
		}
		var want []near
		for _, d := range free {
			if !slices.Contains(excluded, d) {
				want = append(want, near{p.to(g.at[d]), d})
			}
		}
		slices.SortFunc(want, byDistance)
		want = want[:min(k, len(want))]
		if got := g.nearest(nil, p, k, excluded); !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}
