package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// Alert is something that ops have to look at.
type Alert struct {
	ID        fleet.AlertID   `json:"id" format:"uuid"`
	Kind      fleet.AlertKind `json:"kind" enum:"unfulfilled,unplanned,late,silent,unfit,conflict,relief,sos,payment,dispute,stripe_version,books_differ,off_route,unplanned_stop,apart,speeding"`
	BookingID fleet.BookingID `json:"booking_id,omitzero" format:"uuid"`
	DriverID  fleet.DriverID  `json:"driver_id,omitzero" format:"uuid"`
	Data      json.RawMessage `json:"data,omitempty"`
	RaisedAt  time.Time       `json:"raised_at"`
	ClosedAt  time.Time       `json:"closed_at,omitzero"`
	ClosedBy  string          `json:"closed_by,omitempty" doc:"Absent: the hub, since its cause was gone"`
	Note      string          `json:"note,omitempty"`

	AcknowledgedAt time.Time `json:"acknowledged_at,omitzero"`
	AcknowledgedBy string    `json:"acknowledged_by,omitempty"`
	Steps          int       `json:"steps,omitempty" doc:"Of an automatic alarm: by how many steps ops were told of it, and called"`
}

func showAlert(a fleet.Alert) Alert {
	return Alert{ID: a.ID, Kind: a.Kind, BookingID: a.Booking, DriverID: a.Driver, Data: a.Data,
		RaisedAt: a.Raised, ClosedAt: a.Closed, ClosedBy: a.ClosedBy, Note: a.Note,
		AcknowledgedAt: a.Acked, AcknowledgedBy: a.AckedBy, Steps: a.Steps}
}

type listAlertsInput struct {
	PageQuery
	All bool `query:"all" doc:"Those that are closed as well"`
}

// AlertPath names an alert.
type AlertPath struct {
	ID fleet.AlertID `path:"id" format:"uuid"`
}

type closeAlertInput struct {
	AlertPath
	Body struct {
		Note string `json:"note" minLength:"1" maxLength:"500" doc:"What was done about it"`
	}
}

type alertOutput struct{ Body Alert }

func (s *Server) addAlerts() {
	route(s, ops(), huma.Operation{
		OperationID: "list-alerts", Method: http.MethodGet, Path: "/api/alerts",
		Summary:     "List what ops have to look at, the newest first",
		Description: "Of a restricted principal's booking, those who are not named for them are shown what is about an officer at work, without the booking.",
		Tags:        []string{"alerts"},
	}, s.listAlerts)
	route(s, ops(), huma.Operation{
		OperationID: "close-alert", Method: http.MethodPost, Path: "/api/alerts/{id}/close",
		Summary: "Say what was done about an alert", Tags: []string{"alerts"},
	}, s.closeAlert)
	route(s, ops(), huma.Operation{
		OperationID: "acknowledge-alert", Method: http.MethodPost, Path: "/api/alerts/{id}/acknowledge",
		Summary:     "Say that you see to an alert",
		Description: "Nobody else is called for it from then on. Who was first stands. The bootstrap admin is nobody in particular, and cannot. An SOS has a path of its own.",
		Tags:        []string{"alerts"},
	}, s.acknowledgeAlert)
}

func (s *Server) listAlerts(ctx context.Context, in *listAlertsInput) (*pageOutput[Alert], error) {
	var before fleet.AlertID
	if err := readCursor(in.Cursor, &before); err != nil {
		return nil, err
	}
	rows, err := s.tables.alerts.List(ctx, callerOf(ctx).User, !in.All, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return newPage(rows, in.Limit, showAlert, func(a fleet.Alert) any { return a.ID })
}

func (s *Server) closeAlert(ctx context.Context, in *closeAlertInput) (*alertOutput, error) {
	a, err := s.tables.alerts.Close(ctx, callerOf(ctx).User, in.ID, callerOf(ctx).Name, in.Body.Note, s.clock.Now())
	if err != nil {
		return nil, err
	}
	return &alertOutput{Body: showAlert(a)}, nil
}

func (s *Server) acknowledgeAlert(ctx context.Context, in *AlertPath) (*alertOutput, error) {
	user, err := opsPerson(ctx)
	if err != nil {
		return nil, err
	}
	a, err := s.tables.alerts.Acknowledge(ctx, user, in.ID, user.String(), s.clock.Now())
	if err != nil {
		return nil, err
	}
	return &alertOutput{Body: showAlert(a)}, nil
}
