package match

import (
	"time"

	"armora/fleet"
)

// SwapRules say when bookings that have an officer may be given another before
// the pick-up. A principal who was told a name and a face is not told another for
// a little, and an officer who said yes is not let down for it. So a swap
//
//   - is made before the officer is close: then the principal is looking out for
//     this one,
//   - parts nobody from an officer whom they preferred, or whom ops gave them,
//   - is made once for a booking,
//   - gains much, by itself and in proportion, for all of its bookings together,
//   - and makes no booking wait much longer for the sake of the others.
//
// Making it is for others to do, in this order: the new officer accepts, and only
// then is the old one told that they are free. Nobody is without an officer for a
// moment.
type SwapRules struct {
	Close     time.Duration // nearer than that, an officer is kept
	Gain      time.Duration // of pick-up time, all together
	GainShare float64       // of the time that all together would wait otherwise
	Loss      time.Duration // that one booking may suffer
}

// DefaultSwapRules are those of a hub that was told nothing else. The gain is what
// DefaultWeights ask of each booking that gives up an officer who has accepted.
func DefaultSwapRules() SwapRules {
	return SwapRules{Close: 5 * time.Minute, Gain: 3 * time.Minute, GainShare: 0.25, Loss: time.Minute}
}

// Keep returns what it costs to keep an officer who is there in so long, beside what
// others cost: Gain less than one who is as far away.
func (r SwapRules) Keep(left time.Duration) Cost { return milliseconds(left - r.Gain) }

// SwapMove is a booking's part in a swap: it has an officer, and would get another.
type SwapMove struct {
	Status  fleet.BookingStatus
	Pinned  bool          // the officer is preferred by the principal, or was given by ops
	Swapped bool          // it was part of a swap before
	Now     time.Duration // until the officer whom it has is there
	Then    time.Duration // until the other one would be
}

// SwapRefusal is why a swap is not made; empty if it may be.
type SwapRefusal string

// The refusals.
const (
	SwapAllowed   SwapRefusal = ""
	SwapTooLate   SwapRefusal = "too_late"   // a booking is not on its way to the pick-up, or its officer is close
	SwapPinned    SwapRefusal = "pinned"     // a booking keeps whom it has
	SwapRepeated  SwapRefusal = "repeated"   // a booking was swapped before
	SwapTooLittle SwapRefusal = "too_little" // it gains too little
	SwapUnfair    SwapRefusal = "unfair"     // a booking would wait much longer
)

// Decide says whether a swap may be made: of one booking's officer for one who is
// free, or of several bookings' officers around.
func (r SwapRules) Decide(moves ...SwapMove) SwapRefusal {
	var now, then time.Duration
	for _, m := range moves {
		switch {
		case m.Status != fleet.Assigned && m.Status != fleet.EnRoute || m.Now < r.Close:
			return SwapTooLate
		case m.Pinned:
			return SwapPinned
		case m.Swapped:
			return SwapRepeated
		case m.Then-m.Now > r.Loss:
			return SwapUnfair
		}
		now, then = now+m.Now, then+m.Then
	}
	if gain := now - then; gain < r.Gain || gain < scale(now, r.GainShare) {
		return SwapTooLittle
	}
	return SwapAllowed
}
