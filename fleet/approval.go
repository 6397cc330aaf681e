package fleet

import (
	"encoding/json"
	"time"
)

// ApprovalID identifies an approval.
type ApprovalID = ID[Approval]

// Approval is what one person asks for and another has to agree to.
type Approval struct {
	ID        ApprovalID
	Kind      ApprovalKind
	Subject   string          // what it is about, as the kind defines it
	Payload   json.RawMessage // what is to happen; nil if the kind says it all
	Reason    string
	AskedBy   UserID // zero: the bootstrap admin
	Asked     time.Time
	DecidedBy UserID
	Decided   time.Time // zero: it waits
	Outcome   Outcome
	// Expires is until when it can be decided; once it is approved, until when
	// what it permits may be done.
	Expires time.Time
}

// ApprovalKind is what an approval is asked for.
type ApprovalKind string

// The kinds.
const (
	// ApproveRoles changes the roles of a user, the subject. It happens with the
	// approval.
	ApproveRoles ApprovalKind = "roles"
	// ApproveAuditLog permits the asker to read the audit log.
	ApproveAuditLog ApprovalKind = "audit_log"
	// ApproveRefund lets a refund go to Stripe, of a payment, the subject. It happens
	// with the approval.
	ApproveRefund ApprovalKind = "refund"
)

// ApprovalKinds lists every kind.
func ApprovalKinds() []ApprovalKind {
	return []ApprovalKind{ApproveRoles, ApproveAuditLog, ApproveRefund}
}

// Deciders lists the roles of those who may decide, and one of whom has to if
// there is another than the asker.
func (k ApprovalKind) Deciders() []Role {
	switch k {
	case ApproveAuditLog:
		return []Role{RoleAdmin, RoleCompliance}
	case ApproveRefund:
		return []Role{RoleAdmin, RoleFinance}
	}
	return []Role{RoleAdmin}
}

// Outcome is how an approval was decided.
type Outcome string

// The outcomes.
const (
	OutcomeApproved Outcome = "approved"
	OutcomeRejected Outcome = "rejected"
)

// RolesChange is the payload of ApproveRoles. It happens only while the roles
// are what they were when it was asked for.
type RolesChange struct {
	From []Role `json:"from"`
	To   []Role `json:"to"`
}

// RefundAsked is the payload of ApproveRefund.
type RefundAsked struct {
	Booking BookingID `json:"booking"`
	Payment PaymentID `json:"payment"`
	Amount  Money     `json:"amount"`
}

// Suspension is a spell in which a person may not sign in.
type Suspension struct {
	Reason    string
	By        UserID // zero: the bootstrap admin
	Since     time.Time
	Ended     time.Time // zero: it lasts
	EndedBy   UserID
	EndReason string
}
