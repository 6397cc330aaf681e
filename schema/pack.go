package schema

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"

	"armora/fleet"
)

// A row is a point as the table points has it, 40 bytes.
//
//	fix       Unix milliseconds here, timestamptz in the table
//	device    devices.number
//	lat, lon  1e-7 degrees (fleet.E7)
//	received  milliseconds after fix
//	sent      milliseconds after fix
//	accuracy  0.1 m           0 … 3,276.7 m
//	speed     0.01 m/s        0 … 327.67 m/s
//	heading   0.1 degrees     0 … 359.9
//	altitude  0.2 m           −6,553 … 6,553 m
//	battery   0.001
//	meta      verdict | format << 4 | flags << 8
//
// A measurement beyond its range is kept as the end of the range, an unknown
// one as unknown16. A time whose offset needs more than 32 bits (24.8 days) is
// farOffset, and its true value lies in points_far.
type row struct {
	fix                                               int64
	device, lat, lon, received, sent                  int32
	accuracy, speed, heading, altitude, battery, meta int16

	order int32 // place in the batch; not stored
}

const (
	unknown16   = math.MinInt16
	unsaid      = math.MinInt32     // sent was not said
	farOffset   = math.MinInt32 + 1 // see points_far
	hourMillis  = 3600 * 1000
	dayMillis   = 24 * hourMillis
	accuracyPer = 10
	speedPer    = 100
	headingPer  = 10
	altitudePer = 5
	batteryPer  = 1000
)

// pack fills everything but order. p is valid.
func pack(p *fleet.Point, device int32) row {
	r := row{
		fix: int64(p.Fix), device: device, lat: fleet.E7(p.Lat), lon: fleet.E7(p.Lon),
		received: offset(p.Received, p.Fix), sent: unsaid,
		accuracy: scale(p.Accuracy, accuracyPer),
		speed:    scale(p.Speed, speedPer),
		heading:  scale(p.Heading, headingPer),
		altitude: scale(p.Altitude, altitudePer),
		battery:  scale(p.Battery, batteryPer),
		meta:     int16(uint16(p.Verdict)&15 | (uint16(p.Format)&15)<<4 | uint16(p.Flags)<<8),
	}
	if p.Sent != 0 {
		r.sent = offset(p.Sent, p.Fix)
	}
	if r.heading == 360*headingPer { // 359.97 rounds to a full turn
		r.heading = 0
	}
	return r
}

// isFar reports whether the row needs a companion in points_far.
func (r *row) isFar() bool { return r.received == farOffset || r.sent == farOffset }

func offset(t, fix fleet.Millis) int32 {
	d := int64(t) - int64(fix)
	if d <= farOffset || d > math.MaxInt32 {
		return farOffset
	}
	return int32(d)
}

// scale rounds to whole units of 1/per and saturates; NaN is unknown.
func scale(v float32, per float32) int16 {
	if !fleet.Known(v) {
		return unknown16
	}
	return int16(math.Round(float64(max(min(v*per, math.MaxInt16), -math.MaxInt16))))
}

func unscale(v int16, per float32) float32 {
	if v == unknown16 {
		return fleet.Unknown
	}
	return float32(v) / per
}

// unpack is the reverse of pack, but for Device and the times that are far.
func (r *row) unpack(p *fleet.Point) {
	bits := uint16(r.meta)
	*p = fleet.Point{
		Fix: fleet.Millis(r.fix), Received: fleet.Millis(r.fix + int64(r.received)),
		Lat: float64(r.lat) / 1e7, Lon: float64(r.lon) / 1e7,
		Accuracy: unscale(r.accuracy, accuracyPer),
		Speed:    unscale(r.speed, speedPer),
		Heading:  unscale(r.heading, headingPer),
		Altitude: unscale(r.altitude, altitudePer),
		Battery:  unscale(r.battery, batteryPer),
		Verdict:  fleet.Verdict(bits & 15), Format: fleet.Format(bits >> 4 & 15), Flags: fleet.Flags(bits >> 8),
	}
	if r.sent != unsaid {
		p.Sent = fleet.Millis(r.fix + int64(r.sent))
	}
}

