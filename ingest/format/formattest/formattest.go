// Package formattest holds every wire format's parser to the same contract, in
// golden tests, under fuzzing, and in benchmarks.
package formattest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"armora/fleet"
	"armora/ingest/format/report"
)

// Parse is a format's parser.
type Parse func(dst []fleet.Point, payload []byte) ([]fleet.Point, error)

// Case is a message and what becomes of it: points, or an error, or neither
// because it carries no position.
type Case struct {
	Name       string
	In         string
	Want       []fleet.Point
	Err        []string // what the error must say
	NoPosition bool
}

// Run runs each case as a parallel sub-test, and holds the parser to its
// contract with it.
func Run(t *testing.T, parse Parse, cases []Case) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			Contract(t, parse, []byte(c.In))
			got, err := parse(nil, []byte(c.In))
			if errors.Is(err, report.ErrNoPosition) != c.NoPosition {
				t.Fatalf("error %v, which should be ErrNoPosition: %t", err, c.NoPosition)
			}
			if (err != nil) != (len(c.Err) > 0 || c.NoPosition) {
				t.Fatalf("error %v, want one with %q", err, c.Err)
			}
			for _, part := range c.Err {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
			Equal(t, got, c.Want)
		})
	}
}

// Equal reports points that differ; two unknown measurements are equal.
func Equal(t testing.TB, got, want []fleet.Point) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d points, want %d:\n%s", len(got), len(want), text(got))
	}
	for i := range want {
		if g, w := text(got[i]), text(want[i]); g != w {
			t.Errorf("point %d is\n%s\nwant\n%s", i, g, w)
		}
	}
}

// text shows all of a point. NaN is the only number that prints as NaN, and
// every other one prints so that it can be told from its neighbours.
func text(v any) string { return fmt.Sprintf("%+v", v) }

// longestError bounds what an error may say: never the whole payload.
const longestError = 400

// Contract checks what holds for every payload, good or bad.
func Contract(t testing.TB, parse Parse, payload []byte) {
	t.Helper()
	before := []fleet.Point{fleet.NewPoint(1, 2, 3), fleet.NewPoint(4, 5, 6)}
	given := bytes.Clone(payload)
	got, err := parse(append(make([]fleet.Point, 0, 3), before...), given)
	if !bytes.Equal(given, payload) {
		t.Fatal("the parser wrote into the payload")
	}
	if len(got) < len(before) {
		t.Fatalf("%d points came back of the %d that were there before", len(got), len(before))
	}
	Equal(t, got[:len(before)], before)
	points := got[len(before):]
	switch {
	case err != nil && len(points) > 0:
		t.Fatalf("%d points appended despite the error %v", len(points), err)
	case err == nil && len(points) == 0:
		t.Fatal("neither a point nor an error")
	case err != nil && (len(err.Error()) > longestError || !utf8.ValidString(err.Error())):
		t.Fatalf("the error is %d bytes long, or not text: %.200q", len(err.Error()), err)
	case len(points) > report.MaxPoints:
		t.Fatalf("%d points of one message", len(points))
	}
	for i := range points {
		if err := sound(&points[i]); err != nil {
			t.Fatalf("point %d %v: %s", i, err, text(points[i]))
		}
	}
	again, errAgain := parse(nil, given)
	if text(errAgain) != text(err) {
		t.Fatalf("the second time it said %v, the first time %v", errAgain, err)
	}
	Equal(t, again, points)
}

// sound reports the first thing about p that no parser may return.
func sound(p *fleet.Point) error {
	switch {
	case p.Validate() != nil:
		return p.Validate()
	case !p.Device.IsZero() || p.Received != 0 || p.Verdict != 0:
		return errors.New("fills in what is ingest's to fill in")
	case fleet.Known(p.Heading) && !(p.Heading >= 0 && p.Heading < 360):
		return errors.New("has a heading beyond [0, 360)")
	case fleet.Known(p.Battery) && !(p.Battery >= 0 && p.Battery <= 1):
		return errors.New("has a charge beyond 0 to 1")
	case fleet.Known(p.Accuracy) && !(p.Accuracy >= 0 && p.Accuracy <= 20_037_508):
		return errors.New("has an impossible accuracy")
	case fleet.Known(p.Speed) && !(p.Speed >= 0 && p.Speed <= 1000):
		return errors.New("has an impossible speed")
	case fleet.Known(p.Altitude) && !(p.Altitude >= -11_000 && p.Altitude <= 100_000):
		return errors.New("has an impossible altitude")
	}
	return nil
}

// Fuzz holds the parser to its contract for whatever payload, starting from
// seeds.
func Fuzz(f *testing.F, parse Parse, seeds ...string) {
	f.Helper()
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) { Contract(t, parse, payload) })
}

// Bench measures the parser on payload with dst reused, for each point.
func Bench(b *testing.B, parse Parse, payload []byte) {
	b.Helper()
	dst, err := parse(nil, payload)
	if err != nil {
		b.Fatal(err)
	}
	points := float64(len(dst))
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		if dst, err = parse(dst[:0], payload); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/points, "ns/point")
}

// Allocs fails the test if parsing payload, with dst reused, allocates more
// than most a point. It is skipped under the race detector, where sync.Pool
// forgets at random.
func Allocs(t *testing.T, parse Parse, payload []byte, most float64) {
	t.Helper()
	if raceEnabled {
		t.Skip("sync.Pool forgets at random under the race detector")
	}
	dst, err := parse(nil, payload)
	if err != nil {
		t.Fatal(err)
	}
	allocs := testing.AllocsPerRun(100, func() {
		if dst, err = parse(dst[:0], payload); err != nil {
			t.Fatal(err)
		}
	})
	if each := allocs / float64(len(dst)); each > most {
		t.Errorf("%g allocations a point of %d, want at most %g", each, len(dst), most)
	}
}
