package schema

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Organisations are those who pay by invoice for what their members book.
type Organisations struct{ DB *DB }

const organisationColumns = `o.id, o.name, o.vat_number, o.address, o.credit_limit, o.terms_days, o.approval, o.order_needed, o.version, o.created, o.blocked`

func scanOrganisation(row pgx.CollectableRow) (o fleet.Organisation, err error) {
	var blocked *time.Time
	o.Credit.Currency = fleet.GBP
	err = row.Scan(&o.ID, &o.Name, &o.VATNumber, &o.Address, &o.Credit.Amount, &o.TermsDays, &o.Approval, &o.OrderNeeded, &o.Version, &o.Created, &blocked)
	o.Created, o.Blocked = o.Created.UTC(), orZero(blocked)
	return o, err
}

// Add adds an organisation.
func (t Organisations) Add(ctx context.Context, o *fleet.Organisation) error {
	o.Version = 1
	return t.DB.exec(ctx, "organisation", `
		INSERT INTO organisations (id, name, vat_number, address, credit_limit, terms_days, approval, order_needed, created)
		VALUES ($1, $2, $3, $4::text[], $5, $6, $7, $8, $9)`,
		o.ID, o.Name, o.VATNumber, o.Address, o.Credit.Amount, o.TermsDays, o.Approval, o.OrderNeeded, o.Created)
}

// Set changes an organisation, of a version; 0 for any.
func (t Organisations) Set(ctx context.Context, o *fleet.Organisation, version int64) error {
	if _, err := t.Get(ctx, o.ID); err != nil {
		return err
	}
	return t.DB.swap(ctx, "organisation", `
		UPDATE organisations SET name = $2, vat_number = $3, address = $4::text[], credit_limit = $5, terms_days = $6, approval = $7, order_needed = $8, version = version + 1
		WHERE id = $1 AND ($9::bigint = 0 OR version = $9)`,
		o.ID, o.Name, o.VATNumber, o.Address, o.Credit.Amount, o.TermsDays, o.Approval, o.OrderNeeded, version)
}

// Get returns an organisation.
func (t Organisations) Get(ctx context.Context, id fleet.OrganisationID) (fleet.Organisation, error) {
	return one(ctx, t.DB, "organisation", scanOrganisation, `SELECT `+organisationColumns+` FROM organisations o WHERE o.id = $1`, id)
}

// List returns up to limit organisations with ids before the given one, the newest
// first. The zero id starts with the newest.
func (t Organisations) List(ctx context.Context, before fleet.OrganisationID, limit int) ([]fleet.Organisation, error) {
	return all(ctx, t.DB, "organisation", scanOrganisation, `
		SELECT `+organisationColumns+` FROM organisations o WHERE $1::uuid IS NULL OR o.id < $1 ORDER BY o.id DESC LIMIT $2`, before, limit)
}

// Of returns the organisation on whose account a user books, and as what.
func (t Organisations) Of(ctx context.Context, user fleet.UserID) (o fleet.Organisation, role fleet.AccountRole, err error) {
	m, err := one(ctx, t.DB, "organisation", scanMember, `SELECT `+memberColumns+` FROM organisation_members m WHERE m.user_id = $1`, user)
	if err != nil {
		return o, "", err
	}
	o, err = t.Get(ctx, m.Organisation)
	return o, m.Role, err
}

const memberColumns = `m.user_id, m.organisation_id, m.role, m.added`

func scanMember(row pgx.CollectableRow) (m fleet.Member, err error) {
	err = row.Scan(&m.User, &m.Organisation, &m.Role, &m.Added)
	m.Added = m.Added.UTC()
	return m, err
}

// Members returns the members of an organisation whom one of the staff sees.
func (t Organisations) Members(ctx context.Context, staff fleet.UserID, id fleet.OrganisationID) ([]fleet.Member, error) {
	return all(ctx, t.DB, "member", scanMember, `
		SELECT `+memberColumns+` FROM organisation_members m WHERE `+shows("m.user_id")+` AND m.organisation_id = $2 ORDER BY m.user_id`, staff, id)
}

// SetMember makes a user a member of an organisation, or changes their role. One of
// another organisation's is CodeConflict.
func (t Organisations) SetMember(ctx context.Context, m fleet.Member) error {
	err := t.DB.exec(ctx, "member", `
		INSERT INTO organisation_members (user_id, organisation_id, role, added)
		SELECT u.id, o.id, $3::text, $4::timestamptz FROM users u, organisations o WHERE u.id = $1 AND o.id = $2 AND u.erased IS NULL
		ON CONFLICT (user_id) DO UPDATE SET role = excluded.role WHERE organisation_members.organisation_id = excluded.organisation_id`,
		m.User, m.Organisation, m.Role, m.Added)
	if fleet.CodeOf(err) != fleet.CodeNotFound {
		return err
	}
	if _, _, elsewhere := t.Of(ctx, m.User); elsewhere == nil {
		return &fleet.Error{Code: fleet.CodeConflict, Message: "this person books on another organisation's account"}
	}
	return err
}

