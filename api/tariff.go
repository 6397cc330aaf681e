package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/dispatch"
	"armora/fleet"
	"armora/tariff"
)

// TariffEdition is a tariff with when it counts, and who set it.
type TariffEdition struct {
	Tariff tariff.Table `json:"tariff"`
	SetBy  fleet.UserID `json:"set_by,omitzero" format:"uuid" doc:"Absent: the bootstrap admin, or the tariff came with the hub"`
	SetAt  time.Time    `json:"set_at,omitzero" doc:"Absent: it came with the hub"`
}

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
	route(s, staff(), huma.Operation{
		OperationID: "list-tariffs", Method: http.MethodGet, Path: "/api/tariffs",
		Summary:     "List every edition of the tariff, the newest first",
		Description: "Those that are to come into force are among them. In force is the one whose valid_from came last; of several with the same, the newest.",
		Tags:        tags,
	}, s.listTariffs)
	route(s, only(fleet.RoleDispatcher, fleet.RoleFinance, fleet.RoleAdmin).afresh(), huma.Operation{
		OperationID: "put-tariff", Method: http.MethodPut, Path: "/api/tariff",
		Summary:     "Set what everything costs, from now on or from valid_from on",
		Description: "Quotes and assignments that there are keep theirs. It is the next version, whatever it calls itself: If-Match is of the newest, whether it is in force or to come.",
		Tags:        tags,
	}, s.putTariff)
}

func (s *Server) getTariff(ctx context.Context, _ *struct{}) (*tariffOutput, error) {
	table, err := s.cfg.Desk.Tariff(ctx)
	if err != nil {
		return nil, err
	}
	newest, err := s.cfg.Desk.Tariffs(ctx, 0, 1)
	if err != nil {
		return nil, err
	}
	return &tariffOutput{ETag: etag(int64(newest[0].Version)), Body: table}, nil
}

func (s *Server) listTariffs(ctx context.Context, in *PageQuery) (*pageOutput[TariffEdition], error) {
	before := 0
	if err := readCursor(in.Cursor, &before); err != nil {
		return nil, err
	}
	rows, err := s.cfg.Desk.Tariffs(ctx, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return newPage(rows, in.Limit, func(e dispatch.Edition) TariffEdition {
		return TariffEdition{Tariff: e.Table, SetBy: e.SetBy, SetAt: e.Since}
	}, func(e dispatch.Edition) any { return e.Version })
}

func (s *Server) putTariff(ctx context.Context, in *putTariffInput) (*tariffOutput, error) {
	version, err := in.wanted()
	if err != nil {
		return nil, err
	}
	table, err := s.cfg.Desk.SetTariff(ctx, callerOf(ctx).User, version, in.Body)
	return &tariffOutput{ETag: etag(int64(table.Version)), Body: table}, err
}
