package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// Card is one that Stripe keeps for a principal.
type Card struct {
	ID        fleet.PaymentMethodID `json:"id" format:"uuid"`
	Brand     string                `json:"brand" doc:"visa"`
	Last4     string                `json:"last4"`
	ExpMonth  int                   `json:"exp_month"`
	ExpYear   int                   `json:"exp_year"`
	Preferred bool                  `json:"preferred" doc:"What is paid without asking is paid by it"`
	CreatedAt time.Time             `json:"created_at"`
}

func showCard(m fleet.PaymentMethod) Card {
	return Card{ID: m.ID, Brand: m.Brand, Last4: m.Last4, ExpMonth: m.ExpMonth, ExpYear: m.ExpYear, Preferred: m.Preferred, CreatedAt: m.Created}
}

type cardPath struct {
	ID fleet.PaymentMethodID `path:"id" format:"uuid"`
}

type cardsOutput struct {
	Body struct {
		Items []Card `json:"items"`
	}
}

type setupOutput struct {
	Body struct {
		SetupID      fleet.CardSetupID `json:"setup_id" format:"uuid"`
		ClientSecret string            `json:"client_secret" doc:"With which the client's card form keeps a card: of a setup intent"`
	}
}

type stripeOutput struct {
	Body struct {
		PublishableKey string `json:"publishable_key" doc:"By which the client's card form names this hub to Stripe"`
		Script         string `json:"script,omitempty" doc:"Address of Stripe's script, by which a web page has a card form"`
	}
}

func (s *Server) addCards(tags []string) {
	route(s, signedIn(), huma.Operation{
		OperationID: "get-payment-config", Method: http.MethodGet, Path: "/api/payments/config",
		Summary: "What a client's card form needs", Tags: tags,
	}, s.getPaymentConfig)
	route(s, principals(), huma.Operation{
		OperationID: "list-payment-methods", Method: http.MethodGet, Path: "/api/payments/methods",
		Summary: "One's own cards, the newest first", Tags: tags,
	}, s.listCards)
	route(s, principals().rated(costly), huma.Operation{
		OperationID: "add-payment-method", Method: http.MethodPost, Path: "/api/payments/methods", DefaultStatus: http.StatusCreated,
		Summary: "Begin to keep a card: the client's card form finishes it", Tags: tags,
	}, s.addCard)
	route(s, principals(), huma.Operation{
		OperationID: "prefer-payment-method", Method: http.MethodPut, Path: "/api/payments/methods/{id}/preferred",
		Summary: "Pay by this card what is paid without asking", Tags: tags,
	}, s.preferCard)
	route(s, principals(), huma.Operation{
		OperationID: "delete-payment-method", Method: http.MethodDelete, Path: "/api/payments/methods/{id}", DefaultStatus: http.StatusNoContent,
		Summary: "Have a card forgotten", Tags: tags,
	}, s.deleteCard)
}

func (s *Server) getPaymentConfig(context.Context, *struct{}) (*stripeOutput, error) {
	cashier, err := s.cashier()
	if err != nil {
		return nil, err
	}
	out := &stripeOutput{}
	out.Body.PublishableKey, out.Body.Script = cashier.PublishableKey(), cashier.Script()
	return out, nil
}

func (s *Server) listCards(ctx context.Context, _ *struct{}) (*cardsOutput, error) {
	cashier, err := s.cashier()
	if err != nil {
		return nil, err
	}
	cards, err := cashier.Methods(ctx, callerOf(ctx).User)
	out := &cardsOutput{}
	out.Body.Items = showAll(cards, showCard)
	return out, err
}

func (s *Server) addCard(ctx context.Context, _ *struct{}) (*setupOutput, error) {
	cashier, err := s.cashier()
	if err != nil {
		return nil, err
	}
	out := &setupOutput{}
	out.Body.SetupID, out.Body.ClientSecret, err = cashier.SetUp(ctx, callerOf(ctx).User)
	return out, err
}

func (s *Server) preferCard(ctx context.Context, in *cardPath) (*cardsOutput, error) {
	cashier, err := s.cashier()
	if err != nil {
		return nil, err
	}
	if err := cashier.Prefer(ctx, callerOf(ctx).User, in.ID); err != nil {
		return nil, err
	}
	return s.listCards(ctx, nil)
}

func (s *Server) deleteCard(ctx context.Context, in *cardPath) (*struct{}, error) {
	cashier, err := s.cashier()
	if err != nil {
		return nil, err
	}
	return nil, cashier.RemoveMethod(ctx, callerOf(ctx).User, in.ID)
}
