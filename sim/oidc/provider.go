// Package oidc is a provider of OpenID Connect, as Google and Apple are, on this
// machine: zitadel's, with one person at its keyboard who does as scripted. It
// insists on PKCE, and answers by redirect or by form as it is asked.
package oidc

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Person is who sits at the keyboard, or a token made for an attack.
type Person struct {
	Subject       string
	Email         string
	EmailVerified bool
	Name          string
	Denies        bool   // asked whether the hub may know, they say no
	Nonce         string // in place of the one that was asked for
	Audience      string // in place of the client that asked
}

// Config says who may ask, and on which address.
type Config struct {
	ClientID  string
	Secret    func(string) bool // judges the client's secret
	Redirects []string
}

// Provider is a provider. Open starts it, Close stops it.
type Provider struct {
	issuer   string
	listener net.Listener
	server   *http.Server
	store    *store
	op       *op.Provider
	serving  sync.WaitGroup
}

// Open listens on a port of loopback that the system chooses. The client may be
// set later, by Serve: its redirects may depend on others' ports.
func Open(ctx context.Context) (*Provider, error) {
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Provider{issuer: "http://" + listener.Addr().String(), listener: listener, store: newStore()}
	config := &op.Config{CodeMethodS256: true, AuthMethodPost: true}
	rand.Read(config.CryptoKey[:])
	if p.op, err = op.NewProvider(config, p.store, op.StaticIssuer(p.issuer), op.WithAllowInsecure()); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sit-down", p.sitDown)
	mux.Handle("/", p.op)
	p.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	p.serving.Go(func() { _ = p.server.Serve(listener) }) // ends by Close
	return p, nil
}

// Close stops the provider. It may be called more than once.
func (p *Provider) Close() error {
	err := p.server.Close()
	p.serving.Wait()
	return err
}

// Issuer is the provider's address and name.
func (p *Provider) Issuer() string { return p.issuer }

// Serve says who may ask the provider.
func (p *Provider) Serve(c Config) {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	p.store.client = client{Config: c, login: p.issuer + "/sit-down?id="}
}

// Seat says who is at the keyboard from now on.
func (p *Provider) Seat(who Person) {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	p.store.seated = who
}

// Token makes an id token as an app gets it from the provider on its own, for
// an audience and with a nonce.
func (p *Provider) Token(ctx context.Context, who Person, audience, nonce string, life time.Duration) (string, error) {
	who.Audience, who.Nonce = audience, nonce
	r := &request{who: who, done: true, at: time.Now(), asked: oidc.AuthRequest{
		ClientID: audience, Scopes: oidc.SpaceDelimitedArray{oidc.ScopeOpenID, oidc.ScopeEmail, oidc.ScopeProfile},
	}}
	p.store.seat(r)
	return op.CreateIDToken(ctx, p.issuer, r, life, "", "", p.store, client{})
}

// sitDown is the page where a person would type a password.
func (p *Provider) sitDown(w http.ResponseWriter, r *http.Request) {
	id := r.FormValue("id")
	asked, denied := p.store.answer(id)
	switch {
	case asked == nil:
		http.Error(w, "nobody asked", http.StatusBadRequest)
	case denied:
		ctx := op.ContextWithIssuer(r.Context(), p.issuer)
		op.AuthRequestError(w, r.WithContext(ctx), asked, oidc.ErrAccessDenied(), p.op)
	default:
		http.Redirect(w, r, p.issuer+"/authorize/callback?id="+id, http.StatusFound)
	}
}
