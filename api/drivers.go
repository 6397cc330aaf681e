package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// Driver is a protection officer as the API shows it.
type Driver struct {
	ID     fleet.DriverID `json:"id" format:"uuid"`
	Name   string         `json:"name"`
	Tier   fleet.Tier     `json:"tier" enum:"essential,executive,shadow,client_vehicle" doc:"The main one"`
	UserID fleet.UserID   `json:"user_id,omitzero" format:"uuid" doc:"As whom they sign in"`
}

func showDriver(d fleet.Driver) Driver {
	return Driver{ID: d.ID, Name: d.Name, Tier: d.Tier, UserID: d.User}
}

// DriverProfile is all that is said of a protection officer.
type DriverProfile struct {
	Driver
	Tiers    []fleet.Tier      `json:"tiers" doc:"Beyond the main one"`
	Coverage []json.RawMessage `json:"coverage" doc:"Where they work: GeoJSON Polygons and Circles"`
	Personal
}

// Personal is what a protection officer says of themselves.
type Personal struct {
	Languages []string     `json:"languages,omitempty" maxItems:"20" doc:"BCP 47: en, fr-CA"`
	Gender    fleet.Gender `json:"gender,omitempty" enum:",female,male,other"`
	Bio       string       `json:"bio,omitempty" maxLength:"2000"`
	PhotoID   fleet.FileID `json:"photo_id,omitzero" format:"uuid" doc:"An avatar of POST /api/files"`
}

func showProfile(p fleet.DriverProfile) DriverProfile {
	shown := DriverProfile{
		Driver: showDriver(p.Driver), Tiers: p.Tiers, Coverage: p.Coverage,
		Personal: Personal{Languages: p.Languages, Gender: p.Gender, Bio: p.Bio, PhotoID: p.Photo},
	}
	if shown.Tiers == nil {
		shown.Tiers = []fleet.Tier{}
	}
	if shown.Coverage == nil {
		shown.Coverage = []json.RawMessage{}
	}
	return shown
}

// DriverPath names a driver in a path.
type DriverPath struct {
	ID fleet.DriverID `path:"id" format:"uuid"`
}

type createDriverInput struct {
	Body struct {
		Name   string       `json:"name" minLength:"1" maxLength:"200"`
		Tier   fleet.Tier   `json:"tier" enum:"essential,executive,shadow,client_vehicle"`
		UserID fleet.UserID `json:"user_id,omitzero" format:"uuid" doc:"As whom they sign in: a user with the driver role"`
	}
}

type changeDriverInput struct {
	DriverPath
	Body struct {
		Name     string            `json:"name" minLength:"1" maxLength:"200"`
		Tier     fleet.Tier        `json:"tier" enum:"essential,executive,shadow,client_vehicle" doc:"The main one"`
		Tiers    []fleet.Tier      `json:"tiers,omitempty" maxItems:"4" enum:"essential,executive,shadow,client_vehicle" doc:"Beyond the main one"`
		Coverage []json.RawMessage `json:"coverage,omitempty" maxItems:"20" doc:"Where they work: GeoJSON Polygons, or {\"type\": \"Circle\", \"coordinates\": [lon, lat], \"radius_m\": 1 to 200000}; none: everywhere"`
		UserID   fleet.UserID      `json:"user_id,omitzero" format:"uuid" doc:"As whom they sign in: a user with the driver role"`
	}
}

type (
	driverOutput        struct{ Body Driver }
	driverProfileOutput struct{ Body DriverProfile }
)

// Reason is why somebody is not fit to work.
type Reason struct {
	Kind       fleet.DocumentKind `json:"kind,omitempty" doc:"Of the document that does not count, or is not there"`
	Flaw       fleet.Defect       `json:"flaw" enum:"missing,unverified,expired,rejected,suspended,revoked,account"`
	DocumentID fleet.DocumentID   `json:"document_id,omitzero" format:"uuid"`
	VehicleID  fleet.VehicleID    `json:"vehicle_id,omitzero" format:"uuid" doc:"The car that it is about"`
}

type fitnessOutput struct {
	Body struct {
		Fit     bool     `json:"fit"`
		Reasons []Reason `json:"reasons" doc:"Why not; empty if fit"`
	}
}

// seesDrivers may see all that is known of officers.
func seesDrivers() access {
	return only(fleet.RoleDispatcher, fleet.RoleCompliance, fleet.RoleAdmin)
}

// vetsDrivers may decide who is fit to work, and for what.
func vetsDrivers() access { return only(fleet.RoleCompliance, fleet.RoleAdmin) }

