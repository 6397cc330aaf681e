package simulate

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Rules are what every policy is held to.
type Rules struct {
	Tick     time.Duration // how often the policy is asked
	Patience time.Duration // how long a request waits to be promised a driver
	Detour   float64       // how much longer a way is than the crow's
	Speed    float64       // metres a second
	Start    time.Duration // of each way, until it is driven
	Decline  float64       // how likely a driver is to decline a request
	Noise    float64       // standard deviation of the logarithm of true by estimated pick-up time
	Swaps    bool          // whether batch may give a request another driver before the pick-up
}

// DefaultRules are those of the figures in docs/dispatch.md.
func DefaultRules() Rules {
	return Rules{
		Tick: 10 * time.Second, Patience: 5 * time.Minute,
		Detour: 1.35, Speed: 7, Start: 30 * time.Second,
		Decline: 0.05, Noise: 0.1, Swaps: true,
	}
}

// Check says what is wrong with the rules.
func (r *Rules) Check() error {
	switch {
	case r.Tick <= 0 || r.Patience < 0 || r.Start < 0:
		return fmt.Errorf("a tick of %v, a patience of %v, a start of %v", r.Tick, r.Patience, r.Start)
	case !(r.Speed > 0 && r.Detour >= 1):
		return fmt.Errorf("a speed of %v m/s and a detour of %v", r.Speed, r.Detour)
	case !(r.Decline >= 0 && r.Decline <= 1) || !(r.Noise >= 0 && r.Noise <= 1):
		return fmt.Errorf("declines of %v and a noise of %v are not within 0 to 1", r.Decline, r.Noise)
	}
	return nil
}

// String is how the rules are printed beside figures.
func (r Rules) String() string {
	swaps := "with swaps"
	if !r.Swaps {
		swaps = "no swaps"
	}
	return fmt.Sprintf("tick %v, patience %v, travel %v × crow-fly at %v m/s + %v, declines %v%%, ETA noise %v%%, %s",
		r.Tick, r.Patience, r.Detour, r.Speed, r.Start, 100*r.Decline, 100*r.Noise, swaps)
}

// travel is how long a way takes, as estimated.
func (r *Rules) travel(metres float64) time.Duration {
	return r.Start + time.Duration(metres*r.Detour/r.Speed*float64(time.Second))
}

// Ride is a run of on-demand trips.
type Ride struct {
	Demand  Demand
	Rules   Rules
	Drivers int
	Seed    uint64
}

// rider is a request on its way.
type rider struct {
	request
	declined []int32 // the drivers who have
	outcome  outcome
	driver   int32
	promised time.Duration // when the first driver was found
	met      time.Duration // when the driver is there, by what the world knows
	stint    int           // the driver's
	swapped  bool          // has another driver than the first
}

// stint is a driver's work for a rider: on the way to them, and with them.
type stint struct {
	driver, rider int32
	at            spot // where the driver set out
	from, until   time.Duration
}

type outcome uint8

const (
	waiting outcome = iota
	served
	unserved
)

// town is a run under way.
type town struct {
	*Ride
	length time.Duration
	riders []rider
	next   int     // the first rider who has not asked yet
	queue  []int32 // riders who wait, in the order in which they asked
	free   *grid
	busy   trips
	stints []stint // all there were
	now    time.Duration
	solver []time.Duration // real time of each round
}

// Run plays the demand once by a policy.
func (r *Ride) Run(ctx context.Context, name string) (Figures, error) {
	t, err := r.play(ctx, name)
	if err != nil {
		return Figures{}, err
	}
	return t.figures(), nil
}

func (r *Ride) play(ctx context.Context, name string) (*town, error) {
	p, err := newPolicy(name, r.Rules.Swaps)
	if err := errors.Join(err, r.Demand.Check(), r.Rules.Check()); err != nil {
		return nil, err
	}
	if r.Drivers < 1 || r.Drivers > math.MaxInt32 {
		return nil, fmt.Errorf("%d drivers", r.Drivers)
	}
	t := r.open()
	for !t.over() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		t.step(p)
	}
	return t, nil
}

// open asks for what is asked for, and puts the drivers where trips begin.
func (r *Ride) open() *town {
	t := &town{Ride: r, length: r.Demand.hour(r.Demand.To).Sub(r.Demand.hour(r.Demand.From))}
	for _, q := range r.Demand.requests(rand.New(rand.NewPCG(r.Seed, 1))) {
		t.riders = append(t.riders, rider{request: q, driver: gone})
	}
	low, high := box(t.riders)
	t.free = newGrid(make([]spot, r.Drivers), cellSide(low, high, r.Drivers), low, high)
	random := rand.New(rand.NewPCG(r.Seed, 2))
	for d := range r.Drivers {
		at := spot{}
		if len(t.riders) > 0 {
			at = jitter(t.riders[random.IntN(len(t.riders))].from, random)
		}
		t.free.put(int32(d), at)
	}
	return t
}

// over reports whether every request has ended.
func (t *town) over() bool { return t.next == len(t.riders) && len(t.queue) == 0 }

