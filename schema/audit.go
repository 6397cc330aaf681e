package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Audit is the audit log. Whoever does something adds to it, and waits for
// nobody; Seal chains what was added.
type Audit struct{ DB *DB }

// record adds entries to a transaction: they are in the log if, and only if,
// what they tell of has happened. The database refuses to change them later.
func record(ctx context.Context, tx pgx.Tx, entries ...fleet.AuditEntry) error {
	for _, e := range entries {
		if e.ID.IsZero() {
			e.ID = fleet.NewID[fleet.AuditEntry]()
		}
		_, err := tx.Exec(ctx, `
			WITH added AS (
				INSERT INTO audit_entries (id, actor, actor_user, action, subjects, object, detail, at, request_id)
				VALUES ($1, $2, $3, $4, $5::uuid[], $6, $7::text::json, $8, $9) RETURNING id)
			INSERT INTO audit_tail SELECT id FROM added`,
			e.ID, text(e.Actor), e.ActorUser, text(e.Action), idStrings(e.About()), text(e.Object), body(e.Detail), e.At, e.RequestID)
		if err != nil {
			return err
		}
	}
	return nil
}

// Record adds entries that belong to no other change, such as reads.
func (t Audit) Record(ctx context.Context, entries ...fleet.AuditEntry) error {
	return t.DB.transact(ctx, "audit entry", func(tx pgx.Tx) error { return record(ctx, tx, entries...) })
}

// AuditQuery selects entries. A zero field selects all.
type AuditQuery struct {
	Subject  fleet.UserID
	Actor    string
	Action   string
	From, To time.Time // From counts, To does not
	Before   fleet.AuditID
	Limit    int
}

// AuditListed is an entry of the log and whether a seal covers it.
type AuditListed struct {
	fleet.AuditEntry
	Sealed   bool // false: it is in the tail
	Withheld bool // of whom it tells of, or who did it, is not shown to the reader
}

const auditColumns = `e.id, e.actor, e.actor_user, e.action, e.subjects::text[], e.object, e.detail::text, e.at, e.request_id`

func auditFields(e *fleet.AuditEntry, subjects *[]string, detail **string) []any {
	return []any{&e.ID, &e.Actor, &e.ActorUser, &e.Action, subjects, &e.Object, detail, &e.At, &e.RequestID}
}

// finishAudit fills in what a row does not hold as an entry has it.
func finishAudit(e *fleet.AuditEntry, subjects []string, detail *string) error {
	e.Detail, e.At = fromBody(detail), e.At.UTC()
	for _, s := range subjects {
		id, err := fleet.ParseID[fleet.User](s)
		if err != nil {
			return err
		}
		e.Subjects = append(e.Subjects, id)
	}
	if len(e.Subjects) == 1 {
		e.Subject, e.Subjects = e.Subjects[0], nil
	}
	return nil
}

func scanAudit(row pgx.CollectableRow) (e fleet.AuditEntry, err error) {
	var subjects []string
	var detail *string
	if err := row.Scan(auditFields(&e, &subjects, &detail)...); err != nil {
		return e, err
	}
	return e, finishAudit(&e, subjects, detail)
}

// auditShown is an entry as a member of the staff, $1, is shown it: that something was
// done is shown of all, and not by or of whom where that is somebody they do not see.
var auditShown = `e.id, CASE WHEN ` + shows("e.actor_user") + ` THEN e.actor ELSE 'restricted' END, CASE WHEN ` + shows("e.actor_user") + ` THEN e.actor_user END,
	e.action, ARRAY(SELECT s FROM unnest(e.subjects) s WHERE ` + shows("s") + `)::text[],
	CASE WHEN hidden THEN 'restricted' ELSE e.object END, CASE WHEN NOT hidden THEN e.detail::text END, e.at, e.request_id`

// List returns the entries that q selects, the newest first by their ids, as a member
// of the staff is shown them.
func (t Audit) List(ctx context.Context, staff fleet.UserID, q AuditQuery) ([]AuditListed, error) {
	scan := func(row pgx.CollectableRow) (l AuditListed, err error) {
		var subjects []string
		var detail *string
		if err := row.Scan(append(auditFields(&l.AuditEntry, &subjects, &detail), &l.Sealed, &l.Withheld)...); err != nil {
			return l, err
		}
		return l, finishAudit(&l.AuditEntry, subjects, detail)
	}
	return all(ctx, t.DB, "audit entry", scan, `
		SELECT `+auditShown+`, NOT EXISTS (SELECT FROM audit_tail l WHERE l.entry = e.id), hidden
		FROM audit_entries e, LATERAL (SELECT EXISTS (
			SELECT FROM users u WHERE (u.id = ANY(e.subjects) OR u.id = e.actor_user) AND NOT `+visible+`) AS hidden) h
		WHERE ($2::uuid IS NULL OR e.subjects @> ARRAY[$2::uuid] AND `+shows("$2::uuid")+`)
		      AND ($3::text = '' OR e.actor = $3 AND `+shows("e.actor_user")+`) AND ($4::text = '' OR e.action = $4)
		      AND ($5::timestamptz IS NULL OR e.at >= $5) AND ($6::timestamptz IS NULL OR e.at < $6)
		      AND ($7::uuid IS NULL OR e.id < $7)
		ORDER BY e.id DESC LIMIT $8`,
		staff, q.Subject, q.Actor, q.Action, null(q.From), null(q.To), q.Before, q.Limit)
}

// PeopleOfDevice lists whose movements a device has shown at some time from from
// to to, both included: who enrolled it, whose phone it was, who drove its car.
func (t Audit) PeopleOfDevice(ctx context.Context, device fleet.DeviceID, from, to time.Time) ([]fleet.UserID, error) {
	return all(ctx, t.DB, "person", pgx.RowTo[fleet.UserID], `
		WITH bound AS (
			SELECT driver, vehicle, user_id FROM device_bindings
			WHERE device = $1 AND began <= $3 AND (ended IS NULL OR ended >= $2))
		SELECT user_id FROM bound WHERE user_id IS NOT NULL
		UNION
		SELECT d.user_id FROM bound b JOIN drivers d ON d.id = b.driver WHERE d.user_id IS NOT NULL
		UNION
		SELECT d.user_id FROM bound b
		JOIN vehicle_drivers v ON v.vehicle = b.vehicle AND v.began <= $3 AND (v.ended IS NULL OR v.ended >= $2)
		JOIN drivers d ON d.id = v.driver WHERE d.user_id IS NOT NULL
		ORDER BY 1`, device, from, to)
}

// PeopleOfUnits lists who the units on the map are, as far as they have accounts.
func (t Audit) PeopleOfUnits(ctx context.Context, units []fleet.Unit) ([]fleet.UserID, error) {
	ids := make([]string, len(units))
	for i, u := range units {
		ids[i] = u.String()
	}
	return all(ctx, t.DB, "person", pgx.RowTo[fleet.UserID], `
		SELECT user_id FROM drivers WHERE id = ANY($1::uuid[]) AND user_id IS NOT NULL
		UNION
		SELECT user_id FROM devices WHERE id = ANY($1::uuid[]) AND user_id IS NOT NULL
		ORDER BY 1`, ids)
}
