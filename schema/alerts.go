package schema

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Alerts are what ops have to look at.
type Alerts struct{ DB *DB }

const alertColumns = `a.id, a.kind, a.booking_id, a.driver_id, a.data::text, a.raised, a.closed, a.closed_by, a.note, a.steps, a.calls, a.acknowledged, a.acknowledged_by`

// Of alerts about a booking whose principal a member of the staff, $1, does not see,
// those about an officer at work are shown, for whoever is on duty has to act, and
// nothing of the booking.
var (
	alertShown        = `(` + showsBooking("a.booking_id") + ` OR a.driver_id IS NOT NULL)`
	shownAlertColumns = strings.NewReplacer(
		"a.booking_id", whereShown("a.booking_id"), "a.data::text", whereShown("a.data::text"), "a.note", `coalesce(`+whereShown("a.note")+`, '')`,
	).Replace(alertColumns)
)

func whereShown(column string) string {
	return `CASE WHEN ` + showsBooking("a.booking_id") + ` THEN ` + column + ` END`
}

func scanAlert(row pgx.CollectableRow) (a fleet.Alert, err error) {
	var data *string
	var closed, acked *time.Time
	err = row.Scan(&a.ID, &a.Kind, &a.Booking, &a.Driver, &data, &a.Raised, &closed, &a.ClosedBy, &a.Note, &a.Steps, &a.Calls, &acked, &a.AckedBy)
	a.Data, a.Raised, a.Closed, a.Acked = fromBody(data), a.Raised.UTC(), orZero(closed), orZero(acked)
	return a, err
}

// Raise raises an alert, unless one of the same kind about the same is open.
func (t Alerts) Raise(ctx context.Context, a fleet.Alert) error { return t.RaiseIn(ctx, Term{}, a) }

// RaiseIn is Raise by a dispatcher. One whose term is over is ErrTermOver.
func (t Alerts) RaiseIn(ctx context.Context, term Term, a fleet.Alert) error {
	return t.DB.transactIn(ctx, term, "alert", func(tx pgx.Tx) error { return raise(ctx, tx, a) })
}

// RaiseOf is Raise of an alert about an officer of a booking, unless the booking is
// over or the officer not on it any more: what was seen a moment ago may have ended
// since, and with it who would settle the alert. Of an alarm ops are told.
func (t Alerts) RaiseOf(ctx context.Context, a fleet.Alert) error {
	return t.DB.transact(ctx, "alert", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			INSERT INTO alerts (id, kind, booking_id, driver_id, data, raised)
			SELECT $1::uuid, $2::text, b.id, $4::uuid, $5::text::jsonb, $6::timestamptz
			FROM bookings b
			WHERE b.id = $3 AND b.ended IS NULL AND EXISTS (
				SELECT FROM booking_seats s WHERE s.booking_id = b.id AND s.driver_id = $4 AND s.state IN ('committed', 'active'))
			FOR SHARE OF b
			ON CONFLICT DO NOTHING`, a.ID, a.Kind, a.Booking, a.Driver, body(a.Data), a.Raised)
		if err != nil || tag.RowsAffected() == 0 || !a.Kind.Alarm() {
			return err
		}
		return t.DB.enqueue(ctx, tx, fleet.AlarmJob{Alert: a.ID}, time.Time{})
	})
}

// Alert is Raise with the change of the booking, about the booking.
func (c *BookingTx) Alert(kind fleet.AlertKind, driver fleet.DriverID) error {
	return raise(c.ctx, c.tx, fleet.Alert{ID: fleet.NewID[fleet.Alert](), Kind: kind, Booking: c.ID, Driver: driver, Raised: c.Now})
}

func raise(ctx context.Context, tx pgx.Tx, a fleet.Alert) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO alerts (id, kind, booking_id, driver_id, data, raised) VALUES ($1, $2, $3, $4, $5::text::jsonb, $6)
		ON CONFLICT DO NOTHING`, a.ID, a.Kind, a.Booking, a.Driver, body(a.Data), a.Raised)
	return err
}

// Close closes an alert that is open and that a member of the staff is shown, and
// keeps by whom and why. One that is closed is CodeConflict, and so is that of an SOS,
// which ends with it.
func (t Alerts) Close(ctx context.Context, staff fleet.UserID, id fleet.AlertID, by, note string, now time.Time) (fleet.Alert, error) {
	return t.answer(ctx, staff, id, `closed = $3, closed_by = $4, note = $5`, now, text(by), text(note))
}

