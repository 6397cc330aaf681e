package wire

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// The field numbers of armora.v1.PointBatch and armora.v1.Point. They are
// written by hand, not through the generated types, because those take a heap
// allocation for each measurement; the test reads the result back with them.
const (
	batchSent   protowire.Number = 1
	batchPoints protowire.Number = 2

	pointFix      protowire.Number = 1
	pointLat      protowire.Number = 2
	pointLon      protowire.Number = 3
	pointAccuracy protowire.Number = 4 // cm
	pointSpeed    protowire.Number = 5 // cm/s
	pointHeading  protowire.Number = 6 // 0.01 degrees
	pointAltitude protowire.Number = 7 // dm
	pointBattery  protowire.Number = 8 // percent
	pointMock     protowire.Number = 9
)

// AppendProtobuf appends points as one PointBatch. The batch was sent when its
// first point says; Seq has no place in it.
func AppendProtobuf(dst []byte, points []Point) []byte {
	if len(points) > 0 && points[0].Sent != 0 {
		dst = appendVarint(dst, batchSent, uint64(points[0].Sent))
	}
	for i := range points {
		dst = protowire.AppendTag(dst, batchPoints, protowire.BytesType)
		// A point takes less than 128 bytes, so its length is one byte that
		// can be filled in afterwards.
		dst = append(dst, 0)
		start := len(dst)
		dst = appendPoint(dst, &points[i])
		dst[start-1] = byte(len(dst) - start)
	}
	return dst
}

func appendPoint(dst []byte, p *Point) []byte {
	dst = appendVarint(dst, pointFix, uint64(p.Fix))
	dst = appendVarint(dst, pointLat, protowire.EncodeZigZag(int64(p.Lat)))
	dst = appendVarint(dst, pointLon, protowire.EncodeZigZag(int64(p.Lon)))
	if n, ok := scaled(p.Accuracy, 100); ok {
		dst = appendVarint(dst, pointAccuracy, uint64(n))
	}
	if n, ok := scaled(p.Speed, 100); ok {
		dst = appendVarint(dst, pointSpeed, uint64(n))
	}
	if n, ok := scaled(p.Heading, 100); ok {
		dst = appendVarint(dst, pointHeading, uint64(n%36000))
	}
	if n, ok := scaled(p.Altitude, 10); ok {
		dst = appendVarint(dst, pointAltitude, protowire.EncodeZigZag(n))
	}
	if n, ok := scaled(p.Battery, 100); ok {
		dst = appendVarint(dst, pointBattery, uint64(n))
	}
	if p.Mock {
		dst = appendVarint(dst, pointMock, 1)
	}
	return dst
}

func appendVarint(dst []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, field, protowire.VarintType), v)
}

// scaled returns v in whole units, and false when it was not said.
func scaled(v float32, units float64) (int64, bool) {
	if v != v {
		return 0, false
	}
	return int64(math.Round(float64(v) * units)), true
}
