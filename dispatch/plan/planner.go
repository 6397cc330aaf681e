package plan

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"armora/dispatch/match"
)

// Planner makes plans and owns the memory for it, four bytes for each two jobs and
// for each officer and job. It is not for concurrent use.
type Planner struct {
	*Problem
	seats  []seat
	starts []int32 // of each job its first seat, and the number of all seats

	// ways holds the way from job i to job j at [i×jobs + j], and reach that from
	// where officer o begins to job j at [o×jobs + j], in milliseconds; never if j
	// begins too early for it.
	ways, reach []int32

	tours   []tour
	who     []int32 // the officer of each seat, or none
	cost    int64   // in milliseconds of travel, of the tours and of what they leave out
	touched touched
	picks   []pick
	absent  []int32   // jobs that are to be inserted
	removed []int32   // jobs that a round has removed
	could   [][]int32 // of each officer the seats that they could have, in order of start
	path    path
	free    []int32 // officers who are to be given work
	random  *rand.Rand

	graph  match.Graph // of Bound
	solver match.Solver
}

const (
	none  int32 = None
	never int32 = -1
)

// seat is one officer's part of a job.
type seat struct {
	job, number   int32
	start, end    int64 // milliseconds
	worth         int64 // milliseconds of travel
	firm, planned int32
	fits          []int32 // officers who could have it, if they did nothing else
}

// Plan makes a plan. It panics if the problem names officers who do not exist.
func (s *Planner) Plan(p *Problem) *Plan {
	s.open(p)
	s.begin()
	s.improve()
	s.settle()
	return s.plan()
}

// open reads the problem.
func (s *Planner) open(p *Problem) {
	s.Problem = p
	s.random = rand.New(rand.NewPCG(1, 2)) //nolint:gosec // it has to be the same each time
	s.seats, s.starts = s.seats[:0], s.starts[:0]
	for j := range p.Jobs {
		job := &p.Jobs[j]
		s.starts = append(s.starts, int32(len(s.seats)))
		worth := job.Value
		if worth == 0 {
			worth = job.End - job.Start
		}
		for n := range max(job.Seats, 1) {
			s.seats = append(s.seats, seat{
				job: int32(j), number: int32(n), start: job.Start.Milliseconds(), end: job.End.Milliseconds(),
				worth: worth.Milliseconds() * int64(p.Rules.Worth), firm: at(job.Firm, n), planned: at(job.Planned, n),
			})
		}
	}
	s.starts = append(s.starts, int32(len(s.seats)))
	s.measure()
	s.suit()
	s.list()
	s.tours = make([]tour, len(p.Officers))
	s.who = slices.Repeat([]int32{none}, len(s.seats))
	s.touched.is = nil
	s.cost = 0
	for i := range s.seats {
		s.cost += s.seats[i].worth
	}
}

func at(officers []int, n int) int32 {
	if n < len(officers) {
		return int32(officers[n])
	}
	return none
}

// measure finds the ways.
func (s *Planner) measure() {
	jobs := len(s.Jobs)
	s.ways, s.reach = resize(s.ways, jobs*jobs), resize(s.reach, len(s.Officers)*jobs)
	for j := range s.Jobs {
		job := &s.Jobs[j]
		for i := range s.Jobs {
			s.ways[i*jobs+j] = s.way(s.Jobs[i].End, s.Jobs[i].To, job)
		}
		for o := range s.Officers {
			s.reach[o*jobs+j] = s.way(s.Officers[o].Free, s.Officers[o].At, job)
		}
	}
}

func resize(old []int32, n int) []int32 {
	if cap(old) < n {
		return make([]int32, n)
	}
	return old[:n]
}

// way is how long the way to a job takes for somebody who is free at a time; never
// if they would be late.
func (s *Planner) way(free time.Duration, from Spot, to *Job) int32 {
	if free+s.Rules.Margin > to.Start {
		return never
	}
	took := s.Travel(free, from, to.From)
	if free+s.Rules.Margin+took > to.Start {
		return never
	}
	return int32((took + time.Millisecond - 1) / time.Millisecond)
}

// suit finds who could have each seat. All seats of a team but the lead's are
// alike.
func (s *Planner) suit() {
	for j := range s.Jobs {
		team := s.team(int32(j))
		for n := range min(len(team), 2) {
			team[n].fits = s.fits(j, n == 0)
		}
		for n := 2; n < len(team); n++ {
			team[n].fits = team[1].fits
		}
	}
}

