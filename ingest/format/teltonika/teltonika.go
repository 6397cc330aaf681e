// Package teltonika reads Codec JSON, which Teltonika's trackers publish on the
// MQTT topic {imei}/data (https://wiki.teltonika-gps.com/view/Codec_JSON). A
// message is one AVL record, or an array of them, in the shape of an AWS IoT
// device shadow:
//
//	{"state": {"reported": {"ts": 1698922776030, "pr": 1,
//	 "latlng": "54.667601,25.256291", "alt": 138, "ang": 214, "sat": 12,
//	 "sp": 43, "evt": 250, "239": 1, "113": 100}}}
//
// ts is the time of the record in Unix milliseconds, latlng the position in
// degrees, alt metres, ang degrees from north, sp km/h. Numbered keys are the
// AVL ids of the inputs and outputs, of which 113, the battery's charge in
// percent, is read. Numbers may stand in quotes. ts and latlng are required.
//
// A tracker without a fix sends "0.000000,0.000000": that is a point, for the
// verdict to judge. A message without state is the answer to a command and
// carries no position.
package teltonika

import (
	"bytes"
	"errors"
	"fmt"

	"armora/fleet"
	"armora/ingest/format/jsonread"
	"armora/ingest/format/report"
)

var keys = report.Keys{Time: "ts", Lat: "latlng", Lon: "latlng"}

// Parse appends the points of payload to dst, and keeps no reference to payload
// or dst. A message without records is report.ErrNoPosition.
//
// A measurement that cannot be true is fleet.Unknown by the rules of package
// report. A required one is an error that names it, and then nothing of the
// message is appended.
func Parse(dst []fleet.Point, payload []byte) ([]fleet.Point, error) {
	r := jsonread.Open(payload)
	defer r.Close()
	had := len(dst)
	r.Each(func() error {
		p, found, err := record(r)
		if err == nil && found {
			dst = append(dst, p)
		}
		return err
	})
	if err := r.End(); err != nil {
		return dst[:had], err
	}
	if len(dst) == had {
		return dst, fmt.Errorf("a message without state.reported %w", report.ErrNoPosition)
	}
	return dst, nil
}

// record reads {"state": {"reported": {…}}}.
func record(r *jsonread.Reader) (p fleet.Point, found bool, err error) {
	p = report.New(fleet.FormatTeltonika)
	r.Begin(jsonread.Object, "a record")
	for r.Member() {
		if string(r.Name()) != "state" {
			r.Skip()
			continue
		}
		r.Begin(jsonread.Object, "state")
		for r.Member() {
			if string(r.Name()) != "reported" {
				r.Skip()
				continue
			}
			found = true
			reported(r, &p)
		}
	}
	if r.Err() != nil || !found {
		return p, found, r.Err()
	}
	return p, true, report.Check(&p, &keys)
}

func reported(r *jsonread.Reader, p *fleet.Point) {
	r.Begin(jsonread.Object, "state.reported")
	for r.Member() {
		switch string(r.Name()) {
		case "ts":
			p.Fix = r.Time("ts", report.Millis)
		case "latlng":
			latlng(r, p)
		case "alt":
			p.Altitude = report.Altitude(r.Optional())
		case "ang":
			p.Heading = report.Heading(r.Optional())
		case "sp":
			p.Speed = report.Speed(r.Optional() * report.KilometresPerHour)
		case "113": // AVL id "Battery Level", percent
			p.Battery = report.Battery(r.Optional() * report.Percent)
		default:
			r.Skip()
		}
	}
}

func latlng(r *jsonread.Reader, p *fleet.Point) {
	text := r.Text()
	if r.Err() != nil {
		return
	}
	if text == nil {
		r.Fail(errors.New("latlng is not a string"))
		return
	}
	first, second, two := bytes.Cut(text, []byte(","))
	lat, ok1 := report.ParseNumber(bytes.TrimSpace(first))
	lon, ok2 := report.ParseNumber(bytes.TrimSpace(second))
	if !two || !ok1 || !ok2 {
		r.Fail(fmt.Errorf("latlng: %q is not a latitude and a longitude with a comma between", report.Shown(text)))
		return
	}
	p.Lat, p.Lon = lat, lon
}
