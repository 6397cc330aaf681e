package schema

import (
	"context"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Reviews are the words of ratings whose authors let other principals read them. Those
// of a restricted principal are nobody's to read, whenever they became restricted; those
// of one who was erased are gone.
type Reviews struct{ DB *DB }

const selectReviews = `SELECT r.booking_id, r.stars, r.text, r.review, r.rated FROM booking_ratings r
	JOIN bookings b ON b.id = r.booking_id JOIN users u ON u.id = b.user_id
	WHERE r.text <> '' AND NOT u.restricted`

func scanReview(row pgx.CollectableRow) (r fleet.Review, err error) {
	err = row.Scan(&r.Booking, &r.Stars, &r.Text, &r.Review, &r.Rated)
	return r, err
}

// Of returns up to limit reviews of an officer that staff have let through, the newest first.
func (t Reviews) Of(ctx context.Context, driver fleet.DriverID, limit int) ([]fleet.Review, error) {
	return all(ctx, t.DB, "review", scanReview, selectReviews+` AND r.review = 'shown'
		AND EXISTS (SELECT FROM booking_seats s WHERE s.booking_id = r.booking_id AND s.driver_id = $1 AND `+completed+`)
		ORDER BY r.rated DESC, r.booking_id LIMIT $2`, driver, limit)
}

// Waiting returns up to limit reviews that nobody has decided on, after that of a
// booking, the oldest booking first.
func (t Reviews) Waiting(ctx context.Context, after fleet.BookingID, limit int) ([]fleet.Review, error) {
	return all(ctx, t.DB, "review", scanReview, selectReviews+` AND r.review = 'waiting'
		AND ($1::uuid IS NULL OR r.booking_id > $1) ORDER BY r.booking_id LIMIT $2`, after, limit)
}

// Decide shows a review to principals, or refuses it. One that its author has not let
// them read, or does no longer, is CodeNotFound.
func (t Reviews) Decide(ctx context.Context, id fleet.BookingID, state fleet.ReviewState) error {
	return t.DB.exec(ctx, "review", `
		UPDATE booking_ratings r SET review = $2 FROM bookings b JOIN users u ON u.id = b.user_id
		WHERE r.booking_id = $1 AND b.id = r.booking_id AND r.text <> '' AND r.review <> 'private' AND NOT u.restricted`, id, state)
}

// Publish lets other principals read what the booking's principal has said of it, once
// staff have read it, or no longer. Without words, and once staff have refused them, it
// is CodeConflict.
func (c *BookingTx) Publish(publish bool) error {
	tag, err := c.tx.Exec(c.ctx, `
		UPDATE booking_ratings SET review = CASE WHEN review = 'refused' THEN review WHEN NOT $2 THEN 'private'
			WHEN review = 'private' THEN 'waiting' ELSE review END
		WHERE booking_id = $1 AND text <> '' AND NOT ($2 AND review = 'refused')`, c.ID, publish)
	if err == nil && tag.RowsAffected() == 0 {
		err = &fleet.Error{Code: fleet.CodeConflict, Message: "there are no words of a rating that could be shown to others"}
	}
	return err
}
