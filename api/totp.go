package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

type enrolledOutput struct {
	Body struct {
		Secret string `json:"secret" doc:"To be typed into an authenticator app"`
		URL    string `json:"url" doc:"The same, to be shown as a QR code"`
	}
}

type confirmTOTPInput struct {
	Body struct {
		OTP string `json:"otp" minLength:"6" maxLength:"6" doc:"What the app shows now"`
	}
}

type recoveryCodesOutput struct {
	Body struct {
		RecoveryCodes []string `json:"recovery_codes" doc:"Each is good once in place of the app's code; told this once"`
	}
}

func (s *Server) addTOTP() {
	tags := []string{"second factor"}
	route(s, signedIn().afresh(), huma.Operation{
		OperationID: "enrol-totp", Method: http.MethodPost, Path: "/api/auth/totp", DefaultStatus: http.StatusCreated,
		Summary: "Get a secret for an authenticator app (TOTP)", Tags: tags,
	}, s.enrolTOTP)
	route(s, signedIn().afresh(), huma.Operation{
		OperationID: "confirm-totp", Method: http.MethodPost, Path: "/api/auth/totp/confirm",
		Summary: "Put the second factor in force by a code of the app", Tags: tags,
	}, s.confirmTOTP)
	route(s, signedIn().afresh(), huma.Operation{
		OperationID: "remove-totp", Method: http.MethodDelete, Path: "/api/auth/totp", DefaultStatus: http.StatusNoContent,
		Summary: "Remove the second factor, and end all sessions", Tags: tags,
	}, s.removeTOTP)
	route(s, signedIn().afresh(), huma.Operation{
		OperationID: "replace-recovery-codes", Method: http.MethodPost, Path: "/api/auth/totp/recovery-codes", DefaultStatus: http.StatusCreated,
		Summary: "Get new recovery codes, in place of the old ones", Tags: tags,
	}, s.replaceRecoveryCodes)
}

func (s *Server) enrolTOTP(ctx context.Context, _ *struct{}) (*enrolledOutput, error) {
	secret, url, err := s.cfg.People.EnrolTOTP(ctx, callerOf(ctx))
	if err != nil {
		return nil, err
	}
	out := &enrolledOutput{}
	out.Body.Secret, out.Body.URL = secret, url
	return out, nil
}

func (s *Server) confirmTOTP(ctx context.Context, in *confirmTOTPInput) (*recoveryCodesOutput, error) {
	return showRecoveryCodes(s.cfg.People.ConfirmTOTP(ctx, callerOf(ctx), in.Body.OTP))
}

func (s *Server) removeTOTP(ctx context.Context, _ *struct{}) (*struct{}, error) {
	return nil, s.cfg.People.RemoveTOTP(ctx, callerOf(ctx))
}

func (s *Server) replaceRecoveryCodes(ctx context.Context, _ *struct{}) (*recoveryCodesOutput, error) {
	return showRecoveryCodes(s.cfg.People.ReplaceRecoveryCodes(ctx, callerOf(ctx)))
}

func showRecoveryCodes(codes []string, err error) (*recoveryCodesOutput, error) {
	if err != nil {
		return nil, err
	}
	out := &recoveryCodesOutput{}
	out.Body.RecoveryCodes = codes
	return out, nil
}
