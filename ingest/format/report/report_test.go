package report_test

import (
	"math"
	"strings"
	"testing"

	"armora/fleet"
	"armora/ingest/format/report"
)

func TestMeasurements(t *testing.T) {
	t.Parallel()
	unknown, inf := math.NaN(), math.Inf(1)
	for name, c := range map[string]struct {
		rule  func(float64) float32
		cases map[float64]float64 // what is reported → what is kept
	}{
		"accuracy": {report.Accuracy, map[float64]float64{
			0: 0, 4.5: 4.5, -1: unknown, -0.001: unknown, 1e9: 20_037_508, inf: 20_037_508, -inf: unknown,
		}},
		"speed": {report.Speed, map[float64]float64{
			0: 0, 300: 300, 1000: 1000, 1000.1: unknown, -1: unknown, inf: unknown,
		}},
		"altitude": {report.Altitude, map[float64]float64{
			0: 0, -430: -430, 8849: 8849, -11_001: unknown, 100_001: unknown, inf: unknown, -inf: unknown,
		}},
		"battery": {report.Battery, map[float64]float64{
			0: 0, 0.5: 0.5, 1: 1, 1.01: unknown, 5: unknown, -0.01: unknown, inf: unknown,
		}},
		"heading": {report.Heading, map[float64]float64{
			0: 0, 271.5: 271.5, 360: 0, 450: 90, -90: 270, -359: 1, 720: 0, -720: 0, 359.99999999: 0, -1e-12: 0,
			-1: unknown, 720.5: unknown, 9999: unknown, inf: unknown,
		}},
	} {
		for in, want := range c.cases {
			if got := c.rule(in); got != float32(want) && (fleet.Known(got) || !math.IsNaN(want)) {
				t.Errorf("%s of %v is %v, want %v", name, in, got, want)
			}
		}
		if got := c.rule(math.NaN()); fleet.Known(got) {
			t.Errorf("%s of nothing is %v", name, got)
		}
	}
}

func TestParseNumber(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]float64{"0": 0, "-1.5": -1.5, "+2": 2, "1e3": 1000, ".5": 0.5} {
		if got, ok := report.ParseNumber([]byte(text)); !ok || got != want {
			t.Errorf("%q is %v, %t; want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", " ", "inf", "-Inf", "NaN", "0x10", "1_000", "1e999", "1,5", "1 ", "1e", "--1"} {
		if got, ok := report.ParseNumber([]byte(text)); ok || !math.IsNaN(got) {
			t.Errorf("%q is %v, %t; want no number", text, got, ok)
		}
	}
}

func TestMoment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		v    float64
		unit report.Unit
		want fleet.Millis
		ok   bool
	}{
		{1700000000123, report.Millis, 1700000000123, true},
		{1700000000123.9, report.Millis, 1700000000123, true},
		{1700000000.123, report.Seconds, 1700000000123, true},
		{1706905170.17258, report.Seconds, 1706905170172, true},
		{1700000000, report.SecondsOrMillis, 1700000000000, true},
		{1700000000123, report.SecondsOrMillis, 1700000000123, true},
		{9e9, report.SecondsOrMillis, 9e12, true},
		{99999999999, report.SecondsOrMillis, 0, false}, // the year 5138
		{1e11, report.SecondsOrMillis, 1e11, true},
		{-0.5, report.Millis, -1, true},
		{1e13, report.Millis, 0, false},
		{-1e300, report.Millis, 0, false},
		{math.NaN(), report.Seconds, 0, false},
	} {
		if got, ok := report.Moment(c.v, c.unit); got != c.want || ok != c.ok {
			t.Errorf("%v in unit %d is %d, %t; want %d, %t", c.v, c.unit, got, ok, c.want, c.ok)
		}
	}
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]fleet.Millis{
		"2023-11-14T22:13:20Z":           1700000000000,
		"2023-11-14T22:13:20.1239Z":      1700000000123,
		"2023-11-15T00:13:20.5+02:00":    1700000000500,
		"1969-12-31T23:59:59.999Z":       -1,
		"2023-11-14T22:13:20.000000001Z": 1700000000000,
	} {
		if got, ok := report.ParseTime([]byte(text)); !ok || got != want {
			t.Errorf("%s is %d, %t; want %d", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "2023-11-14", "2023-11-14 22:13:20Z", "2023-11-14T22:13:20", "2023-13-14T22:13:20Z", "1700000000"} {
		if got, ok := report.ParseTime([]byte(text)); ok {
			t.Errorf("%q is %d, want no time", text, got)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	keys := report.Keys{Time: "when", Lat: "north", Lon: "east"}
	p := report.New(fleet.FormatGeoJSON)
	if !report.Unlocated(&p) || report.HasTime(&p) || p.Format != fleet.FormatGeoJSON {
		t.Fatalf("a new report says something: %+v", p)
	}
	steps := []struct {
		want string
		then func()
	}{
		{"when is missing", func() { p.Fix = 0 }},
		{"north is missing", func() { p.Lat = 95 }},
		{"east is missing", func() { p.Lon = 0 }},
		{"lat 95 is not within -90..90", func() { p.Lat = 0 }},
		{"", nil},
	}
	for _, s := range steps {
		got := ""
		if err := report.Check(&p, &keys); err != nil {
			got = err.Error()
		}
		if got != s.want {
			t.Fatalf("%q, want %q", got, s.want)
		}
		if s.then != nil {
			s.then()
		}
	}
	if report.Unlocated(&p) || !report.HasTime(&p) {
		t.Errorf("a complete report is called incomplete: %+v", p)
	}
}

func TestShown(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"short":                       "short",
		"a\xffb":                      "a\uFFFDb",
		strings.Repeat("x", 40):       strings.Repeat("x", 40),
		strings.Repeat("x", 41):       strings.Repeat("x", 40) + "…",
		"x" + strings.Repeat("é", 40): "x" + strings.Repeat("é", 19) + "\uFFFD…", // cut within a letter
	} {
		if got := report.Shown(in); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
		if got := report.Shown([]byte(in)); got != want {
			t.Errorf("the bytes of %q are shown as %q, want %q", in, got, want)
		}
	}
}
