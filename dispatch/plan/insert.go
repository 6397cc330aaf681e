package plan

import (
	"cmp"
	"slices"
)

// begin puts everybody where they are for certain, then where they were by the last
// plan, and then inserts the other jobs: teams first, for they are the hardest to
// fill, and of the others what is worth the most.
func (s *Planner) begin() {
	for i := range s.seats {
		if o := s.seats[i].firm; o != none {
			s.give(int32(i), o)
		}
	}
	s.seek()
	slices.SortStableFunc(s.absent, func(a, b int32) int {
		return cmp.Or(cmp.Compare(min(s.size(b), 2), min(s.size(a), 2)), cmp.Compare(s.worth(b), s.worth(a)))
	})
	for _, j := range s.absent {
		if slices.ContainsFunc(s.team(j), func(t seat) bool { return t.planned != none }) {
			s.insert(j, lastPlan)
		}
	}
	for _, j := range s.absent {
		if s.lacks(j) {
			s.insert(j, everybody)
		}
	}
}

// seek lists the jobs that have seats that nobody has.
func (s *Planner) seek() {
	s.absent = s.absent[:0]
	for j := range int32(len(s.Jobs)) {
		if s.lacks(j) {
			s.absent = append(s.absent, j)
		}
	}
}

func (s *Planner) lacks(j int32) bool {
	return slices.Contains(s.who[s.starts[j]:s.starts[j+1]], none)
}

// team is a job's seats.
func (s *Planner) team(j int32) []seat { return s.seats[s.starts[j]:s.starts[j+1]] }

func (s *Planner) size(j int32) int { return int(s.starts[j+1] - s.starts[j]) }

func (s *Planner) worth(j int32) int64 { return s.team(j)[0].worth * int64(s.size(j)) }

// choice is who is looked at for a seat.
type choice int

const (
	everybody choice = iota
	lastPlan         // whoever had it in the last plan; everybody for a seat that nobody had
	blinking         // everybody, but now and then one is overlooked
)

// blinks is one in how many is overlooked.
const blinks = 100

// pick is an officer for a seat, at a price.
type pick struct {
	seat, officer int32
	price         int64
}

// insert gives every open seat of a job the officer to whom it costs the least, if
// there is one for each and they cost less than the seats are worth. Of a team the
// lead is sought first.
func (s *Planner) insert(j int32, from choice) {
	s.picks = s.picks[:0]
	worth := int64(0)
	for i := s.starts[j]; i < s.starts[j+1]; i++ {
		if s.who[i] != none {
			continue
		}
		p, ok := s.cheapest(i, from)
		if !ok {
			return
		}
		s.picks = append(s.picks, p)
		worth += s.seats[i].worth - p.price
	}
	if worth <= 0 {
		return
	}
	for _, p := range s.picks {
		s.give(p.seat, p.officer)
	}
}

func (s *Planner) cheapest(i int32, from choice) (best pick, ok bool) {
	t := &s.seats[i]
	for _, o := range t.fits {
		if from == lastPlan && t.planned != none && o != t.planned || s.picked(o) || from == blinking && s.random.IntN(blinks) == 0 {
			continue
		}
		if price, can := s.price(i, o); can && (!ok || price < best.price) {
			best, ok = pick{i, o, price}, true
		}
	}
	return best, ok
}

func (s *Planner) picked(o int32) bool {
	for _, p := range s.picks {
		if p.officer == o {
			return true
		}
	}
	return false
}

// price is what it costs to give a seat to an officer who suits it; ok: they have
// the time.
func (s *Planner) price(i, o int32) (price int64, ok bool) {
	t, officer, tour := &s.seats[i], &s.Officers[o], &s.tours[o]
	n := len(tour.stops)
	for n > 0 && s.seats[tour.stops[n-1]].start >= t.start {
		n--
	}
	way := s.first(o, i)
	if n > 0 {
		way = s.next(tour.stops[n-1], i)
	}
	if way < 0 {
		return 0, false
	}
	over := int64(0)
	if n < len(tour.stops) {
		next := s.next(i, tour.stops[n])
		if next < 0 {
			return 0, false
		}
		way += next - s.wayTo(o, n)
	} else {
		over = max(0, t.end-officer.Off.Milliseconds()) - tour.over
	}
	if officer.Hours > 0 && tour.busy+way+t.end-t.start > officer.Hours.Milliseconds() {
		return 0, false
	}
	if n > 1 && s.late(tour.stops[:n-1], i) {
		return 0, false
	}
	return way + over*int64(s.Rules.Overtime) + s.switching(i, o), true
}

// late reports whether a seat comes too soon after one of some stops. If firm ones
// overlap, it need not be the last of them.
func (s *Planner) late(stops []int32, i int32) bool {
	for _, before := range stops {
		if s.next(before, i) < 0 {
			return true
		}
	}
	return false
}
