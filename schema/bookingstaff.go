package schema

import (
	"context"
	"time"

	"armora/fleet"
)

// seen is the condition under which a member of the staff, $1, sees a booking b.
const seen = `EXISTS (SELECT FROM users u WHERE u.id = b.user_id AND ` + visible + `)`

// VisibleTo returns a booking to a member of the staff who sees its principal.
func (t Bookings) VisibleTo(ctx context.Context, staff fleet.UserID, id fleet.BookingID) (fleet.Booking, error) {
	return t.get(ctx, seen+` AND b.id = $2`, staff, id)
}

// BookingQuery says which bookings to list. A zero field selects all.
type BookingQuery struct {
	Statuses []fleet.BookingStatus
	User     fleet.UserID
	Driver   fleet.DriverID // who has, or had, a seat
	From, To time.Time      // of their start; To does not count
	Before   fleet.BookingID
	Limit    int
}

// List returns bookings that a member of the staff may see, the newest first.
func (t Bookings) List(ctx context.Context, staff fleet.UserID, q BookingQuery) ([]fleet.Booking, error) {
	return t.list(ctx, seen+`
		AND (cardinality($2::text[]) = 0 OR b.status = ANY($2::text[])) AND ($3::uuid IS NULL OR b.user_id = $3)
		AND ($4::uuid IS NULL OR EXISTS (SELECT FROM booking_seats s WHERE s.booking_id = b.id AND s.driver_id = $4))
		AND ($5::timestamptz IS NULL OR b.starts >= $5) AND ($6::timestamptz IS NULL OR b.starts < $6)
		AND ($7::uuid IS NULL OR b.id < $7) ORDER BY b.id DESC LIMIT $8`,
		staff, texts(q.Statuses), q.User, q.Driver, null(q.From), null(q.To), q.Before, q.Limit)
}
