package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
	"armora/safety"
)

// OpsSOS is an emergency as ops see it.
type OpsSOS struct {
	ID             fleet.SOSID      `json:"id" format:"uuid"`
	Ref            string           `json:"ref"`
	Type           fleet.SOSType    `json:"type" enum:"medical,threat,vehicle,other"`
	Silent         bool             `json:"silent"`
	Drill          bool             `json:"drill"`
	Duress         bool             `json:"duress" doc:"They were made to cancel: what they are shown is that it is"`
	UserID         fleet.UserID     `json:"user_id,omitzero" format:"uuid" doc:"Who raised it"`
	DriverID       fleet.DriverID   `json:"driver_id,omitzero" format:"uuid" doc:"Likewise, if a protection officer did"`
	DeviceID       fleet.DeviceID   `json:"device_id,omitzero" format:"uuid" doc:"The device that it was raised on"`
	TripID         fleet.BookingID  `json:"trip_id,omitzero" format:"uuid"`
	Place          *SOSPlace        `json:"place,omitempty" doc:"Where they said they were"`
	Via            string           `json:"via" doc:"rest, mqtt, or cancel: a duress code was given before anything was raised"`
	OccurredAt     time.Time        `json:"occurred_at"`
	RaisedAt       time.Time        `json:"raised_at"`
	CancelAskedAt  time.Time        `json:"cancel_asked_at,omitzero"`
	CancelledAt    time.Time        `json:"cancelled_at,omitzero"`
	AcknowledgedAt time.Time        `json:"acknowledged_at,omitzero"`
	AcknowledgedBy fleet.UserID     `json:"acknowledged_by,omitzero" format:"uuid"`
	AcknowledgedAs string           `json:"acknowledged_as,omitempty" doc:"Their name"`
	ClosedAt       time.Time        `json:"closed_at,omitzero"`
	Outcome        fleet.SOSOutcome `json:"outcome,omitempty" enum:"resolved,false_alarm"`
	Note           string           `json:"note,omitempty"`
}

// SOSPlace is where somebody said they were.
type SOSPlace struct {
	Lat      float64 `json:"lat"`
	Lon      float64 `json:"lon"`
	Accuracy float64 `json:"accuracy,omitempty" doc:"Metres"`
}

// SOSTimeline is all that happened in an emergency.
type SOSTimeline struct {
	OpsSOS
	Chain   string     `json:"chain" doc:"whole: every entry is what was written; or where it is not; or unknown, while the database is away"`
	Entries []SOSEntry `json:"entries"`
}

// SOSEntry is one thing that happened.
type SOSEntry struct {
	Seq    int64           `json:"seq,omitempty" doc:"Absent: the database does not have it yet"`
	Kind   fleet.SOSKind   `json:"kind"`
	At     time.Time       `json:"at"`
	By     string          `json:"by"`
	Detail json.RawMessage `json:"detail"`
	Hash   []byte          `json:"hash,omitempty" doc:"Of the entry and the hash of the one before it"`
}

func (s *Server) showOpsSOS(e fleet.SOS) OpsSOS {
	v := OpsSOS{
		ID: e.ID, Ref: safety.Ref(e.ID), Type: e.Type, Silent: e.Silent, Drill: e.Drill, Duress: !e.Duress.IsZero(),
		UserID: e.User, DriverID: e.Driver, DeviceID: e.Device, TripID: e.Trip, Via: e.Via, OccurredAt: e.Occurred, RaisedAt: e.Received,
		CancelAskedAt: e.CancelAsked, CancelledAt: e.Cancelled, AcknowledgedAt: e.Acked, ClosedAt: e.Closed, Outcome: e.Outcome, Note: e.ClosingNote,
	}
	if e.Place != nil {
		v.Place = &SOSPlace{Lat: e.Place.Lat, Lon: e.Place.Lon, Accuracy: e.Place.Accuracy}
	}
	if id, err := fleet.ParseID[fleet.User](e.AckedBy); err == nil {
		v.AcknowledgedBy, v.AcknowledgedAs = id, s.cfg.Safety.NameOf(e.AckedBy)
	}
	return v
}

type listSOSInput struct {
	PageQuery
	All bool `query:"all" doc:"Those that are over as well"`
}

type closeSOSInput struct {
	ID   fleet.SOSID `path:"id" format:"uuid"`
	Body struct {
		Outcome fleet.SOSOutcome `json:"outcome" enum:"resolved,false_alarm"`
		Note    string           `json:"note" minLength:"1" maxLength:"2000" doc:"What happened, and what was done"`
	}
}

type (
	opsSOSOutput   struct{ Body OpsSOS }
	timelineOutput struct{ Body SOSTimeline }
)

