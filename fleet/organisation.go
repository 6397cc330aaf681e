package fleet

import "time"

// OrganisationID identifies an organisation.
type OrganisationID = ID[Organisation]

// Organisation is who pays by invoice for what its members book.
type Organisation struct {
	ID          OrganisationID
	Name        string
	VATNumber   string
	Address     []string // for invoices, line by line
	Credit      Money    // how much may be open at once
	TermsDays   int      // from a statement to when it is due
	Approval    bool     // what a member books waits for an approver
	OrderNeeded bool     // a booking names a purchase order
	Version     int64
	Created     time.Time
	Blocked     time.Time // since when nothing new is booked, since a statement is overdue; zero: it is not
}

// AccountRole is what somebody may do on an organisation's account.
type AccountRole string

// The roles. What an approver books needs nobody's approval.
const (
	AccountMember   AccountRole = "member"
	AccountApprover AccountRole = "approver"
)

// Member is somebody who books on an organisation's account.
type Member struct {
	User         UserID
	Organisation OrganisationID
	Role         AccountRole
	Added        time.Time
}

// OnAccount is how a booking is paid by an organisation.
type OnAccount struct {
	Organisation  OrganisationID
	PurchaseOrder string
	CostCentre    string
	Approved      time.Time // zero: it waits for an approver
	ApprovedBy    UserID    // zero: it needed nobody's approval
}

// StatementOf is what an organisation owes by a statement.
type StatementOf struct {
	ID           InvoiceID // the paper
	Number       string
	Organisation OrganisationID
	Month        time.Time // its first day
	Due          time.Time // the last day on which it is in time
	Total        Money
	Reminded     int
	Paid         time.Time // zero: it is not
	Reference    string    // of the payment
}

// AskApproval is the job of telling approvers of a booking that waits for them.
type AskApproval struct {
	Booking BookingID `json:"booking"`
}

// Kind names the job.
func (AskApproval) Kind() string { return "ask_approval" }

// LapseApproval is the job of ending a booking that nobody has approved in time.
type LapseApproval struct {
	Booking BookingID `json:"booking"`
}

// Kind names the job.
func (LapseApproval) Kind() string { return "lapse_approval" }

// MakeStatements is the job of issuing the statements of the month that is over, and
// of seeing to those that are overdue.
type MakeStatements struct{}

// Kind names the job.
func (MakeStatements) Kind() string { return "make_statements" }
