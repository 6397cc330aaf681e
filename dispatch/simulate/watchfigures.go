package simulate

import (
	"math"
	"time"
)

// WatchFigures are what a run of security work came to. Wait is from when somebody
// was wanted, the start or the asking, to when all officers were there; pick-up from
// the assignment to there, or from when the way began, if that was later.
type WatchFigures struct {
	Figures
	HoursServed float64 `json:"officer_hours_share"` // of those that were asked for
	Hours       float64 `json:"officer_hours"`       // that were served, as booked
	Bound       float64 `json:"bound_officer_hours"` // no policy serves more, knowing the whole day
	OfBound     float64 `json:"officer_hours_of_bound"`
	OnTime      float64 `json:"on_time_share"` // of the scheduled bookings that were served
	Empty       float64 `json:"empty_travel_h"`
	Overtime    float64 `json:"overtime_h"`
}

func (g *guard) figures() WatchFigures {
	var waits, all, pickups, solver, work []float64
	var f WatchFigures
	var asked float64
	known, onTime := 0, 0
	for i := range g.bookings {
		b := &g.bookings[i]
		hours := float64(b.seats) * b.length.Hours()
		asked += hours
		if b.outcome != served {
			all = append(all, g.Rules.Patience.Seconds())
			continue
		}
		wait := b.begun - b.start
		f.Hours += hours
		waits, all = append(waits, wait.Seconds()), append(all, wait.Seconds())
		pickups = append(pickups, (b.begun - max(b.given, b.start-g.Rules.Lead)).Seconds())
		if !b.immediate() {
			known++
			if wait <= g.Rules.OnTime {
				onTime++
			}
		}
	}
	shifts := 0.0
	for i := range g.officers {
		o := &g.officers[i]
		work = append(work, o.work.Seconds())
		shifts += (o.off - o.on).Seconds()
		f.Empty += o.empty.Hours()
		f.Overtime += max(0, o.last-o.off).Hours()
	}
	for _, d := range g.solver {
		solver = append(solver, float64(d)/float64(time.Millisecond))
	}
	f.Figures = Figures{
		Served:   float64(len(waits)) / float64(len(g.bookings)),
		WaitMean: mean(waits), WaitMedian: quantile(waits, 0.5), WaitP95: quantile(waits, 0.95),
		PickupMean: mean(pickups), Utilisation: mean(work) * float64(len(work)) / shifts, Gini: gini(work),
		SolverP99: quantile(solver, 0.99), WaitAllMean: mean(all),
	}
	f.HoursServed, f.OnTime = f.Hours/asked, float64(onTime)/math.Max(1, float64(known))
	f.Bound = g.bound().Hours()
	f.OfBound = f.Hours / f.Bound
	return f
}
