package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// Command is a command as the API shows it.
type Command struct {
	Seq       int64           `json:"seq"`
	Kind      string          `json:"kind"`
	Body      json.RawMessage `json:"body,omitempty"`
	CreatedAt time.Time       `json:"created_at"`
	ExpiresAt time.Time       `json:"expires_at"`
	AckedAt   time.Time       `json:"acknowledged_at,omitzero" doc:"When the device acknowledged it"`
}

func showCommand(c fleet.Command) Command {
	return Command{
		Seq: c.Seq, Kind: c.Kind, Body: c.Body,
		CreatedAt: c.Created.UTC(), ExpiresAt: c.Expires.UTC(), AckedAt: utcOrZero(c.Acked),
	}
}

type sendCommandInput struct {
	DevicePath
	Body struct {
		Kind      string          `json:"kind" pattern:"^[a-z][a-z0-9_]{0,63}$"`
		Body      json.RawMessage `json:"body,omitempty" doc:"Any JSON of up to 16 KiB; the app gives it its meaning"`
		ExpiresIn int             `json:"expires_in,omitempty" minimum:"1" maximum:"604800" default:"3600" doc:"Seconds that it may wait for its device"`
	}
}

type commandOutput struct{ Body Command }

// devicePageInput are the parameters of a list that belongs to a device.
type devicePageInput struct {
	DevicePath
	PageQuery
}

func (s *Server) addCommands() {
	route(s, ops(), huma.Operation{
		OperationID: "send-device-command", Method: http.MethodPost, Path: "/api/devices/{id}/commands",
		DefaultStatus: http.StatusCreated,
		Summary:       "Queue a command; it is delivered in order, once the device is connected", Tags: []string{"commands"},
	}, s.sendCommand)
	route(s, ops(), huma.Operation{
		OperationID: "list-device-commands", Method: http.MethodGet, Path: "/api/devices/{id}/commands",
		Summary: "List a device's commands in order, whatever became of them", Tags: []string{"commands"},
	}, s.listCommands)
}

func (s *Server) sendCommand(ctx context.Context, in *sendCommandInput) (*commandOutput, error) {
	if _, err := s.device(ctx, in.ID); err != nil {
		return nil, err
	}
	sent, err := s.cfg.Commands.Send(ctx, in.ID, in.Body.Kind, in.Body.Body, time.Duration(in.Body.ExpiresIn)*time.Second)
	if err != nil {
		return nil, err
	}
	return &commandOutput{Body: showCommand(sent)}, nil
}

func (s *Server) listCommands(ctx context.Context, in *devicePageInput) (*pageOutput[Command], error) {
	var after int64
	if err := readCursor(in.Cursor, &after); err != nil {
		return nil, err
	}
	if _, err := s.device(ctx, in.ID); err != nil {
		return nil, err
	}
	rows, err := s.tables.outbox.List(ctx, in.ID, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return newPage(rows, in.Limit, showCommand, func(c fleet.Command) any { return c.Seq })
}
