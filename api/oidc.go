package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/account"
	"armora/fleet"
)

// ProviderPath names a provider of OpenID Connect in a path.
type ProviderPath struct {
	Provider string `path:"provider" maxLength:"32" example:"google"`
}

type providersOutput struct {
	Body struct {
		Items []providerBody `json:"items"`
	}
}

type providerBody struct {
	Name  string `json:"name"`
	Label string `json:"label" doc:"For people"`
}

type startInput struct {
	ProviderPath
	Redirect  string `query:"redirect_uri" required:"true" maxLength:"512" doc:"Where the app waits; on the hub's list"`
	Challenge string `query:"code_challenge" required:"true" minLength:"43" maxLength:"43" doc:"PKCE, S256: of a verifier that the app keeps"`
	State     string `query:"state" maxLength:"512" doc:"The app's own, told back"`
}

type redirectOutput struct {
	Status   int
	Location string `header:"Location"`
}

// returnInput is what a provider sends: it may send more, and none of it is
// known to be as documented.
type returnInput struct {
	ProviderPath
	State  string `query:"state"`
	Code   string `query:"code"`
	Error  string `query:"error"`
	Issuer string `query:"iss"`
}

type returnFormInput struct {
	ProviderPath
	RawBody []byte `contentType:"application/x-www-form-urlencoded" doc:"state, code, error, iss, user"`
}

type exchangeInput struct {
	Body struct {
		Code     string `json:"code" maxLength:"128" doc:"The one-time code with which the person came back"`
		Verifier string `json:"code_verifier" minLength:"43" maxLength:"128" doc:"PKCE: that of the challenge that the app began with"`
		OTP      string `json:"otp,omitempty" maxLength:"32" doc:"A code of the second factor, where there is one"`
	}
}

type idTokenInput struct {
	ProviderPath
	Body struct {
		IDToken string `json:"id_token" maxLength:"16384" doc:"As the provider gave it to the app"`
		Nonce   string `json:"nonce" minLength:"16" maxLength:"128" doc:"What the app had the provider put into it, as it is or as its SHA-256 in hexadecimal"`
		OTP     string `json:"otp,omitempty" maxLength:"32" doc:"A code of the second factor, where there is one"`
	}
}

type linkInput struct {
	ProviderPath
	Body struct {
		Code     string `json:"code,omitempty" maxLength:"128" doc:"The one-time code with which the person came back"`
		Verifier string `json:"code_verifier,omitempty" maxLength:"128" doc:"That of the challenge that the app began with"`
		IDToken  string `json:"id_token,omitempty" maxLength:"16384" doc:"In place of a code"`
		Nonce    string `json:"nonce,omitempty" maxLength:"128" doc:"Of the id token"`
	}
}

// Identity is a way to sign in as the API shows it to its person.
type Identity struct {
	ID        fleet.LinkedIdentityID `json:"id" format:"uuid"`
	Provider  string                 `json:"provider"`
	Email     string                 `json:"email,omitempty" doc:"The person's address there"`
	CreatedAt time.Time              `json:"created_at"`
	UsedAt    time.Time              `json:"used_at" doc:"When it last signed the person in"`
}

func showIdentity(l fleet.LinkedIdentity) Identity {
	return Identity{ID: l.ID, Provider: l.Provider, Email: l.Email, CreatedAt: l.Created.UTC(), UsedAt: l.Used.UTC()}
}

type identityOutput struct{ Body Identity }

type identitiesOutput struct {
	Body struct {
		Items []Identity `json:"items"`
	}
}

type identityPath struct {
	ID fleet.LinkedIdentityID `path:"id" format:"uuid"`
}

func (s *Server) addOIDC() {
	tags := []string{"sign-in by others"}
	route(s, anyone(), huma.Operation{
		OperationID: "list-oidc-providers", Method: http.MethodGet, Path: "/api/auth/oidc",
		Summary: "List by whom people may sign in", Tags: tags,
	}, s.listProviders)
	route(s, anyone().rated(guessing), huma.Operation{
		OperationID: "start-oidc", Method: http.MethodGet, Path: "/api/auth/oidc/{provider}/start", DefaultStatus: http.StatusSeeOther,
		Summary: "Send a person to a provider, to sign in there; the app opens this in the system's browser", Tags: tags,
	}, s.startOIDC)
	route(s, anyone().rated(guessing), huma.Operation{
		OperationID: "return-oidc", Method: http.MethodGet, Path: "/api/auth/oidc/{provider}/callback", DefaultStatus: http.StatusSeeOther,
		SkipValidateParams: true, // providers send what they like
		Summary:            "Where a provider sends a person back to; sends them on to the app with a one-time code or an error", Tags: tags,
	}, s.returnOIDC)
	route(s, anyone().rated(guessing), huma.Operation{
		OperationID: "return-oidc-form", Method: http.MethodPost, Path: "/api/auth/oidc/{provider}/callback", DefaultStatus: http.StatusSeeOther,
		SkipValidateParams: true, SkipValidateBody: true,
		Summary: "The same, for providers that answer by a form", Tags: tags,
	}, s.returnOIDCForm)
	route(s, anyone().rated(guessing), huma.Operation{
		OperationID: "exchange-oidc", Method: http.MethodPost, Path: "/api/auth/oidc/exchange",
		Summary: "Sign in with the one-time code with which a person came back", Tags: tags,
	}, s.exchangeOIDC)
	route(s, anyone().rated(guessing), huma.Operation{
		OperationID: "accept-id-token", Method: http.MethodPost, Path: "/api/auth/oidc/{provider}/token",
		Summary: "Sign in with an id token that the app got from the provider itself", Tags: tags,
	}, s.acceptIDToken)
	route(s, signedIn().afresh(), huma.Operation{
		OperationID: "link-identity", Method: http.MethodPost, Path: "/api/auth/oidc/{provider}/link", DefaultStatus: http.StatusCreated,
		Summary: "Be able to sign in by a provider from now on", Tags: tags,
	}, s.linkIdentity)
	route(s, signedIn(), huma.Operation{
		OperationID: "list-identities", Method: http.MethodGet, Path: "/api/auth/identities",
		Summary: "List by whom you may sign in", Tags: tags,
	}, s.listIdentities)
	route(s, signedIn().afresh(), huma.Operation{
		OperationID: "unlink-identity", Method: http.MethodDelete, Path: "/api/auth/identities/{id}", DefaultStatus: http.StatusNoContent,
		Summary: "Sign in by a provider no more; the last way to sign in stays", Tags: tags,
	}, s.unlinkIdentity)
}

