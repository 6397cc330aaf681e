package native_test

import (
	"fmt"
	"strings"
	"testing"

	"armora/fleet"
	"armora/ingest/format/formattest"
	"armora/ingest/format/native"
	"armora/ingest/format/report"
)

const full = `{"t":1700000000123,"st":1700000000200,"lat":51.5007292,"lon":-0.1246254,` +
	`"acc":4.5,"spd":12.25,"hdg":271.5,"alt":18.25,"bat":0.75,"seq":42,"mock":true}`

func fullPoint() fleet.Point {
	p := fleet.NewPoint(1700000000123, 51.5007292, -0.1246254)
	p.Sent = 1700000000200
	p.Accuracy, p.Speed, p.Heading, p.Altitude, p.Battery = 4.5, 12.25, 271.5, 18.25, 0.75
	p.Flags = fleet.FlagMock
	return p
}

func bare(t fleet.Millis) fleet.Point { return fleet.NewPoint(t, 51.5, -0.125) }

func with(p fleet.Point, change func(*fleet.Point)) fleet.Point {
	change(&p)
	return p
}

func TestParse(t *testing.T) {
	t.Parallel()
	const at = `"lat":51.5,"lon":-0.125`
	b := bare(1700000000000)
	formattest.Run(t, native.Parse, []formattest.Case{
		{Name: "all keys", In: full, Want: []fleet.Point{fullPoint()}},
		{Name: "required keys", In: `{"t":1700000000000,` + at + `}`, Want: []fleet.Point{b}},
		{Name: "array", In: ` [ ` + full + ` , {"t":1700000000000,` + at + `} ] `, Want: []fleet.Point{fullPoint(), b}},
		{Name: "RFC 3339", In: `{"t":"2023-11-14T22:13:20.5Z","st":"2023-11-14T23:13:21+01:00",` + at + `}`,
			Want: []fleet.Point{with(bare(1700000000500), func(p *fleet.Point) { p.Sent = 1700000001000 })}},
		{Name: "fraction of a millisecond is cut", In: `{"t":1700000000000.9,` + at + `}`, Want: []fleet.Point{b}},
		{Name: "quoted numbers", In: `{"t":"1700000000000","lat":"51.5","lon":"-0.125"}`, Want: []fleet.Point{b}},
		{Name: "escaped names", In: `{"\u0074":1700000000000,"l\u0061t":51.5,"lon":-0.125}`, Want: []fleet.Point{b}},
		{Name: "unknown keys", In: `{"x":{"lat":[1,{"t":2}]},"t":1700000000000,` + at + `,"LAT":7}`, Want: []fleet.Point{b}},
		{Name: "bad measurements are unknown", In: `{"t":1700000000000,` + at +
			`,"acc":-1,"spd":-1,"hdg":-1,"alt":1e9,"bat":5,"st":"noon","mock":"perhaps"}`, Want: []fleet.Point{b}},
		{Name: "measurements of another type are unknown", In: `{"t":1700000000000,` + at +
			`,"acc":"good","spd":null,"hdg":[1],"alt":{},"bat":true,"st":null,"mock":null}`, Want: []fleet.Point{b}},
		{Name: "a number too large is none", In: `{"t":1700000000000,` + at + `,"acc":1e999}`, Want: []fleet.Point{b}},
		{Name: "sent when nobody can say", In: `{"t":1700000000000,` + at + `,"st":"9999-12-31T23:59:59Z"}`, Want: []fleet.Point{bare(1700000000000)}},
		{Name: "sent before 1970", In: `{"t":1700000000000,` + at + `,"st":-1}`, Want: []fleet.Point{bare(1700000000000)}},
		{Name: "heading past a turn", In: `{"t":1700000000000,` + at + `,"hdg":450}`,
			Want: []fleet.Point{with(b, func(p *fleet.Point) { p.Heading = 90 })}},
		{Name: "null island is a position", In: `{"t":1,"lat":0,"lon":0}`, Want: []fleet.Point{fleet.NewPoint(1, 0, 0)}},
		{Name: "empty batch", In: `[]`, NoPosition: true},

		{Name: "nothing", In: ``, Err: []string{"empty"}},
		{Name: "blanks", In: ` `, Err: []string{"invalid JSON"}},
		{Name: "no time", In: `{` + at + `}`, Err: []string{"t is missing"}},
		{Name: "no lat", In: `{"t":1,"lon":2}`, Err: []string{"lat is missing"}},
		{Name: "no lon", In: `{"t":1,"lat":2}`, Err: []string{"lon is missing"}},
		{Name: "lat out of range", In: `{"t":1,"lat":90.5,"lon":2}`, Err: []string{"lat 90.5"}},
		{Name: "lon out of range", In: `{"t":1,"lat":9,"lon":-181}`, Err: []string{"lon -181"}},
		{Name: "lat is null", In: `{"t":1,"lat":null,"lon":2}`, Err: []string{"lat: null"}},
		{Name: "lat is text", In: `{"t":1,"lat":"north","lon":2}`, Err: []string{`lat: "north" is not a number`}},
		{Name: "hexadecimal", In: `{"t":1,"lat":"0x10","lon":2}`, Err: []string{"lat"}},
		{Name: "time is text", In: `{"t":"yesterday",` + at + `}`, Err: []string{"t:", "yesterday"}},
		{Name: "time before 1970", In: `{"t":-5,` + at + `}`, Err: []string{"-5"}},
		{Name: "time past storing", In: `{"t":1e300,` + at + `}`, Err: []string{"t:", "1e300"}},
		{Name: "long values are cut", In: `{"t":"` + strings.Repeat("é", 5000) + `",` + at + `}`, Err: []string{"t:", "…"}},
		{Name: "one bad of two", In: `[` + full + `,{"t":1}]`, Err: []string{"record 1", "lat is missing"}},
		{Name: "neither object nor array", In: `3`, Err: []string{"a number where an object is wanted"}},
		{Name: "array of arrays", In: `[[` + full + `]]`, Err: []string{"record 0", "an array where an object is wanted"}},
		{Name: "NaN", In: `{"t":NaN,` + at + `}`, Err: []string{"invalid JSON", "byte 5"}},
		{Name: "Infinity", In: `{"t":1,"lat":Infinity,"lon":1}`, Err: []string{"invalid JSON"}},
		{Name: "cut short", In: full[:60], Err: []string{"invalid JSON", "unexpected EOF"}},
		{Name: "more follows", In: full + full, Err: []string{"more follows"}},
		{Name: "name twice", In: `{"t":1,"lat":1,"lat":2,"lon":3}`, Err: []string{`"lat" stands twice`}},
		{Name: "name twice, unknown", In: `{"t":1,"lat":1,"lon":3,"x":1,"x":2}`, Err: []string{`"x" stands twice`}},
		{Name: "not UTF-8", In: "{\"t\":1,\"lat\":1,\"lon\":3,\"x\":\"\xff\"}", Err: []string{"invalid JSON"}},
		{Name: "deep", In: `{"x":` + strings.Repeat("[", 20_000), Err: []string{"invalid JSON"}},
		{Name: "too many", In: batch(report.MaxPoints + 1), Err: []string{"more than 10000 points"}},
	})
}

