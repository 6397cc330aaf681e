package thingsboard_test

import (
	"errors"
	"strings"
	"testing"

	"armora/fleet"
	"armora/ingest/format/formattest"
	"armora/ingest/format/report"
	"armora/ingest/format/thingsboard"
)

const received fleet.Millis = 1700000000000

func parse(dst []fleet.Point, payload []byte) ([]fleet.Point, error) {
	return thingsboard.Parse(dst, payload, received)
}

// The shapes are those of https://thingsboard.io/docs/reference/mqtt-api/telemetry/
// and https://thingsboard.io/docs/reference/gateway-api/telemetry/, which leave
// the keys to the user; the first of each pair is the page's own example.
const (
	pairs        = `{"temperature": 22.5, "humidity": 61}`
	pairsAt      = `{"latitude": 51.5, "longitude": -0.125, "temperature": 22.5}`
	stamped      = `{"ts": 1451649600512, "values": {"temperature": 22.5, "humidity": 61}}`
	stampedAt    = `{"ts": 1451649600512, "values": {"latitude": 51.5, "longitude": -0.125, "speed": 12.5, "battery": 83}}`
	array        = `[{"ts": 1451649600000, "values": {"temperature": 22.5, "humidity": 61}}, {"ts": 1451649601000, "values": {"temperature": 22.7, "humidity": 60}}]`
	arrayAt      = `[{"ts": 1451649600000, "values": {"lat": 51.5, "lon": -0.125}}, {"ts": 1451649601000, "values": {"lat": 52, "lng": -1}}]`
	older        = `[{"key1":"value1"}, {"key2":true}]`
	gatewayPlain = `{"Device A": [{"ts": 1483228800000, "values": {"temperature": 42, "humidity": 80}}, {"ts": 1483228801000, "values": {"temperature": 43, "humidity": 82}}], "Device B": [{"ts": 1483228800000, "values": {"temperature": 42, "humidity": 80}}]}`
	gatewayAt    = `{"Device A": [{"ts": 1483228800000, "values": {"latitude": 51.5, "longitude": -0.125}}, {"ts": 1483228801000, "values": {"latitude": 52, "longitude": -1}}], "Device B": [{"latitude": 1, "longitude": 2}], "Device C": [{"ts": 1483228800000, "values": {"temperature": 42}}]}`
)

func point(t fleet.Millis, lat, lon float64) fleet.Point {
	p := fleet.NewPoint(t, lat, lon)
	p.Format = fleet.FormatThingsBoard
	return p
}

func TestParse(t *testing.T) {
	t.Parallel()
	measured := point(1451649600512, 51.5, -0.125)
	measured.Speed, measured.Battery = 12.5, 0.83
	formattest.Run(t, parse, []formattest.Case{
		{Name: "pairs", In: pairsAt, Want: []fleet.Point{point(received, 51.5, -0.125)}},
		{Name: "with a time", In: stampedAt, Want: []fleet.Point{measured}},
		{Name: "time behind the values", In: `{"values":{"lat":1,"lon":2,"time":"2001-01-01T00:00:00Z"},"ts":5}`, Want: []fleet.Point{point(5, 1, 2)}},
		{Name: "time among the values", In: `{"lat":1,"lon":2,"time":"2001-01-01T00:00:00Z"}`, Want: []fleet.Point{point(978307200000, 1, 2)}},
		{Name: "array", In: arrayAt, Want: []fleet.Point{point(1451649600000, 51.5, -0.125), point(1451649601000, 52, -1)}},
		{Name: "array with and without", In: `[` + pairs + `,` + pairsAt + `]`, Want: []fleet.Point{point(received, 51.5, -0.125)}},
		{Name: "values is a key like any other", In: `{"values":3,"lat":1,"lon":2}`, Want: []fleet.Point{point(received, 1, 2)}},
		{Name: "null is absent", In: `{"ts":null,"lat":1,"lon":2,"time":null,"speed":null}`, Want: []fleet.Point{point(received, 1, 2)}},
		{Name: "bad measurements are unknown", In: `{"lat":1,"lon":2,"speed":"fast","battery":-4,"heading":-1,"accuracy":-1}`, Want: []fleet.Point{point(received, 1, 2)}},
		{Name: "documented pairs", In: pairs, NoPosition: true},
		{Name: "documented with a time", In: stamped, NoPosition: true},
		{Name: "documented array", In: array, NoPosition: true},
		{Name: "older array", In: older, NoPosition: true},
		{Name: "empty", In: `{}`, NoPosition: true},

		{Name: "half a position", In: `{"latitude":1}`, Err: []string{"longitude is missing"}},
		{Name: "latitude is text", In: `{"latitude":"x","longitude":2}`, Err: []string{`latitude: "x"`}},
		{Name: "latitude out of range", In: `{"latitude":-91,"longitude":2}`, Err: []string{"lat -91"}},
		{Name: "bad time", In: `{"ts":"soon","values":{"lat":1,"lon":2}}`, Err: []string{`ts: "soon"`}},
		{Name: "gateway's on the device's topic", In: gatewayAt, NoPosition: true},
		{Name: "number", In: `5`, Err: []string{"telemetry is a number"}},
		{Name: "one bad of two", In: `[` + pairsAt + `,{"lat":1}]`, Err: []string{"record 1"}},
		{Name: "too many", In: `[` + strings.Repeat(`{},`, report.MaxPoints) + `{}]`, Err: []string{"more than 10000"}},
	})
}

