package fleet

import "time"

// MembershipID identifies a membership.
type MembershipID = ID[Membership]

// MembershipState is how a membership stands.
type MembershipState string

// The states. What has ended stays so: who comes back has another one.
const (
	MembershipNew        MembershipState = "new"        // saved; Stripe may know of it or not
	MembershipIncomplete MembershipState = "incomplete" // the first payment has not come yet
	MembershipTrialing   MembershipState = "trialing"
	MembershipActive     MembershipState = "active"
	MembershipPastDue    MembershipState = "past_due" // a payment failed, and is tried again
	MembershipEnded      MembershipState = "ended"
)

// Membership is a subscription by which a principal pays as a member.
type Membership struct {
	ID         MembershipID
	User       UserID
	Stripe     string // id of the subscription; "": it is not known
	State      MembershipState
	Attempt    int       // of making it
	Until      time.Time // when the period that is paid for ends; zero: not known
	Cancelling bool      // it ends then
	Created    time.Time
	Changed    time.Time
}

// Entitled reports whether what is quoted is quoted as to a member.
func (m *Membership) Entitled() bool {
	return m.State == MembershipTrialing || m.State == MembershipActive
}
