package osmand_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"armora/fleet"
	"armora/ingest/format/formattest"
	"armora/ingest/format/osmand"
	"armora/ingest/format/report"
)

const received fleet.Millis = 1700000000000

// form reads a payload as what stands after the question mark of the URL.
func form(dst []fleet.Point, payload []byte) ([]fleet.Point, error) {
	values, err := url.ParseQuery(string(payload))
	if err != nil {
		return dst, errors.New("not a query")
	}
	return osmand.ParseForm(dst, values, received)
}

func body(dst []fleet.Point, payload []byte) ([]fleet.Point, error) {
	return osmand.ParseJSON(dst, payload, received)
}

func point(t fleet.Millis, lat, lon float64, change func(*fleet.Point)) []fleet.Point {
	p := fleet.NewPoint(t, lat, lon)
	p.Format = fleet.FormatOsmAnd
	if change != nil {
		change(&p)
	}
	return []fleet.Point{p}
}

// The requests of Traccar's own tests of its OsmAnd decoder
// (https://github.com/traccar/traccar, OsmAndProtocolDecoderTest.java), whose
// parameters https://www.traccar.org/osmand/ documents.
func TestParseForm(t *testing.T) {
	t.Parallel()
	still := func(p *fleet.Point) { p.Speed, p.Altitude = 0, 224 }
	formattest.Run(t, form, []formattest.Case{
		{Name: "RFC 3339", In: "id=902064&lat=42.06288&lon=-88.23412&timestamp=2016-01-27T18%3A55%3A47Z&hdop=6.0&altitude=224.0&speed=0.0",
			Want: point(1453920947000, 42.06288, -88.23412, still)},
		{Name: "milliseconds", In: "id=902064&lat=42.06288&lon=-88.23412&timestamp=1442068686579&hdop=6.0&altitude=224.0&speed=0.0",
			Want: point(1442068686579, 42.06288, -88.23412, still)},
		{Name: "date and time", In: "lat=49.60688&lon=6.15788&timestamp=2014-06-04+09%3A10%3A11&altitude=384.7&speed=0.0&id=353861053849681",
			Want: point(1401873011000, 49.60688, 6.15788, func(p *fleet.Point) { p.Speed, p.Altitude = 0, 384.7 })},
		{Name: "seconds", In: "id=123456&timestamp=1377177267&lat=60.0&lon=30.0&speed=0.0&bearing=0.0&altitude=0&hdop=0.0",
			Want: point(1377177267000, 60, 30, func(p *fleet.Point) { p.Speed, p.Heading, p.Altitude = 0, 0, 0 })},
		{Name: "position only", In: "id=123456&timestamp=1377177267&lat=60.0&lon=30.0", Want: point(1377177267000, 60, 30, nil)},
		{Name: "no time", In: "lat=60.0&lon=30.0&speed=0.0&heading=0.0&vacc=0&hacc=0&altitude=0&deviceid=123456",
			Want: point(received, 60, 30, func(p *fleet.Point) { p.Speed, p.Heading, p.Altitude = 0, 0, 0 })},
		{Name: "battery", In: "id=861001000719969&lat=41.666667&lon=-0.883333&altitude=350.059479&speed=0.000000&batt=87",
			Want: point(received, 41.666667, -0.883333, func(p *fleet.Point) { p.Speed, p.Altitude, p.Battery = 0, 350.059479, 0.87 })},
		{Name: "location", In: "id=123456&timestamp=1377177267&location=60.0,30.0", Want: point(1377177267000, 60, 30, nil)},
		{Name: "40 knots", In: "id=123456789012345&timestamp=1504763810&lat=40.7232948571&lon=-74.0061408571&bearing=7.19889788244&speed=40&ignition=true&rpm=933&fuel=24",
			Want: point(1504763810000, 40.7232948571, -74.0061408571, func(p *fleet.Point) {
				p.Speed, p.Heading = 40*1852.0/3600, 7.19889788244
			})},
		{Name: "mock", In: "lat=1&lon=2&timestamp=5&accuracy=3.5&mock=true",
			Want: point(5000, 1, 2, func(p *fleet.Point) { p.Accuracy, p.Flags = 3.5, fleet.FlagMock })},
		{Name: "bad measurements are unknown", In: "lat=1&lon=2&timestamp=5&accuracy=-1&speed=inf&bearing=-1&altitude=0x10&batt=200&valid=1",
			Want: point(5000, 1, 2, nil)},
		{Name: "cell towers", In: "id=123456&timestamp=1377177267&cell=257,02,16,2224&cell=257,02,16,2223,-90&wifi=00-14-22-01-23-45,-80&wifi=00-1C-B3-09-85-15,-70", NoPosition: true},
		{Name: "not valid", In: "lat=1&lon=2&timestamp=5&valid=False", NoPosition: true},
		{Name: "empty", In: "", NoPosition: true},

		{Name: "half a position", In: "lat=1&timestamp=5", Err: []string{"lon is missing"}},
		{Name: "half a location", In: "location=60", Err: []string{`location: "60"`}},
		{Name: "lat is text", In: "lat=N51&lon=2", Err: []string{`lat: "N51"`}},
		{Name: "lon out of range", In: "lat=1&lon=200", Err: []string{"lon 200"}},
		{Name: "bad time", In: "lat=1&lon=2&timestamp=noon", Err: []string{`timestamp: "noon"`}},
		{Name: "time out of range", In: "lat=1&lon=2&timestamp=1e30", Err: []string{"timestamp"}},
		{Name: "long value", In: "lat=" + strings.Repeat("9", 4000) + "&lon=2", Err: []string{"lat", "…"}},
	})
}

