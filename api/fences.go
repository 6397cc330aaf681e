package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
	"armora/live/fence"
	"armora/schema"
)

// Fences hears of fences that come and go while the hub runs.
type Fences interface {
	Put(f schema.Fence) error
	Remove(id schema.FenceID)
}

// Fence is a fence as the API shows it.
type Fence struct {
	ID             schema.FenceID  `json:"id" format:"uuid"`
	Name           string          `json:"name"`
	Shape          json.RawMessage `json:"shape" doc:"A GeoJSON Polygon, or a Circle"`
	DwellSeconds   int64           `json:"dwell_seconds" doc:"A stay of this length is told; 0: it is not"`
	ConfirmFixes   int             `json:"confirm_fixes"`
	ConfirmSeconds int64           `json:"confirm_seconds"`
	MaxAccuracy    float32         `json:"max_accuracy_m"`
	CreatedAt      time.Time       `json:"created_at"`
}

func showFence(f schema.Fence) Fence {
	return Fence{
		ID: f.ID, Name: f.Name, Shape: f.Shape, DwellSeconds: int64(f.Dwell / time.Second),
		ConfirmFixes: f.ConfirmFixes, ConfirmSeconds: int64(f.ConfirmFor / time.Second),
		MaxAccuracy: f.MaxAccuracy, CreatedAt: f.Created.UTC(),
	}
}

// FenceEvent is what a fence told, as the API shows it.
type FenceEvent struct {
	Kind   string     `json:"kind" enum:"enter,exit,dwell"`
	UnitID fleet.Unit `json:"unit_id" format:"uuid" doc:"The driver, else the vehicle, else the device"`
	At     time.Time  `json:"at" doc:"Of the fix that made it certain"`
	Since  time.Time  `json:"since" doc:"Of the first fix of the stay; for an exit, of the first fix after it"`
	Lat    float64    `json:"lat"`
	Lon    float64    `json:"lon"`
}

func showFenceEvent(e schema.FenceEvent) FenceEvent {
	return FenceEvent{Kind: e.Kind, UnitID: e.Unit, At: e.At.UTC(), Since: e.Since.UTC(), Lat: e.Lat, Lon: e.Lon}
}

// fenceEventPosition is an event's place in the list, which is by time.
type fenceEventPosition struct {
	At   time.Time  `json:"a"`
	Unit fleet.Unit `json:"u"`
	Kind string     `json:"k"`
}

// FencePath names a fence in a path.
type FencePath struct {
	ID schema.FenceID `path:"id" format:"uuid"`
}

type fencePageInput struct {
	FencePath
	PageQuery
}

type createFenceInput struct {
	Body struct {
		Name           string          `json:"name" minLength:"1" maxLength:"200"`
		Shape          json.RawMessage `json:"shape" doc:"A GeoJSON Polygon of one outer ring and holes, 2000 vertices at most, or {\"type\": \"Circle\", \"coordinates\": [lon, lat], \"radius_m\": 1 to 200000}"`
		DwellSeconds   int64           `json:"dwell_seconds,omitempty" minimum:"0" maximum:"2592000" doc:"Tell of a stay of this length, once; 0 or absent: do not"`
		ConfirmFixes   *int            `json:"confirm_fixes,omitempty" minimum:"1" maximum:"100" doc:"A crossing takes so many consecutive fixes on the other side; 2 if absent"`
		ConfirmSeconds *int64          `json:"confirm_seconds,omitempty" minimum:"0" maximum:"3600" doc:"And so much time from the first of them to the last; 10 if absent"`
		MaxAccuracy    *float32        `json:"max_accuracy_m,omitempty" minimum:"1" maximum:"100000" doc:"A fix that is less accurate neither confirms nor denies a crossing; 50 if absent"`
	}
}

type createdFenceOutput struct {
	Location string `header:"Location"`
	Body     Fence
}

type fenceOutput struct{ Body Fence }

func (s *Server) addFences() {
	route(s, admins(), huma.Operation{
		OperationID: "create-fence", Method: http.MethodPost, Path: "/api/fences", DefaultStatus: http.StatusCreated,
		Summary: "Watch a place", Tags: []string{"fences"},
	}, s.createFence)
	route(s, ops(), huma.Operation{
		OperationID: "list-fences", Method: http.MethodGet, Path: "/api/fences",
		Summary: "List fences, the oldest first", Tags: []string{"fences"},
	}, s.listFences)
	route(s, ops(), huma.Operation{
		OperationID: "get-fence", Method: http.MethodGet, Path: "/api/fences/{id}",
		Summary: "Get a fence", Tags: []string{"fences"},
	}, s.getFence)
	route(s, admins(), huma.Operation{
		OperationID: "delete-fence", Method: http.MethodDelete, Path: "/api/fences/{id}", DefaultStatus: http.StatusNoContent,
		Summary: "Delete a fence with all its events", Tags: []string{"fences"},
	}, s.deleteFence)
	route(s, ops(), huma.Operation{
		OperationID: "list-fence-events", Method: http.MethodGet, Path: "/api/fences/{id}/events",
		Summary: "List who entered, left or stayed, the latest first", Tags: []string{"fences"},
	}, s.listFenceEvents)
}

