package schema

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Approvals are what takes a second person.
type Approvals struct{ DB *DB }

const approvalColumns = `a.id, a.kind, a.subject, a.payload::text, a.reason, a.asked_by, a.asked, a.decided_by, a.decided, coalesce(a.outcome, ''), a.expires`

// approvalShown is the condition under which a member of the staff, $1, is shown an
// approval a: of what is about a person, whoever sees them.
var approvalShown = shows(`CASE a.kind WHEN 'roles' THEN a.subject::uuid END`) + ` AND ` +
	showsBooking(`CASE a.kind WHEN 'refund' THEN (a.payload ->> 'booking')::uuid END`)

func scanApproval(row pgx.CollectableRow) (a fleet.Approval, err error) {
	var payload *string
	var decided *time.Time
	err = row.Scan(&a.ID, &a.Kind, &a.Subject, &payload, &a.Reason, &a.AskedBy, &a.Asked, &a.DecidedBy, &decided, &a.Outcome, &a.Expires)
	a.Payload, a.Decided = fromBody(payload), orZero(decided)
	a.Asked, a.Expires = a.Asked.UTC(), a.Expires.UTC()
	return a, err
}

// Ask adds an approval that waits, and tells those who may decide it.
func (t Approvals) Ask(ctx context.Context, a fleet.Approval, told Telling) error {
	return t.DB.transact(ctx, "approval", func(tx pgx.Tx) error { return t.DB.ask(ctx, tx, a, told) })
}

