package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Rate keeps what the principal thought of the booking. Rated already it is
// CodeConflict.
func (c *BookingTx) Rate(r fleet.Rating) error {
	tag, err := c.tx.Exec(c.ctx, `
		INSERT INTO booking_ratings (booking_id, stars, text, rated) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
		c.ID, r.Stars, text(r.Text), c.Now)
	if err == nil && tag.RowsAffected() == 0 {
		err = &fleet.Error{Code: fleet.CodeConflict, Message: "this assignment was rated already"}
	}
	return err
}

// Ratings returns the ratings of those of the bookings that have one.
func (t Bookings) Ratings(ctx context.Context, ids []fleet.BookingID) (map[fleet.BookingID]fleet.Rating, error) {
	rows, err := t.DB.pool.Query(ctx, `SELECT booking_id, stars, text, review FROM booking_ratings WHERE booking_id = ANY($1::uuid[])`, idStrings(ids))
	if err != nil {
		return nil, translate("rating", err)
	}
	ratings := make(map[fleet.BookingID]fleet.Rating)
	var id fleet.BookingID
	var r fleet.Rating
	_, err = pgx.ForEachRow(rows, []any{&id, &r.Stars, &r.Text, &r.Review}, func() error {
		ratings[id] = r
		return nil
	})
	return ratings, translate("rating", err)
}

// Accepted returns when every seat of the booking last had its officer; zero if
// they have not now.
func (c *BookingTx) Accepted() (time.Time, error) {
	switch c.Status {
	case fleet.Assigned, fleet.EnRoute, fleet.Arrived, fleet.InProgress:
		return c.LastCame(fleet.Assigned)
	}
	return time.Time{}, nil
}
