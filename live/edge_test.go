package live

import (
	"encoding/binary"
	"math"
	"math/bits"
	"reflect"
	"runtime"
	"sync"
	"testing"

	"armora/fleet"
)

func TestWhatHasNoTimeOrPlaceIsNoFix(t *testing.T) {
	t.Parallel()
	x := newIndex(t)
	for _, f := range []Fix{
		fix(1, 0, 51, 0), fix(1, -1, 51, 0),
		fix(1, 1, math.NaN(), 0), fix(1, 1, 51, math.NaN()), fix(1, 1, math.Inf(1), 0),
		fix(1, 1, 90.1, 0), fix(1, 1, -91, 0), fix(1, 1, 51, 180.1), fix(1, 1, 51, -181),
	} {
		if x.Apply(f) {
			t.Errorf("%+v is shown", f)
		}
	}
	if _, ok := x.Get(unit(1)); ok || x.Len() != 0 {
		t.Error("there is a unit on the map")
	}
	for i, p := range [][2]float64{{90, 180}, {-90, -180}, {90, -180}, {-90, 180}, {0, 180}, {0, -180}} {
		if !x.Apply(fix(i, 1, p[0], p[1])) {
			t.Errorf("%v is not on earth", p)
		}
	}
	if got := x.Nearest(nil, 0, 179.9999999, 2, Filter{}); len(got) != 2 || got[0].Unit != unit(4) || got[1].Unit != unit(5) {
		t.Errorf("about the antimeridian there is %+v", got)
	}
}

// However much two ids have in common, and however close their units stand,
// they are told apart.
func TestUnitsWithHalfAnIDInCommon(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]func(i int) fleet.Unit{
		"lower": func(i int) fleet.Unit { return fleet.Unit{3: byte(i >> 8), 7: byte(i), 15: 1} },
		// And all have one hash.
		"neither": func(i int) (u fleet.Unit) {
			binary.BigEndian.PutUint64(u[:], uint64(i))
			binary.BigEndian.PutUint64(u[8:], bits.RotateLeft64(uint64(i), 32)^7)
			return u
		},
		"upper": func(i int) fleet.Unit { return fleet.Unit{0: 1, 8: byte(i >> 8), 15: byte(i)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newIndex(t)
			const units = 500
			for round := range 3 {
				for i := range units {
					x.Apply(Fix{Unit: id(i), At: fleet.Millis(round + 1), Lat: 51.5, Lon: float64(round%2) / 100})
				}
			}
			got := x.Nearest(nil, 51.5, 0, 2*units, Filter{})
			if len(got) != units {
				t.Fatalf("%d found, want %d", len(got), units)
			}
			for i := range got {
				if got[i].Unit != id(i) {
					t.Fatalf("at %d there is %v, want %v: ties are in the order of ids", i, got[i].Unit, id(i))
				}
			}
			for i := range units {
				x.Remove(id(i))
			}
		})
	}
}

// A feed that nobody reads holds one note of a unit that comes and goes.
func TestAFeedHoldsOneNoteOfAUnit(t *testing.T) {
	t.Parallel()
	x := newIndex(t)
	feed, err := x.Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	for at := fleet.Millis(1); at <= 1000; at++ {
		x.Apply(fix(1, at, 51, 0))
		x.Remove(unit(1))
	}
	if err := x.check(); err != nil {
		t.Error(err)
	}
	if got := feed.Take(nil); len(got) != 1 || !got[0].Gone || got[0].Unit != unit(1) {
		t.Errorf("told of %+v", got)
	}
	x.Apply(fix(1, 1, 52, 0)) // it was forgotten, and so was when it was there
	if got := feed.Take(nil); len(got) != 1 || got[0].Gone || got[0].Lat != 52 {
		t.Errorf("told of %+v", got)
	}
	if got := feed.Take(nil); len(got) != 0 {
		t.Errorf("told of %+v twice", got)
	}
}

// A search of the whole map waits for a move that is under way, and keeps only
// those waiting who would move in the same page.
func TestAWideSearchStopsNoOtherPage(t *testing.T) {
	t.Parallel()
	x := newIndex(t)
	for i := range 3 * manyPages {
		x.Apply(fix(i, 1, 10+float64(i), 0))
	}
	busy := x.place(packE7(10, 0)).page
	begin(busy, busy)
	var search sync.WaitGroup
	var found []Neighbour
	search.Go(func() { found = x.Nearest(nil, 51, 0, 100, Filter{}) })
	for busy.paused.Load() == 0 {
		runtime.Gosched()
	}
	for i := 1; i < 3*manyPages; i++ { // hangs if one is kept waiting
		x.Apply(fix(i, 2, 10.01+float64(i), 0))
	}
	end(busy, busy)
	search.Wait()
	seen := make(map[fleet.Unit]bool)
	for _, n := range found {
		seen[n.Unit] = true
	}
	if len(found) != 3*manyPages || len(seen) != len(found) {
		t.Errorf("%d found, %d units, want %d", len(found), len(seen), 3*manyPages)
	}
}

// What is loaded from memory at random fills the lines that it touches.
func TestRecordsAndNodesFillTheirLines(t *testing.T) {
	t.Parallel()
	if front, back := reflect.TypeFor[front]().Size(), reflect.TypeFor[back]().Size(); front != 32 || back != 64 {
		t.Errorf("a record has %d and %d bytes", front, back)
	}
	if size := reflect.TypeFor[node]().Size(); size != 512 {
		t.Errorf("a node has %d bytes", size)
	}
}