func (db *DB) ask(ctx context.Context, tx pgx.Tx, a fleet.Approval, told Telling) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO approvals (id, kind, subject, payload, reason, asked_by, asked, expires)
		VALUES ($1, $2, $3, $4::text::jsonb, $5, $6, $7, $8)`,
		a.ID, a.Kind, a.Subject, body(a.Payload), a.Reason, a.AskedBy, a.Asked, a.Expires)
	if err != nil {
		return err
	}
	return db.tellAll(ctx, tx, told, `roles && $1::text[] AND suspended IS NULL AND id IS DISTINCT FROM $2::uuid`,
		roleStrings(a.Kind.Deciders()), a.AskedBy)
}

// List returns up to limit approvals that a member of the staff is shown, with ids
// before the given one, the newest first: those of the kinds, and those that they
// have asked for. The zero id starts with the newest.
func (t Approvals) List(ctx context.Context, staff fleet.UserID, kinds []fleet.ApprovalKind, waiting bool, now time.Time, before fleet.ApprovalID, limit int) ([]fleet.Approval, error) {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = string(k)
	}
	return all(ctx, t.DB, "approval", scanApproval, `
		SELECT `+approvalColumns+` FROM approvals a
		WHERE `+approvalShown+` AND (a.kind = ANY($2::text[]) OR a.asked_by = $1::uuid) AND ($3::uuid IS NULL OR a.id < $3)
		      AND (NOT $4::boolean OR a.decided IS NULL AND a.expires > $5)
		ORDER BY a.id DESC LIMIT $6`, staff, names, before, waiting, now, limit)
}

// Needed reports whether somebody else than the asker has one of the roles. A
// suspended person counts: else suspending the other one would be the way round
// them.
func (t Approvals) Needed(ctx context.Context, asker fleet.UserID, deciders []fleet.Role) (bool, error) {
	return one(ctx, t.DB, "approval", pgx.RowTo[bool], `
		SELECT EXISTS (SELECT FROM users WHERE roles && $1::text[] AND erased IS NULL AND id IS DISTINCT FROM $2::uuid)`,
		roleStrings(deciders), asker)
}

// Permitted reports whether a person has an approval that is good now.
func (t Approvals) Permitted(ctx context.Context, asker fleet.UserID, kind fleet.ApprovalKind, now time.Time) (bool, error) {
	return one(ctx, t.DB, "approval", pgx.RowTo[bool], `
		SELECT EXISTS (SELECT FROM approvals
			WHERE asked_by IS NOT DISTINCT FROM $1::uuid AND kind = $2 AND outcome = 'approved' AND expires > $3)`, asker, kind, now)
}

// Decision is what a second person says to an approval.
type Decision struct {
	ID      fleet.ApprovalID
	By      fleet.UserID
	Kinds   []fleet.ApprovalKind // which the person may decide
	Outcome fleet.Outcome
	Good    time.Duration // for how long the approval permits what it is for
	Now     time.Time
	Changed Telling // whose roles are other ones by it
}

// Decide decides an approval that waits, and does what it is for if that is done
// with the decision. It returns the sessions that ended by it. One's own is
// CodeForbidden; one that is decided or has expired, CodeConflict.
func (t Approvals) Decide(ctx context.Context, d Decision) (a fleet.Approval, ended []fleet.UserSessionID, err error) {
	err = t.DB.transact(ctx, "approval", func(tx pgx.Tx) error {
		a, err = waitingApproval(ctx, tx, d)
		if err != nil {
			return err
		}
		a.DecidedBy, a.Decided, a.Outcome = d.By, d.Now, d.Outcome
		if d.Outcome == fleet.OutcomeApproved {
			a.Expires = d.Now.Add(d.Good)
		}
		_, err := tx.Exec(ctx, `UPDATE approvals SET decided_by = $2, decided = $3, outcome = $4, expires = $5 WHERE id = $1`,
			a.ID, a.DecidedBy, a.Decided, a.Outcome, a.Expires)
		switch {
		case err != nil:
		case a.Kind == fleet.ApproveRefund:
			err = t.DB.decidedRefund(ctx, tx, a)
		case a.Outcome == fleet.OutcomeApproved && a.Kind == fleet.ApproveRoles:
			ended, err = t.DB.approvedRoles(ctx, tx, a, d.Changed)
		}
		return err
	})
	return a, ended, err
}

func waitingApproval(ctx context.Context, tx pgx.Tx, d Decision) (a fleet.Approval, err error) {
	rows, err := tx.Query(ctx, `SELECT `+approvalColumns+` FROM approvals a WHERE `+approvalShown+` AND a.id = $2 FOR UPDATE OF a`, d.By, d.ID)
	if err != nil {
		return a, err
	}
	if a, err = pgx.CollectExactlyOneRow(rows, scanApproval); err != nil {
		return a, err
	}
	switch {
	case a.AskedBy == d.By:
		err = &fleet.Error{Code: fleet.CodeForbidden, Message: "whoever asks for an approval does not decide it"}
	case !slices.Contains(d.Kinds, a.Kind):
		err = pgx.ErrNoRows
	case !a.Decided.IsZero() || !d.Now.Before(a.Expires):
		err = &fleet.Error{Code: fleet.CodeConflict, Message: "this approval does not wait any more"}
	}
	return a, err
}

func (db *DB) approvedRoles(ctx context.Context, tx pgx.Tx, a fleet.Approval, told Telling) ([]fleet.UserSessionID, error) {
	var change fleet.RolesChange
	if err := json.Unmarshal(a.Payload, &change); err != nil {
		return nil, fmt.Errorf("payload of approval %s: %w", a.ID, err)
	}
	user, err := fleet.ParseID[fleet.User](a.Subject)
	if err != nil {
		return nil, fmt.Errorf("subject of approval %s: %w", a.ID, err)
	}
	admins, err := lockWithAdmins(ctx, tx, user)
	if err != nil {
		return nil, err
	}
	if !a.AskedBy.IsZero() && !slices.Contains(admins.active, a.AskedBy) {
		return nil, &fleet.Error{Code: fleet.CodeConflict, Message: "who asked for this is not admin any more"}
	}
	if !sameRoles(admins.roles, change.From) {
		return nil, &fleet.Error{Code: fleet.CodeConflict, Message: "the person's roles have changed since this was asked for"}
	}
	ended, err := admins.change(ctx, tx, change.To, a.Decided)
	if err != nil {
		return nil, err
	}
	return ended, db.tell(ctx, tx, user, told)
}

// decidedRefund lets a refund go, or gives it up, whose approval is decided. The
// booking is locked first, as by everybody who changes something about its money.
func (db *DB) decidedRefund(ctx context.Context, tx pgx.Tx, a fleet.Approval) error {
	var asked fleet.RefundAsked
	if err := json.Unmarshal(a.Payload, &asked); err != nil {
		return fmt.Errorf("payload of approval %s: %w", a.ID, err)
	}
	c, err := lockBooking(ctx, db, tx, anyBooking(asked.Booking), a.Decided)
	if err != nil {
		return err
	}
	state := fleet.RefundRejected
	if a.Outcome == fleet.OutcomeApproved {
		state = fleet.RefundNew
	}
	tag, err := tx.Exec(ctx, `UPDATE refunds SET state = $2, changed = $3 WHERE approval = $1 AND state = 'waiting'`, a.ID, state, a.Decided)
	if err != nil {
		return err
	}
	if tag.RowsAffected() == 0 {
		return &fleet.Error{Code: fleet.CodeConflict, Message: "this refund does not wait any more"}
	}
	if state == fleet.RefundRejected {
		if _, err := tx.Exec(ctx, `
			UPDATE payments p SET refunded = refunded - r.amount, version = version + 1, changed = $2 FROM refunds r
			WHERE r.approval = $1 AND p.id = r.payment_id`, a.ID, a.Decided); err != nil {
			return err
		}
	}
	return c.LookAtMoney()
}
