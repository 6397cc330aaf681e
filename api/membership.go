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

// Joining is a membership and what has to be done for it.
type Joining struct {
	Membership
	ClientSecret string      `json:"client_secret,omitempty" doc:"With which the client's card form confirms the payment, or with set_up_card the setup intent"`
	NextAction   *NextAction `json:"next_action,omitempty" doc:"Absent: there is nothing to do"`
	Code         string      `json:"code,omitempty" doc:"Why the card was refused: card_declined"`
}

type membershipOutput struct{ Body Membership }

type joiningOutput struct{ Body Joining }

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
		Summary: "Become a member, paying by a card that is kept",
		Description: "Who was never a member before begins with a trial, if there is one. What is quoted from then on is quoted as to a member; what is booked keeps its price. " +
			"Where the bank asks, or the card is refused, the membership is incomplete for 23 hours, and next_action says what to do. " +
			"Asked again, also of a later period that is past due, it is tried once more, by another card if one is named.",
		Tags: tags,
	}, s.join)
	route(s, own, huma.Operation{
		OperationID: "leave", Method: http.MethodDelete, Path: "/api/users/membership", Summary: "End your membership with the period that is paid for, or at once", Tags: tags,
	}, s.leave)
}

func showMembership(m fleet.Membership) Membership {
	return Membership{ID: m.ID, State: m.State, Member: m.Entitled(), Until: m.Until, Cancelling: m.Cancelling, CreatedAt: m.Created}
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
	return &membershipOutput{Body: showMembership(m)}, err
}

func (s *Server) join(ctx context.Context, in *joinInput) (*joiningOutput, error) {
	if err := s.noMembership(); err != nil {
		return nil, err
	}
	j, err := s.cfg.Members.Join(ctx, callerOf(ctx).User, in.Body.Method)
	out := &joiningOutput{Body: Joining{Membership: showMembership(j.Membership), ClientSecret: j.ClientSecret, Code: j.Code}}
	if j.NextAction != "" {
		out.Body.NextAction = &NextAction{Type: j.NextAction, URL: j.URL}
	}
	return out, err
}

type leaveInput struct {
	Now bool `query:"now" doc:"At once, in place of with the period that is paid for; nothing is given back"`
}

func (s *Server) leave(ctx context.Context, in *leaveInput) (*membershipOutput, error) {
	if err := s.noMembership(); err != nil {
		return nil, err
	}
	m, err := s.cfg.Members.Leave(ctx, callerOf(ctx).User, in.Now)
	return &membershipOutput{Body: showMembership(m)}, err
}
