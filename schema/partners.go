package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Partners are the systems of partners.
type Partners struct{ DB *DB }

const partnerColumns = `id, name, scopes, created, rotated, revoked`

func scanPartner(row pgx.CollectableRow) (p fleet.Partner, err error) {
	var revoked *time.Time
	err = row.Scan(&p.ID, &p.Name, &p.Scopes, &p.Created, &p.Rotated, &revoked)
	p.Created, p.Rotated, p.Revoked = p.Created.UTC(), p.Rotated.UTC(), orZero(revoked)
	return p, err
}

// Create adds a partner with the keyed hash of its secret.
func (t Partners) Create(ctx context.Context, p fleet.Partner, secret []byte) error {
	scopes := make([]string, len(p.Scopes))
	for i, scope := range p.Scopes {
		scopes[i] = string(scope)
	}
	return t.DB.exec(ctx, "partner", `
		INSERT INTO partners (id, name, scopes, secret, created, rotated) VALUES ($1, $2, $3::text[], $4, $5, $5)`,
		p.ID, p.Name, scopes, secret, p.Created)
}

// Get returns a partner, a revoked one too.
func (t Partners) Get(ctx context.Context, id fleet.PartnerID) (fleet.Partner, error) {
	return one(ctx, t.DB, "partner", scanPartner, `SELECT `+partnerColumns+` FROM partners WHERE id = $1`, id)
}

// BySecret returns the partner that has the id and the secret, unless it has
// been revoked.
func (t Partners) BySecret(ctx context.Context, id fleet.PartnerID, secret []byte, now time.Time) (fleet.Partner, error) {
	return one(ctx, t.DB, "partner", scanPartner, `
		SELECT `+partnerColumns+` FROM partners
		WHERE id = $1 AND (secret = $2 OR previous_secret = $2 AND previous_until > $3) AND revoked IS NULL`, id, secret, now)
}

// List returns up to limit partners with ids after the given one.
func (t Partners) List(ctx context.Context, after fleet.PartnerID, limit int) ([]fleet.Partner, error) {
	return all(ctx, t.DB, "partner", scanPartner, `
		SELECT `+partnerColumns+` FROM partners WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT $2`, after, limit)
}

// Rotate gives a partner a new secret; the one that it had is good until then.
func (t Partners) Rotate(ctx context.Context, id fleet.PartnerID, secret []byte, until, now time.Time) error {
	return t.DB.exec(ctx, "partner", `
		UPDATE partners SET previous_secret = secret, previous_until = $3, secret = $2, rotated = $4
		WHERE id = $1 AND revoked IS NULL`, id, secret, until, now)
}

// Revoke shuts a partner out for good.
func (t Partners) Revoke(ctx context.Context, id fleet.PartnerID, now time.Time) error {
	return t.DB.exec(ctx, "partner", `UPDATE partners SET revoked = $2 WHERE id = $1 AND revoked IS NULL`, id, now)
}
