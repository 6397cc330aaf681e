package account

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
)

// DevicesConfig is what Devices needs. All but Sessions and Metrics is required.
type DevicesConfig struct {
	DB       *schema.DB
	Keyring  *Keyring
	Keys     *Keys
	Sessions *Sessions // nil: no phone is enrolled by signing in
	Bus      *bus.Bus
	Clock    fleet.Clock
	Metrics  prometheus.Registerer
}

// Devices provisions devices and says which login is whose. It is safe for
// concurrent use.
type Devices struct {
	devices     schema.Devices
	credentials schema.Credentials
	keyring     *Keyring
	keys        *Keys
	sessions    *Sessions
	bus         *bus.Bus
	clock       fleet.Clock
	metrics     *metrics

	logins      *lookups[schema.DeviceLogin] // by device id
	owners      *lookups[fleet.DeviceID]     // by credential hash; a credential never changes hands
	payloadKeys *lookups[[]byte]             // by device id
	unsubscribe func()
}

// loginStore is what a login is checked against: an interface because a database
// that is away, slow, or changing underneath is tested.
type loginStore interface {
	Login(ctx context.Context, id fleet.DeviceID) (schema.DeviceLogin, error)
	LoginByHash(ctx context.Context, hash []byte) (schema.DeviceLogin, error)
}

// NewDevices returns the devices of a hub. Close it to leave the bus.
func NewDevices(cfg DevicesConfig) (*Devices, error) {
	d := &Devices{
		devices:     schema.Devices{DB: cfg.DB},
		credentials: schema.Credentials{DB: cfg.DB},
		keyring:     cfg.Keyring,
		keys:        cfg.Keys,
		sessions:    cfg.Sessions,
		bus:         cfg.Bus,
		clock:       cfg.Clock,
	}
	var err error
	if d.metrics, err = newMetrics(cfg.Metrics); err != nil {
		return nil, err
	}
	d.remember(d.devices)
	d.unsubscribe = cfg.Bus.Revocations.Subscribe(func(r bus.Revocation) { d.forget(r.Device) })
	return d, nil
}

// remember sets up the memory in front of the store.
func (d *Devices) remember(store loginStore) {
	turns := semaphore.NewWeighted(lookupConcurrency)
	d.logins = newLookups(d.clock, turns, d.metrics.lookups("login"),
		func(ctx context.Context, id string) (schema.DeviceLogin, error) {
			return store.Login(ctx, fleet.DeviceID([]byte(id)))
		})
	d.owners = newLookups(d.clock, turns, d.metrics.lookups("owner"),
		func(ctx context.Context, hash string) (fleet.DeviceID, error) {
			login, err := store.LoginByHash(ctx, []byte(hash))
			return login.Identity.Device, err
		})
	d.payloadKeys = newLookups(d.clock, turns, d.metrics.lookups("payload_key"), d.readPayloadKey)
}

// Close leaves the bus. It may be called more than once.
func (d *Devices) Close() { d.unsubscribe() }

// Provision adds a device and returns it, with its id and time of creation
// set, and its first secret. The secret is told this once and never again.
func (d *Devices) Provision(ctx context.Context, device fleet.Device) (fleet.Device, string, error) {
	if err := checkDevice(&device); err != nil {
		return fleet.Device{}, "", err
	}
	device.ID = fleet.NewID[fleet.Device]()
	device.Created = d.clock.Now()
	if err := d.devices.Create(ctx, device); err != nil {
		return fleet.Device{}, "", err
	}
	if !device.Gateway.IsZero() {
		d.comeAnew(device.Gateway) // it speaks for one more
	}
	_, secret, err := d.Rotate(ctx, device.ID)
	if err != nil {
		return fleet.Device{}, "", fmt.Errorf("device %s was added, but has no secret yet: %w", device.ID, err)
	}
	return device, secret, nil
}

// Rotate gives the device one more secret. Both are good until one is revoked,
// so that the device can be changed over without a gap; a third credential is
// a CodeConflict.
func (d *Devices) Rotate(ctx context.Context, device fleet.DeviceID) (fleet.Credential, string, error) {
	secret := newSecret(deviceSecret)
	credential := d.newCredential(device, fleet.SecretCredential)
	if err := d.addCredential(ctx, credential, d.keyring.Hash(secret)); err != nil {
		return fleet.Credential{}, "", err
	}
	return credential, secret, nil
}

// AddCertificate lets the device prove itself by a client certificate in PEM,
// until that expires. The certificate must also be signed by the authority
// that the MQTT listener trusts.
func (d *Devices) AddCertificate(ctx context.Context, device fleet.DeviceID, certificate []byte) (fleet.Credential, error) {
	block, rest := pem.Decode(certificate)
	if block == nil || block.Type != "CERTIFICATE" || len(strings.TrimSpace(string(rest))) > 0 {
		return fleet.Credential{}, invalid("the certificate is not one PEM block of type CERTIFICATE")
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fleet.Credential{}, &fleet.Error{Code: fleet.CodeInvalid, Message: "the certificate cannot be read", Err: err}
	}
	if !parsed.NotAfter.After(d.clock.Now()) {
		return fleet.Credential{}, invalid("the certificate expired at %s", parsed.NotAfter.UTC().Format(time.RFC3339))
	}
	credential := d.newCredential(device, fleet.CertificateCredential)
	credential.Expires = parsed.NotAfter
	if err := d.addCredential(ctx, credential, fingerprint(block.Bytes)); err != nil {
		return fleet.Credential{}, err
	}
	return credential, nil
}

