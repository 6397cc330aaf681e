package schema

import (
	"context"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Devices are the phones and trackers of the fleet.
type Devices struct{ DB *DB }

// DeviceLogin is what it takes to decide whether a login is a device's.
type DeviceLogin struct {
	// Identity of the device, without the credential that proves it: Credential
	// and Expires are the authenticator's to fill.
	Identity fleet.Identity
	// Credentials that were not revoked. Whether one has expired is for the
	// caller's clock to say.
	Credentials []StoredCredential
}

// StoredCredential is a credential with the hash that proves it.
type StoredCredential struct {
	fleet.Credential
	Hash []byte // keyed hash of a secret, or SHA-256 of a certificate
}

const deviceColumns = `id, kind, name, format, external, gateway, driver, vehicle, user_id, created`

func scanDevice(row pgx.CollectableRow) (d fleet.Device, err error) {
	err = row.Scan(&d.ID, &d.Kind, &d.Name, &d.Format, &d.External, &d.Gateway, &d.Driver, &d.Vehicle, &d.User, &d.Created)
	d.Created = d.Created.UTC()
	return d, err
}

// Create adds a device, with the first of its bindings. A known id, or an
// external name that another device of the same format (or gateway) has, is
// CodeConflict.
func (t Devices) Create(ctx context.Context, d fleet.Device) error {
	return t.DB.transact(ctx, "device", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			INSERT INTO devices (`+deviceColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			d.ID, d.Kind, d.Name, int16(d.Format), d.External, d.Gateway, d.Driver, d.Vehicle, d.User, d.Created)
		if err != nil {
			return err
		}
		return bind(ctx, tx, d.ID, d.Created)
	})
}

// Get returns one device.
func (t Devices) Get(ctx context.Context, id fleet.DeviceID) (fleet.Device, error) {
	return one(ctx, t.DB, "device", scanDevice, `SELECT `+deviceColumns+` FROM devices WHERE id = $1`, id)
}

// VisibleTo returns one device that a member of the staff sees.
func (t Devices) VisibleTo(ctx context.Context, staff fleet.UserID, id fleet.DeviceID) (fleet.Device, error) {
	return one(ctx, t.DB, "device", scanDevice, `SELECT `+deviceColumns+` FROM devices d WHERE `+showsDevice("d.id")+` AND d.id = $2`, staff, id)
}

// List returns up to limit devices that a member of the staff sees, with ids after
// the given one, in order of id. The zero id starts at the first.
func (t Devices) List(ctx context.Context, staff fleet.UserID, after fleet.DeviceID, limit int) ([]fleet.Device, error) {
	return all(ctx, t.DB, "device", scanDevice, `
		SELECT `+deviceColumns+` FROM devices d WHERE `+showsDevice("d.id")+` AND ($2::uuid IS NULL OR d.id > $2) ORDER BY d.id LIMIT $3`,
		staff, after, limit)
}

// whosePhone is the person with an account whose phone d is: who enrolled it, or
// the driver o it was given to.
const whosePhone = `CASE d.kind WHEN 'phone' THEN coalesce(d.user_id, o.user_id) END`

// identityOf selects who devices are. A car's driver speaks through the tracker that
// is fixed to the car.
const identityOf = `
	SELECT d.id, d.kind, d.format, d.external, coalesce(d.driver, v.driver), d.vehicle, ` + whosePhone + `
	FROM devices d LEFT JOIN vehicles v ON v.id = d.vehicle LEFT JOIN drivers o ON o.id = d.driver`

func scanIdentity(row pgx.CollectableRow) (i fleet.Identity, err error) {
	err = row.Scan(&i.Device, &i.Kind, &i.Format, &i.External, &i.Driver, &i.Vehicle, &i.User)
	return i, err
}

// Login returns what it takes to check a login of the device.
func (t Devices) Login(ctx context.Context, id fleet.DeviceID) (DeviceLogin, error) {
	identity, err := one(ctx, t.DB, "device", scanIdentity, identityOf+` WHERE d.id = $1`, id)
	if err != nil {
		return DeviceLogin{}, err
	}
	if identity.Children, err = t.children(ctx, id); err != nil {
		return DeviceLogin{}, err
	}
	credentials, err := all(ctx, t.DB, "credential", scanCredential, `
		SELECT `+credentialColumns+` FROM credentials WHERE device = $1 AND revoked IS NULL ORDER BY created, id`, id)
	return DeviceLogin{Identity: identity, Credentials: credentials}, err
}

// LoginByHash is Login for the device that has an unrevoked credential with
// this hash: for clients that show a token or a certificate and no name.
func (t Devices) LoginByHash(ctx context.Context, hash []byte) (DeviceLogin, error) {
	id, err := one(ctx, t.DB, "credential", pgx.RowTo[fleet.DeviceID],
		`SELECT device FROM credentials WHERE hash = $1 AND revoked IS NULL`, hash)
	if err != nil {
		return DeviceLogin{}, err
	}
	return t.Login(ctx, id)
}

// children are the devices that a gateway may speak for; nil if none.
func (t Devices) children(ctx context.Context, gateway fleet.DeviceID) (map[string]fleet.Child, error) {
	var children map[string]fleet.Child
	err := t.units(ctx, `d.gateway = $1 AND d.external <> ''`, []any{gateway}, func(name string, c fleet.Child) {
		if children == nil {
			children = make(map[string]fleet.Child)
		}
		children[name] = c
	})
	return children, err
}

// Units returns the unit that each device of the fleet reports for.
func (t Devices) Units(ctx context.Context) (map[fleet.DeviceID]fleet.Unit, error) {
	units := make(map[fleet.DeviceID]fleet.Unit)
	err := t.units(ctx, `true`, nil, func(_ string, c fleet.Child) { units[c.Device] = c.Unit })
	return units, err
}

// PersonalPhones returns whose the phones are that belong to people with an
// account.
func (t Devices) PersonalPhones(ctx context.Context) (map[fleet.DeviceID]fleet.UserID, error) {
	users := make(map[fleet.DeviceID]fleet.UserID)
	err := t.units(ctx, `d.kind = 'phone' AND (d.user_id IS NOT NULL OR o.user_id IS NOT NULL)`, nil,
		func(_ string, c fleet.Child) { users[c.Device] = c.User })
	return users, err
}

func (t Devices) units(ctx context.Context, condition string, args []any, yield func(external string, c fleet.Child)) error {
	rows, err := t.DB.pool.Query(ctx, `
		SELECT d.external, d.id, coalesce(d.driver, v.driver), d.vehicle, `+whosePhone+`
		FROM devices d LEFT JOIN vehicles v ON v.id = d.vehicle LEFT JOIN drivers o ON o.id = d.driver
		WHERE `+condition, args...)
	if err != nil {
		return translate("device", err)
	}
	var external string
	var device fleet.DeviceID
	var driver fleet.DriverID
	var vehicle fleet.VehicleID
	var user fleet.UserID
	_, err = pgx.ForEachRow(rows, []any{&external, &device, &driver, &vehicle, &user}, func() error {
		yield(external, fleet.Child{Device: device, Unit: fleet.UnitOf(device, driver, vehicle), User: user})
		return nil
	})
	return translate("device", err)
}

// SetStatus records what a device said about itself, unless something newer is
// known already.
func (t Devices) SetStatus(ctx context.Context, s fleet.Status) error {
	_, err := t.DB.pool.Exec(ctx, `
		INSERT INTO device_status (device, online, battery, app, received) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (device) DO UPDATE
		SET online = excluded.online, battery = excluded.battery, app = excluded.app, received = excluded.received
		WHERE device_status.received <= excluded.received`,
		s.Device, s.Online, known(s.Battery), text(s.App), s.Received)
	return translate("device's status", err)
}

// Status returns the last that a device said about itself.
func (t Devices) Status(ctx context.Context, id fleet.DeviceID) (fleet.Status, error) {
	scan := func(row pgx.CollectableRow) (s fleet.Status, err error) {
		var battery *float32
		err = row.Scan(&s.Device, &s.Online, &battery, &s.App, &s.Received)
		s.Battery, s.Received = orUnknown(battery), s.Received.UTC()
		return s, err
	}
	return one(ctx, t.DB, "device's status", scan,
		`SELECT device, online, battery, app, received FROM device_status WHERE device = $1`, id)
}

// SetPayloadKey keeps the sealed key with which the device encrypts payloads;
// nil forgets it.
func (t Devices) SetPayloadKey(ctx context.Context, id fleet.DeviceID, sealed []byte) error {
	return t.DB.exec(ctx, "device", `UPDATE devices SET payload_key = $2::bytea WHERE id = $1`, id, sealed)
}

// PayloadKey returns the sealed key with which the device encrypts payloads;
// CodeNotFound if it has none.
func (t Devices) PayloadKey(ctx context.Context, id fleet.DeviceID) ([]byte, error) {
	return one(ctx, t.DB, "payload key", pgx.RowTo[[]byte],
		`SELECT payload_key FROM devices WHERE id = $1 AND payload_key IS NOT NULL`, id)
}
