package simulate

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"armora/dispatch/triplog"
	"armora/fleet"
)

// spot is a place on a plane, in metres. A city is small enough for that: over
// 50 km the plane is off by less than one part in a thousand.
type spot struct{ x, y float64 }

func (p spot) to(q spot) float64 { return math.Hypot(p.x-q.x, p.y-q.y) }

// request is one who asks to be driven.
type request struct {
	asked    time.Duration // since the run began
	from, to spot
	trip     time.Duration
}

// Demand is the trips that people ask for.
type Demand struct {
	Trips    []triplog.Trip
	Zone     *time.Location
	From, To int // local hours of the day: [From, To)
	Copies   int // how often each trip is asked for, the copies jittered
}

// jitterTime and jitterPlace are how far a copy is from its trip at most: in time,
// and of each end in the place.
const (
	jitterTime  = 10 * time.Minute
	jitterPlace = 150.0 // metres
)

// Check says what is wrong with the demand.
func (d *Demand) Check() error {
	switch {
	case len(d.Trips) == 0:
		return errors.New("no trips")
	case d.From < 0 || d.To > 24 || d.From >= d.To:
		return fmt.Errorf("from %d to %d is no part of a day of 24 hours", d.From, d.To)
	case d.Copies < 1:
		return fmt.Errorf("%d copies of each trip", d.Copies)
	}
	return nil
}

// clean reports whether a trip is one that can be driven again: a minute to two hours
// long, at most 60 km, and no faster than 33 m/s on roads 1.3 times as long as the
// crow's way. Of the sample day 27 are not.
func clean(t *triplog.Trip) bool {
	metres, took := t.Metres(), t.Time()
	return took >= time.Minute && took <= 2*time.Hour && metres <= 60_000 && 1.3*metres <= 33*took.Seconds()
}

// requests returns what is asked for between the hours, the earliest first, by time
// since the first hour. The hours are those of the day of the first trip.
func (d *Demand) requests(random *rand.Rand) []request {
	plane, begin, end := d.plane(), d.hour(d.From), d.hour(d.To)
	var all []request
	for i := range d.Trips {
		t := &d.Trips[i]
		if !clean(t) {
			continue
		}
		for n := range d.Copies {
			r := request{
				asked: t.Pickup.Sub(begin), trip: t.Time(),
				from: plane(t.FromLat, t.FromLon), to: plane(t.ToLat, t.ToLon),
			}
			if n > 0 {
				r.asked += time.Duration((2*random.Float64() - 1) * float64(jitterTime))
				r.from, r.to = jitter(r.from, random), jitter(r.to, random)
			}
			if r.asked >= 0 && r.asked < end.Sub(begin) {
				all = append(all, r)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b request) int { return cmp.Compare(a.asked, b.asked) })
	return all
}

// jitter moves a spot to one in the circle around it, any as likely as the other.
func jitter(p spot, random *rand.Rand) spot {
	r, angle := jitterPlace*math.Sqrt(random.Float64()), 2*math.Pi*random.Float64()
	return spot{p.x + r*math.Cos(angle), p.y + r*math.Sin(angle)}
}

// hour is when a local hour is, on the day on which most of the record lies: that of
// its middle trip.
func (d *Demand) hour(h int) time.Time {
	picked := make([]time.Time, len(d.Trips))
	for i := range d.Trips {
		picked[i] = d.Trips[i].Pickup
	}
	slices.SortFunc(picked, time.Time.Compare)
	y, m, day := picked[len(picked)/2].In(d.Zone).Date()
	return time.Date(y, m, day, h, 0, 0, 0, d.Zone)
}

// plane projects degrees to metres around the middle of the record.
func (d *Demand) plane() func(lat, lon float64) spot {
	lats, lons := make([]float64, len(d.Trips)), make([]float64, len(d.Trips))
	for i := range d.Trips {
		lats[i], lons[i] = d.Trips[i].FromLat, d.Trips[i].FromLon
	}
	slices.Sort(lats)
	slices.Sort(lons)
	lat0, lon0 := lats[len(lats)/2], lons[len(lons)/2]
	north, east := fleet.Distance(lat0, lon0, lat0+0.01, lon0)*100, fleet.Distance(lat0, lon0, lat0, lon0+0.01)*100
	return func(lat, lon float64) spot { return spot{(lon - lon0) * east, (lat - lat0) * north} }
}
