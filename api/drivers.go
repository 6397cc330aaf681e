package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
	"armora/live"
)

// Driver is a protection officer as the API shows it.
type Driver struct {
	ID   fleet.DriverID `json:"id" format:"uuid"`
	Name string         `json:"name"`
	Tier fleet.Tier     `json:"tier" enum:"essential,executive,shadow,client_vehicle"`
}

func showDriver(d fleet.Driver) Driver { return Driver{ID: d.ID, Name: d.Name, Tier: d.Tier} }

type createDriverInput struct {
	Body struct {
		Name string     `json:"name" minLength:"1" maxLength:"200"`
		Tier fleet.Tier `json:"tier" enum:"essential,executive,shadow,client_vehicle"`
	}
}

type driverOutput struct{ Body Driver }

func (s *Server) addDrivers() {
	route(s, admins(), huma.Operation{
		OperationID: "create-driver", Method: http.MethodPost, Path: "/api/drivers", DefaultStatus: http.StatusCreated,
		Summary: "Add a protection officer", Tags: []string{"drivers"},
	}, s.createDriver)
	route(s, ops(), huma.Operation{
		OperationID: "list-drivers", Method: http.MethodGet, Path: "/api/drivers",
		Summary: "List protection officers", Tags: []string{"drivers"},
	}, s.listDrivers)
}

func (s *Server) createDriver(ctx context.Context, in *createDriverInput) (*driverOutput, error) {
	d := fleet.Driver{ID: fleet.NewID[fleet.Driver](), Name: in.Body.Name, Tier: in.Body.Tier}
	if err := s.tables.drivers.Create(ctx, d); err != nil {
		return nil, err
	}
	s.cfg.Map.Describe(fleet.Unit(d.ID), live.ClassOf(d.Tier), 0)
	return &driverOutput{Body: showDriver(d)}, nil
}

func (s *Server) listDrivers(ctx context.Context, in *PageQuery) (*pageOutput[Driver], error) {
	var after fleet.DriverID
	if err := readCursor(in.Cursor, &after); err != nil {
		return nil, err
	}
	rows, err := s.tables.drivers.List(ctx, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return newPage(rows, in.Limit, showDriver, func(d fleet.Driver) any { return d.ID })
}
