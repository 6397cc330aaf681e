package live

import (
	"bytes"
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"armora/fleet"
)

// A unit that moves is always somewhere: searches that are made while it jumps
// between cells, pages, bands and crowded places find it each time.
func TestAMovingVehicleIsNeverAbsent(t *testing.T) {
	t.Parallel()
	for name, stops := range map[string][][2]float64{
		"cells":  {{51.5, 0}, {51.5, 0.004}, {51.503, 0.004}},
		"pages":  {{51.5, 0}, {51.5, 0.4}, {51.9, 0.4}, {51.9, 0}},
		"leaves": {{51.50001, 0.00001}, {51.50002, 0.00009}, {51.5002, 0.0002}},
		"far":    {{52, 3}, {40, 3}, {-33, 18.5}, {-33, 150}},
		"globe":  {{0, 179.9999}, {0, -179.9999}, {0.1, 179.9}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newIndex(t)
			// Others about, so that some cells are nodes.
			for i := range 200 {
				x.Apply(Fix{Unit: unit(1000 + i), At: 1, Lat: stops[0][0] + float64(i)*1e-6, Lon: stops[0][1]})
			}
			// And some all over the earth, so that those who look far look at much.
			for i := range 3 * manyPages {
				x.Apply(fix(2000+i, 1, float64(i)-60, float64(5*i)))
			}
			x.Describe(unit(1), 1, 1)
			x.Apply(fix(1, 1, stops[0][0], stops[0][1]))
			var searches atomic.Int64
			var both sync.WaitGroup
			done, stop := context.WithCancel(t.Context())
			defer stop()
			both.Go(func() {
				for at := fleet.Millis(2); done.Err() == nil; at++ {
					p := stops[int(at)%len(stops)]
					if at%2 == 0 {
						x.Apply(fix(1, at, p[0], p[1]))
					} else {
						x.ApplyAll([]Fix{fix(1, at, p[0], p[1])}, nil)
					}
				}
			})
			for range 2 {
				both.Go(func() {
					defer stop()
					var dst []Neighbour
					for searches.Add(1) < 4000 && !t.Failed() {
						p := stops[int(searches.Load())%len(stops)]
						dst = x.Nearest(dst[:0], p[0], p[1], 1, Filter{Class: 1})
						if len(dst) != 1 || dst[0].Unit != unit(1) {
							t.Errorf("search %d found %+v", searches.Load(), dst)
						}
					}
				})
			}
			both.Wait()
		})
	}
}

// Everything at once, for the race detector and for check.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	x := newIndex(t)
	feed, err := x.Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	const units, steps = 300, 4000
	var clock atomic.Int64
	var writers, readers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 3))
			for range steps {
				n, at := random.IntN(units), fleet.Millis(clock.Add(1))
				switch random.IntN(20) {
				case 0:
					x.Remove(unit(n / 2)) // the others stay
				case 1:
					x.Describe(unit(n), Class(random.IntN(4)), Status(random.IntN(4)))
				default:
					x.Apply(Fix{Unit: unit(n), At: at, Received: at, Lat: 51.5 + random.Float64()*0.005, Lon: random.Float64() * 0.3})
				}
			}
		})
	}
	done, stop := context.WithCancel(t.Context())
	known := make(map[fleet.Unit]Fix)
	stays := unit(units / 2)
	take := func() {
		for _, c := range feed.Take(nil) {
			if before := known[c.Unit]; c.At < before.At && bytes.Compare(c.Unit[:], stays[:]) >= 0 {
				t.Errorf("the feed went back from %v to %v", before.At, c.At)
			}
			if c.Gone {
				delete(known, c.Unit)
			} else {
				known[c.Unit] = c.Fix
			}
		}
	}
	readers.Go(func() {
		for {
			select {
			case <-feed.Ready():
				take()
			case <-done.Done():
				return
			}
		}
	})
	readers.Go(func() {
		var dst []Neighbour
		for done.Err() == nil {
			dst = x.Nearest(dst[:0], 51.5025, 0.15, 20, Filter{Status: 1})
			for i := range dst {
				if i > 0 && dst[i].Distance < dst[i-1].Distance {
					t.Error("out of order")
				}
			}
		}
	})
	writers.Wait()
	stop()
	readers.Wait()
	take()
	if len(known) != x.Len() {
		t.Errorf("the feed knows %d units, the map %d", len(known), x.Len())
	}
	for u, f := range known {
		if got, ok := x.Get(u); !ok || got != f {
			t.Errorf("the feed says %+v, the map %+v", f, got)
		}
	}
}

func TestFeedsComeAndGo(t *testing.T) {
	t.Parallel()
	x := newIndex(t)
	var open []*Feed
	for range MaxFeeds {
		f, err := x.Subscribe()
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, f)
	}
	if _, err := x.Subscribe(); err == nil {
		t.Fatal("there is room for one more than MaxFeeds")
	}
	x.Apply(fix(1, 1, 51, 0))
	open[7].Close()
	open[7].Close()
	again, err := x.Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	if got := again.Take(nil); len(got) != 0 {
		t.Errorf("told of %v from before it was opened", got)
	}
	x.Apply(fix(1, 2, 51, 0))
	select {
	case <-again.Ready():
	case <-time.After(20 * time.Second):
		t.Fatal("not told that there is something to take")
	}
	if got := again.Take(nil); len(got) != 1 || got[0].At != 2 {
		t.Errorf("told of %v", got)
	}
	if got := open[0].Take(nil); len(got) != 1 || got[0].At != 2 {
		t.Errorf("a slow reader was told of %v", got)
	}
}
