package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// Event is an event as the API shows it.
type Event struct {
	ID         fleet.ID[fleet.Event] `json:"id" format:"uuid"`
	Kind       string                `json:"kind"`
	At         time.Time             `json:"at" doc:"By the device's clock"`
	ReceivedAt time.Time             `json:"received_at"`
	Body       json.RawMessage       `json:"body,omitempty"`
}

func showEvent(e fleet.Event) Event {
	return Event{ID: e.ID, Kind: e.Kind, At: e.At.UTC(), ReceivedAt: e.Received.UTC(), Body: e.Body}
}

// eventPosition is an event's place in the list, which is by time of receipt.
type eventPosition struct {
	Received time.Time             `json:"r"`
	ID       fleet.ID[fleet.Event] `json:"i"`
}

// Status is the last that a device said about itself.
type Status struct {
	Online     bool      `json:"online"`
	Battery    *float32  `json:"battery,omitempty" doc:"0 to 1; absent if not said"`
	AppVersion string    `json:"app_version,omitempty"`
	ReceivedAt time.Time `json:"received_at"`
}

type statusOutput struct{ Body Status }

// addReports adds what devices say besides where they are.
func (s *Server) addReports() {
	route(s, ops(), huma.Operation{
		OperationID: "list-device-events", Method: http.MethodGet, Path: "/api/devices/{id}/events",
		Summary: "List what happened at a device, the latest first", Tags: []string{"devices"},
	}, s.listEvents)
	route(s, ops(), huma.Operation{
		OperationID: "get-device-status", Method: http.MethodGet, Path: "/api/devices/{id}/status",
		Summary: "The last that a device said about itself", Tags: []string{"devices"},
	}, s.getStatus)
}

func (s *Server) listEvents(ctx context.Context, in *devicePageInput) (*pageOutput[Event], error) {
	var before eventPosition
	if err := readCursor(in.Cursor, &before); err != nil {
		return nil, err
	}
	if _, err := s.device(ctx, in.ID); err != nil {
		return nil, err
	}
	rows, err := s.tables.events.List(ctx, in.ID, fleet.Event{ID: before.ID, Received: before.Received}, in.Limit+1)
	if err != nil {
		return nil, err
	}
	if len(rows) > 0 {
		if err := s.auditedDevice(ctx, readTrack, in.ID, rows[len(rows)-1].Received, rows[0].Received); err != nil {
			return nil, err
		}
	}
	return newPage(rows, in.Limit, showEvent, func(e fleet.Event) any {
		return eventPosition{Received: e.Received, ID: e.ID}
	})
}

func (s *Server) getStatus(ctx context.Context, in *DevicePath) (*statusOutput, error) {
	if _, err := s.device(ctx, in.ID); err != nil {
		return nil, err
	}
	said, err := s.tables.devices.Status(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &statusOutput{Body: Status{
		Online: said.Online, Battery: known(said.Battery), AppVersion: said.App, ReceivedAt: said.Received.UTC(),
	}}, nil
}

// known leaves an unknown measurement out of the JSON, where NaN cannot be.
func known(v float32) *float32 {
	if !fleet.Known(v) {
		return nil
	}
	return &v
}