func (s *Server) addDrivers() {
	route(s, admins(), huma.Operation{
		OperationID: "create-driver", Method: http.MethodPost, Path: "/api/drivers", DefaultStatus: http.StatusCreated,
		Summary: "Add a protection officer", Tags: []string{"drivers"},
	}, s.createDriver)
	route(s, ops(), huma.Operation{
		OperationID: "list-drivers", Method: http.MethodGet, Path: "/api/drivers",
		Summary: "List protection officers", Tags: []string{"drivers"},
	}, s.listDrivers)
	route(s, seesDrivers(), huma.Operation{
		OperationID: "get-driver", Method: http.MethodGet, Path: "/api/drivers/{id}",
		Summary: "Get all that is said of a protection officer", Tags: []string{"drivers"},
	}, s.getDriver)
	route(s, vetsDrivers(), huma.Operation{
		OperationID: "change-driver", Method: http.MethodPut, Path: "/api/drivers/{id}",
		Summary: "Set what staff say of a protection officer; nobody does of themselves", Tags: []string{"drivers"},
	}, s.changeDriver)
	route(s, seesDrivers(), huma.Operation{
		OperationID: "get-driver-fitness", Method: http.MethodGet, Path: "/api/drivers/{id}/fitness",
		Summary: "Whether a protection officer may be offered work now, and why not", Tags: []string{"drivers"},
	}, s.getFitness)
	route(s, only(fleet.RoleDriver, fleet.RoleDispatcher, fleet.RoleAdmin), huma.Operation{
		OperationID: "set-driver-duty", Method: http.MethodPut, Path: "/api/drivers/{id}/duty", DefaultStatus: http.StatusNoContent,
		Summary:     "Go on duty, on a break or off duty; of somebody else, by ops",
		Description: "The phone of an officer with an account is followed on duty and on breaks, and not off duty.",
		Tags:        []string{"drivers"},
	}, s.setDuty)
}

func (s *Server) createDriver(ctx context.Context, in *createDriverInput) (*driverOutput, error) {
	d, err := s.cfg.Officers.Add(ctx, in.Body.Name, in.Body.Tier, in.Body.UserID)
	if err != nil {
		return nil, err
	}
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

func (s *Server) getDriver(ctx context.Context, in *DriverPath) (*driverProfileOutput, error) {
	p, err := s.tables.drivers.Profile(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &driverProfileOutput{Body: showProfile(p)}, nil
}

func (s *Server) changeDriver(ctx context.Context, in *changeDriverInput) (*driverProfileOutput, error) {
	p := fleet.DriverProfile{
		Driver: fleet.Driver{ID: in.ID, Name: in.Body.Name, Tier: in.Body.Tier, User: in.Body.UserID},
		Tiers:  in.Body.Tiers, Coverage: make([]json.RawMessage, len(in.Body.Coverage)),
	}
	for i, shape := range in.Body.Coverage {
		var err error
		if p.Coverage[i], err = readShape(shape); err != nil {
			return nil, err
		}
	}
	if err := s.cfg.Officers.Change(ctx, callerOf(ctx).User, &p); err != nil {
		return nil, err
	}
	return s.getDriver(ctx, &in.DriverPath)
}

func (s *Server) getFitness(ctx context.Context, in *DriverPath) (*fitnessOutput, error) {
	reasons, err := s.cfg.Officers.Fitness(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := &fitnessOutput{}
	out.Body.Fit, out.Body.Reasons = len(reasons) == 0, make([]Reason, 0, len(reasons))
	for _, r := range reasons {
		out.Body.Reasons = append(out.Body.Reasons, Reason{Kind: r.Kind, Flaw: r.Defect, DocumentID: r.Document, VehicleID: r.Vehicle})
	}
	return out, nil
}

type dutyInput struct {
	DriverPath
	Body struct {
		Duty fleet.Duty `json:"duty" enum:"on_duty,break,off_duty"`
	}
}

func (s *Server) setDuty(ctx context.Context, in *dutyInput) (*struct{}, error) {
	caller := callerOf(ctx)
	if !caller.Has(fleet.RoleDispatcher, fleet.RoleAdmin) {
		own, err := s.tables.drivers.Own(ctx, caller.User)
		if err != nil {
			return nil, err
		}
		if own.ID != in.ID {
			return nil, &fleet.Error{Code: fleet.CodeNotFound, Message: "no such driver"}
		}
	}
	return nil, s.cfg.Officers.SetDuty(ctx, in.ID, in.Body.Duty)
}