// Revoke ends a credential. Connections made with it end within a second; when
// it was the last in force, those made with a token end too, and tokens already
// given out open nothing until the device gets a new credential.
func (d *Devices) Revoke(ctx context.Context, device fleet.DeviceID, credential fleet.CredentialID) error {
	if err := d.credentials.Revoke(ctx, device, credential, d.clock.Now()); err != nil {
		return err
	}
	// Forget first: who is disconnected by the news comes straight back.
	d.forget(device)
	revocation := bus.Revocation{Device: device, Credential: credential}
	left, err := d.credentials.List(ctx, device)
	if err != nil || !anyInForce(left, d.clock.Now()) {
		// Nothing is left, or nobody can say: then everything is ended, and
		// who is still welcome reconnects.
		revocation.Credential = fleet.CredentialID{}
	}
	d.bus.Revocations.Publish(revocation)
	return nil
}

// Credentials returns the device's credentials, revoked ones included.
func (d *Devices) Credentials(ctx context.Context, device fleet.DeviceID) ([]fleet.Credential, error) {
	return d.credentials.List(ctx, device)
}

func (d *Devices) newCredential(device fleet.DeviceID, kind fleet.CredentialKind) fleet.Credential {
	return fleet.Credential{
		ID: fleet.NewID[fleet.Credential](), Device: device, Kind: kind, Created: d.clock.Now(),
	}
}

func (d *Devices) addCredential(ctx context.Context, credential fleet.Credential, hash []byte) error {
	if err := d.credentials.Add(ctx, credential, hash); err != nil {
		return err
	}
	d.forget(credential.Device)
	return nil
}

func (d *Devices) forget(device fleet.DeviceID) {
	d.logins.forget(string(device[:]))
}

func anyInForce(credentials []fleet.Credential, now time.Time) bool {
	for i := range credentials {
		if inForce(&credentials[i], now) {
			return true
		}
	}
	return false
}

func inForce(c *fleet.Credential, now time.Time) bool {
	return c.Revoked.IsZero() && (c.Expires.IsZero() || now.Before(c.Expires))
}

// The prefixes by which scanners for leaked credentials, and people, recognise a
// secret.
const (
	deviceSecret  = "armd_"
	refreshSecret = "armr_"
	partnerSecret = "armp_"
	oneTimeSecret = "armo_"
	ticketSecret  = "armt_"
	shareSecret   = "arms_"
)

// newSecret makes 256 random bits in letters that need no escaping in a URL,
// where OsmAnd clients show them.
func newSecret(prefix string) string {
	random := make([]byte, 32)
	rand.Read(random)
	return prefix + base64.RawURLEncoding.EncodeToString(random)
}

// fingerprint is how a certificate is stored and found.
func fingerprint(der []byte) []byte {
	sum := sha256.Sum256(der)
	return sum[:]
}

func checkDevice(d *fleet.Device) error {
	switch {
	case d.Kind != fleet.Phone && d.Kind != fleet.Tracker:
		return invalid("kind %q is neither phone nor tracker", d.Kind)
	case strings.TrimSpace(d.Name) == "" || len(d.Name) > 200 || !utf8.ValidString(d.Name) || strings.ContainsRune(d.Name, 0):
		return invalid("name is not 1 to 200 bytes of text")
	case d.Format > fleet.FormatOsmAnd:
		return invalid("format %d is unknown", d.Format)
	case !d.Gateway.IsZero() && d.External == "":
		return invalid("external is missing: it is the name by which the gateway tells this device from its others")
	case d.Format == fleet.FormatTeltonika && d.External == "":
		return invalid("external is missing: it is the IMEI in a Teltonika device's topic")
	}
	return checkExternal(d.External)
}

// checkExternal refuses what would mean something else as a level of an MQTT
// topic: the name is put into the templates that say what a device may
// publish.
func checkExternal(name string) error {
	const limit = 128
	if len(name) > limit || !utf8.ValidString(name) || strings.HasPrefix(name, "$") || strings.ContainsAny(name, "/+#") {
		return invalid("external is not up to %d bytes of text without /, +, # and a leading $", limit)
	}
	if strings.ContainsFunc(name, unicode.IsControl) {
		return invalid("external holds a control character")
	}
	return nil
}

func invalid(format string, args ...any) error {
	return &fleet.Error{Code: fleet.CodeInvalid, Message: fmt.Sprintf(format, args...)}
}
