package account

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/pquerna/otp/totp"

	"armora/fleet"
	"armora/schema"
)

// Enlisting is who gets an account without registering: by somebody who sits at
// the hub's machine.
type Enlisting struct {
	Email    string
	Name     string // of a new account
	Password string // "": one is made, unless the account has one
	Roles    []fleet.Role
	Anew     bool // replaces password and second factor
}

// Enlisted is an account with what was made for it, which is told this once.
type Enlisted struct {
	User     fleet.UserID
	Email    string
	Password string   // "": it is as before, or as given
	Secret   string   // of the second factor; "": it is as before
	URL      string   // the same, as authenticator apps read it from a QR code
	Recovery []string // codes for when the second factor is lost; likewise
}

// Enlist makes a verified account, with a second factor if one of the roles needs
// it, or gives an account that is there the roles as well and what it lacks.
// Sessions that the account had end.
func (p *People) Enlist(ctx context.Context, e Enlisting) (out Enlisted, err error) {
	email, err := address(e.Email)
	if err != nil {
		return out, err
	}
	now := p.clock.Now()
	user := fleet.User{ID: fleet.NewID[fleet.User](), Email: email, EmailVerified: now, Name: e.Name, Roles: e.Roles, Created: now}
	has, err := p.passwords.Proof(ctx, email)
	switch {
	case err == nil && !has.User.Suspended.IsZero():
		return out, &fleet.Error{Code: fleet.CodeConflict, Message: "this person is suspended: reinstate them first"}
	case err == nil:
		user.ID = has.User.ID
	case fleet.CodeOf(err) != fleet.CodeNotFound:
		return out, err
	}
	out.User, out.Email = user.ID, email
	password := e.Password
	if password == "" && (has.Password == "" || e.Anew) {
		password = rand.Text()
		out.Password = password
	}
	enlisted := schema.Enlisted{User: user}
	if password != "" {
		if err := checkPassword(password, email); err != nil {
			return out, err
		}
		if enlisted.Password, err = p.hasher.hash(ctx, password); err != nil {
			return out, err
		}
	}
	if needsSecondFactor(e.Roles) && (has.TOTP == nil || e.Anew) {
		key, err := totp.Generate(totp.GenerateOpts{Issuer: "ARMORA", AccountName: email, SecretSize: 20})
		if err != nil {
			return out, fmt.Errorf("make a second factor: %w", err)
		}
		out.Secret, out.URL = key.Secret(), key.URL()
		enlisted.TOTP = p.keyring.Seal([]byte(key.Secret()), totpPurpose(user.ID))
		out.Recovery, enlisted.Recovery = p.newRecovery(user.ID)
	}
	ended, err := p.users.Enlist(ctx, enlisted, now)
	p.sessions.tell(ended)
	return out, err
}

func needsSecondFactor(roles []fleet.Role) bool {
	return slices.ContainsFunc(roles, fleet.Role.NeedsSecondFactor)
}
