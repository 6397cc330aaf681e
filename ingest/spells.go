package ingest

import (
	"sync"

	"armora/fleet"
)

// Spells are the times in which the phones of people may be followed. Of whom
// nothing is said, never. The zero value is ready to use; it is safe for
// concurrent use.
type Spells struct {
	mu sync.RWMutex
	of map[fleet.UserID][]fleet.Spell // in order; a list is replaced, never changed
}

// Set replaces what is known of a person. The spells are in order, and the
// caller's no longer.
func (s *Spells) Set(user fleet.UserID, spells []fleet.Spell) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = make(map[fleet.UserID][]fleet.Spell)
	}
	s.of[user] = spells
	if len(spells) == 0 {
		delete(s.of, user)
	}
}

// Keep reports whether the person may be followed at a time. It allocates
// nothing, and is quickest about now.
func (s *Spells) Keep(user fleet.UserID, at fleet.Millis) bool {
	s.mu.RLock()
	spells := s.of[user]
	s.mu.RUnlock()
	for i := len(spells) - 1; i >= 0; i-- {
		if at >= spells[i].From {
			return spells[i].Holds(at)
		}
	}
	return false
}
