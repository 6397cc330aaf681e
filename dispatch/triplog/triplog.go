// Package triplog reads recorded trips: what the travel-time model is fitted to, and
// what the simulator drives.
package triplog

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"armora/fleet"
)

// Trip is one that was driven.
type Trip struct {
	Cab              string // who drove it
	Pickup, Dropoff  time.Time
	FromLat, FromLon float64 // degrees, WGS 84
	ToLat, ToLon     float64
}

// Metres is the distance between the ends, as the crow flies.
func (t *Trip) Metres() float64 { return fleet.Distance(t.FromLat, t.FromLon, t.ToLat, t.ToLon) }

// Time is how long it took; it may be anything, in a file that nobody has cleaned.
func (t *Trip) Time() time.Duration { return t.Dropoff.Sub(t.Pickup) }

// columns are those that a file has, by name and in any order, beside others.
var columns = []string{"cab", "pickup_time", "pickup_lat", "pickup_lon", "dropoff_time", "dropoff_lat", "dropoff_lon"}

// Read reads trips from CSV with a header. Times are Unix seconds. A line that
// cannot be read, or that is nowhere on earth, is an error that names it: a file is
// either understood or not.
func Read(r io.Reader) ([]Trip, error) {
	lines := csv.NewReader(r)
	lines.ReuseRecord = true
	header, err := lines.Read()
	if err != nil {
		return nil, fmt.Errorf("the header of the trips: %w", err)
	}
	at := make([]int, len(columns))
	for i, name := range columns {
		if at[i] = slices.Index(header, name); at[i] < 0 {
			return nil, fmt.Errorf("the trips have no column %s", name)
		}
	}
	var trips []Trip
	for {
		line, err := lines.Read()
		if errors.Is(err, io.EOF) {
			return trips, nil
		}
		if err != nil {
			return nil, fmt.Errorf("the trips: %w", err)
		}
		trip, err := parse(line, at)
		if err != nil {
			row, _ := lines.FieldPos(0)
			return nil, fmt.Errorf("the trips, line %d: %w", row, err)
		}
		trips = append(trips, trip)
	}
}

func parse(line []string, at []int) (Trip, error) {
	var failed []error
	field := func(column int) string { return line[at[column]] }
	moment := func(column int) time.Time {
		s, err := strconv.ParseInt(field(column), 10, 64)
		failed = append(failed, err)
		return time.Unix(s, 0).UTC()
	}
	degrees := func(column int, limit float64) float64 {
		d, err := strconv.ParseFloat(field(column), 64)
		if err == nil && !(d >= -limit && d <= limit) { // NaN is not either
			err = fmt.Errorf("%s is not within ±%v", field(column), limit)
		}
		failed = append(failed, err)
		return d
	}
	trip := Trip{
		Cab:    string([]byte(field(0))), // the line is read into again
		Pickup: moment(1), FromLat: degrees(2, 90), FromLon: degrees(3, 180),
		Dropoff: moment(4), ToLat: degrees(5, 90), ToLon: degrees(6, 180),
	}
	return trip, errors.Join(failed...)
}
