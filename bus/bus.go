// Package bus carries what one node of the hub tells the others: which
// credentials have been revoked, which sessions have ended, which devices have
// commands waiting, what officers may be offered for.
//
// It is in-process. Nodes connects it to those of other nodes, for what ends access and
// for what is to be read anew; the rest each node finds in the database.
package bus

import (
	"sync"

	"armora/fleet"
)

// Bus connects the parts of a hub. The zero value is ready to use.
type Bus struct {
	// Revocations are credentials that no longer open any door. Who holds a
	// connection made with one ends it.
	Revocations Topic[Revocation]
	// Commands are devices whose outbox has something new.
	Commands Topic[fleet.DeviceID]
	// Sessions are users' sessions that have ended, or whose user's roles have
	// changed. Who holds a connection opened by one ends it; who remembers what
	// one may do forgets it.
	Sessions Topic[fleet.UserSessionID]
	// Accounts are people of whom has changed whether they may act, and in which
	// roles: other roles, a suspension or its end, an erasure.
	Accounts Topic[fleet.UserID]
	// Shares are links to trips that have been revoked. Who watches by one does so
	// no more.
	Shares Topic[fleet.ShareID]
	// Viewers are people of whom has changed which of the staff see them.
	Viewers Topic[fleet.UserID]
	// Partners are partners' systems that have been shut out.
	Partners Topic[fleet.PartnerID]
	// Standings are officers of whom has just been found what they may be
	// offered for.
	Standings Topic[Standing]
	// Spells are people of whom has changed when their phones may be followed.
	Spells Topic[Spells]
	// Moves are devices that report for another unit than before, or may not be
	// shown any more. The connections of the former are ended by a revocation before
	// this.
	Moves Topic[Move]
	// Bookings are bookings that have just changed, after the commit.
	Bookings Topic[BookingChange]
	// SOS are emergencies of which something has just become known.
	SOS Topic[SOSChange]
	// Chats are conversations in which there is something new, after the commit.
	Chats Topic[ChatChange]
}

// SOSChange is an emergency that has changed.
type SOSChange struct {
	ID   fleet.SOSID
	User fleet.UserID // who raised it; zero: it is not known
	Over bool
}

// ChatChange is a conversation in which there is something new: a message, or how far
// it has come to its participants.
type ChatChange struct {
	Booking fleet.BookingID
	Seq     int64 // of the message; zero: it is about marks
}

// BookingChange is a booking as a change has left it. What changed is in its
// events, up to Seq.
type BookingChange struct {
	ID     fleet.BookingID
	User   fleet.UserID // the principal
	Status fleet.BookingStatus
	Seq    int64
}

// Standing is what an officer may be offered for now.
type Standing struct {
	Driver fleet.DriverID
	Tiers  []fleet.Tier // none: the officer is not fit to work
	Duty   fleet.Duty   // "": they have never said
}

// Spells are all times, in order, in which the phones of a person may be
// followed.
type Spells struct {
	User   fleet.UserID
	Spells []fleet.Spell
}

// Move is a device that is not to be shown as the unit that it was.
type Move struct {
	Device fleet.DeviceID
	From   fleet.Unit
}

// Revocation ends the connections of a device: of one credential, or of all
// when Credential is zero.
type Revocation struct {
	Device     fleet.DeviceID
	Credential fleet.CredentialID
}

// Topic delivers each published value to every subscriber, in order, in the
// publisher's goroutine: a subscriber does not block.
// The zero value is ready to use; it is safe for concurrent use.
type Topic[T any] struct {
	mu   sync.RWMutex
	next int
	subs map[int]func(T)
}

// Subscribe calls fn for every value published from now on, until cancel.
func (t *Topic[T]) Subscribe(fn func(T)) (cancel func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.subs == nil {
		t.subs = make(map[int]func(T))
	}
	id := t.next
	t.next++
	t.subs[id] = fn
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.subs, id)
	}
}

// Publish tells every subscriber and returns when all have been called.
func (t *Topic[T]) Publish(value T) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, fn := range t.subs {
		fn(value)
	}
}
