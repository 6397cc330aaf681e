package account

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"armora/fleet"
)

// OIDCProvider is a provider of OpenID Connect, and how the hub is known there.
type OIDCProvider struct {
	Name            string    `json:"name"`  // in paths, and as the method of a sign-in
	Label           string    `json:"label"` // for people
	Issuer          string    `json:"issuer"`
	ClientID        string    `json:"client_id"`
	ClientSecret    string    `json:"client_secret"`
	Apple           *AppleKey `json:"apple"`             // in place of a secret
	Scopes          []string  `json:"scopes"`            // besides openid; none: email and profile
	FormPost        bool      `json:"form_post"`         // it answers by a form, as Apple does when asked for a name
	NativeClientIDs []string  `json:"native_client_ids"` // of apps that show id tokens which they got themselves
}

// AppleKey signs the hub's client secrets at Apple, which are tokens.
type AppleKey struct {
	TeamID  string `json:"team_id"`
	KeyID   string `json:"key_id"`
	KeyFile string `json:"key_file"` // PKCS #8, PEM
	key     *ecdsa.PrivateKey
}

// ReadOIDCProviders reads a JSON array of providers: from a file if text names
// one, else from text itself.
func ReadOIDCProviders(text string) ([]OIDCProvider, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, nil
	}
	raw := []byte(text)
	if !strings.HasPrefix(text, "[") {
		var err error
		if raw, err = os.ReadFile(text); err != nil {
			return nil, fmt.Errorf("read the providers of OpenID Connect: %w", err)
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	var providers []OIDCProvider
	if err := decoder.Decode(&providers); err != nil {
		return nil, fmt.Errorf("the providers of OpenID Connect are not the JSON that they should be: %w", err)
	}
	names := make(map[string]bool)
	for i := range providers {
		p := &providers[i]
		if err := p.check(); err != nil {
			return nil, fmt.Errorf("provider %q of OpenID Connect: %w", p.Name, err)
		}
		if names[p.Name] {
			return nil, fmt.Errorf("there are two providers %q of OpenID Connect", p.Name)
		}
		names[p.Name] = true
	}
	return providers, nil
}

var providerName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

func (p *OIDCProvider) check() error {
	method := fleet.SignInMethod(p.Name)
	if !providerName.MatchString(p.Name) || method == fleet.ByPassword || method == fleet.ByEmail {
		return errors.New("its name is a word in lower case, and not that of another way to sign in")
	}
	issuer, err := url.Parse(p.Issuer)
	if err != nil || issuer.Host == "" || issuer.Scheme != "https" && !isLoopback(issuer.Hostname()) {
		return errors.New("its issuer is an https address")
	}
	if p.ClientID == "" || (p.ClientSecret == "") == (p.Apple == nil) {
		return errors.New("it needs a client_id, and either a client_secret or apple's key")
	}
	if p.Label == "" {
		p.Label = strings.ToUpper(p.Name[:1]) + p.Name[1:]
	}
	if p.Scopes == nil {
		p.Scopes = []string{"email", "profile"}
	}
	if p.Apple == nil {
		return nil
	}
	text, err := os.ReadFile(p.Apple.KeyFile)
	if err != nil {
		return fmt.Errorf("apple's key: %w", err)
	}
	p.Apple.key, err = jwt.ParseECPrivateKeyFromPEM(text)
	return err
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

const (
	providerTimeout = 10 * time.Second // for one answer of a provider
	appleSecretLife = 5 * time.Minute
)

// provider is a provider with the way to it.
type provider struct {
	OIDCProvider
	callback string // where it sends people back to
	client   *http.Client
	clock    fleet.Clock
	flights  singleflight.Group
	found    atomic.Pointer[oidc.Provider]
}

// discover returns what the provider says of itself. It is asked when somebody
// first wants to sign in there: one that is away keeps nobody else waiting.
func (p *provider) discover(ctx context.Context) (*oidc.Provider, error) {
	if found := p.found.Load(); found != nil {
		return found, nil
	}
	found, err, _ := p.flights.Do("", func() (any, error) {
		found, err := oidc.NewProvider(p.context(context.WithoutCancel(ctx)), p.Issuer)
		if err == nil {
			p.found.Store(found)
		}
		return found, err
	})
	if err != nil {
		return nil, p.away(err)
	}
	return found.(*oidc.Provider), nil
}

func (p *provider) context(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, p.client)
}

func (p *provider) away(err error) error {
	return &fleet.Error{Code: fleet.CodeUnavailable, Message: p.Label + " cannot be reached, try again", Err: err}
}

func (p *provider) oauth(found *oidc.Provider) (*oauth2.Config, error) {
	secret, err := p.secret()
	if err != nil {
		return nil, err
	}
	endpoint := found.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInParams // Apple takes no other, and trying out would use up the code
	return &oauth2.Config{
		ClientID: p.ClientID, ClientSecret: secret, Endpoint: endpoint, RedirectURL: p.callback,
		Scopes: append([]string{oidc.ScopeOpenID}, p.Scopes...),
	}, nil
}

// secret is the client secret: at Apple a token of ours.
func (p *provider) secret() (string, error) {
	if p.Apple == nil {
		return p.ClientSecret, nil
	}
	now := p.clock.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.RegisteredClaims{
		Issuer: p.Apple.TeamID, Subject: p.ClientID, Audience: jwt.ClaimStrings{p.Issuer},
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(appleSecretLife)),
	})
	token.Header["kid"] = p.Apple.KeyID
	return token.SignedString(p.Apple.key)
}

