package dispatch

import (
	"context"
	"slices"
	"time"

	"armora/dispatch/eta"
	"armora/dispatch/match"
	"armora/fleet"
	"armora/live"
	"armora/schema"
)

const (
	// freshFor is how old the last sign of an officer may be, by its receipt.
	freshFor = 2 * time.Minute
	// nearby is how many officers are looked at for a seat, and the most for one
	// that was left unmatched.
	nearby, farthest = 20, 320
	// wider is by how much more are looked at then.
	wider = 4
	// readyMargin is how much earlier than need be an officer sets out, and
	// turnaround what is between the end of a trip and the officer's next.
	readyMargin = 5 * time.Minute
	turnaround  = 15 * time.Minute
)

// What an officer costs, in time of pick-up, beyond what match.Weights says.
const (
	lapseCost = 10 * time.Minute // for each time that they let this booking's offer pass
	unserved  = 365 * 24 * time.Hour
	// preferred is how much later the officer may come whom the principal prefers:
	// they are asked first also from across a town.
	preferred = time.Hour
)

// request is a seat for which somebody is looked for.
type request struct {
	booking *fleet.Booking
	seat    fleet.Seat
	looked  int // at how many officers
	options []option
}

// option is an officer who could have the seat.
type option struct {
	driver   fleet.DriverID
	vehicle  fleet.VehicleID
	pickup   time.Duration
	from, to time.Time
	cost     match.Cost
}

// matching is one round of it, and what it has read for that.
type matching struct {
	*Engine
	now      time.Time
	open     *openOffers
	excluded map[fleet.BookingID][]fleet.DriverID
	lapsed   map[fleet.BookingID]map[fleet.DriverID]int
	officers map[fleet.DriverID]*schema.Candidate
	taken    map[fleet.DriverID][]fleet.Seat
	left     map[fleet.DriverID]time.Duration // for how long they may still work
}

// match pairs the seats for which nobody has been asked with officers, and asks
// these.
func (e *Engine) match(ctx context.Context, term schema.Term, bookings []fleet.Booking, open *openOffers) error {
	now := e.clock.Now()
	requests := wanted(bookings, open)
	if len(requests) == 0 || len(requests) > shortQueue && now.Before(e.matched.Add(e.pause)) && !now.Before(e.matched) {
		return nil
	}
	r := &matching{
		Engine: e, now: now, open: open, officers: make(map[fleet.DriverID]*schema.Candidate),
		taken: make(map[fleet.DriverID][]fleet.Seat), left: make(map[fleet.DriverID]time.Duration),
	}
	matched, err := r.solve(ctx, requests)
	if err != nil {
		return err
	}
	e.matched, e.pause = now, tickEvery
	if left := len(requests) - len(matched); left > 0 {
		// The more are left over, the more it pays to wait for who gets free.
		e.pause += (maxPause - tickEvery) * time.Duration(left) / time.Duration(len(requests))
	}
	return inParallel(len(matched), func(i int) error { return e.offer(ctx, term, &matched[i]) })
}

// wanted lists the seats that are open and not offered, the oldest booking first.
func wanted(bookings []fleet.Booking, open *openOffers) []*request {
	var requests []*request
	for i := range bookings {
		b := &bookings[i]
		if b.Status == fleet.Scheduled || b.Status.Ended() {
			continue
		}
		for _, s := range b.Seats {
			if _, offered := open.seats[s.ID]; s.State == fleet.SeatOpen && !offered {
				requests = append(requests, &request{booking: b, seat: s})
			}
		}
	}
	return requests
}

// paired is a seat and the officer who is to be asked.
type paired struct {
	*request
	option
}

// solve finds officers for as many of the requests as can be, at the least cost.
// For a request that gets nobody, it looks farther.
func (r *matching) solve(ctx context.Context, requests []*request) ([]paired, error) {
	if err := r.read(ctx, requests); err != nil {
		return nil, err
	}
	look, k := requests, nearby
	for {
		if err := r.look(ctx, look, k); err != nil {
			return nil, err
		}
		matched, unmatched := r.assign(requests)
		look = slices.DeleteFunc(unmatched, func(q *request) bool { return q.looked < k }) // there are no more
		if k *= wider; len(look) == 0 || k > farthest {
			return matched, nil
		}
	}
}

