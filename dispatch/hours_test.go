package dispatch

import (
	"testing"
	"time"

	"armora/fleet"
)

// An officer takes no more than a shift's work in any 24 hours, whether it is done
// already, promised, or asked for; what they were on duty for yesterday is over.
func TestHoursThatAnOfficerMayTake(t *testing.T) {
	t.Parallel()
	limits := fleet.DefaultWorkLimits()
	limits.Stretch = limits.Shift
	at := func(hours float64) time.Time { return noon.Add(time.Duration(hours * float64(time.Hour))) }
	duty := func(from, to float64) fleet.Stint {
		s := fleet.Stint{Duty: fleet.OnDuty, From: at(from)}
		if to != 0 {
			s.To = at(to)
		}
		return s
	}
	seat := func(from, to float64) fleet.Seat { return fleet.Seat{From: at(from), To: at(to)} }
	for name, c := range map[string]struct {
		worked   []fleet.Stint
		taken    []fleet.Seat
		from, to float64
		want     bool
	}{
		"who has not worked":                    {nil, nil, 2, 10, true},
		"who is on duty since a while":          {[]fleet.Stint{duty(-4, 0)}, nil, 1, 9, true},
		"and would work too long":               {[]fleet.Stint{duty(-6, 0)}, nil, 1, 8.5, false},
		"tomorrow it does not count":            {[]fleet.Stint{duty(-6, 0)}, nil, 26, 34, true},
		"with what is promised before":          {nil, []fleet.Seat{seat(2, 9)}, 10, 16, false},
		"and after":                             {nil, []fleet.Seat{seat(12, 19)}, 2, 8, false},
		"with little that is promised":          {nil, []fleet.Seat{seat(12, 15)}, 2, 8, true},
		"long after what is promised":           {nil, []fleet.Seat{seat(2, 13)}, 38, 46, true},
		"as long as a shift, by who is fresh":   {nil, nil, 2, 26, true},
		"as long as a shift, by who has worked": {[]fleet.Stint{duty(-6, 0)}, nil, 1, 25, false},
		"what was promised too much already":    {nil, []fleet.Seat{seat(2, 12), seat(12, 22)}, 60, 64, true},
	} {
		h := hours{limits: limits, worked: c.worked, taken: c.taken, now: noon}
		if got := h.mayTake(at(c.from), at(c.to)); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// Who would work too long neither sees the work nor gets it.
func TestOpenWorkHeedsTheHours(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	d := s.officers(1)[0]
	long := s.book(later(5*time.Hour), func(b *fleet.Booking) { b.Minutes = 8 * 60 })
	next := s.book(later(14*time.Hour), func(b *fleet.Booking) { b.Minutes = 8 * 60 })
	if got := must(s.OpenFor(t.Context(), d))(t); len(got) != 2 {
		t.Fatalf("sees %+v", got)
	}
	must(s.Ask(t.Context(), d, long.ID, officer))(t)
	if got := must(s.OpenFor(t.Context(), d))(t); len(got) != 0 {
		t.Errorf("sees %+v besides eight hours of that day", got)
	}
	_, err := s.Ask(t.Context(), d, next.ID, officer)
	wantCode(t, err, fleet.CodeConflict)
	s.is(next.ID, fleet.Scheduled)
}

// Whom ops assign is assigned at once, also while others of the team are looked
// for: it is not a hold, which would run out.
func TestOpsAssignOneOfATeam(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	drivers := s.officers(2)
	b := s.book(team(3))
	assign := func(d fleet.DriverID) {
		t.Helper()
		must(s.Assign(t.Context(), ByHand{Booking: b.ID, Driver: d, Reason: "asked for", By: fleet.Actor{Kind: fleet.ByOps}}))(t)
	}
	assign(drivers[0])
	mine := func() fleet.SeatState {
		t.Helper()
		return must(s.Get(t.Context(), b.ID))(t).Seats[0].State
	}
	if got := mine(); got != fleet.SeatCommitted {
		t.Fatalf("it is %s", got)
	}
	s.step(0)
	if _, asked := s.offer(drivers[0]); asked {
		t.Error("who is assigned is asked as well")
	}
	s.clock.Advance(2 * HoldFor)
	s.see(drivers[1], strand.Lat, strand.Lon)
	s.step(0)
	if got := mine(); got != fleet.SeatCommitted {
		t.Errorf("after a while it is %s: %v", got, s.kinds(b.ID))
	}
	assign(drivers[1])
	cy := s.officer(strand.Lat, strand.Lon)
	assign(cy)
	s.is(b.ID, fleet.Assigned)
	for _, seat := range must(s.Get(t.Context(), b.ID))(t).Seats {
		if seat.State != fleet.SeatReleased && seat.State != fleet.SeatCommitted {
			t.Errorf("a seat is %s", seat.State)
		}
	}
}
