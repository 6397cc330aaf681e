package api

import (
	"context"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/account"
	"armora/fleet"
)

// ConsentDocument is a text that people are asked to agree to.
type ConsentDocument struct {
	Kind        string       `json:"kind" example:"terms"`
	Version     int          `json:"version"`
	Title       string       `json:"title"`
	Language    string       `json:"language" doc:"BCP 47"`
	Required    bool         `json:"required" doc:"There is no service without it"`
	AskedOf     []fleet.Role `json:"asked_of,omitempty" doc:"Absent: of everybody"`
	InForceFrom time.Time    `json:"in_force_from"`
	SHA256      string       `json:"sha256" doc:"Of the text, in hexadecimal"`
	Text        string       `json:"text,omitempty" doc:"Markdown"`
}

func showConsentDocument(d fleet.ConsentDocument) ConsentDocument {
	return ConsentDocument{
		Kind: d.Kind, Version: d.Version, Title: d.Title, Language: d.Language, Required: d.Required, AskedOf: d.AskedOf,
		InForceFrom: d.InForce, SHA256: hex.EncodeToString(d.Hash), Text: d.Text,
	}
}

// Consent is what somebody said to a document.
type Consent struct {
	ID        fleet.ConsentID     `json:"id" format:"uuid"`
	Kind      string              `json:"kind"`
	Version   int                 `json:"version"`
	SHA256    string              `json:"sha256" doc:"Of the text that they saw"`
	Act       fleet.ConsentAct    `json:"act" enum:"given,withdrawn" doc:"Withdrawn: or refused"`
	Means     fleet.ConsentMeans  `json:"means" enum:"list,questionnaire" doc:"Where they said it"`
	SessionID fleet.UserSessionID `json:"session_id,omitzero" format:"uuid"`
	Address   string              `json:"address,omitempty" doc:"From where"`
	Agent     string              `json:"agent,omitempty" doc:"As the app or browser called itself"`
	At        time.Time           `json:"at"`
}

func showConsent(c fleet.Consent) Consent {
	return Consent{
		ID: c.ID, Kind: c.Kind, Version: c.Version, SHA256: hex.EncodeToString(c.Hash), Act: c.Act, Means: c.Means,
		SessionID: c.Session, Address: c.Address, Agent: c.Agent, At: c.At,
	}
}

type listConsentsOutput struct {
	Body struct {
		Items []ConsentDocument `json:"items"`
	}
}

type consentPath struct {
	Kind    string `path:"kind" maxLength:"40"`
	Version int    `path:"version" minimum:"1" maximum:"1000000"`
}

type consentDocumentOutput struct{ Body ConsentDocument }

type saidOutput struct {
	Body struct {
		Given   []Consent         `json:"given" doc:"What the person agrees to now"`
		Asked   []ConsentDocument `json:"asked" doc:"What is in force and not answered, without its text"`
		History []Consent         `json:"history" doc:"The last 200 things that the person said, the latest first"`
	}
}

type giveConsentInput struct {
	Body struct {
		Kind    string `json:"kind" minLength:"1" maxLength:"40"`
		Version int    `json:"version" minimum:"1" maximum:"1000000" doc:"It must be in force"`
		Hash    string `json:"hash,omitempty" pattern:"^[0-9a-f]{64}$" doc:"SHA-256 of the text that was shown"`
	}
}

type withdrawConsentInput struct {
	Body struct {
		Kind string `json:"kind" minLength:"1" maxLength:"40"`
	}
}

type consentOutput struct{ Body Consent }

func (s *Server) addConsents() {
	tags := []string{"consents"}
	route(s, anyone(), huma.Operation{
		OperationID: "list-consent-documents", Method: http.MethodGet, Path: "/api/consents",
		Summary: "The documents in force that people are asked to agree to", Tags: tags,
	}, s.listConsentDocuments)
	route(s, anyone(), huma.Operation{
		OperationID: "get-consent-document", Method: http.MethodGet, Path: "/api/consents/{kind}/{version}",
		Summary: "Get a version of a document, in force or not", Tags: tags,
	}, s.getConsentDocument)
	route(s, signedIn(), huma.Operation{
		OperationID: "list-consents", Method: http.MethodGet, Path: "/api/users/consents",
		Summary: "What you agreed to, and what is still asked of you", Tags: tags,
	}, s.listConsents)
	route(s, signedIn(), huma.Operation{
		OperationID: "give-consent", Method: http.MethodPost, Path: "/api/users/consents",
		Summary: "Agree to a document", Tags: tags,
	}, s.giveConsent)
	route(s, signedIn(), huma.Operation{
		OperationID: "withdraw-consent", Method: http.MethodPost, Path: "/api/users/consents/withdraw",
		Summary: "Take back what you agreed to, or refuse what you are asked", Tags: tags,
		Description: "Without a document that is required the security assessment is not complete any more, until it is reviewed again.",
	}, s.withdrawConsent)
	route(s, only(fleet.RoleCompliance), huma.Operation{
		OperationID: "read-consents", Method: http.MethodGet, Path: "/api/users/{id}/consents",
		Summary: "Read what a person agreed to; that is entered in the audit log", Tags: tags,
	}, s.readConsents)
}

func (s *Server) listConsentDocuments(context.Context, *struct{}) (*listConsentsOutput, error) {
	out := &listConsentsOutput{}
	out.Body.Items = showAll(s.cfg.Consents.InForce(), showConsentDocument)
	return out, nil
}

func (s *Server) getConsentDocument(_ context.Context, in *consentPath) (*consentDocumentOutput, error) {
	d, err := s.cfg.Consents.Document(in.Kind, in.Version)
	if err != nil {
		return nil, err
	}
	return &consentDocumentOutput{Body: showConsentDocument(d)}, nil
}

// signatory is who says what they think, by the session that asks.
func signatory(ctx context.Context) account.Signatory {
	c := callerOf(ctx)
	return account.Signatory{User: c.User, Session: c.Session, Where: sourceOf(ctx)}
}

func showSaid(said account.Said, err error) (*saidOutput, error) {
	if err != nil {
		return nil, err
	}
	out := &saidOutput{}
	out.Body.Given, out.Body.History = showAll(said.Given, showConsent), showAll(said.History, showConsent)
	out.Body.Asked = showAll(said.Asked, func(d fleet.ConsentDocument) ConsentDocument {
		d.Text = ""
		return showConsentDocument(d)
	})
	return out, nil
}

func (s *Server) listConsents(ctx context.Context, _ *struct{}) (*saidOutput, error) {
	return showSaid(s.cfg.Consents.Of(ctx, callerOf(ctx).User))
}

func (s *Server) giveConsent(ctx context.Context, in *giveConsentInput) (*consentOutput, error) {
	c, err := s.cfg.Consents.Give(ctx, signatory(ctx), in.Body.Kind, in.Body.Version, in.Body.Hash)
	if err != nil {
		return nil, err
	}
	return &consentOutput{Body: showConsent(c)}, nil
}

func (s *Server) withdrawConsent(ctx context.Context, in *withdrawConsentInput) (*consentOutput, error) {
	c, err := s.cfg.Consents.Withdraw(ctx, signatory(ctx), in.Body.Kind)
	if err != nil {
		return nil, err
	}
	return &consentOutput{Body: showConsent(c)}, nil
}

func (s *Server) readConsents(ctx context.Context, in *UserPath) (*saidOutput, error) {
	return showSaid(s.cfg.Consents.ReadBy(ctx, callerOf(ctx), in.ID))
}
