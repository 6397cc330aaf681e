package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"armora/fleet"
)

// Erasures are the people who were erased. Each is begun in one transaction,
// from which on the person has no account; Work then goes through the tables.
type Erasures struct{ DB *DB }

// farewell is the kind of the notice by which a person is told that they are
// being erased: it is the last, and goes once it was sent.
const farewell = "account_erased"

// secondPass is when the tables are gone through again: the farewell was sent or
// is of no use any more, and what was on its way has come.
const secondPass = 25 * time.Hour

// ErasureBegin is what begins an erasure.
type ErasureBegin struct {
	fleet.Erasure
	Calls   []string                         // the processors that hold something of people
	Contact func(email, phone string) []byte // seals by what they know the person
	Tell    Telling                          // nil: nobody is told
}

// ErasureBegun is what has to be ended at once.
type ErasureBegun struct {
	Sessions []fleet.UserSessionID
	Phones   map[fleet.DeviceID]fleet.Unit // as what each was shown until now
}

// Begin makes an account nobody's: it is anonymised, its sessions are over, its
// phones let in no more. Who has a booking or an assignment that is not over is
// CodeConflict, unless the erasure is replayed; who is erased, CodeNotFound.
func (t Erasures) Begin(ctx context.Context, e ErasureBegin) (begun ErasureBegun, err error) {
	err = t.DB.transact(ctx, "user", func(tx pgx.Tx) error {
		who, err := lockWithAdmins(ctx, tx, e.User)
		if err != nil {
			return err
		}
		if e.Replayed.IsZero() {
			if err := mayBeErased(ctx, tx, &who); err != nil {
				return err
			}
		}
		if err := t.enter(ctx, tx, &e); err != nil {
			return err
		}
		if begun.Sessions, err = endSessions(ctx, tx, e.User, fleet.UserSessionID{}, fleet.EndedByErasure, e.Asked); err != nil {
			return err
		}
		if begun.Phones, err = unbind(ctx, tx, e.User, e.Asked); err != nil {
			return err
		}
		return t.leaveJobs(ctx, tx, &e)
	})
	return begun, err
}

