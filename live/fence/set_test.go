package fence_test

import (
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"armora/fleet"
	"armora/live/fence"
)

const second fleet.Millis = 1000

// walk is a unit that reports once a second.
type walk struct {
	t    *testing.T
	set  *fence.Set
	unit fleet.Unit
	now  fleet.Millis
}

func newWalk(t *testing.T, s *fence.Set) *walk {
	return &walk{t: t, set: s, unit: fleet.Unit(fleet.NewID[fleet.Device]()), now: 1_000_000}
}

// to moves on to a position and checks what is told.
func (w *walk) to(lat, lon float64, want ...fence.Kind) {
	w.t.Helper()
	w.now += second
	w.see(w.now, lat, lon, fleet.Unknown, want...)
}

func (w *walk) see(at fleet.Millis, lat, lon float64, accuracy float32, want ...fence.Kind) {
	w.t.Helper()
	events := w.set.Observe(nil, w.unit, at, lat, lon, accuracy)
	got := make([]fence.Kind, 0, len(events))
	for _, e := range events {
		got = append(got, e.Kind)
		if e.Unit != w.unit || e.At != at || e.Lat != lat || e.Lon != lon {
			w.t.Errorf("the event %+v is not of the fix at %v, %v, %v", e, at, lat, lon)
		}
	}
	if !slices.Equal(got, want) {
		w.t.Fatalf("at %v s, %v, %v: told %v, want %v", at/second, lat, lon, got, want)
	}
}

// In these tests a fence is the square from 0, 0 to 1, 1.
const in, out = 0.5, 1.5

func TestEnterAndExit(t *testing.T) {
	t.Parallel()
	s := fence.NewSet()
	put(t, s, newFence(polygon(t, square(0, 0, 1))))
	w := newWalk(t, s)
	w.to(out, out)
	w.to(in, in, fence.Enter)
	w.to(0, 0)
	w.to(-1e-7, 0, fence.Exit)
	w.to(1, 1, fence.Enter)
	w.to(out, in, fence.Exit)
	w.to(out, out)
}

func TestConfirmationTakesFixesAndTime(t *testing.T) {
	t.Parallel()
	s := fence.NewSet()
	f := newFence(polygon(t, square(0, 0, 1)))
	f.Confirm = fence.Confirm{Fixes: 3, For: 4 * time.Second}
	put(t, s, f)
	w := newWalk(t, s)
	for range 4 {
		w.to(in, in)
	}
	w.to(out, out) // denies
	first := w.now + second
	for range 4 {
		w.to(in, in)
	}
	w.to(in, in, fence.Enter)
	if state := s.State(); len(state) != 1 || state[0].Since != first {
		t.Fatalf("the stay is %+v, want one since %v", state, first)
	}
	for range 20 { // jitters out and back
		w.to(out, out)
		w.to(out, out)
		w.to(in, in)
	}
	w.now += 60 * second
	w.see(w.now, out, out, 5)
	w.now += 60 * second
	w.see(w.now, out, out, 5) // long enough, and two fixes
	w.now += 60 * second
	w.see(w.now, out, out, 5, fence.Exit)
}

func TestDefaultsAreStated(t *testing.T) {
	t.Parallel()
	s := fence.NewSet()
	put(t, s, fence.Fence{ID: fleet.NewID[fence.Fence](), Shape: polygon(t, square(0, 0, 1))})
	w := newWalk(t, s)
	for range 10 {
		w.to(in, in)
	}
	w.to(in, in, fence.Enter) // the eleventh
	w.see(w.now+30*second, out, out, fence.DefaultMaxAccuracy)
	w.see(w.now+60*second, out, out, fence.DefaultMaxAccuracy, fence.Exit)
}

