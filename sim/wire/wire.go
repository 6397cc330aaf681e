// Package wire writes points the way a device writes them: the hub's native
// JSON, and the compact protobuf batch. It is written from the published
// contract alone and shares no code with the hub that reads it, so that a
// misreading on either side shows.
package wire

import (
	"fmt"
	"math"
	"strconv"
)

// Point is one position as a device reports it. Positions are integers of 1e-7
// degrees, the resolution at which the hub stores and compares them, so that a
// sender's log and a stored row are equal or not, with no rounding between.
type Point struct {
	Fix      int64   // when it was measured, Unix milliseconds by the device's clock
	Sent     int64   // when it was sent, Unix milliseconds by the device's clock; 0: not said
	Lat, Lon int32   // 1e-7 degrees, WGS 84
	Accuracy float32 // metres; this and the following are NaN when not said
	Speed    float32 // metres a second
	Heading  float32 // degrees clockwise from north, [0, 360)
	Altitude float32 // metres
	Battery  float32 // 0 to 1
	Seq      uint32  // the sender's own count; 0: not said
	Mock     bool
}

// At returns a point that says nothing but when and where.
func At(fix int64, lat, lon int32) Point {
	unknown := float32(math.NaN())
	return Point{
		Fix: fix, Lat: lat, Lon: lon,
		Accuracy: unknown, Speed: unknown, Heading: unknown, Altitude: unknown, Battery: unknown,
	}
}

// E7 converts degrees to integers of 1e-7 degrees, to the nearest.
func E7(degrees float64) int32 { return int32(math.Round(degrees * 1e7)) }

// Encoding is one of the two native formats.
type Encoding int

// The encodings.
const (
	JSON     Encoding = iota // an object, or an array for a batch
	Protobuf                 // armora.v1.PointBatch
)

var encodingNames = [...]string{"json", "protobuf"}

func (e Encoding) String() string { return encodingNames[e] }

// MarshalText implements encoding.TextMarshaler.
func (e Encoding) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (e *Encoding) UnmarshalText(text []byte) error {
	for i, name := range encodingNames {
		if name == string(text) {
			*e = Encoding(i)
			return nil
		}
	}
	return fmt.Errorf("unknown payload encoding %q: json or protobuf", text)
}

// AppendJSON appends points as the hub's native JSON: an object when there is
// one, an array otherwise.
func AppendJSON(dst []byte, points []Point) []byte {
	if len(points) == 1 {
		return appendObject(dst, &points[0])
	}
	dst = append(dst, '[')
	for i := range points {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendObject(dst, &points[i])
	}
	return append(dst, ']')
}

func appendObject(dst []byte, p *Point) []byte {
	dst = append(dst, `{"t":`...)
	dst = strconv.AppendInt(dst, p.Fix, 10)
	if p.Sent != 0 {
		dst = append(dst, `,"st":`...)
		dst = strconv.AppendInt(dst, p.Sent, 10)
	}
	dst = append(dst, `,"lat":`...)
	dst = appendE7(dst, p.Lat)
	dst = append(dst, `,"lon":`...)
	dst = appendE7(dst, p.Lon)
	dst = appendMeasure(dst, `,"acc":`, p.Accuracy, 1)
	dst = appendMeasure(dst, `,"spd":`, p.Speed, 2)
	dst = appendMeasure(dst, `,"hdg":`, wrapped(p.Heading), 1)
	dst = appendMeasure(dst, `,"alt":`, p.Altitude, 1)
	dst = appendMeasure(dst, `,"bat":`, p.Battery, 2)
	if p.Seq != 0 {
		dst = append(dst, `,"seq":`...)
		dst = strconv.AppendUint(dst, uint64(p.Seq), 10)
	}
	if p.Mock {
		dst = append(dst, `,"mock":true`...)
	}
	return append(dst, '}')
}

// wrapped keeps a heading below 360 after it is rounded to one decimal.
func wrapped(heading float32) float32 {
	if heading >= 359.95 {
		return 0
	}
	return heading
}

func appendMeasure(dst []byte, key string, v float32, decimals int) []byte {
	if v != v {
		return dst
	}
	return strconv.AppendFloat(append(dst, key...), float64(v), 'f', decimals, 32)
}

// appendE7 writes all seven decimals of an integer of 1e-7, exactly.
func appendE7(dst []byte, v int32) []byte {
	u := int64(v)
	if u < 0 {
		dst = append(dst, '-')
		u = -u
	}
	dst = strconv.AppendInt(dst, u/1e7, 10)
	dst = append(dst, '.')
	frac := u % 1e7
	for div := int64(1e6); div > 0; div /= 10 {
		dst = append(dst, byte('0'+frac/div%10))
	}
	return dst
}

// Append appends points in the encoding.
func (e Encoding) Append(dst []byte, points []Point) []byte {
	if e == Protobuf {
		return AppendProtobuf(dst, points)
	}
	return AppendJSON(dst, points)
}
