// Package flespi reads flespi messages, the flat JSON objects into which the
// flespi gateway turns the protocols of hundreds of trackers
// (https://flespi.com/kb/messages-basic-information-units): one message, or an
// array of them as its streams send.
//
//	{"ident": "352093081452251", "timestamp": 1700000000.123,
//	 "position.latitude": 43.955218, "position.longitude": 37.661918,
//	 "position.altitude": 244, "position.speed": 32, "position.direction": 281,
//	 "position.valid": true, "battery.level": 87}
//
// timestamp counts Unix seconds, with a fraction; position.speed is in km/h,
// position.direction in degrees from north, position.altitude in metres,
// battery.level in percent. timestamp, position.latitude and position.longitude
// make a point. A message without coordinates, or with position.valid false
// (the coordinates are then the last that were known), carries no position.
package flespi

import (
	"errors"
	"fmt"

	"armora/fleet"
	"armora/ingest/format/jsonread"
	"armora/ingest/format/report"
)

var keys = report.Keys{Time: "timestamp", Lat: "position.latitude", Lon: "position.longitude"}

// Child is what a gateway tells of one of its devices.
type Child struct {
	Name   string // the device's ident
	Points []fleet.Point
}

// Parse appends the points of payload, which are all of one device, to dst, and
// keeps no reference to payload or dst. It is an error if messages of several
// idents stand in it: that takes a gateway, and ParseGateway. A payload without
// any position is report.ErrNoPosition.
//
// A measurement that cannot be true is fleet.Unknown by the rules of package
// report. A required one is an error that names it, and then nothing of the
// payload is appended.
func Parse(dst []fleet.Point, payload []byte) ([]fleet.Point, error) {
	r := jsonread.Open(payload)
	defer r.Close()
	had := len(dst)
	var only []byte
	r.Each(func() error {
		m := message{point: report.New(fleet.FormatFlespi)}
		if err := m.read(r); err != nil {
			return err
		}
		if len(only) == 0 {
			only = append(only, m.ident...)
		} else if len(m.ident) > 0 && string(m.ident) != string(only) {
			return fmt.Errorf("ident %q after %q: only a gateway may send for several devices",
				report.Shown(m.ident), report.Shown(only))
		}
		if m.located {
			dst = append(dst, m.point)
		}
		return nil
	})
	if err := r.End(); err != nil {
		return dst[:had], err
	}
	if len(dst) == had {
		return dst, errNone
	}
	return dst, nil
}

// ParseGateway returns the points of payload by their ident, in the order in
// which the idents first stand in it. Every message must have an ident. Its
// errors are those of Parse.
func ParseGateway(payload []byte) ([]Child, error) {
	r := jsonread.Open(payload)
	defer r.Close()
	var children []Child
	index := make(map[string]int)
	r.Each(func() error {
		m := message{point: report.New(fleet.FormatFlespi)}
		if err := m.read(r); err != nil {
			return err
		}
		if len(m.ident) == 0 {
			return errors.New("ident is missing")
		}
		if !m.located {
			return nil
		}
		i, known := index[string(m.ident)]
		if !known {
			i = len(children)
			name := string(m.ident)
			index[name] = i
			children = append(children, Child{Name: name})
		}
		children[i].Points = append(children[i].Points, m.point)
		return nil
	})
	if err := r.End(); err != nil {
		return nil, err
	}
	if len(children) == 0 {
		return nil, errNone
	}
	return children, nil
}

var errNone = fmt.Errorf("a payload without position.latitude and position.longitude %w", report.ErrNoPosition)

// message is what is read of one flespi message.
type message struct {
	ident   []byte // valid until the next message is read
	point   fleet.Point
	located bool
}

func (m *message) read(r *jsonread.Reader) error {
	p := &m.point
	valid := true
	r.Begin(jsonread.Object, "a message")
	for r.Member() {
		if r.Next() == jsonread.Null { // what the device did not report
			r.Skip()
			continue
		}
		switch string(r.Name()) {
		case "ident":
			m.ident = r.Text()
		case "timestamp":
			p.Fix = r.Time("timestamp", report.Seconds)
		case "position.latitude":
			p.Lat = r.Float("position.latitude")
		case "position.longitude":
			p.Lon = r.Float("position.longitude")
		case "position.altitude":
			p.Altitude = report.Altitude(r.Optional())
		case "position.speed":
			p.Speed = report.Speed(r.Optional() * report.KilometresPerHour)
		case "position.direction":
			p.Heading = report.Heading(r.Optional())
		case "position.valid":
			valid = r.Bool(true)
		case "battery.level":
			p.Battery = report.Battery(r.Optional() * report.Percent)
		default:
			r.Skip()
		}
	}
	if r.Err() != nil {
		return r.Err()
	}
	if !valid || report.Unlocated(p) {
		return nil
	}
	m.located = true
	return report.Check(p, &keys)
}
