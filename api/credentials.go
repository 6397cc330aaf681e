package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/account"
	"armora/fleet"
)

// Credential is a credential as the API shows it: never what proves it.
type Credential struct {
	ID        fleet.CredentialID   `json:"id" format:"uuid"`
	Kind      fleet.CredentialKind `json:"kind" enum:"secret,certificate"`
	CreatedAt time.Time            `json:"created_at"`
	ExpiresAt time.Time            `json:"expires_at,omitzero"`
	RevokedAt time.Time            `json:"revoked_at,omitzero"`
}

func showCredential(c fleet.Credential) Credential {
	return Credential{
		ID: c.ID, Kind: c.Kind,
		CreatedAt: c.Created.UTC(), ExpiresAt: utcOrZero(c.Expires), RevokedAt: utcOrZero(c.Revoked),
	}
}

func utcOrZero(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}

type addCredentialInput struct {
	DevicePath
	Body *struct { // a pointer: it may be left out
		Certificate string `json:"certificate,omitempty" maxLength:"16384" doc:"A client certificate in PEM; absent: a new secret is made"`
	}
}

type addedCredentialOutput struct {
	Body struct {
		Credential
		Secret string `json:"secret,omitempty" doc:"The new password, told this once"`
	}
}

type listCredentialsOutput struct {
	Body struct {
		Items []Credential `json:"items"`
	}
}

type revokeCredentialInput struct {
	DevicePath
	CredentialID fleet.CredentialID `path:"credential" format:"uuid"`
}

type mintTokenInput struct {
	DevicePath
	Body *struct {
		ExpiresIn int `json:"expires_in,omitempty" minimum:"1" maximum:"3600" default:"900" doc:"Seconds"`
	}
}

// tokenLife is how long a token is good for if nobody says.
const tokenLife = 15 * time.Minute

type mintedTokenOutput struct {
	Body struct {
		Token     string    `json:"token" doc:"Goes where the password goes"`
		TokenType string    `json:"token_type" enum:"device+jwt"`
		ExpiresAt time.Time `json:"expires_at"`
	}
}

func (s *Server) addCredentials() {
	route(s, admins(), huma.Operation{
		OperationID: "add-device-credential", Method: http.MethodPost, Path: "/api/devices/{id}/credentials",
		DefaultStatus: http.StatusCreated,
		Summary:       "Give a device one more credential; the old one stays good until it is revoked", Tags: []string{"credentials"},
	}, s.addCredential)
	route(s, admins(), huma.Operation{
		OperationID: "list-device-credentials", Method: http.MethodGet, Path: "/api/devices/{id}/credentials",
		Summary: "List a device's credentials, revoked ones included", Tags: []string{"credentials"},
	}, s.listCredentials)
	route(s, admins(), huma.Operation{
		OperationID: "revoke-device-credential", Method: http.MethodDelete, Path: "/api/devices/{id}/credentials/{credential}",
		DefaultStatus: http.StatusNoContent,
		Summary:       "Revoke a credential and end the connections made with it", Tags: []string{"credentials"},
	}, s.revokeCredential)
	route(s, only(fleet.RoleRider, fleet.RoleDriver, fleet.RoleAdmin), huma.Operation{
		OperationID: "mint-device-token", Method: http.MethodPost, Path: "/api/devices/{id}/token",
		DefaultStatus: http.StatusCreated,
		Summary:       "Make a short-lived token by which a device may log in", Tags: []string{"credentials"},
	}, s.mintToken)
}

func (s *Server) addCredential(ctx context.Context, in *addCredentialInput) (*addedCredentialOutput, error) {
	if _, err := s.device(ctx, in.ID); err != nil {
		return nil, err
	}
	out := &addedCredentialOutput{}
	var added fleet.Credential
	var err error
	if in.Body != nil && in.Body.Certificate != "" {
		added, err = s.cfg.Devices.AddCertificate(ctx, in.ID, []byte(in.Body.Certificate))
	} else {
		added, out.Body.Secret, err = s.cfg.Devices.Rotate(ctx, in.ID)
	}
	if err != nil {
		return nil, err
	}
	out.Body.Credential = showCredential(added)
	return out, nil
}

func (s *Server) listCredentials(ctx context.Context, in *DevicePath) (*listCredentialsOutput, error) {
	if _, err := s.device(ctx, in.ID); err != nil {
		return nil, err
	}
	held, err := s.cfg.Devices.Credentials(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := &listCredentialsOutput{}
	out.Body.Items = make([]Credential, 0, len(held))
	for _, c := range held {
		out.Body.Items = append(out.Body.Items, showCredential(c))
	}
	return out, nil
}

func (s *Server) revokeCredential(ctx context.Context, in *revokeCredentialInput) (*struct{}, error) {
	if _, err := s.device(ctx, in.ID); err != nil {
		return nil, err
	}
	return nil, s.cfg.Devices.Revoke(ctx, in.ID, in.CredentialID)
}

func (s *Server) mintToken(ctx context.Context, in *mintTokenInput) (*mintedTokenOutput, error) {
	caller := callerOf(ctx)
	token, err := s.cfg.Devices.PhoneToken(ctx, caller, in.ID)
	if fleet.CodeOf(err) == fleet.CodeNotFound && caller.Has(fleet.RoleAdmin) {
		token, err = s.mintAnyToken(ctx, in)
	}
	if err != nil {
		return nil, err
	}
	out := &mintedTokenOutput{}
	out.Body.Token, out.Body.TokenType, out.Body.ExpiresAt = token.Token, "device+jwt", token.Expires.UTC()
	return out, nil
}

// mintAnyToken makes a token of a device that is not the caller's.
func (s *Server) mintAnyToken(ctx context.Context, in *mintTokenInput) (account.DevicePassword, error) {
	if _, err := s.device(ctx, in.ID); err != nil {
		return account.DevicePassword{}, err
	}
	life := tokenLife
	if in.Body != nil && in.Body.ExpiresIn > 0 {
		life = time.Duration(in.Body.ExpiresIn) * time.Second
	}
	token, expires, err := s.cfg.Keys.MintDevice(in.ID, life)
	return account.DevicePassword{Token: token, Expires: expires}, err
}
