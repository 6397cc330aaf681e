package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/account"
	"armora/fleet"
	"armora/schema"
)

// AuditEntry is an entry of the audit log as the API shows it.
type AuditEntry struct {
	ID        fleet.AuditID   `json:"id" format:"uuid"`
	Actor     string          `json:"actor" doc:"A user's id, bootstrap, or a partner's client id"`
	ActorID   fleet.UserID    `json:"actor_id,omitzero" format:"uuid" doc:"Absent: not a person"`
	Action    string          `json:"action" doc:"What was done: read_location, or the operation that was asked for"`
	Subjects  []fleet.UserID  `json:"subjects,omitempty" doc:"Whom it is about"`
	Object    string          `json:"object" doc:"What was touched"`
	Detail    json.RawMessage `json:"detail,omitempty"`
	At        time.Time       `json:"at"`
	RequestID string          `json:"request_id,omitempty"`
	Sealed    bool            `json:"sealed" doc:"False: it is in the tail that the chain does not cover yet"`
	Withheld  bool            `json:"withheld,omitempty" doc:"Who did it, or whom it is about, is somebody restricted for whom you are not named"`
}

func showAudit(l schema.AuditListed) AuditEntry {
	return AuditEntry{
		ID: l.ID, Actor: l.Actor, ActorID: l.ActorUser, Action: l.Action, Subjects: l.About(), Object: l.Object,
		Detail: l.Detail, At: l.At, RequestID: l.RequestID, Sealed: l.Sealed, Withheld: l.Withheld,
	}
}

type listAuditInput struct {
	PageQuery
	Subject string    `query:"subject" format:"uuid" doc:"Whom it is about"`
	Actor   string    `query:"actor" maxLength:"200" doc:"Who did it: a user's id, bootstrap, a partner's client id"`
	Action  string    `query:"action" maxLength:"100"`
	From    time.Time `query:"from" doc:"RFC 3339"`
	To      time.Time `query:"to" doc:"Before this time"`
}

func (s *Server) addAudit() {
	route(s, only(fleet.RoleAdmin, fleet.RoleCompliance, fleet.RoleDispatcher).afresh(), huma.Operation{
		OperationID: "list-audit", Method: http.MethodGet, Path: "/api/audit",
		Summary:     "Search the audit log, the newest first",
		Description: "With another admin or compliance officer there, one of them has to approve first, at /api/approvals. Reading the log is in the log.",
		Tags:        []string{"audit"},
	}, s.listAudit)
}

func (s *Server) listAudit(ctx context.Context, in *listAuditInput) (*pageOutput[AuditEntry], error) {
	q := schema.AuditQuery{Actor: in.Actor, Action: in.Action, From: in.From, To: in.To, Limit: in.Limit + 1}
	if err := readCursor(in.Cursor, &q.Before); err != nil {
		return nil, err
	}
	if in.Subject != "" {
		id, err := fleet.ParseID[fleet.User](in.Subject)
		if err != nil {
			return nil, &fleet.Error{Code: fleet.CodeInvalid, Message: "subject is not an id", Err: err}
		}
		q.Subject = id
	}
	if err := s.cfg.Approvals.Permit(ctx, callerOf(ctx), fleet.ApproveAuditLog); err != nil {
		return nil, err
	}
	// The detail may say of whom the log was read, but not what it said.
	detail, err := json.Marshal(struct {
		Actor  string    `json:"actor,omitempty"`
		Action string    `json:"action,omitempty"`
		From   time.Time `json:"from,omitzero"`
		To     time.Time `json:"to,omitzero"`
	}{in.Actor, in.Action, in.From, in.To})
	if err != nil {
		return nil, err
	}
	if err := s.record(ctx, callerOf(ctx), fleet.AuditEntry{Action: "read_audit", Subject: q.Subject, Object: "audit", Detail: detail}); err != nil {
		return nil, err
	}
	rows, err := s.tables.audit.List(ctx, callerOf(ctx).User, q)
	if err != nil {
		return nil, err
	}
	return newPage(rows, in.Limit, showAudit, func(l schema.AuditListed) any { return l.ID })
}

// record adds to the audit log what a caller does. It comes first: what cannot
// be recorded is not done.
func (s *Server) record(ctx context.Context, caller *account.Caller, e fleet.AuditEntry) error {
	e.Actor, e.ActorUser, e.At, e.RequestID = caller.Name, caller.User, s.clock.Now(), requestID(ctx)
	if err := s.tables.audit.Record(ctx, e); err != nil {
		return &fleet.Error{Code: fleet.CodeUnavailable, Message: "this has to be recorded, and cannot be now: try again", Err: err}
	}
	return nil
}

// Reads of where people are.
const (
	readLocation = "read_location" // one place
	readTrack    = "read_track"    // places over time
)

// audited records that the caller is shown where people are, or were; the
// handler calls it before it answers. One who is shown no more than themselves
// is not recorded.
func (s *Server) audited(ctx context.Context, action, object string, people []fleet.UserID, detail any) error {
	caller := callerOf(ctx)
	others := slices.DeleteFunc(slices.Clone(people), func(id fleet.UserID) bool { return id == caller.User })
	if len(people) > 0 && len(others) == 0 {
		return nil
	}
	e := fleet.AuditEntry{Action: action, Object: object, Subjects: others}
	if detail != nil {
		text, err := json.Marshal(detail)
		if err != nil {
			return err
		}
		e.Detail = text
	}
	return s.record(ctx, caller, e)
}

// timeRange is the detail of a read of places over time.
type timeRange struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// auditedDevice is audited for what a device has told from from to to.
func (s *Server) auditedDevice(ctx context.Context, action string, device fleet.DeviceID, from, to time.Time) error {
	people, err := s.tables.audit.PeopleOfDevice(ctx, device, from, to)
	if err != nil {
		return err
	}
	return s.audited(ctx, action, "device/"+device.String(), people, timeRange{from.UTC(), to.UTC()})
}

// auditedUnits is audited for what is shown on the map.
func (s *Server) auditedUnits(ctx context.Context, action, object string, units []fleet.Unit) error {
	if len(units) == 0 {
		return nil
	}
	people, err := s.tables.audit.PeopleOfUnits(ctx, units)
	if err != nil {
		return err
	}
	return s.audited(ctx, action, object, people, nil)
}

// recordChange records what staff, or the bootstrap admin, ask to be changed:
// the operation and its path, whose variables are ids.
func (s *Server) recordChange(ctx huma.Context, caller *account.Caller) error {
	op := ctx.Operation()
	if op.Method == http.MethodGet || caller.Name != bootstrap && !forStaff(op) {
		return nil
	}
	path := ctx.URL()
	e := fleet.AuditEntry{Action: strings.ReplaceAll(op.OperationID, "-", "_"), Object: path.Path}
	about := "user"
	if strings.HasPrefix(op.Path, "/api/users/{id}") {
		about = "id"
	}
	if id, err := fleet.ParseID[fleet.User](ctx.Param(about)); err == nil {
		e.Subject = id
	}
	return s.record(ctx.Context(), caller, e)
}

// forStaff reports whether an operation is open to staff for being staff.
func forStaff(op *huma.Operation) bool {
	return slices.ContainsFunc(op.Security, func(alternative map[string][]string) bool {
		return slices.ContainsFunc(fleet.Staff(), func(r fleet.Role) bool {
			return slices.Contains(alternative[bearerScheme], string(r))
		})
	})
}
