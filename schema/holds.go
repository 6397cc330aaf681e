package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Holds are the legal holds. They beat every job that deletes.
type Holds struct{ DB *DB }

const holdColumns = `id, user_id, device, since, until, reason, placed_by, placed, released_by, released`

func scanHold(row pgx.CollectableRow) (h fleet.Hold, err error) {
	var until, released *time.Time
	err = row.Scan(&h.ID, &h.User, &h.Device, &h.From, &until, &h.Reason, &h.PlacedBy, &h.Placed, &h.ReleasedBy, &released)
	h.From, h.Placed, h.To, h.Released = h.From.UTC(), h.Placed.UTC(), orZero(until), orZero(released)
	return h, err
}

// Place makes a hold, and copies what is about to be deleted. A person or device
// that a member of the staff does not see, or that does not exist, is CodeInvalid.
func (t Holds) Place(ctx context.Context, staff fleet.UserID, h fleet.Hold) error {
	err := t.DB.exec(ctx, "hold", `
		WITH h AS (SELECT $2::uuid AS id, $3::uuid AS user_id, $4::uuid AS device)
		INSERT INTO legal_holds (id, user_id, device, since, until, reason, placed_by, placed)
		SELECT h.id, h.user_id, h.device, $5::timestamptz, $6::timestamptz, $7::text, $8::text, $9::timestamptz FROM h WHERE `+holdShown,
		staff, h.ID, h.User, h.Device, h.From, null(h.To), h.Reason, h.PlacedBy, h.Placed)
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return noReferent("hold", err)
	}
	if err != nil {
		return err
	}
	return translate("hold", Maintenance(t).preserve(ctx, h.Placed))
}

// holdShown is the condition under which a member of the staff, $1, is shown a hold h.
var holdShown = shows("h.user_id") + ` AND ` + showsDevice("h.device")

// List returns up to limit holds of what a member of the staff sees, with ids before
// the given one, the newest first. The zero id starts with the newest.
func (t Holds) List(ctx context.Context, staff fleet.UserID, before fleet.HoldID, limit int) ([]fleet.Hold, error) {
	return all(ctx, t.DB, "hold", scanHold, `
		SELECT `+holdColumns+` FROM legal_holds h WHERE `+holdShown+` AND ($2::uuid IS NULL OR h.id < $2) ORDER BY h.id DESC LIMIT $3`,
		staff, before, limit)
}

// Release ends a hold that stands, of what a member of the staff sees: what it kept
// goes with the next retention, and with the erasures that it had kept from being
// whole.
func (t Holds) Release(ctx context.Context, staff fleet.UserID, id fleet.HoldID, by string, now time.Time) error {
	return t.DB.transact(ctx, "hold", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			UPDATE legal_holds h SET released = $4, released_by = $3 WHERE `+holdShown+` AND h.id = $2 AND h.released IS NULL`, staff, id, by, now)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return pgx.ErrNoRows
		}
		rows, err := tx.Query(ctx, `SELECT id FROM erasures WHERE held`)
		if err != nil {
			return err
		}
		unfinished, err := pgx.CollectRows(rows, pgx.RowTo[fleet.ErasureID])
		for _, erasure := range unfinished {
			if err := t.DB.enqueue(ctx, tx, fleet.ErasureJob{ID: erasure}, time.Time{}); err != nil {
				return err
			}
		}
		return err
	})
}

// held is what the holds that stand keep: for each, the devices that it is about
// and the spell of each. A person's devices are those that showed where they
// were: their phones, and the trackers of the cars that they drove.
const held = `
	WITH standing AS (
		SELECT id, user_id, device, since, coalesce(until, 'infinity') AS until FROM legal_holds WHERE released IS NULL),
	theirs AS (
		SELECT h.id, h.since, h.until, d.id AS driver, h.user_id FROM standing h LEFT JOIN drivers d ON d.user_id = h.user_id
		WHERE h.user_id IS NOT NULL),
	held AS (
		SELECT id AS hold, device, since, until FROM standing WHERE device IS NOT NULL
		UNION
		SELECT t.id, b.device, greatest(t.since, b.began), least(t.until, b.ended)
		FROM theirs t JOIN device_bindings b ON b.user_id = t.user_id OR b.driver = t.driver
		UNION
		SELECT t.id, b.device, greatest(t.since, b.began, v.began), least(t.until, b.ended, v.ended)
		FROM theirs t JOIN vehicle_drivers v ON v.driver = t.driver JOIN device_bindings b ON b.vehicle = v.vehicle)`

// preserve copies the points of holds that are to be deleted within a day, or
// half their time if that is less: TimescaleDB drops them by a job of its own,
// and late points come at any time.
func (m Maintenance) preserve(ctx context.Context, now time.Time) error {
	type span struct {
		hold         fleet.HoldID
		device       int32
		since, until time.Time
	}
	soon := func(keep time.Duration) time.Time { return now.Add(min(keep/2, 24*time.Hour) - keep) }
	rows, err := m.DB.pool.Query(ctx, held+`
		SELECT h.hold, d.number, h.since, least(h.until, CASE d.kind WHEN 'phone' THEN $1::timestamptz ELSE $2::timestamptz END)
		FROM held h JOIN devices d ON d.id = h.device
		WHERE h.since < least(h.until, CASE d.kind WHEN 'phone' THEN $1::timestamptz ELSE $2::timestamptz END)`,
		soon(m.DB.keep.Phone), soon(m.DB.keep.Points))
	if err != nil {
		return err
	}
	spans, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s span, err error) {
		return s, row.Scan(&s.hold, &s.device, &s.since, &s.until)
	})
	if err != nil {
		return err
	}
	for _, s := range spans {
		_, err := m.DB.pool.Exec(ctx, `
			INSERT INTO points_evidence (fix, device, lat, lon, received, sent, accuracy, speed, heading, altitude, battery, meta, hold)
			SELECT fix, device, lat, lon, received, sent, accuracy, speed, heading, altitude, battery, meta, $1::uuid
			FROM points WHERE device = $2 AND fix >= $3 AND fix < $4
			ON CONFLICT DO NOTHING`, s.hold, s.device, s.since, s.until)
		if err != nil {
			return err
		}
	}
	return nil
}

// forgetQuarantine drops days, unless a device is held: then all others' rows go.
func (m Maintenance) forgetQuarantine(ctx context.Context, before time.Time) error {
	rows, err := m.DB.pool.Query(ctx, held+` SELECT DISTINCT d.number FROM held h JOIN devices d ON d.id = h.device`)
	if err != nil {
		return err
	}
	devices, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		return err
	}
	if len(devices) == 0 {
		return m.dropDays(ctx, quarantineDays, before)
	}
	_, err = m.DB.pool.Exec(ctx, `DELETE FROM points_quarantine WHERE received < $1 AND device <> ALL($2::integer[])`, before, devices)
	return err
}

// Conditions of retention that holds set.
const (
	deviceNotHeld = ` AND (device IS NULL OR device NOT IN (` + held + ` SELECT device FROM held))`
	userNotHeld   = ` AND (user_id IS NULL OR user_id NOT IN (SELECT user_id FROM legal_holds WHERE released IS NULL AND user_id IS NOT NULL))`
	unitNotHeld   = ` AND unit NOT IN (` + held + `
		SELECT device FROM held UNION SELECT driver FROM theirs WHERE driver IS NOT NULL
		UNION SELECT d.vehicle FROM held h JOIN devices d ON d.id = h.device WHERE d.vehicle IS NOT NULL
		UNION SELECT d.driver FROM held h JOIN devices d ON d.id = h.device WHERE d.driver IS NOT NULL)`
)
