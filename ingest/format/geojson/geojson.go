// Package geojson reads RFC 7946 GeoJSON: a Feature with a Point for its
// geometry, or a FeatureCollection of such.
//
//	{"type": "Feature",
//	 "geometry": {"type": "Point", "coordinates": [-0.1246, 51.5007, 18.2]},
//	 "properties": {"time": "2024-05-01T09:30:00Z", "speed": 12.3, "heading": 271}}
//
// The coordinates are longitude, latitude and, if there is a third, altitude in
// metres (§3.1.1). GeoJSON has no time and no measurements: they are read from
// the properties by the names listed at jsonread.Reader.Property. A Feature
// without a time was measured when it was received. A Feature whose geometry is
// null is "unlocated" (§3.2) and carries no position.
package geojson

import (
	"errors"
	"fmt"

	"armora/fleet"
	"armora/ingest/format/jsonread"
	"armora/ingest/format/report"
)

var keys = report.Keys{Time: "time", Lat: "coordinates[1]", Lon: "coordinates[0]"}

// Parse appends the points of payload to dst, and keeps no reference to payload
// or dst. received is the fix time of a Feature that has none. A payload
// without any position is report.ErrNoPosition.
//
// A measurement that cannot be true is fleet.Unknown by the rules of package
// report. A bad coordinate or time, or a geometry that is no Point, is an error
// that shows it, and then nothing of the payload is appended.
func Parse(dst []fleet.Point, payload []byte, received fleet.Millis) ([]fleet.Point, error) {
	r := jsonread.Open(payload)
	defer r.Close()
	had := len(dst)
	add := func(f *feature) error {
		p, found, err := f.position(received)
		if err == nil && found {
			dst = append(dst, p)
		}
		return err
	}
	if err := read(r, add); err != nil {
		return dst[:had], err
	}
	if len(dst) == had {
		return dst, fmt.Errorf("a payload without located features %w", report.ErrNoPosition)
	}
	return dst, nil
}

// read reads the whole payload, and calls add for each of its Features.
func read(r *jsonread.Reader, add func(*feature) error) error {
	top := feature{point: report.New(fleet.FormatGeoJSON)}
	collected := false
	r.Begin(jsonread.Object, "GeoJSON")
	for r.Member() {
		if string(r.Name()) != "features" {
			top.member(r)
			continue
		}
		if r.Next() != jsonread.Array {
			return errors.New("features is not an array")
		}
		collected = true
		r.Each(func() error {
			f := feature{point: report.New(fleet.FormatGeoJSON)}
			r.Begin(jsonread.Object, "a feature")
			for r.Member() {
				f.member(r)
			}
			if err := r.Err(); err != nil {
				return err
			}
			if f.kind != "Feature" {
				return fmt.Errorf("type %q is not Feature", f.kind)
			}
			return add(&f)
		})
	}
	switch err := r.End(); {
	case err != nil:
		return err
	case top.kind == "FeatureCollection" && collected:
		return nil
	case top.kind == "Feature" && !collected:
		return add(&top)
	}
	return fmt.Errorf("type %q is neither a Feature nor a FeatureCollection with features", top.kind)
}
