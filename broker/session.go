package broker

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"armora/fleet"
)

const (
	// storeWorkers is how many calls of one kind to the store run at a time.
	storeWorkers = 4
	// awayAfter is how long a session has to be disconnected before that is
	// stored: a phone that comes and goes must not cost a write each time. A
	// restart therefore counts up to this much too little of its expiry.
	awayAfter = 5 * time.Minute
	// maxClientID is the longest client id that is taken, in bytes.
	maxClientID = 128
)

// session is an MQTT session. Its key is the device that opened it and the
// client id that the device chose, so no other device can take it over or
// inherit it by presenting the same client id; it gets a session of its own.
type session struct {
	key    string
	device fleet.DeviceID

	received idSet // QoS 2 messages that are committed and not yet released by the client

	// Guarded by sessions.mu.
	version       byte
	expiry        time.Duration // 0: ends with the connection
	conn          *conn         // nil while disconnected
	disconnected  time.Time
	away          bool // Disconnected is, or is about to be, in the store
	stored        bool // the store has it, or is about to
	subscriptions []fleet.Subscription
}

// sessions are all sessions of the broker, those restored included. What they
// need to outlive the hub is written behind by a queue.
type sessions struct {
	b     *Broker
	saves *queue[string]

	// locks serialise the beginning and the end of connections of one session,
	// by hash of its key: without that, mochi lets an old connection that is
	// ending remove the new one that has just replaced it.
	locks [64]sync.Mutex
	seed  maphash.Seed

	mu       sync.Mutex
	byKey    map[string]*session
	byDevice map[fleet.DeviceID][]*session // oldest first
}

func newSessions(b *Broker) *sessions {
	s := &sessions{
		b: b, seed: maphash.MakeSeed(),
		byKey:    make(map[string]*session),
		byDevice: make(map[fleet.DeviceID][]*session),
	}
	s.saves = newQueue(b.clock, s.save)
	return s
}

// sessionKey is the client id by which mochi and the store know a session.
func sessionKey(device fleet.DeviceID, clientID string) string {
	return device.String() + "/" + clientID
}

// lock takes the lock of a session and returns its release.
func (s *sessions) lock(key string) (unlock func()) {
	mu := &s.locks[maphash.String(s.seed, key)%uint64(len(s.locks))]
	mu.Lock()
	return mu.Unlock
}

// add files a session. s.mu need not be held before Open.
func (s *sessions) add(n *session) {
	s.byKey[n.key] = n
	s.byDevice[n.device] = append(s.byDevice[n.device], n)
}

// prepare makes sure that there is a session for c, and that a new one which
// is to outlive its connection is stored before the client is told so: else a
// crash would lose it, and with it what the client keeps for it. When the
// store is away the client is let in all the same, and the session stored
// when it is back.
func (s *sessions) prepare(c *conn, expiry time.Duration) packets.Code {
	key := c.client.ID
	s.mu.Lock()
	n := s.byKey[key]
	fresh := n == nil
	if fresh {
		if !s.makeRoom(c.identity.Device) {
			s.mu.Unlock()
			return packets.ErrQuotaExceeded
		}
		n = &session{key: key, device: c.identity.Device, disconnected: s.b.clock.Now(), expiry: expiry, version: c.version}
		s.add(n)
	}
	s.mu.Unlock()
	if fresh && expiry > 0 {
		s.store(n)
	}
	return packets.CodeSuccess
}

// makeRoom gives up the session of a device that has been disconnected for
// longest, if it has as many as it may. It reports false when all of them are
// connected. s.mu is held.
func (s *sessions) makeRoom(device fleet.DeviceID) bool {
	own := s.byDevice[device]
	if len(own) < s.b.limits.DeviceSessions {
		return true
	}
	var oldest *session
	for _, n := range own {
		if n.conn == nil && (oldest == nil || n.disconnected.Before(oldest.disconnected)) {
			oldest = n
		}
	}
	if oldest == nil {
		return false
	}
	s.drop(oldest)
	return true
}

// open binds c to its session. The session's lock is held. It returns the
// connection that c replaces, if any.
func (s *sessions) open(c *conn, clean bool, expiry time.Duration) (replaced *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.byKey[c.client.ID]
	if n != nil && (clean || n.over(s.b.clock.Now())) {
		replaced = n.conn
		renewed := &session{key: n.key, device: n.device, stored: n.stored, away: n.away, version: n.version, expiry: n.expiry}
		renewed.subscriptions = n.subscriptions // what the store has; mochi's are compared with it when the session is up
		n.conn = nil                            // the replaced connection leaves a session that is no more
		s.forget(n)
		if !clean && replaced == nil { // else mochi finds out
			s.b.dropClient(n.key)
		}
		s.add(renewed)
		n = renewed
	}
	if n == nil { // evicted between prepare and now
		n = &session{key: c.client.ID, device: c.identity.Device}
		s.add(n)
	}
	if n.conn != nil {
		replaced = n.conn
	}
	changed := n.away || n.version != c.version || n.expiry != expiry
	n.conn, n.version, n.expiry, n.away = c, c.version, expiry, false
	n.disconnected = time.Time{}
	c.session = n
	if changed && (expiry > 0 || n.stored) {
		n.stored = true
		s.saves.add(n.key)
	}
	return replaced
}

