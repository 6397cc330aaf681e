package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/account"
	"armora/fleet"
)

// User is a person as the API shows them to themselves.
type User struct {
	ID            fleet.UserID `json:"id" format:"uuid"`
	Email         string       `json:"email"`
	EmailVerified bool         `json:"email_verified"`
	Name          string       `json:"name"`
	Phone         string       `json:"phone,omitempty" doc:"E.164"`
	PhoneVerified bool         `json:"phone_verified"`
	Roles         []fleet.Role `json:"roles"`
	CreatedAt     time.Time    `json:"created_at"`
}

func showUser(u fleet.User) User {
	return User{
		ID: u.ID, Email: u.Email, EmailVerified: !u.EmailVerified.IsZero(), Name: u.Name,
		Phone: u.Phone, PhoneVerified: !u.PhoneVerified.IsZero(), Roles: u.Roles, CreatedAt: u.Created,
	}
}

type registerInput struct {
	Body struct {
		Email    string `json:"email" maxLength:"254" example:"ada@example.com"`
		Password string `json:"password" maxLength:"256" doc:"10 characters at least"`
		Name     string `json:"name,omitempty" maxLength:"200"`
	}
}

// told answers where nothing may be told.
type toldOutput struct {
	Body struct {
		Message string `json:"message"`
	}
}

func told(message string) *toldOutput {
	out := &toldOutput{}
	out.Body.Message = message
	return out
}

type verifyEmailInput struct {
	Body struct {
		Email string `json:"email" maxLength:"254"`
		Code  string `json:"code" minLength:"6" maxLength:"6" doc:"As in the mail"`
	}
}

type loginInput struct {
	Body struct {
		Email    string `json:"email" maxLength:"254"`
		Password string `json:"password" maxLength:"256"`
		OTP      string `json:"otp,omitempty" maxLength:"32" doc:"A code of the second factor, or a recovery code"`
	}
}

type refreshInput struct {
	Body struct {
		RefreshToken string `json:"refresh_token" maxLength:"128"`
	}
}

// tokens are what an app goes on with.
type tokens struct {
	AccessToken  string `json:"access_token" doc:"The bearer token of every request"`
	RefreshToken string `json:"refresh_token" doc:"Good once, for the next tokens"`
	ExpiresIn    int    `json:"expires_in" doc:"Seconds for which the access token is good"`
	TokenType    string `json:"token_type" enum:"Bearer"`
	User         User   `json:"user"`
}

type tokensOutput struct{ Body tokens }

func (s *Server) showTokens(t account.Tokens, u fleet.User, err error) (*tokensOutput, error) {
	if err != nil {
		return nil, err
	}
	return &tokensOutput{Body: tokens{
		AccessToken: t.Access, RefreshToken: t.Refresh, TokenType: "Bearer",
		ExpiresIn: int(t.Expires.Sub(s.clock.Now()).Seconds()), User: showUser(u),
	}}, nil
}

func (s *Server) addSignIn() {
	tags := []string{"sign-in"}
	route(s, anyone().rated(guessing), huma.Operation{
		OperationID: "register", Method: http.MethodPost, Path: "/api/auth/register", DefaultStatus: http.StatusAccepted,
		Summary: "Begin an account; a code comes by mail", Tags: tags,
	}, s.register)
	route(s, anyone().rated(guessing), huma.Operation{
		OperationID: "verify-email", Method: http.MethodPost, Path: "/api/auth/verify-email",
		Summary: "Put an account in force by the code that came by mail, and sign in", Tags: tags,
	}, s.verifyEmail)
	route(s, anyone().rated(guessing), huma.Operation{
		OperationID: "login", Method: http.MethodPost, Path: "/api/auth/login",
		Summary: "Sign in", Tags: tags,
	}, s.login)
	route(s, anyone(), huma.Operation{
		OperationID: "refresh", Method: http.MethodPost, Path: "/api/auth/refresh",
		Summary: "Exchange a refresh token for new tokens", Tags: tags,
	}, s.refresh)
	route(s, signedIn(), huma.Operation{
		OperationID: "get-me", Method: http.MethodGet, Path: "/api/users/me",
		Summary: "Who has signed in", Tags: tags,
	}, s.getMe)
}

func (s *Server) register(ctx context.Context, in *registerInput) (*toldOutput, error) {
	err := s.cfg.People.Register(ctx, account.Registration{
		Email: in.Body.Email, Password: in.Body.Password, Name: in.Body.Name, Peer: sourceOf(ctx).Address,
	})
	if err != nil {
		return nil, err
	}
	return told("check your mail"), nil
}

func (s *Server) verifyEmail(ctx context.Context, in *verifyEmailInput) (*tokensOutput, error) {
	return s.showTokens(s.cfg.People.VerifyEmail(ctx, in.Body.Email, in.Body.Code, sourceOf(ctx)))
}

func (s *Server) login(ctx context.Context, in *loginInput) (*tokensOutput, error) {
	return s.showTokens(s.cfg.People.Login(ctx, account.Login{
		Email: in.Body.Email, Password: in.Body.Password, OTP: in.Body.OTP,
	}, sourceOf(ctx)))
}

func (s *Server) refresh(ctx context.Context, in *refreshInput) (*tokensOutput, error) {
	t, err := s.cfg.Sessions.Refresh(ctx, in.Body.RefreshToken)
	if err != nil {
		return nil, err
	}
	u, err := s.cfg.People.Get(ctx, t.Session.User)
	return s.showTokens(t, u, err)
}

type meOutput struct{ Body User }

func (s *Server) getMe(ctx context.Context, _ *struct{}) (*meOutput, error) {
	u, err := s.cfg.People.Get(ctx, callerOf(ctx).User)
	if err != nil {
		return nil, err
	}
	return &meOutput{Body: showUser(u)}, nil
}
