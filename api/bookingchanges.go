package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"armora/dispatch"
	"armora/fleet"
)

type cancelBookingInput struct {
	BookingPath
	IfMatch
	Body struct {
		Reason string `json:"reason,omitempty" maxLength:"500" doc:"Ops give one"`
	}
}

type waiveFeeInput struct {
	BookingPath
	IfMatch
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"500"`
	}
}

type editBookingInput struct {
	BookingPath
	IfMatch
	Body struct {
		LocalStart  *string         `json:"local_start,omitempty" maxLength:"16" pattern:"^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}$" example:"2027-03-28T10:00"`
		Zone        *string         `json:"zone,omitempty" maxLength:"60" example:"Europe/London" doc:"Absent: that of the assignment"`
		Fold        int             `json:"fold,omitempty" minimum:"0" maximum:"1"`
		Minutes     *int            `json:"minutes,omitempty" minimum:"30" maximum:"10080"`
		Destination *BookingPlace   `json:"destination,omitempty"`
		Stops       *[]BookingPlace `json:"stops,omitempty" maxItems:"10" doc:"In place of those that there are; []: none"`
		Notes       *string         `json:"notes,omitempty" maxLength:"2000"`
	}
}

type rateBookingInput struct {
	BookingPath
	Body struct {
		Stars int    `json:"stars" minimum:"1" maximum:"5"`
		Text  string `json:"text,omitempty" maxLength:"1000" doc:"For ops, and for other principals if one lets them"`
	}
}

type publishReviewInput struct {
	BookingPath
	Body struct {
		Publish bool `json:"publish"`
	}
}

func (s *Server) addBookingChanges(tags []string) {
	route(s, only(fleet.RoleRider, fleet.RoleDispatcher, fleet.RoleAdmin), huma.Operation{
		OperationID: "cancel-booking", Method: http.MethodPut, Path: "/api/bookings/{id}/cancel",
		Summary:     "Cancel an assignment before it has begun",
		Description: "By the principal at the fee of the assignment's tariff, reckoned by the hub's clock; by ops free, with a reason.",
		Tags:        tags,
	}, s.cancelBooking)
	route(s, ops(), huma.Operation{
		OperationID: "waive-booking-fee", Method: http.MethodPut, Path: "/api/bookings/{id}/waive",
		Summary: "Let a principal off the fee of a cancellation or a no-show", Tags: tags,
	}, s.waiveFee)
	route(s, principals(), huma.Operation{
		OperationID: "edit-booking", Method: http.MethodPatch, Path: "/api/bookings/{id}",
		Summary: "Change the time, the destination, the stops or the notes of an assignment; it is priced again by its own tariff",
		Description: "Officers who have accepted keep it if they have time then, or else it is 409. Put off before anybody has accepted it is scheduled again. " +
			"Once an officer has set out the time stays.",
		Tags: tags,
	}, s.editBooking)
	route(s, principals(), huma.Operation{
		OperationID: "rate-booking", Method: http.MethodPost, Path: "/api/bookings/{id}/rate",
		Summary: "Rate an assignment that is completed, once", Tags: tags,
	}, s.rateBooking)
	route(s, principals(), huma.Operation{
		OperationID: "publish-review", Method: http.MethodPut, Path: "/api/bookings/{id}/review",
		Summary:     "Let other principals read what one has said of an assignment, or no longer",
		Description: "Without one's name, by the month, and once staff have read it. What a restricted principal says is shown to nobody.",
		Tags:        tags,
	}, s.publishReview)
}

func (s *Server) cancelBooking(ctx context.Context, in *cancelBookingInput) (*bookingOutput, error) {
	version, err := in.wanted()
	if err != nil {
		return nil, err
	}
	v, err := s.cfg.Desk.Cancel(ctx, readerOf(ctx), in.ID, version, in.Body.Reason)
	return s.seen(ctx, v, err)
}

func (s *Server) waiveFee(ctx context.Context, in *waiveFeeInput) (*bookingOutput, error) {
	version, err := in.wanted()
	if err != nil {
		return nil, err
	}
	v, err := s.cfg.Desk.Waive(ctx, callerOf(ctx).User, in.ID, version, in.Body.Reason)
	return s.seen(ctx, v, err)
}

func (s *Server) editBooking(ctx context.Context, in *editBookingInput) (*bookingOutput, error) {
	version, err := in.wanted()
	if err != nil {
		return nil, err
	}
	b := &in.Body
	e := dispatch.Edit{LocalStart: b.LocalStart, Zone: b.Zone, Fold: b.Fold, Minutes: b.Minutes, Notes: b.Notes}
	if b.Destination != nil {
		e.Destination = new(fleet.Place(*b.Destination))
	}
	if b.Stops != nil {
		e.Stops = new(places(*b.Stops))
	}
	v, err := s.cfg.Desk.Edit(ctx, callerOf(ctx).User, in.ID, version, e)
	return shownBooking(v, err)
}

func (s *Server) rateBooking(ctx context.Context, in *rateBookingInput) (*bookingOutput, error) {
	v, err := s.cfg.Desk.Rate(ctx, callerOf(ctx).User, in.ID, fleet.Rating{Stars: in.Body.Stars, Text: in.Body.Text})
	return shownBooking(v, err)
}

func (s *Server) publishReview(ctx context.Context, in *publishReviewInput) (*bookingOutput, error) {
	v, err := s.cfg.Desk.Publish(ctx, callerOf(ctx).User, in.ID, in.Body.Publish)
	return shownBooking(v, err)
}
