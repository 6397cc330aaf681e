package api

import (
	"context"
	"encoding/json"
	"time"

	"armora/dispatch"
	"armora/fleet"
	"armora/schema"
)

type listBookingsInput struct {
	PageQuery
	Status []string  `query:"status" maxItems:"11" enum:"scheduled,searching,offered,assigned,en_route,arrived,in_progress,completed,cancelled,no_show,unfulfilled" doc:"Any of these"`
	User   string    `query:"user_id" format:"uuid" doc:"The principal"`
	Driver string    `query:"driver_id" format:"uuid" doc:"Who has, or had, a seat"`
	From   time.Time `query:"from" doc:"Starting then or later, RFC 3339"`
	To     time.Time `query:"to" doc:"Starting before this time"`
}

func (s *Server) listBookings(ctx context.Context, in *listBookingsInput) (*pageOutput[Booking], error) {
	q := schema.BookingQuery{From: in.From, To: in.To, Limit: in.Limit + 1}
	for _, status := range in.Status {
		q.Statuses = append(q.Statuses, fleet.BookingStatus(status))
	}
	err := readCursor(in.Cursor, &q.Before)
	if err == nil && in.User != "" {
		q.User, err = fleet.ParseID[fleet.User](in.User)
	}
	if err == nil && in.Driver != "" {
		q.Driver, err = fleet.ParseID[fleet.Driver](in.Driver)
	}
	if err != nil {
		return nil, &fleet.Error{Code: fleet.CodeInvalid, Message: err.Error(), Err: err}
	}
	views, err := s.cfg.Desk.List(ctx, callerOf(ctx).User, q)
	if err != nil {
		return nil, err
	}
	if len(views) > 0 {
		var people []fleet.UserID
		for i := range views[:min(len(views), in.Limit)] {
			people = append(people, views[i].Booking.User)
		}
		if err := s.audited(ctx, "read_booking", "bookings", people, nil); err != nil {
			return nil, err
		}
	}
	return bookingPage(views, in.Limit)
}

type listOwnBookingsInput struct {
	PageQuery
	As string `query:"as" enum:"principal,officer" default:"principal"`
}

func (s *Server) listOwnBookings(ctx context.Context, in *listOwnBookingsInput) (*pageOutput[Booking], error) {
	var before fleet.BookingID
	if err := readCursor(in.Cursor, &before); err != nil {
		return nil, err
	}
	views, err := s.cfg.Desk.History(ctx, callerOf(ctx).User, dispatch.Viewer(in.As), before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return bookingPage(views, in.Limit)
}

func bookingPage(views []dispatch.View, limit int) (*pageOutput[Booking], error) {
	var failed error
	out, err := newPage(views, limit, func(v dispatch.View) Booking {
		b, err := showBooking(v)
		if err != nil {
			failed = err
		}
		return b
	}, func(v dispatch.View) any { return v.ID })
	if failed != nil {
		return nil, failed
	}
	return out, err
}

// BookingEvent is one thing that happened to an assignment.
type BookingEvent struct {
	Seq        int64               `json:"seq" doc:"Counts the events of an assignment; not all are told to everybody"`
	Kind       string              `json:"kind"`
	From       fleet.BookingStatus `json:"from,omitempty"`
	To         fleet.BookingStatus `json:"to,omitempty" doc:"Absent: the status stayed"`
	Actor      fleet.ActorKind     `json:"actor" enum:"principal,officer,ops,system"`
	ActorID    fleet.UserID        `json:"actor_id,omitzero" format:"uuid" doc:"To ops"`
	OccurredAt time.Time           `json:"occurred_at" doc:"As the actor says"`
	At         time.Time           `json:"at" doc:"By the hub's clock"`
	Data       json.RawMessage     `json:"data,omitempty" doc:"To ops"`
}

func showBookingEvent(e fleet.BookingEvent) BookingEvent {
	return BookingEvent{
		Seq: e.Seq, Kind: e.Kind, From: e.From, To: e.To, Actor: e.Actor.Kind, ActorID: e.Actor.User, OccurredAt: e.Occurred, At: e.At, Data: e.Data,
	}
}

type listBookingEventsInput struct {
	BookingPath
	PageQuery
	After int64 `query:"after" minimum:"0" doc:"Those with a seq beyond; the cursor goes before it"`
}

func (s *Server) listBookingEvents(ctx context.Context, in *listBookingEventsInput) (*pageOutput[BookingEvent], error) {
	if err := readCursor(in.Cursor, &in.After); err != nil {
		return nil, err
	}
	v, events, err := s.cfg.Desk.Events(ctx, readerOf(ctx), in.ID, in.After, in.Limit+1)
	if _, err := s.seen(ctx, v, err); err != nil {
		return nil, err
	}
	return newPage(events, in.Limit, showBookingEvent, func(e fleet.BookingEvent) any { return e.Seq })
}
