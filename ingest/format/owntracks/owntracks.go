// Package owntracks reads what the OwnTracks apps send over MQTT and HTTP, as
// https://owntracks.org/booklet/tech/json/ documents it.
//
// Two of its messages tell where the device is: location, and transition, which
// is sent on entering or leaving a region and holds "the coordinates where the
// event fired". All others (lwt, waypoint, cmd, status…) are understood and
// carry no position. The encrypted form is opened by Decrypt.
//
// Of the keys, tst (Unix seconds of the fix), lat and lon are required; read
// are also created_at (Unix seconds of sending), acc (m), vel (km/h), cog
// (degrees), alt (m) and batt (percent). Numbers may stand in quotes, as the
// Greenwich trackers send them.
package owntracks

import (
	"errors"
	"fmt"

	"armora/fleet"
	"armora/ingest/format/jsonread"
	"armora/ingest/format/report"
)

var keys = report.Keys{Time: "tst", Lat: "lat", Lon: "lon"}

// ErrEncrypted is the error of Parse for a message of type encrypted: Decrypt
// it with the device's key and parse what comes out.
var ErrEncrypted = errors.New("the message is encrypted")

// Parse appends the point of payload to dst, and keeps no reference to payload
// or dst. A message that has no point is report.ErrNoPosition or ErrEncrypted.
//
// A measurement that cannot be true is fleet.Unknown by the rules of package
// report; a required one is an error that names it.
func Parse(dst []fleet.Point, payload []byte) ([]fleet.Point, error) {
	kind, err := messageType(payload)
	if err != nil {
		return dst, err
	}
	switch kind {
	case "location", "transition":
	case "encrypted":
		return dst, ErrEncrypted
	default:
		return dst, fmt.Errorf("a message of type %.20q %w", kind, report.ErrNoPosition)
	}
	p, err := point(payload)
	switch {
	case err != nil:
		return dst, err
	case kind == "transition" && report.Unlocated(&p):
		// The coordinates of a transition are optional: a beacon has none.
		return dst, fmt.Errorf("a transition without coordinates %w", report.ErrNoPosition)
	}
	if err := report.Check(&p, &keys); err != nil {
		return dst, err
	}
	return append(dst, p), nil
}

// messageType finds _type, and checks that payload is one JSON object. It is a
// pass of its own because _type may stand last and the other keys mean other
// things in other messages: a waypoint's lat is no position of the device.
func messageType(payload []byte) (string, error) {
	r := jsonread.Open(payload)
	defer r.Close()
	var kind string
	r.Begin(jsonread.Object, "the message")
	for r.Member() {
		if string(r.Name()) != "_type" {
			r.Skip()
			continue
		}
		switch text := r.Text(); string(text) {
		case "location":
			kind = "location" // without an allocation
		default:
			kind = string(text)
		}
	}
	if err := r.End(); err != nil {
		return "", err
	}
	if kind == "" {
		return "", errors.New("_type is missing")
	}
	return kind, nil
}

func point(payload []byte) (fleet.Point, error) {
	r := jsonread.Open(payload)
	defer r.Close()
	p := report.New(fleet.FormatOwnTracks)
	r.Begin(jsonread.Object, "the message")
	for r.Member() {
		switch string(r.Name()) {
		case "tst":
			p.Fix = r.Time("tst", report.Seconds)
		case "created_at":
			p.Sent = report.Sent(r.OptionalTime(report.Seconds))
		case "lat":
			p.Lat = r.Float("lat")
		case "lon":
			p.Lon = r.Float("lon")
		case "acc":
			p.Accuracy = report.Accuracy(r.Optional())
		case "vel":
			p.Speed = report.Speed(r.Optional() * report.KilometresPerHour)
		case "cog":
			p.Heading = report.Heading(r.Optional())
		case "alt":
			p.Altitude = report.Altitude(r.Optional())
		case "batt":
			p.Battery = report.Battery(r.Optional() * report.Percent)
		default:
			r.Skip()
		}
	}
	return p, r.Err()
}
