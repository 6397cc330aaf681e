package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"armora/dispatch"
	"armora/fleet"
)

// BookingPath names a booking in a path.
type BookingPath struct {
	ID fleet.BookingID `path:"id" format:"uuid"`
}

type bookingOutput struct {
	ETag string `header:"ETag"`
	Body Booking
}

type createdBookingOutput struct {
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     Booking
}

// aboutBookings may see a booking if they are about it, or, as ops, its principal
// may be seen by them.
func aboutBookings() access {
	return only(fleet.RoleRider, fleet.RoleDriver, fleet.RoleDispatcher, fleet.RoleAdmin)
}

func (s *Server) addBookings() {
	tags := []string{"assignments"}
	route(s, principals(), huma.Operation{
		OperationID: "create-booking", Method: http.MethodPost, Path: "/api/bookings", DefaultStatus: http.StatusCreated,
		Summary:     "Book an assignment, now or for a time: a quote, or an order at the price of now",
		Description: "A quote is booked once. The time on the wall is kept with its zone: one that the clocks show twice is the earlier, or with fold 1 the later; one that they leave out is refused with the next that they show.",
		Tags:        tags,
	}, s.createBooking)
	route(s, ops(), huma.Operation{
		OperationID: "list-bookings", Method: http.MethodGet, Path: "/api/bookings",
		Summary: "List assignments, the newest first; that is entered in the audit log", Tags: tags,
	}, s.listBookings)
	route(s, only(fleet.RoleRider, fleet.RoleDriver), huma.Operation{
		OperationID: "list-own-bookings", Method: http.MethodGet, Path: "/api/bookings/history",
		Summary: "List one's own assignments, the newest first: as principal, or as officer", Tags: tags,
	}, s.listOwnBookings)
	route(s, aboutBookings(), huma.Operation{
		OperationID: "get-booking", Method: http.MethodGet, Path: "/api/bookings/{id}",
		Summary:     "Get an assignment, as far as one may see it",
		Description: "From acceptance to a day after the end, principal and officers see each other's name, photo and where to reach each other; before and after, neither does.",
		Tags:        tags,
	}, s.getBooking)
	route(s, aboutBookings(), huma.Operation{
		OperationID: "list-booking-events", Method: http.MethodGet, Path: "/api/bookings/{id}/events",
		Summary: "What has happened to an assignment, in order", Tags: tags,
	}, s.listBookingEvents)
	route(s, only(fleet.RoleRider, fleet.RoleDriver), huma.Operation{
		OperationID: "get-booking-photo", Method: http.MethodGet, Path: "/api/bookings/{id}/photos/{file}",
		Summary: "Download the photo of somebody whom one sees in an assignment", Tags: tags,
	}, s.getBookingPhoto)
	s.addBookingChanges(tags)
}

func (s *Server) createBooking(ctx context.Context, in *struct{ Body NewBooking }) (*createdBookingOutput, error) {
	user, body := callerOf(ctx).User, &in.Body
	var v dispatch.View
	var err error
	if !body.QuoteID.IsZero() {
		if !body.bare() {
			return nil, &fleet.Error{Code: fleet.CodeInvalid, Message: "with a quote_id the order is the quote's: notes, discretion and vehicle alone may be added"}
		}
		d := body.OrderDetails
		v, err = s.cfg.Desk.BookQuote(ctx, user, body.QuoteID, dispatch.Details{
			Notes: d.Notes, Discretion: d.Discretion, Vehicle: d.Vehicle, Account: body.Account.account(),
		})
	} else {
		order, wrong := body.order()
		if wrong != nil {
			return nil, wrong
		}
		request := order.request()
		request.Account = body.Account.account()
		v, err = s.cfg.Desk.Book(ctx, user, request)
	}
	out, err := shownBooking(v, err)
	if err != nil {
		return nil, err
	}
	return &createdBookingOutput{Location: "/api/bookings/" + v.ID.String(), ETag: out.ETag, Body: out.Body}, nil
}

// shownBooking is the answer of what ends in a booking.
func shownBooking(v dispatch.View, err error) (*bookingOutput, error) {
	if err != nil {
		return nil, err
	}
	b, err := showBooking(v)
	return &bookingOutput{ETag: etag(v.Version), Body: b}, err
}

// readerOf says as whom the caller looks at bookings.
func readerOf(ctx context.Context) dispatch.Reader {
	caller := callerOf(ctx)
	return dispatch.Reader{User: caller.User, Ops: caller.Has(fleet.RoleDispatcher, fleet.RoleAdmin)}
}

// seen is shownBooking of what the caller sees, which is recorded of ops.
func (s *Server) seen(ctx context.Context, v dispatch.View, err error) (*bookingOutput, error) {
	if err == nil && v.As == dispatch.AsOps {
		err = s.audited(ctx, "read_booking", "booking/"+v.ID.String(), []fleet.UserID{v.Booking.User}, nil)
	}
	return shownBooking(v, err)
}

func (s *Server) getBooking(ctx context.Context, in *BookingPath) (*bookingOutput, error) {
	v, err := s.cfg.Desk.Read(ctx, readerOf(ctx), in.ID)
	return s.seen(ctx, v, err)
}

type getPhotoInput struct {
	BookingPath
	File fleet.FileID `path:"file" format:"uuid"`
}

func (s *Server) getBookingPhoto(ctx context.Context, in *getPhotoInput) (*huma.StreamResponse, error) {
	v, err := s.cfg.Desk.Read(ctx, dispatch.Reader{User: callerOf(ctx).User}, in.ID)
	if err != nil {
		return nil, err
	}
	if !v.Shows(in.File) {
		return nil, &fleet.Error{Code: fleet.CodeNotFound, Message: "no such photo"}
	}
	return s.sendFile(ctx, in.File, []fleet.FilePurpose{fleet.AvatarFile})
}
