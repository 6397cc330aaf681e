package fleet

import (
	"slices"
	"time"
)

// UserID identifies a user.
type UserID = ID[User]

// User is a person with an account: a principal, a protection officer, or
// somebody who works for the platform.
type User struct {
	ID            UserID
	Email         string // lower case; "" once erased
	EmailVerified time.Time
	Name          string
	Phone         string // E.164; "" if none
	PhoneVerified time.Time
	Roles         []Role
	Restricted    bool // visible to named staff alone
	Created       time.Time
	Suspended     time.Time // zero: not suspended
	Erased        time.Time // zero: not erased; else nothing here says who it was
}

// Has reports whether the user has one of the roles.
func (u *User) Has(roles ...Role) bool {
	return slices.ContainsFunc(u.Roles, func(r Role) bool { return slices.Contains(roles, r) })
}

// Role is what a person, or a partner's system, may be to the hub.
type Role string

// The roles.
const (
	RoleRider      Role = "rider"      // a principal: books protection
	RoleDriver     Role = "driver"     // a protection officer
	RoleDispatcher Role = "dispatcher" // steers the fleet
	RoleFinance    Role = "finance"    // sees to money
	RoleCompliance Role = "compliance" // verifies licences, answers for privacy
	RoleAdmin      Role = "admin"      // may grant roles
	RolePartner    Role = "partner"    // a partner's system, within its scopes
)

// Roles lists every role.
func Roles() []Role {
	return []Role{RoleRider, RoleDriver, RoleDispatcher, RoleFinance, RoleCompliance, RoleAdmin, RolePartner}
}

// Staff lists the roles of those who work for the platform.
func Staff() []Role { return []Role{RoleDispatcher, RoleFinance, RoleCompliance, RoleAdmin} }

// NeedsSecondFactor reports whether a sign-in without a second factor may not
// act in this role: whoever guards people, or sees where they are.
func (r Role) NeedsSecondFactor() bool { return r == RoleDriver || slices.Contains(Staff(), r) }

// UserSessionID identifies a user's session.
type UserSessionID = ID[UserSession]

// UserSession is one sign-in of a user on one of their apps or browsers, with
// all tokens that descend from it. It ends as a whole.
type UserSession struct {
	ID            UserSessionID
	User          UserID
	Method        SignInMethod
	SecondFactor  bool      // shown at the sign-in, or since
	Agent         string    // as the app or browser calls itself
	Address       string    // of the peer at the sign-in
	Created       time.Time // when the person signed in
	Authenticated time.Time // when the person last proved who they are
	Used          time.Time // when it last got a token
	Expires       time.Time
	Ended         time.Time // zero: it lives, unless it has expired
	EndReason     EndReason
}

// Live reports whether the session opens doors at a time.
func (s *UserSession) Live(now time.Time) bool { return s.Ended.IsZero() && now.Before(s.Expires) }

// SignInMethod is how a person proved who they are.
type SignInMethod string

// The methods. Providers of OpenID Connect have their own names.
const (
	ByPassword SignInMethod = "password"
	ByEmail    SignInMethod = "email" // a code that was sent there
)

// EndReason is why a session ended.
type EndReason string

// The reasons.
const (
	EndedByLogout    EndReason = "logout"
	EndedByUser      EndReason = "ended_elsewhere" // from another session of the person's
	EndedByPassword  EndReason = "password_changed"
	EndedByRoles     EndReason = "roles_changed"
	EndedBySuspended EndReason = "suspended"
	EndedByErasure   EndReason = "erased"
	EndedByReuse     EndReason = "token_reused" // a refresh token was shown twice: somebody has a copy
)

// ForgottenPasswordJob sends a code to whoever has forgotten a password, if there
// is such a person.
type ForgottenPasswordJob struct {
	Sealed []byte `json:"sealed"` // the address
}

// Kind names the job.
func (ForgottenPasswordJob) Kind() string { return "forgotten_password" }