func TestInaccurateFixesNeitherConfirmNorDeny(t *testing.T) {
	t.Parallel()
	s := fence.NewSet()
	f := newFence(polygon(t, square(0, 0, 1)))
	f.Confirm, f.MaxAccuracy = fence.Confirm{Fixes: 2}, 20
	put(t, s, f)
	w := newWalk(t, s)
	at := func(n fleet.Millis) fleet.Millis { return w.now + n*second }
	w.see(at(1), in, in, 20.5)
	w.see(at(2), in, in, 20.5)
	w.see(at(3), in, in, 20)
	w.see(at(4), out, out, 20.5) // does not deny
	w.see(at(5), in, in, 20.5)   // does not confirm
	w.see(at(6), in, in, fleet.Unknown, fence.Enter)
	w.see(at(7), out, out, 3)
	w.see(at(8), in, in, 100)
	w.see(at(9), out, out, 3, fence.Exit)
}

func TestDwellIsToldOncePerStay(t *testing.T) {
	t.Parallel()
	s := fence.NewSet()
	f := newFence(polygon(t, square(0, 0, 1)))
	f.Dwell, f.Confirm = 5*time.Second, fence.Confirm{Fixes: 2}
	put(t, s, f)
	w := newWalk(t, s)
	for range 2 {
		w.to(in, in)
		w.to(in, in, fence.Enter)
		w.to(in, in)
		w.to(in, in)
		w.to(out, out)             // not confirmed: the stay goes on
		w.to(in, in, fence.Dwell)  // five seconds since the first fix inside
		w.see(w.now, out, out, 1)  // the same moment again
		w.to(in, in)               //
		w.now += 3600 * second     // silence
		w.to(in, in)               // and still there
		w.to(out, out)             //
		w.to(out, out, fence.Exit) //
	}
	// Silent through the dwell time, the next fix inside tells; one outside does not.
	w.to(in, in)
	w.to(in, in, fence.Enter)
	w.now += 60 * second
	w.to(out, out)
	w.to(in, in, fence.Dwell)
	w.to(out, out)
	w.to(out, out, fence.Exit)
	w.to(in, in)
	w.now += 60 * second
	w.to(in, in, fence.Enter, fence.Dwell)
}

func TestLateFixesChangeNothing(t *testing.T) {
	t.Parallel()
	s := fence.NewSet()
	put(t, s, newFence(polygon(t, square(0, 0, 1))))
	w := newWalk(t, s)
	w.to(in, in, fence.Enter)
	w.see(w.now, out, out, 1)
	w.see(w.now-second, out, out, 1)
	w.to(out, out, fence.Exit)
	w.see(w.now, in, in, 1)
	w.see(w.now-second, in, in, 1)
	if state := s.State(); state != nil {
		t.Errorf("state %+v after the exit", state)
	}
}

func TestHolesAndOverlaps(t *testing.T) {
	t.Parallel()
	s := fence.NewSet()
	put(t, s, newFence(polygon(t, square(0, 0, 1), square(0.4, 0.4, 0.2))), newFence(circle(t, 0.5, 0.5, 100_000)))
	w := newWalk(t, s)
	w.to(0.1, 0.1, fence.Enter, fence.Enter)
	w.to(0.5, 0.5, fence.Exit)
	w.to(0.3, 0.5, fence.Enter)
	w.to(20, 20, fence.Exit, fence.Exit)
}

func TestFencesComeAndGoWhileUnitsMove(t *testing.T) {
	t.Parallel()
	s := fence.NewSet()
	f := newFence(polygon(t, square(0, 0, 1)))
	w := newWalk(t, s)
	w.to(in, in)
	put(t, s, f)
	w.to(in, in, fence.Enter)
	f.Shape = polygon(t, square(0, 0, 0.6)) // replaced by a smaller one: still in
	put(t, s, f)
	w.to(in, in)
	f.Shape = polygon(t, square(5, 5, 1)) // replaced by one elsewhere
	put(t, s, f)
	w.to(in, in, fence.Exit)
	w.to(5.5, 5.5, fence.Enter)
	if !s.Remove(f.ID) || s.Remove(f.ID) || s.Len() != 0 {
		t.Error("a fence is not removed once")
	}
	if state := s.State(); state != nil {
		t.Errorf("removed with its state: %+v is left", state)
	}
	w.to(in, in)
	put(t, s, f)
	w.to(5.5, 5.5, fence.Enter) // a new fence to it
	s.Forget(w.unit)
	if state := s.State(); state != nil {
		t.Errorf("forgotten with its state: %+v is left", state)
	}
	w.see(w.now-3600*second, 5.5, 5.5, 1, fence.Enter) // and its clock with it
}

