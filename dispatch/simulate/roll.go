package simulate

import (
	"slices"
	"time"

	"armora/dispatch/plan"
)

// promptly is how far away an officer may be, with the margin, for a booking that is
// for at once and has just been made. After that they may come from as far as its
// patience allows.
const promptly = 30 * time.Minute

// quickest is the hour at which the model of travel has the shortest ways.
const quickest = 4 * time.Hour

// roll is the rolling plan: what is known is planned by dispatch/plan, and whom it is
// time to send is sent.
type roll struct {
	planner plan.Planner
	planned map[int][]int // of each booking, by the last plan
	setOut  map[int]time.Duration
}

func (p *roll) pair(g *guard) {
	p.sendDue(g)
	if p.planned == nil || g.changed || p.late(g) {
		p.plan(g)
		p.sendDue(g)
	}
}

// sendDue makes firm what it is time for.
func (p *roll) sendDue(g *guard) {
	for _, b := range g.open {
		if p.planned[b] != nil && p.setOut[b]-g.Rules.Firm <= g.now && p.able(g, b) {
			g.send(b, p.planned[b])
			delete(p.planned, b)
		}
	}
}

// late reports whether a booking waits that should have begun.
func (p *roll) late(g *guard) bool {
	return slices.ContainsFunc(g.open, func(b int) bool {
		return g.bookings[b].outcome == waiting && g.bookings[b].start <= g.now
	})
}

// able reports whether all planned officers can go: one may have work that overran.
func (p *roll) able(g *guard, b int) bool {
	for n, o := range p.planned[b] {
		if _, ok := g.reaches(o, b); !ok || !g.may(o, b, n == 0) {
			return false
		}
	}
	return true
}

// plan plans all open bookings anew, by what is known now.
func (p *roll) plan(g *guard) {
	var open []int
	for _, b := range g.open {
		if g.bookings[b].outcome == waiting {
			open = append(open, b)
		}
	}
	problem := g.problem(open, p.planned)
	made := p.planner.Plan(problem)
	p.planned, p.setOut = make(map[int][]int), make(map[int]time.Duration)
	for j, b := range open {
		if made.Seats[j][0] != plan.None {
			p.planned[b] = made.Seats[j]
		}
	}
	for _, itinerary := range made.Itineraries {
		for _, stop := range itinerary {
			b := open[stop.Job]
			out := stop.SetOut
			if g.bookings[b].start <= g.now { // for at once, or late
				out = g.now
			}
			if before, ok := p.setOut[b]; !ok || out < before {
				p.setOut[b] = out
			}
		}
	}
}

// problem is what the planner is given: the officers as they are, and the bookings.
// One whose start has come begins as soon as somebody is there.
func (g *guard) problem(open []int, planned map[int][]int) *plan.Problem {
	rules := plan.DefaultRules()
	rules.Margin, rules.Rounds = g.Rules.Margin, g.Rules.Rounds
	problem := &plan.Problem{
		Rules: rules,
		Travel: func(at time.Duration, from, to plan.Spot) time.Duration {
			return g.travel(at, fromPlan(from), fromPlan(to))
		},
		May: func(officer, job int, lead bool) bool { return g.may(officer, open[job], lead) },
	}
	for i := range g.officers {
		o := &g.officers[i]
		problem.Officers = append(problem.Officers, plan.Officer{
			Free: max(o.free, o.on), At: toPlan(o.at), Off: o.off, Latest: o.off + g.Rules.Overtime,
		})
	}
	for _, i := range open {
		b := &g.bookings[i]
		start := b.start
		if start <= g.now {
			start = min(g.now+promptly, b.start+g.Rules.Patience)
		}
		problem.Jobs = append(problem.Jobs, plan.Job{
			Start: start, End: start + b.length, From: toPlan(b.from), To: toPlan(b.to),
			Seats: b.seats, Value: b.length, Planned: planned[i],
		})
	}
	return problem
}

// bound is how many officer-hours no policy can serve more than, knowing the whole day
// from the beginning: plan.Planner.Bound, the flow that relaxes teams and the limit
// of shifts along a chain of work, where in addition every booking begins as late as
// its patience allows and yet ends as early as if it had begun in time, and every way
// is as short as it can be in truth.
func (w *Watch) bound() time.Duration {
	g := newDay(w)
	all := make([]int, len(g.bookings))
	for i := range all {
		all[i] = i
	}
	g.now = g.bookings[0].asked
	for i := range g.officers {
		g.officers[i].free = g.officers[i].on
	}
	problem := g.problem(all, nil)
	for j, i := range all {
		b, job := &g.bookings[i], &problem.Jobs[j]
		job.Start, job.End = b.start+w.Rules.Patience, b.start+b.length
	}
	problem.Rules.Margin = 0
	problem.Travel = func(_ time.Duration, from, to plan.Spot) time.Duration {
		return g.travel(quickest, fromPlan(from), fromPlan(to)) * 4 / 5 // which is what noise leaves
	}
	var planner plan.Planner
	return planner.Bound(problem)
}
