package ingest

import (
	"math/rand/v2"
	"testing"

	"armora/fleet"
)

// observed feeds n live messages, a second apart, of a clock that is off by so
// many ms (positive: ahead), with up to jitter ms on the way.
func observed(s *skew, from, n int, ahead, jitter int64) {
	random := rand.New(rand.NewPCG(1, uint64(from)))
	for i := from; i < from+n; i++ {
		sent := at(float64(i)) + fleet.Millis(ahead)
		s.observe(sent, at(float64(i))+40+fleet.Millis(random.Int64N(jitter+1)))
	}
}

func near(t *testing.T, s *skew, want fleet.Millis) {
	t.Helper()
	if abs(s.applied-want) > skewStep+100 {
		t.Errorf("correction %d ms, want about %d", s.applied, want)
	}
}

func TestSkewOfAClock(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]int64{
		"ahead": 600_000, "behind": -600_000, "years behind": -30 * 365 * 86_400_000,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s skew
			observed(&s, 0, 40, ahead, 1500)
			near(t, &s, fleet.Millis(-ahead))
		})
	}
	t.Run("good", func(t *testing.T) {
		t.Parallel()
		var s skew
		observed(&s, 0, 40, 2000, 1500)
		if s.applied != 0 {
			t.Errorf("a clock that is good enough is corrected by %d ms", s.applied)
		}
	})
}

func TestSkewIsNeverEstimatedFromABacklog(t *testing.T) {
	t.Parallel()
	for name, rate := range map[string]float64{"at once": 1e6, "100 a second": 100, "3 a second": 3, "1.3 a second": 1.3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s skew
			received := at(1000)
			for i := range 1000 { // sent a second apart, over the last 1000 s
				s.observe(at(float64(i)), received+fleet.Millis(float64(i)*1000/rate))
				if s.applied != 0 {
					t.Fatalf("message %d of the backlog corrected the clock by %d ms", i, s.applied)
				}
			}
		})
	}
}

func TestSkewKeepsWhatItKnowsThroughABacklog(t *testing.T) {
	t.Parallel()
	var s skew
	observed(&s, 0, 20, -600_000, 100)
	for i := range 500 { // offline from 20 s to 520 s, and then all at once
		s.observe(at(20+float64(i))-600_000, at(520))
	}
	near(t, &s, 600_000)
	observed(&s, 521, 20, -600_000, 100)
	near(t, &s, 600_000)
}

func TestSkewFollowsAClockThatIsSet(t *testing.T) {
	t.Parallel()
	var s skew
	observed(&s, 0, 20, 600_000, 100)
	near(t, &s, -600_000)
	observed(&s, 20, 20, 0, 100)
	near(t, &s, 0)
	observed(&s, 40, 20, -60_000, 100)
	near(t, &s, 60_000)
}

// A phone whose clock is odd for one message is where it says a few messages later, also if
// it sends one a minute.
func TestSkewForgetsOneOddMessage(t *testing.T) {
	t.Parallel()
	for name, odd := range map[string]fleet.Millis{"an hour ahead": 3600_000, "for ever ahead": 9_000_000_000_000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s skew
			minute := func(i int, odd fleet.Millis) { s.observe(at(float64(60*i))+odd, at(float64(60*i))+40) }
			for i := range 20 {
				minute(i, 0)
			}
			minute(20, odd)
			near(t, &s, -odd)
			for i := range skewMinimum {
				minute(21+i, 0)
			}
			near(t, &s, 0)
		})
	}
}

// What is sent in the hub's future needs no second message.
func TestSkewOfAMessageFromTheFuture(t *testing.T) {
	t.Parallel()
	var s skew
	s.observe(at(600), at(0))
	near(t, &s, -600_000)
}

// A correction that followed every jitter would put fixes out of order.
func TestSkewHoldsStill(t *testing.T) {
	t.Parallel()
	var s skew
	observed(&s, 0, 20, 600_000, 0)
	held := s.applied
	for i := range 100 {
		s.observe(at(20+float64(i))+600_000, at(20+float64(i))+fleet.Millis(40-8*i))
		if s.applied != held {
			t.Fatalf("an estimate that moved by %d ms moved the correction from %d to %d", 8*i, held, s.applied)
		}
	}
}
