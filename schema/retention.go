package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Retain deletes what has been kept long enough. Points leave by whole days,
// once the last fix of the day is old enough; those of phones by row. Each rule
// stands alone: one that fails does not keep the others from running. What a legal
// hold is about stays; its points are copied first, and until that has succeeded
// no point leaves.
func (m Maintenance) Retain(ctx context.Context, now time.Time) error {
	keep := m.DB.keep
	notCopied := m.preserve(ctx, now)
	afterCopy := func(run func(context.Context, time.Time) error, before time.Time) func(context.Context) error {
		return func(ctx context.Context) error {
			if notCopied != nil {
				return notCopied
			}
			return run(ctx, before)
		}
	}
	rules := []struct {
		what string
		run  func(context.Context) error
	}{
		{"points of phones", afterCopy(m.forgetPhones, now.Add(-keep.Phone))},
		{"points", afterCopy(m.forgetPoints, now.Add(-keep.Points))},
		{"evidence", m.forget(`DELETE FROM points_evidence WHERE hold IN (SELECT id FROM legal_holds WHERE released <= $1)`, now)},
		{"far times", m.forget(`DELETE FROM points_far f WHERE fix < $1 AND NOT EXISTS (SELECT FROM points_evidence e
			WHERE (e.device, e.fix, e.lat, e.lon) = (f.device, f.fix, f.lat, f.lon))`, now.Add(-keep.Points))},
		{"quarantine", func(ctx context.Context) error { return m.forgetQuarantine(ctx, now.Add(-keep.Quarantine)) }},
		{"rollups", func(ctx context.Context) error { return m.forgetRollups(ctx, now.Add(-keep.Rollups)) }},
		{"commands", m.forget(`DELETE FROM commands WHERE expires < $1`+deviceNotHeld, now.Add(-keep.Messages))},
		{"dead letters", m.forget(`DELETE FROM dead_letters WHERE received < $1`+deviceNotHeld, now.Add(-keep.Messages))},
		{"guesses", m.forget(`DELETE FROM guesses WHERE until < $1`, now.Add(-guessesKept))},
		{"codes", m.forget(`DELETE FROM codes WHERE expires < $1`, now)},
		{"sessions", m.forget(`DELETE FROM user_sessions WHERE coalesce(ended, expires) < $1`+userNotHeld, now.Add(-keep.Messages))},
		{"notices", m.forget(`DELETE FROM notices WHERE created < $1`+userNotHeld, now.Add(-keep.Messages))},
		{"replies", m.forget(`DELETE FROM idempotent_requests WHERE created < $1`, now.Add(-keepReplies))},
		{"tickets", m.forget(`DELETE FROM tickets WHERE expires < $1`, now)},
		{"shares", m.forget(`DELETE FROM shares WHERE booking_id IN (SELECT id FROM bookings WHERE ended < $1)`, now.Add(-keep.Messages))},
		{"sign-ins under way", m.forget(`DELETE FROM oidc_flows WHERE expires < $1`, now)},
		{"taken id tokens", m.forget(`DELETE FROM oidc_tokens_taken WHERE expires < $1`, now)},
		{"exports", func(ctx context.Context) error { return Exports(m).expire(ctx, now) }},
		{"alarms", m.forget(`DELETE FROM events WHERE kind IN ('sos', 'sos_cancel') AND received < $1`+deviceNotHeld, now.Add(-evidenceKept))},
		{"emergencies", func(ctx context.Context) error { return m.forgetSOS(ctx, now.Add(-evidenceKept)) }},
		{"events", m.forget(`DELETE FROM events WHERE kind NOT IN ('sos', 'sos_cancel') AND received < $1`+deviceNotHeld, now.Add(-keep.Messages))},
		{"duty", m.forget(`DELETE FROM duty_spells WHERE ended < $1 AND driver NOT IN (
			SELECT o.id FROM drivers o JOIN legal_holds h ON h.user_id = o.user_id WHERE h.released IS NULL)`, now.Add(-recordsKept))},
		{"chat", m.forget(`DELETE FROM chat_messages m USING bookings b WHERE b.id = m.booking_id AND b.ended < $1`+chatNotHeld, now.Add(-keep.Messages))},
		{"marks of chat", m.forget(`DELETE FROM chat_marks m USING bookings b WHERE b.id = m.booking_id AND b.ended < $1`+chatNotHeld, now.Add(-keep.Messages))},
		{"bookings", func(ctx context.Context) error { return m.forgetBookings(ctx, now.Add(-recordsKept)) }},
		{"invoices of members", func(ctx context.Context) error { return m.forgetDues(ctx, now.Add(-recordsKept)) }},
		{"quotes", m.forget(`DELETE FROM quotes WHERE expires < $1`, now.Add(-quotesKept))},
		{"the audit log", func(ctx context.Context) error { return Audit(m).retire(ctx, now) }},
		{"fence events", m.forget(`DELETE FROM fence_events WHERE at < $1`+unitNotHeld, now.Add(-keep.Messages))},
	}
	var failed []error
	for _, rule := range rules {
		if err := rule.run(ctx); err != nil {
			failed = append(failed, fmt.Errorf("retention of %s: %w", rule.what, translate("partition", err)))
		}
	}
	return errors.Join(failed...)
}

