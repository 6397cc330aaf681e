package schema

import (
	"context"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Drivers are the protection officers.
type Drivers struct{ DB *DB }

func scanDriver(row pgx.CollectableRow) (d fleet.Driver, err error) {
	err = row.Scan(&d.ID, &d.Name, &d.Tier)
	return d, err
}

// Create adds a driver.
func (t Drivers) Create(ctx context.Context, d fleet.Driver) error {
	return t.DB.exec(ctx, "driver", `INSERT INTO drivers (id, name, tier) VALUES ($1, $2, $3)`, d.ID, d.Name, d.Tier)
}

// Get returns one driver.
func (t Drivers) Get(ctx context.Context, id fleet.DriverID) (fleet.Driver, error) {
	return one(ctx, t.DB, "driver", scanDriver, `SELECT id, name, tier FROM drivers WHERE id = $1`, id)
}

// List returns up to limit drivers with ids after the given one, in order of id.
func (t Drivers) List(ctx context.Context, after fleet.DriverID, limit int) ([]fleet.Driver, error) {
	return all(ctx, t.DB, "driver", scanDriver, `
		SELECT id, name, tier FROM drivers WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT $2`, after, limit)
}

// ByIDs returns those of the drivers that exist, in order of id.
func (t Drivers) ByIDs(ctx context.Context, ids []fleet.DriverID) ([]fleet.Driver, error) {
	return all(ctx, t.DB, "driver", scanDriver,
		`SELECT id, name, tier FROM drivers WHERE id = ANY($1::uuid[]) ORDER BY id`, idStrings(ids))
}

func idStrings[K any](ids []fleet.ID[K]) []string {
	s := make([]string, len(ids))
	for i, id := range ids {
		s[i] = id.String()
	}
	return s
}
