package account

import (
	"context"
	"crypto/subtle"
	"strings"
	"time"

	"armora/fleet"
	"armora/schema"
)

// door is where a device comes in.
type door string

const (
	doorMQTT door = "mqtt"
	doorHTTP door = "http"
)

// way is how a device shows who it is.
type way string

const (
	wayPassword    way = "password"    // user name = device id, password = secret
	wayToken       way = "token"       // user name = device id, password = a JWT signed by the hub
	wayBareSecret  way = "bare_secret" // user name = secret, no password
	wayCertificate way = "certificate" // client certificate; a user name, if any, is the device id
)

// admits is the table of where each format's credential may sit:
//
//	format               over MQTT                       over HTTP
//	ThingsBoard          bare secret, or as the others   password
//	OsmAnd               nothing                         bare secret (the id in the URL)
//	all others           password, token, certificate    password, token
//
// An OsmAnd secret travels in URLs and is the likeliest to leak, so it writes
// points over HTTP and does nothing else.
func (d door) admits(format fleet.Format, w way) bool {
	switch {
	case format == fleet.FormatOsmAnd:
		return d == doorHTTP && w == wayBareSecret
	case w == wayBareSecret:
		return d == doorMQTT && format == fleet.FormatThingsBoard
	case w == wayCertificate:
		return d == doorMQTT
	default:
		return true
	}
}

// Authenticate says which device a login over MQTT is. It fails with
// CodeUnauthenticated, which is the same whether the device is unknown, the
// secret wrong or the credential revoked, or with CodeUnavailable when the
// database, being away, would have to be asked; never with the first in place
// of the second.
func (d *Devices) Authenticate(ctx context.Context, login fleet.Login) (fleet.Identity, error) {
	return d.authenticate(ctx, doorMQTT, login)
}

// HTTPDoor authenticates the devices that report over HTTP.
type HTTPDoor struct{ devices *Devices }

// HTTP returns the door for devices that report over HTTP: OsmAnd's URL id
// comes as the user name without a password, basic authentication as it is.
func (d *Devices) HTTP() HTTPDoor { return HTTPDoor{d} }

// Authenticate is as Devices.Authenticate, for a login over HTTP.
func (h HTTPDoor) Authenticate(ctx context.Context, login fleet.Login) (fleet.Identity, error) {
	return h.devices.authenticate(ctx, doorHTTP, login)
}

func (d *Devices) authenticate(ctx context.Context, from door, login fleet.Login) (fleet.Identity, error) {
	w := wayOf(&login)
	if login.ClientID == login.Username+"/events" { // a session that carries nothing but events
		ctx = emergency(ctx)
	}
	identity, err := d.identify(ctx, from, w, &login)
	d.metrics.login(from, w, err)
	if err != nil {
		return fleet.Identity{}, err
	}
	return identity, nil
}

func wayOf(login *fleet.Login) way {
	switch {
	case login.Password == "" && login.Certificate != nil:
		return wayCertificate
	case login.Password == "":
		return wayBareSecret
	case strings.Count(login.Password, ".") == 2: // no secret of ours holds a dot
		return wayToken
	default:
		return wayPassword
	}
}

func (d *Devices) identify(ctx context.Context, from door, w way, login *fleet.Login) (fleet.Identity, error) {
	switch w {
	case wayCertificate:
		return d.byHash(ctx, from, w, fleet.CertificateCredential, fingerprint(login.Certificate), login.Username)
	case wayBareSecret:
		return d.byHash(ctx, from, w, fleet.SecretCredential, d.keyring.Hash(login.Username), "")
	}
	device, err := fleet.ParseID[fleet.Device](login.Username)
	if err != nil {
		return fleet.Identity{}, badCredentials()
	}
	if w == wayToken {
		return d.byToken(ctx, from, device, login.Password)
	}
	hash := d.keyring.Hash(login.Password)
	return d.check(ctx, device, func(stored *schema.DeviceLogin) (fleet.Identity, bool) {
		return match(stored, from, w, fleet.SecretCredential, hash, d.clock.Now())
	})
}

