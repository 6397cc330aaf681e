package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/dispatch"
	"armora/fleet"
)

// TripETA is when the lead of a trip will be where they are going.
type TripETA struct {
	Place     fleet.TripPlace `json:"place" enum:"pickup,destination" doc:"Where to: the commencement point, or in progress the destination"`
	ArrivesAt time.Time       `json:"arrives_at"`
	Distance  float64         `json:"distance_m" doc:"That is left, by road"`
	Source    string          `json:"source" enum:"model,osrm" doc:"Who says so"`
	FixAt     time.Time       `json:"fix_at" doc:"When the officer was where that was reckoned from"`
}

func showETA(e *dispatch.ETA) *TripETA {
	if e == nil {
		return nil
	}
	return &TripETA{Place: e.To, ArrivesAt: e.At.UTC().Truncate(time.Second), Distance: float64(int64(e.Metres)), Source: string(e.Source), FixAt: e.Fix.UTC()}
}

// TripOfficer is an officer of a trip as the control room sees them.
type TripOfficer struct {
	DriverID fleet.DriverID  `json:"driver_id" format:"uuid"`
	Name     string          `json:"name"`
	Seat     int             `json:"seat" doc:"1 is the lead's"`
	State    fleet.SeatState `json:"state" enum:"committed,active"`
	Relief   bool            `json:"relief" doc:"They are to relieve the officer of the same seat"`
	Silent   bool            `json:"silent" doc:"Nothing is heard of their phone"`
	Late     bool            `json:"late" doc:"They will not be there in time"`
	Unfit    bool            `json:"unfit" doc:"They may not work any more"`
}

// Trip is a trip as the control room sees it.
type Trip struct {
	TripState
	Lead     fleet.DriverID `json:"lead_id,omitzero" format:"uuid"`
	Officers []TripOfficer  `json:"officers"`
	ETA      *TripETA       `json:"eta,omitempty"`
	Overruns bool           `json:"overruns" doc:"It is beyond its booked end"`
	Silent   bool           `json:"silent" doc:"Of one of its officers nothing is heard"`
}

func showTrip(t dispatch.Shown) Trip {
	trip := Trip{TripState: showTripState(&t.Booking, fleet.ByOps), Officers: []TripOfficer{}, ETA: showETA(t.ETA), Overruns: t.Overruns}
	if lead := t.Booking.Lead(); lead != nil {
		trip.Lead = lead.Driver
	}
	for _, p := range t.People {
		trip.Silent = trip.Silent || p.Silent
		trip.Officers = append(trip.Officers, TripOfficer{
			DriverID: p.Seat.Driver, Name: t.Names[p.Seat.Driver], Seat: p.Seat.Number, State: p.Seat.State,
			Relief: !p.Seat.Relieves.IsZero(), Silent: p.Silent, Late: p.Late, Unfit: p.Unfit,
		})
	}
	return trip
}

// TripConflict is a tap that does not fit what has become of its trip.
type TripConflict struct {
	ID         fleet.TripCommandID   `json:"id" format:"uuid"`
	BookingID  fleet.BookingID       `json:"booking_id" format:"uuid"`
	DriverID   fleet.DriverID        `json:"driver_id,omitzero" format:"uuid"`
	Kind       fleet.TripCommandKind `json:"kind"`
	OccurredAt time.Time             `json:"occurred_at" doc:"As the officer's phone says"`
	ReceivedAt time.Time             `json:"received_at"`
	Conflict   string                `json:"conflict" doc:"Why it does not fit"`
}

func showConflict(c fleet.TripCommand) TripConflict {
	return TripConflict{ID: c.ID, BookingID: c.Booking, DriverID: c.Driver, Kind: c.Kind, OccurredAt: c.Occurred, ReceivedAt: c.Received, Conflict: c.Conflict}
}

type resolveInput struct {
	TripPath
	Command fleet.TripCommandID `path:"command" format:"uuid" doc:"The tap"`
	Body    struct {
		Action string `json:"action" enum:"carry_out,dismiss"`
		Note   string `json:"note" minLength:"1" maxLength:"500" doc:"What ops have found"`
	}
}

