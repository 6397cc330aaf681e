package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// Reconciliation is how the ledger and Stripe's book about our balance stand.
type Reconciliation struct {
	CheckedAt   time.Time    `json:"checked_at,omitzero" doc:"When Stripe's book was read last; absent: never"`
	Stripe      fleet.Money  `json:"stripe" doc:"Our balance by Stripe's book, as far as it was read"`
	Ledger      fleet.Money  `json:"ledger" doc:"Our balance at Stripe by the ledger"`
	Differences []Difference `json:"differences" doc:"Of the last 35 days, the newest first, at most 100"`
}

// Difference is where the two do not agree.
type Difference struct {
	Transaction string      `json:"transaction,omitempty" doc:"Stripe's balance transaction; absent: Stripe knows nothing of what the ledger says"`
	Type        string      `json:"type,omitempty" doc:"In Stripe's words: charge, refund, adjustment"`
	Source      string      `json:"source,omitempty" doc:"Stripe's object that it is about"`
	Posting     string      `json:"posting,omitempty" doc:"Key of the ledger's posting; absent: there is none"`
	Stripe      fleet.Money `json:"stripe" doc:"What Stripe says, its fees taken off"`
	Ledger      fleet.Money `json:"ledger" doc:"What the ledger says"`
	At          time.Time   `json:"at"`

	Known *KnownDifference `json:"known,omitempty" doc:"Somebody knows why, and a second person has to say the same"`
}

// KnownDifference is a difference of which finance knows why it is there.
type KnownDifference struct {
	Line     string        `json:"line"`
	Amount   fleet.Money   `json:"amount" doc:"By which Stripe has more than the ledger"`
	Reason   string        `json:"reason"`
	Account  fleet.Account `json:"account,omitempty" doc:"Of the ledger, which its correction is posted to"`
	SaidBy   fleet.UserID  `json:"said_by,omitzero" format:"uuid"`
	SaidAt   time.Time     `json:"said_at"`
	AgreedBy fleet.UserID  `json:"agreed_by,omitzero" format:"uuid"`
	AgreedAt time.Time     `json:"agreed_at,omitzero" doc:"Absent: a second person is waited for"`
}

func showKnown(k *fleet.KnownDifference) *KnownDifference {
	if k == nil {
		return nil
	}
	return &KnownDifference{
		Line: k.Line, Amount: k.Amount, Reason: k.Reason, Account: k.Account, SaidBy: k.SaidBy, SaidAt: k.Said, AgreedBy: k.AgreedBy, AgreedAt: k.Agreed,
	}
}

type reconciliationOutput struct{ Body Reconciliation }

func (s *Server) addReconciliation() {
	route(s, only(fleet.RoleFinance, fleet.RoleAdmin), huma.Operation{
		OperationID: "get-reconciliation", Method: http.MethodGet, Path: "/api/payments/reconciliation",
		Summary:     "Where the ledger and Stripe's own book differ",
		Description: "They are compared every hour. What the hub has missed it makes good by itself; what is shown for longer somebody has to look at.",
		Tags:        []string{"payments"},
	}, s.getReconciliation)
	route(s, only(fleet.RoleFinance, fleet.RoleAdmin).afresh(), huma.Operation{
		OperationID: "know-difference", Method: http.MethodPost, Path: "/api/payments/reconciliation/known",
		Summary: "Say why the books differ, so that it is not reported again",
		Description: "It is known for the amount that it is of. With an account the hub posts the correction. " +
			"More than the caller may refund waits until a second person says the same.",
		Tags: []string{"payments"},
	}, s.knowDifference)
}

type knowDifferenceInput struct {
	Body struct {
		Line    string        `json:"line" minLength:"1" maxLength:"200" doc:"The difference's transaction or, where there is none, its posting"`
		Reason  string        `json:"reason" minLength:"1" maxLength:"500"`
		Account fleet.Account `json:"account,omitempty" enum:"fees,bank,disputes,written_off" doc:"Where the ledger is corrected; absent: it is right"`
	}
}

func (s *Server) knowDifference(ctx context.Context, in *knowDifferenceInput) (*struct{ Body KnownDifference }, error) {
	if s.cfg.Books == nil {
		return nil, refusal(http.StatusNotFound, codeNoPayments, "this hub takes no payments: every account is invoiced")
	}
	k, err := s.cfg.Books.Know(ctx, staffOf(ctx), in.Body.Line, in.Body.Reason, in.Body.Account)
	return &struct{ Body KnownDifference }{*showKnown(&k)}, err
}

func (s *Server) getReconciliation(ctx context.Context, _ *struct{}) (*reconciliationOutput, error) {
	if s.cfg.Books == nil {
		return nil, refusal(http.StatusNotFound, codeNoPayments, "this hub takes no payments: every account is invoiced")
	}
	r, err := s.cfg.Books.Report(ctx)
	if err != nil {
		return nil, err
	}
	shown := Reconciliation{CheckedAt: r.Checked, Stripe: r.Stripe, Ledger: r.Ledger, Differences: make([]Difference, len(r.Differences))}
	for i, d := range r.Differences {
		shown.Differences[i] = Difference{Transaction: d.Transaction, Type: d.Type, Source: d.Source, Posting: d.Key, Stripe: d.Stripe, Ledger: d.Ledger, At: d.At, Known: showKnown(d.Known)}
	}
	return &reconciliationOutput{Body: shown}, nil
}