// byHash finds the device by its credential. A user name, when there is one,
// must name the same device.
func (d *Devices) byHash(ctx context.Context, from door, w way, kind fleet.CredentialKind, hash []byte, username string) (fleet.Identity, error) {
	device, _, err := d.owners.get(ctx, string(hash))
	if err != nil {
		return fleet.Identity{}, asLogin(err)
	}
	if username != "" && username != device.String() {
		return fleet.Identity{}, badCredentials()
	}
	return d.check(ctx, device, func(stored *schema.DeviceLogin) (fleet.Identity, bool) {
		return match(stored, from, w, kind, hash, d.clock.Now())
	})
}

// byToken lets a token in. One of a session is good while the session lives and
// the phone is its user's. Any other is good while its device holds any
// credential in force, so that revoking the last one shuts the device out at once.
func (d *Devices) byToken(ctx context.Context, from door, device fleet.DeviceID, password string) (fleet.Identity, error) {
	token, err := d.keys.VerifyDevice(password)
	if err != nil || token.Device != device {
		return fleet.Identity{}, badCredentials()
	}
	if !token.Session.IsZero() {
		return d.bySession(ctx, from, &token)
	}
	return d.check(ctx, device, func(stored *schema.DeviceLogin) (fleet.Identity, bool) {
		now := d.clock.Now()
		for i := range stored.Credentials {
			if inForce(&stored.Credentials[i].Credential, now) {
				identity := stored.Identity
				identity.Expires = token.Expires
				return identity, from.admits(identity.Format, wayToken)
			}
		}
		return fleet.Identity{}, false
	})
}

// bySession lets in the phone of whoever is signed in.
func (d *Devices) bySession(ctx context.Context, from door, token *DeviceToken) (fleet.Identity, error) {
	if d.sessions == nil {
		return fleet.Identity{}, badCredentials()
	}
	caller, err := d.sessions.caller(ctx, token.Session)
	if err != nil {
		return fleet.Identity{}, asLogin(err)
	}
	return d.check(ctx, token.Device, func(stored *schema.DeviceLogin) (fleet.Identity, bool) {
		identity := stored.Identity
		identity.Expires, identity.Session = token.Expires, token.Session
		role := fleet.RoleRider
		if !identity.Driver.IsZero() {
			role = fleet.RoleDriver
		}
		return identity, identity.User == caller.User && caller.Has(role) && from.admits(identity.Format, wayToken)
	})
}

// check asks verdict about what is known of the device. What is remembered may
// say yes, but never no: before a device is refused, the database is read, for
// the credential may have been added on another node a moment ago.
func (d *Devices) check(ctx context.Context, device fleet.DeviceID, verdict func(*schema.DeviceLogin) (fleet.Identity, bool)) (fleet.Identity, error) {
	key := string(device[:])
	stored, remembered, err := d.logins.get(ctx, key)
	if err != nil {
		return fleet.Identity{}, asLogin(err)
	}
	if identity, ok := verdict(&stored); ok {
		return identity, nil
	}
	if !remembered {
		return fleet.Identity{}, badCredentials()
	}
	if stored, err = d.logins.read(ctx, key, lookupTimeout); err != nil {
		return fleet.Identity{}, asLogin(err)
	}
	if identity, ok := verdict(&stored); ok {
		return identity, nil
	}
	return fleet.Identity{}, badCredentials()
}

// match finds the credential in force whose hash is hash. The identity it
// returns shares its Children with every other of the device: nobody writes to
// them.
func match(stored *schema.DeviceLogin, from door, w way, kind fleet.CredentialKind, hash []byte, now time.Time) (fleet.Identity, bool) {
	for i := range stored.Credentials {
		c := &stored.Credentials[i]
		if c.Kind != kind || subtle.ConstantTimeCompare(c.Hash, hash) != 1 || !inForce(&c.Credential, now) {
			continue
		}
		identity := stored.Identity
		identity.Credential = c.ID
		identity.Expires = c.Expires
		return identity, from.admits(identity.Format, w)
	}
	return fleet.Identity{}, false
}

// asLogin hides whether it was the device or the secret that is unknown.
func asLogin(err error) error {
	if code := fleet.CodeOf(err); code == fleet.CodeNotFound || code == fleet.CodeUnauthenticated {
		return badCredentials()
	}
	return err
}

func badCredentials() error {
	return &fleet.Error{Code: fleet.CodeUnauthenticated, Message: "bad credentials"}
}
