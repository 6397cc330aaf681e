package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Tickets let browsers in where they cannot send a token. They are known by a
// keyed hash.
type Tickets struct{ DB *DB }

// Add keeps a ticket.
func (t Tickets) Add(ctx context.Context, hash []byte, ticket fleet.Ticket) error {
	_, err := t.DB.pool.Exec(ctx, `
		INSERT INTO tickets (hash, session, share, opens, booking_id, expires, until) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		hash, ticket.Session, ticket.Share, ticket.Opens, ticket.Trip, ticket.Expires, ticket.Until)
	return translate("ticket", err)
}

// Redeem returns a ticket that opens something of a trip and has not expired. One
// that is good once is used up: of two who show it one gets it.
func (t Tickets) Redeem(ctx context.Context, hash []byte, opens fleet.Opens, trip fleet.BookingID, now time.Time) (fleet.Ticket, error) {
	scan := func(row pgx.CollectableRow) (k fleet.Ticket, err error) {
		err = row.Scan(&k.Session, &k.Share, &k.Opens, &k.Trip, &k.Expires, &k.Until)
		k.Expires, k.Until = k.Expires.UTC(), k.Until.UTC()
		return k, err
	}
	const columns, good = `session, share, opens, booking_id, expires, until`, ` tickets WHERE hash = $1 AND opens = $2 AND booking_id = $3 AND expires > $4`
	sql := `SELECT ` + columns + ` FROM` + good
	if opens.Once() {
		sql = `DELETE FROM` + good + ` RETURNING ` + columns
	}
	return one(ctx, t.DB, "ticket", scan, sql, hash, opens, trip, now)
}
