package report

import (
	"math"

	"armora/fleet"
)

// The rules of the optional measurements. Each function takes the number as the
// device reported it, already in the unit named, and returns it as a point
// keeps it. A number that cannot be that measurement becomes fleet.Unknown and
// never costs the point: NaN stands for "absent or not a number".
const (
	// maxAccuracy is where a larger error says nothing more: half the way
	// around the Earth. Beyond it the radius is cut, not forgotten, so that a
	// useless fix still looks useless.
	maxAccuracy = 20_037_508
	maxSpeed    = 1000.0    // m/s; three times the fastest airliner
	minAltitude = -11_000.0 // m; the deepest sea floor
	maxAltitude = 100_000.0 // m; where space begins
	maxHeading  = 720.0     // degrees; two turns either way are still an angle
)

// Conversions to the units of a point.
const (
	KilometresPerHour = 1000.0 / 3600 // m/s
	Knot              = 1852.0 / 3600 // m/s; the international knot
	Percent           = 1.0 / 100
)

// Accuracy takes metres. A negative radius, which is how iOS says "invalid", is
// unknown.
func Accuracy(metres float64) float32 {
	if !(metres >= 0) {
		return fleet.Unknown
	}
	return float32(math.Min(metres, maxAccuracy))
}

// Speed takes metres a second. A negative or impossible speed is unknown.
func Speed(metresPerSecond float64) float32 { return within(metresPerSecond, 0, maxSpeed) }

// Altitude takes metres.
func Altitude(metres float64) float32 { return within(metres, minAltitude, maxAltitude) }

// Battery takes the state of charge from 0 to 1.
func Battery(charge float64) float32 { return within(charge, 0, 1) }

// Heading takes degrees and brings them into [0, 360). Exactly -1 is how iOS,
// and with it most phone libraries, say "no course", so it is unknown and not
// 359.
func Heading(degrees float64) float32 {
	if !(math.Abs(degrees) <= maxHeading) || degrees == -1 {
		return fleet.Unknown
	}
	turned := math.Mod(degrees, 360)
	if turned < 0 {
		turned += 360
	}
	if h := float32(turned); h < 360 {
		return h
	}
	return 0 // 359.99999999 rounds up to a full turn
}

// Sent takes when a report was sent. A time that cannot be written down was not said.
func Sent(m fleet.Millis) fleet.Millis {
	if !m.Storable() {
		return 0
	}
	return m
}

func within(v, low, high float64) float32 {
	if v >= low && v <= high {
		return float32(v)
	}
	return fleet.Unknown
}
