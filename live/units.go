package live

import (
	"encoding/binary"
	"math/bits"
	"sync"
	"sync/atomic"

	"armora/fleet"
)

// vehicle is all that is known of a unit. Its two parts are kept apart: a search
// looks at the fronts alone, of which two are in a line of memory, and of 100,000
// most stay in the processor's caches.
type vehicle struct {
	*front
	*back
	ref uint32 // its number
}

// front is who it is, and whether a search may answer with it.
type front struct {
	unit     fleet.Unit
	received atomic.Int64  // written with the vehicle locked
	traits   atomic.Uint64 // class in the upper half, status in the lower
}

// back is the rest, in a line of memory. All but mu is guarded by mu.
type back struct {
	mu       sync.Mutex
	position uint64       // E7
	at       fleet.Millis // 0: not on the map
	pending  uint64       // feeds with a note of it that nobody has taken
	source   fleet.DeviceID
	accuracy float32
	speed    float32
	heading  float32
	battery  float32
}

// fix returns what is shown. The vehicle is locked.
func (v vehicle) fix() Fix {
	lat, lon := degrees(v.position)
	return Fix{
		Unit: v.unit, Source: v.source, At: v.at, Received: fleet.Millis(v.received.Load()), Lat: lat, Lon: lon,
		Accuracy: v.accuracy, Speed: v.speed, Heading: v.heading, Battery: v.battery,
	}
}

// units is the directory of vehicles. A record, once made, stays for good and
// never becomes another unit's: so a search may look at one without a lock, and
// 26 bits name it. Records hold no pointers, and cost the garbage collector
// nothing.
//
// The way to a record by its unit is a hash table in shards, open addressing
// with linear probing, that is read without a lock. Nearly every update begins
// here with memory that is in no cache, so slots are 4 bytes: a tag of the hash,
// and which record.
type units struct {
	shards [shards]unitShard
	blocks atomic.Pointer[[]*block]
	mu     sync.Mutex // serialises the making of records
	made   uint32
}

const (
	shards    = 256
	firstSize = 16 // slots of a new table, a power of two
	blockBits = 15
	refBits   = 26 // of a slot; 67 million units take 6 GB of records
	tagBits   = 32 - refBits
)

// block is 3 MB, which the kernel can back by large pages. Its parts are where lines of
// memory begin, since the allocator begins it with a page.
type block struct {
	fronts [1 << blockBits]front
	backs  [1 << blockBits]back
}

type unitShard struct {
	table atomic.Pointer[unitTable]
	mu    sync.Mutex // serialises changes
	used  int
	_     [40]byte
}

// unitTable is at most three quarters full. A slot is free while it is 0, and
// else holds the lowest bits of the hash and, in its own lower bits, the record's
// ref + 1.
type unitTable struct{ slots []atomic.Uint32 }

// hash mixes an id (Fibonacci hashing, Knuth, The Art of Computer Programming,
// volume 3, §6.4). Units with the same upper half have different hashes.
func hash(unit *fleet.Unit) uint64 {
	h := (lower(unit) ^ bits.RotateLeft64(upper(unit), 32)) * 0x9e3779b97f4a7c15
	return h ^ h>>32
}

func upper(unit *fleet.Unit) uint64 { return binary.BigEndian.Uint64(unit[:8]) }
func lower(unit *fleet.Unit) uint64 { return binary.BigEndian.Uint64(unit[8:]) }

func (u *units) at(ref uint32) vehicle {
	b, i := (*u.blocks.Load())[ref>>blockBits], ref&(1<<blockBits-1)
	return vehicle{&b.fronts[i], &b.backs[i], ref}
}

// prefetch begins to load a unit's slot.
func (u *units) prefetch(hash uint64) {
	if table := u.shards[hash>>56].table.Load(); table != nil {
		prefetch32(&table.slots[hash>>32&uint64(len(table.slots)-1)])
	}
}

// prefetchRecord begins to load the record that a unit's first slot names.
func (u *units) prefetchRecord(hash uint64) {
	table := u.shards[hash>>56].table.Load()
	if table == nil {
		return
	}
	if slot := table.slots[hash>>32&uint64(len(table.slots)-1)].Load(); slot != 0 {
		u.at(slot&(1<<refBits-1) - 1).prefetch()
	}
}

func (v vehicle) prefetch() {
	prefetch64(&v.traits)
	prefetchBack(v.back)
}

// find returns the vehicle of a unit, if there is one.
func (u *units) find(unit *fleet.Unit, hash uint64) (vehicle, bool) {
	table := u.shards[hash>>56].table.Load()
	if table == nil {
		return vehicle{}, false
	}
	mask := uint64(len(table.slots) - 1)
	for i := hash >> 32; ; i++ {
		slot := table.slots[i&mask].Load()
		if slot == 0 {
			return vehicle{}, false
		}
		if slot>>refBits == uint32(hash)&(1<<tagBits-1) {
			v := u.at(slot&(1<<refBits-1) - 1)
			prefetchBack(v.back)
			if v.unit == *unit {
				return v, true
			}
		}
	}
}

// findOrMake returns the vehicle of a unit.
func (u *units) findOrMake(unit *fleet.Unit, hash uint64) vehicle {
	if v, ok := u.find(unit, hash); ok {
		return v
	}
	s := &u.shards[hash>>56]
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := u.find(unit, hash); ok {
		return v
	}
	table := s.table.Load()
	if table == nil || 4*(s.used+1) > 3*len(table.slots) {
		table = u.grow(s, table)
	}
	v := u.makeRecord(unit)
	table.add(hash, v.ref)
	s.used++
	return v
}

func (u *units) makeRecord(unit *fleet.Unit) vehicle {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.made>>blockBits == uint32(len(*u.blocks.Load())) {
		// Whoever has the shorter list does not see beyond its end.
		blocks := *u.blocks.Load()
		blocks = append(blocks, huge(new(block)))
		u.blocks.Store(&blocks)
	}
	if u.made == 1<<refBits-1 {
		panic("live: there are more units than it has numbers for")
	}
	v := u.at(u.made)
	v.unit = *unit
	u.made++
	return v
}

// grow gives a shard a table of twice the size.
func (u *units) grow(s *unitShard, old *unitTable) *unitTable {
	table := &unitTable{slots: make([]atomic.Uint32, firstSize)}
	if old != nil {
		table.slots = make([]atomic.Uint32, 2*len(old.slots))
		for i := range old.slots {
			if slot := old.slots[i].Load(); slot != 0 {
				v := u.at(slot&(1<<refBits-1) - 1)
				table.add(hash(&v.unit), v.ref)
			}
		}
	}
	s.table.Store(table)
	return table
}

func (t *unitTable) add(hash uint64, ref uint32) {
	mask := uint64(len(t.slots) - 1)
	i := hash >> 32
	for t.slots[i&mask].Load() != 0 {
		i++
	}
	t.slots[i&mask].Store(uint32(hash)<<refBits | (ref + 1))
}
