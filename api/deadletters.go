package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// DeadLetter is a message that could not be understood, as the API shows it.
type DeadLetter struct {
	ID         fleet.ID[fleet.DeadLetter] `json:"id" format:"uuid"`
	DeviceID   fleet.DeviceID             `json:"device_id,omitzero" format:"uuid"`
	Topic      string                     `json:"topic"`
	Reason     string                     `json:"reason"`
	Payload    []byte                     `json:"payload" doc:"As it came, in base64"`
	ReceivedAt time.Time                  `json:"received_at"`
}

func showDeadLetter(l fleet.DeadLetter) DeadLetter {
	return DeadLetter{
		ID: l.ID, DeviceID: l.Device, Topic: l.Topic, Reason: l.Reason, Payload: l.Payload, ReceivedAt: l.Received.UTC(),
	}
}

func (s *Server) addDeadLetters() {
	route(s, ops(), huma.Operation{
		OperationID: "list-dead-letters", Method: http.MethodGet, Path: "/api/dead-letters",
		Summary: "List messages that could not be understood, the latest first", Tags: []string{"ops"},
	}, s.listDeadLetters)
}

func (s *Server) listDeadLetters(ctx context.Context, in *PageQuery) (*pageOutput[DeadLetter], error) {
	var before fleet.ID[fleet.DeadLetter]
	if err := readCursor(in.Cursor, &before); err != nil {
		return nil, err
	}
	rows, err := s.tables.deadLetters.List(ctx, callerOf(ctx).User, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	if err := s.audited(ctx, "read_dead_letters", "dead-letters", nil, nil); err != nil {
		return nil, err
	}
	return newPage(rows, in.Limit, showDeadLetter, func(l fleet.DeadLetter) any { return l.ID })
}
