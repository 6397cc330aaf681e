package simulate

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"armora/dispatch/eta"
	"armora/dispatch/plan"
)

// Watch is a run of security work: a seeded day of a city's protection. See newDay
// for what is asked for and who is at work.
//
// Some bookings are for at once, and the others are known ahead, each from when it was
// made. Every policy gets the same: all that is known by then, the same officers at
// the same places, and the same rule of who may do what. fifo and nearest look for
// officers when a booking is due, WatchRules.Lead before its start, as a dispatcher
// without a plan does. batch plans everything that is known with dispatch/plan, anew
// whenever something has changed, and sends an officer when it is time to set out.
//
// A booking is served if all its officers have been found who can be there, by the
// estimate, within its patience. A day is at most an officer's one shift.
type Watch struct {
	Bookings, Officers int
	Rules              WatchRules
	Seed               uint64
}

// WatchRules are what every policy is held to.
type WatchRules struct {
	Tick     time.Duration
	Lead     time.Duration // before the start, when fifo and nearest look for officers
	Firm     time.Duration // before an officer has to set out, when batch makes what it has planned firm
	Margin   time.Duration // how much earlier than need be somebody sets out
	Patience time.Duration // how late officers may come, by the estimate
	OnTime   time.Duration // how late is on time
	Overtime time.Duration // how long after a shift's end an officer may still be at work, by the booked time
	Noise    float64       // of travel: standard deviation of the logarithm of true by estimated, within 0.8 and 1.5
	Overruns float64       // share of bookings that go on longer than booked, by up to 30 min
	Rounds   int           // of the planner, each time
}

// DefaultWatchRules are those of the figures in docs/dispatch.md.
func DefaultWatchRules() WatchRules {
	return WatchRules{
		Tick: time.Minute, Lead: 90 * time.Minute, Firm: 10 * time.Minute, Margin: 5 * time.Minute, Patience: 45 * time.Minute,
		OnTime: 5 * time.Minute, Overtime: time.Hour, Noise: 0.15, Overruns: 0.3, Rounds: 300,
	}
}

// String is how the rules are printed beside figures.
func (r WatchRules) String() string {
	return fmt.Sprintf("tick %v, due %v before, firm %v before setting out, margin %v, patience %v, on time within %v, overtime up to %v, travel noise %v%%, %v%% overrun, %d rounds of planning",
		r.Tick, r.Lead, r.Firm, r.Margin, r.Patience, r.OnTime, r.Overtime, 100*r.Noise, 100*r.Overruns, r.Rounds)
}

// booking is a piece of work.
type booking struct {
	asked     time.Duration // since midnight; before it, if negative
	start     time.Duration
	length    time.Duration // as booked
	overrun   time.Duration
	from, to  spot
	seats     int
	tier      int
	certified bool // the lead has to be

	officers []int // who are sent
	begun    time.Duration
	given    time.Duration // when the officers were found
	outcome  outcome
}

// immediate reports whether it is for at once.
func (b *booking) immediate() bool { return b.asked == b.start }

// officer is somebody on duty for one shift.
type officer struct {
	on, off   time.Duration
	tier      int
	certified bool

	at    spot
	free  time.Duration // when the work that they have is over, as expected
	until time.Duration // and when it is in truth
	work  time.Duration
	empty time.Duration // on the way to bookings
	last  time.Duration // when their last work ended
}

// guard is a run under way.
type guard struct {
	*Watch
	bookings []booking // in the order in which they were made
	officers []officer
	next     int   // the first that has not been made yet
	open     []int // bookings that wait for officers
	now      time.Duration
	changed  bool
	solver   []time.Duration
	model    *eta.Model
}

// watchPolicy finds officers for open bookings by guard.send.
type watchPolicy func(*guard)

// Run plays the day once by a policy.
func (w *Watch) Run(ctx context.Context, name string) (WatchFigures, error) {
	g, err := w.play(ctx, name)
	if err != nil {
		return WatchFigures{}, err
	}
	return g.figures(), nil
}

func (w *Watch) play(ctx context.Context, name string) (*guard, error) {
	policy := newWatchPolicy(name)
	switch {
	case policy == nil:
		return nil, fmt.Errorf("no policy %q", name)
	case w.Bookings < 1 || w.Officers < 1:
		return nil, fmt.Errorf("%d bookings and %d officers", w.Bookings, w.Officers)
	}
	g := newDay(w)
	return g, g.run(ctx, policy)
}

// newWatchPolicy returns the policy of a name; nil if there is none.
func newWatchPolicy(name string) watchPolicy {
	switch name {
	case "fifo":
		return watchFIFO
	case "nearest":
		return watchNearest
	case "batch":
		return new(roll).pair
	}
	return nil
}

// run goes on until every booking has ended.
func (g *guard) run(ctx context.Context, policy watchPolicy) error {
	for g.now = g.bookings[0].asked; g.next < len(g.bookings) || len(g.open) > 0; g.now += g.Rules.Tick {
		if err := ctx.Err(); err != nil {
			return err
		}
		g.step(policy)
	}
	return nil
}

