package schema

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// SOSes are emergencies, each with its timeline.
type SOSes struct{ DB *DB }

// SOSRecord is what is stored with entries of one SOS, in one transaction. All of
// it may be stored again, and is then there once.
type SOSRecord struct {
	SOS     *fleet.SOS // as the entries have made it
	Entries []fleet.SOSEntry
	Protect []fleet.UserID // whose data is frozen when it was raised: all on the trip
	Inbox   []fleet.Notice // what ops are told in the app
	// Keeper is the hub that raised it, which calls people for it, until KeptUntil at
	// least; see Keep.
	Keeper    fleet.HubID
	KeptUntil time.Time
}

// Store adds entries to a timeline, each chained to the one before, and does what
// follows from them in the database: what may have recorded it is frozen, ops have
// an alert and a notice, the device an event. It returns the entries with their
// places in the chain.
func (t SOSes) Store(ctx context.Context, r SOSRecord) ([]fleet.SOSEntry, error) {
	var stored []fleet.SOSEntry
	err := t.DB.transact(ctx, "SOS", func(tx pgx.Tx) error {
		stored = stored[:0]
		seq, head, err := lockSOS(ctx, tx, &r)
		if err != nil {
			return err
		}
		for _, e := range r.Entries {
			known, err := sosEntry(ctx, tx, e.ID)
			if err == nil {
				stored = append(stored, known)
				continue
			}
			if !errors.Is(err, pgx.ErrNoRows) {
				return err
			}
			e.Seq, e.Previous = seq+1, head
			if err := addSOSEntry(ctx, tx, &e); err != nil {
				return err
			}
			if err := t.follow(ctx, tx, &r, &e); err != nil {
				return err
			}
			seq, head = e.Seq, e.Hash
			stored = append(stored, e)
		}
		_, err = tx.Exec(ctx, `
			UPDATE sos SET seq = $2, head = $3, ended = coalesce(ended, $4), drill = $5, booking_id = coalesce(booking_id, $6) WHERE id = $1`,
			r.SOS.ID, seq, head, null(r.SOS.Ended()), r.SOS.Drill, r.SOS.Trip)
		return err
	})
	return stored, err
}

// lockSOS makes the row of an SOS if there is none, and returns the end of its chain.
func lockSOS(ctx context.Context, tx pgx.Tx, r *SOSRecord) (seq int64, head []byte, err error) {
	s := r.SOS
	_, err = tx.Exec(ctx, `
		INSERT INTO sos (id, user_id, driver_id, device, booking_id, drill, received, seq, head, keeper, kept_until)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0, '', $8, $9) ON CONFLICT (id) DO NOTHING`,
		s.ID, s.User, s.Driver, s.Device, s.Trip, s.Drill, s.Received, r.Keeper, null(r.KeptUntil))
	if err == nil {
		err = tx.QueryRow(ctx, `SELECT seq, head FROM sos WHERE id = $1 FOR UPDATE`, s.ID).Scan(&seq, &head)
	}
	return seq, head, err
}

func addSOSEntry(ctx context.Context, tx pgx.Tx, e *fleet.SOSEntry) error {
	detail, err := e.Detail()
	if err != nil {
		return err
	}
	e.Hash = hashOfSOSEntry(e, detail)
	_, err = tx.Exec(ctx, `
		INSERT INTO sos_entries (sos, seq, id, kind, at, by, detail, previous, hash) VALUES ($1, $2, $3, $4, $5, $6, $7::text::json, $8, $9)`,
		e.SOS, e.Seq, e.ID, e.Kind, e.At, text(e.By), string(detail), e.Previous, e.Hash)
	return err
}

// follow does what an entry asks for in the database.
func (t SOSes) follow(ctx context.Context, tx pgx.Tx, r *SOSRecord, e *fleet.SOSEntry) error {
	if e.Call != nil && !e.Call.Device.IsZero() {
		if err := sosEvent(ctx, tx, e); err != nil {
			return err
		}
	}
	switch e.Kind {
	case fleet.SOSRaised:
		if e.Seq > 1 {
			return nil // another hub was pressed on as well
		}
		return t.raised(ctx, tx, r, e)
	case fleet.SOSCancelled, fleet.SOSClosed:
		return endSOS(ctx, tx, r.SOS, e)
	}
	return nil
}