func (s *Server) listProviders(context.Context, *struct{}) (*providersOutput, error) {
	out := &providersOutput{}
	out.Body.Items = []providerBody{}
	for _, p := range s.cfg.Federation.Providers() {
		out.Body.Items = append(out.Body.Items, providerBody{Name: p.Name, Label: p.Label})
	}
	return out, nil
}

func (s *Server) startOIDC(ctx context.Context, in *startInput) (*redirectOutput, error) {
	return seeOther(s.cfg.Federation.Start(ctx, in.Provider, account.AppRequest{
		Redirect: in.Redirect, Challenge: in.Challenge, State: in.State,
	}))
}

// seeOther sends a browser on by GET, even one that came by POST.
func seeOther(location string, err error) (*redirectOutput, error) {
	if err != nil {
		return nil, err
	}
	return &redirectOutput{Status: http.StatusSeeOther, Location: location}, nil
}

func (s *Server) returnOIDC(ctx context.Context, in *returnInput) (*redirectOutput, error) {
	return seeOther(s.cfg.Federation.Return(ctx, in.Provider, account.ProviderReply{
		State: in.State, Code: in.Code, Error: in.Error, Issuer: in.Issuer,
	}))
}

func (s *Server) returnOIDCForm(ctx context.Context, in *returnFormInput) (*redirectOutput, error) {
	form, err := url.ParseQuery(string(in.RawBody))
	if err != nil {
		return nil, &fleet.Error{Code: fleet.CodeInvalid, Message: "this is not a form", Err: err}
	}
	return seeOther(s.cfg.Federation.Return(ctx, in.Provider, account.ProviderReply{
		State: form.Get("state"), Code: form.Get("code"), Error: form.Get("error"), Issuer: form.Get("iss"), User: form.Get("user"),
	}))
}

func (s *Server) exchangeOIDC(ctx context.Context, in *exchangeInput) (*tokensOutput, error) {
	vouched, err := s.cfg.Federation.Exchange(ctx, in.Body.Code, in.Body.Verifier)
	if err != nil {
		return nil, err
	}
	return s.showTokens(s.cfg.Federation.SignIn(ctx, vouched, in.Body.OTP, sourceOf(ctx)))
}

func (s *Server) acceptIDToken(ctx context.Context, in *idTokenInput) (*tokensOutput, error) {
	vouched, err := s.cfg.Federation.Accept(ctx, in.Provider, in.Body.IDToken, in.Body.Nonce)
	if err != nil {
		return nil, err
	}
	return s.showTokens(s.cfg.Federation.SignIn(ctx, vouched, in.Body.OTP, sourceOf(ctx)))
}

func (s *Server) linkIdentity(ctx context.Context, in *linkInput) (*identityOutput, error) {
	vouched, err := s.vouched(ctx, in)
	if err != nil {
		return nil, err
	}
	l, err := s.cfg.Federation.Link(ctx, callerOf(ctx).User, vouched)
	if err != nil {
		return nil, err
	}
	return &identityOutput{Body: showIdentity(l)}, nil
}

func (s *Server) vouched(ctx context.Context, in *linkInput) (v account.Vouched, err error) {
	switch {
	case in.Body.Code != "" && in.Body.IDToken == "":
		v, err = s.cfg.Federation.Exchange(ctx, in.Body.Code, in.Body.Verifier)
	case in.Body.IDToken != "" && in.Body.Code == "":
		v, err = s.cfg.Federation.Accept(ctx, in.Provider, in.Body.IDToken, in.Body.Nonce)
	default:
		return v, &fleet.Error{Code: fleet.CodeInvalid, Message: "it takes a code or an id_token"}
	}
	if err == nil && v.Provider != in.Provider {
		err = &fleet.Error{Code: fleet.CodeInvalid, Message: "this is another provider's"}
	}
	return v, err
}

func (s *Server) listIdentities(ctx context.Context, _ *struct{}) (*identitiesOutput, error) {
	linked, err := s.cfg.Federation.Identities(ctx, callerOf(ctx).User)
	if err != nil {
		return nil, err
	}
	out := &identitiesOutput{}
	out.Body.Items = make([]Identity, 0, len(linked))
	for _, l := range linked {
		out.Body.Items = append(out.Body.Items, showIdentity(l))
	}
	return out, nil
}

func (s *Server) unlinkIdentity(ctx context.Context, in *identityPath) (*struct{}, error) {
	return nil, s.cfg.Federation.Unlink(ctx, callerOf(ctx).User, in.ID)
}
