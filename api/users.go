package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
	"armora/schema"
)

// Person is a person as staff see them.
type Person struct {
	User
	Restricted  bool      `json:"restricted" doc:"Only named staff see this person"`
	SuspendedAt time.Time `json:"suspended_at,omitzero"`
	ErasedAt    time.Time `json:"erased_at,omitzero"`
}

func showPerson(u fleet.User) Person {
	return Person{User: showUser(u), Restricted: u.Restricted, SuspendedAt: u.Suspended, ErasedAt: u.Erased}
}

// UserPath names a user in a path.
type UserPath struct {
	ID fleet.UserID `path:"id" format:"uuid"`
}

type listUsersInput struct {
	PageQuery
	Email string     `query:"email" maxLength:"254" doc:"The address begins so"`
	Role  fleet.Role `query:"role" enum:"rider,driver,dispatcher,finance,compliance,admin,partner"`
}

type personOutput struct{ Body Person }

// ReasonBody says why staff do something, for who looks at it later.
type ReasonBody struct {
	Reason string `json:"reason" minLength:"1" maxLength:"1000"`
}

type reasonInput struct {
	UserPath
	Body ReasonBody
}

type setRolesInput struct {
	UserPath
	Body struct {
		Roles  []fleet.Role `json:"roles" maxItems:"7" enum:"rider,driver,dispatcher,finance,compliance,admin,partner" nullable:"false" doc:"All that the person is to have"`
		Reason string       `json:"reason" minLength:"1" maxLength:"1000"`
	}
}

type setRolesOutput struct {
	Status int
	Body   struct {
		Approval *Approval `json:"approval,omitempty" doc:"What another admin has to agree to first"`
	}
}

// Suspension is a spell in which a person may not sign in.
type Suspension struct {
	Reason    string       `json:"reason"`
	By        fleet.UserID `json:"by,omitzero" format:"uuid" doc:"Absent: the bootstrap admin"`
	Since     time.Time    `json:"since"`
	EndedAt   time.Time    `json:"ended_at,omitzero"`
	EndedBy   fleet.UserID `json:"ended_by,omitzero" format:"uuid"`
	EndReason string       `json:"end_reason,omitempty"`
}

type suspensionsOutput struct {
	Body struct {
		Items []Suspension `json:"items"`
	}
}

func (s *Server) addUsers() {
	tags := []string{"users"}
	route(s, staff(), huma.Operation{
		OperationID: "list-users", Method: http.MethodGet, Path: "/api/users",
		Summary: "List people, the oldest first, those who are restricted only for the staff named to see them", Tags: tags,
	}, s.listUsers)
	route(s, staff(), huma.Operation{
		OperationID: "get-user", Method: http.MethodGet, Path: "/api/users/{id}",
		Summary: "Get a person", Tags: tags,
	}, s.getUser)
	route(s, admins().afresh(), huma.Operation{
		OperationID: "set-user-roles", Method: http.MethodPut, Path: "/api/users/{id}/roles",
		Summary: "Change a person's roles and end their sessions; where there is another admin, once that one has approved (202)", Tags: tags,
	}, s.setRoles)
	route(s, admins(), huma.Operation{
		OperationID: "suspend-user", Method: http.MethodPost, Path: "/api/users/{id}/suspend", DefaultStatus: http.StatusNoContent,
		Summary: "Keep a person out, and end all that their sessions opened", Tags: tags,
	}, s.suspendUser)
	route(s, admins(), huma.Operation{
		OperationID: "reinstate-user", Method: http.MethodPost, Path: "/api/users/{id}/reinstate", DefaultStatus: http.StatusNoContent,
		Summary: "End a person's suspension", Tags: tags,
	}, s.reinstateUser)
	route(s, staff(), huma.Operation{
		OperationID: "list-user-suspensions", Method: http.MethodGet, Path: "/api/users/{id}/suspensions",
		Summary: "List a person's suspensions, the newest first", Tags: tags,
	}, s.listSuspensions)
}

func (s *Server) listUsers(ctx context.Context, in *listUsersInput) (*pageOutput[Person], error) {
	q := schema.UserQuery{Email: in.Email, Role: in.Role, Limit: in.Limit + 1}
	if err := readCursor(in.Cursor, &q.After); err != nil {
		return nil, err
	}
	rows, err := s.cfg.Directory.List(ctx, callerOf(ctx), q)
	if err != nil {
		return nil, err
	}
	return newPage(rows, in.Limit, showPerson, func(u fleet.User) any { return u.ID })
}

func (s *Server) getUser(ctx context.Context, in *UserPath) (*personOutput, error) {
	u, err := s.cfg.Directory.Get(ctx, callerOf(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return &personOutput{Body: showPerson(u)}, nil
}

func (s *Server) setRoles(ctx context.Context, in *setRolesInput) (*setRolesOutput, error) {
	waits, err := s.cfg.Directory.SetRoles(ctx, callerOf(ctx), in.ID, in.Body.Roles, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	out := &setRolesOutput{Status: http.StatusOK}
	if waits != nil {
		shown := showApproval(*waits)
		out.Status, out.Body.Approval = http.StatusAccepted, &shown
	}
	return out, nil
}

func (s *Server) suspendUser(ctx context.Context, in *reasonInput) (*struct{}, error) {
	return nil, s.cfg.Directory.Suspend(ctx, callerOf(ctx), in.ID, in.Body.Reason)
}

func (s *Server) reinstateUser(ctx context.Context, in *reasonInput) (*struct{}, error) {
	return nil, s.cfg.Directory.Reinstate(ctx, callerOf(ctx), in.ID, in.Body.Reason)
}

func (s *Server) listSuspensions(ctx context.Context, in *UserPath) (*suspensionsOutput, error) {
	rows, err := s.cfg.Directory.Suspensions(ctx, callerOf(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	out := &suspensionsOutput{}
	out.Body.Items = make([]Suspension, 0, len(rows))
	for _, r := range rows {
		out.Body.Items = append(out.Body.Items, Suspension{
			Reason: r.Reason, By: r.By, Since: r.Since, EndedAt: r.Ended, EndedBy: r.EndedBy, EndReason: r.EndReason,
		})
	}
	return out, nil
}
