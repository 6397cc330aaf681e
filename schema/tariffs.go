package schema

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Tariffs are the editions of what everything costs.
type Tariffs struct{ DB *DB }

// Current returns the newest edition; nil if there is none but that with which
// the hub comes.
func (t Tariffs) Current(ctx context.Context) (json.RawMessage, error) {
	body, err := one(ctx, t.DB, "tariff", pgx.RowTo[string], `SELECT body::text FROM tariffs ORDER BY version DESC LIMIT 1`)
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return nil, nil
	}
	return json.RawMessage(body), err
}

// Add adds an edition. One of its version, or a later one, is
// CodeVersionMismatch.
func (t Tariffs) Add(ctx context.Context, version int, body json.RawMessage, by fleet.UserID, now time.Time) error {
	err := t.DB.swap(ctx, "tariff", `
		INSERT INTO tariffs (version, body, set_by, since)
		SELECT $1::integer, $2::text::jsonb, $3::uuid, $4 WHERE $1 = coalesce((SELECT max(version) FROM tariffs), 1) + 1`,
		version, string(body), by, now)
	if fleet.CodeOf(err) == fleet.CodeConflict { // by two at once
		err = &fleet.Error{Code: fleet.CodeVersionMismatch, Message: "the tariff has changed since it was read: read it again", Err: err}
	}
	return err
}
