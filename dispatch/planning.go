package dispatch

import (
	"bytes"
	"context"
	"math"
	"slices"
	"time"

	"armora/dispatch/eta"
	"armora/dispatch/plan"
	"armora/fleet"
	"armora/schema"
)

// planning is one making of the rolling plan: the problem, and what its numbers
// stand for. Times in it are counted from now.
type planning struct {
	*Engine
	now      time.Time
	open     *openOffers
	excluded map[fleet.BookingID][]fleet.DriverID
	problem  plan.Problem
	officers map[fleet.DriverID]int
	people   []worker                 // of each officer
	work     []work                   // of each job
	without  map[fleet.BookingID]bool // scheduled, and nobody is planned
}

// worker is what an officer stands for.
type worker struct {
	*schema.Candidate
	left time.Duration // for how long they may still work in this shift
}

// work is what a job stands for.
type work struct {
	booking *fleet.Booking // nil: it is somebody's for certain, and only takes their time
	seats   []fleet.Seat   // those that are open
}

// read makes the problem.
func (d *planning) read(ctx context.Context, bookings []fleet.Booking) error {
	taken, err := d.AllTaken(ctx)
	if err != nil {
		return err
	}
	var ids []fleet.BookingID
	for i := range taken {
		ids = append(ids, taken[i].Booking)
	}
	assigned, err := d.ByIDs(ctx, ids)
	if err != nil {
		return err
	}
	if err := d.meet(ctx, taken); err != nil {
		return err
	}
	ids = ids[:0]
	for i := range bookings {
		ids = append(ids, bookings[i].ID)
	}
	if d.excluded, err = d.Excluded(ctx, ids); err != nil {
		return err
	}
	d.addTaken(taken, assigned)
	d.addWanted(bookings)
	d.problem.Rules = plan.DefaultRules()
	d.problem.Rules.Margin, d.problem.Rules.Rounds = readyMargin, replanRounds
	d.problem.Travel, d.problem.May = d.travel, d.may
	return nil
}

// meet finds the officers: who is on duty or has been lately, and who is taken.
func (d *planning) meet(ctx context.Context, taken []fleet.Seat) error {
	drivers, err := d.duty.OnDutySince(ctx, d.now.Add(-lately))
	if err != nil {
		return err
	}
	for i := range taken {
		drivers = append(drivers, taken[i].Driver)
	}
	slices.SortFunc(drivers, func(a, b fleet.DriverID) int { return bytes.Compare(a[:], b[:]) })
	drivers = slices.Compact(drivers)
	known, err := d.roster.get(ctx, drivers)
	if err != nil {
		return err
	}
	worked, err := d.duty.Worked(ctx, drivers, d.now.Add(-d.shift().Within))
	if err != nil {
		return err
	}
	for _, driver := range drivers {
		if c := known[driver]; c != nil {
			d.addOfficer(c, d.shift().Left(worked[driver], d.now))
		}
	}
	return nil
}

// addOfficer adds somebody who may still work for so long in this shift. In the
// horizon they work for one shift's hours in all, at whatever times: who has nothing
// to do is expected to go off duty, and to come when there is work.
func (d *planning) addOfficer(c *schema.Candidate, left time.Duration) {
	shift := d.shift().Shift
	o := plan.Officer{At: nowhere, Off: horizon + shift, Latest: horizon + shift, Hours: shift + turnaround}
	if fix, shown := d.cfg.Map.Get(fleet.Unit(c.Driver)); shown {
		o.At = plan.Spot{X: fix.Lon, Y: fix.Lat}
	}
	if c.OnDuty.IsZero() {
		o.Free = shift - left
	}
	d.officers[c.Driver] = len(d.people)
	d.people = append(d.people, worker{c, left})
	d.problem.Officers = append(d.problem.Officers, o)
}

// nowhere is where officers are of whom that is not known.
var nowhere = plan.Spot{X: math.Inf(1)}

// addTaken adds what officers have accepted. What has begun makes them free later
// and elsewhere, and the rest is firm.
func (d *planning) addTaken(taken []fleet.Seat, bookings []fleet.Booking) {
	byID := make(map[fleet.BookingID]*fleet.Booking, len(bookings))
	for i := range bookings {
		byID[bookings[i].ID] = &bookings[i]
	}
	for _, s := range taken {
		b, until := byID[s.Booking], s.To.Sub(d.now)
		officer, known := d.officers[s.Driver]
		if b == nil || !known {
			continue
		}
		if !s.From.After(d.now) {
			o := &d.problem.Officers[officer]
			o.Free, o.At = max(o.Free, until), endOf(b)
			continue
		}
		d.add(work{}, plan.Job{Start: b.Start.Sub(d.now), End: until, From: spotOf(b.Pickup), To: endOf(b), Firm: []int{officer}})
	}
}

