package geojson_test

import (
	"strings"
	"testing"

	"armora/fleet"
	"armora/ingest/format/formattest"
	"armora/ingest/format/geojson"
	"armora/ingest/format/report"
)

const received fleet.Millis = 1700000000000

func parse(dst []fleet.Point, payload []byte) ([]fleet.Point, error) {
	return geojson.Parse(dst, payload, received)
}

// The Point of RFC 7946 appendix A.1, and the FeatureCollection of §1.5 with
// its line and area.
const (
	rfcPoint   = `{"type": "Point", "coordinates": [100.0, 0.0]}`
	rfcFeature = `{"type": "Feature", "geometry": {"type": "Point", "coordinates": [102.0, 0.5]}, "properties": {"prop0": "value0"}}`
	rfcMixed   = `{"type": "FeatureCollection", "features": [` + rfcFeature + `, {"type": "Feature", "geometry": {"type": "LineString",
		"coordinates": [[102.0, 0.0], [103.0, 1.0], [104.0, 0.0], [105.0, 1.0]]}, "properties": {"prop0": "value0", "prop1": 0.0}}, {"type": "Feature", "geometry": {"type": "Polygon", "coordinates":
		[[[100.0, 0.0], [101.0, 0.0], [101.0, 1.0], [100.0, 1.0], [100.0, 0.0]]]}, "properties": {"prop0": "value0", "prop1": {"this": "that"}}}]}`
)

// A Feature with the properties that apps which record locations give it; no
// standard names them.
const recorded = `{"type": "Feature", "geometry": {"type": "Point", "coordinates": [-122.030581, 37.331800]},
	"properties": {"timestamp": "2015-10-01T08:00:00-07:00", "altitude": 0, "speed": 4, "horizontal_accuracy": 30,
	"vertical_accuracy": -1, "motion": ["driving","stationary"], "pauses": false, "activity": "other_navigation",
	"battery_state": "charging", "battery_level": 0.89, "wifi": ""}}`

func point(t fleet.Millis, lat, lon float64) fleet.Point {
	p := fleet.NewPoint(t, lat, lon)
	p.Format = fleet.FormatGeoJSON
	return p
}

func TestParse(t *testing.T) {
	t.Parallel()
	full := point(1443711600000, 37.3318, -122.030581)
	full.Altitude, full.Speed, full.Accuracy, full.Battery = 0, 4, 30, 0.89
	high := point(1714555800000, 51.5, -0.125)
	high.Altitude, high.Heading = 18.25, 271
	feature := func(geometry, properties string) string {
		return `{"type":"Feature","geometry":` + geometry + `,"properties":` + properties + `}`
	}
	const at = `{"type":"Point","coordinates":[-0.125,51.5]}`
	bare := point(received, 51.5, -0.125)
	formattest.Run(t, parse, []formattest.Case{
		{Name: "RFC 7946 feature", In: rfcFeature, Want: []fleet.Point{point(received, 0.5, 102)}},
		{Name: "recorded", In: recorded, Want: []fleet.Point{full}},
		{Name: "altitude and time", In: feature(`{"coordinates":[-0.125,51.5,18.25,7],"type":"Point","bbox":[1]}`,
			`{"time":"2024-05-01T09:30:00Z","heading":271,"altitude":5}`), Want: []fleet.Point{high}},
		{Name: "type last", In: `{"properties":{"t":1714555800},"id":7,"geometry":` + at + `,"bbox":[1,2,3,4],"type":"Feature"}`,
			Want: []fleet.Point{point(1714555800000, 51.5, -0.125)}},
		{Name: "milliseconds", In: feature(at, `{"timestamp":1714555800123}`), Want: []fleet.Point{point(1714555800123, 51.5, -0.125)}},
		{Name: "coordinates are not in the properties", In: feature(at, `{"lat":1,"latitude":"x","lon":2}`), Want: []fleet.Point{bare}},
		{Name: "no properties", In: feature(at, `null`), Want: []fleet.Point{bare}},
		{Name: "collection", In: `{"features":[` + recorded + `,` + feature(`null`, `{}`) + `,` + rfcFeature + `],"type":"FeatureCollection"}`,
			Want: []fleet.Point{full, point(received, 0.5, 102)}},
		{Name: "bad measurements are unknown", In: feature(at, `{"speed":"x","heading":9999,"battery":101,"acc":[1],"alt":null,"mock":0}`), Want: []fleet.Point{bare}},
		{Name: "unlocated", In: feature(`null`, `{}`), NoPosition: true},
		{Name: "empty collection", In: `{"type":"FeatureCollection","features":[]}`, NoPosition: true},

		{Name: "bare geometry", In: rfcPoint, Err: []string{`type "Point" is neither`}},
		{Name: "line", In: rfcMixed, Err: []string{"record 1", `geometry of type "LineString" is not a Point`}},
		{Name: "line called a point", In: feature(`{"type":"Point","coordinates":[[1,2],[3,4]]}`, `{}`), Err: []string{"coordinates of a Point"}},
		{Name: "one coordinate", In: feature(`{"type":"Point","coordinates":[1]}`, `{}`), Err: []string{"not 1 numbers"}},
		{Name: "coordinates are text", In: feature(`{"type":"Point","coordinates":["a",2]}`, `{}`), Err: []string{`coordinates: "a"`}},
		{Name: "latitude first", In: feature(`{"type":"Point","coordinates":[51.5,-122]}`, `{}`), Err: []string{"lat -122"}},
		{Name: "bad time", In: feature(at, `{"time":"noon"}`), Err: []string{`time: "noon"`}},
		{Name: "collection without features", In: `{"type":"FeatureCollection"}`, Err: []string{"FeatureCollection with features"}},
		{Name: "features of a feature", In: `{"type":"Feature","features":[` + rfcFeature + `]}`, Err: []string{`type "Feature"`}},
		{Name: "features is an object", In: `{"type":"FeatureCollection","features":{}}`, Err: []string{"features is not an array"}},
		{Name: "not a feature inside", In: `{"type":"FeatureCollection","features":[` + rfcPoint + `]}`, Err: []string{"record 0", `type "Point" is not Feature`}},
		{Name: "long type", In: `{"type":"` + strings.Repeat("x", 900) + `"}`, Err: []string{"…"}},
		{Name: "cut short", In: recorded[:90], Err: []string{"invalid JSON"}},
		{Name: "too many", In: `{"type":"FeatureCollection","features":[` + strings.Repeat(rfcFeature+",", report.MaxPoints) + rfcFeature + `]}`,
			Err: []string{"more than 10000"}},
	})
}

func FuzzParse(f *testing.F) {
	formattest.Fuzz(f, parse, rfcPoint, rfcFeature, rfcMixed, recorded, `{"type":"FeatureCollection","features":[`+recorded+`]}`)
}

func BenchmarkParse(b *testing.B) { formattest.Bench(b, parse, []byte(recorded)) }
