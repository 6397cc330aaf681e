package account

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/coreos/go-oidc/v3/oidc"

	"armora/fleet"
	"armora/schema"
)

const (
	flowLife = 10 * time.Minute // for a person to sign in at a provider
	onceLife = time.Minute      // for the app to exchange its one-time code
)

// FederationConfig is what a Federation needs. Without providers nobody signs
// in by one; the rest is required.
type FederationConfig struct {
	DB        *schema.DB
	Keyring   *Keyring
	People    *People
	Clock     fleet.Clock
	Providers []OIDCProvider
	Redirects []string // where apps may wait for a person who comes back
	PublicURL string   // the hub's address, for the providers
}

// Federation is signing in by providers of OpenID Connect: Google, Apple and
// their like. It is safe for concurrent use.
//
// The hub is the provider's client (code flow with PKCE, state and nonce), and
// the app is the hub's: it comes with a PKCE challenge, and gets a one-time code
// that is worth nothing without the verifier. That is also what keeps one person
// from finding themselves signed in as another (login CSRF): a code of somebody
// else's flow does not go with the app's verifier. No token is ever in a URL.
type Federation struct {
	identities schema.LinkedIdentities
	flows      schema.OIDCFlows
	people     *People
	keyring    *Keyring
	clock      fleet.Clock
	providers  []*provider
	redirects  []string
}

// NewFederation returns the federation of a hub. It asks no provider for anything.
func NewFederation(cfg FederationConfig) *Federation {
	f := &Federation{
		identities: schema.LinkedIdentities{DB: cfg.DB}, flows: schema.OIDCFlows{DB: cfg.DB},
		people: cfg.People, keyring: cfg.Keyring, clock: cfg.Clock, redirects: cfg.Redirects,
	}
	client := &http.Client{Timeout: providerTimeout}
	for _, p := range cfg.Providers {
		f.providers = append(f.providers, &provider{
			OIDCProvider: p, client: client, clock: cfg.Clock,
			callback: strings.TrimSuffix(cfg.PublicURL, "/") + "/api/auth/oidc/" + p.Name + "/callback",
		})
	}
	return f
}

// Providers lists the providers by whom people may sign in.
func (f *Federation) Providers() []OIDCProvider {
	list := make([]OIDCProvider, len(f.providers))
	for i, p := range f.providers {
		list[i] = OIDCProvider{Name: p.Name, Label: p.Label}
	}
	return list
}

func (f *Federation) provider(name string) (*provider, error) {
	for _, p := range f.providers {
		if p.Name == name {
			return p, nil
		}
	}
	return nil, &fleet.Error{Code: fleet.CodeNotFound, Message: "no such provider"}
}

// AppRequest is how an app asks to have a person signed in.
type AppRequest struct {
	Redirect  string // where it waits
	Challenge string // PKCE, S256
	State     string // its own, told back
}

// flowSecrets are what the hub remembers of a flow for the provider's answer.
type flowSecrets struct {
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"`
}

// Start begins a sign-in and returns where to send the person.
func (f *Federation) Start(ctx context.Context, name string, r AppRequest) (location string, err error) {
	p, err := f.provider(name)
	if err != nil {
		return "", err
	}
	if !slices.Contains(f.redirects, r.Redirect) {
		return "", invalid("this redirect_uri is not on the hub's list")
	}
	if sum, err := base64.RawURLEncoding.Strict().DecodeString(r.Challenge); err != nil || len(sum) != sha256.Size {
		return "", invalid("code_challenge is a SHA-256 in base64url (S256)")
	}
	found, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	config, err := p.oauth(found)
	if err != nil {
		return "", err
	}
	state, secrets := newSecret(oneTimeSecret), flowSecrets{Nonce: newSecret(oneTimeSecret), Verifier: oauth2.GenerateVerifier()}
	hash := f.keyring.Hash(state)
	plain, err := json.Marshal(secrets)
	if err != nil {
		return "", err
	}
	err = f.flows.Begin(ctx, schema.OIDCFlow{
		State: hash, Provider: p.Name, Secrets: f.keyring.Seal(plain, flowPurpose(hash)),
		Redirect: r.Redirect, Challenge: r.Challenge, AppState: r.State,
	}, f.clock.Now().Add(flowLife))
	if err != nil {
		return "", err
	}
	options := []oauth2.AuthCodeOption{oidc.Nonce(secrets.Nonce), oauth2.S256ChallengeOption(secrets.Verifier)}
	if p.FormPost {
		options = append(options, oauth2.SetAuthURLParam("response_mode", "form_post"))
	}
	return config.AuthCodeURL(state, options...), nil
}

