package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
	"armora/safety"
)

// SOS is an emergency as who raised it sees it.
type SOS struct {
	ID             fleet.SOSID     `json:"id,omitzero" format:"uuid" doc:"Absent: there is none"`
	Ref            string          `json:"ref,omitempty" example:"K7Q-2MX" doc:"How people name it to each other"`
	Status         fleet.SOSStatus `json:"status" enum:"raised,acknowledged,cancelled,closed"`
	Type           fleet.SOSType   `json:"type,omitempty" enum:"medical,threat,vehicle,other"`
	Silent         bool            `json:"silent"`
	Drill          bool            `json:"drill"`
	TripID         fleet.BookingID `json:"trip_id,omitzero" format:"uuid"`
	RaisedAt       time.Time       `json:"raised_at,omitzero" doc:"When the hub received it"`
	AcknowledgedAt time.Time       `json:"acknowledged_at,omitzero"`
	AcknowledgedBy string          `json:"acknowledged_by,omitempty" doc:"Who sees to it"`
	CancelAsked    bool            `json:"cancel_asked" doc:"A cancel came after three seconds: the control room will see to it"`
	EndedAt        time.Time       `json:"ended_at,omitzero"`
}

// showSOS is careful: what somebody was made to cancel looks as if it were.
func (s *Server) showSOS(e *fleet.SOS) SOS {
	if e.ID.IsZero() {
		return SOS{Status: fleet.SOSIsCancelled}
	}
	v := SOS{
		ID: e.ID, Ref: safety.Ref(e.ID), Status: e.Shown(), Type: e.Type, Silent: e.Silent, Drill: e.Drill, TripID: e.Trip, RaisedAt: e.Received,
	}
	if e.Hidden {
		v.EndedAt = e.Duress
		return v
	}
	v.CancelAsked, v.EndedAt = !e.CancelAsked.IsZero(), e.Ended()
	if !e.Acked.IsZero() {
		v.AcknowledgedAt, v.AcknowledgedBy = e.Acked, s.cfg.Safety.NameOf(e.AckedBy)
	}
	return v
}

type raiseSOSInput struct {
	Body *struct {
		ID         fleet.SOSClientID `json:"id,omitzero" required:"false" format:"uuid" doc:"The app's own, of this press of the button: sent again, it joins what it opened and never reopens it"`
		Type       string            `json:"type,omitempty" required:"false" doc:"medical, threat, vehicle or other; nobody is refused help for a word: any other is other"`
		Silent     bool              `json:"silent,omitempty" required:"false" doc:"Nothing must show, or sound, at your end"`
		Drill      bool              `json:"drill,omitempty" required:"false" doc:"An exercise"`
		TripID     fleet.BookingID   `json:"trip_id,omitzero" required:"false" format:"uuid" doc:"Absent, or not yours: the one that you are on"`
		Lat        *float64          `json:"lat,omitempty" required:"false" minimum:"-90" maximum:"90"`
		Lon        *float64          `json:"lon,omitempty" required:"false" minimum:"-180" maximum:"180"`
		Accuracy   float64           `json:"accuracy,omitempty" required:"false" minimum:"0" doc:"Metres"`
		OccurredAt time.Time         `json:"occurred_at,omitzero" required:"false" doc:"When the button was pressed, by the phone's clock"`
	} `required:"false"`
}

type cancelSOSInput struct {
	Body *struct {
		SOSID  fleet.SOSID       `json:"sos_id,omitzero" required:"false" format:"uuid"`
		Raised fleet.SOSClientID `json:"raised,omitzero" required:"false" format:"uuid" doc:"The id of the press that opened it, in place of sos_id"`
		Code   string            `json:"code,omitempty" required:"false" maxLength:"64" doc:"What was entered, whatever it is"`
	} `required:"false"`
}

type sosPath struct {
	ID fleet.SOSID `path:"id" format:"uuid"`
}

type sosOutput struct{ Body SOS }

