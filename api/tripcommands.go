package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// TripPath names a booking by the trip that it becomes.
type TripPath struct {
	ID fleet.BookingID `path:"id" format:"uuid"`
}

// TripState is how far a trip has come.
type TripState struct {
	BookingID  fleet.BookingID     `json:"booking_id" format:"uuid"`
	Status     fleet.BookingStatus `json:"status"`
	Version    int64               `json:"version" doc:"The ETag"`
	Seq        int64               `json:"seq" doc:"Of its last event"`
	StartsAt   time.Time           `json:"starts_at" doc:"As it is booked"`
	EndsAt     time.Time           `json:"ends_at" doc:"As it is booked"`
	EnRouteAt  time.Time           `json:"en_route_at,omitzero"`
	ArrivedAt  time.Time           `json:"arrived_at,omitzero"`
	StartedAt  time.Time           `json:"started_at,omitzero"`
	EndedAt    time.Time           `json:"ended_at,omitzero"`
	Price      *fleet.Money        `json:"price,omitempty" doc:"As it is booked, extensions included; not for officers"`
	FinalPrice *fleet.Money        `json:"final_price,omitempty" doc:"Once it is over; not for officers"`
}

func showTripState(b *fleet.Booking, to fleet.ActorKind) TripState {
	s := TripState{
		BookingID: b.ID, Status: b.Status, Version: b.Version, Seq: b.Seq, StartsAt: b.Start, EndsAt: b.End(),
		EnRouteAt: b.EnRoute, ArrivedAt: b.Arrived, StartedAt: b.Started, EndedAt: b.Ended,
	}
	if to != fleet.ByOfficer {
		s.Price = &b.Total
		if b.Status.Ended() {
			s.FinalPrice = &b.Fee
		}
	}
	return s
}

type tripStateOutput struct {
	ETag string `header:"ETag"`
	Body TripState
}

// TripTap is what every command has.
type TripTap struct {
	ID         fleet.TripCommandID `json:"id" format:"uuid" doc:"Made up by whoever sends it, anew for each thing that happens: sent again it is carried out once"`
	OccurredAt time.Time           `json:"occurred_at,omitzero" doc:"When it happened, if the phone had no network then; absent: now"`
	Reason     string              `json:"reason,omitempty" maxLength:"500" doc:"Required of ops, and for giving an assignment back or asking for relief"`
	DriverID   fleet.DriverID      `json:"driver_id,omitzero" format:"uuid" doc:"By ops: which officer it is about; absent: the lead"`
}

type tripInput struct {
	TripPath
	Body TripTap
}

type startTripInput struct {
	TripPath
	Body struct {
		TripTap
		Code string `json:"code,omitempty" maxLength:"20" doc:"The start code that the principal shows; ops need none"`
	}
}

type extendTripInput struct {
	TripPath
	Body struct {
		TripTap
		Minutes int `json:"minutes" minimum:"15" maximum:"720" doc:"By how much"`
	}
}

// The rules of taps, as the documentation has them.
const tapRules = "The lead's own tap, or ops' with a reason; that of another officer of the team is an event of the booking. " +
	"A tap that was made without network is taken later, and implies the steps before it; times are kept between the assignment, " +
	"the step before and now. One that does not fit what has become of the trip is a conflict, 409: it is kept for ops, and tried again when it is sent again."

func (s *Server) addTripCommands() {
	tags := []string{"trips"}
	officers := only(fleet.RoleDriver, fleet.RoleDispatcher, fleet.RoleAdmin)
	for _, c := range []struct {
		kind                        fleet.TripCommandKind
		id, path, summary, describe string
	}{
		{fleet.TapEnRoute, "trip-en-route", "en-route", "The officer has set out", tapRules},
		{fleet.TapArrive, "trip-arrive", "arrive", "The officer is at the commencement point", tapRules + " The fence around it tells the same by itself."},
		{fleet.TapComplete, "trip-complete", "complete", "The assignment is over",
			tapRules + " The final price is that of the longer of booked and actual time."},
		{fleet.TapNoShow, "trip-no-show", "no-show", "The principal has not come, 15 minutes after the start and the officer's arrival", tapRules},
		{fleet.AskRelease, "trip-release", "release", "Give an assignment back before it begins; another officer is searched for", ""},
		{fleet.AskRelief, "trip-relief", "relief", "The officer cannot go on: before the start as release; later they stay until another has taken over", ""},
		{fleet.AskHandover, "trip-handover", "handover", "The officer who relieves another takes over", ""},
	} {
		route(s, officers, huma.Operation{
			OperationID: c.id, Method: http.MethodPost, Path: "/api/bookings/{id}/" + c.path, Summary: c.summary, Description: c.describe, Tags: tags,
		}, func(ctx context.Context, in *tripInput) (*tripStateOutput, error) {
			return s.command(ctx, in.ID, &in.Body, fleet.TripCommand{Kind: c.kind})
		})
	}
	route(s, officers.rated(guessing), huma.Operation{
		OperationID: "trip-start", Method: http.MethodPost, Path: "/api/bookings/{id}/start",
		Summary: "Protection begins", Description: tapRules + " The lead shows the principal's start code.", Tags: tags,
	}, func(ctx context.Context, in *startTripInput) (*tripStateOutput, error) {
		return s.command(ctx, in.ID, &in.Body.TripTap, fleet.TripCommand{Kind: fleet.TapStart, Code: in.Body.Code})
	})
	route(s, only(fleet.RoleRider, fleet.RoleDispatcher, fleet.RoleAdmin), huma.Operation{
		OperationID: "trip-extend", Method: http.MethodPost, Path: "/api/bookings/{id}/extend",
		Summary: "Be protected for longer, while the assignment is in progress; by the tariff that was quoted", Tags: tags,
	}, func(ctx context.Context, in *extendTripInput) (*tripStateOutput, error) {
		return s.command(ctx, in.ID, &in.Body.TripTap, fleet.TripCommand{Kind: fleet.AskExtend, Minutes: in.Body.Minutes})
	})
}

// command gives a command as the caller may.
func (s *Server) command(ctx context.Context, booking fleet.BookingID, tap *TripTap, cmd fleet.TripCommand) (*tripStateOutput, error) {
	actor, driver, err := s.actsOn(ctx, booking)
	if err != nil {
		return nil, err
	}
	cmd.ID, cmd.Booking, cmd.By, cmd.Driver = tap.ID, booking, actor, driver
	cmd.Occurred, cmd.Reason = tap.OccurredAt, tap.Reason
	if actor.Kind == fleet.ByOps {
		cmd.Driver = tap.DriverID
	}
	b, err := s.cfg.Trips.Do(ctx, cmd)
	if err != nil {
		return nil, err
	}
	return &tripStateOutput{ETag: etag(b.Version), Body: showTripState(&b, actor.Kind)}, nil
}

// actsOn says as whom the caller acts on a booking.
func (s *Server) actsOn(ctx context.Context, booking fleet.BookingID) (fleet.Actor, fleet.DriverID, error) {
	caller := callerOf(ctx)
	return s.cfg.Trips.As(ctx, caller.User, caller.Has(fleet.RoleDispatcher, fleet.RoleAdmin), booking)
}