func TestBadFencesAreRefused(t *testing.T) {
	t.Parallel()
	s := fence.NewSet()
	for name, spoil := range map[string]func(*fence.Fence){
		"no shape":          func(f *fence.Fence) { f.Shape = fence.Shape{} },
		"negative dwell":    func(f *fence.Fence) { f.Dwell = -1 },
		"no fixes":          func(f *fence.Fence) { f.Confirm = fence.Confirm{For: 1} },
		"negative time":     func(f *fence.Fence) { f.Confirm.For = -1 },
		"negative accuracy": func(f *fence.Fence) { f.MaxAccuracy = -1 },
		"unknown accuracy":  func(f *fence.Fence) { f.MaxAccuracy = fleet.Unknown },
	} {
		f := newFence(circle(t, 0, 0, 10))
		spoil(&f)
		if err := s.Put(f); err == nil || s.Len() != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRestoreTellsNothingTwice(t *testing.T) {
	t.Parallel()
	f, other := newFence(polygon(t, square(0, 0, 1))), newFence(circle(t, 0.5, 0.5, 100_000))
	f.Dwell, other.Dwell = 2*time.Second, 4*time.Second
	s := fence.NewSet()
	put(t, s, f, other)
	w := newWalk(t, s)
	w.to(in, in, fence.Enter, fence.Enter)
	w.to(in, in)
	w.to(in, in, fence.Dwell)
	state := s.State()

	w.set = fence.NewSet()
	put(t, w.set, f, other)
	w.set.Restore(append(state, fence.Stay{Fence: fleet.NewID[fence.Fence](), Unit: w.unit}))
	w.set.Restore(state) // again changes nothing
	if got := w.set.State(); !reflect.DeepEqual(got, state) {
		t.Fatalf("restored %+v, want %+v", got, state)
	}
	w.see(w.now, out, out, 1) // seen before
	w.to(in, in)
	w.to(in, in, fence.Dwell) // the other's
	w.to(20, 20, fence.Exit, fence.Exit)
}

func TestManyUnitsAtOnce(t *testing.T) {
	t.Parallel()
	s := fence.NewSet()
	stays := newFence(polygon(t, square(0, 0, 1)))
	put(t, s, stays)
	const units, rounds = 16, 200
	var wg sync.WaitGroup
	stop := make(chan struct{})
	churned := make(chan struct{})
	go func() { // fences come and go in the same place
		defer close(churned)
		f := newFence(circle(t, in, in, 1000))
		for {
			select {
			case <-stop:
				return
			default:
				put(t, s, f, newFence(circle(t, in, in, 500)))
				f.Shape = circle(t, in, in, 2000)
				put(t, s, f)
				s.State()
				s.Remove(f.ID)
			}
		}
	}()
	for range units {
		wg.Go(func() {
			unit, told := fleet.Unit(fleet.NewID[fleet.Device]()), 0
			var events []fence.Event
			for i := range fleet.Millis(rounds) {
				where := in
				if i%2 == 1 {
					where = out
				}
				events = s.Observe(events[:0], unit, i+1, where, where, 1)
				for _, e := range events {
					if e.Fence == stays.ID {
						told++
					}
				}
			}
			if told != rounds {
				t.Errorf("%d events of the fence that stays, want %d", told, rounds)
			}
		})
	}
	wg.Wait()
	close(stop)
	<-churned
}
