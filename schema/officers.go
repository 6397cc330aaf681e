package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Officers are the drivers as principals know them.
type Officers struct{ DB *DB }

// selectOfficers reads drivers d for the principal $1.
const selectOfficers = `SELECT d.id, d.name, d.alias, d.photo, d.tier || d.tiers, d.languages, d.approved,
	coalesce((SELECT l.number FROM documents l WHERE l.driver = d.id AND l.kind = 'sia_licence' AND l.category = 'close_protection'
	          AND l.status = 'verified' ORDER BY l.id DESC LIMIT 1), ''),
	coalesce(r.stars, 0), r.ratings, coalesce(w.wish, '')
	FROM drivers d
	LEFT JOIN officer_wishes w ON w.driver_id = d.id AND w.user_id = $1
	CROSS JOIN LATERAL (SELECT avg(r.stars)::float8 AS stars, count(*) AS ratings FROM booking_ratings r
		WHERE r.booking_id IN (SELECT s.booking_id FROM booking_seats s WHERE s.driver_id = d.id AND ` + completed + `)) r`

const (
	// completed is the condition under which the officer of a seat s was there at
	// the end of the assignment.
	completed = `s.state = 'released' AND s.reason = 'completed'`
	// past is the condition under which a driver d has protected the principal $1.
	past = `EXISTS (SELECT FROM bookings b JOIN booking_seats s ON s.booking_id = b.id
		WHERE b.user_id = $1 AND s.driver_id = d.id AND ` + completed + `)`
	// chosen is the condition under which any principal may choose a driver d.
	chosen = `(d.approved IS NOT NULL AND NOT EXISTS (
		SELECT FROM users u WHERE u.id = d.user_id AND (u.suspended IS NOT NULL OR u.erased IS NOT NULL)))`
)

func scanOfficer(row pgx.CollectableRow) (o fleet.Officer, err error) {
	var approved *time.Time
	err = row.Scan(&o.ID, &o.Name, &o.Alias, &o.Photo, &o.Tiers, &o.Languages, &approved, &o.Licence, &o.Stars, &o.Ratings, &o.Wish)
	o.Approved = orZero(approved)
	return o, err
}

// ByIDs returns those of the drivers that exist.
func (t Officers) ByIDs(ctx context.Context, ids []fleet.DriverID) (map[fleet.DriverID]fleet.Officer, error) {
	found, err := all(ctx, t.DB, "officer", scanOfficer, selectOfficers+` WHERE d.id = ANY($2::uuid[])`, fleet.UserID{}, idStrings(ids))
	byID := make(map[fleet.DriverID]fleet.Officer, len(found))
	for _, o := range found {
		byID[o.ID] = o
	}
	return byID, err
}

// Choice says which officers a principal is shown.
type Choice string

// The choices.
const (
	ChooseApproved  Choice = "approved"  // whom any principal may choose
	ChoosePast      Choice = "past"      // who have protected them
	ChooseFavourite Choice = "favourite" // whom they would have again
	ChooseBlocked   Choice = "blocked"   // whom they would not
)

// List returns up to limit officers to a principal, with ids after the given one,
// in order of id.
func (t Officers) List(ctx context.Context, user fleet.UserID, choice Choice, after fleet.DriverID, limit int) ([]fleet.Officer, error) {
	where := map[Choice]string{
		ChooseApproved: chosen, ChoosePast: past, ChooseFavourite: `w.wish = 'favourite'`, ChooseBlocked: `w.wish = 'blocked'`,
	}[choice]
	return all(ctx, t.DB, "officer", scanOfficer,
		selectOfficers+` WHERE `+where+` AND ($2::uuid IS NULL OR d.id > $2) ORDER BY d.id LIMIT $3`, user, after, limit)
}

// Known returns an officer whom a principal may ask for, or of whom they have said
// what they wish; anybody else is CodeNotFound.
func (t Officers) Known(ctx context.Context, user fleet.UserID, driver fleet.DriverID) (fleet.Officer, error) {
	return one(ctx, t.DB, "officer", scanOfficer,
		selectOfficers+` WHERE d.id = $2 AND (`+past+` OR `+chosen+` OR w.wish IS NOT NULL)`, user, driver)
}

// MayPrefer reports whether a principal may ask for a driver: one who has protected
// them, or whom anybody may choose, and whom they have not blocked.
func (t Officers) MayPrefer(ctx context.Context, user fleet.UserID, driver fleet.DriverID) (bool, error) {
	return one(ctx, t.DB, "officer", pgx.RowTo[bool], `
		SELECT EXISTS (SELECT FROM drivers d WHERE d.id = $2 AND (`+past+` OR `+chosen+`) AND NOT EXISTS (
			SELECT FROM officer_wishes w WHERE w.user_id = $1 AND w.driver_id = d.id AND w.wish = 'blocked'))`, user, driver)
}

// Wish keeps what a principal wishes about an officer whom they know. NoWish takes
// it back, of anybody.
func (t Officers) Wish(ctx context.Context, user fleet.UserID, driver fleet.DriverID, wish fleet.Wish, now time.Time) error {
	if wish == fleet.NoWish {
		return t.DB.exec(ctx, "officer", `DELETE FROM officer_wishes WHERE user_id = $1 AND driver_id = $2`, user, driver)
	}
	return t.DB.exec(ctx, "officer", `
		INSERT INTO officer_wishes (user_id, driver_id, wish, wished)
		SELECT $1::uuid, d.id, $3, $4::timestamptz FROM drivers d WHERE d.id = $2 AND (`+past+` OR `+chosen+`)
		ON CONFLICT (user_id, driver_id) DO UPDATE SET wish = excluded.wish, wished = excluded.wished`, user, driver, wish, now)
}

// Approve lets every principal choose a driver, or no longer, and gives them a
// name for principals.
func (t Officers) Approve(ctx context.Context, driver fleet.DriverID, alias string, approved bool, now time.Time) error {
	return t.DB.exec(ctx, "driver", `
		UPDATE drivers SET alias = $2, approved = CASE WHEN $3 THEN coalesce(approved, $4) END WHERE id = $1`,
		driver, text(alias), approved, now)
}

// Principals returns those of the users that exist and have not been erased, as
// their officers may know them.
func (t Officers) Principals(ctx context.Context, ids []fleet.UserID) (map[fleet.UserID]fleet.Principal, error) {
	found, err := all(ctx, t.DB, "user", func(row pgx.CollectableRow) (p fleet.Principal, err error) {
		err = row.Scan(&p.User, &p.Name, &p.Restricted, &p.Photo)
		return p, err
	}, `
		SELECT u.id, u.name, u.restricted, p.photo FROM users u LEFT JOIN profiles p ON p.user_id = u.id
		WHERE u.id = ANY($1::uuid[]) AND u.erased IS NULL`, idStrings(ids))
	byID := make(map[fleet.UserID]fleet.Principal, len(found))
	for _, p := range found {
		byID[p.User] = p
	}
	return byID, err
}
