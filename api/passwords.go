package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

type forgotPasswordInput struct {
	Body struct {
		Email string `json:"email" maxLength:"254"`
	}
}

type resetPasswordInput struct {
	Body struct {
		Email    string `json:"email" maxLength:"254"`
		Code     string `json:"code" minLength:"6" maxLength:"6" doc:"As in the mail"`
		Password string `json:"password" maxLength:"256" doc:"The new one"`
	}
}

type changePasswordInput struct {
	Body struct {
		Current  string `json:"current_password" maxLength:"256"`
		Password string `json:"new_password" maxLength:"256"`
	}
}

func (s *Server) addPasswords() {
	tags := []string{"passwords"}
	route(s, anyone().rated(guessing), huma.Operation{
		OperationID: "forgot-password", Method: http.MethodPost, Path: "/api/auth/forgot-password", DefaultStatus: http.StatusAccepted,
		Summary: "Ask for a code by which a forgotten password can be replaced", Tags: tags,
	}, s.forgotPassword)
	route(s, anyone().rated(guessing), huma.Operation{
		OperationID: "reset-password", Method: http.MethodPost, Path: "/api/auth/reset-password", DefaultStatus: http.StatusNoContent,
		Summary: "Replace a forgotten password, and end all sessions", Tags: tags,
	}, s.resetPassword)
	route(s, signedIn(), huma.Operation{
		OperationID: "change-password", Method: http.MethodPost, Path: "/api/auth/change-password",
		Summary:     "Change your password, and end all your sessions",
		Description: "Go on with the tokens of the answer: they are of a new session. If the answer gets lost, sign in with the new password.", Tags: tags,
	}, s.changePassword)
}

func (s *Server) forgotPassword(ctx context.Context, in *forgotPasswordInput) (*toldOutput, error) {
	if err := s.cfg.People.ForgotPassword(ctx, in.Body.Email, sourceOf(ctx).Address); err != nil {
		return nil, err
	}
	return told("check your mail"), nil
}

func (s *Server) resetPassword(ctx context.Context, in *resetPasswordInput) (*struct{}, error) {
	return nil, s.cfg.People.ResetPassword(ctx, in.Body.Email, in.Body.Code, in.Body.Password, sourceOf(ctx).Address)
}

func (s *Server) changePassword(ctx context.Context, in *changePasswordInput) (*tokensOutput, error) {
	return s.showTokens(s.cfg.People.ChangePassword(ctx, callerOf(ctx), in.Body.Current, in.Body.Password, sourceOf(ctx)))
}