// sosEvent keeps a press of a device's button among its events, under the press's id.
func sosEvent(ctx context.Context, tx pgx.Tx, e *fleet.SOSEntry) error {
	id := fleet.ID[fleet.Event](e.Call.Client)
	if id.IsZero() {
		id = fleet.ID[fleet.Event](e.ID)
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO events (device, id, kind, at, received, body)
		SELECT d.id, $2::uuid, 'sos', $3::timestamptz, $4::timestamptz, NULL FROM devices d WHERE d.id = $1
		ON CONFLICT (device, id) DO NOTHING`, e.Call.Device, id, e.Call.Occurred, e.At)
	return err
}

// SOSHoldBefore is how long before an SOS begins what it freezes.
const SOSHoldBefore = 24 * time.Hour

// sosHolder is under whose name the holds of an SOS stand.
func sosHolder(id fleet.SOSID) string { return "sos/" + id.String() }

func (t SOSes) raised(ctx context.Context, tx pgx.Tx, r *SOSRecord, e *fleet.SOSEntry) error {
	data, err := json.Marshal(map[string]any{"sos_id": e.SOS, "type": e.Call.Type, "drill": e.Call.Drill})
	if err != nil {
		return err
	}
	if err := raise(ctx, tx, fleet.Alert{ID: fleet.AlertID(e.SOS), Kind: fleet.AlertSOS, Data: data, Raised: e.At}); err != nil {
		return err
	}
	for _, n := range r.Inbox {
		_, err := tx.Exec(ctx, `
			INSERT INTO notices (id, user_id, channel, address, kind, data, created, expires, state, changed, once)
			SELECT $1::uuid, u.id, 'inbox', '', $3::text, $4::bytea, $5::timestamptz, $6::timestamptz, 'sent', $5, $7::text
			FROM users u WHERE u.id = $2 AND u.erased IS NULL
			ON CONFLICT DO NOTHING`, n.ID, n.User, n.Kind, n.Sealed, n.Created, n.Expires, n.Once)
		if err != nil {
			return err
		}
	}
	if e.Call.Drill {
		return nil
	}
	who := r.Protect
	if !e.Call.User.IsZero() {
		who = append([]fleet.UserID{e.Call.User}, who...)
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO legal_holds (id, user_id, since, reason, placed_by, placed)
		SELECT gen_random_uuid(), u.id, $2::timestamptz, 'an SOS was raised', $3::text, $4::timestamptz
		FROM users u WHERE u.id = ANY($1::uuid[]) AND u.erased IS NULL
		UNION ALL
		SELECT gen_random_uuid(), o.user_id, $2, 'an SOS was raised', $3, $4
		FROM booking_seats s JOIN drivers o ON o.id = s.driver_id
		WHERE s.booking_id = $5 AND s.state IN ('committed', 'active') AND o.user_id IS NOT NULL AND o.user_id <> ALL($1::uuid[])`,
		idStrings(who), e.At.Add(-SOSHoldBefore), sosHolder(e.SOS), e.At, e.Call.Trip)
	if err != nil || e.Call.Device.IsZero() {
		return err
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO legal_holds (id, device, since, reason, placed_by, placed)
		SELECT gen_random_uuid(), d.id, $2::timestamptz, 'an SOS was raised', $3::text, $4::timestamptz FROM devices d WHERE d.id = $1`,
		e.Call.Device, e.At.Add(-SOSHoldBefore), sosHolder(e.SOS), e.At)
	return err
}

// endSOS settles the alert. What was frozen stays so up to an hour from now, or,
// if nothing had happened, not at all.
func endSOS(ctx context.Context, tx pgx.Tx, s *fleet.SOS, e *fleet.SOSEntry) error {
	_, err := tx.Exec(ctx, `UPDATE alerts SET closed = $2, note = $3 WHERE id = $1 AND closed IS NULL`, e.SOS, e.At, text(string(e.Kind)))
	if err != nil {
		return err
	}
	if s.Outcome == fleet.SOSResolved {
		_, err = tx.Exec(ctx, `UPDATE legal_holds SET until = $2 WHERE placed_by = $1 AND released IS NULL AND until IS NULL`,
			sosHolder(e.SOS), e.At.Add(time.Hour))
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE legal_holds SET released = $2, released_by = placed_by WHERE placed_by = $1 AND released IS NULL`,
		sosHolder(e.SOS), e.At)
	return err
}

