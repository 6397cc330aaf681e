package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// liveCredentials is how many credentials a device may hold at once: the old
// one works until the new one is in place.
const liveCredentials = 2

// Credentials are the ways in which devices prove who they are.
type Credentials struct{ DB *DB }

const credentialColumns = `id, device, kind, hash, created, expires, revoked`

func scanCredential(row pgx.CollectableRow) (c StoredCredential, err error) {
	var expires, revoked *time.Time
	err = row.Scan(&c.ID, &c.Device, &c.Kind, &c.Hash, &c.Created, &expires, &revoked)
	c.Created, c.Expires, c.Revoked = c.Created.UTC(), orZero(expires), orZero(revoked)
	return c, err
}

// Add gives a device one more credential. When two are live at c.Created
// already, it is CodeConflict: revoke one first.
func (t Credentials) Add(ctx context.Context, c fleet.Credential, hash []byte) error {
	err := pgx.BeginFunc(ctx, t.DB.pool, func(tx pgx.Tx) error {
		// The device's row is locked first, so that two that are added at once
		// count each other.
		var id fleet.DeviceID
		if err := tx.QueryRow(ctx, `SELECT id FROM devices WHERE id = $1 FOR UPDATE`, c.Device).Scan(&id); err != nil {
			return translate("device", err)
		}
		var live int
		err := tx.QueryRow(ctx, `
			SELECT count(*) FROM credentials
			WHERE device = $1 AND revoked IS NULL AND (expires IS NULL OR expires > $2)`, c.Device, c.Created).Scan(&live)
		if err != nil {
			return err
		}
		if live >= liveCredentials {
			return &fleet.Error{Code: fleet.CodeConflict, Message: "the device holds two live credentials already: revoke one first"}
		}
		_, err = tx.Exec(ctx, `
			INSERT INTO credentials (id, device, kind, hash, created, expires) VALUES ($1, $2, $3, $4, $5, $6)`,
			c.ID, c.Device, c.Kind, hash, c.Created, null(c.Expires))
		return err
	})
	return translate("credential", err)
}

// List returns every credential of a device, revoked ones too, oldest first.
func (t Credentials) List(ctx context.Context, device fleet.DeviceID) ([]fleet.Credential, error) {
	scan := func(row pgx.CollectableRow) (fleet.Credential, error) {
		c, err := scanCredential(row)
		return c.Credential, err
	}
	return all(ctx, t.DB, "credential", scan,
		`SELECT `+credentialColumns+` FROM credentials WHERE device = $1 ORDER BY created, id`, device)
}

// Revoke ends a credential of the device at the given time. One that was
// revoked before keeps its first time; one of another device is CodeNotFound.
func (t Credentials) Revoke(ctx context.Context, device fleet.DeviceID, id fleet.CredentialID, at time.Time) error {
	return t.DB.exec(ctx, "credential",
		`UPDATE credentials SET revoked = coalesce(revoked, $3) WHERE device = $1 AND id = $2`, device, id, at)
}
