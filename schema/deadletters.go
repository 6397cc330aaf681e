package schema

import (
	"context"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// DeadLetters are the messages that could not be understood, for ops to see.
type DeadLetters struct{ DB *DB }

// Add keeps dead letters, all or none. One whose id is known is left as it is.
// What PostgreSQL's text cannot hold of topic and reason is replaced by U+FFFD;
// the payload is kept byte for byte.
func (t DeadLetters) Add(ctx context.Context, letters []fleet.DeadLetter) error {
	batch := &pgx.Batch{}
	for _, l := range letters {
		payload := l.Payload
		if payload == nil {
			payload = []byte{}
		}
		batch.Queue(`
			INSERT INTO dead_letters (id, device, topic, reason, payload, received)
			VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
			l.ID, l.Device, text(l.Topic), text(l.Reason), payload, l.Received)
	}
	// A batch without transaction control is one transaction.
	return translate("dead letter", t.DB.pool.SendBatch(ctx, batch).Close())
}

// List returns up to limit dead letters, of devices that a member of the staff sees
// or of none, with ids before the given one, newest first. The zero id starts at the
// newest.
func (t DeadLetters) List(ctx context.Context, staff fleet.UserID, before fleet.ID[fleet.DeadLetter], limit int) ([]fleet.DeadLetter, error) {
	scan := func(row pgx.CollectableRow) (l fleet.DeadLetter, err error) {
		err = row.Scan(&l.ID, &l.Device, &l.Topic, &l.Reason, &l.Payload, &l.Received)
		l.Received = l.Received.UTC()
		return l, err
	}
	return all(ctx, t.DB, "dead letter", scan, `
		SELECT id, device, topic, reason, payload, received FROM dead_letters l
		WHERE `+showsDevice("l.device")+` AND ($2::uuid IS NULL OR l.id < $2) ORDER BY l.id DESC LIMIT $3`, staff, before, limit)
}
