package plan

// path is the memory of fill.
type path struct {
	seats []int32
	gains []int64 // the most that is gained by a path up to each seat
	back  []int32 // the seat before it on that path, by its place in seats
}

// kept is the gain of a seat that is not to be lost: more than all others.
const kept = 1 << 50

// fill gives an officer, beside what they have, those of the seats that nobody has
// which gain the most together: a longest path through the seats in order of time.
// rob: of those too that others have, for whom it is left to chance how much of
// their worth they count.
//
// Only jobs of one seat are filled so.
func (s *Planner) fill(o int32, rob bool) {
	p := &s.path
	p.seats, p.gains, p.back = p.seats[:0], p.gains[:0], p.back[:0]
	for _, i := range s.could[o] {
		free := s.who[i] == none || rob && s.seats[i].firm == none
		if s.who[i] == o || free && s.size(s.seats[i].job) == 1 {
			p.seats = append(p.seats, i)
		}
	}
	last := s.longest(o)
	if last != none && p.gains[last]/kept < int64(len(s.tours[o].stops)) {
		return // what is firm cannot all be done in time, and is no path
	}
	for n := last; n != none; n = p.back[n] {
		i := p.seats[n]
		if s.who[i] == o {
			continue
		}
		if _, can := s.price(i, o); can {
			if s.who[i] != none {
				s.take(i)
			}
			s.give(i, o)
		}
	}
}

// longest finds the paths, and the seat with which the best one ends; none if
// nothing is gained.
func (s *Planner) longest(o int32) int32 {
	p := &s.path
	last, most := none, int64(0)
	off := s.Officers[o].Off.Milliseconds()
	for n, i := range p.seats {
		gain, back := -s.first(o, i), none
		for m, before := range p.seats[:n] {
			if way := s.next(before, i); way >= 0 && p.gains[m]-way > gain {
				gain, back = p.gains[m]-way, int32(m)
			}
		}
		gain += s.gain(i, o)
		p.gains, p.back = append(p.gains, gain), append(p.back, back)
		if over := max(0, s.seats[i].end-off) * int64(s.Rules.Overtime); gain-over > most {
			last, most = int32(n), gain-over
		}
	}
	return last
}

// gain is what it is worth to give a seat to an officer, and a little by chance, so
// that paths that are about as good are all tried.
func (s *Planner) gain(i, o int32) int64 {
	gain := s.seats[i].worth - s.switching(i, o)
	switch s.who[i] {
	case o:
		return kept
	case none:
		return gain + gain/128*s.random.Int64N(16)
	}
	return gain / 64 * s.random.Int64N(64)
}
