package dispatch

import (
	"slices"
	"time"

	"armora/dispatch/eta"
	"armora/dispatch/match"
	"armora/fleet"
	"armora/live"
)

const (
	// freshFor is how old the last sign of an officer may be, by its receipt.
	freshFor = 2 * time.Minute
	// nearby is how many officers are looked at for a seat to begin with, and wider
	// how many times as many each time that more may be of use.
	nearby, wider = 20, 4
	// askFor is for how long a round asks how long ways are. Then it takes the
	// model's word.
	askFor = 3 * time.Second
)

// field is who could have a seat, as far as it was looked for.
type field struct {
	options []option
	met     map[fleet.DriverID]bool // those who might have it, by all but the way
	looked  int                     // at how many of the nearest
	others  time.Duration           // how long those take at least who were not looked at
}

// prospect is an officer who may be had, where and when they are free.
type prospect struct {
	driver fleet.DriverID
	at     eta.Point
	stage  stage
	after  time.Duration // until they are free
	seat   *fleet.Seat   // that they give up for it; nil: they are free
}

// stage is how an officer may be had.
type stage int

const (
	isFree stage = iota
	leaves       // in a moment: a booking is held for them
	yields       // a younger team gives them up
)

// lookAround finds who could have each of the seats, among the nearest and those who
// are known by name.
func (r *matching) lookAround(requests []*request) error {
	near := make([][]prospect, len(requests))
	for i, q := range requests {
		q.met = make(map[fleet.DriverID]bool)
		near[i] = r.nearest(q, r.nearby)
		near[i] = r.addWherever(near[i], q.booking.Preferred)
		near[i] = r.addWherever(near[i], r.rolling.officer(q.seat.ID))
		if q.holder == nil && r.holds[q.booking.ID].Open(r.now.Add(tickEvery)) {
			near[i] = append(near[i], r.leaving...)
		}
	}
	if err := r.meet(slices.Concat(near...)); err != nil {
		return err
	}
	r.mean = r.meanWork()
	return inParallel(len(requests), func(i int) error {
		r.consider(requests[i], near[i])
		return nil
	})
}

// lookFarther finds who else could have a seat, among more of the nearest, and
// returns them.
func (r *matching) lookFarther(q *request) ([]option, error) {
	near, known := r.nearest(q, q.looked*wider), len(q.options)
	if err := r.meet(near); err != nil {
		return nil, err
	}
	r.consider(q, near)
	return q.options[known:], nil
}

// nearest returns the k officers on duty who are nearest, of whom something was
// heard, and notes how long all others would take at least.
func (r *matching) nearest(q *request, k int) []prospect {
	b := q.booking
	found := r.cfg.Map.Nearest(nil, b.Pickup.Lat, b.Pickup.Lon, k, live.Filter{
		Class: live.ClassOf(b.Tier), Status: live.OnDuty, ReceivedSince: fleet.MillisOf(r.now.Add(-freshFor)),
	})
	if q.looked, q.others = k, match.Nobody; len(found) == k {
		q.others = r.cfg.Travel.AtLeast(r.now, found[k-1].Distance)
	}
	near := make([]prospect, len(found))
	for i, n := range found {
		near[i] = prospect{driver: fleet.DriverID(n.Unit), at: eta.Point{Lat: n.Lat, Lon: n.Lon}}
	}
	return near
}

// addWherever adds an officer wherever they are: whom the principal prefers, and
// who is planned.
func (r *matching) addWherever(near []prospect, driver fleet.DriverID) []prospect {
	if at, heard := r.heard(driver); heard && !driver.IsZero() {
		return append(near, prospect{driver: driver, at: at})
	}
	return near
}

// heard is where an officer is of whom something was heard.
func (e *Engine) heard(driver fleet.DriverID) (at eta.Point, ok bool) {
	fix, shown := e.cfg.Map.Get(fleet.Unit(driver))
	return eta.Point{Lat: fix.Lat, Lon: fix.Lon}, shown && fix.Received >= fleet.MillisOf(e.clock.Now().Add(-freshFor))
}

// meet reads what is known of officers. Each gets a column of the graph; whoever
// came on the map when there was none left waits for the next round.
func (r *matching) meet(near []prospect) error {
	var unknown []fleet.DriverID
	for _, p := range near {
		if _, known := r.columns[p.driver]; !known && len(r.columns) < r.most {
			r.columns[p.driver] = int32(len(r.columns))
			unknown = append(unknown, p.driver)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	known, err := r.roster.get(r.ctx, unknown)
	if err != nil {
		return err
	}
	worked, err := r.duty.Worked(r.ctx, unknown, r.now.Add(-r.cfg.Work.Within))
	if err != nil {
		return err
	}
	for id, c := range known {
		r.officers[id], r.left[id] = c, r.shift().Left(worked[id], r.now)
	}
	return nil
}

// consider makes options of those who could have a seat, unless they are. It changes
// near.
func (r *matching) consider(q *request, near []prospect) {
	near = slices.DeleteFunc(near, func(p prospect) bool {
		if q.met[p.driver] || !r.available(q, p.driver) {
			return true
		}
		_, suits := r.option(q, &p, p.after) // the longer the way, the more stands against it
		q.met[p.driver] = suits
		return !suits
	})
	if len(near) == 0 {
		return
	}
	from := make([]eta.Point, len(near))
	for i := range near {
		from[i] = near[i].at
	}
	to := []eta.Point{{Lat: q.booking.Pickup.Lat, Lon: q.booking.Pickup.Lon}}
	for i, legs := range r.cfg.Travel.Matrix(r.asking, r.now, from, to) {
		if o, ok := r.option(q, &near[i], near[i].after+legs[0].Time); ok {
			q.options = append(q.options, o)
		}
	}
}

// available reports whether an officer may be asked for a seat at all.
func (r *matching) available(q *request, driver fleet.DriverID) bool {
	c := r.officers[driver]
	return c != nil && c.Duty == fleet.OnDuty && !r.open.drivers[driver] && !slices.Contains(r.excluded[q.booking.ID], driver)
}
