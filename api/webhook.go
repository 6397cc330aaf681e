package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

type stripeWebhookInput struct {
	Signature string `header:"Stripe-Signature" maxLength:"4096" doc:"Stripe's, of the body and the time"`
	RawBody   []byte `contentType:"application/json" doc:"The event, byte for byte as it was signed"`
}

func (s *Server) addWebhook() {
	route(s, anyone(), huma.Operation{
		OperationID: "stripe-webhook", Method: http.MethodPost, Path: "/api/payments/webhook",
		Summary: "Hear what Stripe tells",
		Description: "For Stripe alone: the event is signed with the webhook's secret, at most five minutes ago. The answer means that it is stored; " +
			"what it tells of is then read from Stripe anew.",
		Tags: []string{"payments"}, DefaultStatus: http.StatusOK,
		SkipValidateBody: true, // it is bytes until the signature fits
	}, s.hearStripe)
}

func (s *Server) hearStripe(ctx context.Context, in *stripeWebhookInput) (*struct{}, error) {
	if s.cfg.Feed == nil {
		return nil, refusal(http.StatusNotFound, codeNoPayments, "this hub has no webhook of Stripe's")
	}
	return nil, s.cfg.Feed.Take(ctx, in.RawBody, in.Signature)
}
