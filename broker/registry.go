package broker

import (
	"maps"
	"slices"
	"sync"
	"time"

	"armora/fleet"
)

// registry knows the live connections, and those of each device.
type registry struct {
	mu      sync.Mutex
	conns   map[*conn]struct{}
	devices map[fleet.DeviceID]*device
	joined  int

	// Revocations are remembered while logins are being checked: a login that
	// was verified just before its credential was revoked, and joins just
	// after, is found here.
	checking int
	revoked  []revocation
}

// revocation is of a device's credential, of all of them, or of a session.
type revocation struct {
	device     fleet.DeviceID
	credential fleet.CredentialID
	session    fleet.UserSessionID
}

func (r revocation) hits(id *fleet.Identity) bool {
	if !r.session.IsZero() {
		return r.session == id.Session
	}
	return r.device == id.Device && (r.credential.IsZero() || r.credential == id.Credential)
}

// device is what the connections of one device share.
type device struct {
	conns map[*conn]struct{} // guarded by registry.mu

	mu      sync.Mutex
	packets bucket
}

// take counts some packets and returns how long the reader has to wait before
// it takes the next one.
func (d *device) take(now time.Time, packets int, limits *Limits) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.packets.take(now, packets, limits.DeviceRate, limits.DeviceBurst)
}

func newRegistry() *registry {
	return &registry{
		conns:   make(map[*conn]struct{}),
		devices: make(map[fleet.DeviceID]*device),
	}
}

func (r *registry) add(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns[c] = struct{}{}
}

// checkStarts is called before a login is checked and must be followed by
// checkEnds. The returned mark goes to join.
func (r *registry) checkStarts() (mark int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checking++
	return len(r.revoked)
}

func (r *registry) checkEnds() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checking--
	if r.checking == 0 {
		r.revoked = nil
	}
}

// join files c under its device. It reports false when the credential of c was
// revoked since mark.
func (r *registry) join(c *conn, mark int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, revoked := range r.revoked[mark:] {
		if revoked.hits(c.identity) {
			return false
		}
	}
	d := r.devices[c.identity.Device]
	if d == nil {
		d = &device{conns: make(map[*conn]struct{}, 1)}
		r.devices[c.identity.Device] = d
	}
	d.conns[c] = struct{}{}
	c.device = d
	r.joined++
	return true
}

// remove forgets c, whether it has joined or not.
func (r *registry) remove(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
	if c.device == nil {
		return
	}
	r.joined--
	delete(c.device.conns, c)
	if len(c.device.conns) == 0 {
		delete(r.devices, c.identity.Device)
	}
}

// revoke returns the connections that a revocation ends.
func (r *registry) revoke(id fleet.DeviceID, credential fleet.CredentialID) []*conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	revoked := revocation{device: id, credential: credential}
	r.note(revoked)
	var hit []*conn
	if d := r.devices[id]; d != nil {
		for c := range d.conns {
			if revoked.hits(c.identity) {
				hit = append(hit, c)
			}
		}
	}
	return hit
}

// note remembers a revocation while logins are being checked. r.mu is held.
func (r *registry) note(revoked revocation) {
	if r.checking > 0 {
		r.revoked = append(r.revoked, revoked)
	}
}

// revokeSession returns the connections that the end of a session ends. It
// looks at all of them: people sign out less often than devices connect.
func (r *registry) revokeSession(session fleet.UserSessionID) []*conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	revoked := revocation{session: session}
	r.note(revoked)
	var hit []*conn
	for _, d := range r.devices {
		for c := range d.conns {
			if revoked.hits(c.identity) {
				hit = append(hit, c)
			}
		}
	}
	return hit
}

// ofDevice returns the connections of a device.
func (r *registry) ofDevice(id fleet.DeviceID) []*conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.devices[id]
	if d == nil {
		return nil
	}
	return slices.Collect(maps.Keys(d.conns))
}

// expired returns the connections whose login was good until the moment at or
// before.
func (r *registry) expired(at time.Time) []*conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	var hit []*conn
	for _, d := range r.devices {
		for c := range d.conns {
			if expires := c.identity.Expires; !expires.IsZero() && !expires.After(at) {
				hit = append(hit, c)
			}
		}
	}
	return hit
}

// all returns every connection, authenticated or not.
func (r *registry) all() []*conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.conns))
}

func (r *registry) established() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.joined
}