type etaOutput struct {
	Body struct {
		BookingID fleet.BookingID     `json:"booking_id" format:"uuid"`
		Status    fleet.BookingStatus `json:"status"`
		ETA       *TripETA            `json:"eta,omitempty" doc:"Absent: there is nowhere to go, or nothing is heard of the lead"`
	}
}

func (s *Server) addTrips() {
	tags := []string{"trips"}
	route(s, ops(), huma.Operation{
		OperationID: "list-trips", Method: http.MethodGet, Path: "/api/trips",
		Summary: "List the trips that are under way, or begin within two hours", Tags: tags,
	}, s.listTrips)
	route(s, ops(), huma.Operation{
		OperationID: "list-trip-conflicts", Method: http.MethodGet, Path: "/api/trips/conflicts",
		Summary: "List what officers told that does not fit their trips", Tags: tags,
	}, s.listConflicts)
	route(s, ops(), huma.Operation{
		OperationID: "resolve-trip-conflict", Method: http.MethodPost, Path: "/api/trips/{id}/conflicts/{command}/resolve",
		Summary: "Carry such a tap out, if it fits by now, or dismiss it", Tags: tags,
	}, s.resolveConflict)
	route(s, only(fleet.RoleRider, fleet.RoleDriver, fleet.RoleDispatcher, fleet.RoleAdmin), huma.Operation{
		OperationID: "get-booking-eta", Method: http.MethodGet, Path: "/api/bookings/{id}/eta",
		Summary: "When the lead will be there; for the principal, the officers and ops", Tags: tags,
	}, s.getETA)
}

func (s *Server) listTrips(ctx context.Context, in *PageQuery) (*pageOutput[Trip], error) {
	var after fleet.BookingID
	if err := readCursor(in.Cursor, &after); err != nil {
		return nil, err
	}
	rows, err := s.cfg.Trips.UnderWay(ctx, callerOf(ctx).User, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return newPage(rows, in.Limit, showTrip, func(t dispatch.Shown) any { return t.Booking.ID })
}

// conflictPlace is where a page of conflicts ends.
type conflictPlace struct {
	Received time.Time
	ID       fleet.TripCommandID
}

func (s *Server) listConflicts(ctx context.Context, in *PageQuery) (*pageOutput[TripConflict], error) {
	var after conflictPlace
	if err := readCursor(in.Cursor, &after); err != nil {
		return nil, err
	}
	rows, err := s.tables.trips.Conflicts(ctx, callerOf(ctx).User, fleet.TripCommand{ID: after.ID, Received: after.Received}, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return newPage(rows, in.Limit, showConflict, func(c fleet.TripCommand) any { return conflictPlace{c.Received, c.ID} })
}

func (s *Server) resolveConflict(ctx context.Context, in *resolveInput) (*tripStateOutput, error) {
	actor, _, err := s.actsOn(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	actor.Kind = fleet.ByOps // also for one who is an officer or a principal besides
	b, err := s.cfg.Trips.Resolve(ctx, in.ID, in.Command, actor, in.Body.Action == "carry_out", in.Body.Note)
	if err != nil {
		return nil, err
	}
	return &tripStateOutput{ETag: etag(b.Version), Body: showTripState(&b, actor.Kind)}, nil
}

func (s *Server) getETA(ctx context.Context, in *TripPath) (*etaOutput, error) {
	actor, driver, err := s.actsOn(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	b, err := s.cfg.Trips.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	has := slices.ContainsFunc(b.Seats, func(seat fleet.Seat) bool { return seat.Driver == driver && seat.State.Taken() })
	if actor.Kind == fleet.ByOfficer && !has {
		return nil, &fleet.Error{Code: fleet.CodeNotFound, Message: "no such booking"}
	}
	out := &etaOutput{}
	out.Body.BookingID, out.Body.Status = b.ID, b.Status
	if at, ok := s.cfg.Trips.ETA(in.ID); ok {
		out.Body.ETA = showETA(&at)
	}
	return out, nil
}
