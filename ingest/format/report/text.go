package report

import (
	"math"
	"strconv"
	"strings"
	"time"

	"armora/fleet"
)

// ParseNumber reads a decimal number with JSON's characters and nothing else:
// no infinity, no NaN, no hexadecimals, no underscores. A number too large for
// 64 bits of floating point is none either.
func ParseNumber(text []byte) (v float64, ok bool) {
	for _, c := range text {
		switch c {
		case '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '+', '-', '.', 'e', 'E':
		default:
			return math.NaN(), false
		}
	}
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return math.NaN(), false
	}
	return v, true
}

// A Unit is what a number that stands for a moment counts since 1970.
type Unit int

// The units. SecondsOrMillis is for formats that leave it open: below 10^11,
// which as seconds is the year 5138, it is seconds; from there on, which as
// milliseconds is March 1973, it is milliseconds.
const (
	Millis Unit = iota
	Seconds
	SecondsOrMillis
)

const secondsBelow = 1e11

// Moment returns v, counted in unit since 1970, cut to whole milliseconds. ok
// is false if 64 bits of nanoseconds cannot say it.
func Moment(v float64, unit Unit) (m fleet.Millis, ok bool) {
	if unit == Seconds || unit == SecondsOrMillis && math.Abs(v) < secondsBelow {
		// Rounded to microseconds first: 1.123 s is a hair less than 1123 ms
		// in binary, and would be cut to 1122.
		v = math.Round(v*1e6) / 1e3
	}
	if !(math.Abs(v) <= math.MaxInt64/1e6) {
		return 0, false
	}
	return fleet.Millis(math.Floor(v)), true
}

// ParseTime reads an RFC 3339 time.
func ParseTime(text []byte) (m fleet.Millis, ok bool) {
	var t time.Time
	if err := t.UnmarshalText(text); err != nil {
		return 0, false
	}
	return fleet.MillisOf(t), true
}

// Shown cuts a value from a payload to what an error may show of it.
func Shown[T ~string | ~[]byte](value T) string {
	const most = 40
	if len(value) <= most {
		return strings.ToValidUTF8(string(value), "\uFFFD")
	}
	return strings.ToValidUTF8(string(value[:most]), "\uFFFD") + "…"
}
