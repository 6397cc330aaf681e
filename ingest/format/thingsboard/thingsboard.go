// Package thingsboard reads telemetry as devices and gateways publish it to
// ThingsBoard on v1/devices/me/telemetry and v1/gateway/telemetry
// (https://thingsboard.io/docs/reference/mqtt-api/telemetry/ and
// https://thingsboard.io/docs/reference/gateway-api/telemetry/).
//
// A device sends key-value pairs, the same with a time, or an array of either:
//
//	{"latitude": 51.5007, "longitude": -0.1246}
//	{"ts": 1451649600512, "values": {"latitude": 51.5007, "longitude": -0.1246}}
//
// and a gateway such arrays by the name of the device:
//
//	{"Device A": [{"ts": 1483228800000, "values": {"latitude": 51.5007, "longitude": -0.1246}}]}
//
// ThingsBoard leaves the keys to its users; those read are latitude or lat,
// longitude, lon or lng, and the ones listed at jsonread.Reader.Property. ts
// counts Unix milliseconds. Telemetry without ts, and without a time among its
// keys, was measured when it was received, as ThingsBoard has it. Telemetry
// without coordinates carries no position.
package thingsboard

import (
	"fmt"

	"armora/fleet"
	"armora/ingest/format/jsonread"
	"armora/ingest/format/report"
)

var keys = report.Keys{Time: "ts", Lat: "latitude", Lon: "longitude"}

// Child is what a gateway tells of one of its devices.
type Child struct {
	Name   string // the device's name at the gateway
	Points []fleet.Point
}

// Parse appends the points of a device's telemetry to dst, and keeps no
// reference to payload or dst. received is the fix time of telemetry that has
// none. A payload without any position is report.ErrNoPosition.
//
// A measurement that cannot be true is fleet.Unknown by the rules of package
// report. A required one is an error that names it, and then nothing of the
// payload is appended.
func Parse(dst []fleet.Point, payload []byte, received fleet.Millis) ([]fleet.Point, error) {
	r := jsonread.Open(payload)
	defer r.Close()
	had := len(dst)
	dst = device(r, dst, received)
	if err := r.End(); err != nil {
		return dst[:had], err
	}
	if len(dst) == had {
		return dst, errNone
	}
	return dst, nil
}

// ParseGateway returns the points of a gateway's telemetry by the name of the
// device, leaving out devices without any. received and the errors are those of
// Parse.
func ParseGateway(payload []byte, received fleet.Millis) ([]Child, error) {
	r := jsonread.Open(payload)
	defer r.Close()
	var children []Child
	r.Begin(jsonread.Object, "gateway telemetry")
	for r.Member() {
		name := string(r.Name())
		points := device(r, nil, received)
		if err := r.Err(); err != nil {
			return nil, fmt.Errorf("device %q: %w", report.Shown(name), err)
		}
		if len(points) > 0 {
			children = append(children, Child{Name: name, Points: points})
		}
	}
	if err := r.End(); err != nil {
		return nil, err
	}
	if len(children) == 0 {
		return nil, errNone
	}
	return children, nil
}

var errNone = fmt.Errorf("telemetry without latitude and longitude %w", report.ErrNoPosition)

// device reads the telemetry of one device. Errors stay with r.
func device(r *jsonread.Reader, dst []fleet.Point, received fleet.Millis) []fleet.Point {
	r.Each(func() error {
		p, err := telemetry(r)
		if err != nil || report.Unlocated(&p) {
			return err
		}
		if !report.HasTime(&p) {
			p.Fix = received
		}
		if err := report.Check(&p, &keys); err != nil {
			return err
		}
		dst = append(dst, p)
		return nil
	})
	return dst
}

// telemetry reads {"key": value, …} or {"ts": …, "values": {…}}. The ts beside
// values is the time, whatever times stand among the values.
func telemetry(r *jsonread.Reader) (fleet.Point, error) {
	p := report.New(fleet.FormatThingsBoard)
	clock := p // takes the time of ts, wherever it stands
	r.Begin(jsonread.Object, "telemetry")
	for r.Member() {
		switch {
		case string(r.Name()) == "ts" && r.Next() != jsonread.Null:
			clock.Fix = r.Time("ts", report.Millis)
		case string(r.Name()) == "values" && r.Next() == jsonread.Object:
			r.Begin(jsonread.Object, "values")
			for r.Member() {
				value(r, &p)
			}
		default:
			value(r, &p)
		}
	}
	if report.HasTime(&clock) {
		p.Fix = clock.Fix
	}
	return p, r.Err()
}

func value(r *jsonread.Reader, p *fleet.Point) {
	if r.Next() == jsonread.Null {
		r.Skip()
		return
	}
	switch string(r.Name()) {
	case "latitude", "lat":
		p.Lat = r.Float("latitude")
	case "longitude", "lon", "lng":
		p.Lon = r.Float("longitude")
	default:
		r.Property(p)
	}
}
