package fence

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sync"

	"armora/fleet"
)

// Set is a set of fences and of the units that are in them. Its methods may be
// called from any goroutine: an Observe locks the shard of its unit alone, and a
// change of the fences, which is rare, locks all shards for some microseconds.
type Set struct {
	change sync.Mutex // held by who changes the fences
	// fences and grid, and what entries point to, are written with change and
	// every shard locked, so that one of these locks is enough to read them.
	fences map[ID]*entry
	grid   grid
	shards [shards]shard
}

const shards = 64

// shard holds some of the units, by the last byte of their id, which is random.
type shard struct {
	mu    sync.Mutex
	units map[fleet.Unit]*unit
	_     [48]byte // a cache line for each
}

// entry is a fence in a set. It stays the same when the fence is replaced.
type entry struct {
	fence Fence
	gone  bool // removed: who is in it is forgotten
}

// unit is what is remembered of a unit: 32 bytes, and 40 for each fence that it
// is in or about to enter.
type unit struct {
	last  fleet.Millis // the newest fix
	stays []stay
}

// stay is a unit that is in a fence, or about to enter it. Those that are not
// in and have no run are not kept.
type stay struct {
	*entry
	since fleet.Millis // the first fix of the stay
	run   fleet.Millis // the first of the consecutive fixes on the other side
	fixes int32        // how many these are
	in    bool
	dwelt bool
}

// NewSet returns a set without fences.
func NewSet() *Set {
	s := &Set{fences: make(map[ID]*entry)}
	for i := range s.shards {
		s.shards[i].units = make(map[fleet.Unit]*unit)
	}
	return s
}

func (s *Set) shard(u fleet.Unit) *shard { return &s.shards[u[len(u)-1]%shards] }

// Put adds a fence, or replaces the one of the same id: who was in that is taken
// to be in the new one, until fixes outside it confirm an exit. A shape that was
// never made, and settings that are negative, are refused.
func (s *Set) Put(f Fence) error {
	f = f.withDefaults()
	switch {
	case f.Shape.IsZero():
		return flawed(NoRing, "the fence has no shape")
	case f.Dwell < 0, f.Confirm.Fixes < 1, f.Confirm.Fixes > math.MaxInt32, f.Confirm.For < 0, !(f.MaxAccuracy > 0):
		return fmt.Errorf("fence %s: its dwell time, confirmation and accuracy cannot be negative", f.ID)
	}
	s.change.Lock()
	defer s.change.Unlock()
	s.lockAll()
	defer s.unlockAll()
	e := s.fences[f.ID]
	if e == nil {
		e = &entry{}
		s.fences[f.ID] = e
	} else {
		s.grid.remove(e)
	}
	e.fence = f
	s.grid.add(e)
	return nil
}

// Remove takes a fence away. Nothing is told of who was in it. It reports
// whether the fence was there.
func (s *Set) Remove(id ID) bool {
	s.change.Lock()
	defer s.change.Unlock()
	e := s.fences[id]
	if e == nil {
		return false
	}
	s.lockAll()
	delete(s.fences, id)
	s.grid.remove(e)
	e.gone = true
	s.unlockAll()
	for i := range s.shards { // frees what Observe passes over from now on
		sh := &s.shards[i]
		sh.mu.Lock()
		for _, u := range sh.units {
			u.dropGone()
		}
		sh.mu.Unlock()
	}
	return true
}

// Len returns how many fences there are.
func (s *Set) Len() int {
	s.change.Lock()
	defer s.change.Unlock()
	return len(s.fences)
}

func (s *Set) lockAll() {
	for i := range s.shards {
		s.shards[i].mu.Lock()
	}
}

func (s *Set) unlockAll() {
	for i := range s.shards {
		s.shards[i].mu.Unlock()
	}
}