// RemoveMember has a user whom one of the staff sees book on the organisation's
// account no more.
func (t Organisations) RemoveMember(ctx context.Context, staff fleet.UserID, id fleet.OrganisationID, user fleet.UserID) error {
	return t.DB.exec(ctx, "member", `
		DELETE FROM organisation_members m WHERE `+shows("m.user_id")+` AND m.organisation_id = $2 AND m.user_id = $3`, staff, id, user)
}

const onAccountColumns = `a.organisation_id, a.purchase_order, a.cost_centre, a.approved, a.approved_by`

func scanOnAccount(row pgx.CollectableRow) (a fleet.OnAccount, err error) {
	var approved *time.Time
	err = row.Scan(&a.Organisation, &a.PurchaseOrder, &a.CostCentre, &approved, &a.ApprovedBy)
	a.Approved = orZero(approved)
	return a, err
}

// OnAccount returns how a booking is paid by an organisation; ok is false if it is
// not.
func (t Organisations) OnAccount(ctx context.Context, booking fleet.BookingID) (a fleet.OnAccount, ok bool, err error) {
	a, err = one(ctx, t.DB, "booking", scanOnAccount, `SELECT `+onAccountColumns+` FROM account_bookings a WHERE a.booking_id = $1`, booking)
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return a, false, nil
	}
	return a, err == nil, err
}

// Waiting returns the bookings that wait for the approval of a user who is an
// approver, in the order of their starts.
func (t Organisations) Waiting(ctx context.Context, approver fleet.UserID) ([]fleet.Booking, error) {
	return Bookings(t).list(ctx, `b.status = 'scheduled' AND b.funded IS NULL AND `+mayApprove+` ORDER BY b.starts, b.id`, approver)
}

// mayApprove is whether a user, $1, decides on the booking b: an approver of its
// organisation, and of what is somebody else's.
const mayApprove = `b.user_id <> $1 AND EXISTS (
	SELECT FROM account_bookings a JOIN organisation_members m ON m.organisation_id = a.organisation_id
	WHERE a.booking_id = b.id AND m.user_id = $1 AND m.role = 'approver')`

// ChangeAsApprover is Change of a booking on which a user decides as the approver of
// its organisation.
func (t Bookings) ChangeAsApprover(ctx context.Context, approver fleet.UserID, id fleet.BookingID, now time.Time, do func(*BookingTx) error) (fleet.Booking, error) {
	return t.change(ctx, which{mayApprove + ` AND b.id = $2`, []any{approver, id}}, now, Term{}, do)
}

// exposure is what an organisation has open: what is booked, what was not paid.
const exposure = `
	coalesce((SELECT sum(CASE WHEN b.ended IS NULL THEN b.total ELSE b.fee END)
		FROM account_bookings a JOIN bookings b ON b.id = a.booking_id WHERE a.organisation_id = o.id), 0)::bigint
	- coalesce((SELECT sum(s.total) FROM statements s WHERE s.organisation_id = o.id AND s.paid IS NOT NULL), 0)::bigint`

// Exposure is what an organisation has open, of its credit.
func (t Organisations) Exposure(ctx context.Context, id fleet.OrganisationID) (fleet.Money, error) {
	sum, err := one(ctx, t.DB, "organisation", pgx.RowTo[int64], `SELECT `+exposure+` FROM organisations o WHERE o.id = $1`, id)
	return fleet.Pence(sum), err
}