// step is one tick: who has made a booking waits, officers whose work is over are
// free, the policy sends officers, and bookings for which it is too late end.
func (g *guard) step(policy watchPolicy) {
	g.changed = false
	for g.next < len(g.bookings) && g.bookings[g.next].asked <= g.now {
		g.open = append(g.open, g.next)
		g.next++
		g.changed = true
	}
	for i := range g.officers {
		o := &g.officers[i]
		if o.until > g.now-g.Rules.Tick && o.until <= g.now {
			g.changed = true
		}
		switch {
		case o.until <= g.now:
			o.free = max(g.now, o.on)
		case o.free <= g.now: // it goes on, and nobody knows for how long
			o.free = g.now + 10*time.Minute
		}
	}
	began := time.Now()
	policy(g)
	g.solver = append(g.solver, time.Since(began))
	g.open = slices.DeleteFunc(g.open, func(i int) bool {
		b := &g.bookings[i]
		if b.outcome == waiting && g.now >= b.start+g.Rules.Patience {
			b.outcome = unserved
		}
		return b.outcome != waiting
	})
}

// travel is how long a way takes, as estimated.
func (g *guard) travel(at time.Duration, from, to spot) time.Duration {
	hour := int(at/time.Hour) % 24
	return g.model.Time((hour+24)%24, from.to(to))
}

// may reports whether an officer suits a booking.
func (g *guard) may(o, b int, lead bool) bool {
	officer, booking := &g.officers[o], &g.bookings[b]
	return officer.tier >= booking.tier && (!lead || !booking.certified || officer.certified)
}

// reaches reports whether an officer who is sent now does the booking within its
// patience and their shift, and how long the way is.
func (g *guard) reaches(o, b int) (way time.Duration, ok bool) {
	officer, booking := &g.officers[o], &g.bookings[b]
	if officer.until > g.now || officer.on > g.now {
		return 0, false
	}
	way = g.travel(g.now, officer.at, booking.from)
	there := max(booking.start, g.now+way)
	return way, there <= booking.start+g.Rules.Patience && there+booking.length <= officer.off+g.Rules.Overtime
}

// send gives a booking its officers, the lead first, for good. Each sets out so as to
// be there a little before the start.
func (g *guard) send(i int, officers []int) {
	b := &g.bookings[i]
	b.outcome, b.officers, b.given, b.begun = served, officers, g.now, b.start
	for _, o := range officers {
		officer := &g.officers[o]
		way := g.travel(g.now, officer.at, b.from)
		out := max(g.now, b.start-way-g.Rules.Margin)
		way = time.Duration(float64(way) * g.noise(i, o))
		officer.empty += way
		b.begun = max(b.begun, out+way)
	}
	for _, o := range officers {
		officer := &g.officers[o]
		officer.free, officer.until = b.begun+b.length, b.begun+b.length+b.overrun
		officer.at, officer.work, officer.last = b.to, officer.work+b.length+b.overrun, officer.until
	}
}

// noise is true by estimated travel of an officer to a booking, whatever the policy.
func (g *guard) noise(b, o int) float64 {
	return min(max(math.Exp(g.Rules.Noise*normal(g.Seed, int32(b), int32(o))), 0.8), 1.5)
}

// crew finds the officers for a booking who are nearest, the lead first: all, or
// none. far is how far the farthest of them is.
func (g *guard) crew(b int) (officers []int, far time.Duration) {
	type way struct {
		officer int
		takes   time.Duration
	}
	var ways []way
	for o := range g.officers {
		if takes, ok := g.reaches(o, b); ok && g.may(o, b, false) {
			ways = append(ways, way{o, takes})
		}
	}
	slices.SortFunc(ways, func(a, b way) int {
		return cmp.Or(cmp.Compare(a.takes, b.takes), cmp.Compare(a.officer, b.officer))
	})
	lead := slices.IndexFunc(ways, func(w way) bool { return g.may(w.officer, b, true) })
	seats := g.bookings[b].seats
	if lead < 0 || len(ways) < seats {
		return nil, 0
	}
	officers, far = append(officers, ways[lead].officer), ways[lead].takes
	for i := 0; len(officers) < seats; i++ {
		if i != lead {
			officers, far = append(officers, ways[i].officer), max(far, ways[i].takes)
		}
	}
	return officers, far
}

// due reports whether fifo and nearest look for a booking's officers.
func (g *guard) due(b int) bool {
	return g.bookings[b].outcome == waiting && g.now >= g.bookings[b].start-g.Rules.Lead
}

// watchFIFO gives each booking that is due, in the order in which they were made, the
// officers who are nearest.
func watchFIFO(g *guard) {
	for _, b := range g.open {
		if g.due(b) {
			if officers, _ := g.crew(b); officers != nil {
				g.send(b, officers)
			}
		}
	}
}

// watchNearest gives the booking whose officers are nearest of all those, and goes on
// with the rest.
func watchNearest(g *guard) {
	for {
		best, nearest := -1, time.Duration(math.MaxInt64)
		var officers []int
		for _, b := range g.open {
			if !g.due(b) {
				continue
			}
			if crew, far := g.crew(b); crew != nil && far < nearest {
				best, nearest, officers = b, far, crew
			}
		}
		if best < 0 {
			return
		}
		g.send(best, officers)
	}
}

// toPlan is a spot as the planner knows it.
func toPlan(p spot) plan.Spot { return plan.Spot{X: p.x, Y: p.y} }

func fromPlan(p plan.Spot) spot { return spot{p.X, p.Y} }