func (m Maintenance) forget(sql string, before time.Time) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := m.DB.pool.Exec(ctx, sql, before)
		return err
	}
}

// phonesAtOnce bounds one statement of forgetPhones, and with it how long its
// locks are held.
const phonesAtOnce = 100

// forgetPhones deletes by (device, fix), the unique index: the planner would
// rather scan every partition, were it told of all devices at once. What a phone
// sent on a trip stays as long as any point.
func (m Maintenance) forgetPhones(ctx context.Context, before time.Time) error {
	between, err := querySpans(ctx, m.DB.pool, `WITH `+trips+`, kept AS (
			SELECT d.number, range_agg(tstzrange(greatest(t.since, b.began), least(t.until, b.ended), '[]')) AS spells
			FROM trips t LEFT JOIN drivers o ON o.user_id = t.user_id
			JOIN device_bindings b ON b.user_id = t.user_id OR b.driver = o.id
			JOIN devices d ON d.id = b.device AND d.kind = 'phone'
			WHERE t.until >= $2 AND greatest(t.since, b.began) <= least(t.until, b.ended)
			GROUP BY d.number),
		gone AS (SELECT number, unnest(tstzmultirange(tstzrange(NULL, $1)) - spells) AS span FROM kept)
		SELECT number, coalesce(lower(span), '-infinity'), upper(span) FROM gone ORDER BY 1, 2`, before, before.Add(-m.DB.keep.Points))
	if err != nil {
		return err
	}
	var onTrips []int32
	for _, s := range between {
		if _, err := m.DB.pool.Exec(ctx, `DELETE FROM points WHERE device = $1 AND fix >= $2 AND fix < $3`, s.device, s.from, s.to); err != nil {
			return err
		}
		onTrips = append(onTrips, s.device)
	}
	rows, err := m.DB.pool.Query(ctx, `
		SELECT number FROM devices WHERE kind = 'phone' AND number <> ALL($1::integer[]) ORDER BY number`, append([]int32{}, onTrips...))
	if err != nil {
		return err
	}
	phones, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		return err
	}
	for some := range slices.Chunk(phones, phonesAtOnce) {
		if _, err := m.DB.pool.Exec(ctx, `DELETE FROM points WHERE device = ANY($1::integer[]) AND fix < $2`, some, before); err != nil {
			return err
		}
	}
	return nil
}

