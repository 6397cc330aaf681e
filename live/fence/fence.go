// Package fence says when units enter, leave and stay in places: circles and
// polygons that may come and go while positions flow. It does no I/O and starts
// no goroutines.
//
// A fence never fires beyond its true shape. A crossing is debounced by
// confirmation, by more fixes on the other side, and not by a wider or narrower
// shape: the fix that fires an enter is inside, the one that fires an exit is
// outside. Positions are taken at the resolution at which they are stored, 1e-7
// degrees, where polygons are decided in exact integer arithmetic.
package fence

import (
	"time"

	"armora/fleet"
)

// ID names a fence.
type ID = fleet.ID[Fence]

// Fence is a place to be watched.
type Fence struct {
	ID    ID
	Shape Shape
	Dwell time.Duration // a stay of this length is told, once; 0: it is not
	// Confirm is what it takes to believe in a crossing; zero: DefaultConfirm.
	Confirm Confirm
	// MaxAccuracy is the largest error in metres that a fix may report about
	// itself and still say on which side it is; a worse one neither confirms nor
	// denies anything. 0: DefaultMaxAccuracy. A fix that reports none counts.
	MaxAccuracy float32
}

// Confirm says when a crossing is believed: when at least Fixes consecutive
// fixes were on the other side, and the last of them is at least For later than
// the first. One fix on the side that the unit was on denies the crossing.
type Confirm struct {
	Fixes int
	For   time.Duration
}

// DefaultConfirm keeps a fence quiet while fixes jitter around its edge: at one
// fix a second it takes eleven in a row on the other side, and of a tracker that
// reports twice a minute two.
func DefaultConfirm() Confirm { return Confirm{Fixes: 2, For: 10 * time.Second} }

// Immediately is the Confirm that believes the first fix.
func Immediately() Confirm { return Confirm{Fixes: 1} }

// DefaultMaxAccuracy is in metres: what phones report among high buildings is
// mostly better, and a position from cell towers is worse.
const DefaultMaxAccuracy = 50

// withDefaults fills what f leaves open.
func (f Fence) withDefaults() Fence {
	if f.Confirm == (Confirm{}) {
		f.Confirm = DefaultConfirm()
	}
	if f.MaxAccuracy == 0 {
		f.MaxAccuracy = DefaultMaxAccuracy
	}
	return f
}

// Kind says what an event tells. The words are stored.
type Kind string

// The kinds of event.
const (
	Enter Kind = "enter"
	Exit  Kind = "exit"
	Dwell Kind = "dwell" // the unit was inside at both ends of the fence's Dwell time, once per stay
)

// Event is what a fence tells of a unit. No two events of one fence, unit and
// kind have the same At.
type Event struct {
	Kind  Kind
	Fence ID
	Unit  fleet.Unit
	// At, Lat and Lon are those of the fix that made it certain, which is
	// inside for Enter and Dwell, outside for Exit.
	At       fleet.Millis
	Lat, Lon float64
	// Since is the time of the first fix of the stay; for Exit that of the first
	// fix after it.
	Since fleet.Millis
}

// Stay is a unit that is in a fence, as it is kept over a restart.
type Stay struct {
	Fence ID
	Unit  fleet.Unit
	Since fleet.Millis // the first fix of the stay
	At    fleet.Millis // a fix of the unit; what is not newer changes nothing
	Dwelt bool         // its Dwell was told
}
