package dispatch

import (
	"context"
	"slices"
	"time"

	"armora/dispatch/match"
	"armora/fleet"
	"armora/schema"
)

// request is a seat for which somebody is looked for.
type request struct {
	booking *fleet.Booking
	seat    fleet.Seat
	holder  *match.Holder // who has the seat, and may be replaced; nil: nobody has it
	field
	got *option // whom it is given; nil: nobody, or whom it has
}

// matching is one round of it, and what it has read for that. Each of the parties is
// what is filled together or not at all: the seats of a booking that are open, one
// that relieves another, or one whose officer may be replaced.
type matching struct {
	*Engine
	ctx, asking context.Context // of the round; asking, of asking how long ways are, ends earlier
	now         time.Time
	open        *openOffers
	bookings    []fleet.Booking // for which anything is looked for, the oldest first
	parties     [][]*request
	excluded    map[fleet.BookingID][]fleet.DriverID
	lapsed      map[fleet.BookingID]map[fleet.DriverID]int
	officers    map[fleet.DriverID]*schema.Candidate
	taken       map[fleet.DriverID][]fleet.Seat
	left        map[fleet.DriverID]time.Duration // for how long they may still work
	mean        time.Duration                    // of the work lately of those who are near
	leaving     []prospect                       // who will be free in a moment

	columns map[fleet.DriverID]int32
	most    int // how many columns there may be
}

// match pairs the seats for which nobody has been asked with officers, and asks
// these.
func (e *Engine) match(ctx context.Context, term schema.Term, bookings []fleet.Booking, open *openOffers) error {
	now := e.clock.Now()
	e.forgetHolds(bookings)
	parties, seats := wanted(bookings, open)
	if !e.isTime(now, seats) {
		return nil
	}
	r, done := e.begin(ctx, now, bookings, parties, open)
	defer done()
	if err := r.solve(); err != nil {
		return err
	}
	asked := r.decide(seats)
	return inParallel(len(asked), func(i int) error { return e.offer(ctx, term, asked[i]) })
}

// isTime reports whether it is time to match so many seats: a short queue at once,
// and a long one when the pause is over in which officers get free and others come.
// If nobody waits, whoever is on their way may be replaced now and then.
func (e *Engine) isTime(now time.Time, seats int) bool {
	since := now.Sub(e.matched)
	switch {
	case e.matched.IsZero(), since < 0: // the clock was set back
		return true
	case seats == 0:
		return since >= maxPause
	case seats <= shortQueue:
		return true
	}
	return since >= e.pause
}

// begin begins a round. done ends what it has begun.
func (e *Engine) begin(ctx context.Context, now time.Time, bookings []fleet.Booking, parties [][]*request, open *openOffers) (r *matching, done func()) {
	asking, done := context.WithTimeout(ctx, askFor)
	return &matching{
		Engine: e, ctx: ctx, asking: asking, now: now, open: open, bookings: bookings, parties: parties,
		officers: make(map[fleet.DriverID]*schema.Candidate), taken: make(map[fleet.DriverID][]fleet.Seat),
		left: make(map[fleet.DriverID]time.Duration), columns: make(map[fleet.DriverID]int32), most: e.cfg.Map.Len(),
	}, done
}

// wanted lists the seats that are open and not offered, the oldest booking first,
// and says how many there are.
func wanted(bookings []fleet.Booking, open *openOffers) (parties [][]*request, seats int) {
	for i := range bookings {
		b := &bookings[i]
		if b.Status == fleet.Scheduled || b.Status.Ended() {
			continue
		}
		var team []*request
		for _, s := range b.Seats {
			if _, offered := open.seats[s.ID]; s.State != fleet.SeatOpen || offered {
				continue
			}
			seats++
			q := &request{booking: b, seat: s}
			if s.Relieves.IsZero() {
				team = append(team, q)
			} else {
				parties = append(parties, []*request{q})
			}
		}
		if len(team) > 0 {
			parties = append(parties, team)
		}
	}
	return parties, seats
}

// solve finds officers for as many of the requests as can be, at the least cost.
func (r *matching) solve() error {
	if err := r.addSwaps(); err != nil {
		return err
	}
	if err := r.read(); err != nil {
		return err
	}
	var requests []*request
	for _, party := range r.parties {
		requests = append(requests, party...)
	}
	if err := r.lookAround(requests); err != nil {
		return err
	}
	if err := r.assign(); err != nil {
		return err
	}
	if contested, err := r.contest(); err != nil || !contested {
		return err
	}
	return r.assign()
}

// read reads what does not depend on who is near.
func (r *matching) read() (err error) {
	var ids []fleet.BookingID
	for _, party := range r.parties {
		ids = append(ids, party[0].booking.ID)
	}
	if r.excluded, err = r.Excluded(r.ctx, ids); err != nil {
		return err
	}
	if r.lapsed, err = r.offers.Lapsed(r.ctx, ids); err != nil {
		return err
	}
	taken, err := r.AllTaken(r.ctx)
	if err != nil {
		return err
	}
	for _, s := range taken {
		r.taken[s.Driver] = append(r.taken[s.Driver], s)
	}
	return r.readFinishing()
}

// assign pairs requests and officers, at the least cost there is on the whole map:
// whoever was not looked at yet is where that would help.
func (r *matching) assign() (failed error) {
	r.round.Open(r.most)
	var rows []*request
	for _, party := range r.parties {
		seats := make([]match.Seat, len(party))
		for i, q := range party {
			q.got = nil
			rows, seats[i] = append(rows, q), match.Seat{Holder: q.holder, Candidates: candidates(nil, q.options), Others: q.others}
		}
		r.round.Add(r.now.Sub(party[0].booking.Created), seats...)
	}
	solution := r.round.Solve(func(dst []match.Candidate, row int) ([]match.Candidate, time.Duration) {
		if failed == nil {
			var found []option
			if found, failed = r.lookFarther(rows[row]); failed == nil {
				return candidates(dst, found), rows[row].others
			}
		}
		return dst, match.Nobody
	})
	for row, column := range solution.Column {
		q := rows[row]
		if q.holder != nil && column == q.holder.Column {
			continue
		}
		if i := slices.IndexFunc(q.options, func(o option) bool { return o.Column == column }); i >= 0 {
			q.got = &q.options[i]
		}
	}
	return failed
}

func candidates(dst []match.Candidate, options []option) []match.Candidate {
	for i := range options {
		dst = append(dst, options[i].Candidate)
	}
	return dst
}

// decide says which offers are made, and how long the next round waits. Whose seats
// would go to officers who are not free yet is held, for all of their team.
func (r *matching) decide(seats int) (asked [][]*request) {
	without, held := 0, false
	for _, party := range r.parties {
		q := party[0]
		switch {
		case q.holder != nil && q.got == nil: // it keeps whom it has
		case q.got == nil:
			without += len(party)
		case slices.ContainsFunc(party, func(q *request) bool { return q.got.stage == leaves }):
			r.holds[q.booking.ID], held = r.holds[q.booking.ID].After(true, r.now), true
		default:
			asked = append(asked, party)
		}
	}
	r.matched, r.pause = r.now, tickEvery
	if without > 0 && !held {
		// The more are left over, the more it pays to wait for who gets free.
		r.pause += (maxPause - tickEvery) * time.Duration(without) / time.Duration(seats)
	}
	return asked
}
