package account

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/mail"
	"strings"

	"golang.org/x/oauth2"

	"armora/fleet"
	"armora/schema"
)

// Vouched is whom a provider vouched for.
type Vouched struct {
	Provider      string `json:"provider"`
	Issuer        string `json:"issuer"`
	Subject       string `json:"subject"`
	Email         string `json:"email"`
	EmailVerified bool   `json:"email_verified"`
	Name          string `json:"name"`

	// use uses up what the provider's word was brought by. It is good once, but
	// it is not used up by a sign-in that asks for a second factor first.
	use func(context.Context) error
}

// Exchange takes an app's one-time code, with the verifier of the challenge that
// the app began with. Whoever shows a wrong verifier has used it up.
func (f *Federation) Exchange(ctx context.Context, code, verifier string) (v Vouched, err error) {
	hash, now := f.keyring.Hash(code), f.clock.Now()
	flow, err := f.flows.ByCode(ctx, hash, now)
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return v, unauthenticated(err)
	}
	if err != nil {
		return v, err
	}
	take := func(ctx context.Context) error {
		err := f.flows.Take(ctx, hash)
		if fleet.CodeOf(err) == fleet.CodeNotFound {
			return unauthenticated(errors.New("the code was used before"))
		}
		return err
	}
	if subtle.ConstantTimeCompare([]byte(oauth2.S256ChallengeFromVerifier(verifier)), []byte(flow.Challenge)) != 1 {
		return v, errors.Join(unauthenticated(errors.New("the code is another app's")), take(ctx))
	}
	plain, err := f.keyring.Unseal(flow.Outcome, flowPurpose(flow.State))
	if err != nil {
		return v, err
	}
	v.use = take
	return v, json.Unmarshal(plain, &v)
}

// Accept takes an id token that an app got from a provider itself. The nonce is
// what the app had the provider put into it, as it is or as its SHA-256 in
// hexadecimal, which keeps it from whoever sees the token.
func (f *Federation) Accept(ctx context.Context, name, idToken, nonce string) (v Vouched, err error) {
	p, err := f.provider(name)
	if err != nil {
		return v, err
	}
	token, err := p.verify(ctx, idToken, append([]string{p.ClientID}, p.NativeClientIDs...))
	if err != nil {
		return v, err
	}
	sum := sha256.Sum256([]byte(nonce))
	plain := subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(nonce))
	hashed := subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(hex.EncodeToString(sum[:])))
	if nonce == "" || plain|hashed != 1 {
		return v, unauthenticated(errors.New("the id token has another nonce"))
	}
	if v, err = p.identity(token); err != nil {
		return v, err
	}
	// What is signed, and not the token: a signature may be written in more than one way.
	hash := f.keyring.Hash(idToken[:strings.LastIndexByte(idToken, '.')])
	v.use = func(ctx context.Context) error {
		err := f.flows.TakeToken(ctx, hash, token.Expiry)
		if fleet.CodeOf(err) == fleet.CodeConflict {
			return unauthenticated(errors.New("the id token was used before"))
		}
		return err
	}
	return v, nil
}

// SignIn signs a person in, with their second factor if they have one. For a
// person who is new it makes an account, if the provider has verified their
// address. An address that has an account already is CodeLinkNeeded: only that
// account, signed in, may link the identity.
func (f *Federation) SignIn(ctx context.Context, v Vouched, otp string, from Where) (Tokens, fleet.User, error) {
	l := f.linked(v)
	user, err := f.identities.Owner(ctx, l.Issuer, l.Subject)
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		if user, err = f.join(ctx, v, l); err != nil {
			return Tokens{}, fleet.User{}, err
		}
		return f.people.begin(ctx, SignIn{User: user, Method: fleet.SignInMethod(v.Provider), Where: from})
	}
	if err != nil {
		return Tokens{}, fleet.User{}, err
	}
	second, err := f.people.checkVouched(ctx, user, otp, from.Address)
	if err == nil {
		err = v.use(ctx)
	}
	if err == nil {
		err = f.identities.Used(ctx, l)
	}
	if err != nil {
		return Tokens{}, fleet.User{}, err
	}
	return f.people.begin(ctx, SignIn{User: user, Method: fleet.SignInMethod(v.Provider), SecondFactor: second, Where: from})
}

