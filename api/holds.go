package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// Hold is a legal hold as the API shows it.
type Hold struct {
	ID         fleet.HoldID   `json:"id" format:"uuid"`
	UserID     fleet.UserID   `json:"user_id,omitzero" format:"uuid" doc:"Whose data is kept; absent: a device's"`
	DeviceID   fleet.DeviceID `json:"device_id,omitzero" format:"uuid"`
	From       time.Time      `json:"from" doc:"Of the points that are kept"`
	To         time.Time      `json:"to,omitzero" doc:"Absent: no end"`
	Reason     string         `json:"reason"`
	PlacedBy   string         `json:"placed_by"`
	PlacedAt   time.Time      `json:"placed_at"`
	ReleasedBy string         `json:"released_by,omitempty"`
	ReleasedAt time.Time      `json:"released_at,omitzero" doc:"Absent: it stands"`
}

func showHold(h fleet.Hold) Hold {
	return Hold{
		ID: h.ID, UserID: h.User, DeviceID: h.Device, From: h.From.UTC(), To: h.To, Reason: h.Reason,
		PlacedBy: h.PlacedBy, PlacedAt: h.Placed.UTC(), ReleasedBy: h.ReleasedBy, ReleasedAt: h.Released,
	}
}

type placeHoldInput struct {
	Body struct {
		UserID   fleet.UserID   `json:"user_id,omitzero" format:"uuid" doc:"This, or device_id"`
		DeviceID fleet.DeviceID `json:"device_id,omitzero" format:"uuid"`
		From     time.Time      `json:"from" doc:"Of the points to be kept"`
		To       time.Time      `json:"to,omitzero" doc:"Absent: no end"`
		Reason   string         `json:"reason" minLength:"1" maxLength:"1000"`
	}
}

type holdPath struct {
	ID fleet.HoldID `path:"id" format:"uuid"`
}

type holdOutput struct{ Body Hold }

func (s *Server) addHolds() {
	tags := []string{"privacy"}
	compliance := only(fleet.RoleCompliance)
	route(s, compliance, huma.Operation{
		OperationID: "place-hold", Method: http.MethodPost, Path: "/api/holds", DefaultStatus: http.StatusCreated,
		Summary: "Keep what is known of a person or a device from being deleted", Tags: tags,
	}, s.placeHold)
	route(s, compliance, huma.Operation{
		OperationID: "list-holds", Method: http.MethodGet, Path: "/api/holds",
		Summary: "List legal holds, the newest first, those that were released too", Tags: tags,
	}, s.listHolds)
	route(s, compliance, huma.Operation{
		OperationID: "release-hold", Method: http.MethodDelete, Path: "/api/holds/{id}", DefaultStatus: http.StatusNoContent,
		Summary: "Release a hold: what it kept is deleted when its time is over", Tags: tags,
	}, s.releaseHold)
}

func (s *Server) placeHold(ctx context.Context, in *placeHoldInput) (*holdOutput, error) {
	b := &in.Body
	switch {
	case b.UserID.IsZero() == b.DeviceID.IsZero():
		return nil, outOfRange("a hold is about either a user or a device")
	case b.From.Year() < 1970 || b.From.Year() > 2261 || b.To.Year() > 2261:
		return nil, outOfRange("the range is not within the years 1970 to 2261")
	case !b.To.IsZero() && !b.From.Before(b.To):
		return nil, outOfRange("from is not before to")
	}
	h := fleet.Hold{
		ID: fleet.NewID[fleet.Hold](), User: b.UserID, Device: b.DeviceID, From: b.From, To: b.To, Reason: b.Reason,
		PlacedBy: callerOf(ctx).Name, Placed: s.clock.Now(),
	}
	return &holdOutput{Body: showHold(h)}, s.tables.holds.Place(ctx, callerOf(ctx).User, h)
}

func (s *Server) listHolds(ctx context.Context, in *PageQuery) (*pageOutput[Hold], error) {
	var before fleet.HoldID
	if err := readCursor(in.Cursor, &before); err != nil {
		return nil, err
	}
	rows, err := s.tables.holds.List(ctx, callerOf(ctx).User, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return newPage(rows, in.Limit, showHold, func(h fleet.Hold) any { return h.ID })
}

func (s *Server) releaseHold(ctx context.Context, in *holdPath) (*struct{}, error) {
	caller := callerOf(ctx)
	return nil, s.tables.holds.Release(ctx, caller.User, in.ID, caller.Name, s.clock.Now())
}
