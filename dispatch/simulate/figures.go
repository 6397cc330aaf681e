package simulate

import (
	"math"
	"slices"
	"time"
)

// Figures are what a run came to. Wait is from the request to the driver at the
// pick-up, of those served; pick-up from the assignment to there.
type Figures struct {
	Served      float64 `json:"served_share"`
	WaitMean    float64 `json:"wait_mean_s"`
	WaitMedian  float64 `json:"wait_p50_s"`
	WaitP95     float64 `json:"wait_p95_s"`
	PickupMean  float64 `json:"pickup_mean_s"`
	Utilisation float64 `json:"utilisation"`     // share of the drivers' time that they have somebody
	Gini        float64 `json:"gini"`            // of the drivers' time with somebody: 0 when all have the same
	SolverP99   float64 `json:"solver_p99_ms"`   // real time of a round
	WaitAllMean float64 `json:"wait_all_mean_s"` // of all: who was not served waited their patience
}

func (t *town) figures() Figures {
	var waits, all, pickups []float64
	for i := range t.riders {
		r := &t.riders[i]
		if r.outcome != served {
			all = append(all, t.Rules.Patience.Seconds())
			continue
		}
		waits = append(waits, (r.met - r.asked).Seconds())
		all = append(all, (r.met - r.asked).Seconds())
		pickups = append(pickups, (r.met - r.promised).Seconds())
	}
	work := make([]float64, t.Drivers)
	for _, s := range t.stints {
		if r := &t.riders[s.rider]; s.until == r.met+r.trip { // else they were sent elsewhere before
			work[s.driver] += max(0, min(s.until, t.length)-min(r.met, t.length)).Seconds()
		}
	}
	solver := make([]float64, len(t.solver))
	for i, d := range t.solver {
		solver[i] = float64(d) / float64(time.Millisecond)
	}
	return Figures{
		Served:   float64(len(waits)) / math.Max(1, float64(len(t.riders))),
		WaitMean: mean(waits), WaitMedian: quantile(waits, 0.5), WaitP95: quantile(waits, 0.95),
		PickupMean: mean(pickups), Utilisation: mean(work) / t.length.Seconds(), Gini: gini(work),
		SolverP99: quantile(solver, 0.99), WaitAllMean: mean(all),
	}
}

func mean(of []float64) float64 {
	sum := 0.0
	for _, x := range of {
		sum += x
	}
	return sum / math.Max(1, float64(len(of)))
}

// quantile sorts, and returns the value that a share q is at or below (0 of none).
func quantile(of []float64, q float64) float64 {
	if len(of) == 0 {
		return 0
	}
	slices.Sort(of)
	return of[max(0, int(math.Ceil(q*float64(len(of))))-1)]
}

// gini is the Gini coefficient: half the mean difference of two, by the mean.
func gini(of []float64) float64 {
	slices.Sort(of)
	sum, weighted := 0.0, 0.0
	for i, x := range of {
		sum += x
		weighted += float64(2*i+1-len(of)) * x
	}
	if sum == 0 {
		return 0
	}
	return weighted / (sum * float64(len(of)))
}
