package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Addresses are the places that users have saved. What they are is sealed.
type Addresses struct{ DB *DB }

// SealedAddress is an address as it is stored.
type SealedAddress struct {
	ID      fleet.AddressID
	User    fleet.UserID
	Sealed  []byte
	Created time.Time
}

const addressColumns = `id, user_id, sealed, created`

func scanAddress(row pgx.CollectableRow) (a SealedAddress, err error) {
	err = row.Scan(&a.ID, &a.User, &a.Sealed, &a.Created)
	a.Created = a.Created.UTC()
	return a, err
}

// List returns a user's addresses, the oldest first.
func (t Addresses) List(ctx context.Context, user fleet.UserID) ([]SealedAddress, error) {
	return all(ctx, t.DB, "address", scanAddress,
		`SELECT `+addressColumns+` FROM addresses WHERE user_id = $1 ORDER BY created, id`, user)
}

// Add saves an address, unless the user has as many as limit.
func (t Addresses) Add(ctx context.Context, a SealedAddress, limit int) error {
	return t.DB.addOwned(ctx, "address", a.User, `SELECT count(*) FROM addresses WHERE user_id = $1`, limit, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			INSERT INTO addresses (id, user_id, sealed, created, changed) VALUES ($1, $2, $3, $4, $4)`,
			a.ID, a.User, a.Sealed, a.Created)
		return err
	})
}

// Change saves an address of the user's anew and returns it.
func (t Addresses) Change(ctx context.Context, user fleet.UserID, id fleet.AddressID, sealed []byte, now time.Time) (SealedAddress, error) {
	return one(ctx, t.DB, "address", scanAddress, `
		UPDATE addresses SET sealed = $3, changed = $4 WHERE user_id = $1 AND id = $2 RETURNING `+addressColumns, user, id, sealed, now)
}

// Delete deletes an address of the user's.
func (t Addresses) Delete(ctx context.Context, user fleet.UserID, id fleet.AddressID) error {
	return t.DB.exec(ctx, "address", `DELETE FROM addresses WHERE user_id = $1 AND id = $2`, user, id)
}
