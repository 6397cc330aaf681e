package schema

import (
	"context"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Vehicles are the cars of the fleet.
type Vehicles struct{ DB *DB }

func scanVehicle(row pgx.CollectableRow) (v fleet.Vehicle, err error) {
	err = row.Scan(&v.ID, &v.Registration, &v.Driver)
	return v, err
}

// Create adds a vehicle. A known registration is CodeConflict.
func (t Vehicles) Create(ctx context.Context, v fleet.Vehicle) error {
	return t.DB.exec(ctx, "vehicle",
		`INSERT INTO vehicles (id, registration, driver) VALUES ($1, $2, $3)`, v.ID, v.Registration, v.Driver)
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
