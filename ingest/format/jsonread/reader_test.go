package jsonread_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"armora/fleet"
	"armora/ingest/format/jsonread"
	"armora/ingest/format/report"
)

// walk reads all of the value that comes next, by every way in.
func walk(r *jsonread.Reader) {
	switch r.Next() {
	case jsonread.Object:
		r.Begin(jsonread.Object, "it")
		for r.Member() {
			walk(r)
		}
	case jsonread.Array:
		r.Begin(jsonread.Array, "it")
		for r.Element() {
			walk(r)
		}
	case jsonread.Number:
		r.Optional()
	case jsonread.String:
		r.Text()
	default:
		r.Skip()
	}
}

func readAll(payload []byte, read func(*jsonread.Reader)) error {
	r := jsonread.Open(payload)
	defer r.Close()
	read(r)
	return r.End()
}

// FuzzGrammar compares what is taken with encoding/json, which takes a little
// more: names that stand twice and invalid UTF-8.
func FuzzGrammar(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,2.5e-3,{"b":null}],"c":"\u00e9\n","d":true}`, ``, ` `, `[`, `]`, `{"a"}`, `{"a":}`, `[1,]`, `{,}`, `01`, `1.`, `-`,
		`"\x"`, "\"\xff\"", `{"a":1,"a":2}`, `1 2`, `nul`, `[[[[]]]]`, `{"a":1}}`, "\ufeff1", `"` + "\n" + `"`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		walked, skipped := readAll(payload, walk), readAll(payload, (*jsonread.Reader).Skip)
		if (walked == nil) != (skipped == nil) {
			t.Fatalf("walked: %v; skipped: %v", walked, skipped)
		}
		if walked == nil && !json.Valid(payload) {
			t.Fatalf("took what is no JSON: %q", payload)
		}
		if walked != nil && json.Valid(payload) &&
			!strings.Contains(walked.Error(), "stands twice") && !strings.Contains(walked.Error(), "UTF-8") && !strings.Contains(walked.Error(), "surrogate") {
			t.Fatalf("%q is JSON, but: %v", payload, walked)
		}
	})
}

func TestReaderKeepsItsFirstError(t *testing.T) {
	t.Parallel()
	r := jsonread.Open([]byte(`[{"a":"x"},{"b":`))
	defer r.Close()
	r.Begin(jsonread.Array, "it")
	r.Element()
	r.Begin(jsonread.Object, "it")
	r.Member()
	r.Float("a")
	first := r.Err()
	if first == nil || !strings.Contains(first.Error(), `a: "x" is not a number`) {
		t.Fatalf("%v", first)
	}
	r.Fail(errors.New("later"))
	if r.Element() || r.Member() || r.Begin(jsonread.Object, "it") || r.Next() != 0 || r.Text() != nil || r.Bool(false) {
		t.Error("it reads on after an error")
	}
	if !math.IsNaN(r.Optional()) || r.Time("t", report.Millis) != 0 || r.OptionalTime(report.Millis) != 0 {
		t.Error("it returns values after an error")
	}
	if !errors.Is(r.End(), first) {
		t.Errorf("%v, want the first error", r.End())
	}
}

// A Reader comes from a pool: nothing of one payload may show in the next.
func TestReaderForgets(t *testing.T) {
	t.Parallel()
	for i := range 100 {
		if err := readAll([]byte(`{"a":[[[[`), walk); err == nil {
			t.Fatal("an unfinished payload is taken")
		}
		payload := fmt.Sprintf(`{"a":%d,"\u0062":"%s"}`, i, strings.Repeat("x", i))
		r := jsonread.Open([]byte(payload))
		r.Begin(jsonread.Object, "it")
		r.Member()
		if v := r.Float("a"); v != float64(i) || string(r.Name()) != "a" {
			t.Fatalf("%s is %v, want %d", r.Name(), v, i)
		}
		r.Member()
		if text := r.Text(); len(text) != i || string(r.Name()) != "b" {
			t.Fatalf("%s is %q, want %d letters", r.Name(), text, i)
		}
		r.Member()
		if err := r.End(); err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	read := func(in string, read func(*jsonread.Reader) any) string {
		r := jsonread.Open([]byte(in))
		defer r.Close()
		v := read(r)
		if err := r.End(); err != nil {
			return err.Error()
		}
		return fmt.Sprint(v)
	}
	float := func(r *jsonread.Reader) any { return r.Float("x") }
	optional := func(r *jsonread.Reader) any { return r.Optional() }
	when := func(r *jsonread.Reader) any { return r.Time("x", report.Millis) }
	perhaps := func(r *jsonread.Reader) any { return r.OptionalTime(report.Seconds) }
	text := func(r *jsonread.Reader) any { return string(r.Text()) }
	is := func(r *jsonread.Reader) any { return r.Bool(false) }
	isNot := func(r *jsonread.Reader) any { return r.Bool(true) }
	for _, c := range []struct {
		name string
		read func(*jsonread.Reader) any
		want map[string]string
	}{
		{"Float", float, map[string]string{`1.5`: "1.5", `"1.5"`: "1.5", `true`: "x: true is not a number", `""`: `x: "" is not a number`, `1e999`: "x: 1e999 is not a number"}},
		{"Optional", optional, map[string]string{`1.5`: "1.5", `"-2"`: "-2", `null`: "NaN", `{"a":[1]}`: "NaN", `1e999`: "NaN", `"inf"`: "NaN"}},
		{"Time", when, map[string]string{`5`: "5", `"5"`: "5", `"1970-01-01T00:00:01Z"`: "1000", `null`: "x: null is neither a Unix time nor an RFC 3339 time"}},
		{"OptionalTime", perhaps, map[string]string{`5`: "5000", `null`: "0", `"1970-01-01T00:00:01Z"`: "1000", `"noon"`: "0", `1e300`: "0"}},
		{"Text", text, map[string]string{`"a\u0062\n"`: "ab\n", `5`: "", `null`: ""}},
		{"Bool(false)", is, map[string]string{`true`: "true", `1`: "true", `"true"`: "true", `false`: "false", `null`: "false", `2`: "false"}},
		{"Bool(true)", isNot, map[string]string{`false`: "false", `0`: "false", `"0"`: "false", `null`: "true", `[]`: "true"}},
	} {
		for in, want := range c.want {
			if got := read(in, c.read); got != want {
				t.Errorf("%s of %s is %q, want %q", c.name, in, got, want)
			}
		}
	}
}

func TestEachStopsAtTheMost(t *testing.T) {
	t.Parallel()
	half := "[" + strings.TrimSuffix(strings.Repeat("1,", report.MaxPoints/2), ",") + "]"
	for _, c := range []struct {
		in   string
		want error
	}{
		{`[` + half + `,` + half + `]`, nil},
		{`[` + half + `,` + half + `,1]`, report.ErrTooMany},
	} {
		seen := 0
		err := readAll([]byte(c.in), func(r *jsonread.Reader) {
			r.Begin(jsonread.Array, "it")
			for r.Element() {
				r.Each(func() error { seen++; r.Skip(); return nil })
			}
		})
		if !errors.Is(err, c.want) || seen != report.MaxPoints {
			t.Errorf("%d records and %v, want %d and %v", seen, err, report.MaxPoints, c.want)
		}
	}
}

func TestProperty(t *testing.T) {
	t.Parallel()
	want := fleet.NewPoint(1700000000000, 1, 2)
	want.Accuracy, want.Speed, want.Heading, want.Altitude, want.Battery, want.Flags = 3, 4, 5, 6, 0.7, fleet.FlagMock
	for _, in := range []string{
		`{"t":1700000000,"accuracy":3,"speed":4,"heading":5,"altitude":6,"battery":0.7,"mock":true}`,
		`{"ts":1700000000000,"acc":3,"spd":4,"hdg":5,"alt":6,"bat":70,"mock":1}`,
		`{"time":"2023-11-14T22:13:20Z","horizontal_accuracy":"3","speed":"4","bearing":5,"alt":6,"batt":"70","mock":"true"}`,
		`{"timestamp":1700000000,"acc":3,"spd":4,"course":365,"alt":6,"battery_level":0.7,"mock":true,"Speed":9,"lat":[]}`,
		`{"datetime":"2023-11-14T22:13:20Z","acc":3,"spd":4,"direction":-355,"alt":6,"batteryLevel":70,"mock":true,"time":null}`,
	} {
		p := fleet.NewPoint(0, 1, 2)
		err := readAll([]byte(in), func(r *jsonread.Reader) {
			r.Begin(jsonread.Object, "it")
			for r.Member() {
				r.Property(&p)
			}
		})
		if err != nil || p != want {
			t.Errorf("%s: %v\n%+v\nwant\n%+v", in, err, p, want)
		}
	}
}
