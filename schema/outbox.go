package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Outbox holds the hub's messages to devices until they are acknowledged or
// have expired.
type Outbox struct {
	DB    *DB
	Clock fleet.Clock // says what has expired
}

const commandColumns = `device, driver, seq, kind, body, created, expires, acked`

func scanCommand(row pgx.CollectableRow) (c fleet.Command, err error) {
	var acked *time.Time
	var b *string
	err = row.Scan(&c.Device, &c.Driver, &c.Seq, &c.Kind, &b, &c.Created, &c.Expires, &acked)
	c.Body, c.Created, c.Expires, c.Acked = fromBody(b), c.Created.UTC(), c.Expires.UTC(), orZero(acked)
	return c, err
}

// Add keeps a command and returns it with its Seq, the next of its device.
// Commands of a device become visible in the order of their Seq: whoever adds
// the later one waits for the earlier one's commit.
func (t Outbox) Add(ctx context.Context, c fleet.Command) (fleet.Command, error) {
	return one(ctx, t.DB, "device", scanCommand, `
		WITH next AS (
			UPDATE devices SET command_seq = command_seq + 1 WHERE id = $1 RETURNING command_seq
		)
		INSERT INTO commands (device, seq, kind, body, created, expires)
		SELECT $1::uuid, command_seq, $2::text, $3::json, $4::timestamptz, $5::timestamptz FROM next
		RETURNING `+commandColumns,
		c.Device, c.Kind, body(c.Body), c.Created, c.Expires)
}

// Pending returns, in order of Seq, up to limit commands of the device with a
// Seq above after that were neither acknowledged nor have expired.
func (t Outbox) Pending(ctx context.Context, device fleet.DeviceID, after int64, limit int) ([]fleet.Command, error) {
	return all(ctx, t.DB, "command", scanCommand, `
		SELECT `+commandColumns+` FROM commands
		WHERE device = $1 AND seq > $2 AND acked IS NULL AND expires > $3
		ORDER BY seq LIMIT $4`, device, after, t.Clock.Now(), limit)
}

// Acknowledge notes that the device has a command, and the officer with it the
// offer that it brings. Doing it again changes nothing; a command that the device
// never had is CodeNotFound.
func (t Outbox) Acknowledge(ctx context.Context, device fleet.DeviceID, seq int64) error {
	now := t.Clock.Now()
	return t.DB.transact(ctx, "command", func(tx pgx.Tx) error {
		var offer fleet.OfferID
		err := tx.QueryRow(ctx, `UPDATE commands SET acked = coalesce(acked, $3) WHERE device = $1 AND seq = $2 RETURNING offer`,
			device, seq, now).Scan(&offer)
		if err != nil || offer.IsZero() {
			return err
		}
		return delivered(ctx, tx, offer, now)
	})
}

// List returns up to limit commands of the device with a Seq above after, in
// order, whatever became of them.
func (t Outbox) List(ctx context.Context, device fleet.DeviceID, after int64, limit int) ([]fleet.Command, error) {
	return all(ctx, t.DB, "command", scanCommand, `
		SELECT `+commandColumns+` FROM commands WHERE device = $1 AND seq > $2 ORDER BY seq LIMIT $3`, device, after, limit)
}