// over reports whether a session that is about to be taken up has ended: its time is over,
// or it ends with the connection that it has, as mochi has it of MQTT 3. sessions.mu is held.
func (n *session) over(now time.Time) bool {
	if n.conn != nil {
		return n.expiry == 0 && n.version < 5
	}
	return !now.Before(n.disconnected.Add(n.expiry))
}

// update takes over what c is subscribed to now. A change is stored before it
// is confirmed to the client, unless the store is away.
func (s *sessions) update(c *conn) {
	subs := subscriptionsOf(c.client)
	s.mu.Lock()
	n := c.session
	same := slices.Equal(n.subscriptions, subs)
	n.subscriptions = subs
	keep := n.conn == c && n.expiry > 0
	s.mu.Unlock()
	if !same && keep {
		s.store(n)
	}
}

// leave ends the connection of c to its session; the session ends with it when
// it has no expiry. The session's lock is held. It reports false when another
// connection has taken the session over.
func (s *sessions) leave(c *conn, expiry time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := c.session
	if n.conn != c {
		return false
	}
	n.conn = nil
	n.disconnected = s.b.clock.Now()
	if expiry == 0 {
		s.drop(n)
	} else if n.expiry != expiry {
		n.expiry, n.stored = expiry, true
		s.saves.add(n.key)
	}
	return true
}

// drop ends a session: here, in mochi and in the store. s.mu is held.
func (s *sessions) drop(n *session) {
	s.forget(n)
	s.b.dropClient(n.key)
	if n.stored {
		s.saves.add(n.key)
	}
}

// forget removes a session from the maps. s.mu is held.
func (s *sessions) forget(n *session) {
	if s.byKey[n.key] == n {
		delete(s.byKey, n.key)
	}
	own := slices.DeleteFunc(s.byDevice[n.device], func(o *session) bool { return o == n })
	if len(own) == 0 {
		delete(s.byDevice, n.device)
	} else {
		s.byDevice[n.device] = own
	}
}

// dropClient removes mochi's half of a session that has ended, its
// subscriptions included, which mochi's own expiry leaves behind.
func (b *Broker) dropClient(key string) {
	cl, ok := b.server.Clients.Get(key)
	if !ok {
		return
	}
	for filter := range cl.State.Subscriptions.GetAll() {
		b.server.Topics.Unsubscribe(filter, key)
		cl.State.Subscriptions.Delete(filter)
	}
	b.server.Clients.Delete(key)
}

// sweep ends the sessions that have expired, and has the others that have been
// disconnected for a while stored as such.
func (s *sessions) sweep() {
	now := s.b.clock.Now()
	var expired []*session
	s.mu.Lock()
	for _, n := range s.byKey {
		switch {
		case n.conn != nil:
		case !now.Before(n.disconnected.Add(n.expiry)):
			expired = append(expired, n)
		case !n.away && n.stored && !now.Before(n.disconnected.Add(awayAfter)):
			n.away = true
			s.saves.add(n.key)
		}
	}
	s.mu.Unlock()
	for _, n := range expired {
		s.expire(n, now)
	}
}

// expire ends n unless it has been opened meanwhile.
func (s *sessions) expire(n *session, now time.Time) {
	defer s.lock(n.key)()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byKey[n.key] == n && n.conn == nil && !now.Before(n.disconnected.Add(n.expiry)) {
		s.drop(n)
	}
}

func (s *sessions) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byKey)
}

// connected returns the connection of a session, nil if there is none.
func (s *sessions) connected(key string) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.byKey[key]; n != nil {
		return n.conn
	}
	return nil
}

// idSet is a set of packet ids. The zero value is empty.
type idSet struct {
	mu  sync.Mutex
	ids map[uint16]struct{}
}

func (s *idSet) add(id uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids == nil {
		s.ids = make(map[uint16]struct{})
	}
	s.ids[id] = struct{}{}
}

func (s *idSet) remove(id uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ids, id)
}

func (s *idSet) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ids)
}

func (s *idSet) has(id uint16) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.ids[id]
	return ok
}
