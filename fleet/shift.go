package fleet

import "time"

// Stint is a time for which an officer was on duty or on a break. Between two of
// them they were off duty.
type Stint struct {
	Duty     Duty
	From, To time.Time // To is zero: it has not ended
}

// WorkLimits are how long officers may work.
type WorkLimits struct {
	Shift   time.Duration // on duty, within any Within
	Within  time.Duration
	Stretch time.Duration // on duty without a Rest
	Rest    time.Duration // a break, or time off duty, in one piece
}

// DefaultWorkLimits are 12 hours of work in 24, and half an hour's break after 6.
func DefaultWorkLimits() WorkLimits {
	return WorkLimits{Shift: 12 * time.Hour, Within: 24 * time.Hour, Stretch: 6 * time.Hour, Rest: 30 * time.Minute}
}

// Left returns for how long an officer who is on duty from now on may work until
// they reach a limit; 0 at or beyond one. stints are theirs, in order, since
// Within before now.
func (l WorkLimits) Left(stints []Stint, now time.Time) time.Duration {
	var worked, stretch time.Duration
	since := now.Add(-l.Within)
	last := time.Time{} // until when they have worked
	for _, s := range stints {
		if s.Duty != OnDuty || !s.From.Before(now) {
			continue
		}
		to := s.To
		if to.IsZero() || to.After(now) {
			to = now
		}
		if !last.IsZero() && s.From.Sub(last) >= l.Rest {
			stretch = 0
		}
		stretch += to.Sub(s.From)
		worked += max(0, to.Sub(later(s.From, since)))
		last = to
	}
	if now.Sub(last) >= l.Rest {
		stretch = 0
	}
	return max(0, min(l.Shift-worked, l.Stretch-stretch))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
