package teltonika_test

import (
	"strings"
	"testing"

	"armora/fleet"
	"armora/ingest/format/formattest"
	"armora/ingest/format/report"
	"armora/ingest/format/teltonika"
)

// What a tracker sent, as recorded in the tests of OpenRemote's Teltonika
// integration (https://github.com/openremote/openremote,
// test/src/test/resources/org/openremote/test/teltonika/teltonikaValidPayload1.json):
// it has no fix yet.
const recorded = `{"state":{"reported":{"ts":1698922776030,"pr":1,"latlng":"0.000000,0.000000","alt":0,"ang":0,"sat":0,` +
	`"sp":0,"evt":250,"239":0,"240":1,"80":1,"21":4,"200":0,"69":2,"237":2,"113":100,"263":2,"303":1,"250":1,"181":0,` +
	`"182":0,"66":11922,"24":0,"206":30,"67":4110,"68":0,"13":2840,"17":45,"18":-11,"19":988,"15":1000,"241":20416,` +
	`"199":0,"16":6870,"12":244,"449":0,"636":53977651,"11":893116211,"238":"0x0000000000000000","14":1680671168,` +
	`"387":"+000000.0000+0000000.0000+000.000/"}}}`

// The position of the parsing example of Codec 8 Extended at
// https://wiki.teltonika-gps.com/view/Codec (138 m above Vilnius), written in
// Codec JSON, moving.
const moving = `{"state":{"reported":{"ts":1510658324000,"pr":0,"latlng":"54.667602,25.256292","alt":138,"ang":214,` +
	`"sat":6,"sp":43,"evt":0,"239":1,"113":87}}}`

// The same with numbers in quotes, as in SortedPayloads.json beside the first.
const quoted = `{"state":{"reported":{"113":"87","latlng":"54.667602,25.256292","ts":"1510658324000","alt":"138","ang":"214","sat":"6","sp":"43"}}}`

func point(t fleet.Millis, lat, lon float64) fleet.Point {
	p := fleet.NewPoint(t, lat, lon)
	p.Format = fleet.FormatTeltonika
	return p
}

func movingPoint() fleet.Point {
	p := point(1510658324000, 54.667602, 25.256292)
	p.Speed, p.Heading, p.Altitude, p.Battery = 43/3.6, 214, 138, 0.87
	return p
}

func TestParse(t *testing.T) {
	t.Parallel()
	noFix := point(1698922776030, 0, 0)
	noFix.Speed, noFix.Heading, noFix.Altitude, noFix.Battery = 0, 0, 0, 1
	reported := func(members string) string { return `{"state":{"reported":{` + members + `}}}` }
	formattest.Run(t, teltonika.Parse, []formattest.Case{
		{Name: "without a fix", In: recorded, Want: []fleet.Point{noFix}},
		{Name: "moving", In: moving, Want: []fleet.Point{movingPoint()}},
		{Name: "numbers in quotes", In: quoted, Want: []fleet.Point{movingPoint()}},
		{Name: "array of records", In: `[` + moving + `,` + recorded + `]`, Want: []fleet.Point{movingPoint(), noFix}},
		{Name: "blanks in latlng", In: reported(`"ts":1,"latlng":" 1.5 , -2.5 "`), Want: []fleet.Point{point(1, 1.5, -2.5)}},
		{Name: "bad measurements are unknown", In: reported(`"ts":1,"latlng":"1,2","sp":-1,"ang":"north","alt":null,"113":255`),
			Want: []fleet.Point{point(1, 1, 2)}},
		{Name: "answer to a command", In: `{"RSP":"OK"}`, NoPosition: true},
		{Name: "shadow without a report", In: `{"state":{"desired":{"1":2}}}`, NoPosition: true},
		{Name: "empty array", In: `[]`, NoPosition: true},

		{Name: "no time", In: reported(`"latlng":"1,2"`), Err: []string{"ts is missing"}},
		{Name: "no latlng", In: reported(`"ts":1`), Err: []string{"latlng is missing"}},
		{Name: "latlng is a number", In: reported(`"ts":1,"latlng":12`), Err: []string{"latlng is not a string"}},
		{Name: "one coordinate", In: reported(`"ts":1,"latlng":"12"`), Err: []string{"latlng", `"12"`}},
		{Name: "three coordinates", In: reported(`"ts":1,"latlng":"1,2,3"`), Err: []string{"latlng", `"1,2,3"`}},
		{Name: "latlng is text", In: reported(`"ts":1,"latlng":"` + strings.Repeat("x", 900) + `"`), Err: []string{"latlng", "…"}},
		{Name: "latitude out of range", In: reported(`"ts":1,"latlng":"91,2"`), Err: []string{"lat 91"}},
		{Name: "state is text", In: `{"state":"ok"}`, Err: []string{"state is a string"}},
		{Name: "one bad of two", In: `[` + moving + `,` + reported(`"ts":1`) + `]`, Err: []string{"record 1", "latlng is missing"}},
		{Name: "binary codec", In: "\x00\x00\x00\x00\x00\x00\x00\x36\x08\x01", Err: []string{"invalid JSON"}},
		{Name: "too many", In: `[` + strings.Repeat(moving+",", report.MaxPoints) + moving + `]`, Err: []string{"more than 10000"}},
	})
}

func FuzzParse(f *testing.F) {
	formattest.Fuzz(f, teltonika.Parse, recorded, moving, quoted, `[`+moving+`]`, `{"RSP":"OK"}`, `{"state":{"reported":{"latlng":",","ts":0}}}`)
}

func BenchmarkParse(b *testing.B) {
	b.Run("1", func(b *testing.B) { formattest.Bench(b, teltonika.Parse, []byte(recorded)) })
	b.Run("10", func(b *testing.B) {
		formattest.Bench(b, teltonika.Parse, []byte(`[`+strings.TrimSuffix(strings.Repeat(moving+",", 10), ",")+`]`))
	})
}