// Observe takes in a fix of a unit and appends to dst what it makes certain,
// Enter before Dwell. accuracy is in metres, fleet.Unknown if not said. A fix
// that is not newer than every one before of the unit changes nothing, nor does
// one that is nowhere on earth.
//
// A Dwell is told by a fix inside: while a unit is silent nobody knows where it
// is. Without an event nothing is allocated, but for the first fix of a unit and
// for the first of a stay.
func (s *Set) Observe(dst []Event, id fleet.Unit, t fleet.Millis, lat, lon float64, accuracy float32) []Event {
	if !onEarth(lat, lon) {
		return dst
	}
	sh := s.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	u := sh.unit(id)
	if t <= u.last {
		return dst
	}
	u.last = t
	p := at(lat, lon)
	for i := range u.stays {
		st := &u.stays[i]
		if st.gone || accuracy > st.fence.MaxAccuracy {
			continue
		}
		dst = st.observe(dst, Event{Fence: st.fence.ID, Unit: id, At: t, Lat: lat, Lon: lon}, st.fence.Shape.contains(p))
	}
	known := len(u.stays)
	for levels := s.grid.levels; levels != 0; levels &= levels - 1 {
		for _, e := range s.grid.cells[cellOf(uint8(bits.TrailingZeros64(levels)), p)] {
			if accuracy > e.fence.MaxAccuracy || u.knows(e, known) || !e.fence.Shape.contains(p) {
				continue
			}
			st := stay{entry: e}
			dst = st.observe(dst, Event{Fence: e.fence.ID, Unit: id, At: t, Lat: lat, Lon: lon}, true)
			u.stays = append(u.stays, st)
		}
	}
	u.dropOver()
	return dst
}

// unit returns the unit of an id. The shard is locked.
func (sh *shard) unit(id fleet.Unit) *unit {
	u := sh.units[id]
	if u == nil {
		u = &unit{last: math.MinInt64}
		sh.units[id] = u
	}
	return u
}

// knows reports whether one of the first n stays is in the fence.
func (u *unit) knows(e *entry, n int) bool {
	for i := range u.stays[:n] {
		if u.stays[i].entry == e {
			return true
		}
	}
	return false
}

// observe takes in a fix on one side or the other. what is the event, but for
// its kind and since.
func (st *stay) observe(dst []Event, what Event, inside bool) []Event {
	if inside != st.in {
		if st.fixes == 0 {
			st.run = what.At
		}
		if st.fixes < math.MaxInt32 {
			st.fixes++
		}
		confirm := &st.fence.Confirm
		if int(st.fixes) < confirm.Fixes || what.At.Sub(st.run) < confirm.For {
			return dst
		}
		st.in, what.Kind, what.Since = inside, Exit, st.run
		if inside {
			st.since, what.Kind = st.run, Enter
		}
		dst = append(dst, what)
	}
	st.fixes = 0
	if st.in && !st.dwelt && st.fence.Dwell > 0 && what.At.Sub(st.since) >= st.fence.Dwell {
		st.dwelt = true
		what.Kind, what.Since = Dwell, st.since
		dst = append(dst, what)
	}
	return dst
}

// dropOver forgets the stays that are over, and those that a fix denied.
func (u *unit) dropOver() {
	if len(u.stays) > 0 {
		u.stays = slices.DeleteFunc(u.stays, func(st stay) bool { return st.gone || !st.in && st.fixes == 0 })
	}
}

func (u *unit) dropGone() {
	u.stays = slices.DeleteFunc(u.stays, func(st stay) bool { return st.gone })
	if len(u.stays) == 0 {
		u.stays = nil
	}
}

// Forget frees what is remembered of a unit. Nothing is told.
func (s *Set) Forget(id fleet.Unit) {
	sh := s.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	delete(sh.units, id)
}

// State returns who is in which fence, in order of unit and fence: what a set
// needs to know after a restart. Crossings that are not confirmed are not in it,
// and begin anew.
func (s *Set) State() []Stay {
	var state []Stay
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for id, u := range sh.units {
			for _, st := range u.stays {
				if st.in && !st.gone {
					state = append(state, Stay{Fence: st.fence.ID, Unit: id, Since: st.since, At: u.last, Dwelt: st.dwelt})
				}
			}
		}
		sh.mu.Unlock()
	}
	slices.SortFunc(state, func(a, b Stay) int {
		return cmp.Or(slices.Compare(a.Unit[:], b.Unit[:]), slices.Compare(a.Fence[:], b.Fence[:]))
	})
	return state
}

// Restore puts units back into the fences that they were in. It is called once
// the fences are there and before the first Observe; a stay in a fence that is
// not there is left out.
func (s *Set) Restore(state []Stay) {
	s.change.Lock()
	defer s.change.Unlock()
	for _, kept := range state {
		e := s.fences[kept.Fence]
		if e == nil {
			continue
		}
		sh := s.shard(kept.Unit)
		sh.mu.Lock()
		u := sh.unit(kept.Unit)
		u.last = max(u.last, kept.At)
		if !u.knows(e, len(u.stays)) {
			u.stays = append(u.stays, stay{entry: e, since: kept.Since, in: true, dwelt: kept.Dwelt})
		}
		sh.mu.Unlock()
	}
}
