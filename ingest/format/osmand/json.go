package osmand

import (
	"fmt"

	"armora/fleet"
	"armora/ingest/format/jsonread"
	"armora/ingest/format/report"
)

var jsonKeys = report.Keys{Time: "location.timestamp", Lat: "location.coords.latitude", Lon: "location.coords.longitude"}

// ParseJSON appends the point of the JSON body of Traccar Client to dst, and
// keeps no reference to body or dst:
//
//	{"location": {"timestamp": "2025-06-15T13:45:12.862Z",
//	   "coords": {"latitude": 37.42, "longitude": -122.08, "accuracy": 5,
//	              "speed": 0, "heading": -1, "altitude": 5},
//	   "battery": {"level": 1, "is_charging": false}, "mock": false},
//	 "device_id": "48241179"}
//
// Other than in the form, speed is in m/s and the battery's level a share of 1.
// location may be an array of such, which is what the location library under
// the app sends in batch mode. received and the errors are those of ParseForm.
func ParseJSON(dst []fleet.Point, body []byte, received fleet.Millis) ([]fleet.Point, error) {
	r := jsonread.Open(body)
	defer r.Close()
	had := len(dst)
	r.Begin(jsonread.Object, "the body")
	for r.Member() {
		if string(r.Name()) != "location" || r.Next() == jsonread.Null {
			r.Skip()
			continue
		}
		r.Each(func() error {
			p, err := location(r)
			if err != nil || report.Unlocated(&p) {
				return err
			}
			if !report.HasTime(&p) {
				p.Fix = received
			}
			if err := report.Check(&p, &jsonKeys); err != nil {
				return err
			}
			dst = append(dst, p)
			return nil
		})
	}
	if err := r.End(); err != nil {
		return dst[:had], err
	}
	if len(dst) == had {
		return dst, fmt.Errorf("a body without location.coords %w", report.ErrNoPosition)
	}
	return dst, nil
}

func location(r *jsonread.Reader) (fleet.Point, error) {
	p := report.New(fleet.FormatOsmAnd)
	r.Begin(jsonread.Object, "location")
	for r.Member() {
		name := string(r.Name())
		switch {
		case name == "timestamp" && r.Next() != jsonread.Null:
			p.Fix = r.Time(jsonKeys.Time, report.SecondsOrMillis)
		case name == "coords" && r.Next() == jsonread.Object:
			coords(r, &p)
		case name == "battery" && r.Next() == jsonread.Object:
			battery(r, &p)
		case name == "mock":
			if r.Bool(false) {
				p.Flags |= fleet.FlagMock
			}
		default:
			r.Skip()
		}
	}
	return p, r.Err()
}

func coords(r *jsonread.Reader, p *fleet.Point) {
	r.Begin(jsonread.Object, "coords")
	for r.Member() {
		switch string(r.Name()) {
		case "latitude":
			p.Lat = r.Float(jsonKeys.Lat)
		case "longitude":
			p.Lon = r.Float(jsonKeys.Lon)
		case "accuracy":
			p.Accuracy = report.Accuracy(r.Optional())
		case "speed":
			p.Speed = report.Speed(r.Optional())
		case "heading":
			p.Heading = report.Heading(r.Optional())
		case "altitude":
			p.Altitude = report.Altitude(r.Optional())
		default:
			r.Skip()
		}
	}
}

func battery(r *jsonread.Reader, p *fleet.Point) {
	r.Begin(jsonread.Object, "battery")
	for r.Member() {
		if string(r.Name()) == "level" {
			p.Battery = report.Battery(r.Optional())
		} else {
			r.Skip()
		}
	}
}
