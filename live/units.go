package live

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"armora/fleet"
)

// units is the directory of vehicles by unit: a hash table in shards, open
// addressing with linear probing, that is read without a lock. Nearly every
// update begins here with memory that is in no cache, so a look-up touches one
// line of the table and no more. (Go's map takes two or three, and a lock.)
type units struct{ shards [shards]unitShard }

const (
	shards    = 256
	firstSize = 16 // slots of a new table, a power of two
)

type unitShard struct {
	table atomic.Pointer[unitTable]
	mu    sync.Mutex // serialises changes
	used  int        // slots that are not free, with those of removed vehicles
	live  int
	_     [32]byte
}

// unitTable is at most half used.
type unitTable struct{ slots []unitSlot }

// unitSlot is free while vehicle is nil. A slot once used stays used until the
// table is replaced: the vehicle that was removed says so itself.
type unitSlot struct {
	hash    atomic.Uint64
	vehicle atomic.Pointer[vehicle]
}

// hash mixes the id's random half, of which no two units have the same
// (Fibonacci hashing, Knuth, The Art of Computer Programming, volume 3, §6.4).
func hash(unit fleet.Unit) uint64 {
	return binary.BigEndian.Uint64(unit[8:]) * 0x9e3779b97f4a7c15
}

func (u *units) shard(hash uint64) *unitShard { return &u.shards[hash>>56] }

// find returns the vehicle of a unit, nil if there is none.
func (u *units) find(unit fleet.Unit, hash uint64) *vehicle {
	table := u.shard(hash).table.Load()
	if table == nil {
		return nil
	}
	return table.find(unit, hash)
}

func (t *unitTable) find(unit fleet.Unit, hash uint64) *vehicle {
	for i := hash >> 24; ; i++ {
		s := &t.slots[i&uint64(len(t.slots)-1)]
		v := s.vehicle.Load()
		if v == nil {
			return nil
		}
		if s.hash.Load() == hash && v.unit == unit && !v.removed.Load() {
			return v
		}
	}
}

// findOrMake returns the vehicle of a unit.
func (u *units) findOrMake(unit fleet.Unit) *vehicle {
	hash := hash(unit)
	if v := u.find(unit, hash); v != nil {
		return v
	}
	s := u.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	table := s.table.Load()
	if table != nil {
		if v := table.find(unit, hash); v != nil {
			return v
		}
	}
	if table == nil || 2*(s.used+1) > len(table.slots) {
		table = s.rebuild(table)
	}
	v := &vehicle{unit: unit}
	table.add(v)
	s.used++
	s.live++
	return v
}

// remove takes a vehicle out. It returns false when it was out already.
func (u *units) remove(v *vehicle) bool {
	s := u.shard(hash(v.unit))
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.removed.Swap(true) {
		return false
	}
	s.live--
	return true
}

// rebuild makes a table with room for as many vehicles as there are, and without
// those that were removed.
func (s *unitShard) rebuild(old *unitTable) *unitTable {
	size := firstSize
	for size < 4*(s.live+1) {
		size *= 2
	}
	table := &unitTable{slots: make([]unitSlot, size)}
	s.used = 0
	if old != nil {
		for i := range old.slots {
			if v := old.slots[i].vehicle.Load(); v != nil && !v.removed.Load() {
				table.add(v)
				s.used++
			}
		}
	}
	s.table.Store(table)
	return table
}

func (t *unitTable) add(v *vehicle) {
	hash := hash(v.unit)
	for i := hash >> 24; ; i++ {
		s := &t.slots[i&uint64(len(t.slots)-1)]
		if s.vehicle.Load() == nil {
			s.hash.Store(hash)
			s.vehicle.Store(v) // last: a reader that sees it sees the hash
			return
		}
	}
}

// each calls yield with every vehicle that was there when it began.
func (u *units) each(yield func(*vehicle)) {
	for i := range u.shards {
		if table := u.shards[i].table.Load(); table != nil {
			for j := range table.slots {
				if v := table.slots[j].vehicle.Load(); v != nil && !v.removed.Load() {
					yield(v)
				}
			}
		}
	}
}
