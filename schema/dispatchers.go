package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Dispatchers are who dispatches which area.
type Dispatchers struct{ DB *DB }

// Begin begins a term: from now on what an older one writes is refused.
func (t Dispatchers) Begin(ctx context.Context, area, holder string, now time.Time) (Term, error) {
	epoch, err := one(ctx, t.DB, "dispatcher", pgx.RowTo[int64], `
		INSERT INTO dispatchers (area, epoch, holder, since) VALUES ($1, 1, $2, $3)
		ON CONFLICT (area) DO UPDATE SET epoch = dispatchers.epoch + 1, holder = excluded.holder, since = excluded.since
		RETURNING epoch`, area, holder, now)
	return Term{Area: area, Epoch: epoch}, err
}