// Acknowledge says that somebody sees to an alert that they are shown: nobody else is
// called for it. Who was first stands. One that is closed is CodeConflict, and so is
// that of an SOS.
func (t Alerts) Acknowledge(ctx context.Context, staff fleet.UserID, id fleet.AlertID, by string, now time.Time) (fleet.Alert, error) {
	return t.answer(ctx, staff, id, `acknowledged_by = CASE WHEN acknowledged IS NULL THEN $4 ELSE acknowledged_by END,
		acknowledged = coalesce(acknowledged, $3)`, now, text(by))
}

// answer keeps what somebody of ops does about an open alert.
func (t Alerts) answer(ctx context.Context, staff fleet.UserID, id fleet.AlertID, set string, args ...any) (fleet.Alert, error) {
	a, err := one(ctx, t.DB, "alert", scanAlert, `
		UPDATE alerts a SET `+set+` WHERE `+alertShown+` AND a.id = $2 AND a.closed IS NULL AND a.kind <> 'sos'
		RETURNING `+shownAlertColumns, append([]any{staff, id}, args...)...)
	if fleet.CodeOf(err) != fleet.CodeNotFound {
		return a, err
	}
	if a, err = one(ctx, t.DB, "alert", scanAlert, `SELECT `+shownAlertColumns+` FROM alerts a WHERE `+alertShown+` AND a.id = $2`, staff, id); err == nil {
		err = &fleet.Error{Code: fleet.CodeConflict, Message: "the alert is closed already"}
		if a.Kind == fleet.AlertSOS && a.Closed.IsZero() {
			err = &fleet.Error{Code: fleet.CodeConflict, Message: "this is the alert of an SOS: see to that at /api/sos/" + a.ID.String()}
		}
	}
	return a, err
}

// Settle closes the open alerts of a kind about a booking's driver, whose cause is
// gone.
func (t Alerts) Settle(ctx context.Context, kind fleet.AlertKind, booking fleet.BookingID, driver fleet.DriverID, note string, now time.Time) error {
	return t.SettleIn(ctx, Term{}, kind, booking, driver, note, now)
}

// SettleIn is Settle by a dispatcher. One whose term is over is ErrTermOver.
func (t Alerts) SettleIn(ctx context.Context, term Term, kind fleet.AlertKind, booking fleet.BookingID, driver fleet.DriverID, note string, now time.Time) error {
	return t.DB.transactIn(ctx, term, "alert", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			UPDATE alerts SET closed = $4, note = $5
			WHERE kind = $1 AND booking_id IS NOT DISTINCT FROM $2 AND driver_id IS NOT DISTINCT FROM $3 AND closed IS NULL`,
			kind, booking, driver, now, text(note))
		return err
	})
}

// Settle closes the open alerts of some kinds about the booking and a driver, or
// about the booking whoever its driver if that is zero, with the change.
func (c *BookingTx) Settle(driver fleet.DriverID, note string, kinds ...fleet.AlertKind) error {
	_, err := c.tx.Exec(c.ctx, `
		UPDATE alerts SET closed = $4, note = $5
		WHERE booking_id = $1 AND ($2::uuid IS NULL OR driver_id = $2) AND kind = ANY($3::text[]) AND closed IS NULL`,
		c.ID, driver, texts(kinds), c.Now, text(note))
	return err
}

// OpenOf returns the open alerts of a kind.
func (t Alerts) OpenOf(ctx context.Context, kind fleet.AlertKind) ([]fleet.Alert, error) {
	return all(ctx, t.DB, "alert", scanAlert, `SELECT `+alertColumns+` FROM alerts a WHERE a.kind = $1 AND a.closed IS NULL ORDER BY a.id`, kind)
}

// List returns up to limit alerts that a member of the staff is shown, with ids
// before the given one, the newest first; those that are open alone, if open. The
// zero id starts with the newest.
func (t Alerts) List(ctx context.Context, staff fleet.UserID, open bool, before fleet.AlertID, limit int) ([]fleet.Alert, error) {
	return all(ctx, t.DB, "alert", scanAlert, `
		SELECT `+shownAlertColumns+` FROM alerts a
		WHERE `+alertShown+` AND (NOT $2::boolean OR a.closed IS NULL) AND ($3::uuid IS NULL OR a.id < $3)
		ORDER BY a.id DESC LIMIT $4`, staff, open, before, limit)
}