func TestParseGateway(t *testing.T) {
	t.Parallel()
	children, err := thingsboard.ParseGateway([]byte(gatewayAt), received)
	if err != nil {
		t.Fatal(err)
	}
	if len(children) != 2 || children[0].Name != "Device A" || children[1].Name != "Device B" {
		t.Fatalf("children %+v, want Device A and Device B", children)
	}
	formattest.Equal(t, children[0].Points, []fleet.Point{point(1483228800000, 51.5, -0.125), point(1483228801000, 52, -1)})
	formattest.Equal(t, children[1].Points, []fleet.Point{point(received, 1, 2)})
}

func TestParseGatewayErrors(t *testing.T) {
	t.Parallel()
	for _, in := range []string{gatewayPlain, `{}`, `{"Device A":[]}`} {
		if _, err := thingsboard.ParseGateway([]byte(in), received); !errors.Is(err, report.ErrNoPosition) {
			t.Errorf("%s: %v, want ErrNoPosition", in, err)
		}
	}
	many := strings.TrimSuffix(strings.Repeat(`{},`, report.MaxPoints/2+1), ",")
	for in, want := range map[string]string{
		`{"Device A":[{"lat":1,"lon":2},{"lat":1}]}`: `device "Device A": record 1: longitude is missing`,
		`{"Device A":5}`:                                  `device "Device A": telemetry is a number`,
		`{"A":[],"A":[]}`:                                 `"A" stands twice`,
		`[` + stampedAt + `]`:                             "an array where an object is wanted",
		`{"A":[{"lat":1,"lon":2}]}x`:                      "more follows",
		`{"A":[` + many + `],"B":[` + many + `]}`:         "more than 10000 points",
		`{"` + strings.Repeat("n", 5000) + `":[{"lat":]}`: `device "nnn`,
	} {
		children, err := thingsboard.ParseGateway([]byte(in), received)
		if err == nil || !strings.Contains(err.Error(), want) || children != nil {
			t.Errorf("%.60s: %v, %v; want an error with %q", in, children, err, want)
		}
	}
}

// gatewayAsParse lets the contract of Parse hold ParseGateway too.
func gatewayAsParse(dst []fleet.Point, payload []byte) ([]fleet.Point, error) {
	children, err := thingsboard.ParseGateway(payload, received)
	for _, c := range children {
		dst = append(dst, c.Points...)
	}
	return dst, err
}

func FuzzParse(f *testing.F) {
	formattest.Fuzz(f, parse, pairs, pairsAt, stamped, stampedAt, array, arrayAt, older)
}

func FuzzParseGateway(f *testing.F) {
	formattest.Fuzz(f, gatewayAsParse, gatewayPlain, gatewayAt, `{"":{"lat":1,"lon":2}}`)
}

func BenchmarkParse(b *testing.B) {
	b.Run("Parse", func(b *testing.B) { formattest.Bench(b, parse, []byte(arrayAt)) })
	b.Run("ParseGateway", func(b *testing.B) { formattest.Bench(b, gatewayAsParse, []byte(gatewayAt)) })
}