// read reads what does not depend on who is near.
func (r *matching) read(ctx context.Context, requests []*request) (err error) {
	ids := make([]fleet.BookingID, len(requests))
	for i, q := range requests {
		ids[i] = q.booking.ID
	}
	if r.excluded, err = r.Excluded(ctx, ids); err != nil {
		return err
	}
	r.lapsed, err = r.offers.Lapsed(ctx, ids)
	return err
}

// look finds who could have each of the seats, among the k nearest.
func (r *matching) look(ctx context.Context, requests []*request, k int) error {
	near := make([][]live.Neighbour, len(requests))
	unknown := make(map[fleet.DriverID]bool)
	for i, q := range requests {
		b := q.booking
		near[i] = r.cfg.Map.Nearest(nil, b.Pickup.Lat, b.Pickup.Lon, k, live.Filter{
			Class: live.ClassOf(b.Tier), Status: live.OnDuty, ReceivedSince: fleet.MillisOf(r.now.Add(-freshFor)),
		})
		q.looked = len(near[i])
		near[i] = r.addWherever(near[i], b, b.Preferred)
		near[i] = r.addWherever(near[i], b, r.rolling.officer(q.seat.ID))
		for j := range near[i] {
			if driver := fleet.DriverID(near[i][j].Unit); r.officers[driver] == nil {
				unknown[driver] = true
			}
		}
	}
	if err := r.meet(ctx, unknown); err != nil {
		return err
	}
	return inParallel(len(requests), func(i int) error {
		r.price(ctx, requests[i], near[i])
		return nil
	})
}

// price makes options of those who could have a seat.
func (r *matching) price(ctx context.Context, q *request, near []live.Neighbour) {
	near = slices.DeleteFunc(near, func(n live.Neighbour) bool { return !r.available(q, fleet.DriverID(n.Unit)) })
	from := make([]eta.Point, len(near))
	for i, n := range near {
		from[i] = eta.Point{Lat: n.Lat, Lon: n.Lon}
	}
	q.options = q.options[:0]
	for i, legs := range r.cfg.Travel.Matrix(ctx, r.now, from, []eta.Point{{Lat: q.booking.Pickup.Lat, Lon: q.booking.Pickup.Lon}}) {
		if o, ok := r.option(q, fleet.DriverID(near[i].Unit), legs[0].Time); ok {
			q.options = append(q.options, o)
		}
	}
}

// available reports whether an officer may be asked for a seat at all.
func (r *matching) available(q *request, driver fleet.DriverID) bool {
	c := r.officers[driver]
	return c != nil && c.Duty == fleet.OnDuty && !r.open.drivers[driver] && !slices.Contains(r.excluded[q.booking.ID], driver)
}

// addWherever adds an officer wherever they are: whom the principal prefers, and
// who is planned.
func (r *matching) addWherever(near []live.Neighbour, b *fleet.Booking, driver fleet.DriverID) []live.Neighbour {
	unit := fleet.Unit(driver)
	if driver.IsZero() || slices.ContainsFunc(near, func(n live.Neighbour) bool { return n.Unit == unit }) {
		return near
	}
	fix, shown := r.cfg.Map.Get(unit)
	if !shown || fix.Received < fleet.MillisOf(r.now.Add(-freshFor)) {
		return near
	}
	away := fleet.Distance(fix.Lat, fix.Lon, b.Pickup.Lat, b.Pickup.Lon)
	return append(near, live.Neighbour{Unit: unit, Distance: away, Lat: fix.Lat, Lon: fix.Lon, Received: fix.Received})
}

// meet reads what is known of officers, and when they are taken.
func (r *matching) meet(ctx context.Context, unknown map[fleet.DriverID]bool) error {
	if len(unknown) == 0 {
		return nil
	}
	ids := make([]fleet.DriverID, 0, len(unknown))
	for id := range unknown {
		ids = append(ids, id)
	}
	known, err := r.roster.get(ctx, ids)
	if err != nil {
		return err
	}
	taken, err := r.Taken(ctx, ids)
	if err != nil {
		return err
	}
	worked, err := r.duty.Worked(ctx, ids, r.now.Add(-r.cfg.Work.Within))
	if err != nil {
		return err
	}
	for id, c := range known {
		r.officers[id], r.left[id] = c, r.shift().Left(worked[id], r.now)
	}
	for _, s := range taken {
		r.taken[s.Driver] = append(r.taken[s.Driver], s)
	}
	return nil
}

