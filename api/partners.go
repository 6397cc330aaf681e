package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// Partner is a partner's system as the API shows it.
type Partner struct {
	ID        fleet.PartnerID `json:"id" format:"uuid" doc:"Its OAuth2 client_id"`
	Name      string          `json:"name"`
	Scopes    []fleet.Scope   `json:"scopes"`
	CreatedAt time.Time       `json:"created_at"`
	RotatedAt time.Time       `json:"rotated_at" doc:"When it got its newest secret"`
	RevokedAt time.Time       `json:"revoked_at,omitzero"`
}

func showPartner(p fleet.Partner) Partner {
	return Partner{ID: p.ID, Name: p.Name, Scopes: p.Scopes, CreatedAt: p.Created.UTC(), RotatedAt: p.Rotated.UTC(), RevokedAt: utcOrZero(p.Revoked)}
}

type createPartnerInput struct {
	Body struct {
		Name   string        `json:"name" minLength:"1" maxLength:"200"`
		Scopes []fleet.Scope `json:"scopes" minItems:"1" uniqueItems:"true" enum:"fleet:read" doc:"What it may do"`
	}
}

type createdPartnerOutput struct {
	Location string `header:"Location"`
	Body     struct {
		Partner
		Secret string `json:"client_secret" doc:"Told this once"`
	}
}

type partnerPath struct {
	ID fleet.PartnerID `path:"id" format:"uuid"`
}

type rotatePartnerInput struct {
	ID   fleet.PartnerID `path:"id" format:"uuid"`
	Body struct {
		Overlap int `json:"overlap_seconds,omitempty" minimum:"0" maximum:"604800" default:"86400" doc:"How long the secret before is good"`
	}
}

type rotatedPartnerOutput struct {
	Body struct {
		Secret string `json:"client_secret" doc:"Told this once"`
	}
}

// tokenInput is a request of OAuth2 (RFC 6749, §4.4), which is a form.
type tokenInput struct {
	Authorization string `header:"Authorization" doc:"Basic, with client_id and client_secret; else they are in the form"`
	RawBody       []byte `contentType:"application/x-www-form-urlencoded" doc:"grant_type=client_credentials, scope, client_id, client_secret"`
}

// tokenOutput is OAuth2's answer, and its error (RFC 6749, §5).
type tokenOutput struct {
	Status          int
	WWWAuthenticate string `header:"WWW-Authenticate"`
	Body            tokenBody
}

type tokenBody struct {
	AccessToken string `json:"access_token,omitempty"`
	TokenType   string `json:"token_type,omitempty" enum:"Bearer"`
	ExpiresIn   int    `json:"expires_in,omitempty" doc:"Seconds"`
	Scope       string `json:"scope,omitempty" doc:"What the token may do"`
	Error       string `json:"error,omitempty" doc:"As RFC 6749 has it"`
	Description string `json:"error_description,omitempty"`
}

func (s *Server) addPartners() {
	tags := []string{"partners"}
	route(s, admins().afresh(), huma.Operation{
		OperationID: "create-partner", Method: http.MethodPost, Path: "/api/partners", DefaultStatus: http.StatusCreated,
		Summary: "Let a partner's system in, and get its secret", Tags: tags,
	}, s.createPartner)
	route(s, admins(), huma.Operation{
		OperationID: "list-partners", Method: http.MethodGet, Path: "/api/partners",
		Summary: "List partners' systems, the oldest first", Tags: tags,
	}, s.listPartners)
	route(s, admins().afresh(), huma.Operation{
		OperationID: "rotate-partner-secret", Method: http.MethodPost, Path: "/api/partners/{id}/secret", DefaultStatus: http.StatusCreated,
		Summary: "Give a partner's system a new secret; the one before is good for a while", Tags: tags,
	}, s.rotatePartner)
	route(s, admins(), huma.Operation{
		OperationID: "revoke-partner", Method: http.MethodDelete, Path: "/api/partners/{id}", DefaultStatus: http.StatusNoContent,
		Summary: "Shut a partner's system out for good; its tokens end at once", Tags: tags,
	}, s.revokePartner)
	route(s, anyone().rated(guessing), huma.Operation{
		OperationID: "issue-partner-token", Method: http.MethodPost, Path: "/api/auth/token", SkipValidateBody: true,
		Summary: "Get an access token for a partner's system (OAuth2 client credentials)", Tags: tags,
	}, s.issueToken)
	// An empty one is answered in OAuth2's words as well, and so not by huma.
	s.huma.OpenAPI().Paths["/api/auth/token"].Post.RequestBody.Required = false
}

