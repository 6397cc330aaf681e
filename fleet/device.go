package fleet

import "time"

// DeviceKind says what a device is fixed to: a person or a car.
type DeviceKind string

// The kinds of device.
const (
	Phone   DeviceKind = "phone"
	Tracker DeviceKind = "tracker"
)

// Device is a phone or an in-vehicle tracker that reports points.
type Device struct {
	ID       DeviceID
	Kind     DeviceKind
	Name     string
	Format   Format    // what it speaks, and with that where its credential sits
	External string    // its name in its own protocol (an IMEI, a flespi ident, a gateway's child name); "" if none
	Gateway  DeviceID  // the gateway that may speak for it; zero if none
	Driver   DriverID  // whose phone it is; zero if nobody's
	Vehicle  VehicleID // the car it is fixed to; zero if none
	User     UserID    // who enrolled it by signing in; zero if staff provisioned it
	Created  time.Time
}

// Credential is one way in which a device proves who it is. A device may hold
// two at once, so that the old one works until the new one is in place.
type Credential struct {
	ID      CredentialID
	Device  DeviceID
	Kind    CredentialKind
	Created time.Time
	Expires time.Time // zero: never
	Revoked time.Time // zero: in force
}

// CredentialKind says how a credential is proved.
type CredentialKind string

// The kinds of credential.
const (
	SecretCredential      CredentialKind = "secret"      // a machine-made secret, kept as a keyed hash
	TokenCredential       CredentialKind = "token"       // a JWT signed by the hub; nothing is kept
	CertificateCredential CredentialKind = "certificate" // a client certificate, kept as its SHA-256 fingerprint
)

// Login is what a client shows at the door, over MQTT or HTTP.
type Login struct {
	ClientID    string
	Username    string
	Password    string
	Certificate []byte // DER of the verified client certificate; nil without mTLS
	Remote      string // address of the peer, for logs and limits
}

// Identity is who a login turned out to be. It is made by the authenticator
// and never changes for the life of a connection.
type Identity struct {
	Device     DeviceID
	Kind       DeviceKind
	Format     Format
	External   string           // the device's name in its own protocol
	Driver     DriverID         // whose phone it is, or who drives the car it is fixed to; zero if nobody
	Vehicle    VehicleID        // zero if it is fixed to no car
	User       UserID           // the person with an account whose phone it is; zero if there is none
	Credential CredentialID     // zero for a token
	Session    UserSessionID    // whose token it showed; zero unless the phone was enrolled by signing in
	Expires    time.Time        // when the login stops being good; zero: never
	Children   map[string]Child // for a gateway: the devices it may speak for, by their external name
}

// Child is a device that a gateway speaks for.
type Child struct {
	Device DeviceID
	Unit   Unit   // that it reports for
	User   UserID // as Identity.User
}

// Unit is the id under which the live map shows a device: the officer it
// belongs to, else the car it is fixed to, else the device itself. An officer's
// phone and the tracker of the car that the officer drives share one unit.
type Unit = ID[unit]

type unit struct{}

// Unit returns the unit that the device reports for.
func (id *Identity) Unit() Unit { return UnitOf(id.Device, id.Driver, id.Vehicle) }

// UnitOf returns the unit of a device with this driver and this car; either may
// be zero.
func UnitOf(device DeviceID, driver DriverID, vehicle VehicleID) Unit {
	switch {
	case !driver.IsZero():
		return Unit(driver)
	case !vehicle.IsZero():
		return Unit(vehicle)
	default:
		return Unit(device)
	}
}