func (s *Planner) fits(j int, lead bool) (officers []int32) {
	job := &s.Jobs[j]
	for o := range s.Officers {
		officer, way := &s.Officers[o], s.reach[o*len(s.Jobs)+j]
		if way == never || job.End > officer.Latest {
			continue
		}
		if officer.Hours > 0 && time.Duration(way)*time.Millisecond+job.End-job.Start > officer.Hours {
			continue
		}
		if s.May == nil || s.May(o, j, lead) {
			officers = append(officers, int32(o))
		}
	}
	return officers
}

// list finds the seats that each officer could have, in order of start.
func (s *Planner) list() {
	s.could = make([][]int32, len(s.Officers))
	order := make([]int32, len(s.seats))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(s.seats[a].start, s.seats[b].start) })
	for _, i := range order {
		for _, o := range s.seats[i].fits {
			s.could[o] = append(s.could[o], i)
		}
	}
}

// tour is what an officer does, in order of start, with its sums.
type tour struct {
	stops  []int32 // seats
	travel int64
	busy   int64 // travel, and the jobs' time
	over   int64 // overtime
	price  int64 // of all that, and of switches
}

// give and take change who has a seat.
func (s *Planner) give(i, o int32) {
	s.touch(o)
	t := &s.tours[o]
	n := len(t.stops)
	for n > 0 && s.seats[t.stops[n-1]].start > s.seats[i].start {
		n--
	}
	t.stops = slices.Insert(t.stops, n, i)
	s.who[i] = o
	s.cost -= s.seats[i].worth
	s.sum(o)
}

func (s *Planner) take(i int32) {
	o := s.who[i]
	s.touch(o)
	t := &s.tours[o]
	n := slices.Index(t.stops, i)
	t.stops = slices.Delete(t.stops, n, n+1)
	s.who[i] = none
	s.cost += s.seats[i].worth
	s.sum(o)
}

// sum adds up an officer's tour.
func (s *Planner) sum(o int32) {
	t := &s.tours[o]
	s.cost -= t.price
	*t = tour{stops: t.stops}
	off := s.Officers[o].Off.Milliseconds()
	for n, i := range t.stops {
		seat := &s.seats[i]
		way := s.wayTo(o, n)
		t.travel += way
		t.busy += way + seat.end - seat.start
		t.over = max(t.over, seat.end-off)
		t.price += s.switching(i, o)
	}
	t.price += t.travel + t.over*int64(s.Rules.Overtime)
	s.cost += t.price
}

// switching is what it costs that a seat has an officer who is not that of the last
// plan.
func (s *Planner) switching(i, o int32) int64 {
	if planned := s.seats[i].planned; planned != none && planned != o {
		return s.Rules.Switch.Milliseconds()
	}
	return 0
}

// wayTo is how long an officer's way to their nth stop is.
func (s *Planner) wayTo(o int32, n int) int64 {
	stops := s.tours[o].stops
	if n == 0 {
		return max(s.first(o, stops[0]), 0)
	}
	return max(s.next(stops[n-1], stops[n]), 0) // what is firm may not be in time, and then its way counts nothing
}

// first is the way of an officer to the first of their seats, and next that from
// one seat to another; below 0 if it takes too long.
func (s *Planner) first(o, i int32) int64 {
	return int64(s.reach[int(o)*len(s.Jobs)+int(s.seats[i].job)])
}

func (s *Planner) next(i, then int32) int64 {
	return int64(s.ways[int(s.seats[i].job)*len(s.Jobs)+int(s.seats[then].job)])
}

// plan is what was found, in the caller's own memory.
func (s *Planner) plan() *Plan {
	p := &Plan{Seats: make([][]int, len(s.Jobs)), Itineraries: make([][]Stop, len(s.Officers))}
	for j := range s.Jobs {
		whole := true
		for i := s.starts[j]; i < s.starts[j+1]; i++ {
			t := &s.seats[i]
			p.Seats[j] = append(p.Seats[j], int(s.who[i]))
			if s.who[i] == none {
				whole = false
				continue
			}
			value := s.Jobs[j].Value
			if value == 0 {
				value = s.Jobs[j].End - s.Jobs[j].Start
			}
			p.Served += value
			if t.planned != none && t.planned != s.who[i] {
				p.Switched++
			}
		}
		if whole {
			p.Jobs++
		}
	}
	for o := range s.tours {
		tour := &s.tours[o]
		p.Travel += time.Duration(tour.travel) * time.Millisecond
		p.Overtime += time.Duration(tour.over) * time.Millisecond
		for n, i := range tour.stops {
			way := time.Duration(s.wayTo(int32(o), n)) * time.Millisecond
			p.Itineraries[o] = append(p.Itineraries[o], Stop{
				Job: int(s.seats[i].job), Seat: int(s.seats[i].number), SetOut: s.Jobs[s.seats[i].job].Start - s.Rules.Margin - way, Travel: way,
			})
		}
	}
	return p
}
