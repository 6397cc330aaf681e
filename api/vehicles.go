package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// Vehicle is a vehicle as the API shows it.
type Vehicle struct {
	ID           fleet.VehicleID `json:"id" format:"uuid"`
	Registration string          `json:"registration"`
	DriverID     fleet.DriverID  `json:"driver_id,omitzero" format:"uuid" doc:"Who drives it now"`
}

func showVehicle(v fleet.Vehicle) Vehicle {
	return Vehicle{ID: v.ID, Registration: v.Registration, DriverID: v.Driver}
}

type createVehicleInput struct {
	Body struct {
		Registration string         `json:"registration" minLength:"1" maxLength:"20"`
		DriverID     fleet.DriverID `json:"driver_id,omitzero" format:"uuid" doc:"Who drives it now"`
	}
}

type vehicleOutput struct{ Body Vehicle }

func (s *Server) addVehicles() {
	route(s, admins(), huma.Operation{
		OperationID: "create-vehicle", Method: http.MethodPost, Path: "/api/vehicles", DefaultStatus: http.StatusCreated,
		Summary: "Add a vehicle", Tags: []string{"vehicles"},
	}, s.createVehicle)
	route(s, ops(), huma.Operation{
		OperationID: "list-vehicles", Method: http.MethodGet, Path: "/api/vehicles",
		Summary: "List vehicles", Tags: []string{"vehicles"},
	}, s.listVehicles)
}

func (s *Server) createVehicle(ctx context.Context, in *createVehicleInput) (*vehicleOutput, error) {
	v := fleet.Vehicle{ID: fleet.NewID[fleet.Vehicle](), Registration: in.Body.Registration, Driver: in.Body.DriverID}
	if err := s.cfg.Officers.AddVehicle(ctx, v); err != nil {
		return nil, err
	}
	return &vehicleOutput{Body: showVehicle(v)}, nil
}

func (s *Server) listVehicles(ctx context.Context, in *PageQuery) (*pageOutput[Vehicle], error) {
	var after fleet.VehicleID
	if err := readCursor(in.Cursor, &after); err != nil {
		return nil, err
	}
	rows, err := s.tables.vehicles.List(ctx, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return newPage(rows, in.Limit, showVehicle, func(v fleet.Vehicle) any { return v.ID })
}
