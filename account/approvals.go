package account

import (
	"context"
	"slices"
	"time"

	"armora/fleet"
	"armora/schema"
)

const (
	// ApprovalWait is for how long an approval waits for a second person.
	ApprovalWait = 72 * time.Hour
	// PermitLife is for how long an approval permits what it was asked for.
	PermitLife = time.Hour
)

// Approvals are what takes a second person, where there is one. What happens
// with the approval (a change of roles) is asked for where it is done. What is
// permitted for a while (reading the audit log) is asked for by Ask, and whoever
// does it calls Permit first.
type Approvals struct {
	store    schema.Approvals
	sessions *Sessions
	teller
}

// NewApprovals returns the approvals of a hub.
func NewApprovals(db *schema.DB, sessions *Sessions, clock fleet.Clock) *Approvals {
	return &Approvals{store: schema.Approvals{DB: db}, sessions: sessions, teller: teller{sessions.keyring, clock}}
}

// Permit reports why the caller may not do what kind is asked for: nil if they
// have an approval, or if nobody else could give one.
func (a *Approvals) Permit(ctx context.Context, c *Caller, kind fleet.ApprovalKind) error {
	needed, err := a.store.Needed(ctx, c.User, kind.Deciders())
	if err != nil || !needed {
		return err
	}
	ok, err := a.store.Permitted(ctx, c.User, kind, a.clock.Now())
	if err == nil && !ok {
		err = &fleet.Error{Code: fleet.CodeApprovalNeeded, Message: "this needs a second person's approval: ask for it at /api/approvals"}
	}
	return err
}

// Ask asks for what Permit wants.
func (a *Approvals) Ask(ctx context.Context, c *Caller, kind fleet.ApprovalKind, subject, reason string) (fleet.Approval, error) {
	asked := newApproval(c, kind, reason, a.clock.Now())
	asked.Subject = subject
	return asked, a.store.Ask(ctx, asked, a.asking(&asked))
}

// asking tells those who may decide an approval.
func (t teller) asking(a *fleet.Approval) schema.Telling {
	return t.telling("approval_needed", map[string]string{"kind": string(a.Kind), "expires": a.Expires.Format(time.RFC3339)})
}

func newApproval(c *Caller, kind fleet.ApprovalKind, reason string, now time.Time) fleet.Approval {
	return fleet.Approval{
		ID: fleet.NewID[fleet.Approval](), Kind: kind, Reason: reason,
		AskedBy: c.User, Asked: now, Expires: now.Add(ApprovalWait),
	}
}

// List returns approvals that the caller asked for or may decide, the newest
// first; only those that wait, or all.
func (a *Approvals) List(ctx context.Context, c *Caller, waiting bool, before fleet.ApprovalID, limit int) ([]fleet.Approval, error) {
	return a.store.List(ctx, c.User, decides(c), waiting, a.clock.Now(), before, limit)
}

// Decide approves or rejects what somebody else has asked for, and does what
// happens with the approval. The bootstrap admin is no second person: nobody
// knows who holds the token.
func (a *Approvals) Decide(ctx context.Context, c *Caller, id fleet.ApprovalID, outcome fleet.Outcome) (fleet.Approval, error) {
	if c.User.IsZero() {
		return fleet.Approval{}, &fleet.Error{Code: fleet.CodeForbidden, Message: "only a person can be the second person"}
	}
	decided, ended, err := a.store.Decide(ctx, schema.Decision{
		ID: id, By: c.User, Kinds: decides(c), Outcome: outcome, Good: PermitLife, Now: a.clock.Now(), Changed: a.rolesChanged(),
	})
	if err != nil || decided.Kind != fleet.ApproveRoles || outcome != fleet.OutcomeApproved {
		return decided, err
	}
	user, err := fleet.ParseID[fleet.User](decided.Subject)
	if err == nil {
		a.sessions.changed(user, ended)
	}
	return decided, err
}

// decides lists the kinds that the caller may decide.
func decides(c *Caller) []fleet.ApprovalKind {
	return slices.DeleteFunc(fleet.ApprovalKinds(), func(k fleet.ApprovalKind) bool { return !c.Has(k.Deciders()...) })
}