// compareRows orders by day, device, fix and position: the order of the
// partitions and, within one, of the unique index. Every batch is written in
// this order, so two that share points wait for each other in one direction
// only and never deadlock.
func compareRows(a, b row) int {
	if c := cmp.Compare(a.fix/dayMillis, b.fix/dayMillis); c != 0 {
		return c
	}
	if c := cmp.Compare(a.device, b.device); c != 0 {
		return c
	}
	if c := cmp.Compare(a.fix, b.fix); c != 0 {
		return c
	}
	if c := cmp.Compare(a.lat, b.lat); c != 0 {
		return c
	}
	if c := cmp.Compare(a.lon, b.lon); c != 0 {
		return c
	}
	return cmp.Compare(a.order, b.order)
}

// samePoint reports whether two rows have one identity.
func samePoint(a, b row) bool {
	return a.device == b.device && a.fix == b.fix && a.lat == b.lat && a.lon == b.lon
}

// storable reports why a point cannot be written down.
func storable(p *fleet.Point) error {
	err := p.Validate()
	switch {
	case err != nil:
	case p.Verdict > 15:
		err = fmt.Errorf("verdict %v is none that can be stored", p.Verdict)
	case p.Format > 15:
		err = fmt.Errorf("format %v is none that can be stored", p.Format)
	default:
		return nil
	}
	return &fleet.Error{Code: fleet.CodeInvalid, Message: "a point of device " + p.Device.String() + " cannot be stored", Err: err}
}

// copyColumns is the order in which appendCopy writes.
const copyColumns = `fix, device, lat, lon, received, sent, accuracy, speed, heading, altitude, battery, meta`

// The format of COPY … BINARY: a header, then for each row a count of columns
// and each column's length and bytes, then −1 for the end.
const (
	copyHeader  = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	copyTrailer = "\xff\xff"
	copyRow     = 2 + (4 + 8) + 5*(4+4) + 6*(4+2)
)

// copyTemplate is a row with its counts and lengths in place and its values zero.
var copyTemplate = func() (t [copyRow]byte) {
	b := binary.BigEndian.AppendUint16(t[:0], 12)
	for _, size := range [...]int{8, 4, 4, 4, 4, 4, 2, 2, 2, 2, 2, 2} {
		b = binary.BigEndian.AppendUint32(b, uint32(size))
		b = b[:len(b)+size]
	}
	return t
}()

// postgresEpoch is 2000-01-01 in Unix microseconds: timestamptz counts from it.
const postgresEpoch = 946684800 * 1000 * 1000

// appendCopy appends rows as the whole body of a COPY … BINARY.
func appendCopy(b []byte, rows []row) []byte {
	b = append(b, copyHeader...)
	for i := range rows {
		r := &rows[i]
		b = append(b, copyTemplate[:]...)
		t := (*[copyRow]byte)(b[len(b)-copyRow:])
		binary.BigEndian.PutUint64(t[6:], uint64(r.fix*1000-postgresEpoch))
		binary.BigEndian.PutUint32(t[18:], uint32(r.device))
		binary.BigEndian.PutUint32(t[26:], uint32(r.lat))
		binary.BigEndian.PutUint32(t[34:], uint32(r.lon))
		binary.BigEndian.PutUint32(t[42:], uint32(r.received))
		binary.BigEndian.PutUint32(t[50:], uint32(r.sent))
		binary.BigEndian.PutUint16(t[58:], uint16(r.accuracy))
		binary.BigEndian.PutUint16(t[64:], uint16(r.speed))
		binary.BigEndian.PutUint16(t[70:], uint16(r.heading))
		binary.BigEndian.PutUint16(t[76:], uint16(r.altitude))
		binary.BigEndian.PutUint16(t[82:], uint16(r.battery))
		binary.BigEndian.PutUint16(t[88:], uint16(r.meta))
	}
	return append(b, copyTrailer...)
}
