package fleet

import (
	"fmt"
	"math"
	"time"
)

// Millis is a moment in Unix milliseconds, UTC. Zero means "not said".
// The way of a point uses it in place of time.Time because it is a third of
// the size and compares as an integer.
type Millis int64

// MillisOf cuts t to whole milliseconds.
func MillisOf(t time.Time) Millis { return Millis(t.UnixMilli()) }

// Time returns m as a time in UTC.
func (m Millis) Time() time.Time { return time.UnixMilli(int64(m)).UTC() }

// Add returns m moved by d, cut to whole milliseconds.
func (m Millis) Add(d time.Duration) Millis { return m + Millis(d.Milliseconds()) }

// Sub returns m − n.
func (m Millis) Sub(n Millis) time.Duration { return time.Duration(m-n) * time.Millisecond }

// Unknown marks an optional measurement that the device did not report.
var Unknown = float32(math.NaN())

// Known reports whether an optional measurement was reported.
func Known(v float32) bool { return v == v }

// Point is one position report of one device.
//
// Parsers fill what the payload says and leave Device, Received and Verdict to
// ingest. An optional measurement that is absent is Unknown, never zero.
type Point struct {
	Device   DeviceID
	Fix      Millis  // when the position was measured, by the device's clock
	Sent     Millis  // when the device sent it, by the device's clock; 0 if not said
	Received Millis  // when the hub read it, by the hub's clock
	Lat, Lon float64 // degrees, WGS 84
	Accuracy float32 // radius of the horizontal error, metres
	Speed    float32 // over ground, metres a second
	Heading  float32 // degrees clockwise from true north, [0, 360)
	Altitude float32 // metres above the datum that the device uses
	Battery  float32 // state of charge, 0 to 1
	Format   Format
	Flags    Flags
	Verdict  Verdict
}

// NewPoint returns a point with every optional measurement unknown.
func NewPoint(fix Millis, lat, lon float64) Point {
	return Point{
		Fix: fix, Lat: lat, Lon: lon,
		Accuracy: Unknown, Speed: Unknown, Heading: Unknown, Altitude: Unknown, Battery: Unknown,
	}
}

// PointKey is the identity of a point: two reports with the same key are the
// same point, told twice. Phones stamp whole seconds while they move, so the
// position is part of it.
type PointKey struct {
	Device   DeviceID
	Fix      Millis
	Lat, Lon int32 // E7
}

// Key returns the point's identity.
func (p *Point) Key() PointKey {
	return PointKey{Device: p.Device, Fix: p.Fix, Lat: E7(p.Lat), Lon: E7(p.Lon)}
}

// E7 returns degrees as an integer of 1e-7 degrees (11 mm on the ground), the
// resolution at which positions are stored and compared.
func E7(degrees float64) int32 { return int32(math.Round(degrees * 1e7)) }

// Validate reports the first thing that makes p impossible to store, as
// opposed to merely doubtful, which is a Verdict.
func (p *Point) Validate() error {
	switch {
	case !(p.Lat >= -90 && p.Lat <= 90):
		return fmt.Errorf("lat %v is not within -90..90", p.Lat)
	case !(p.Lon >= -180 && p.Lon <= 180):
		return fmt.Errorf("lon %v is not within -180..180", p.Lon)
	case !p.Fix.Storable():
		return fmt.Errorf("fix time %d ms is not within the years 1970..2262", int64(p.Fix))
	}
	return nil
}

// Storable reports whether a time can be written down at all: what PostgreSQL, Go
// durations, JSON and 64-bit nanoseconds agree on. Being plausible is a Verdict.
func (m Millis) Storable() bool { return m >= 0 && m <= lastMillis }

const lastMillis Millis = 9214646400000 // 2262-01-01

// earthRadius is the mean radius R1 of the IUGG, in metres.
const earthRadius = 6371008.8

// Distance returns the great-circle distance between two positions in metres
// (haversine on the mean sphere; within 0.6 % of the ellipsoid).
func Distance(lat1, lon1, lat2, lon2 float64) float64 {
	const rad = math.Pi / 180
	sinLat := math.Sin((lat2 - lat1) * rad / 2)
	sinLon := math.Sin((lon2 - lon1) * rad / 2)
	h := sinLat*sinLat + math.Cos(lat1*rad)*math.Cos(lat2*rad)*sinLon*sinLon
	return 2 * earthRadius * math.Asin(math.Min(1, math.Sqrt(h)))
}
