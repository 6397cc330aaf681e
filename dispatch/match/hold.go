package match

import "time"

// HoldMost is how long a booking may be held, in all, for officers who are about
// to finish.
const HoldMost = 10 * time.Second

// Hold is how a booking may wait for an officer who is about to finish near it, a
// provisional one, instead of being offered to the best who is free. The zero
// value is a booking that was never held. A booking has one for the whole of a
// search: another provisional officer gives it no more time, so that it is not
// handed from one promise to the next.
type Hold struct {
	Began time.Time // zero: never
}

// Open reports whether the booking may be given provisional officers: it has not
// been held, or not for HoldMost yet. A clock that was put back closes it.
func (h Hold) Open(now time.Time) bool {
	held := now.Sub(h.Began)
	return h.Began.IsZero() || held >= 0 && held < HoldMost
}

// After is the hold after a round of matching that gave the booking an officer who
// is provisional, or not.
func (h Hold) After(provisional bool, now time.Time) Hold {
	if provisional && h.Began.IsZero() {
		h.Began = now
	}
	return h
}