// forgetBookings deletes bookings with all that belongs to them, some at a time.
func (m Maintenance) forgetBookings(ctx context.Context, endedBefore time.Time) error {
	const atOnce = 500
	rows, err := m.DB.pool.Query(ctx, `
		SELECT id FROM bookings b WHERE ended < $1`+userNotHeld+chatNotHeld+` AND NOT EXISTS (SELECT FROM invoices i WHERE i.booking_id = b.id AND i.issued >= $1) LIMIT $2`, endedBefore, atOnce)
	if err != nil {
		return err
	}
	old, err := pgx.CollectRows(rows, pgx.RowTo[fleet.BookingID])
	if err != nil || len(old) == 0 {
		return err
	}
	return pgx.BeginFunc(ctx, m.DB.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT set_config('armora.retention', 'on', true)`); err != nil {
			return err
		}
		for _, sql := range []string{
			`DELETE FROM account_bookings WHERE booking_id = ANY($1::uuid[])`,
			`DELETE FROM earnings WHERE booking_id = ANY($1::uuid[])`,
			`DELETE FROM invoices WHERE booking_id = ANY($1::uuid[])`,
			`UPDATE commands SET offer = NULL WHERE offer IN (SELECT id FROM offers WHERE booking_id = ANY($1::uuid[]))`,
			`DELETE FROM offers WHERE booking_id = ANY($1::uuid[])`,
			`DELETE FROM payment_calls WHERE booking_id = ANY($1::uuid[])`,
			`DELETE FROM transfers WHERE booking_id = ANY($1::uuid[])`,
			`DELETE FROM booking_seats WHERE booking_id = ANY($1::uuid[])`,
			`DELETE FROM booking_exclusions WHERE booking_id = ANY($1::uuid[])`,
			`DELETE FROM chat_marks WHERE booking_id = ANY($1::uuid[])`,
			`DELETE FROM chat_messages WHERE booking_id = ANY($1::uuid[])`,
			`DELETE FROM booking_events WHERE booking_id = ANY($1::uuid[])`,
			`DELETE FROM booking_ratings WHERE booking_id = ANY($1::uuid[])`,
			`DELETE FROM trip_commands WHERE booking_id = ANY($1::uuid[])`,
			`DELETE FROM trip_presence WHERE booking_id = ANY($1::uuid[])`,
			`DELETE FROM alerts WHERE booking_id = ANY($1::uuid[])`,
			`DELETE FROM disputes WHERE booking_id = ANY($1::uuid[])`,
			`DELETE FROM refunds WHERE booking_id = ANY($1::uuid[])`,
			`UPDATE debts SET paid_by = NULL, state = 'forgiven', ended = coalesce(ended, created) WHERE booking_id = ANY($1::uuid[])`,
			`DELETE FROM payments WHERE booking_id = ANY($1::uuid[])`,
			`DELETE FROM debts WHERE booking_id = ANY($1::uuid[])`,
			`DELETE FROM booking_money WHERE booking_id = ANY($1::uuid[])`,
			`DELETE FROM shares WHERE booking_id = ANY($1::uuid[])`,
			`DELETE FROM bookings WHERE id = ANY($1::uuid[])`,
		} {
			if _, err := tx.Exec(ctx, sql, idStrings(old)); err != nil {
				return err
			}
		}
		return nil
	})
}

// forgetDues deletes the invoices of what members have paid: those of bookings go with
// these.
func (m Maintenance) forgetDues(ctx context.Context, issuedBefore time.Time) error {
	return pgx.BeginFunc(ctx, m.DB.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT set_config('armora.retention', 'on', true)`); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM invoices WHERE booking_id IS NULL AND kind <> 'statement' AND issued < $1`+userNotHeld, issuedBefore)
		return err
	})
}

// forgetPoints drops the days that ended before the given time. On TimescaleDB
// its own retention policy does, which Migrate keeps in step with Keep.Points;
// it goes by the server's clock.
func (m Maintenance) forgetPoints(ctx context.Context, before time.Time) error {
	if !m.DB.timescale {
		return m.dropDays(ctx, pointDays, before)
	}
	var job int32
	err := m.DB.pool.QueryRow(ctx, `
		SELECT job_id FROM timescaledb_information.jobs
		WHERE proc_name = 'policy_retention' AND hypertable_name = 'points'`).Scan(&job)
	if err != nil {
		return err
	}
	_, err = m.DB.pool.Exec(ctx, `CALL run_job($1)`, job)
	return err
}

// dropDays drops the partitions that ended before the given time, and deletes
// from the default partition what no day was ever made for.
func (m Maintenance) dropDays(ctx context.Context, p partitioned, before time.Time) error {
	days, err := m.days(ctx, p)
	if err != nil {
		return err
	}
	for _, day := range days {
		if day.AddDate(0, 0, 1).After(before) {
			break
		}
		err := pgx.BeginFunc(ctx, m.DB.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '`+lockPatience+`'`); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `DROP TABLE IF EXISTS `+p.name(day)) // another hub may have been first
			return err
		})
		if err != nil {
			return err
		}
	}
	return m.forget(`DELETE FROM `+p.table+`_default WHERE `+p.column+` < $1`, before)(ctx)
}

func (m Maintenance) forgetRollups(ctx context.Context, before time.Time) error {
	if m.DB.timescale {
		_, err := m.DB.pool.Exec(ctx, `SELECT drop_chunks('points_rollup', $1::timestamptz)`, before)
		return err
	}
	return m.forget(`DELETE FROM points_rollup WHERE hour < $1`, before)(ctx)
}

// syncPolicies makes TimescaleDB's own retention of points that of keep.
func (db *DB) syncPolicies(ctx context.Context) error {
	if !db.timescale {
		return nil
	}
	seconds := db.keep.Points.Seconds()
	var same bool
	err := db.pool.QueryRow(ctx, `
		SELECT coalesce(bool_or((config ->> 'drop_after')::interval = make_interval(secs => $1)), false)
		FROM timescaledb_information.jobs
		WHERE proc_name = 'policy_retention' AND hypertable_name = 'points'`, seconds).Scan(&same)
	if err != nil || same {
		return translate("retention policy", err)
	}
	err = pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT remove_retention_policy('points', if_exists => true)`); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `SELECT add_retention_policy('points', drop_after => make_interval(secs => $1))`, seconds)
		return err
	})
	return translate("retention policy", err)
}