// checkVouched checks what else it takes of a person for whom a provider has
// vouched: that they may sign in, and a second factor if they have one. It
// reports whether they have.
func (p *People) checkVouched(ctx context.Context, user fleet.UserID, otp, from string) (second bool, err error) {
	proof, err := p.passwords.ProofOf(ctx, user)
	if fleet.CodeOf(err) == fleet.CodeNotFound || err == nil && !proof.User.Suspended.IsZero() {
		return false, unauthenticated(errors.New("the account is suspended or erased"))
	}
	if err != nil || proof.TOTP == nil {
		return false, err
	}
	if otp == "" {
		return false, &fleet.Error{Code: fleet.CodeOTPNeeded, Message: "a code of the second factor is needed too"}
	}
	err = p.guess(ctx, proof.User.Email, from, func(string) error { return p.secondFactor(ctx, user, proof.TOTP, otp) })
	return true, err
}

func (f *Federation) linked(v Vouched) fleet.LinkedIdentity {
	now := f.clock.Now()
	return fleet.LinkedIdentity{
		ID: fleet.NewID[fleet.LinkedIdentity](), Provider: v.Provider, Issuer: v.Issuer, Subject: v.Subject, Email: v.Email,
		Created: now, Used: now,
	}
}

func (f *Federation) join(ctx context.Context, v Vouched, l fleet.LinkedIdentity) (fleet.UserID, error) {
	const longestName = 200
	parsed, err := mail.ParseAddress(v.Email)
	if !v.EmailVerified || err != nil || parsed.Address != v.Email {
		return fleet.UserID{}, &fleet.Error{Code: fleet.CodeForbidden, Message: "the provider has not verified your e-mail address: verify it there, or register here"}
	}
	if err := v.use(ctx); err != nil {
		return fleet.UserID{}, err
	}
	name := []rune(v.Name)
	now := f.clock.Now()
	id, err := f.identities.Join(ctx, l, fleet.User{
		ID: fleet.NewID[fleet.User](), Email: v.Email, EmailVerified: now, Name: string(name[:min(len(name), longestName)]),
		Roles: []fleet.Role{fleet.RoleRider}, Created: now,
	})
	if fleet.CodeOf(err) == fleet.CodeConflict {
		return id, &fleet.Error{Code: fleet.CodeLinkNeeded, Message: "this address has an account: sign in to it as before, and link this way to sign in there", Err: err}
	}
	return id, err
}

// Link lets a user, who has just proved who they are, sign in as whom a provider
// vouched for, and tells them.
func (f *Federation) Link(ctx context.Context, user fleet.UserID, v Vouched) (fleet.LinkedIdentity, error) {
	l := f.linked(v)
	l.User = user
	if err := v.use(ctx); err != nil {
		return l, err
	}
	return l, f.identities.Link(ctx, l, f.people.telling("identity_linked", map[string]string{"provider": v.Provider}))
}

// Identities lists by whom a user may sign in.
func (f *Federation) Identities(ctx context.Context, user fleet.UserID) ([]fleet.LinkedIdentity, error) {
	return f.identities.List(ctx, user)
}

// Unlink takes a way to sign in from a user, unless it is the last, and tells them.
func (f *Federation) Unlink(ctx context.Context, user fleet.UserID, id fleet.LinkedIdentityID) error {
	return f.identities.Unlink(ctx, user, id, func(provider string) schema.Telling {
		return f.people.telling("identity_unlinked", map[string]string{"provider": provider})
	})
}
