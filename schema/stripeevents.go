package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// StripeEvents are what Stripe has told of.
type StripeEvents struct{ DB *DB }

// Add stores an event and, if look, the job of looking at what it tells of. One that
// is stored already is not stored again, and no job is made.
func (t StripeEvents) Add(ctx context.Context, e fleet.StripeEvent, look bool) error {
	return t.DB.transact(ctx, "event", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			INSERT INTO stripe_events (id, type, object, version, created, received, applied) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (id) DO NOTHING`,
			text(e.ID), text(e.Type), text(e.Object), text(e.Version), e.Created, e.Received, null(e.Applied))
		if err != nil || tag.RowsAffected() == 0 || !look {
			return err
		}
		return t.DB.enqueue(ctx, tx, fleet.SeeStripe{Event: e.ID}, time.Time{})
	})
}

// Get returns an event.
func (t StripeEvents) Get(ctx context.Context, id string) (fleet.StripeEvent, error) {
	return one(ctx, t.DB, "event", func(row pgx.CollectableRow) (e fleet.StripeEvent, err error) {
		var applied *time.Time
		err = row.Scan(&e.ID, &e.Type, &e.Object, &e.Version, &e.Created, &e.Received, &applied)
		e.Created, e.Received, e.Applied = e.Created.UTC(), e.Received.UTC(), orZero(applied)
		return e, err
	}, `SELECT id, type, object, version, created, received, applied FROM stripe_events WHERE id = $1`, id)
}

// Applied says that what an event told of was looked at.
func (t StripeEvents) Applied(ctx context.Context, id string, now time.Time) error {
	_, err := t.DB.pool.Exec(ctx, `UPDATE stripe_events SET applied = $2 WHERE id = $1 AND applied IS NULL`, id, now)
	return translate("event", err)
}

// Prune forgets the events that were looked at and are older than a time.
func (t StripeEvents) Prune(ctx context.Context, before time.Time) error {
	_, err := t.DB.pool.Exec(ctx, `DELETE FROM stripe_events WHERE applied IS NOT NULL AND received < $1`, before)
	return translate("event", err)
}
