package live

import (
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
	length   atomic.Int64 // units that have a position
	feeds    feeds
}

// vehicle is all that is known of a unit. Its first 64 bytes are what an update
// that changes no leaf needs to look at, before it writes the rest.
type vehicle struct {
	unit     fleet.Unit
	mu       sync.Mutex
	position uint64       // E7; guarded by mu
	at       fleet.Millis // 0: no fix yet; guarded by mu
	received atomic.Int64 // written under mu
	leaf     *head        // that holds its entry; this and the two below are guarded by the cell
	slot     uint8        // in the leaf
	depth    uint8        // of the leaf below the cell
	removed  atomic.Bool  // written under mu

	source   fleet.DeviceID // this and all below, but traits, is guarded by mu
	traits   atomic.Uint64  // class in the upper half, status in the lower
	pending  uint64         // feeds that have been told of a change they have not taken
	accuracy float32
	speed    float32
	heading  float32
	battery  float32
}

// fix returns what is shown. The vehicle is locked.
func (v *vehicle) fix() Fix {
	lat, lon := degrees(v.position)
	return Fix{
		Unit: v.unit, Source: v.source, At: v.at, Received: fleet.Millis(v.received.Load()), Lat: lat, Lon: lon,
		Accuracy: v.accuracy, Speed: v.speed, Heading: v.heading, Battery: v.battery,
	}
}

// New returns an empty map.
func New(o Options) *Index {
	if o.Handover == 0 {
		o.Handover = DefaultHandover
	}
	x := &Index{handover: fleet.Millis(o.Handover.Milliseconds())}
	x.pages.Store(new([]*page))
	x.initBands()
	return x
}

// Len returns how many units have a position.
func (x *Index) Len() int { return int(x.length.Load()) }

// Apply shows a fix, unless something better is known: of one device's fixes
// the newest counts, and of two with the same time the one received later. Of a
// unit's devices one leads, and keeps the lead while it is heard: a fix of
// another counts when it is newer than the leader's last by the handover.
// It reports whether the unit was moved.
func (x *Index) Apply(f Fix) bool {
	position := packE7(f.Lat, f.Lon)
	to := x.place(position)
	to.prefetch()
	v := x.lock(f.Unit)
	defer v.mu.Unlock()
	if !v.yields(&f, x.handover) {
		return false
	}
	to.way.hash = hash(v.unit)
	if v.at == 0 {
		to.page.count.Add(1)
		to.insert(v, position)
		x.length.Add(1)
	} else {
		from := x.placeOf(v)
		move(v, position, &from, &to)
	}
	v.position, v.at, v.source = position, f.At, f.Source
	v.received.Store(int64(f.Received))
	v.accuracy, v.speed, v.heading, v.battery = f.Accuracy, f.Speed, f.Heading, f.Battery
	x.feeds.tell(v)
	return true
}

// lock returns the vehicle of a unit, locked, and makes it if need be.
func (x *Index) lock(unit fleet.Unit) *vehicle {
	for {
		v := x.units.findOrMake(unit)
		v.mu.Lock()
		if !v.removed.Load() {
			return v
		}
		v.mu.Unlock() // removed since we found it
	}
}

// yields reports whether the vehicle's fix gives way to f.
func (v *vehicle) yields(f *Fix, handover fleet.Millis) bool {
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

// move brings the vehicle's entry from one place to another.
func move(v *vehicle, position uint64, from, to *place) {
	if from.page == to.page && from.cell == to.cell {
		h, t := to.lock()
		if from.way.agrees(&to.way, v.depth) {
			v.leaf.positions[v.slot].Store(position)
		} else {
			to.page.remove(h, t, v, from.way, 0)
			to.page.insert(h, t, v, position, to.way, 0)
		}
		h.unlock()
		return
	}
	begin(from.page, to.page)
	from.remove(v)
	to.insert(v, position)
	end(from.page, to.page)
	if from.page != to.page {
		from.page.count.Add(-1)
		to.page.count.Add(1)
	}
}

// Describe says what a unit may be offered for and what it is doing. It may
// come before the first fix; Remove forgets it.
func (x *Index) Describe(unit fleet.Unit, class Class, status Status) {
	v := x.lock(unit)
	defer v.mu.Unlock()
	v.traits.Store(uint64(class)<<32 | uint64(status))
}

// Get returns the fix that is shown of a unit.
func (x *Index) Get(unit fleet.Unit) (f Fix, ok bool) {
	v := x.units.find(unit, hash(unit))
	if v == nil {
		return f, false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.fix(), v.at != 0 && !v.removed.Load()
}

func (x *Index) shows(unit fleet.Unit) bool {
	_, ok := x.Get(unit)
	return ok
}

// Remove takes a unit off the map, with what was said of it.
func (x *Index) Remove(unit fleet.Unit) {
	v := x.units.find(unit, hash(unit))
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if !x.units.remove(v) || v.at == 0 {
		return
	}
	p := x.placeOf(v)
	p.remove(v)
	p.page.count.Add(-1)
	x.length.Add(-1)
	x.feeds.tell(v)
}

// packE7 and degrees put a position into one word and take it out again.
func packE7(lat, lon float64) uint64 {
	return uint64(uint32(fleet.E7(lat)))<<32 | uint64(uint32(fleet.E7(lon)))
}

func degrees(position uint64) (lat, lon float64) {
	return float64(int32(position>>32)) / 1e7, float64(int32(position)) / 1e7
}
