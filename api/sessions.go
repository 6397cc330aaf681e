package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// Session is a sign-in as the API shows it to its person.
type Session struct {
	ID           fleet.UserSessionID `json:"id" format:"uuid"`
	Method       fleet.SignInMethod  `json:"method" doc:"How the person proved who they are"`
	SecondFactor bool                `json:"second_factor"`
	Agent        string              `json:"agent" doc:"As the app or browser calls itself"`
	Address      string              `json:"address" doc:"From where"`
	CreatedAt    time.Time           `json:"created_at"`
	UsedAt       time.Time           `json:"used_at" doc:"When it last got a token"`
	ExpiresAt    time.Time           `json:"expires_at"`
	Current      bool                `json:"current" doc:"It is the one that asks"`
}

type listSessionsOutput struct {
	Body struct {
		Items []Session `json:"items"`
	}
}

type sessionPath struct {
	ID fleet.UserSessionID `path:"id" format:"uuid"`
}

type reauthenticateInput struct {
	Body struct {
		Password string `json:"password" maxLength:"256"`
		OTP      string `json:"otp,omitempty" maxLength:"32" doc:"A code of the second factor, where there is one"`
	}
}

func (s *Server) addSessions() {
	tags := []string{"sessions"}
	route(s, signedIn(), huma.Operation{
		OperationID: "logout", Method: http.MethodPost, Path: "/api/auth/logout", DefaultStatus: http.StatusNoContent,
		Summary: "End this session, and every connection that it opened", Tags: tags,
	}, s.logout)
	route(s, signedIn(), huma.Operation{
		OperationID: "reauthenticate", Method: http.MethodPost, Path: "/api/auth/reauthenticate", DefaultStatus: http.StatusNoContent,
		Summary: "Prove again who you are, for what needs a fresh sign-in", Tags: tags,
	}, s.reauthenticate)
	route(s, signedIn(), huma.Operation{
		OperationID: "list-sessions", Method: http.MethodGet, Path: "/api/auth/sessions",
		Summary: "List your sessions, the newest first", Tags: tags,
	}, s.listSessions)
	route(s, signedIn(), huma.Operation{
		OperationID: "end-session", Method: http.MethodDelete, Path: "/api/auth/sessions/{id}", DefaultStatus: http.StatusNoContent,
		Summary: "End one of your sessions", Tags: tags,
	}, s.endSession)
}

func (s *Server) logout(ctx context.Context, _ *struct{}) (*struct{}, error) {
	c := callerOf(ctx)
	return nil, s.cfg.Sessions.End(ctx, c.User, c.Session, fleet.EndedByLogout)
}

func (s *Server) reauthenticate(ctx context.Context, in *reauthenticateInput) (*struct{}, error) {
	return nil, s.cfg.People.Reauthenticate(ctx, callerOf(ctx), in.Body.Password, in.Body.OTP, sourceOf(ctx).Address)
}

func (s *Server) listSessions(ctx context.Context, _ *struct{}) (*listSessionsOutput, error) {
	c := callerOf(ctx)
	live, err := s.cfg.Sessions.List(ctx, c.User)
	if err != nil {
		return nil, err
	}
	out := &listSessionsOutput{}
	out.Body.Items = make([]Session, 0, len(live))
	for _, l := range live {
		out.Body.Items = append(out.Body.Items, Session{
			ID: l.ID, Method: l.Method, SecondFactor: l.SecondFactor, Agent: l.Agent, Address: l.Address,
			CreatedAt: l.Created, UsedAt: l.Used, ExpiresAt: l.Expires, Current: l.ID == c.Session,
		})
	}
	return out, nil
}

func (s *Server) endSession(ctx context.Context, in *sessionPath) (*struct{}, error) {
	return nil, s.cfg.Sessions.End(ctx, callerOf(ctx).User, in.ID, fleet.EndedByUser)
}
