package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// visible is the condition under which a member of the staff, $1, sees a user u.
const visible = `(NOT u.restricted OR EXISTS (SELECT FROM viewers v WHERE v.user_id = u.id AND v.staff_id = $1::uuid))`

// shows is the condition under which a member of the staff, $1, is shown what tells
// of the user whom an expression names. What tells of nobody is shown to all of them.
func shows(user string) string {
	return `NOT EXISTS (SELECT FROM users u WHERE u.id = ` + user + ` AND NOT ` + visible + `)`
}

// showsBooking is shows for what tells of a booking.
func showsBooking(booking string) string {
	return `NOT EXISTS (SELECT FROM bookings b JOIN users u ON u.id = b.user_id WHERE b.id = ` + booking + ` AND NOT ` + visible + `)`
}

// showsDevice is shows for what tells of a device: it may be, or have been,
// somebody's phone. The tracker of a car is nobody's.
func showsDevice(device string) string {
	return `NOT EXISTS (SELECT FROM device_bindings y JOIN users u ON u.id = y.user_id WHERE y.device = ` + device + ` AND NOT ` + visible + `)`
}

// Visible returns a user that a member of the staff may see.
func (t Users) Visible(ctx context.Context, staff, id fleet.UserID) (fleet.User, error) {
	return one(ctx, t.DB, "user", scanUser, `SELECT `+userColumns+` FROM users u WHERE `+visible+` AND u.id = $2`, staff, id)
}

// UserQuery says which users to list.
type UserQuery struct {
	Email string     // it begins so; "": any
	Role  fleet.Role // "": any
	After fleet.UserID
	Limit int
}

// List returns users that a member of the staff may see, the oldest first.
func (t Users) List(ctx context.Context, staff fleet.UserID, q UserQuery) ([]fleet.User, error) {
	return all(ctx, t.DB, "user", scanUser, `
		SELECT `+userColumns+` FROM users u
		WHERE `+visible+` AND u.erased IS NULL AND starts_with(u.email, lower($2))
		      AND ($3 = '' OR $3 = ANY(u.roles)) AND ($4::uuid IS NULL OR u.id > $4)
		ORDER BY u.id LIMIT $5`, staff, q.Email, string(q.Role), q.After, q.Limit)
}

// Suspend keeps a person out until Reinstate, and ends their sessions, which it
// returns. One who is suspended is CodeConflict.
func (t Users) Suspend(ctx context.Context, user fleet.UserID, s fleet.Suspension) (ended []fleet.UserSessionID, err error) {
	err = t.DB.transact(ctx, "suspension", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE users SET suspended = coalesce(suspended, $2) WHERE id = $1 AND erased IS NULL`, user, s.Since)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return translate("user", pgx.ErrNoRows)
		}
		_, err = tx.Exec(ctx, `INSERT INTO suspensions (id, user_id, reason, by, since) VALUES ($1, $2, $3, $4, $5)`,
			fleet.NewID[fleet.Suspension](), user, s.Reason, s.By, s.Since)
		if err != nil {
			return err
		}
		ended, err = endSessions(ctx, tx, user, fleet.UserSessionID{}, fleet.EndedBySuspended, s.Since)
		return err
	})
	return ended, err
}

// Reinstate ends a person's suspension. One who is not suspended is CodeConflict.
func (t Users) Reinstate(ctx context.Context, user, by fleet.UserID, reason string, now time.Time) error {
	return t.DB.transact(ctx, "suspension", func(tx pgx.Tx) error {
		// The user first, as Suspend does: the other way round the two lock each other out.
		if _, err := tx.Exec(ctx, `UPDATE users SET suspended = NULL WHERE id = $1`, user); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `
			UPDATE suspensions SET ended = $2, ended_by = $3, end_reason = $4 WHERE user_id = $1 AND ended IS NULL`, user, now, by, reason)
		if err == nil && tag.RowsAffected() == 0 {
			return &fleet.Error{Code: fleet.CodeConflict, Message: "this person is not suspended"}
		}
		return err
	})
}

// Suspensions returns those of a person that a member of the staff may see, the
// newest first.
func (t Users) Suspensions(ctx context.Context, staff, user fleet.UserID) ([]fleet.Suspension, error) {
	scan := func(row pgx.CollectableRow) (s fleet.Suspension, err error) {
		var ended *time.Time
		err = row.Scan(&s.Reason, &s.By, &s.Since, &ended, &s.EndedBy, &s.EndReason)
		s.Since, s.Ended = s.Since.UTC(), orZero(ended)
		return s, err
	}
	return all(ctx, t.DB, "suspension", scan, `
		SELECT s.reason, s.by, s.since, s.ended, s.ended_by, s.end_reason
		FROM suspensions s JOIN users u ON u.id = s.user_id WHERE `+visible+` AND u.id = $2 ORDER BY s.id DESC`, staff, user)
}

// Restrict makes a person visible to named staff alone, or to all staff again. That
// is done by whoever was named, else it is CodeForbidden: it would be the way round
// being named by somebody else.
func (t Users) Restrict(ctx context.Context, by, user fleet.UserID, restricted bool) error {
	return t.DB.transact(ctx, "user", func(tx pgx.Tx) error {
		var sees bool
		err := tx.QueryRow(ctx, `SELECT `+visible+` FROM users u WHERE u.id = $2 AND u.erased IS NULL FOR UPDATE`, by, user).Scan(&sees)
		if err == nil && !restricted && !sees {
			err = &fleet.Error{Code: fleet.CodeForbidden, Message: "only who is named for a restricted person lifts that"}
		}
		if err == nil {
			_, err = tx.Exec(ctx, `UPDATE users SET restricted = $2 WHERE id = $1`, user, restricted)
		}
		return err
	})
}

// AddViewer lets a member of the staff see a person who is restricted, or will be.
// Somebody who is not staff is CodeInvalid.
func (t Users) AddViewer(ctx context.Context, user, staff, by fleet.UserID, now time.Time) error {
	return t.DB.transact(ctx, "user", func(tx pgx.Tx) error {
		var is bool
		err := tx.QueryRow(ctx, `SELECT roles && $2::text[] FROM users WHERE id = $1 AND erased IS NULL`, staff, roleStrings(fleet.Staff())).Scan(&is)
		if err != nil {
			return err
		}
		if !is {
			return &fleet.Error{Code: fleet.CodeInvalid, Message: "only staff can be named"}
		}
		_, err = tx.Exec(ctx, `
			INSERT INTO viewers (user_id, staff_id, granted_by, granted) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, user, staff, by, now)
		return err
	})
}

// RemoveViewer takes that back.
func (t Users) RemoveViewer(ctx context.Context, user, staff fleet.UserID) error {
	return t.DB.exec(ctx, "viewer", `DELETE FROM viewers WHERE user_id = $1 AND staff_id = $2`, user, staff)
}

// Viewers returns who was named to see a person.
func (t Users) Viewers(ctx context.Context, user fleet.UserID) ([]fleet.UserID, error) {
	return all(ctx, t.DB, "user", pgx.RowTo[fleet.UserID], `SELECT staff_id FROM viewers WHERE user_id = $1 ORDER BY granted, staff_id`, user)
}
