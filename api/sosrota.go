package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// SOSStep is a step of the on-call rota.
type SOSStep struct {
	Channel fleet.Channel `json:"channel" enum:"console,push,sms,voice,mail"`
	UserID  fleet.UserID  `json:"user_id" format:"uuid" doc:"A dispatcher or an admin, who can acknowledge"`
	Since   time.Time     `json:"since,omitzero" required:"false" doc:"On call from then on; absent: always"`
	Until   time.Time     `json:"until,omitzero" required:"false" doc:"And until then; absent: for good"`
}

type rotaBody struct {
	Steps []SOSStep `json:"steps" maxItems:"100" nullable:"false" doc:"In the order in which they are called, 30 seconds after each other, over and over until somebody acknowledges"`
}

type rotaInput struct{ Body rotaBody }

type rotaOutput struct{ Body rotaBody }

func (s *Server) addSOSRota() {
	tags := []string{"sos"}
	route(s, ops(), huma.Operation{
		OperationID: "get-sos-rota", Method: http.MethodGet, Path: "/api/sos/rota",
		Summary: "Who is called, in order, until somebody sees to an SOS", Tags: tags,
	}, s.getRota)
	route(s, admins(), huma.Operation{
		OperationID: "set-sos-rota", Method: http.MethodPut, Path: "/api/sos/rota",
		Summary: "Put a rota in the place of the one there is", Tags: tags,
	}, s.setRota)
}

func (s *Server) getRota(ctx context.Context, _ *struct{}) (*rotaOutput, error) {
	steps, err := s.cfg.Safety.Rota(ctx)
	if err != nil {
		return nil, err
	}
	out := &rotaOutput{Body: rotaBody{Steps: make([]SOSStep, len(steps))}}
	for i, step := range steps {
		out.Body.Steps[i] = SOSStep{Channel: step.Channel, UserID: step.User, Since: step.Since, Until: step.Until}
	}
	return out, nil
}

func (s *Server) setRota(ctx context.Context, in *rotaInput) (*rotaOutput, error) {
	steps := make([]fleet.SOSStep, len(in.Body.Steps))
	for i, step := range in.Body.Steps {
		steps[i] = fleet.SOSStep{Channel: step.Channel, User: step.UserID, Since: step.Since, Until: step.Until}
	}
	if err := s.cfg.Safety.SetRota(ctx, steps); err != nil {
		return nil, err
	}
	return s.getRota(ctx, nil)
}