// hashOfSOSEntry is over all that an entry says, detail as it is written.
func hashOfSOSEntry(e *fleet.SOSEntry, detail []byte) []byte {
	d := newDigest("armora SOS entry 1")
	d.bytes(e.SOS[:])
	d.number(e.Seq)
	d.bytes(e.ID[:])
	d.text(string(e.Kind))
	d.number(e.At.UnixMicro())
	d.text(e.By)
	d.bytes(detail)
	d.bytes(e.Previous)
	return d.Sum(nil)
}

const sosEntryColumns = `e.sos, e.seq, e.id, e.kind, e.at, e.by, e.detail::text, e.previous, e.hash`

// sosLink is an entry with what it says as it is written.
type sosLink struct {
	fleet.SOSEntry
	detail []byte
}

func scanSOSLink(row pgx.CollectableRow) (l sosLink, err error) {
	var detail string
	err = row.Scan(&l.SOS, &l.Seq, &l.ID, &l.Kind, &l.At, &l.By, &detail, &l.Previous, &l.Hash)
	l.At, l.detail = l.At.UTC(), []byte(detail)
	return l, err
}

func scanSOSEntry(row pgx.CollectableRow) (fleet.SOSEntry, error) {
	l, err := scanSOSLink(row)
	if err != nil {
		return l.SOSEntry, err
	}
	return l.SOSEntry, json.Unmarshal(l.detail, &l.SOSEntry)
}

func sosEntry(ctx context.Context, tx pgx.Tx, id fleet.SOSEntryID) (fleet.SOSEntry, error) {
	rows, err := tx.Query(ctx, `SELECT `+sosEntryColumns+` FROM sos_entries e WHERE e.id = $1`, id)
	if err != nil {
		return fleet.SOSEntry{}, err
	}
	return pgx.CollectExactlyOneRow(rows, scanSOSEntry)
}

// Keep has a hub keep what is open and kept by none of the others: by itself, or not
// renewed in time. It returns all that are open, and which of them the hub keeps.
func (t SOSes) Keep(ctx context.Context, hub fleet.HubID, now, until time.Time) (map[fleet.SOSID]bool, error) {
	kept := make(map[fleet.SOSID]bool)
	scan := func(row pgx.CollectableRow) (id fleet.SOSID, err error) {
		var mine bool
		err = row.Scan(&id, &mine)
		kept[id] = mine
		return id, err
	}
	_, err := all(ctx, t.DB, "SOS", scan, `
		WITH mine AS (
			UPDATE sos SET keeper = $1, kept_until = $3
			WHERE ended IS NULL AND (keeper = $1 OR keeper IS NULL OR kept_until <= $2) RETURNING id)
		SELECT s.id, s.id IN (SELECT id FROM mine) FROM sos s WHERE s.ended IS NULL`, hub, now, until)
	return kept, err
}

// Recent returns the SOSes that were received since a time, or are open, the oldest
// first.
func (t SOSes) Recent(ctx context.Context, since time.Time) ([]fleet.SOS, error) {
	return t.list(ctx, `s.received >= $1 OR s.ended IS NULL`, since)
}

// Open returns those that are open, and some others.
func (t SOSes) Open(ctx context.Context, others ...fleet.SOSID) ([]fleet.SOS, error) {
	return t.list(ctx, `s.ended IS NULL OR s.id = ANY($1::uuid[])`, idStrings(others))
}

// OpenOf returns those of a user's that are open, and one of theirs that may not be.
func (t SOSes) OpenOf(ctx context.Context, user fleet.UserID, other fleet.SOSID) ([]fleet.SOS, error) {
	return t.list(ctx, `s.user_id = $1 AND (s.ended IS NULL OR s.id = $2)`, user, other)
}

