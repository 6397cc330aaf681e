package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"armora/dispatch"
	"armora/fleet"
)

type assignInput struct {
	Body struct {
		BookingID fleet.BookingID `json:"booking_id" format:"uuid"`
		DriverID  fleet.DriverID  `json:"driver_id" format:"uuid"`
		Seat      int             `json:"seat,omitempty" minimum:"1" maximum:"10" doc:"Its number, 1 being the lead's; absent: the first that nobody has"`
		Reason    string          `json:"reason" minLength:"3" maxLength:"500"`
	}
}

type assignOutput struct {
	Body struct {
		BookingID fleet.BookingID     `json:"booking_id" format:"uuid"`
		Status    fleet.BookingStatus `json:"status"`
		Version   int64               `json:"version"`
	}
}

func (s *Server) addAssign() {
	route(s, ops(), huma.Operation{
		OperationID: "assign-driver", Method: http.MethodPost, Path: "/api/drivers/assign",
		Summary: "Give a seat of a booking to an officer by hand",
		Description: "Open offers of the seat are withdrawn with it, and whoever had it is released. An officer who may not work, " +
			"or whose time is taken, is a conflict.",
		Tags: []string{"drivers"},
	}, s.assignDriver)
}

func (s *Server) assignDriver(ctx context.Context, in *assignInput) (*assignOutput, error) {
	b, err := s.cfg.Engine.Assign(ctx, dispatch.ByHand{
		Booking: in.Body.BookingID, Driver: in.Body.DriverID, Seat: in.Body.Seat, Reason: in.Body.Reason,
		By: fleet.Actor{Kind: fleet.ByOps, User: callerOf(ctx).User},
	})
	if err != nil {
		return nil, err
	}
	out := &assignOutput{}
	out.Body.BookingID, out.Body.Status, out.Body.Version = b.ID, b.Status, b.Version
	return out, nil
}