// option is an officer with what they cost; ok: they can have the seat.
func (r *matching) option(q *request, driver fleet.DriverID, pickup time.Duration) (o option, ok bool) {
	b, c := q.booking, r.officers[driver]
	o.driver, o.pickup = driver, pickup
	o.from, o.to = span(b, r.now, pickup)
	if unsuited(&b.Order, q.seat.Number == 1, c, o.to) != "" || !free(r.taken[driver], o.from, o.to) || !r.rested(driver, &o) {
		return o, false
	}
	o.vehicle = vehicleOf(c, o.to)
	o.cost = r.cost(q, c, &o)
	return o, true
}

// shift is how long officers may work in all. The break that they need meanwhile
// is Trips' to see to, with relief.
func (e *Engine) shift() fleet.WorkLimits {
	limits := e.cfg.Work
	limits.Stretch = limits.Shift
	return limits
}

// rested reports whether an officer may work to the end of a trip. Of one that is
// about as long as a whole shift, or longer, nobody may: who begins it has most
// of a shift before them, and is relieved in time.
func (r *matching) rested(driver fleet.DriverID, o *option) bool {
	return r.left[driver] >= min(o.to.Sub(o.from)-turnaround, r.cfg.Work.Shift*5/6)
}

// cost is what it takes until the officer is there, with what else speaks for or
// against asking them.
func (r *matching) cost(q *request, c *schema.Candidate, o *option) match.Cost {
	idleSince, lapsed := c.OnDuty, r.lapsed[q.booking.ID][o.driver]
	if c.LastWork.After(idleSince) {
		idleSince = c.LastWork
	}
	cost := r.weights.Cost(&match.Terms{
		Pickup: o.pickup,
		// Two more offers that were accepted are assumed of everybody.
		Acceptance: float64(c.Accepted+2) / float64(c.Asked+2),
		Idle:       r.now.Sub(idleSince),
		Share:      1,
		Preferred:  q.seat.Number == 1 && q.booking.Preferred == o.driver,
	})
	return cost + match.Cost((lapseCost*time.Duration(lapsed) + r.rolling.cost(q, o, lapsed > 0)).Milliseconds())
}

// span is the time of an officer that a seat takes: from setting out, in time, to
// the end of the booked time, and what is needed before the next trip.
func span(b *fleet.Booking, now time.Time, pickup time.Duration) (from, to time.Time) {
	start, there := b.Start, now.Add(pickup)
	if b.Status == fleet.InProgress { // the seat is a relief
		start = there
	}
	if from = start.Add(-pickup - readyMargin); from.Before(now) {
		from = now
	}
	end := b.End()
	if late := there.Add(b.Booked()); b.Status != fleet.InProgress && late.After(end) {
		end = late
	}
	if !end.After(there) {
		end = there
	}
	return from, end.Add(turnaround)
}

// free reports whether none of the seats takes a part of the time.
func free(taken []fleet.Seat, from, to time.Time) bool {
	return !slices.ContainsFunc(taken, func(s fleet.Seat) bool { return s.From.Before(to) && from.Before(s.To) })
}

// assign pairs requests and officers.
func (r *matching) assign(requests []*request) (matched []paired, unmatched []*request) {
	columns := make(map[fleet.DriverID]int32)
	for _, q := range requests {
		for i := range q.options {
			if _, known := columns[q.options[i].driver]; !known {
				columns[q.options[i].driver] = int32(len(columns))
			}
		}
	}
	var graph match.Graph
	graph.Reset(len(columns))
	for _, q := range requests {
		edges := make([]match.Edge, len(q.options))
		for i := range q.options {
			edges[i] = match.Edge{Column: columns[q.options[i].driver], Cost: q.options[i].cost}
		}
		// Of those who compete, the one who has waited longer comes first.
		waited := r.now.Sub(q.booking.Created)
		graph.AddRow(match.Cost((unserved + waited).Milliseconds()), edges...)
	}
	solution := r.solver.Solve(&graph)
	for row, column := range solution.Column {
		q := requests[row]
		i := slices.IndexFunc(q.options, func(o option) bool { return column != match.None && columns[o.driver] == column })
		if i < 0 {
			unmatched = append(unmatched, q)
			continue
		}
		matched = append(matched, paired{q, q.options[i]})
	}
	return matched, unmatched
}
