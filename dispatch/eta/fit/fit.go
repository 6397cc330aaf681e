package main

import (
	"hash/fnv"
	"math"
	"slices"
	"time"

	"armora/dispatch/eta"
	"armora/dispatch/triplog"
)

// bands are where the speed may change, metres as the crow flies.
var bands = []float64{0, 1000, 2000, 4000, 6000}

// fastest bounds the speed of a band, in metres of road a second: 70 miles an hour,
// the limit on British motorways. Without it the far bands, which a few trips to an
// airport decide, come out at twice that.
const fastest = 31.3

// trip is one of a clean record.
type trip struct {
	cab     string
	hour    int // local, in which it began
	metres  float64
	seconds float64
}

// clean leaves out what was no way from one place to another, or what the record has
// got wrong: shorter than a minute or longer than two hours; ends nearer than 250 m,
// which fixes a minute apart cannot tell from each other, or further than 60 km; by
// road slower than 1 m/s, a round trip, or faster than 33 m/s.
func clean(all []triplog.Trip, local *time.Location) []trip {
	var trips []trip
	for i := range all {
		t := trip{
			cab: all[i].Cab, hour: all[i].Pickup.In(local).Hour(),
			metres: all[i].Metres(), seconds: all[i].Time().Seconds(),
		}
		speed := t.metres * eta.Detour / t.seconds
		if t.seconds >= 60 && t.seconds <= 7200 && t.metres >= 250 && t.metres <= 60_000 && speed >= 1 && speed <= 33 {
			trips = append(trips, t)
		}
	}
	return trips
}

// split halves trips by their cabs: what one driver does all day is on one side.
func split(trips []trip) (mine, others []trip) {
	for _, t := range trips {
		h := fnv.New32a()
		_, _ = h.Write([]byte(t.cab)) // never fails
		if h.Sum32()%2 == 0 {
			mine = append(mine, t)
		} else {
			others = append(others, t)
		}
	}
	return mine, others
}

// What is found stays when a turn changes it by less than a share of still: no more
// than three digits are written. It always does, long before turns are over.
const (
	still = 1e-5
	turns = 100
)

// fit finds the start, the speeds and the hours in turn, each by the others, until
// they stay. The hours are scaled so that the average trip has 1.
func fit(trips []trip) eta.Model {
	hours := make([]float64, 24)
	for i := range hours {
		hours[i] = 1
	}
	base := make([]float64, 1+len(bands)) // the start in seconds, then the seconds a metre of each band
	for i := range base {
		base[i] = 0.15
	}
	floor := make([]float64, len(base))
	for i := 1; i < len(floor); i++ {
		floor[i] = 1 / fastest
	}
	for range turns {
		before := slices.Concat(base, hours)
		byBase, byHour := make([]row, len(trips)), make([][]row, 24)
		for i, t := range trips {
			byBase[i] = row{at: stretches(t.metres), seconds: t.seconds}
			byBase[i].times(hours[t.hour])
		}
		solve(byBase, base, floor)
		for _, t := range trips {
			byHour[t.hour] = append(byHour[t.hour], row{at: []float64{dot(stretches(t.metres), base)}, seconds: t.seconds})
		}
		for hour, rows := range byHour {
			solve(rows, hours[hour:hour+1], []float64{0})
		}
		mean := 0.0
		for _, t := range trips {
			mean += hours[t.hour] / float64(len(trips))
		}
		for i := range hours {
			hours[i] /= mean
		}
		if stays(before, slices.Concat(base, hours)) {
			break
		}
	}
	return model(base, hours)
}

// model rounds what was found to what is written, so that what is judged is what is
// used.
func model(base, hours []float64) eta.Model {
	m := eta.Model{Start: time.Duration(math.Round(base[0])) * time.Second}
	for i, from := range bands {
		m.Bands = append(m.Bands, eta.Band{From: from, Speed: hundredths(1 / base[1+i])})
	}
	for i := range m.Hours {
		m.Hours[i] = hundredths(hours[i])
	}
	return m
}

func hundredths(x float64) float64 { return math.Round(x*100) / 100 }

// stretches returns 1, for the start, and the metres of road of each band on a way.
func stretches(metres float64) []float64 {
	parts := []float64{1}
	for i, from := range bands {
		to := math.Inf(1)
		if i+1 < len(bands) {
			to = bands[i+1]
		}
		parts = append(parts, max(0, min(metres, to)-from)*eta.Detour)
	}
	return parts
}

// row is one equation: at·x should be seconds.
type row struct {
	at      []float64
	seconds float64
}

func (r *row) times(factor float64) {
	for i := range r.at {
		r.at[i] *= factor
	}
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// near is the error, in seconds, up to which a trip counts by its square, and beyond
// which by its size (Huber): trips with a stop on the way or an end that was missed
// shift a median less than a mean. It is the time between two fixes.
const near = 60

// solve improves x, which is nowhere less than floor, to minimise the errors of the
// rows: by iteratively reweighted least squares, each coordinate in turn.
func solve(rows []row, x, floor []float64) {
	errs, weights := make([]float64, len(rows)), make([]float64, len(rows))
	for range turns {
		before := slices.Clone(x)
		for i, r := range rows {
			errs[i] = r.seconds - dot(r.at, x)
			weights[i] = 1 / max(near, math.Abs(errs[i]))
		}
		for j := range x {
			num, den := 0.0, 0.0
			for i, r := range rows {
				num += weights[i] * r.at[j] * (errs[i] + r.at[j]*x[j])
				den += weights[i] * r.at[j] * r.at[j]
			}
			if den == 0 {
				continue // no trip says anything of it
			}
			better := max(num/den, floor[j])
			for i, r := range rows {
				errs[i] -= r.at[j] * (better - x[j])
			}
			x[j] = better
		}
		if stays(before, x) {
			return
		}
	}
}

func stays(before, now []float64) bool {
	for i := range now {
		if math.Abs(now[i]-before[i]) > still*math.Abs(now[i]) {
			return false
		}
	}
	return true
}
