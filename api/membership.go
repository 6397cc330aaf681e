package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// Membership is a subscription by which a principal pays as a member.
type Membership struct {
	ID         fleet.MembershipID    `json:"id" format:"uuid"`
	State      fleet.MembershipState `json:"state" enum:"new,incomplete,trialing,active,past_due,ended"`
	Member     bool                  `json:"member" doc:"Whether what is quoted now is quoted as to a member"`
	Until      time.Time             `json:"until,omitzero" doc:"When the period that is paid for, or the trial, ends"`
	Cancelling bool                  `json:"cancelling" doc:"It ends then"`
	CreatedAt  time.Time             `json:"created_at"`
}

type membershipOutput struct{ Body Membership }

type joinInput struct {
	Body struct {
		Method fleet.PaymentMethodID `json:"payment_method_id,omitzero" format:"uuid" doc:"A card that is kept; absent: the preferred one"`
	}
}

func (s *Server) addMembership() {
	tags, own := []string{"membership"}, only(fleet.RoleRider)
	route(s, own, huma.Operation{
		OperationID: "get-membership", Method: http.MethodGet, Path: "/api/users/membership", Summary: "Your membership", Tags: tags,
	}, s.getMembership)
	route(s, own, huma.Operation{
		OperationID: "join", Method: http.MethodPost, Path: "/api/users/membership", DefaultStatus: http.StatusCreated,
		Summary:     "Become a member, paying by a card that is kept",
		Description: "Who was never a member before begins with a trial, if there is one. What is quoted from now on is quoted as to a member; what is booked keeps its price.",
		Tags:        tags,
	}, s.join)
	route(s, own, huma.Operation{
		OperationID: "leave", Method: http.MethodDelete, Path: "/api/users/membership", Summary: "End your membership with the period that is paid for", Tags: tags,
	}, s.leave)
}

func showMembership(m fleet.Membership) *membershipOutput {
	return &membershipOutput{Body: Membership{
		ID: m.ID, State: m.State, Member: m.Entitled(), Until: m.Until, Cancelling: m.Cancelling, CreatedAt: m.Created,
	}}
}

// noMembership is what a hub says that has no membership.
func (s *Server) noMembership() error {
	if s.cfg.Members == nil {
		return &fleet.Error{Code: fleet.CodeNotFound, Message: "there is no membership here"}
	}
	return nil
}

func (s *Server) getMembership(ctx context.Context, _ *struct{}) (*membershipOutput, error) {
	if err := s.noMembership(); err != nil {
		return nil, err
	}
	m, err := s.cfg.Members.Of(ctx, callerOf(ctx).User)
	return showMembership(m), err
}

func (s *Server) join(ctx context.Context, in *joinInput) (*membershipOutput, error) {
	if err := s.noMembership(); err != nil {
		return nil, err
	}
	m, err := s.cfg.Members.Join(ctx, callerOf(ctx).User, in.Body.Method)
	return showMembership(m), err
}

func (s *Server) leave(ctx context.Context, _ *struct{}) (*membershipOutput, error) {
	if err := s.noMembership(); err != nil {
		return nil, err
	}
	m, err := s.cfg.Members.Leave(ctx, callerOf(ctx).User)
	return showMembership(m), err
}