func (s *Server) addSOSOps() {
	tags := []string{"sos"}
	route(s, ops().detached(), huma.Operation{
		OperationID: "list-sos", Method: http.MethodGet, Path: "/api/sos",
		Summary:     "List emergencies, the newest first; while the database is away, those that are open",
		Description: "Those of restricted principals are among them: whoever is on call has to act. Who is shown them is in the audit log.", Tags: tags,
	}, s.listSOS)
	route(s, ops().detached(), huma.Operation{
		OperationID: "get-sos-timeline", Method: http.MethodGet, Path: "/api/sos/{id}/timeline",
		Summary: "All that happened in an emergency, and whether its chain of hashes is whole", Tags: tags,
	}, s.getSOSTimeline)
	route(s, ops().detached(), huma.Operation{
		OperationID: "acknowledge-sos", Method: http.MethodPost, Path: "/api/sos/{id}/acknowledge",
		Summary:     "Say that you see to an emergency: nobody else is called from then on",
		Description: "Who was first stands. The bootstrap admin is nobody in particular, and cannot.", Tags: tags,
	}, s.acknowledgeSOS)
	route(s, ops().detached(), huma.Operation{
		OperationID: "close-sos", Method: http.MethodPost, Path: "/api/sos/{id}/close",
		Summary: "Close an emergency, and say how it ended", Tags: tags,
	}, s.closeSOS)
}

func (s *Server) listSOS(ctx context.Context, in *listSOSInput) (*pageOutput[OpsSOS], error) {
	var before fleet.SOSID
	if err := readCursor(in.Cursor, &before); err != nil {
		return nil, err
	}
	rows, err := s.cfg.Safety.List(ctx, !in.All, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	if err := s.auditedSOS(ctx, "sos", rows[:min(len(rows), in.Limit)]...); err != nil {
		return nil, err
	}
	return newPage(rows, in.Limit, s.showOpsSOS, func(e fleet.SOS) any { return e.ID })
}

// sosPatience is for how long it is tried to record that an emergency is shown, before
// that is said in its timeline.
const sosPatience = 2 * time.Second

// auditedSOS records that the caller is shown emergencies of people, and where they
// are. While the database is away it is an entry in the timeline of each, on this hub's
// disk, with which it is stored later. What can be written down nowhere is not shown.
func (s *Server) auditedSOS(ctx context.Context, object string, shown ...fleet.SOS) error {
	var people []fleet.UserID
	var ids []fleet.SOSID
	for i := range shown {
		if e := &shown[i]; !e.User.IsZero() {
			people, ids = append(people, e.User), append(ids, e.ID)
		}
	}
	if len(people) == 0 {
		return nil
	}
	slices.SortFunc(people, func(a, b fleet.UserID) int { return slices.Compare(a[:], b[:]) })
	soon, cancel := context.WithTimeout(ctx, sosPatience)
	defer cancel()
	if s.audited(soon, "read_sos", object, slices.Compact(people), nil) == nil {
		return nil
	}
	return s.cfg.Safety.Seen(callerOf(ctx).Name, ids...)
}

func (s *Server) getSOSTimeline(ctx context.Context, in *sosPath) (*timelineOutput, error) {
	e, err := s.cfg.Safety.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := s.auditedSOS(ctx, "sos/"+e.ID.String(), e); err != nil {
		return nil, err
	}
	v := SOSTimeline{OpsSOS: s.showOpsSOS(e), Chain: "whole", Entries: make([]SOSEntry, len(e.Timeline))}
	switch broken, err := s.cfg.Safety.Broken(ctx, in.ID); {
	case err != nil:
		v.Chain = "unknown"
	case broken != 0:
		v.Chain = fmt.Sprintf("broken at entry %d", broken)
	}
	for i := range e.Timeline {
		entry := &e.Timeline[i]
		detail, err := entry.Detail()
		if err != nil {
			return nil, err
		}
		v.Entries[i] = SOSEntry{Seq: entry.Seq, Kind: entry.Kind, At: entry.At, By: entry.By, Detail: detail, Hash: entry.Hash}
	}
	return &timelineOutput{Body: v}, nil
}

// opsPerson is the caller, who has to be a person.
func opsPerson(ctx context.Context) (fleet.UserID, error) {
	if user := callerOf(ctx).User; !user.IsZero() {
		return user, nil
	}
	return fleet.UserID{}, &fleet.Error{Code: fleet.CodeForbidden, Message: "only a named person can see to an SOS"}
}

func (s *Server) acknowledgeSOS(ctx context.Context, in *sosPath) (*opsSOSOutput, error) {
	user, err := opsPerson(ctx)
	if err != nil {
		return nil, err
	}
	e, err := s.cfg.Safety.Acknowledge(ctx, in.ID, user)
	if err != nil {
		return nil, err
	}
	return &opsSOSOutput{Body: s.showOpsSOS(e)}, nil
}

func (s *Server) closeSOS(ctx context.Context, in *closeSOSInput) (*opsSOSOutput, error) {
	user, err := opsPerson(ctx)
	if err != nil {
		return nil, err
	}
	e, err := s.cfg.Safety.Finish(ctx, in.ID, safety.End{By: user, Outcome: in.Body.Outcome, Note: in.Body.Note})
	if err != nil {
		return nil, err
	}
	return &opsSOSOutput{Body: s.showOpsSOS(e)}, nil
}
