package latency_test

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"armora/sim/latency"
)

// TestQuantileIsNearTheExactOne compares with sorting, over six orders of
// magnitude.
func TestQuantileIsNearTheExactOne(t *testing.T) {
	t.Parallel()
	var (
		h      latency.Histogram
		random = rand.New(rand.NewPCG(1, 2))
		exact  []time.Duration
	)
	for range 20_000 {
		d := time.Duration(1+random.IntN(9)) * time.Microsecond
		for range random.IntN(7) {
			d = d*10 + time.Duration(random.IntN(10))*time.Microsecond
		}
		exact = append(exact, d)
		h.Record(d, 1)
	}
	slices.Sort(exact)
	for _, q := range []float64{0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1} {
		want := exact[max(int(q*float64(len(exact))+0.5), 1)-1]
		got := h.Quantile(q)
		if got < want || float64(got) > float64(want)*1.033+float64(time.Microsecond) {
			t.Errorf("quantile %v = %v, the exact one is %v", q, got, want)
		}
	}
	if h.Count() != 20_000 {
		t.Errorf("count = %d", h.Count())
	}
}

func TestHistogramTakesAnyDuration(t *testing.T) {
	t.Parallel()
	var h latency.Histogram
	if got := h.Quantile(0.5); got != 0 {
		t.Errorf("quantile of nothing = %v", got)
	}
	h.Record(-time.Hour, 1)
	if got := h.Quantile(1); got != 0 {
		t.Errorf("a negative duration counts as %v, want 0", got)
	}
	h.Record(1000*time.Hour, 5)
	if got := h.Quantile(1); got < 71*time.Minute {
		t.Errorf("a very long duration counts as %v, want the last bucket", got)
	}
}

func TestHistogramCountsConcurrently(t *testing.T) {
	t.Parallel()
	var (
		h  latency.Histogram
		wg sync.WaitGroup
	)
	for range 4 {
		wg.Go(func() {
			for i := range 10_000 {
				h.Record(time.Duration(i)*time.Microsecond, 2)
			}
		})
	}
	wg.Wait()
	if h.Count() != 80_000 {
		t.Errorf("count = %d, want 80000", h.Count())
	}
}

func TestWindowForgets(t *testing.T) {
	t.Parallel()
	var (
		w     = latency.NewWindow(10, time.Second)
		start = time.Unix(1_800_000_000, 0)
		p     = func(at time.Time) time.Duration { return w.Quantiles(at, 1)[0] }
	)
	w.Record(start, time.Second)
	w.Record(start.Add(5*time.Second), time.Millisecond)
	if got := p(start.Add(9 * time.Second)); got < time.Second {
		t.Errorf("after 9 s the slow one is gone: %v", got)
	}
	if got := p(start.Add(10 * time.Second)); got > 2*time.Millisecond || got == 0 {
		t.Errorf("after 10 s = %v, want the fast one alone", got)
	}
	if got := p(start.Add(time.Hour)); got != 0 {
		t.Errorf("after an hour = %v, want nothing", got)
	}
	w.Record(start, time.Second)
	if got := p(start.Add(time.Hour)); got != 0 {
		t.Errorf("a duration that ended before the window was counted: %v", got)
	}
}
