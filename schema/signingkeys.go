package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// SigningKey is one key pair with which the hub signs tokens.
type SigningKey struct {
	ID        string // kid, in the header of every token signed with it
	Algorithm string // as in the token's header: EdDSA, ES256
	Public    []byte
	Private   []byte    // sealed: never in the clear
	Created   time.Time // signs from then on
	Retires   time.Time // verifies until then; zero: for good
}

// SigningKeys are the keys with which the hub signs tokens.
type SigningKeys struct{ DB *DB }

// Add keeps a key. A known id is CodeConflict.
func (t SigningKeys) Add(ctx context.Context, k SigningKey) error {
	return t.DB.exec(ctx, "signing key", `
		INSERT INTO signing_keys (id, algorithm, public, private, created, retires) VALUES ($1, $2, $3, $4, $5, $6)`,
		k.ID, k.Algorithm, k.Public, k.Private, k.Created, null(k.Retires))
}

const signingKeys = `SELECT id, algorithm, public, private, created, retires FROM signing_keys ORDER BY created, id`

func scanSigningKey(row pgx.CollectableRow) (k SigningKey, err error) {
	var retires *time.Time
	err = row.Scan(&k.ID, &k.Algorithm, &k.Public, &k.Private, &k.Created, &retires)
	k.Created, k.Retires = k.Created.UTC(), orZero(retires)
	return k, err
}

// List returns every key, oldest first, retired ones too.
func (t SigningKeys) List(ctx context.Context) ([]SigningKey, error) {
	return all(ctx, t.DB, "signing key", scanSigningKey, signingKeys)
}
