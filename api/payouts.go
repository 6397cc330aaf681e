package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// Payouts is how an officer is paid what they earn from now on.
type Payouts struct {
	PaidBy  fleet.Payout `json:"paid_by" enum:"payroll,transfer" doc:"Transfer: by Stripe, once an assignment is over and paid for"`
	Status  string       `json:"status" enum:"none,onboarding,ready" doc:"Of the officer's account at Stripe: none was asked for; Stripe wants to know more of them; it may pay them"`
	Changed time.Time    `json:"changed_at,omitzero"`
}

type payoutsOutput struct{ Body Payouts }

type onboardingOutput struct {
	Body struct {
		URL     string    `json:"url" doc:"Stripe's own page, for a browser. It is good once: ask for another when it is not any more"`
		Expires time.Time `json:"expires_at"`
	}
}

type driverPayoutsInput struct {
	ID fleet.DriverID `path:"id" format:"uuid"`
}

func (s *Server) addPayouts() {
	tags := []string{"earnings"}
	route(s, only(fleet.RoleDriver), huma.Operation{
		OperationID: "get-own-payouts", Method: http.MethodGet, Path: "/api/drivers/me/payouts",
		Summary: "How you are paid what you earn from now on", Tags: tags,
	}, s.getOwnPayouts)
	route(s, only(fleet.RoleDriver).afresh().rated(costly), huma.Operation{
		OperationID: "begin-payouts", Method: http.MethodPost, Path: "/api/drivers/me/payouts",
		Summary:     "Have yourself paid by Stripe",
		Description: "Gives the address of Stripe's page on which you tell it who you are and where your money is to go; the hub learns none of it. What is earned before Stripe knows enough is paid by payroll.",
		Tags:        tags,
	}, s.beginPayouts)
	route(s, only(fleet.RoleFinance, fleet.RoleAdmin), huma.Operation{
		OperationID: "get-driver-payouts", Method: http.MethodGet, Path: "/api/drivers/{id}/payouts",
		Summary: "How an officer is paid what they earn from now on", Tags: tags,
	}, s.getDriverPayouts)
}

func showPayouts(a fleet.PayoutAccount, err error) (*payoutsOutput, error) {
	shown := Payouts{PaidBy: fleet.ByPayroll, Status: "none", Changed: a.Changed}
	switch {
	case fleet.CodeOf(err) == fleet.CodeNotFound:
	case err != nil:
		return nil, err
	case a.Ready:
		shown.PaidBy, shown.Status = fleet.ByTransfer, "ready"
	default:
		shown.Status = "onboarding"
	}
	return &payoutsOutput{Body: shown}, nil
}

func (s *Server) getOwnPayouts(ctx context.Context, _ *struct{}) (*payoutsOutput, error) {
	cashier, err := s.cashier()
	if err != nil {
		return nil, err
	}
	return showPayouts(cashier.PayoutAccount(ctx, callerOf(ctx).User))
}

func (s *Server) beginPayouts(ctx context.Context, _ *struct{}) (*onboardingOutput, error) {
	cashier, err := s.cashier()
	if err != nil {
		return nil, err
	}
	page, err := cashier.Onboard(ctx, callerOf(ctx).User)
	if err != nil {
		return nil, err
	}
	out := &onboardingOutput{}
	out.Body.URL, out.Body.Expires = page.URL, page.Expires
	return out, nil
}

func (s *Server) getDriverPayouts(ctx context.Context, in *driverPayoutsInput) (*payoutsOutput, error) {
	cashier, err := s.cashier()
	if err != nil {
		return nil, err
	}
	if _, err := s.tables.drivers.Get(ctx, in.ID); err != nil {
		return nil, err
	}
	return showPayouts(cashier.PayoutAccountOf(ctx, in.ID))
}