func (s *Server) addSOS() {
	tags := []string{"sos"}
	route(s, signedIn().rated(unlimited).detached().late(), huma.Operation{
		OperationID: "raise-sos", Method: http.MethodPost, Path: "/api/sos", DefaultStatus: http.StatusCreated,
		Summary: "Raise an SOS, or join your open one",
		Description: "Nothing is needed but who you are: no body, no trip, no place, no Idempotency-Key. The answer means that it is written down on disk " +
			"and being told, whether the database is there or not. An access token that has expired will do, for a day, while its session lives.",
		Tags: tags,
	}, s.raiseSOS)
	route(s, signedIn().rated(unlimited).detached().late(), huma.Operation{
		OperationID: "cancel-sos", Method: http.MethodPost, Path: "/api/sos/cancel",
		Summary: "Cancel your SOS within three seconds; later, ask the control room to",
		Tags:    tags,
	}, s.cancelSOS)
	route(s, signedIn().rated(unlimited).detached().late(), huma.Operation{
		OperationID: "get-sos", Method: http.MethodGet, Path: "/api/sos/{id}",
		Summary: "What has become of an SOS that you have raised", Tags: tags,
	}, s.getSOS)
	route(s, signedIn().afresh(), huma.Operation{
		OperationID: "set-duress-code", Method: http.MethodPut, Path: "/api/users/duress-code", DefaultStatus: http.StatusNoContent,
		Summary:     "Set the code that looks like a cancel, and calls for help silently",
		Description: "Enter it where the app asks for a code to cancel an SOS. Nobody can read it, and nothing shows whether you have one.", Tags: tags,
	}, s.setDuressCode)
	route(s, signedIn().afresh(), huma.Operation{
		OperationID: "delete-duress-code", Method: http.MethodDelete, Path: "/api/users/duress-code", DefaultStatus: http.StatusNoContent,
		Summary: "Have no duress code any more", Tags: tags,
	}, s.deleteDuressCode)
}

func (s *Server) raiseSOS(ctx context.Context, in *raiseSOSInput) (*sosOutput, error) {
	call := fleet.SOSCall{Raiser: fleet.Raiser{User: callerOf(ctx).User}, Type: fleet.SOSOther, Via: "rest"}
	if b := in.Body; b != nil {
		call.Client, call.Type, call.Silent, call.Drill, call.Trip = b.ID, fleet.SOSTypeOf(b.Type), b.Silent, b.Drill, b.TripID
		call.Occurred = b.OccurredAt
		if b.Lat != nil && b.Lon != nil {
			call.Place = &fleet.SOSPlace{Lat: *b.Lat, Lon: *b.Lon, Accuracy: b.Accuracy}
		}
	}
	raised, err := s.cfg.Safety.Raise(call)
	if err != nil {
		return nil, err
	}
	return &sosOutput{Body: s.showSOS(&raised)}, nil
}

func (s *Server) cancelSOS(ctx context.Context, in *cancelSOSInput) (*sosOutput, error) {
	cancel := safety.Cancel{Raiser: fleet.Raiser{User: callerOf(ctx).User}}
	if b := in.Body; b != nil {
		cancel.SOS, cancel.Client, cancel.Code = b.SOSID, b.Raised, b.Code
	}
	shown, err := s.cfg.Safety.Cancel(ctx, cancel)
	if err != nil {
		return nil, err
	}
	return &sosOutput{Body: s.showSOS(&shown)}, nil
}

func (s *Server) getSOS(ctx context.Context, in *sosPath) (*sosOutput, error) {
	found, err := s.cfg.Safety.Of(ctx, callerOf(ctx).User, in.ID)
	if err != nil {
		return nil, err
	}
	return &sosOutput{Body: s.showSOS(&found)}, nil
}

type duressCodeInput struct {
	Body struct {
		Code string `json:"code" minLength:"4" maxLength:"64" doc:"Not the code that unlocks the phone"`
	}
}

func (s *Server) setDuressCode(ctx context.Context, in *duressCodeInput) (*struct{}, error) {
	return nil, s.cfg.Safety.SetCode(ctx, callerOf(ctx).User, in.Body.Code)
}

func (s *Server) deleteDuressCode(ctx context.Context, _ *struct{}) (*struct{}, error) {
	return nil, s.cfg.Safety.DeleteCode(ctx, callerOf(ctx).User)
}