func flowPurpose(state []byte) string { return "oidc-flow/" + hex.EncodeToString(state) }

// ProviderReply is what a person brings back from a provider.
type ProviderReply struct {
	State  string
	Code   string
	Error  string
	Issuer string // who answers, if the provider says so (RFC 9207)
	User   string // Apple's: the person's name as JSON, the first time alone
}

// Return takes a provider's answer and returns where to send the person on, with
// a one-time code or, as RFC 6749 has it, an error. An answer to nothing that was
// asked is an error of its own, and the person is sent nowhere.
func (f *Federation) Return(ctx context.Context, name string, r ProviderReply) (location string, err error) {
	p, err := f.provider(name)
	if err != nil {
		return "", err
	}
	flow, err := f.flows.Return(ctx, f.keyring.Hash(r.State), p.Name, f.clock.Now())
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return "", invalid("this sign-in is unknown, over, or was answered before: begin again")
	}
	if err != nil {
		return "", err
	}
	answer := url.Values{}
	if flow.AppState != "" {
		answer.Set("state", flow.AppState)
	}
	code, err := f.vouch(ctx, p, &flow, r)
	switch {
	case err == nil:
		answer.Set("code", code)
	case r.Error == "access_denied" || r.Error == "user_cancelled_authorize":
		answer.Set("error", "access_denied")
	case fleet.CodeOf(err) == fleet.CodeUnavailable:
		answer.Set("error", "temporarily_unavailable")
	case fleet.CodeOf(err) == fleet.CodeUnauthenticated:
		answer.Set("error", "invalid_grant")
	default:
		return "", err
	}
	return withQuery(flow.Redirect, answer)
}

// withQuery adds to the query of an address, keeping what it has.
func withQuery(address string, more url.Values) (string, error) {
	target, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("a redirect on the hub's list: %w", err)
	}
	query := target.Query()
	for name := range more {
		query.Set(name, more.Get(name))
	}
	target.RawQuery = query.Encode()
	return target.String(), nil
}

// vouch asks the provider who it is and makes the one-time code of the flow.
func (f *Federation) vouch(ctx context.Context, p *provider, flow *schema.OIDCFlow, r ProviderReply) (code string, err error) {
	if r.Error != "" || r.Code == "" {
		return "", unauthenticated(fmt.Errorf("%s answers %.60q", p.Name, r.Error))
	}
	if r.Issuer != "" && r.Issuer != p.Issuer {
		return "", unauthenticated(errors.New("the answer is another issuer's")) // a mix-up of providers
	}
	plain, err := f.keyring.Unseal(flow.Secrets, flowPurpose(flow.State))
	if err != nil {
		return "", err
	}
	var secrets flowSecrets
	if err := json.Unmarshal(plain, &secrets); err != nil {
		return "", err
	}
	idToken, err := p.exchange(ctx, r.Code, secrets.Verifier)
	if err != nil {
		return "", err
	}
	token, err := p.verify(ctx, idToken, []string{p.ClientID})
	if err != nil {
		return "", err
	}
	if subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(secrets.Nonce)) != 1 {
		return "", unauthenticated(errors.New("the id token was made for another sign-in"))
	}
	vouched, err := p.identity(token)
	if err != nil {
		return "", err
	}
	if vouched.Name == "" {
		vouched.Name = appleName(r.User)
	}
	outcome, err := json.Marshal(vouched)
	if err != nil {
		return "", err
	}
	code = newSecret(oneTimeSecret)
	return code, f.flows.Vouch(ctx, flow.State, f.keyring.Hash(code), f.keyring.Seal(outcome, flowPurpose(flow.State)), f.clock.Now().Add(onceLife))
}

// appleName reads a name that Apple tells once, beside the token. Nobody has
// signed it: it is what to call the person, and nothing rests on it.
func appleName(text string) string {
	var user struct {
		Name struct {
			First string `json:"firstName"`
			Last  string `json:"lastName"`
		} `json:"name"`
	}
	if len(text) > 4096 || json.Unmarshal([]byte(text), &user) != nil {
		return ""
	}
	return strings.TrimSpace(user.Name.First + " " + user.Name.Last)
}
