package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// Profile is what a person says of themselves, as the API shows it, with what
// they cannot change here.
type Profile struct {
	Version       int64        `json:"version" doc:"Also the ETag"`
	Name          string       `json:"name"`
	Title         string       `json:"title,omitempty"`
	Language      string       `json:"language,omitempty"`
	Zone          string       `json:"zone,omitempty"`
	PhotoID       fleet.FileID `json:"photo_id,omitzero" format:"uuid"`
	UserID        fleet.UserID `json:"user_id" format:"uuid"`
	Email         string       `json:"email"`
	EmailVerified bool         `json:"email_verified"`
	Phone         string       `json:"phone,omitempty"`
	PhoneVerified bool         `json:"phone_verified"`
	Roles         []fleet.Role `json:"roles"`
	CreatedAt     time.Time    `json:"created_at"`
}

type profileOutput struct {
	ETag string `header:"ETag"`
	Body Profile
}

type putProfileInput struct {
	IfMatch
	Body struct {
		Name     string       `json:"name" minLength:"1" maxLength:"200"`
		Title    string       `json:"title,omitempty" maxLength:"50" doc:"Ms, Dr, Lord…"`
		Language string       `json:"language,omitempty" maxLength:"35" doc:"BCP 47: en-GB"`
		Zone     string       `json:"zone,omitempty" maxLength:"64" doc:"IANA time zone: Europe/London"`
		PhotoID  fleet.FileID `json:"photo_id,omitzero" format:"uuid" doc:"An avatar of POST /api/files"`
	}
}

// Preferences are how a person likes things, as the API shows them.
type Preferences struct {
	Version     int64           `json:"version" doc:"Also the ETag"`
	Form        int             `json:"form" doc:"The version of the form by which they were filled in"`
	Preferences json.RawMessage `json:"preferences"`
}

type preferencesOutput struct {
	ETag string `header:"ETag"`
	Body Preferences
}

// PutDocument is a document that takes the place of another.
type PutDocument struct {
	IfMatch
	Body json.RawMessage
}

func (s *Server) addProfile() {
	route(s, signedIn(), huma.Operation{
		OperationID: "get-profile", Method: http.MethodGet, Path: "/api/users/profile",
		Summary: "Get one's own profile", Tags: []string{"profile"},
	}, s.getProfile)
	route(s, signedIn(), huma.Operation{
		OperationID: "put-profile", Method: http.MethodPut, Path: "/api/users/profile",
		Summary: "Change one's own profile", Tags: []string{"profile"},
	}, s.putProfile)
	route(s, signedIn(), huma.Operation{
		OperationID: "get-preferences", Method: http.MethodGet, Path: "/api/users/preferences",
		Summary: "Get one's own preferences", Tags: []string{"profile"},
	}, s.getPreferences)
	route(s, signedIn(), huma.Operation{
		OperationID: "put-preferences", Method: http.MethodPut, Path: "/api/users/preferences",
		Summary: "Change one's own preferences, whole", Tags: []string{"profile"},
	}, s.putPreferences)
}

func (s *Server) getProfile(ctx context.Context, _ *struct{}) (*profileOutput, error) {
	u, p, err := s.cfg.Profiles.Get(ctx, callerOf(ctx).User)
	if err != nil {
		return nil, err
	}
	return &profileOutput{ETag: etag(p.Version), Body: Profile{
		Version: p.Version, Name: u.Name, Title: p.Title, Language: p.Language, Zone: p.Zone, PhotoID: p.Photo,
		UserID: u.ID, Email: u.Email, EmailVerified: !u.EmailVerified.IsZero(),
		Phone: u.Phone, PhoneVerified: !u.PhoneVerified.IsZero(), Roles: u.Roles, CreatedAt: u.Created,
	}}, nil
}

func (s *Server) putProfile(ctx context.Context, in *putProfileInput) (*profileOutput, error) {
	version, err := in.wanted()
	if err != nil {
		return nil, err
	}
	b := &in.Body
	err = s.cfg.Profiles.Put(ctx, callerOf(ctx).User, version, b.Name,
		fleet.Profile{Title: b.Title, Language: b.Language, Zone: b.Zone, Photo: b.PhotoID})
	if err != nil {
		return nil, err
	}
	return s.getProfile(ctx, nil)
}

func (s *Server) getPreferences(ctx context.Context, _ *struct{}) (*preferencesOutput, error) {
	d, err := s.cfg.Profiles.Preferences(ctx, callerOf(ctx).User)
	if err != nil {
		return nil, err
	}
	return &preferencesOutput{ETag: etag(d.Version), Body: Preferences{Version: d.Version, Form: d.Form, Preferences: d.Body}}, nil
}

func (s *Server) putPreferences(ctx context.Context, in *PutDocument) (*preferencesOutput, error) {
	version, err := in.wanted()
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Profiles.PutPreferences(ctx, callerOf(ctx).User, version, in.Body); err != nil {
		return nil, err
	}
	return s.getPreferences(ctx, nil)
}
