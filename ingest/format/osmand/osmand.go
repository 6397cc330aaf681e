// Package osmand reads positions as the OsmAnd app and the Traccar Client send
// them over HTTP, in both forms that https://www.traccar.org/osmand/ documents:
// query or form parameters, and the JSON body of Traccar Client 9 and later.
//
// Who sends, id and device_id, is no matter of this package.
package osmand

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"armora/fleet"
	"armora/ingest/format/report"
)

var keys = report.Keys{Time: "timestamp", Lat: "lat", Lon: "lon"}

// ParseForm appends the point of the parameters of a request to dst. It reads
//
//	timestamp            Unix seconds or milliseconds, RFC 3339, or "2006-01-02 15:04:05" in UTC
//	lat, lon             degrees
//	location             "lat,lon", in place of the two
//	valid                false or 0: the receiver had no fix
//	speed                knots
//	bearing or heading   degrees from north
//	altitude, accuracy   metres
//	batt                 percent
//	mock                 true or 1
//
// of which lat and lon are required, and the first value of each counts. The
// unit of speed is what Traccar's own decoder takes it for. received is the
// fix time of a request without timestamp, as with Traccar. A request without
// coordinates (cell towers only), or with valid false, is report.ErrNoPosition.
//
// A measurement that cannot be true is fleet.Unknown by the rules of package
// report; a required one is an error that names it and shows the value.
func ParseForm(dst []fleet.Point, form url.Values, received fleet.Millis) ([]fleet.Point, error) {
	p := report.New(fleet.FormatOsmAnd)
	if err := position(&p, form); err != nil {
		return dst, err
	}
	if valid := form.Get("valid"); valid == "0" || strings.EqualFold(valid, "false") {
		return dst, fmt.Errorf("a request with valid=%s %w", report.Shown(valid), report.ErrNoPosition)
	}
	if report.Unlocated(&p) {
		return dst, fmt.Errorf("a request without lat and lon %w", report.ErrNoPosition)
	}
	p.Fix = received
	if text := form.Get("timestamp"); text != "" {
		fix, ok := parseTime(text)
		if !ok {
			return dst, fmt.Errorf("timestamp: %q is neither a Unix time nor an RFC 3339 time", report.Shown(text))
		}
		p.Fix = fix
	}
	measurements(&p, form)
	if err := report.Check(&p, &keys); err != nil {
		return dst, err
	}
	return append(dst, p), nil
}

func position(p *fleet.Point, form url.Values) (err error) {
	lat, lon := form.Get("lat"), form.Get("lon")
	if location := form.Get("location"); location != "" {
		var two bool
		if lat, lon, two = strings.Cut(location, ","); !two {
			return fmt.Errorf("location: %q is not a latitude and a longitude with a comma between", report.Shown(location))
		}
	}
	if lat != "" {
		if p.Lat, err = required("lat", lat); err != nil {
			return err
		}
	}
	if lon != "" {
		p.Lon, err = required("lon", lon)
	}
	return err
}

func required(key, text string) (float64, error) {
	v, ok := report.ParseNumber([]byte(strings.TrimSpace(text)))
	if !ok {
		return v, fmt.Errorf("%s: %q is not a number", key, report.Shown(text))
	}
	return v, nil
}

func measurements(p *fleet.Point, form url.Values) {
	number := func(key string) float64 {
		v, _ := report.ParseNumber([]byte(form.Get(key)))
		return v
	}
	p.Speed = report.Speed(number("speed") * report.Knot)
	p.Heading = report.Heading(number("bearing"))
	if !form.Has("bearing") {
		p.Heading = report.Heading(number("heading"))
	}
	p.Altitude = report.Altitude(number("altitude"))
	p.Accuracy = report.Accuracy(number("accuracy"))
	p.Battery = report.Battery(number("batt") * report.Percent)
	if mock := form.Get("mock"); mock == "1" || strings.EqualFold(mock, "true") {
		p.Flags |= fleet.FlagMock
	}
}

func parseTime(text string) (fleet.Millis, bool) {
	if v, ok := report.ParseNumber([]byte(text)); ok {
		return report.Moment(v, report.SecondsOrMillis)
	}
	if m, ok := report.ParseTime([]byte(text)); ok {
		return m, true
	}
	t, err := time.Parse(time.DateTime, text)
	return fleet.MillisOf(t), err == nil
}