// exchange gets the id token for a provider's code.
func (p *provider) exchange(ctx context.Context, code, verifier string) (string, error) {
	found, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	config, err := p.oauth(found)
	if err != nil {
		return "", err
	}
	token, err := config.Exchange(p.context(ctx), code, oauth2.VerifierOption(verifier))
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.Response.StatusCode < http.StatusInternalServerError {
		// The error's own text repeats the answer, which is not for a log.
		return "", unauthenticated(fmt.Errorf("%s refused the code: %.60q", p.Name, refused.ErrorCode))
	}
	if err != nil {
		return "", p.away(errors.New("the code could not be exchanged"))
	}
	idToken, ok := token.Extra("id_token").(string)
	if !ok {
		return "", unauthenticated(fmt.Errorf("%s gave no id token", p.Name))
	}
	return idToken, nil
}

// verify returns whom an id token is about. Signature, algorithm, issuer,
// audience and times are checked; the audience is one of the given and no other.
func (p *provider) verify(ctx context.Context, idToken string, audiences []string) (*oidc.IDToken, error) {
	if len(idToken) > 4*maxTokenBytes {
		return nil, unauthenticated(errors.New("the id token is too long"))
	}
	found, err := p.discover(ctx)
	if err != nil {
		return nil, err
	}
	token, err := found.VerifierContext(p.context(ctx), &oidc.Config{
		SkipClientIDCheck: true, Now: p.clock.Now, SupportedSigningAlgs: []string{oidc.RS256, oidc.ES256},
	}).Verify(ctx, idToken)
	if err != nil {
		return nil, unauthenticated(err)
	}
	if len(token.Audience) != 1 || !slices.Contains(audiences, token.Audience[0]) {
		return nil, unauthenticated(errors.New("the id token is meant for somebody else"))
	}
	if token.Subject == "" || len(token.Subject) > 255 {
		return nil, unauthenticated(errors.New("the id token has no subject"))
	}
	return token, nil
}

// identity is what an id token says of a person.
func (p *provider) identity(token *oidc.IDToken) (Vouched, error) {
	var claims struct {
		Email    string     `json:"email"`
		Verified stringBool `json:"email_verified"`
		Name     string     `json:"name"`
	}
	if err := token.Claims(&claims); err != nil {
		return Vouched{}, unauthenticated(err)
	}
	return Vouched{
		Provider: p.Name, Issuer: token.Issuer, Subject: token.Subject, Name: claims.Name,
		Email: strings.ToLower(strings.TrimSpace(claims.Email)), EmailVerified: bool(claims.Verified),
	}, nil
}

// stringBool is a truth value that Apple writes as a string.
type stringBool bool

// UnmarshalJSON implements json.Unmarshaler.
func (b *stringBool) UnmarshalJSON(text []byte) error {
	*b = string(text) == "true" || string(text) == `"true"`
	return nil
}

// unauthenticated tells a caller no more than that the sign-in failed.
func unauthenticated(cause error) error {
	return &fleet.Error{Code: fleet.CodeUnauthenticated, Message: "this sign-in is not good: begin again", Err: cause}
}
