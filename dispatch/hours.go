package dispatch

import (
	"context"
	"slices"
	"time"

	"armora/fleet"
)

// hours are what an officer has worked lately and has promised to work, by which it
// is judged whether they may take more.
type hours struct {
	limits fleet.WorkLimits
	worked []fleet.Stint
	taken  []fleet.Seat
	now    time.Time
}

// hoursOf reads them.
func (e *Engine) hoursOf(ctx context.Context, driver fleet.DriverID) (h hours, err error) {
	h = hours{limits: e.shift(), now: e.clock.Now()}
	if h.taken, err = e.Taken(ctx, []fleet.DriverID{driver}); err != nil {
		return h, err
	}
	worked, err := e.duty.Worked(ctx, []fleet.DriverID{driver}, h.now.Add(-h.limits.Within))
	h.worked = worked[driver]
	return h, err
}

// mayTake reports whether an officer may work from one time to another besides: on
// no day that it touches do they work longer than a shift. Who is on duty is taken
// to go off duty when what they have promised is done. A seat that is about as long
// as a whole shift, or longer, is begun with most of a shift left, and relieved in
// time, as matching has it too.
func (h *hours) mayTake(from, to time.Time) bool {
	work := make([]fleet.Stint, 0, len(h.worked)+len(h.taken)+1)
	for _, s := range h.worked {
		if s.To.IsZero() || s.To.After(h.now) {
			s.To = h.now
		}
		work = append(work, s)
	}
	promised := []fleet.Stint{{Duty: fleet.OnDuty, From: from, To: to}}
	for _, s := range h.taken {
		if s.To.After(h.now) {
			promised = append(promised, fleet.Stint{Duty: fleet.OnDuty, From: latest(s.From, h.now), To: s.To})
		}
	}
	work = append(work, promised...)
	slices.SortFunc(work, func(a, b fleet.Stint) int { return a.From.Compare(b.From) })
	for _, s := range promised {
		if s.To.Before(to) { // what comes before is as long as it was
			continue
		}
		need := min(s.To.Sub(s.From)-turnaround, h.limits.Shift*5/6)
		if s.From.Before(to.Add(h.limits.Within)) && h.limits.Left(work, s.From) < need {
			return false
		}
	}
	return true
}
