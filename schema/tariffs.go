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

// Edition is a tariff with who set it, and when.
type Edition struct {
	Version int
	Body    json.RawMessage // the tariff.Table
	SetBy   fleet.UserID    // zero: the bootstrap admin
	Since   time.Time       // when it was set
}

const editionColumns = `version, body::text, set_by, since`

func scanEdition(row pgx.CollectableRow) (e Edition, err error) {
	var body string
	err = row.Scan(&e.Version, &body, &e.SetBy, &e.Since)
	e.Body, e.Since = json.RawMessage(body), e.Since.UTC()
	return e, err
}

// validFrom is when an edition comes into force.
const validFrom = `coalesce((body ->> 'valid_from')::timestamptz, since)`

// Current returns the edition that is in force at a time: of those whose time has
// come the one whose came last, the newest of several. It is nil if there is none but
// that with which the hub comes.
func (t Tariffs) Current(ctx context.Context, now time.Time) (json.RawMessage, error) {
	e, err := one(ctx, t.DB, "tariff", scanEdition, `
		SELECT `+editionColumns+` FROM tariffs WHERE `+validFrom+` <= $1 ORDER BY `+validFrom+` DESC, version DESC LIMIT 1`, now)
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return nil, nil
	}
	return e.Body, err
}

// List returns up to limit editions of versions before the given one, the newest
// first. 0 starts with the newest.
func (t Tariffs) List(ctx context.Context, before, limit int) ([]Edition, error) {
	return all(ctx, t.DB, "tariff", scanEdition, `
		SELECT `+editionColumns+` FROM tariffs WHERE $1 = 0 OR version < $1 ORDER BY version DESC LIMIT $2`, before, limit)
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