func (s *Server) createFence(ctx context.Context, in *createFenceInput) (*createdFenceOutput, error) {
	shape, err := readShape(in.Body.Shape)
	if err != nil {
		return nil, err
	}
	confirm := fence.DefaultConfirm()
	f := schema.Fence{
		ID: fleet.NewID[schema.Fence](), Name: in.Body.Name, Shape: shape, Created: s.clock.Now(),
		Dwell:        time.Duration(in.Body.DwellSeconds) * time.Second,
		ConfirmFixes: orElse(in.Body.ConfirmFixes, confirm.Fixes),
		ConfirmFor:   time.Duration(orElse(in.Body.ConfirmSeconds, int64(confirm.For/time.Second))) * time.Second,
		MaxAccuracy:  orElse(in.Body.MaxAccuracy, fence.DefaultMaxAccuracy),
	}
	if err := s.tables.fences.Create(ctx, f); err != nil {
		return nil, err
	}
	if s.cfg.Fences != nil {
		if err := s.cfg.Fences.Put(f); err != nil {
			return nil, err
		}
	}
	return &createdFenceOutput{Location: "/api/fences/" + f.ID.String(), Body: showFence(f)}, nil
}

// readShape checks a shape and returns it in its one spelling. What is wrong
// with it has a code of its own: fence_ and the flaw.
func readShape(text json.RawMessage) (json.RawMessage, error) {
	var shape fence.Shape
	err := shape.UnmarshalJSON(text)
	if flawed, ok := errors.AsType[*fence.ShapeError](err); ok {
		return nil, &Problem{
			Title: http.StatusText(http.StatusUnprocessableEntity), Status: http.StatusUnprocessableEntity,
			Code: fleet.Code("fence_" + flawed.Flaw), Detail: flawed.Detail,
			Errors: []Flaw{{Location: "body.shape", Message: flawed.Detail}},
		}
	}
	if err != nil {
		return nil, err
	}
	return shape.MarshalJSON()
}

func orElse[T any](given *T, otherwise T) T {
	if given == nil {
		return otherwise
	}
	return *given
}

func (s *Server) listFences(ctx context.Context, in *PageQuery) (*pageOutput[Fence], error) {
	var after schema.FenceID
	if err := readCursor(in.Cursor, &after); err != nil {
		return nil, err
	}
	rows, err := s.tables.fences.List(ctx, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return newPage(rows, in.Limit, showFence, func(f schema.Fence) any { return f.ID })
}

func (s *Server) getFence(ctx context.Context, in *FencePath) (*fenceOutput, error) {
	f, err := s.tables.fences.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &fenceOutput{Body: showFence(f)}, nil
}

func (s *Server) deleteFence(ctx context.Context, in *FencePath) (*struct{}, error) {
	if err := s.tables.fences.Delete(ctx, in.ID); err != nil {
		return nil, err
	}
	if s.cfg.Fences != nil {
		s.cfg.Fences.Remove(in.ID)
	}
	return nil, nil
}

func (s *Server) listFenceEvents(ctx context.Context, in *fencePageInput) (*pageOutput[FenceEvent], error) {
	var before fenceEventPosition
	if err := readCursor(in.Cursor, &before); err != nil {
		return nil, err
	}
	if _, err := s.tables.fences.Get(ctx, in.ID); err != nil {
		return nil, err
	}
	last := schema.FenceEvent{At: before.At, Unit: before.Unit, Kind: before.Kind}
	rows, err := s.tables.fences.Events(ctx, callerOf(ctx).User, in.ID, last, in.Limit+1)
	if err != nil {
		return nil, err
	}
	units := make([]fleet.Unit, len(rows))
	for i := range rows {
		units[i] = rows[i].Unit
	}
	if err := s.auditedUnits(ctx, readTrack, "fence/"+in.ID.String(), units); err != nil {
		return nil, err
	}
	return newPage(rows, in.Limit, showFenceEvent, func(e schema.FenceEvent) any {
		return fenceEventPosition{At: e.At, Unit: e.Unit, Kind: e.Kind}
	})
}
