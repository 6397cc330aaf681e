package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Vehicles are the cars of the fleet.
type Vehicles struct{ DB *DB }

func scanVehicle(row pgx.CollectableRow) (v fleet.Vehicle, err error) {
	err = row.Scan(&v.ID, &v.Registration, &v.Driver)
	return v, err
}

// Create adds a vehicle, and from a time on its driver, if it has one. A known
// registration is CodeConflict.
func (t Vehicles) Create(ctx context.Context, v fleet.Vehicle, at time.Time) error {
	return t.DB.transact(ctx, "vehicle", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx,
			`INSERT INTO vehicles (id, registration, driver) VALUES ($1, $2, $3)`, v.ID, v.Registration, v.Driver)
		if err != nil || v.Driver.IsZero() {
			return err
		}
		return drive(ctx, tx, v.ID, v.Driver, at)
	})
}

// drive begins an assignment in the history.
func drive(ctx context.Context, tx pgx.Tx, vehicle fleet.VehicleID, driver fleet.DriverID, at time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO vehicle_drivers (vehicle, driver, began) VALUES ($1, $2, $3)`, vehicle, driver, at)
	return err
}

// Assign says who drives a vehicle from a time on; a zero driver is nobody. It
// returns who drove it before, and the devices that are fixed to it.
func (t Vehicles) Assign(ctx context.Context, id fleet.VehicleID, driver fleet.DriverID, at time.Time) (before fleet.DriverID, devices []fleet.DeviceID, err error) {
	err = pgx.BeginFunc(ctx, t.DB.pool, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, `SELECT driver FROM vehicles WHERE id = $1 FOR UPDATE`, id).Scan(&before); err != nil || before == driver {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE vehicle_drivers SET ended = greatest(began, $2) WHERE vehicle = $1 AND ended IS NULL`, id, at)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE vehicles SET driver = $2 WHERE id = $1`, id, driver); err != nil {
			return err
		}
		if driver.IsZero() {
			return nil
		}
		return drive(ctx, tx, id, driver, at)
	})
	if err != nil || before == driver {
		return before, nil, translate("vehicle", err)
	}
	devices, err = all(ctx, t.DB, "device", pgx.RowTo[fleet.DeviceID], `SELECT id FROM devices WHERE vehicle = $1`, id)
	return before, devices, err
}

// Assignments returns who drove a vehicle and when, the latest first.
func (t Vehicles) Assignments(ctx context.Context, id fleet.VehicleID, limit int) ([]fleet.Assignment, error) {
	scan := func(row pgx.CollectableRow) (a fleet.Assignment, err error) {
		var ended *time.Time
		err = row.Scan(&a.Vehicle, &a.Driver, &a.From, &ended)
		a.From, a.To = a.From.UTC(), orZero(ended)
		return a, err
	}
	return all(ctx, t.DB, "assignment", scan, `
		SELECT vehicle, driver, began, ended FROM vehicle_drivers WHERE vehicle = $1
		ORDER BY ended DESC NULLS FIRST, began DESC LIMIT $2`, id, limit)
}

// Get returns one vehicle.
func (t Vehicles) Get(ctx context.Context, id fleet.VehicleID) (fleet.Vehicle, error) {
	return one(ctx, t.DB, "vehicle", scanVehicle, `SELECT id, registration, driver FROM vehicles WHERE id = $1`, id)
}

// List returns up to limit vehicles with ids after the given one, in order of id.
func (t Vehicles) List(ctx context.Context, after fleet.VehicleID, limit int) ([]fleet.Vehicle, error) {
	return all(ctx, t.DB, "vehicle", scanVehicle, `
		SELECT id, registration, driver FROM vehicles WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT $2`, after, limit)
}
