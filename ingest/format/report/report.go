// Package report holds what every wire format agrees on about a position
// report: how many points one message may carry, what makes a report complete,
// and the rule for each optional measurement. It knows no wire format.
package report

import (
	"errors"
	"fmt"
	"math"

	"armora/fleet"
)

// MaxPoints is the most points that one message may carry. A parser stops at
// the first point beyond it, so that a message never costs more memory than
// MaxPoints points, whatever its size.
const MaxPoints = 10_000

// ErrTooMany is the error of a message with more than MaxPoints points.
var ErrTooMany = fmt.Errorf("more than %d points in one message", MaxPoints)

// ErrNoPosition marks a message that was understood and has no position to
// give: a will, a waypoint, telemetry without coordinates, a receiver without a
// fix, an empty batch. It is acknowledged and is no dead letter. Parsers wrap it
// with what the message was; test for it with errors.Is.
var ErrNoPosition = errors.New("carries no position")

// unset is the fix time of a report that has not told its time yet.
const unset = fleet.Millis(math.MinInt64)

// New returns a point of the given format that has said nothing yet: it has
// neither time nor position, and every measurement is unknown.
func New(format fleet.Format) fleet.Point {
	p := fleet.NewPoint(unset, math.NaN(), math.NaN())
	p.Format = format
	return p
}

// Unlocated reports whether p has neither coordinate: whoever reported it did
// not mean to tell a position. One without the other is for Check to refuse.
func Unlocated(p *fleet.Point) bool { return math.IsNaN(p.Lat) && math.IsNaN(p.Lon) }

// HasTime reports whether p has told its fix time.
func HasTime(p *fleet.Point) bool { return p.Fix != unset }

// Keys are the names that a format gives to what a report must have.
type Keys struct{ Time, Lat, Lon string }

// Check reports the first thing that p, begun by New, lacks or that makes it
// impossible to store. The error names the key as the format spells it.
func Check(p *fleet.Point, keys *Keys) error {
	switch {
	case !HasTime(p):
		return missing(keys.Time)
	case math.IsNaN(p.Lat):
		return missing(keys.Lat)
	case math.IsNaN(p.Lon):
		return missing(keys.Lon)
	}
	return p.Validate()
}

func missing(key string) error { return fmt.Errorf("%s is missing", key) }
