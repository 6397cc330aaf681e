package schema

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// quotesKept is how long a quote is kept after it has expired: whoever comes back
// with it is told so.
const quotesKept = 24 * time.Hour

// Quotes are what orders would cost.
type Quotes struct{ DB *DB }

// Add keeps a quote.
func (t Quotes) Add(ctx context.Context, q *fleet.Quote) error {
	asked, err := json.Marshal(q.Order)
	if err != nil {
		return err
	}
	return t.DB.exec(ctx, "quote", `
		INSERT INTO quotes (id, user_id, created, expires, starts, zone, local_start, minutes, asked, tariff, price, total, currency, metres, member)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb, $10::text::jsonb, $11::text::jsonb, $12, $13, $14, $15)`,
		q.ID, q.User, q.Created, q.Expires, q.Order.Start, q.Order.Zone, q.Order.LocalStart, q.Order.Minutes, string(asked),
		string(q.Tariff), string(q.Price), q.Total.Amount, q.Total.Currency, q.Metres, q.Member)
}

// Of returns a quote of a user's own, however old.
func (t Quotes) Of(ctx context.Context, user fleet.UserID, id fleet.QuoteID) (fleet.Quote, error) {
	scan := func(row pgx.CollectableRow) (q fleet.Quote, err error) {
		var asked, tariff, price string
		o := &q.Order
		err = row.Scan(&q.ID, &q.User, &q.Created, &q.Expires, &o.Start, &o.Zone, &o.LocalStart, &o.Minutes, &asked,
			&tariff, &price, &q.Total.Amount, &q.Total.Currency, &q.Metres, &q.Member)
		if err != nil {
			return q, err
		}
		q.Created, q.Expires, o.Start = q.Created.UTC(), q.Expires.UTC(), o.Start.UTC()
		q.Tariff, q.Price = json.RawMessage(tariff), json.RawMessage(price)
		return q, json.Unmarshal([]byte(asked), o)
	}
	return one(ctx, t.DB, "quote", scan, `
		SELECT id, user_id, created, expires, starts, zone, local_start, minutes, asked::text, tariff::text, price::text, total, currency, metres, member
		FROM quotes WHERE id = $1 AND user_id = $2`, id, user)
}

// HasOpen reports whether a user has a quote that is still good.
func (t Quotes) HasOpen(ctx context.Context, user fleet.UserID, now time.Time) (bool, error) {
	return one(ctx, t.DB, "quote", pgx.RowTo[bool], `SELECT EXISTS (SELECT FROM quotes WHERE user_id = $1 AND expires > $2)`, user, now)
}
