package jsonread

import (
	"fmt"
	"math"

	"armora/fleet"
	"armora/ingest/format/report"
)

// Each calls read at the value that comes next or, if that is an array, at each
// of its elements. It stops at the first error, which it keeps with the number
// of the element, counted from 0, and after report.MaxPoints records of one
// message, however many arrays they stand in.
func (r *Reader) Each(read func() error) {
	if r.Next() != Array {
		r.record(read)
		return
	}
	r.Begin(Array, "")
	for i := 0; r.Element(); i++ {
		if r.record(read); r.err != nil {
			r.err = fmt.Errorf("record %d: %w", i, r.err)
			return
		}
	}
}

func (r *Reader) record(read func() error) {
	if r.records++; r.records > report.MaxPoints {
		r.Fail(report.ErrTooMany)
		return
	}
	if err := read(); err != nil {
		r.Fail(err)
	}
}

// Property reads the current member's value into p if its name is one of those
// that loosely specified formats, ThingsBoard telemetry and GeoJSON properties
// among them, use for a time or a measurement:
//
//	time          t, ts, time, timestamp, datetime: RFC 3339, or Unix seconds or milliseconds
//	accuracy      accuracy, acc, horizontal_accuracy: metres
//	speed         speed, spd: m/s
//	heading       heading, hdg, bearing, course, direction: degrees
//	altitude      altitude, alt: metres
//	battery       battery, bat, batt, battery_level, batteryLevel: up to 1 a share, above it a percentage
//	mock          mock
//
// Names are matched exactly. Null is as good as absent. Other members are
// passed over. A time that is none is an error.
func (r *Reader) Property(p *fleet.Point) {
	if r.Next() == Null {
		r.Skip()
		return
	}
	switch string(r.Name()) {
	case "t", "ts", "time", "timestamp", "datetime":
		p.Fix = r.Time(string(r.Name()), report.SecondsOrMillis)
	case "accuracy", "acc", "horizontal_accuracy":
		p.Accuracy = report.Accuracy(r.Optional())
	case "speed", "spd":
		p.Speed = report.Speed(r.Optional())
	case "heading", "hdg", "bearing", "course", "direction":
		p.Heading = report.Heading(r.Optional())
	case "altitude", "alt":
		p.Altitude = report.Altitude(r.Optional())
	case "battery", "bat", "batt", "battery_level", "batteryLevel":
		p.Battery = report.Battery(share(r.Optional()))
	case "mock":
		if r.Bool(false) {
			p.Flags |= fleet.FlagMock
		}
	default:
		r.Skip()
	}
}

// share reads a state of charge of which only the number is known.
func share(v float64) float64 {
	if math.Abs(v) > 1 {
		return v * report.Percent
	}
	return v
}