// officer is the number of somebody; plan.None if they are not among those of the
// plan.
func (d *planning) officer(driver fleet.DriverID) int {
	if o, known := d.officers[driver]; known {
		return o
	}
	return plan.None
}

// addWanted adds the bookings that start later and have seats that are open, each
// of which is to have the officer of the last plan, or whom the principal prefers.
func (d *planning) addWanted(bookings []fleet.Booking) {
	for i := range bookings {
		b := &bookings[i]
		if b.Now() || b.Funded.IsZero() || !b.Start.After(d.now) {
			continue
		}
		w, start := work{booking: b}, b.Start.Sub(d.now)
		job := plan.Job{Start: start, End: start + d.longest(b) + turnaround, From: spotOf(b.Pickup), To: endOf(b)}
		for _, s := range b.Seats {
			if s.State != fleet.SeatOpen || !s.Relieves.IsZero() {
				continue
			}
			driver := d.rolling.officer(s.ID)
			if driver.IsZero() && s.Number == 1 {
				driver = b.Preferred
			}
			w.seats = append(w.seats, s)
			job.Planned = append(job.Planned, d.officer(driver))
			firm := plan.None
			if o, offered := d.open.seats[s.ID]; offered {
				firm = d.officer(o.Driver)
			}
			job.Firm = append(job.Firm, firm)
		}
		if job.Seats = len(w.seats); job.Seats > 0 {
			d.add(w, job)
		}
	}
}

func (d *planning) add(w work, job plan.Job) {
	d.problem.Jobs, d.work = append(d.problem.Jobs, job), append(d.work, w)
}

func spotOf(p fleet.Place) plan.Spot { return plan.Spot{X: p.Lon, Y: p.Lat} }

// endOf is where a booking ends: where it began, if it has no destination.
func endOf(b *fleet.Booking) plan.Spot {
	if b.Destination != nil {
		return spotOf(*b.Destination)
	}
	return spotOf(b.Pickup)
}

func (d *planning) travel(at time.Duration, from, to plan.Spot) time.Duration {
	if from == nowhere {
		return unknownPickup
	}
	return d.cfg.Travel.Rough(d.now.Add(at), eta.Point{Lat: from.Y, Lon: from.X}, eta.Point{Lat: to.Y, Lon: to.X})
}

// inShift reports whether who may still work for so long in this shift may do a job
// that starts and ends so long from now. What they have not done by the shift's end,
// they may begin after as much rest as they have had work.
func (e *Engine) inShift(start, end, left time.Duration) bool {
	return end <= left || start >= e.shift().Shift-left
}

// longest is what is planned of a booking: of what goes on longer an officer is
// relieved.
func (e *Engine) longest(b *fleet.Booking) time.Duration {
	return min(b.Booked(), e.shift().Shift-2*time.Hour)
}

// may reports whether somebody suits a seat.
func (d *planning) may(officer, job int, lead bool) bool {
	w, who, at := &d.work[job], &d.people[officer], &d.problem.Jobs[job]
	if w.booking == nil {
		return true
	}
	lead = lead && w.seats[0].Number == 1
	return d.inShift(at.Start, at.End-turnaround, who.left) &&
		!slices.Contains(d.excluded[w.booking.ID], who.Driver) &&
		unsuited(&w.booking.Order, lead, who.Candidate, w.booking.End().Add(turnaround)) == ""
}

// plan solves the problem and keeps what comes out.
func (d *planning) plan() {
	found, p := d.rolling.planner.Plan(&d.problem), &d.rolling
	p.seats, p.ahead = make(map[fleet.SeatID]planned), make(map[fleet.DriverID][]planned)
	d.without = make(map[fleet.BookingID]bool)
	for o, stops := range found.Itineraries {
		for _, stop := range stops {
			w, job := &d.work[stop.Job], &d.problem.Jobs[stop.Job]
			if w.booking == nil {
				continue
			}
			is := planned{booking: w.booking.ID, driver: d.people[o].Driver, setOut: d.now.Add(stop.SetOut), to: d.now.Add(job.End)}
			p.seats[w.seats[stop.Seat].ID] = is
			p.ahead[is.driver] = append(p.ahead[is.driver], is)
		}
	}
	for j, w := range d.work {
		if w.booking != nil && w.booking.Status == fleet.Scheduled && slices.Contains(found.Seats[j], plan.None) {
			d.without[w.booking.ID] = true
		}
	}
}
