package fleet

import (
	"slices"
	"time"
)

// LinkedIdentityID identifies a linked identity.
type LinkedIdentityID = ID[LinkedIdentity]

// LinkedIdentity is who a user is at a provider of OpenID Connect, by whom they
// may sign in.
type LinkedIdentity struct {
	ID       LinkedIdentityID
	User     UserID
	Provider string // as the hub's settings name it
	Issuer   string
	Subject  string // with the issuer, who it is: for ever
	Email    string // as the provider last said; it proves nothing here
	Created  time.Time
	Used     time.Time // when it last signed the user in
}

// PartnerID identifies a partner. It is their OAuth2 client id.
type PartnerID = ID[Partner]

// Partner is a partner's system.
type Partner struct {
	ID      PartnerID
	Name    string
	Scopes  []Scope
	Created time.Time
	Rotated time.Time // when it got its newest secret
	Revoked time.Time // zero: it may come in
}

// Scope is a part of the API that a partner may be let into.
type Scope string

// The scopes.
const (
	ScopeFleetRead Scope = "fleet:read" // which protection officers are near a place
)

// Scopes lists every scope.
func Scopes() []Scope { return []Scope{ScopeFleetRead} }

// Grant returns the scopes of wanted, all of the partner's if there are none. It
// reports whether the partner has each of them.
func (p *Partner) Grant(wanted []Scope) ([]Scope, bool) {
	if len(wanted) == 0 {
		return p.Scopes, true
	}
	for _, scope := range wanted {
		if !slices.Contains(p.Scopes, scope) {
			return nil, false
		}
	}
	return wanted, true
}
