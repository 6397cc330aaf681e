package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

type positionOutput struct{ Body Point }

func (s *Server) addPosition() {
	route(s, ops(), huma.Operation{
		OperationID: "get-device-position", Method: http.MethodGet, Path: "/api/devices/{id}/position",
		Summary: "The newest good position of a device", Tags: []string{"devices"},
	}, s.getPosition)
}

func (s *Server) getPosition(ctx context.Context, in *DevicePath) (*positionOutput, error) {
	if _, err := s.device(ctx, in.ID); err != nil {
		return nil, err
	}
	last, err := s.tables.points.Last(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := s.auditedDevice(ctx, readLocation, in.ID, last.Fix.Time(), s.clock.Now()); err != nil {
		return nil, err
	}
	return &positionOutput{Body: showPoint(last)}, nil
}
