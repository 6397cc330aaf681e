package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Shares are the links by which principals let others watch their trips.
type Shares struct{ DB *DB }

const shareColumns = `h.id, h.booking_id, h.user_id, h.label, h.until, h.created, h.expires, h.revoked, h.opened, h.times`

// liveShare is the condition on shares h that let somebody watch at $1. A trip that
// has ended, and a principal who is suspended or gone, let nobody. One up to the arrival
// is about the next from when it was made: a destination may be changed at the last.
const liveShare = `h.revoked IS NULL AND (h.expires IS NULL OR h.expires > $1)
	AND EXISTS (SELECT FROM bookings b JOIN users u ON u.id = b.user_id
	            WHERE b.id = h.booking_id AND b.ended IS NULL AND u.suspended IS NULL AND u.erased IS NULL)
	AND NOT (h.until = 'arrival' AND EXISTS (SELECT FROM booking_events e WHERE e.booking_id = h.booking_id AND e.kind = 'reached_destination' AND e.at >= h.created))`

func scanShare(row pgx.CollectableRow) (s fleet.Share, err error) {
	var expires, revoked, opened *time.Time
	err = row.Scan(&s.ID, &s.Booking, &s.User, &s.Label, &s.Until, &s.Created, &expires, &revoked, &opened, &s.Times)
	s.Created, s.Expires, s.Revoked, s.Opened = s.Created.UTC(), orZero(expires), orZero(revoked), orZero(opened)
	return s, err
}

// Add adds a share of a booking of its user's own that has not ended, of which they
// may have limit that were not revoked, and tells the user.
func (t Shares) Add(ctx context.Context, s fleet.Share, hash []byte, limit int, telling Telling) error {
	const count = `SELECT count(*) FROM shares h WHERE h.user_id = $1 AND h.revoked IS NULL
		AND EXISTS (SELECT FROM bookings b WHERE b.id = h.booking_id AND b.ended IS NULL)`
	return t.DB.addOwned(ctx, "booking", s.User, count, limit, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			INSERT INTO shares (id, booking_id, user_id, label, hash, until, created, expires)
			SELECT $1, b.id, b.user_id, $4, $5, $6, $7, $8 FROM bookings b WHERE b.id = $2 AND b.user_id = $3 AND b.ended IS NULL`,
			s.ID, s.Booking, s.User, text(s.Label), hash, s.Until, s.Created, null(s.Expires))
		if err == nil && tag.RowsAffected() == 0 {
			err = pgx.ErrNoRows
		}
		if err != nil {
			return err
		}
		return t.DB.tell(ctx, tx, s.User, telling)
	})
}

// Of returns the shares of a booking of the user's own, the newest first, and
// whether each lets somebody watch.
func (t Shares) Of(ctx context.Context, user fleet.UserID, booking fleet.BookingID, now time.Time) (shares []fleet.Share, live map[fleet.ShareID]bool, err error) {
	if _, err := (Bookings(t)).Of(ctx, user, booking); err != nil {
		return nil, nil, err
	}
	if shares, err = t.list(ctx, `$1::timestamptz IS NOT NULL AND h.user_id = $2 AND h.booking_id = $3`, now, user, booking); err != nil {
		return nil, nil, err
	}
	good, err := t.list(ctx, liveShare+` AND h.user_id = $2 AND h.booking_id = $3`, now, user, booking)
	live = make(map[fleet.ShareID]bool, len(good))
	for _, s := range good {
		live[s.ID] = true
	}
	return shares, live, err
}

func (t Shares) list(ctx context.Context, where string, args ...any) ([]fleet.Share, error) {
	return all(ctx, t.DB, "share", scanShare, `SELECT `+shareColumns+` FROM shares h WHERE `+where+` ORDER BY h.id DESC`, args...)
}

// Revoke ends a share of a booking of the user's own. One that was revoked stays so.
func (t Shares) Revoke(ctx context.Context, user fleet.UserID, booking fleet.BookingID, id fleet.ShareID, now time.Time) error {
	return t.DB.exec(ctx, "share", `
		UPDATE shares SET revoked = coalesce(revoked, $4) WHERE id = $1 AND booking_id = $2 AND user_id = $3`, id, booking, user, now)
}

// Open returns the share that a link is of, if it lets somebody watch, and counts
// that it was opened.
func (t Shares) Open(ctx context.Context, hash []byte, now time.Time) (fleet.Share, error) {
	return one(ctx, t.DB, "share", scanShare, `
		UPDATE shares h SET opened = $1, times = h.times + 1 WHERE h.hash = $2 AND `+liveShare+` RETURNING `+shareColumns, now, hash)
}

// Live returns a share that lets somebody watch.
func (t Shares) Live(ctx context.Context, id fleet.ShareID, now time.Time) (fleet.Share, error) {
	return one(ctx, t.DB, "share", scanShare, `SELECT `+shareColumns+` FROM shares h WHERE h.id = $2 AND `+liveShare, now, id)
}