func TestParseTakesTheMostPoints(t *testing.T) {
	t.Parallel()
	got, err := native.Parse(nil, []byte(batch(report.MaxPoints)))
	if err != nil || len(got) != report.MaxPoints {
		t.Fatalf("%d points and %v, want %d", len(got), err, report.MaxPoints)
	}
}

func batch(n int) string {
	points := make([]string, n)
	for i := range points {
		points[i] = fmt.Sprintf(`{"t":%d,"lat":51.5007292,"lon":-0.1246254,"acc":4.5,"spd":12.3,"hdg":271.5,"alt":18.2,"bat":0.83}`, 1700000000000+i*1000)
	}
	return "[" + strings.Join(points, ",") + "]"
}

func TestParseAllocatesNothing(t *testing.T) { // not parallel: AllocsPerRun counts the whole process
	formattest.Allocs(t, native.Parse, []byte(full), 0)
	formattest.Allocs(t, native.Parse, []byte(batch(100)), 0)
}

func FuzzParse(f *testing.F) {
	formattest.Fuzz(f, native.Parse, full, batch(3), `[]`, `{"t":"2023-11-14T22:13:20Z","lat":"1","lon":-0}`,
		`{"t":1,"lat":1,"lon":1,"hdg":-359.9999999,"bat":1e-400}`, `{"\u0074":1,"x":[[[]]]}`, "\x0a\x03abc", `[{},{}`)
}

func BenchmarkParse(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { formattest.Bench(b, native.Parse, []byte(batch(n))) })
	}
}
