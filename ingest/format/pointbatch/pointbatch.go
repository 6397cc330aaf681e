// Package pointbatch reads the compact protobuf form of a batch of points,
// PointBatch of deploy/proto/armora/v1/points.proto, which documents every
// field and its unit.
//
// It decodes the wire form by hand, straight into points: the generated code
// would allocate each Point and each of its optional fields. By the rules of
// protobuf, unknown fields are passed over, fields may come in any order, and
// of a field that comes twice the last one counts.
package pointbatch

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"armora/fleet"
	"armora/ingest/format/report"
)

// The field numbers of PointBatch.
const (
	batchSent   protowire.Number = 1
	batchPoints protowire.Number = 2
)

// The field numbers of Point.
const (
	pointFix      protowire.Number = 1
	pointLat      protowire.Number = 2
	pointLon      protowire.Number = 3
	pointAccuracy protowire.Number = 4
	pointSpeed    protowire.Number = 5
	pointHeading  protowire.Number = 6
	pointAltitude protowire.Number = 7
	pointBattery  protowire.Number = 8
	pointMock     protowire.Number = 9
)

var keys = report.Keys{Time: "fix_ms", Lat: "lat_e7", Lon: "lon_e7"}

// Parse appends the points of payload to dst. It allocates nothing as long as
// dst has room, and keeps no reference to payload or dst.
//
// A measurement that cannot be true is fleet.Unknown by the rules of package
// report. A required field that is missing or out of range is an error that
// names it, and then nothing of the message is appended. A batch without points
// is report.ErrNoPosition.
func Parse(dst []fleet.Point, payload []byte) ([]fleet.Point, error) {
	had := len(dst)
	var sent fleet.Millis
	for b := payload; len(b) > 0; {
		num, typ, n, err := tag(b)
		if err != nil {
			return dst[:had], err
		}
		b = b[n:]
		switch {
		case num == batchSent && typ == protowire.VarintType:
			var v uint64
			if v, n = protowire.ConsumeVarint(b); n >= 0 {
				sent = report.Sent(fleet.Millis(v))
			}
		case num == batchPoints && typ == protowire.BytesType:
			var message []byte
			if message, n = protowire.ConsumeBytes(b); n < 0 {
				break
			}
			i := len(dst) - had
			if i == report.MaxPoints {
				return dst[:had], report.ErrTooMany
			}
			p := report.New(fleet.FormatProtobuf)
			if err := point(&p, message); err != nil {
				return dst[:had], fmt.Errorf("point %d: %w", i, err)
			}
			dst = append(dst, p)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return dst[:had], malformed(n)
		}
		b = b[n:]
	}
	if len(dst) == had {
		return dst, fmt.Errorf("an empty batch %w", report.ErrNoPosition)
	}
	for i := had; i < len(dst); i++ {
		dst[i].Sent = sent // known only now, for it may stand behind the points
	}
	return dst, nil
}

// point reads one Point into p, begun by report.New. Every field is a varint; a
// field of another wire type is unknown to the schema and passed over.
func point(p *fleet.Point, b []byte) error {
	for len(b) > 0 {
		num, typ, n, err := tag(b)
		if err != nil {
			return err
		}
		b = b[n:]
		if typ != protowire.VarintType {
			if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
				return malformed(n)
			}
			b = b[n:]
			continue
		}
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return malformed(n)
		}
		b = b[n:]
		set(p, num, v)
	}
	return report.Check(p, &keys)
}

// tag reads the tag at the start of b, n bytes long. Like the generated code,
// and unlike protowire, it refuses the field numbers beyond the valid ones.
func tag(b []byte) (num protowire.Number, typ protowire.Type, n int, err error) {
	num, typ, n = protowire.ConsumeTag(b)
	if n < 0 {
		return 0, 0, 0, malformed(n)
	}
	if num > protowire.MaxValidNumber {
		return 0, 0, 0, fmt.Errorf("malformed protobuf: field number %d", num)
	}
	return num, typ, n, nil
}

// set scales one field to the units of a point. Like the generated code, it
// cuts a varint to the width of its field.
func set(p *fleet.Point, num protowire.Number, v uint64) {
	switch num {
	case pointFix:
		p.Fix = fleet.Millis(v)
	case pointLat:
		p.Lat = float64(zigzag32(v)) / 1e7
	case pointLon:
		p.Lon = float64(zigzag32(v)) / 1e7
	case pointAccuracy:
		p.Accuracy = report.Accuracy(float64(uint32(v)) / 100)
	case pointSpeed:
		p.Speed = report.Speed(float64(uint32(v)) / 100)
	case pointHeading:
		p.Heading = report.Heading(float64(uint32(v)) / 100)
	case pointAltitude:
		p.Altitude = report.Altitude(float64(zigzag32(v)) / 10)
	case pointBattery:
		p.Battery = report.Battery(float64(uint32(v)) / 100)
	case pointMock:
		p.Flags &^= fleet.FlagMock
		if protowire.DecodeBool(v) {
			p.Flags |= fleet.FlagMock
		}
	}
}

func zigzag32(v uint64) int32 { return int32(protowire.DecodeZigZag(v & 0xffffffff)) }

func malformed(n int) error { return fmt.Errorf("malformed protobuf: %w", protowire.ParseError(n)) }
