package schema

import (
	"context"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Events are what happened at devices, as they told it.
type Events struct{ DB *DB }

// Add keeps an event. One that the device has told before, by its id, is left
// as it is.
func (t Events) Add(ctx context.Context, e fleet.Event) error {
	_, err := t.DB.pool.Exec(ctx, `
		INSERT INTO events (device, id, kind, at, received, body) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (device, id) DO NOTHING`,
		e.Device, e.ID, text(e.Kind), e.At, e.Received, body(e.Body))
	return translate("event", err)
}

// List returns up to limit events of the device, the last received first. To
// go on, pass the last event of the page before; the zero event starts at the
// newest.
func (t Events) List(ctx context.Context, device fleet.DeviceID, before fleet.Event, limit int) ([]fleet.Event, error) {
	scan := func(row pgx.CollectableRow) (e fleet.Event, err error) {
		var b *string
		err = row.Scan(&e.Device, &e.ID, &e.Kind, &e.At, &e.Received, &b)
		e.At, e.Received, e.Body = e.At.UTC(), e.Received.UTC(), fromBody(b)
		return e, err
	}
	return all(ctx, t.DB, "event", scan, `
		SELECT device, id, kind, at, received, body FROM events
		WHERE device = $1 AND ($2::uuid IS NULL OR (received, id) < ($3, $2))
		ORDER BY received DESC, id DESC LIMIT $4`, device, before.ID, before.Received, limit)
}
