package jsonread

import (
	"fmt"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"armora/fleet"
	"armora/ingest/format/report"
)

// Float reads a required number. It may stand in quotes. Anything else is an
// error that names what and shows the value.
func (r *Reader) Float(what string) float64 {
	raw, ok := r.value()
	if !ok {
		return math.NaN()
	}
	v, ok := number(raw)
	if !ok {
		r.Fail(fmt.Errorf("%s: %s is not a number", what, report.Shown(raw)))
	}
	return v
}

// Optional reads a number that the message can do without: anything but a
// number, which may stand in quotes, is passed over and returned as NaN.
func (r *Reader) Optional() float64 {
	raw, ok := r.value()
	if !ok {
		return math.NaN()
	}
	v, _ := number(raw)
	return v
}

// Bool reads a boolean that the message can do without; a value that is
// neither true nor false, nor 1 or 0, nor one of these in quotes, is taken for
// otherwise.
func (r *Reader) Bool(otherwise bool) bool {
	raw, _ := r.value()
	switch string(raw) {
	case `true`, `"true"`, `1`, `"1"`:
		return true
	case `false`, `"false"`, `0`, `"0"`:
		return false
	}
	return otherwise
}

// Text reads a string, valid until the next Text or Close. A value that is no
// string is passed over and returned as nil.
func (r *Reader) Text() []byte {
	raw, ok := r.value()
	if !ok || raw.Kind() != String {
		return nil
	}
	var text []byte
	text, r.text = unquote(raw, r.text)
	return text
}

// Time reads a required moment: a number in the given unit, cut to whole
// milliseconds, or an RFC 3339 string. Anything else is an error that names
// what and shows the value.
func (r *Reader) Time(what string, unit report.Unit) fleet.Millis {
	raw, ok := r.value()
	if !ok {
		return 0
	}
	m, ok := moment(raw, unit)
	if !ok {
		r.Fail(fmt.Errorf("%s: %s is neither a Unix time nor an RFC 3339 time", what, report.Shown(raw)))
	}
	return m
}

// OptionalTime reads a moment that the message can do without: 0, which is
// "not said", if the value is none.
func (r *Reader) OptionalTime(unit report.Unit) fleet.Millis {
	raw, ok := r.value()
	if !ok {
		return 0
	}
	m, _ := moment(raw, unit)
	return m
}

func moment(raw jsontext.Value, unit report.Unit) (fleet.Millis, bool) {
	if v, ok := number(raw); ok {
		return report.Moment(v, unit)
	}
	if raw.Kind() != String {
		return 0, false
	}
	return report.ParseTime(raw[1 : len(raw)-1])
}

// number reads a JSON number, or a string that holds one.
func number(raw jsontext.Value) (float64, bool) {
	switch raw.Kind() {
	case Number:
		// The tokenizer has checked its grammar; what is left is its size.
		if v, err := strconv.ParseFloat(string(raw), 64); err == nil {
			return v, true
		}
	case String:
		return report.ParseNumber(raw[1 : len(raw)-1])
	}
	return math.NaN(), false
}
