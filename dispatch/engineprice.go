package dispatch

import (
	"slices"
	"time"

	"armora/dispatch/match"
	"armora/fleet"
	"armora/schema"
)

// readyMargin is how much earlier than need be an officer sets out, and turnaround
// what is between the end of a trip and the officer's next.
const (
	readyMargin = 5 * time.Minute
	turnaround  = 15 * time.Minute
)

// What an officer costs, in time of pick-up, beyond what match.Weights says.
const (
	lapseCost = 10 * time.Minute // for each time that they let this booking's offer pass
	// preferred is how much later the officer may come whom the principal prefers:
	// they are asked first also from across a town.
	preferred = time.Hour
	// unserved is the price of leaving a seat open, more than any way costs.
	unserved = 365 * 24 * time.Hour
)

// option is an officer who could have a seat.
type option struct {
	prospect
	match.Candidate
	from, to time.Time // their time that it takes
}

// option is an officer who is there in so long, with what speaks for and against them;
// ok: they can have the seat.
func (r *matching) option(q *request, p *prospect, pickup time.Duration) (o option, ok bool) {
	b, c := q.booking, r.officers[p.driver]
	o = option{prospect: *p}
	o.from, o.to = span(b, r.now, pickup)
	if !free(r.taken[p.driver], p.seat, o.from, o.to) || !r.rested(&o) || unsuited(&b.Order, q.seat.Number == 1, c, o.to) != "" {
		return o, false
	}
	o.Candidate = match.Candidate{Column: r.columns[p.driver], Terms: r.terms(q, c, &o, pickup)}
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
func (r *matching) rested(o *option) bool {
	return r.left[o.driver] >= min(o.to.Sub(o.from)-turnaround, r.cfg.Work.Shift*5/6)
}

// terms are what it takes until the officer is there, and what else speaks for or
// against asking them.
func (r *matching) terms(q *request, c *schema.Candidate, o *option, pickup time.Duration) match.Terms {
	idleSince, lapsed := c.OnDuty, r.lapsed[q.booking.ID][o.driver]
	if c.LastWork.After(idleSince) {
		idleSince = c.LastWork
	}
	if o.stage == leaves { // and works till then
		idleSince = r.now
	}
	return match.Terms{
		Pickup: pickup,
		// Two more offers that were accepted are assumed of everybody.
		Acceptance: float64(c.Accepted+2) / float64(c.Asked+2),
		Idle:       r.now.Sub(idleSince),
		Share:      r.share(c),
		Preferred:  q.seat.Number == 1 && q.booking.Preferred == o.driver,
		Other:      lapseCost*time.Duration(lapsed) + r.rolling.cost(q, o, lapsed > 0),
	}
}

// meanWork is how much officers on duty have worked lately, on average: those who
// are looked at first.
func (r *matching) meanWork() time.Duration {
	var all time.Duration
	n := time.Duration(0)
	for _, c := range r.officers {
		if c.Duty == fleet.OnDuty {
			all, n = all+c.Worked, n+1
		}
	}
	return all / max(n, 1)
}

// share is how much an officer has worked lately, by what others have: 1 if nobody
// has.
func (r *matching) share(c *schema.Candidate) float64 {
	if r.mean == 0 {
		return 1
	}
	return c.Worked.Hours() / r.mean.Hours()
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

// free reports whether none of the seats takes a part of the time, but for one that
// is given up; nil: none is.
func free(taken []fleet.Seat, but *fleet.Seat, from, to time.Time) bool {
	return !slices.ContainsFunc(taken, func(s fleet.Seat) bool {
		return (but == nil || s.ID != but.ID) && s.From.Before(to) && from.Before(s.To)
	})
}
