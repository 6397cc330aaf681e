package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// Approval is what takes a second person.
type Approval struct {
	ID        fleet.ApprovalID   `json:"id" format:"uuid"`
	Kind      fleet.ApprovalKind `json:"kind" enum:"roles,audit_log,refund"`
	Subject   string             `json:"subject,omitempty" doc:"What it is about: for roles, the user's id; for a refund, the payment's"`
	Payload   json.RawMessage    `json:"payload,omitempty" doc:"What is to happen: for roles, from and to; for a refund, booking, payment and amount"`
	Reason    string             `json:"reason"`
	AskedBy   fleet.UserID       `json:"asked_by,omitzero" format:"uuid" doc:"Absent: the bootstrap admin"`
	AskedAt   time.Time          `json:"asked_at"`
	DecidedBy fleet.UserID       `json:"decided_by,omitzero" format:"uuid"`
	DecidedAt time.Time          `json:"decided_at,omitzero"`
	Outcome   fleet.Outcome      `json:"outcome,omitempty" enum:"approved,rejected" doc:"Absent: it waits"`
	ExpiresAt time.Time          `json:"expires_at" doc:"Until then it can be decided; once approved, what it permits can be done"`
}

func showApproval(a fleet.Approval) Approval {
	return Approval{
		ID: a.ID, Kind: a.Kind, Subject: a.Subject, Payload: a.Payload, Reason: a.Reason,
		AskedBy: a.AskedBy, AskedAt: a.Asked.UTC(), DecidedBy: a.DecidedBy, DecidedAt: utcOrZero(a.Decided),
		Outcome: a.Outcome, ExpiresAt: a.Expires.UTC(),
	}
}

type approvalPath struct {
	ID fleet.ApprovalID `path:"id" format:"uuid"`
}

type askApprovalInput struct {
	Body struct {
		Kind    fleet.ApprovalKind `json:"kind" enum:"audit_log" doc:"Other kinds are asked for where they are done"`
		Subject string             `json:"subject,omitempty" maxLength:"200" doc:"What it is about"`
		Reason  string             `json:"reason" minLength:"1" maxLength:"1000"`
	}
}

type listApprovalsInput struct {
	PageQuery
	Waiting bool `query:"waiting" doc:"Only those that nobody has decided"`
}

type approvalOutput struct{ Body Approval }

func (s *Server) addApprovals() {
	tags := []string{"approvals"}
	deciders := only(fleet.RoleAdmin, fleet.RoleCompliance, fleet.RoleFinance)
	route(s, only(fleet.RoleAdmin, fleet.RoleCompliance, fleet.RoleDispatcher), huma.Operation{
		OperationID: "ask-approval", Method: http.MethodPost, Path: "/api/approvals", DefaultStatus: http.StatusCreated,
		Summary: "Ask a second person to permit something", Tags: tags,
	}, s.askApproval)
	route(s, only(fleet.RoleAdmin, fleet.RoleCompliance, fleet.RoleFinance, fleet.RoleDispatcher), huma.Operation{
		OperationID: "list-approvals", Method: http.MethodGet, Path: "/api/approvals",
		Summary: "List what you have asked for and what you may decide, the newest first", Tags: tags,
	}, s.listApprovals)
	route(s, deciders.afresh(), huma.Operation{
		OperationID: "approve", Method: http.MethodPost, Path: "/api/approvals/{id}/approve",
		Summary: "Agree to what somebody else has asked for, and have it done", Tags: tags,
	}, s.approve)
	route(s, deciders, huma.Operation{
		OperationID: "reject", Method: http.MethodPost, Path: "/api/approvals/{id}/reject",
		Summary: "Refuse what somebody else has asked for", Tags: tags,
	}, s.reject)
}

func (s *Server) askApproval(ctx context.Context, in *askApprovalInput) (*approvalOutput, error) {
	asked, err := s.cfg.Approvals.Ask(ctx, callerOf(ctx), in.Body.Kind, in.Body.Subject, in.Body.Reason)
	return &approvalOutput{Body: showApproval(asked)}, err
}

func (s *Server) listApprovals(ctx context.Context, in *listApprovalsInput) (*pageOutput[Approval], error) {
	var before fleet.ApprovalID
	if err := readCursor(in.Cursor, &before); err != nil {
		return nil, err
	}
	rows, err := s.cfg.Approvals.List(ctx, callerOf(ctx), in.Waiting, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return newPage(rows, in.Limit, showApproval, func(a fleet.Approval) any { return a.ID })
}

func (s *Server) approve(ctx context.Context, in *approvalPath) (*approvalOutput, error) {
	return s.decide(ctx, in.ID, fleet.OutcomeApproved)
}

func (s *Server) reject(ctx context.Context, in *approvalPath) (*approvalOutput, error) {
	return s.decide(ctx, in.ID, fleet.OutcomeRejected)
}

func (s *Server) decide(ctx context.Context, id fleet.ApprovalID, outcome fleet.Outcome) (*approvalOutput, error) {
	decided, err := s.cfg.Approvals.Decide(ctx, callerOf(ctx), id, outcome)
	return &approvalOutput{Body: showApproval(decided)}, err
}
