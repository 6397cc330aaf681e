// Package native reads ARMORA's own JSON format: one point, or an array of
// points.
//
//	{"t": 1700000000123, "st": 1700000000200, "lat": 51.5007, "lon": -0.1246,
//	 "acc": 4.5, "spd": 12.3, "hdg": 271.5, "alt": 18.2, "bat": 0.83,
//	 "seq": 42, "mock": false}
//
// t is when the position was measured and st when it was sent, each in Unix
// milliseconds or as an RFC 3339 string; lat and lon are degrees in WGS 84; acc
// and alt metres; spd metres a second; hdg degrees from true north; bat from 0
// to 1. Only t, lat and lon are required. Unknown names are ignored, seq among
// them: a point is identified by its time and position.
package native

import (
	"fmt"

	"armora/fleet"
	"armora/ingest/format/jsonread"
	"armora/ingest/format/report"
)

var keys = report.Keys{Time: "t", Lat: "lat", Lon: "lon"}

// Parse appends the points of payload to dst. It allocates nothing as long as
// dst has room, and keeps no reference to payload or dst.
//
// A measurement that cannot be true is fleet.Unknown by the rules of package
// report. A required one is an error that names it, and then nothing of the
// message is appended. An empty array is report.ErrNoPosition.
func Parse(dst []fleet.Point, payload []byte) ([]fleet.Point, error) {
	r := jsonread.Open(payload)
	defer r.Close()
	had := len(dst)
	r.Each(func() error {
		p, err := point(r)
		if err == nil {
			dst = append(dst, p)
		}
		return err
	})
	if err := r.End(); err != nil {
		return dst[:had], err
	}
	if len(dst) == had {
		return dst, fmt.Errorf("an empty batch %w", report.ErrNoPosition)
	}
	return dst, nil
}

func point(r *jsonread.Reader) (fleet.Point, error) {
	p := report.New(fleet.FormatJSON)
	r.Begin(jsonread.Object, "a point")
	for r.Member() {
		switch string(r.Name()) {
		case "t":
			p.Fix = r.Time("t", report.Millis)
		case "st":
			p.Sent = report.Sent(r.OptionalTime(report.Millis))
		case "lat":
			p.Lat = r.Float("lat")
		case "lon":
			p.Lon = r.Float("lon")
		case "acc":
			p.Accuracy = report.Accuracy(r.Optional())
		case "spd":
			p.Speed = report.Speed(r.Optional())
		case "hdg":
			p.Heading = report.Heading(r.Optional())
		case "alt":
			p.Altitude = report.Altitude(r.Optional())
		case "bat":
			p.Battery = report.Battery(r.Optional())
		case "mock":
			if r.Bool(false) {
				p.Flags |= fleet.FlagMock
			}
		default:
			r.Skip()
		}
	}
	if err := r.Err(); err != nil {
		return p, err
	}
	return p, report.Check(&p, &keys)
}
