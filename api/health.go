package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// Check is one thing that must hold for the hub to be ready.
type Check struct {
	Name string
	// Ready fails with what is missing. Only the message of a fleet.Error is
	// shown, since everybody may ask.
	Ready func(context.Context) error
	// Warning says that the hub is ready all the same: somebody should see to it.
	Warning bool
}

// checkTimeout bounds each check: a probe that hangs is worse than one that
// fails.
const checkTimeout = 2 * time.Second

type healthOutput struct {
	Body struct {
		Status string `json:"status" example:"ok"`
	}
}

type readyOutput struct {
	Status int
	Body   readiness
}

type readiness struct {
	Status string            `json:"status" enum:"ready,unready"`
	Checks map[string]string `json:"checks" doc:"Each check's name with ok, what is missing, or a warning"`
}

func (s *Server) addHealth() {
	route(s, anyone().rated(unlimited), huma.Operation{
		OperationID: "get-health", Method: http.MethodGet, Path: "/healthz",
		Summary: "Whether the process runs", Tags: []string{"health"},
	}, func(context.Context, *struct{}) (*healthOutput, error) {
		out := &healthOutput{}
		out.Body.Status = "ok"
		return out, nil
	})
	route(s, anyone().rated(unlimited), huma.Operation{
		OperationID: "get-ready", Method: http.MethodGet, Path: "/readyz",
		Summary: "Whether the hub can do its work; 503 and the reason when not", Tags: []string{"health"},
	}, s.ready)
}

func (s *Server) ready(ctx context.Context, _ *struct{}) (*readyOutput, error) {
	out := &readyOutput{Status: http.StatusOK, Body: readiness{Status: "ready", Checks: map[string]string{}}}
	for _, check := range s.cfg.Checks {
		out.Body.Checks[check.Name] = "ok"
		err := runCheck(ctx, check)
		switch {
		case err != nil && check.Warning:
			out.Body.Checks[check.Name] = "warning: " + publicReason(err)
		case err != nil:
			s.log.Warn("the hub is not ready", "check", check.Name, "error", err)
			out.Status, out.Body.Status = http.StatusServiceUnavailable, "unready"
			out.Body.Checks[check.Name] = publicReason(err)
		}
	}
	return out, nil
}

func runCheck(ctx context.Context, check Check) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return check.Ready(ctx)
}

func publicReason(err error) string {
	if e, ok := errors.AsType[*fleet.Error](err); ok {
		return e.Message
	}
	return "not ready; see the log"
}

// keySetOutput is the key set as account writes it.
type keySetOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         any
}

func (s *Server) addKeySet() {
	route(s, anyone().rated(unlimited), huma.Operation{
		OperationID: "get-jwks", Method: http.MethodGet, Path: "/.well-known/jwks.json",
		Summary: "The public keys of the hub's tokens, as a JSON Web Key Set", Tags: []string{"health"},
	}, func(context.Context, *struct{}) (*keySetOutput, error) {
		return &keySetOutput{CacheControl: "public, max-age=300", Body: s.cfg.Keys.JWKS()}, nil
	})
}
