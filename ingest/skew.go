package ingest

import (
	"slices"

	"armora/fleet"
)

// skew estimates how far a device's clock is from the hub's, from the sent
// times that the device itself wrote into its messages.
//
// Each message gives one sample, offset = received − sent, which is the clock's
// error plus the time on the way. The way only ever adds, so the smallest
// offset of a recent window is the best one (the minimum filter of NTP, RFC
// 5905 §10). What was sent from a backlog has waited, and its offset says
// nothing about the clock; while one drains, each message has waited less than
// the one before, so the window's offsets are spread out. A window is therefore
// used only while half of its offsets lie close to its minimum: within a tenth
// of the time over which the messages were sent, which no backlog does that is
// drained by a quarter faster than it grew. While they do not, the newest of them may,
// by themselves: the clock was set, or was odd for a moment.
//
// A message sent in the hub's future needs no window: nothing on the way makes
// an offset negative, so a negative one is proof by itself.
type skew struct {
	sent    [skewWindow]fleet.Millis
	offset  [skewWindow]fleet.Millis
	n, next int
	applied fleet.Millis // what is added to the device's times; 0 while the clock is good
}

const (
	skewWindow  = 16    // samples that are remembered
	skewMinimum = 5     // samples that an estimate takes: two of them may be off
	skewSpan    = 10000 // ms over which they must have been sent
	skewSpread  = 2000  // ms that half of them may lie above the minimum at most: the jitter of a mobile network
	skewFloor   = 5000  // ms of error from which on a clock is corrected
	skewStep    = 1000  // ms by which an estimate must move to be taken over: small moves would reorder fixes
)

// observe takes in one message.
func (s *skew) observe(sent, received fleet.Millis) {
	offset := received - sent
	s.sent[s.next], s.offset[s.next] = sent, offset
	s.next = (s.next + 1) % skewWindow
	s.n = min(s.n+1, skewWindow)
	if s.applied == 0 && abs(offset) < skewFloor {
		return // the clock is good, which is the usual case
	}
	estimate, good := s.estimate()
	if !good {
		if offset > -skewFloor {
			return
		}
		estimate = offset
	}
	if abs(estimate) < skewFloor {
		s.applied = 0
	} else if abs(estimate-s.applied) > skewStep {
		s.applied = estimate
	}
}

// estimate returns by how much the clock is off, and whether the window is fit to be
// judged by.
func (s *skew) estimate() (offset fleet.Millis, good bool) {
	offset, good = s.newest(s.n)
	for n := skewMinimum; n < s.n && !good; n++ {
		offset, good = s.newest(n)
	}
	return offset, good
}

// newest returns the smallest offset of the newest n messages, and whether they are fit
// to be judged by.
func (s *skew) newest(n int) (fleet.Millis, bool) {
	if n < skewMinimum {
		return 0, false
	}
	var sent, offsets [skewWindow]fleet.Millis
	for i := range n {
		at := (s.next - 1 - i + skewWindow) % skewWindow
		sent[i], offsets[i] = s.sent[at], s.offset[at]
	}
	span := slices.Max(sent[:n]) - slices.Min(sent[:n])
	if span < skewSpan {
		return 0, false
	}
	slices.Sort(offsets[:n])
	smallest, median := offsets[0], offsets[(n-1)/2]
	return smallest, median-smallest <= min(skewSpread, span/10)
}

func abs(m fleet.Millis) fleet.Millis {
	if m < 0 {
		return -m
	}
	return m
}