// mayBeErased keeps who is being protected, or protects, reachable; and a hub from
// having no admin.
func mayBeErased(ctx context.Context, tx pgx.Tx, who *personWithAdmins) error {
	var busy bool
	err := tx.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM bookings WHERE user_id = $1 AND ended IS NULL)
		    OR EXISTS (SELECT FROM booking_seats WHERE driver_id IN `+theirDriver+` AND state IN ('held', 'committed', 'active'))`, who.user).Scan(&busy)
	switch {
	case err != nil:
		return err
	case busy:
		return &fleet.Error{Code: fleet.CodeConflict, Message: "there are bookings or assignments that are not over: end or cancel them first"}
	case who.isLastAdmin():
		return &fleet.Error{Code: fleet.CodeConflict, Message: "you are the last admin: make another first"}
	}
	return nil
}

// enter notes the erasure and tells the person, then makes the account nobody's.
func (t Erasures) enter(ctx context.Context, tx pgx.Tx, e *ErasureBegin) error {
	var email, phone string
	err := tx.QueryRow(ctx, `SELECT coalesce(email, ''), coalesce(phone, '') FROM users WHERE id = $1`, e.User).Scan(&email, &phone)
	if err != nil {
		return err
	}
	var contact []byte
	if len(e.Calls) > 0 {
		contact = e.Contact(email, phone)
	}
	if err := t.DB.tell(ctx, tx, e.User, e.Tell); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO erasures (id, user_id, asked, replayed, calls, contact) VALUES ($1, $2, $3, $4, $5::text[], $6)`,
		e.ID, e.User, e.Asked, null(e.Replayed), append([]string{}, e.Calls...), contact)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		UPDATE users SET email = NULL, email_verified = NULL, name = '', phone = NULL, phone_verified = NULL, password = NULL, erased = $2
		WHERE id = $1`, e.User, e.Asked)
	if err != nil {
		return err
	}
	if err := prove(ctx, tx, e.ID, fleet.ErasureProof{Subject: "users", Act: fleet.ErasureAnonymised, Count: 1, At: e.Asked}); err != nil {
		return err
	}
	return record(ctx, tx, fleet.AuditEntry{
		Actor: e.User.String(), ActorUser: e.User, Action: "erase_account", Subject: e.User, Object: "erasure/" + e.ID.String(), At: e.Asked,
	})
}

// unbind ends what an officer and their phones are doing. It returns the phones
// with what each was shown as.
func unbind(ctx context.Context, tx pgx.Tx, user fleet.UserID, now time.Time) (map[fleet.DeviceID]fleet.Unit, error) {
	rows, err := tx.Query(ctx, `
		UPDATE device_bindings SET ended = greatest(began, $2) WHERE ended IS NULL AND (user_id = $1 OR driver IN `+theirDriver+`)
		RETURNING device, driver, vehicle`, user, now)
	if err != nil {
		return nil, err
	}
	phones := make(map[fleet.DeviceID]fleet.Unit)
	var device fleet.DeviceID
	var driver fleet.DriverID
	var vehicle fleet.VehicleID
	_, err = pgx.ForEachRow(rows, []any{&device, &driver, &vehicle}, func() error {
		phones[device] = fleet.UnitOf(device, driver, vehicle)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, sql := range []string{
		`UPDATE devices SET driver = NULL, user_id = NULL WHERE user_id = $1 OR driver IN ` + theirDriver,
		`DELETE FROM credentials WHERE device IN ` + theirPhones,
		`UPDATE vehicles SET driver = NULL WHERE driver IN ` + theirDriver,
	} {
		if _, err := tx.Exec(ctx, sql, user); err != nil {
			return nil, err
		}
	}
	for _, sql := range []string{
		`UPDATE duty_spells SET ended = greatest(began, $2) WHERE ended IS NULL AND driver IN ` + theirDriver,
		`UPDATE vehicle_drivers SET ended = greatest(began, $2) WHERE ended IS NULL AND driver IN ` + theirDriver,
		`UPDATE booking_series SET ended = $2 WHERE ended IS NULL AND user_id = $1`,
	} {
		if _, err := tx.Exec(ctx, sql, user, now); err != nil {
			return nil, err
		}
	}
	return phones, nil
}

func (t Erasures) leaveJobs(ctx context.Context, tx pgx.Tx, e *ErasureBegin) error {
	asked := e.Asked
	if !e.Replayed.IsZero() {
		asked = e.Replayed
	}
	for _, due := range []time.Time{{}, asked.Add(secondPass)} {
		if err := t.DB.enqueue(ctx, tx, fleet.ErasureJob{ID: e.ID}, due); err != nil {
			return err
		}
	}
	for _, processor := range e.Calls {
		if err := t.DB.enqueue(ctx, tx, fleet.ErasureCall{ID: e.ID, Processor: processor}, time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

// Work goes through the tables, and writes down what it did. It may be done again,
// at any time: what a hold kept goes when it is released.
func (t Erasures) Work(ctx context.Context, id fleet.ErasureID, now time.Time) error {
	return t.DB.transact(ctx, "erasure", func(tx pgx.Tx) error {
		var user fleet.UserID
		var again bool
		err := tx.QueryRow(ctx, `SELECT user_id, done IS NOT NULL FROM erasures WHERE id = $1 FOR UPDATE`, id).Scan(&user, &again)
		if err != nil {
			return err
		}
		proofs, err := t.erasePoints(ctx, tx, user)
		if err != nil {
			return err
		}
		for i := range personalTables {
			done, err := t.eraseTable(ctx, tx, &personalTables[i], user, again)
			if err != nil {
				return err
			}
			proofs = append(proofs, done...)
		}
		for i := range proofs {
			proofs[i].At = now
		}
		if err := prove(ctx, tx, id, proofs...); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, held+`
			UPDATE erasures SET done = $2, held = `+wereHeldOf+` OR EXISTS (SELECT FROM held h WHERE h.device IN `+bound+`) WHERE id = $3`, user, now, id)
		return err
	})
}

const (
	wereHeldOf = `EXISTS (SELECT FROM standing WHERE user_id = $1)`
	bound      = `(SELECT b.device FROM device_bindings b WHERE b.user_id = $1 OR b.driver IN ` + theirDriver + `)`
)

func (t Erasures) eraseTable(ctx context.Context, tx pgx.Tx, p *personal, user fleet.UserID, again bool) ([]fleet.ErasureProof, error) {
	var proofs []fleet.ErasureProof
	for _, step := range p.erase {
		var count int64
		if step.blobs {
			gone, err := Files(t).deleteIn(ctx, tx, step.sql, user)
			if err != nil {
				return nil, err
			}
			count = int64(gone)
		} else {
			tag, err := tx.Exec(ctx, step.sql, user)
			if err != nil {
				return nil, err
			}
			count = tag.RowsAffected()
		}
		if count > 0 {
			proofs = append(proofs, fleet.ErasureProof{Subject: p.table, Act: step.act, Count: count})
		}
	}
	if p.kept != "" && !again {
		proofs = append(proofs, fleet.ErasureProof{Subject: p.table, Act: fleet.ErasureKept, Note: p.kept})
	}
	return proofs, nil
}

// erasePoints deletes where the person's phones were, while they were the
// person's, outside of trips and of what is held.
func (t Erasures) erasePoints(ctx context.Context, tx pgx.Tx, user fleet.UserID) ([]fleet.ErasureProof, error) {
	spans, err := querySpans(ctx, tx, held+`, `+trips+`, theirs_then AS (
			SELECT b.device, range_agg(CASE WHEN b.device IN `+theirPhones+` THEN tstzrange(NULL, NULL) ELSE tstzrange(b.began, b.ended) END) AS spells
			FROM device_bindings b JOIN devices d ON d.id = b.device AND d.kind = 'phone'
			WHERE b.user_id = $1 OR b.driver IN `+theirDriver+` GROUP BY b.device),
		gone AS (
			SELECT d.number, unnest(g.spells
				- coalesce((SELECT range_agg(tstzrange(since, until, '[]')) FROM trips WHERE user_id = $1), '{}')
				- coalesce((SELECT range_agg(tstzrange(since, until)) FROM held h WHERE h.device = g.device AND (h.until IS NULL OR h.since < h.until)), '{}')) AS span
			FROM theirs_then g JOIN devices d ON d.id = g.device)
		SELECT number, coalesce(lower(span), '-infinity'), coalesce(upper(span), 'infinity') FROM gone ORDER BY 1, 2`, user)
	if err != nil {
		return nil, err
	}
	var proofs []fleet.ErasureProof
	for _, table := range []struct{ name, column string }{{"points", "fix"}, {"points_far", "fix"}, {"points_quarantine", "received"}} {
		var count int64
		for _, s := range spans {
			tag, err := tx.Exec(ctx, `DELETE FROM `+table.name+` WHERE device = $1 AND `+table.column+` >= $2 AND `+table.column+` < $3`, s.device, s.from, s.to)
			if err != nil {
				return nil, err
			}
			count += tag.RowsAffected()
		}
		if count > 0 {
			proofs = append(proofs, fleet.ErasureProof{Subject: table.name, Act: fleet.ErasureDeleted, Count: count})
		}
	}
	count, err := t.eraseRollups(ctx, tx, user)
	if count > 0 {
		proofs = append(proofs, fleet.ErasureProof{Subject: "points_rollup", Act: fleet.ErasureDeleted, Count: count})
	}
	return proofs, err
}

// eraseRollups deletes what was counted of the person's phones. On TimescaleDB
// points_rollup is a view of a table that has another name.
func (t Erasures) eraseRollups(ctx context.Context, tx pgx.Tx, user fleet.UserID) (int64, error) {
	table := "points_rollup"
	if t.DB.timescale {
		err := tx.QueryRow(ctx, `
			SELECT format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name)
			FROM timescaledb_information.continuous_aggregates WHERE view_name = 'points_rollup'`).Scan(&table)
		if err != nil {
			return 0, err
		}
	}
	tag, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE device IN (SELECT number FROM devices WHERE id IN `+theirPhones+`)`, user)
	return tag.RowsAffected(), err
}

// span is a time of a device; one that is open has no end, or no beginning.
type span struct {
	device   int32
	from, to pgtype.Timestamptz
}

// querier is a transaction or a pool.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func querySpans(ctx context.Context, q querier, sql string, args ...any) ([]span, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s span, err error) {
		return s, row.Scan(&s.device, &s.from, &s.to)
	})
}

func prove(ctx context.Context, tx pgx.Tx, id fleet.ErasureID, proofs ...fleet.ErasureProof) error {
	for _, p := range proofs {
		_, err := tx.Exec(ctx, `
			INSERT INTO erasure_proofs (erasure, subject, act, count, note, at) VALUES ($1, $2, $3, nullif($4::bigint, 0), $5, $6)`,
			id, p.Subject, p.Act, p.Count, text(p.Note), p.At)
		if err != nil {
			return err
		}
	}
	return nil
}
