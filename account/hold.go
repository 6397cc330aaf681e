package account

import (
	"armora/fleet"
	"armora/schema"
)

// Hold says who is let in by their sessions while the database is away, in place of
// whom it said before: those who may have to call for help.
func (s *Sessions) Hold(signedIn []schema.SignedIn) {
	held := make(map[string]schema.SignedIn, len(signedIn))
	for i := range signedIn {
		id := signedIn[i].Session.ID
		held[string(id[:])] = signedIn[i]
	}
	s.signedIn.hold(held)
}

// Hold says which devices are let in while the database is away, in place of those
// that it said before.
func (d *Devices) Hold(devices []schema.DeviceLogin) {
	held, owners := make(map[string]schema.DeviceLogin, len(devices)), make(map[string]fleet.DeviceID)
	for i := range devices {
		id := devices[i].Identity.Device
		held[string(id[:])] = devices[i]
		for _, c := range devices[i].Credentials {
			owners[string(c.Hash)] = id
		}
	}
	d.logins.hold(held)
	d.owners.hold(owners)
}

// Restore takes the keys that a snapshot holds in place of those of the database,
// which is away.
func (k *Keys) Restore(stored []schema.SigningKey) error { return k.open(stored) }
