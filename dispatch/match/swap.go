package match

import "time"

// SwapRules say when a booking that has an officer may be given another before the
// pick-up. A principal who was told a name and a face is not told another for a
// little, and an officer who said yes is not let down for it. So a swap
//
//   - is made before the officer is close: then the principal is looking out for
//     this one,
//   - gains much, by itself and in proportion.
//
// The caller of a Round offers no booking to it as one that may be swapped whose
// officer is there already, was preferred by the principal or given by ops, or which
// was swapped before. Making a swap is for the caller too, in this order: the new
// officer accepts, and only then is the old one told that they are free. Nobody is
// without an officer for a moment.
type SwapRules struct {
	Close     time.Duration // nearer than that, an officer is kept
	Gain      time.Duration // of pick-up time
	GainShare float64       // of the time that the booking would wait otherwise
}

// DefaultSwapRules are those of a hub that was told nothing else.
func DefaultSwapRules() SwapRules {
	return SwapRules{Close: 5 * time.Minute, Gain: 3 * time.Minute, GainShare: 0.25}
}

// Allows reports whether somebody who is there in so long may replace an officer who
// would be there in what is left.
func (r SwapRules) Allows(left, pickup time.Duration) bool {
	gain := left - pickup
	return left >= r.Close && gain >= r.Gain && gain >= scale(left, r.GainShare)
}

// keep is what it costs to keep an officer, beside what others cost: Gain less than one
// who is as far away. That is the hysteresis of a round: also when a booking may be
// swapped, it is not for a second's gain of all together.
func (r SwapRules) keep(left time.Duration) Cost { return milliseconds(left - r.Gain) }