// openAccount puts a booking that is being placed on the account of its principal's
// organisation, or says why not. The lock of the organisation makes two bookings at
// once count each other.
func openAccount(ctx context.Context, tx pgx.Tx, b *fleet.Booking) error {
	a := b.Account
	var role fleet.AccountRole
	err := tx.QueryRow(ctx, `SELECT organisation_id, role FROM organisation_members WHERE user_id = $1`, b.User).Scan(&a.Organisation, &role)
	if errors.Is(err, pgx.ErrNoRows) {
		return &fleet.Error{Code: fleet.CodeForbidden, Message: "you book on no organisation's account"}
	}
	if err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `SELECT `+organisationColumns+` FROM organisations o WHERE o.id = $1 FOR UPDATE`, a.Organisation)
	if err != nil {
		return err
	}
	o, err := pgx.CollectExactlyOneRow(rows, scanOrganisation)
	if err != nil {
		return err
	}
	var open int64
	if err := tx.QueryRow(ctx, `SELECT `+exposure+` FROM organisations o WHERE o.id = $1`, o.ID).Scan(&open); err != nil {
		return err
	}
	switch {
	case o.OrderNeeded && a.PurchaseOrder == "":
		return &fleet.Error{Code: fleet.CodeInvalid, Message: o.Name + " wants a purchase order named",
			Flaws: []fleet.Flaw{{Location: "account.purchase_order", Message: "it is needed"}}}
	case !o.Blocked.IsZero():
		return &fleet.Error{Code: fleet.CodeConflict, Message: "a statement of " + o.Name + " is overdue: nothing new is booked on its account until it is paid"}
	case b.Total.Currency != o.Credit.Currency || open+b.Total.Amount > o.Credit.Amount:
		return &fleet.Error{Code: fleet.CodeConflict, Message: "this is more than " + o.Name + " has credit for"}
	}
	b.Funded, a.Approved = time.Time{}, time.Time{}
	if !o.Approval || role == fleet.AccountApprover {
		b.Funded, a.Approved = b.Created, b.Created
	}
	return nil
}

// onAccount keeps how a booking is paid. One that waits for approval lapses.
func (c *BookingTx) onAccount(a *fleet.OnAccount) error {
	_, err := c.tx.Exec(c.ctx, `
		INSERT INTO account_bookings (booking_id, organisation_id, purchase_order, cost_centre, approved) VALUES ($1, $2, $3, $4, $5)`,
		c.ID, a.Organisation, text(a.PurchaseOrder), text(a.CostCentre), null(a.Approved))
	if err != nil || !a.Approved.IsZero() {
		return err
	}
	return c.askApprovers()
}

func (c *BookingTx) askApprovers() error {
	if err := c.db.enqueue(c.ctx, c.tx, fleet.LapseApproval{Booking: c.ID}, c.Lapses()); err != nil {
		return err
	}
	return c.db.enqueue(c.ctx, c.tx, fleet.AskApproval{Booking: c.ID}, time.Time{})
}

// approvalPatience is how long a booking for at once waits for an approver.
const approvalPatience = 15 * time.Minute

// Lapses is until when the booking waits for an approver.
func (c *BookingTx) Lapses() time.Time {
	if c.Order.Now() {
		return c.Since.Add(approvalPatience)
	}
	return c.Start
}

// WaitsForApproval reports whether the booking waits for an approver.
func (c *BookingTx) WaitsForApproval() (waits bool, err error) {
	err = c.tx.QueryRow(c.ctx, `SELECT EXISTS (SELECT FROM account_bookings WHERE booking_id = $1 AND approved IS NULL)`, c.ID).Scan(&waits)
	return waits, err
}

// AskAgain has what somebody has approved wait for an approver again, unless officers
// have had it or no approvals are asked for any more, and reports whether it does.
func (c *BookingTx) AskAgain() (waits bool, err error) {
	tag, err := c.tx.Exec(c.ctx, `
		UPDATE account_bookings SET approved = NULL, approved_by = NULL WHERE booking_id = $1 AND approved_by IS NOT NULL
		AND (SELECT approval FROM organisations WHERE id = organisation_id)
		AND NOT EXISTS (SELECT FROM booking_events e WHERE e.booking_id = $1 AND e.to_status = 'assigned')`, c.ID)
	if err != nil || tag.RowsAffected() == 0 {
		return false, err
	}
	return true, c.askApprovers()
}

// Approve funds the booking by its organisation's terms.
func (c *BookingTx) Approve(by fleet.UserID) error {
	if c.Status != fleet.Scheduled || !c.Funded.IsZero() {
		return &fleet.Error{Code: fleet.CodeConflict, Message: "this assignment does not wait for approval"}
	}
	_, err := c.tx.Exec(c.ctx, `UPDATE account_bookings SET approved = $2, approved_by = $3 WHERE booking_id = $1`, c.ID, c.Now, by)
	if err != nil {
		return err
	}
	c.Funded = c.Now
	if err := c.Note(Event{Kind: "funded"}); err != nil {
		return err
	}
	return c.db.enqueue(c.ctx, c.tx, fleet.BookingFunded{Booking: c.ID}, time.Time{})
}

// TellApprovers tells the approvers of an organisation.
func (t Organisations) TellApprovers(ctx context.Context, id fleet.OrganisationID, what Telling) error {
	return t.DB.transact(ctx, "organisation", func(tx pgx.Tx) error { return t.DB.tellAll(ctx, tx, what, approvers, id) })
}
