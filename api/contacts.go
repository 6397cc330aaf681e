package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

type askEmailInput struct {
	Body struct {
		Email string `json:"email" maxLength:"254"`
	}
}

type askPhoneInput struct {
	Body struct {
		Phone string `json:"phone" maxLength:"16" example:"+442071838750" doc:"E.164"`
	}
}

type contactCodeInput struct {
	Body struct {
		Code string `json:"code" minLength:"6" maxLength:"6"`
	}
}

func (s *Server) addContacts() {
	tags := []string{"contacts"}
	route(s, signedIn().afresh(), huma.Operation{
		OperationID: "ask-email", Method: http.MethodPost, Path: "/api/users/me/email", DefaultStatus: http.StatusAccepted,
		Summary: "Ask for another e-mail address; a code comes to it", Tags: tags,
	}, s.askEmail)
	route(s, signedIn().afresh(), huma.Operation{
		OperationID: "change-email", Method: http.MethodPost, Path: "/api/users/me/email/verify",
		Summary: "Put the address in force by the code that came to it; the old one is told", Tags: tags,
	}, s.changeEmail)
	route(s, signedIn().afresh(), huma.Operation{
		OperationID: "ask-phone", Method: http.MethodPost, Path: "/api/users/me/phone", DefaultStatus: http.StatusAccepted,
		Summary: "Ask for another telephone number; a code comes to it by text message", Tags: tags,
	}, s.askPhone)
	route(s, signedIn().afresh(), huma.Operation{
		OperationID: "change-phone", Method: http.MethodPost, Path: "/api/users/me/phone/verify",
		Summary: "Put the number in force by the code that came to it", Tags: tags,
	}, s.changePhone)
}

func (s *Server) askEmail(ctx context.Context, in *askEmailInput) (*toldOutput, error) {
	if err := s.cfg.People.AskEmail(ctx, callerOf(ctx), in.Body.Email); err != nil {
		return nil, err
	}
	return told("check the mail at the new address"), nil
}

func (s *Server) changeEmail(ctx context.Context, in *contactCodeInput) (*meOutput, error) {
	if err := s.cfg.People.ChangeEmail(ctx, callerOf(ctx), in.Body.Code, sourceOf(ctx).Address); err != nil {
		return nil, err
	}
	return s.getMe(ctx, nil)
}

func (s *Server) askPhone(ctx context.Context, in *askPhoneInput) (*toldOutput, error) {
	if err := s.cfg.People.AskPhone(ctx, callerOf(ctx), in.Body.Phone); err != nil {
		return nil, err
	}
	return told("check your text messages"), nil
}

func (s *Server) changePhone(ctx context.Context, in *contactCodeInput) (*meOutput, error) {
	if err := s.cfg.People.ChangePhone(ctx, callerOf(ctx), in.Body.Code, sourceOf(ctx).Address); err != nil {
		return nil, err
	}
	return s.getMe(ctx, nil)
}
