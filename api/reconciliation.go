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
}

type reconciliationOutput struct{ Body Reconciliation }

func (s *Server) addReconciliation() {
	route(s, only(fleet.RoleFinance, fleet.RoleAdmin), huma.Operation{
		OperationID: "get-reconciliation", Method: http.MethodGet, Path: "/api/payments/reconciliation",
		Summary:     "Where the ledger and Stripe's own book differ",
		Description: "They are compared every hour. What the hub has missed it makes good by itself; what is shown for longer somebody has to look at.",
		Tags:        []string{"payments"},
	}, s.getReconciliation)
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
		shown.Differences[i] = Difference{Transaction: d.Transaction, Type: d.Type, Source: d.Source, Posting: d.Key, Stripe: d.Stripe, Ledger: d.Ledger, At: d.At}
	}
	return &reconciliationOutput{Body: shown}, nil
}
