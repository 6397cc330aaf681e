package match

import "time"

// Weights says what the terms of a cost weigh. All are worth pick-up time, so that
// what one of them buys can be read from it.
type Weights struct {
	// Decline is how much later a booking gets its officer when one says no or does
	// not answer, and Declines is how many of those are reckoned with at most.
	Decline  time.Duration
	Declines float64

	// Idle is the credit for each minute without work, up to IdleMost minutes'
	// worth of it: who has waited longer goes first among those about as near.
	Idle     time.Duration
	IdleMost time.Duration

	// Fairness is what an officer who has had twice the mean share of work is
	// farther away by, and one who has had none nearer.
	Fairness time.Duration

	// Preferred is how much later the officer whom the principal prefers may come.
	Preferred time.Duration

	// Farthest is how far away an officer may be for a booking that has not waited
	// yet. One that has may have its officer come from farther by as much.
	Farthest time.Duration
}

// DefaultWeights are those of a hub that was told nothing else.
func DefaultWeights() Weights {
	return Weights{
		Decline:   20 * time.Second,
		Declines:  5,
		Idle:      time.Second,
		IdleMost:  time.Hour,
		Fairness:  time.Minute,
		Preferred: 10 * time.Minute,
		Farthest:  90 * time.Minute,
	}
}

// Terms is what is known of a booking and an officer who might have it.
type Terms struct {
	Pickup     time.Duration // until the officer is there, counted from now: what is left of other work, and the way
	Acceptance float64       // how likely the officer says yes, 0 to 1
	Idle       time.Duration // how long the officer has had no work
	Share      float64       // the officer's hours of work by the mean of all on duty; 1 if nothing is known
	Preferred  bool          // by the principal
	Other      time.Duration // what else speaks against the officer, or, below 0, for them
}

// Cost returns, in milliseconds,
//
//	  pickup
//	+ decline × min(1/acceptance − 1, declines)
//	− idle weight × min(idle, most) / 1 min
//	+ fairness × (min(share, 2) − 1)
//	− preferred, if so
//	+ other
//
// 1/p − 1 is the mean number of refusals before a yes, if each officer asked says
// yes with probability p.
func (w *Weights) Cost(t *Terms) Cost {
	refusals := w.Declines
	if t.Acceptance > 0 {
		refusals = min(1/min(t.Acceptance, 1)-1, w.Declines)
	}
	cost := t.Pickup + t.Other + scale(w.Decline, refusals)
	cost -= scale(w.Idle, min(max(t.Idle, 0), w.IdleMost).Minutes())
	cost += scale(w.Fairness, min(max(t.Share, 0), 2)-1)
	if t.Preferred {
		cost -= w.Preferred
	}
	return milliseconds(cost)
}

// Least returns what an officer costs at least who is so far away, whom the
// principal does not prefer and for whom nothing else speaks: a bound on those whom a
// Round has not been given, if these were.
func (w *Weights) Least(pickup time.Duration) Cost {
	return milliseconds(pickup - scale(w.Idle, w.IdleMost.Minutes()) - w.Fairness)
}

// Skip returns the price of leaving out, this time, a booking that has waited so
// long: whoever waits longer goes first.
func (w *Weights) Skip(waited time.Duration) Cost {
	return milliseconds(w.Farthest + max(waited, 0))
}

func scale(d time.Duration, by float64) time.Duration { return time.Duration(float64(d) * by) }

// milliseconds rounds down, so that a bound stays one.
func milliseconds(d time.Duration) Cost {
	if d < 0 {
		d -= time.Millisecond - 1
	}
	return Cost(d / time.Millisecond)
}
