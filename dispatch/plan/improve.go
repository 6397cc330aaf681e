package plan

import (
	"slices"
	"time"
)

const (
	// crowd is how many officers lose work in a round, at most, beside those of the
	// job around which they do, and about how far from it in time.
	crowd = 3
	about = 6 * time.Hour
)

// touched is what a round has changed, to undo it.
type touched struct {
	is       []bool
	officers []int32
	tours    []tour // as they were
	cost     int64
}

// improve tries to better the plan, round by round. What is no better for it is
// kept too if it is no worse: another plan of the same worth is a way on.
func (s *Planner) improve() {
	if len(s.Officers) == 0 || len(s.Jobs) == 0 {
		return
	}
	s.touched.is = slices.Repeat([]bool{false}, len(s.Officers))
	for range s.Rules.Rounds {
		s.touched.cost, s.removed = s.cost, s.removed[:0]
		if s.random.IntN(2) == 0 {
			s.rob()
		} else {
			s.ruin()
		}
		s.recreate()
		if s.cost > s.touched.cost {
			s.undo()
		}
		s.forget()
	}
	s.touched.is = nil // nothing is undone any more
}

// ruin makes some officers lose what they do around a job.
func (s *Planner) ruin() {
	j := int32(s.random.IntN(len(s.Jobs)))
	team := s.team(j)
	from, to := s.around(&team[0])
	for i := s.starts[j]; i < s.starts[j+1]; i++ {
		if s.who[i] != none {
			s.strip(s.who[i], from, to)
		}
	}
	fits := team[s.random.IntN(len(team))].fits
	if len(fits) == 0 {
		return
	}
	for range 1 + s.random.IntN(crowd) {
		s.strip(fits[s.random.IntN(len(fits))], from, to)
	}
}

// rob gives an officer something better to do for a time, be it others' work.
func (s *Planner) rob() {
	o := int32(s.random.IntN(len(s.Officers)))
	could := s.could[o]
	if len(could) == 0 {
		return
	}
	from, to := s.around(&s.seats[could[s.random.IntN(len(could))]])
	s.touch(o)
	s.strip(o, from, to)
	s.fill(o, true)
}

// around is the time of a seat, and by chance more.
func (s *Planner) around(t *seat) (from, to int64) {
	more := s.random.Int64N(about.Milliseconds())
	return t.start - more, t.end + more
}

// strip takes from an officer what touches a time, and from their teams all.
func (s *Planner) strip(o int32, from, to int64) {
	for n := len(s.tours[o].stops) - 1; n >= 0; n-- { // of a team somebody has one seat at most
		t := &s.seats[s.tours[o].stops[n]]
		if t.start < to && t.end > from {
			s.remove(t.job)
		}
	}
}

// remove takes every seat of a job that is not firm from its officer.
func (s *Planner) remove(j int32) {
	s.removed = append(s.removed, j)
	for i := s.starts[j]; i < s.starts[j+1]; i++ {
		if o := s.who[i]; o != none && s.seats[i].firm == none {
			s.take(i)
		}
	}
}

// recreate gives work to who lost some, and officers to what lost its own: teams
// first, most times.
func (s *Planner) recreate() {
	s.seek()
	s.random.Shuffle(len(s.absent), func(a, b int) { s.absent[a], s.absent[b] = s.absent[b], s.absent[a] })
	for _, j := range s.absent {
		if s.size(j) > 1 && s.random.IntN(4) > 0 {
			s.insert(j, blinking)
		}
	}
	s.free = append(s.free[:0], s.touched.officers...)
	s.random.Shuffle(len(s.free), func(a, b int) { s.free[a], s.free[b] = s.free[b], s.free[a] })
	for _, o := range s.free {
		s.fill(o, false)
	}
	for _, j := range s.removed {
		if s.lacks(j) {
			s.insert(j, blinking)
		}
	}
}

// touch keeps an officer's tour as it was before the round.
func (s *Planner) touch(o int32) {
	t := &s.touched
	if len(t.is) == 0 || t.is[o] {
		return
	}
	t.is[o] = true
	t.officers = append(t.officers, o)
	if len(t.tours) < len(t.officers) {
		t.tours = append(t.tours, tour{})
	}
	keep(&t.tours[len(t.officers)-1], &s.tours[o])
}

// keep copies a tour into another's memory.
func keep(to, from *tour) {
	stops := to.stops[:0]
	*to = *from
	to.stops = stops
	to.stops = append(to.stops, from.stops...)
}

func (s *Planner) undo() {
	for _, o := range s.touched.officers {
		for _, i := range s.tours[o].stops {
			s.who[i] = none
		}
	}
	for n, o := range s.touched.officers {
		keep(&s.tours[o], &s.touched.tours[n])
		for _, i := range s.tours[o].stops {
			s.who[i] = o
		}
	}
	s.cost = s.touched.cost
}

func (s *Planner) forget() {
	for _, o := range s.touched.officers {
		s.touched.is[o] = false
	}
	s.touched.officers = s.touched.officers[:0]
}

// settle gives seats back to their officers of the last plan, one at a time, while
// that costs no more: what changed along the way and does not pay for itself is
// undone.
func (s *Planner) settle() {
	for moved := true; moved; {
		moved = false
		for i := range int32(len(s.seats)) {
			t, o := &s.seats[i], s.who[i]
			if o == none || t.firm != none || t.planned == none || t.planned == o || !slices.Contains(t.fits, t.planned) {
				continue
			}
			before := s.cost
			s.take(i)
			if price, ok := s.price(i, t.planned); ok && s.cost+price-t.worth <= before {
				s.give(i, t.planned)
				moved = true
			} else {
				s.give(i, o)
			}
		}
	}
}
