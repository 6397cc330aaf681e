package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// Binding is what a device reported for, and when.
type Binding struct {
	DriverID  fleet.DriverID  `json:"driver_id,omitzero" format:"uuid"`
	VehicleID fleet.VehicleID `json:"vehicle_id,omitzero" format:"uuid"`
	UserID    fleet.UserID    `json:"user_id,omitzero" format:"uuid" doc:"Who had enrolled it by signing in"`
	From      time.Time       `json:"from"`
	To        time.Time       `json:"to,omitzero" doc:"Absent: still"`
}

// Assignment is who drove a vehicle, and when.
type Assignment struct {
	DriverID fleet.DriverID `json:"driver_id" format:"uuid"`
	From     time.Time      `json:"from"`
	To       time.Time      `json:"to,omitzero" doc:"Absent: still"`
}

// historyLimit is how many entries of a history are shown.
const historyLimit = 1000

type bindInput struct {
	DevicePath
	Body struct {
		DriverID  fleet.DriverID  `json:"driver_id,omitzero" format:"uuid" doc:"Whose phone it is"`
		VehicleID fleet.VehicleID `json:"vehicle_id,omitzero" format:"uuid" doc:"The car that the tracker is fixed to"`
	}
}

type assignVehicleInput struct {
	VehiclePath
	Body struct {
		DriverID fleet.DriverID `json:"driver_id,omitzero" format:"uuid" doc:"Who drives it from now on; absent: nobody"`
	}
}

type bindingsOutput struct {
	Body struct {
		Items []Binding `json:"items" doc:"The latest first"`
	}
}

type assignmentsOutput struct {
	Body struct {
		Items []Assignment `json:"items" doc:"The latest first"`
	}
}

func (s *Server) addBindings() {
	route(s, ops(), huma.Operation{
		OperationID: "bind-device", Method: http.MethodPut, Path: "/api/devices/{id}/binding", DefaultStatus: http.StatusNoContent,
		Summary:     "Bind a phone to a driver, a tracker to a vehicle, or either to nothing",
		Description: "Its live connections end, and it comes back as what it is now.",
		Tags:        []string{"devices"},
	}, s.bindDevice)
	route(s, ops(), huma.Operation{
		OperationID: "list-device-bindings", Method: http.MethodGet, Path: "/api/devices/{id}/bindings",
		Summary: "List what a device reported for, and when", Tags: []string{"devices"},
	}, s.listBindings)
	route(s, ops(), huma.Operation{
		OperationID: "assign-vehicle", Method: http.MethodPut, Path: "/api/vehicles/{id}/driver", DefaultStatus: http.StatusNoContent,
		Summary: "Say who drives a vehicle from now on", Tags: []string{"vehicles"},
	}, s.assignVehicle)
	route(s, ops(), huma.Operation{
		OperationID: "list-vehicle-drivers", Method: http.MethodGet, Path: "/api/vehicles/{id}/drivers",
		Summary: "List who drove a vehicle, and when", Tags: []string{"vehicles"},
	}, s.listAssignments)
}

func (s *Server) bindDevice(ctx context.Context, in *bindInput) (*struct{}, error) {
	if _, err := s.device(ctx, in.ID); err != nil {
		return nil, err
	}
	return nil, s.cfg.Devices.Bind(ctx, in.ID, in.Body.DriverID, in.Body.VehicleID)
}

func (s *Server) listBindings(ctx context.Context, in *DevicePath) (*bindingsOutput, error) {
	if _, err := s.device(ctx, in.ID); err != nil {
		return nil, err
	}
	bindings, err := s.tables.devices.Bindings(ctx, in.ID, historyLimit)
	if err != nil {
		return nil, err
	}
	out := &bindingsOutput{}
	out.Body.Items = make([]Binding, len(bindings))
	for i, b := range bindings {
		out.Body.Items[i] = Binding{DriverID: b.Driver, VehicleID: b.Vehicle, UserID: b.User, From: b.From, To: b.To}
	}
	return out, nil
}

func (s *Server) assignVehicle(ctx context.Context, in *assignVehicleInput) (*struct{}, error) {
	return nil, s.cfg.Officers.Assign(ctx, in.ID, in.Body.DriverID)
}

func (s *Server) listAssignments(ctx context.Context, in *VehiclePath) (*assignmentsOutput, error) {
	if _, err := s.tables.vehicles.Get(ctx, in.ID); err != nil {
		return nil, err
	}
	history, err := s.tables.vehicles.Assignments(ctx, in.ID, historyLimit)
	if err != nil {
		return nil, err
	}
	out := &assignmentsOutput{}
	out.Body.Items = make([]Assignment, len(history))
	for i, a := range history {
		out.Body.Items[i] = Assignment{DriverID: a.Driver, From: a.From, To: a.To}
	}
	return out, nil
}
