package live

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"armora/fleet"
)

// Options tune an Index. The zero value is good.
type Options struct {
	// Handover is by how much the fix of another device must be newer than the
	// leading one's last before it leads; 0: DefaultHandover.
	Handover time.Duration
}

// DefaultHandover is long enough for a device that misses a few fixes, and
// shorter than anybody waits for a car that has stopped reporting.
const DefaultHandover = 10 * time.Second

// Class is what a unit may be offered for, as a set of bits. A search asks for
// units that have all of its bits. The dispatcher gives them their meaning.
type Class uint32

// Status is what a unit is doing, as one bit of a set. A search asks for units
// that have one of its bits. The dispatcher gives them their meaning.
type Status uint32

// Fix is where a unit was, as one of its devices told.
type Fix struct {
	Unit     fleet.Unit
	Source   fleet.DeviceID // who told it
	At       fleet.Millis   // when, by a clock that is the same for all: fixes of a unit are ordered by it
	Received fleet.Millis   // when the hub read it: what freshness is judged by
	Lat, Lon float64        // degrees, WGS 84; kept at 1e-7
	Accuracy float32        // metres; this and the following may be fleet.Unknown
	Speed    float32        // metres a second
	Heading  float32        // degrees clockwise from north
	Battery  float32        // 0 to 1
}

// Index is the map. It is safe for concurrent use.
type Index struct {
	handover fleet.Millis
	bands    [bands]band
	pagesMu  sync.Mutex // serialises the making of pages
	pages    atomic.Pointer[[]*page]
	units    units
	nodes    nodes
	length   atomic.Int64 // units that are on the map
	feeds    feeds
}

// New returns an empty map.
func New(o Options) *Index {
	if o.Handover == 0 {
		o.Handover = DefaultHandover
	}
	x := &Index{handover: fleet.Millis(o.Handover.Milliseconds())}
	x.pages.Store(new([]*page))
	x.units.blocks.Store(new([]*block))
	x.initBands()
	return x
}

// Len returns how many units are on the map.
func (x *Index) Len() int { return int(x.length.Load()) }

// Apply shows a fix, unless something better is known: of one device's fixes
// the newest counts, and of two with the same time the one received later. Of a
// unit's devices one leads, and keeps the lead while it is heard: a fix of
// another counts when it is newer than the leader's last by more than the
// handover; otherwise the unit would hop between two antennas. What has no time
// or is nowhere on earth does not count.
// It reports whether the fix is now what is shown.
func (x *Index) Apply(f Fix) bool {
	var s step
	if !x.aim(&f, &s) {
		return false
	}
	s.to.prefetch()
	return x.apply(&f, &s)
}

// step is a fix that is on its way to the map: where it belongs there.
type step struct {
	hash     uint64 // of the unit
	position uint64 // E7
	to       place
}

// aim finds out where a fix belongs, and begins to load the unit's slot, which no
// cache of the processor holds. It reports whether the fix is a valid one.
func (x *Index) aim(f *Fix, s *step) bool {
	if f.At <= 0 || !onEarth(f.Lat, f.Lon) {
		return false
	}
	s.hash = hash(&f.Unit)
	x.units.prefetch(s.hash)
	s.position = packE7(f.Lat, f.Lon)
	s.to = x.place(s.position)
	return true
}

// apply shows a valid fix.
func (x *Index) apply(f *Fix, s *step) bool {
	v := x.units.findOrMake(&f.Unit, s.hash)
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.yields(f, x.handover) {
		return false
	}
	if v.at == 0 {
		s.to.add(v)
		x.length.Add(1)
	} else {
		x.move(v, &s.to)
	}
	v.position, v.at, v.source = s.position, f.At, f.Source
	v.received.Store(int64(f.Received))
	v.accuracy, v.speed, v.heading, v.battery = f.Accuracy, f.Speed, f.Heading, f.Battery
	x.feeds.tell(v)
	return true
}

// yields reports whether the vehicle's fix gives way to f.
func (v vehicle) yields(f *Fix, handover fleet.Millis) bool {
	switch {
	case v.at == 0:
		return true
	case f.Source != v.source:
		return f.At > v.at+handover
	case f.At == v.at:
		return int64(f.Received) >= v.received.Load()
	default:
		return f.At > v.at
	}
}

// move brings the entry of a vehicle, which is locked, to another place.
func (x *Index) move(v vehicle, to *place) {
	from, ref := x.place(v.position), v.ref
	if from.cell == to.cell {
		to.cell.lock()
		to.shift(to.cell.root.Load(), from.entry(ref), to.entry(ref))
		to.cell.unlock()
		return
	}
	begin(from.page, to.page)
	from.drop(v)
	to.add(v)
	end(from.page, to.page)
}

// Describe says what a unit may be offered for and what it is doing. It may
// come before the first fix, and stays until Remove. Feeds are not told of it.
func (x *Index) Describe(unit fleet.Unit, class Class, status Status) {
	v := x.units.findOrMake(&unit, hash(&unit))
	v.mu.Lock()
	defer v.mu.Unlock()
	v.traits.Store(uint64(class)<<32 | uint64(status))
}

// Get returns the fix that is shown of a unit.
func (x *Index) Get(unit fleet.Unit) (f Fix, ok bool) {
	v, ok := x.units.find(&unit, hash(&unit))
	if !ok {
		return f, false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.at == 0 {
		return f, false
	}
	return v.fix(), true
}

// Remove takes a unit off the map and forgets what was said of it. Its record of
// 96 bytes is kept, for when it comes back.
func (x *Index) Remove(unit fleet.Unit) {
	v, ok := x.units.find(&unit, hash(&unit))
	if !ok {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.traits.Store(0)
	if v.at == 0 {
		return
	}
	p := x.place(v.position)
	p.drop(v)
	v.at = 0
	x.length.Add(-1)
	x.feeds.tell(v)
}

func onEarth(lat, lon float64) bool { return math.Abs(lat) <= 90 && math.Abs(lon) <= 180 }

// packE7 and degrees put a position into one word and take it out again.
func packE7(lat, lon float64) uint64 {
	return uint64(uint32(fleet.E7(lat)))<<32 | uint64(uint32(fleet.E7(lon)))
}

func degrees(position uint64) (lat, lon float64) {
	return float64(int32(position>>32)) / 1e7, float64(int32(position)) / 1e7
}
