package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// maxPhones is how many phones a person may have enrolled.
const maxPhones = 20

// bind begins, in the history of a device's bindings, what its row says now, and
// ends what was before. The device's row is locked, or new.
func bind(ctx context.Context, tx pgx.Tx, device fleet.DeviceID, at time.Time) error {
	_, err := tx.Exec(ctx, `
		UPDATE device_bindings SET ended = greatest(began, $2) WHERE device = $1 AND ended IS NULL`, device, at)
	if err == nil {
		_, err = tx.Exec(ctx, `
			INSERT INTO device_bindings (device, driver, vehicle, user_id, began)
			SELECT id, driver, vehicle, user_id, $2::timestamptz FROM devices
			WHERE id = $1 AND num_nonnulls(driver, vehicle, user_id) > 0`, device, at)
	}
	return err
}

// Bind says what a device reports for from a time on: a phone for a driver, a
// tracker for a vehicle, either for nothing when both are zero. A person's own
// phone stays theirs only if it is bound to them. It returns the unit under
// which the device was shown before.
func (t Devices) Bind(ctx context.Context, id fleet.DeviceID, driver fleet.DriverID, vehicle fleet.VehicleID, at time.Time) (before fleet.Unit, err error) {
	err = pgx.BeginFunc(ctx, t.DB.pool, func(tx pgx.Tx) error {
		var kind fleet.DeviceKind
		var ofDriver, throughCar fleet.DriverID
		var ofVehicle fleet.VehicleID
		err := tx.QueryRow(ctx, `
			SELECT d.kind, d.driver, d.vehicle, (SELECT v.driver FROM vehicles v WHERE v.id = d.vehicle)
			FROM devices d WHERE d.id = $1 FOR UPDATE`, id).Scan(&kind, &ofDriver, &ofVehicle, &throughCar)
		switch {
		case err != nil:
			return err
		case !driver.IsZero() && kind != fleet.Phone, !vehicle.IsZero() && kind != fleet.Tracker:
			return &fleet.Error{Code: fleet.CodeInvalid, Message: "a phone is bound to a driver, and a tracker to a vehicle"}
		case ofDriver.IsZero():
			ofDriver = throughCar
		}
		before = fleet.UnitOf(id, ofDriver, ofVehicle)
		_, err = tx.Exec(ctx, `
			UPDATE devices SET driver = $2, vehicle = $3,
			       user_id = (SELECT o.user_id FROM drivers o WHERE o.id = $2 AND o.user_id = devices.user_id)
			WHERE id = $1`, id, driver, vehicle)
		if err != nil {
			return err
		}
		return bind(ctx, tx, id, at)
	})
	return before, translate("device", err)
}

// Bindings returns what a device reported for and when, the latest first.
func (t Devices) Bindings(ctx context.Context, id fleet.DeviceID, limit int) ([]fleet.Binding, error) {
	scan := func(row pgx.CollectableRow) (b fleet.Binding, err error) {
		var ended *time.Time
		err = row.Scan(&b.Device, &b.Driver, &b.Vehicle, &b.User, &b.From, &ended)
		b.From, b.To = b.From.UTC(), orZero(ended)
		return b, err
	}
	return all(ctx, t.DB, "binding", scan, `
		SELECT device, driver, vehicle, user_id, began, ended FROM device_bindings WHERE device = $1
		ORDER BY ended DESC NULLS FIRST, began DESC LIMIT $2`, id, limit)
}

// Enrolment is how a person's phone presents itself.
type Enrolment struct {
	Device   fleet.DeviceID
	User     fleet.UserID
	Name     string
	Platform string
	App      string // its version
	At       time.Time
}

// Enrol adds a phone of a person who has signed in, bound to them and, if they
// are a driver, as a driver's.
func (t Devices) Enrol(ctx context.Context, e Enrolment) error {
	return t.DB.transact(ctx, "device", func(tx pgx.Tx) error {
		// The user's row is locked, so that two that are enrolled at once count
		// each other.
		var phones int
		if err := tx.QueryRow(ctx, `SELECT 1 FROM users WHERE id = $1 FOR UPDATE`, e.User).Scan(&phones); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM devices WHERE user_id = $1`, e.User).Scan(&phones); err != nil {
			return err
		}
		if phones >= maxPhones {
			return &fleet.Error{Code: fleet.CodeConflict, Message: "you have enrolled as many phones as anybody may: enrol one of them again by its device_id"}
		}
		_, err := tx.Exec(ctx, `
			INSERT INTO devices (id, kind, name, format, user_id, driver, platform, app_version, created)
			VALUES ($1, 'phone', $2, $3, $4, (SELECT id FROM drivers WHERE user_id = $4), $5, $6, $7)`,
			e.Device, text(e.Name), int16(fleet.FormatJSON), e.User, text(e.Platform), text(e.App), e.At)
		if err != nil {
			return err
		}
		return bind(ctx, tx, e.Device, e.At)
	})
}

// EnrolAgain brings a phone that the person enrolled before up to date. It
// returns the unit under which it was shown, and whether that has changed since
// the person has become a driver, or is none any more. Another's is CodeNotFound.
func (t Devices) EnrolAgain(ctx context.Context, e Enrolment) (was fleet.Unit, moved bool, err error) {
	err = pgx.BeginFunc(ctx, t.DB.pool, func(tx pgx.Tx) error {
		var before, after fleet.DriverID
		err := tx.QueryRow(ctx, `
			SELECT d.driver, (SELECT o.id FROM drivers o WHERE o.user_id = $2)
			FROM devices d WHERE d.id = $1 AND d.user_id = $2 FOR UPDATE`, e.Device, e.User).Scan(&before, &after)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			UPDATE devices SET name = $3, platform = $4, app_version = $5, driver = $6 WHERE id = $1 AND user_id = $2`,
			e.Device, e.User, text(e.Name), text(e.Platform), text(e.App), after)
		was, moved = fleet.UnitOf(e.Device, before, fleet.VehicleID{}), before != after
		if err != nil || !moved {
			return err
		}
		return bind(ctx, tx, e.Device, e.At)
	})
	return was, moved, translate("device", err)
}

// Own returns a phone that the user has enrolled; another's is CodeNotFound.
func (t Devices) Own(ctx context.Context, id fleet.DeviceID, user fleet.UserID) (fleet.Device, error) {
	return one(ctx, t.DB, "device", scanDevice,
		`SELECT `+deviceColumns+` FROM devices WHERE id = $1 AND user_id = $2`, id, user)
}

// OfDriver returns the phones that are bound to a driver.
func (t Devices) OfDriver(ctx context.Context, driver fleet.DriverID) ([]fleet.DeviceID, error) {
	return all(ctx, t.DB, "device", pgx.RowTo[fleet.DeviceID], `SELECT id FROM devices WHERE driver = $1 ORDER BY id`, driver)
}

// OfUser returns the phones that a user has enrolled and that are no driver's.
func (t Devices) OfUser(ctx context.Context, user fleet.UserID) ([]fleet.DeviceID, error) {
	return all(ctx, t.DB, "device", pgx.RowTo[fleet.DeviceID], `SELECT id FROM devices WHERE user_id = $1 AND driver IS NULL ORDER BY id`, user)
}