// The bodies of the same tests; the first is the shape that
// https://www.traccar.org/osmand/ documents.
const (
	client = `{"location":{"timestamp":"2025-06-15T13:45:12.862Z","coords":{"latitude":37.4219983,"longitude":-122.084,"accuracy":5,"speed":0,"heading":-1,"altitude":5},"is_moving":false,"odometer":0,"event":"motionchange","battery":{"level":1,"is_charging":false},"activity":{"type":"still"},"extras":{},"_":"&id=48241179&lat=37.4219983&lon=-122.084&timestamp=2025-06-15T13:45:12.862Z&"},"device_id":"48241179"}`
	mock   = `{"location":{"extras":{},"mock":true,"coords":{"speed_accuracy":-1,"speed":-1,"longitude":-122.406417,"ellipsoidal_altitude":0,"floor":null,"heading_accuracy":-1,"latitude":37.785834000000001,"accuracy":5,"altitude_accuracy":-1,"altitude":0,"heading":-1},"is_moving":false,"age":188,"odometer":0,"uuid":"2FB04C65-99CF-42AB-8DD3-EBCB4B108BF8","event":"motionchange","battery":{"level":-1,"is_charging":false},"activity":{"type":"unknown","confidence":100},"timestamp":"2025-05-09T04:11:30.579Z"},"device_id":"658765"}`
	moving = `{"location":{"event":"motionchange","is_moving":false,"uuid":"0e9a2473-a9a7-4c00-997b-fb97d2154e75","timestamp":"2021-07-21T08:06:34.444Z","odometer":0,"coords":{"latitude":-6.1148096,"longitude":106.6837015,"accuracy":3.8,"speed":18.67,"speed_accuracy":0.26,"heading":63,"heading_accuracy":0.28,"altitude":35.7,"altitude_accuracy":3.8},"activity":{"type":"still","confidence":100},"battery":{"is_charging":false,"level":0.79},"extras":{}},"device_id":"8737767034"}`
)

func TestParseJSON(t *testing.T) {
	t.Parallel()
	movingPoint := point(1626854794444, -6.1148096, 106.6837015, func(p *fleet.Point) {
		p.Accuracy, p.Speed, p.Heading, p.Altitude, p.Battery = 3.8, 18.67, 63, 35.7, 0.79
	})
	formattest.Run(t, body, []formattest.Case{
		{Name: "documented", In: client, Want: point(1749995112862, 37.4219983, -122.084, func(p *fleet.Point) {
			p.Accuracy, p.Speed, p.Altitude, p.Battery = 5, 0, 5, 1
		})},
		{Name: "mock", In: mock, Want: point(1746763890579, 37.785834, -122.406417, func(p *fleet.Point) {
			p.Accuracy, p.Altitude, p.Flags = 5, 0, fleet.FlagMock
		})},
		{Name: "moving", In: moving, Want: movingPoint},
		{Name: "batch", In: `{"location":[` + moving[len(`{"location":`):strings.LastIndex(moving, `,"device_id"`)] + `,{"event":"providerchange"}]}`, Want: movingPoint},
		{Name: "no time", In: `{"location":{"coords":{"latitude":1,"longitude":2}}}`, Want: point(received, 1, 2, nil)},
		{Name: "null time", In: `{"location":{"timestamp":null,"coords":{"latitude":1,"longitude":2}}}`, Want: point(received, 1, 2, nil)},
		{Name: "no coordinates", In: `{"location":{"event":"heartbeat"},"device_id":"1"}`, NoPosition: true},
		{Name: "no location", In: `{"device_id":"1"}`, NoPosition: true},
		{Name: "null location", In: `{"location":null}`, NoPosition: true},

		{Name: "half a position", In: `{"location":{"coords":{"latitude":1}}}`, Err: []string{"location.coords.longitude is missing"}},
		{Name: "null latitude", In: `{"location":{"coords":{"latitude":null,"longitude":2}}}`, Err: []string{"location.coords.latitude: null"}},
		{Name: "latitude out of range", In: `{"location":{"coords":{"latitude":91,"longitude":2}}}`, Err: []string{"lat 91"}},
		{Name: "bad time", In: `{"location":{"timestamp":"noon","coords":{"latitude":1,"longitude":2}}}`, Err: []string{`location.timestamp: "noon"`}},
		{Name: "array", In: `[` + client + `]`, Err: []string{"the body is an array"}},
		{Name: "cut short", In: client[:100], Err: []string{"invalid JSON"}},
		{Name: "more follows", In: client + "1", Err: []string{"more follows"}},
		{Name: "too many", In: `{"location":[` + strings.Repeat("{},", report.MaxPoints) + `{}]}`, Err: []string{"more than 10000"}},
	})
}

func FuzzParseForm(f *testing.F) {
	formattest.Fuzz(f, form, "id=1&lat=1&lon=2&timestamp=5&speed=1&bearing=9&batt=3", "location=1,2&timestamp=2014-06-04+09:10:11",
		"lat=1&lon=2&timestamp=2016-01-27T18:55:47Z&valid=0", "lat=%ff&lon=1", "timestamp=-1e400&lat=1&lon=1")
}

func FuzzParseJSON(f *testing.F) { formattest.Fuzz(f, body, client, mock, moving) }

func BenchmarkParse(b *testing.B) {
	b.Run("form", func(b *testing.B) {
		values, err := url.ParseQuery("id=1&timestamp=1504763810&lat=40.7232948571&lon=-74.0061408571&bearing=7.19&speed=40&batt=87&altitude=3")
		if err != nil {
			b.Fatal(err)
		}
		formattest.Bench(b, func(dst []fleet.Point, _ []byte) ([]fleet.Point, error) {
			return osmand.ParseForm(dst, values, received)
		}, nil)
	})
	b.Run("JSON", func(b *testing.B) { formattest.Bench(b, body, []byte(moving)) })
}
