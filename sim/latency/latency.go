// Package latency keeps distributions of durations in bounded memory.
package latency

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// A bucket is one thirty-second of a power of two wide, so a quantile is read
// back within 3.2 % of the truth. Durations are counted in microseconds, from
// 1 µs to 2^32 µs (71 minutes); what lies outside is counted at the edge.
const (
	subBits    = 5
	subBuckets = 1 << subBits
	maxBits    = 32
	buckets    = (maxBits - subBits + 1) * subBuckets
)

// Histogram counts durations. The zero value is empty and ready; all methods
// are safe for concurrent use and none allocates. It takes 7 kB.
type Histogram struct {
	counts [buckets]atomic.Uint64
}

// Record counts n durations of d.
func (h *Histogram) Record(d time.Duration, n uint64) { h.counts[bucketOf(d)].Add(n) }

// Count returns how many durations were recorded.
func (h *Histogram) Count() uint64 {
	var total uint64
	for i := range h.counts {
		total += h.counts[i].Load()
	}
	return total
}

// Quantile returns the duration that a share q (0 to 1) of all stay within, 0
// when there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	var merged [buckets]uint64
	h.addTo(&merged)
	return quantile(&merged, q)
}

func (h *Histogram) addTo(merged *[buckets]uint64) {
	for i := range h.counts {
		merged[i] += h.counts[i].Load()
	}
}

func (h *Histogram) reset() {
	for i := range h.counts {
		h.counts[i].Store(0)
	}
}

func quantile(counts *[buckets]uint64, q float64) time.Duration {
	var total uint64
	for _, n := range counts {
		total += n
	}
	if total == 0 {
		return 0
	}
	rank := max(uint64(q*float64(total)+0.5), 1)
	var seen uint64
	for i, n := range counts {
		if seen += n; seen >= rank {
			return upperEdge(i)
		}
	}
	return upperEdge(buckets - 1)
}

func bucketOf(d time.Duration) int {
	us := uint64(max(d.Microseconds(), 0))
	if us < subBuckets {
		return int(us)
	}
	octave := bits.Len64(us) - 1 - subBits
	return min((octave+1)*subBuckets+int(us>>octave)-subBuckets, buckets-1)
}

// upperEdge returns the longest duration that falls into bucket i.
func upperEdge(i int) time.Duration {
	if i < subBuckets {
		return time.Duration(i) * time.Microsecond
	}
	octave, sub := i/subBuckets-1, i%subBuckets
	return time.Duration((uint64(subBuckets+sub+1)<<octave)-1) * time.Microsecond
}

// Window is a histogram of the recent past: it forgets what is older than its
// span, a slice at a time. It is safe for concurrent use.
type Window struct {
	slice time.Duration // how much time one histogram covers

	mu     sync.Mutex
	rings  []Histogram
	newest int64 // number of the slice that was last written, since the epoch
}

// NewWindow returns a window over the last slices × slice of time.
func NewWindow(slices int, slice time.Duration) *Window {
	return &Window{slice: slice, rings: make([]Histogram, slices)}
}

// Record counts a duration d that ended at now. One that ended before the
// window is not counted.
func (w *Window) Record(now time.Time, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.advance(now)
	if w.newest-n >= int64(len(w.rings)) {
		return
	}
	w.rings[n%int64(len(w.rings))].Record(d, 1)
}

// Quantiles returns what Histogram.Quantile would, for each of qs, over the
// window that ends at now.
func (w *Window) Quantiles(now time.Time, qs ...float64) []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.advance(now)
	var merged [buckets]uint64
	for i := range w.rings {
		w.rings[i].addTo(&merged)
	}
	answers := make([]time.Duration, len(qs))
	for i, q := range qs {
		answers[i] = quantile(&merged, q)
	}
	return answers
}

// advance empties the slices that now has moved past and returns the number of
// the slice that now is in.
func (w *Window) advance(now time.Time) int64 {
	n := now.UnixNano() / int64(w.slice)
	first := max(w.newest+1, n-int64(len(w.rings))+1)
	for i := first; i <= n; i++ {
		w.rings[i%int64(len(w.rings))].reset()
	}
	w.newest = max(w.newest, n)
	return n
}