func (s *Server) createPartner(ctx context.Context, in *createPartnerInput) (*createdPartnerOutput, error) {
	created, secret, err := s.cfg.Partners.Create(ctx, in.Body.Name, in.Body.Scopes)
	if err != nil {
		return nil, err
	}
	out := &createdPartnerOutput{Location: "/api/partners/" + created.ID.String()}
	out.Body.Partner, out.Body.Secret = showPartner(created), secret
	return out, nil
}

func (s *Server) listPartners(ctx context.Context, in *PageQuery) (*pageOutput[Partner], error) {
	var after fleet.PartnerID
	if err := readCursor(in.Cursor, &after); err != nil {
		return nil, err
	}
	rows, err := s.cfg.Partners.List(ctx, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return newPage(rows, in.Limit, showPartner, func(p fleet.Partner) any { return p.ID })
}

func (s *Server) rotatePartner(ctx context.Context, in *rotatePartnerInput) (out *rotatedPartnerOutput, err error) {
	out = &rotatedPartnerOutput{}
	out.Body.Secret, err = s.cfg.Partners.Rotate(ctx, in.ID, time.Duration(in.Body.Overlap)*time.Second)
	return out, err
}

func (s *Server) revokePartner(ctx context.Context, in *partnerPath) (*struct{}, error) {
	return nil, s.cfg.Partners.Revoke(ctx, in.ID)
}

func (s *Server) issueToken(ctx context.Context, in *tokenInput) (*tokenOutput, error) {
	form, malformed := url.ParseQuery(string(in.RawBody))
	if malformed != nil {
		return oauthError(http.StatusBadRequest, "invalid_request", "the body is not a form"), nil //nolint:nilerr // OAuth2 has errors of its own
	}
	for _, values := range form {
		if len(values) > 1 {
			return oauthError(http.StatusBadRequest, "invalid_request", "a parameter is there twice"), nil
		}
	}
	if form.Get("grant_type") != "client_credentials" {
		if !form.Has("grant_type") {
			return oauthError(http.StatusBadRequest, "invalid_request", "grant_type is missing"), nil
		}
		return oauthError(http.StatusBadRequest, "unsupported_grant_type", "it is client_credentials here"), nil
	}
	id, secret, ok := clientOf(in.Authorization, form)
	if !ok {
		return oauthError(http.StatusBadRequest, "invalid_request", "the client shows who it is in one way"), nil
	}
	var wanted []fleet.Scope
	for word := range strings.FieldsSeq(form.Get("scope")) {
		wanted = append(wanted, fleet.Scope(word))
	}
	issued, err := s.cfg.Partners.Token(ctx, id, secret, wanted)
	switch fleet.CodeOf(err) {
	case fleet.CodeUnauthenticated:
		return oauthError(http.StatusUnauthorized, "invalid_client", "unknown client, or wrong secret"), nil
	case fleet.CodeInvalid:
		return oauthError(http.StatusBadRequest, "invalid_scope", "the client has not all of these scopes"), nil
	}
	if err != nil {
		return nil, err
	}
	return &tokenOutput{Status: http.StatusOK, Body: tokenBody{
		AccessToken: issued.Access, TokenType: "Bearer", Scope: issued.Scope,
		ExpiresIn: int(issued.Expires.Sub(s.clock.Now()).Seconds()),
	}}, nil
}

func oauthError(status int, code, description string) *tokenOutput {
	out := &tokenOutput{Status: status, Body: tokenBody{Error: code, Description: description}}
	if status == http.StatusUnauthorized {
		out.WWWAuthenticate = `Basic realm="ARMORA"`
	}
	return out
}

// clientOf reads who a client says it is: from a header, or from the form, and
// not from both (RFC 6749, §2.3).
func clientOf(header string, form url.Values) (id, secret string, ok bool) {
	if header == "" {
		return form.Get("client_id"), form.Get("client_secret"), form.Has("client_id") && form.Has("client_secret")
	}
	scheme, encoded, _ := strings.Cut(header, " ")
	plain, err := base64.StdEncoding.DecodeString(encoded)
	if !strings.EqualFold(scheme, "basic") || err != nil || form.Has("client_secret") {
		return "", "", false
	}
	id, secret, ok = strings.Cut(string(plain), ":")
	for _, part := range []*string{&id, &secret} {
		if *part, err = url.QueryUnescape(*part); err != nil {
			return "", "", false
		}
	}
	return id, secret, ok && (!form.Has("client_id") || form.Get("client_id") == id)
}