// step is one tick: who has arrived is free, who has asked waits, who has waited too
// long goes, and the policy pairs the rest.
func (t *town) step(p policy) {
	t.now += t.Rules.Tick
	for len(t.busy) > 0 && t.busy[0].until <= t.now {
		done := heap.Pop(&t.busy).(trip)
		if s := t.stints[done.stint]; s.until == done.until { // else they were sent elsewhere before
			t.free.put(s.driver, t.riders[s.rider].to)
		}
	}
	for t.next < len(t.riders) && t.riders[t.next].asked <= t.now {
		t.queue = append(t.queue, int32(t.next))
		t.next++
	}
	t.leave(func(r *rider) bool { return t.now-r.asked > t.Rules.Patience })
	if len(t.queue) == 0 || t.free.free == 0 {
		return
	}
	began := time.Now()
	pairs := p.pair(t)
	t.solver = append(t.solver, time.Since(began))
	t.offer(pairs)
	t.leave(func(*rider) bool { return false })
}

// leave takes those from the queue who have a driver, and those who give up.
func (t *town) leave(givesUp func(*rider) bool) {
	kept := t.queue[:0]
	for _, i := range t.queue {
		r := &t.riders[i]
		if r.outcome == waiting && givesUp(r) {
			r.outcome = unserved
		}
		if r.outcome == waiting {
			kept = append(kept, i)
		}
	}
	t.queue = kept
}

// offer asks the drivers. One who is on the way to somebody is asked once these have
// another, and not at all if they have not.
func (t *town) offer(pairs []pairing) {
	for asked := true; asked; {
		asked = false
		later := pairs[:0]
		for _, pair := range pairs {
			if t.free.where[pair.driver] == gone {
				later = append(later, pair)
				continue
			}
			t.ask(pair.rider, pair.driver)
			asked = true
		}
		pairs = later
	}
}

// ask asks a driver, who accepts and sets out, or declines and is not asked again.
// A rider who had another driver lets that one go then, wherever they are.
func (t *town) ask(i, driver int32) {
	r := &t.riders[i]
	if chance(t.Seed, i, driver, 1) < t.Rules.Decline {
		r.declined = append(r.declined, driver)
		return
	}
	if r.outcome == served {
		r.swapped = true
		at, _ := t.underway(r)
		t.stints[r.stint].until = t.now
		t.free.put(r.driver, at)
	} else {
		r.outcome, r.promised = served, t.now
	}
	at := t.free.at[driver]
	pickup := time.Duration(float64(t.Rules.travel(r.from.to(at))) * math.Exp(t.Rules.Noise*normal(t.Seed, i, driver)))
	r.driver, r.met, r.stint = driver, t.now+pickup, len(t.stints)
	t.free.take(driver)
	t.stints = append(t.stints, stint{driver, i, at, t.now, r.met + r.trip})
	heap.Push(&t.busy, trip{r.met + r.trip, r.stint})
}

// underway is where the driver is who is on the way to a rider, on a straight line,
// and how long they will take from there, as estimated.
func (t *town) underway(r *rider) (at spot, left time.Duration) {
	s := &t.stints[r.stint]
	part := float64(t.now-s.from) / float64(r.met-s.from)
	at = spot{s.at.x + part*(r.from.x-s.at.x), s.at.y + part*(r.from.y-s.at.y)}
	return at, t.Rules.travel(at.to(r.from)) - t.Rules.Start
}

// chance is a number in [0, 1) for somebody who asks and somebody who is asked: the
// same whichever policy asks, and whenever.
func chance(seed uint64, who, whom int32, use uint64) float64 {
	h := mix(seed<<8 ^ use)
	h = mix(h ^ uint64(who)<<32 ^ uint64(whom))
	return float64(h>>11) / (1 << 53)
}

// normal is chance with a standard normal distribution (Box and Muller).
func normal(seed uint64, who, whom int32) float64 {
	u, v := 1-chance(seed, who, whom, 2), chance(seed, who, whom, 3)
	return math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*v)
}

// mix is the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// trip is when a stint is to end.
type trip struct {
	until time.Duration
	stint int
}

// trips is a heap, the first to end first.
type trips []trip

func (h trips) Len() int { return len(h) }
func (h trips) Less(i, j int) bool {
	return h[i].until < h[j].until || h[i].until == h[j].until && h[i].stint < h[j].stint
}
func (h trips) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push is for container/heap.
func (h *trips) Push(x any) { *h = append(*h, x.(trip)) }

// Pop is for container/heap.
func (h *trips) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// box holds all but the outermost hundredth of where people are and go.
func box(riders []rider) (low, high spot) {
	xs, ys := make([]float64, 0, 2*len(riders)), make([]float64, 0, 2*len(riders))
	for i := range riders {
		xs = append(xs, riders[i].from.x, riders[i].to.x)
		ys = append(ys, riders[i].from.y, riders[i].to.y)
	}
	return spot{quantile(xs, 0.005), quantile(ys, 0.005)}, spot{quantile(xs, 0.995), quantile(ys, 0.995)}
}

// cellSide makes cells for 32 drivers each, were they spread evenly: most are busy.
func cellSide(low, high spot, drivers int) float64 {
	area := (high.x - low.x) * (high.y - low.y)
	return max(100, math.Sqrt(32*area/float64(drivers)))
}
