package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"armora/tariff"
)

type tariffOutput struct {
	ETag string `header:"ETag"`
	Body tariff.Table
}

type putTariffInput struct {
	IfMatch
	Body tariff.Table
}

func (s *Server) addTariff() {
	tags := []string{"tariff"}
	route(s, signedIn(), huma.Operation{
		OperationID: "get-tariff", Method: http.MethodGet, Path: "/api/tariff",
		Summary: "What everything costs now", Tags: tags,
	}, s.getTariff)
	route(s, ops().afresh(), huma.Operation{
		OperationID: "put-tariff", Method: http.MethodPut, Path: "/api/tariff",
		Summary:     "Set what everything costs from now on",
		Description: "Quotes and assignments that there are keep theirs. It is the next version, whatever it calls itself.",
		Tags:        tags,
	}, s.putTariff)
}

func (s *Server) getTariff(ctx context.Context, _ *struct{}) (*tariffOutput, error) {
	table, err := s.cfg.Desk.Tariff(ctx)
	return &tariffOutput{ETag: etag(int64(table.Version)), Body: table}, err
}

func (s *Server) putTariff(ctx context.Context, in *putTariffInput) (*tariffOutput, error) {
	version, err := in.wanted()
	if err != nil {
		return nil, err
	}
	table, err := s.cfg.Desk.SetTariff(ctx, callerOf(ctx).User, version, in.Body)
	return &tariffOutput{ETag: etag(int64(table.Version)), Body: table}, err
}
