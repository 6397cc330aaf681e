package load

import (
	"armora/sim/wire"
)

// track makes the points of one device: a parked car whose receiver's fix
// wanders by a metre or two, so that no point is a repeat and none is out of
// place, however fast they come.
type track struct {
	lat, lon int32
	n        int32 // points made so far
	fix      int64 // of the last point, Unix milliseconds
	used     int32 // how many points have that fix time
}

const (
	amplitude = 128           // of the wandering, in 1e-7 degrees: 1.4 m
	period    = 4 * amplitude // points until the wandering is back where it was
)

// newTrack spreads devices over 10 by 10 km around Charing Cross.
func newTrack(number int) track {
	const side, step = 100, 9000 // 9000e-7 degrees: 100 m northward
	return track{
		lat: 515074000 + int32(number/side%side-side/2)*step,
		lon: -1278000 + int32(number%side-side/2)*step*16/10,
	}
}

// next returns the point measured at now, in Unix milliseconds, or a
// millisecond later when that one is used up: points of one millisecond differ
// by position, and there are only so many positions.
func (t *track) next(now int64) wire.Point {
	if now > t.fix {
		t.fix, t.used = now, 0
	} else if t.used == period {
		t.fix, t.used = t.fix+1, 0
	}
	t.used++
	t.n++
	// Each step is 11 mm, and there is no jump at the turn.
	north, east := triangle(t.n), triangle(t.n+amplitude)
	return wire.Point{
		Fix: t.fix, Sent: now, Lat: t.lat + north, Lon: t.lon + east,
		Accuracy: 4.5, Speed: 0.1, Heading: 87.5, Altitude: 21.5, Battery: 0.87, Seq: uint32(t.n),
	}
}

// triangle rises and falls between -amplitude and amplitude.
func triangle(phase int32) int32 {
	switch phase %= period; {
	case phase < amplitude:
		return phase
	case phase < 3*amplitude:
		return 2*amplitude - phase
	default:
		return phase - period
	}
}