// Get returns an SOS, whoever raised it: for ops.
func (t SOSes) Get(ctx context.Context, id fleet.SOSID) (fleet.SOS, error) {
	return t.get(ctx, `s.id = $1`, id)
}

// Of returns an SOS that a user has raised.
func (t SOSes) Of(ctx context.Context, user fleet.UserID, id fleet.SOSID) (fleet.SOS, error) {
	return t.get(ctx, `s.id = $1 AND s.user_id = $2`, id, user)
}

// List returns up to limit SOSes with ids before the given one, the newest first.
// The zero id starts with the newest.
func (t SOSes) List(ctx context.Context, before fleet.SOSID, limit int) ([]fleet.SOS, error) {
	return t.list(ctx, `s.id IN (SELECT id FROM sos WHERE $1::uuid IS NULL OR id < $1 ORDER BY id DESC LIMIT $2)`, before, limit)
}

func (t SOSes) get(ctx context.Context, where string, args ...any) (fleet.SOS, error) {
	found, err := t.list(ctx, where, args...)
	if err == nil && len(found) == 0 {
		err = translate("SOS", pgx.ErrNoRows)
	}
	if err != nil {
		return fleet.SOS{}, err
	}
	return found[0], nil
}

func (t SOSes) list(ctx context.Context, where string, args ...any) ([]fleet.SOS, error) {
	entries, err := all(ctx, t.DB, "SOS", scanSOSEntry, `
		SELECT `+sosEntryColumns+` FROM sos s JOIN sos_entries e ON e.sos = s.id WHERE `+where+` ORDER BY s.id, e.seq`, args...)
	if err != nil {
		return nil, err
	}
	var list []fleet.SOS
	for _, e := range entries {
		if n := len(list); n == 0 || list[n-1].ID != e.SOS {
			list = append(list, fleet.SOS{ID: e.SOS})
		}
		if err := list[len(list)-1].Apply(e); err != nil {
			return nil, fmt.Errorf("SOS %s: %w", e.SOS, err)
		}
	}
	return list, nil
}

// Broken returns the first entry of a timeline that is not what was written; 0 if
// all are.
func (t SOSes) Broken(ctx context.Context, id fleet.SOSID) (seq int64, err error) {
	var last int64
	var head []byte
	if err := t.DB.pool.QueryRow(ctx, `SELECT seq, head FROM sos WHERE id = $1`, id).Scan(&last, &head); err != nil {
		return 0, translate("SOS", err)
	}
	// What is added meanwhile is behind last.
	links, err := all(ctx, t.DB, "SOS", scanSOSLink,
		`SELECT `+sosEntryColumns+` FROM sos_entries e WHERE e.sos = $1 AND e.seq <= $2 ORDER BY e.seq`, id, last)
	if err != nil {
		return 0, err
	}
	var previous []byte
	for i, l := range links {
		if l.Seq != int64(i)+1 || !bytes.Equal(l.Previous, previous) || !bytes.Equal(l.Hash, hashOfSOSEntry(&l.SOSEntry, l.detail)) {
			return int64(i) + 1, nil
		}
		previous = l.Hash
	}
	if int64(len(links)) != last || !bytes.Equal(previous, head) {
		return int64(len(links)) + 1, nil
	}
	return 0, nil
}

// forgetSOS deletes what has been kept as long as evidence is.
func (m Maintenance) forgetSOS(ctx context.Context, endedBefore time.Time) error {
	return pgx.BeginFunc(ctx, m.DB.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT set_config('armora.sos', 'retire', true)`); err != nil {
			return err
		}
		const old = `(SELECT id FROM sos WHERE ended < $1` + userNotHeld + deviceNotHeld + `)`
		for _, sql := range []string{
			`DELETE FROM alerts WHERE kind = 'sos' AND id IN ` + old,
			`DELETE FROM sos_entries WHERE sos IN ` + old,
			`DELETE FROM sos WHERE ended < $1 AND id IN ` + old,
		} {
			if _, err := tx.Exec(ctx, sql, endedBefore); err != nil {
				return err
			}
		}
		return nil
	})
}
