package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// OnAccount is how the organisation pays on whose account a principal books.
type OnAccount struct {
	PurchaseOrder string `json:"purchase_order,omitempty" maxLength:"60"`
	CostCentre    string `json:"cost_centre,omitempty" maxLength:"60"`
}

func (a *OnAccount) account() *fleet.OnAccount {
	if a == nil {
		return nil
	}
	return &fleet.OnAccount{PurchaseOrder: a.PurchaseOrder, CostCentre: a.CostCentre}
}

// OrganisationTerms are what finance sets of an organisation.
type OrganisationTerms struct {
	Name        string   `json:"name" minLength:"1" maxLength:"200"`
	VATNumber   string   `json:"vat_number" minLength:"5" maxLength:"20" doc:"Of the United Kingdom or the European Union"`
	Address     []string `json:"address" minItems:"1" maxItems:"8" doc:"For invoices, line by line"`
	Credit      int64    `json:"credit_limit" minimum:"0" maximum:"100000000" doc:"How much may be open at once, pence"`
	TermsDays   int      `json:"terms_days" minimum:"0" maximum:"120" doc:"From a statement to when it is due"`
	Approval    bool     `json:"approval" doc:"What a member books waits for an approver"`
	OrderNeeded bool     `json:"order_needed" doc:"A booking names a purchase order"`
}

// Organisation is who pays by invoice for what its members book.
type Organisation struct {
	ID fleet.OrganisationID `json:"id" format:"uuid"`
	OrganisationTerms
	Version   int64        `json:"version"`
	CreatedAt time.Time    `json:"created_at"`
	BlockedAt time.Time    `json:"blocked_at,omitzero" doc:"Since when nothing new is booked on its account: a statement is overdue"`
	Open      *fleet.Money `json:"open,omitempty" doc:"Of its credit: what is booked and what is not paid"`
}

// OwnOrganisation is what a member sees of the organisation.
type OwnOrganisation struct {
	Name        string            `json:"name"`
	Role        fleet.AccountRole `json:"role" enum:"member,approver"`
	Approval    bool              `json:"approval"`
	OrderNeeded bool              `json:"order_needed"`
	Blocked     bool              `json:"blocked"`
}

// OrganisationMember is somebody who books on an organisation's account.
type OrganisationMember struct {
	UserID  fleet.UserID      `json:"user_id" format:"uuid"`
	Role    fleet.AccountRole `json:"role" enum:"member,approver"`
	AddedAt time.Time         `json:"added_at"`
}

// AccountStatement is what an organisation owes for a month.
type AccountStatement struct {
	ID        fleet.InvoiceID `json:"id" format:"uuid" doc:"The paper is the invoice of this id"`
	Number    string          `json:"number"`
	Month     string          `json:"month" doc:"2006-01"`
	Due       string          `json:"due" format:"date"`
	Total     fleet.Money     `json:"total"`
	Reminders int             `json:"reminders"`
	PaidAt    time.Time       `json:"paid_at,omitzero"`
	Reference string          `json:"reference,omitempty"`
}

// WaitingBooking is a booking that waits for its organisation's approver.
type WaitingBooking struct {
	ID       fleet.BookingID `json:"id" format:"uuid"`
	UserID   fleet.UserID    `json:"user_id" format:"uuid"`
	StartsAt time.Time       `json:"starts_at"`
	Minutes  int             `json:"minutes"`
	Tier     fleet.Tier      `json:"tier"`
	Total    fleet.Money     `json:"total"`
	ETag     string          `json:"etag" doc:"For If-Match: what is approved is then what was seen"`
}

func showWaiting(b fleet.Booking) WaitingBooking {
	return WaitingBooking{ID: b.ID, UserID: b.User, StartsAt: b.Start, Minutes: b.Minutes, Tier: b.Tier, Total: b.Total, ETag: etag(b.Version)}
}

// OrganisationPath names an organisation in a path.
type OrganisationPath struct {
	ID fleet.OrganisationID `path:"id" format:"uuid"`
}

// MemberPath names a member of an organisation in a path.
type MemberPath struct {
	ID   fleet.OrganisationID `path:"id" format:"uuid"`
	User fleet.UserID         `path:"user" format:"uuid"`
}

type organisationOutput struct {
	ETag string `header:"ETag"`
	Body Organisation
}

func (s *Server) addOrganisations() {
	tags := []string{"organisations"}
	finance, members := only(fleet.RoleFinance, fleet.RoleAdmin), only(fleet.RoleRider)
	route(s, members, huma.Operation{
		OperationID: "get-own-organisation", Method: http.MethodGet, Path: "/api/organisations/mine",
		Summary: "The organisation on whose account you book", Tags: tags,
	}, s.getOwnOrganisation)
	route(s, members, huma.Operation{
		OperationID: "list-waiting-bookings", Method: http.MethodGet, Path: "/api/organisations/mine/waiting",
		Summary: "What waits for your approval, as an approver", Tags: tags,
	}, s.listWaiting)
	route(s, members, huma.Operation{
		OperationID: "decide-booking", Method: http.MethodPut, Path: "/api/bookings/{id}/approval",
		Summary:     "Approve an assignment of your organisation's, or refuse it: then it is cancelled, and costs nothing",
		Description: "Nobody decides on what they have booked themselves.", Tags: tags,
	}, s.decideBooking)
	route(s, finance.afresh(), huma.Operation{
		OperationID: "create-organisation", Method: http.MethodPost, Path: "/api/organisations", DefaultStatus: http.StatusCreated,
		Summary: "Let an organisation pay by invoice", Tags: tags,
	}, s.createOrganisation)
	route(s, finance, huma.Operation{
		OperationID: "list-organisations", Method: http.MethodGet, Path: "/api/organisations",
		Summary: "List the organisations that pay by invoice, the newest first", Tags: tags,
	}, s.listOrganisations)
	route(s, finance, huma.Operation{
		OperationID: "get-organisation", Method: http.MethodGet, Path: "/api/organisations/{id}", Summary: "Get an organisation, and what it has open", Tags: tags,
	}, s.getOrganisation)
	route(s, finance.afresh(), huma.Operation{
		OperationID: "put-organisation", Method: http.MethodPut, Path: "/api/organisations/{id}", Summary: "Change an organisation's terms", Tags: tags,
	}, s.putOrganisation)
	route(s, finance, huma.Operation{
		OperationID: "list-members", Method: http.MethodGet, Path: "/api/organisations/{id}/members", Summary: "Who books on an organisation's account", Tags: tags,
	}, s.listMembers)
	route(s, finance.afresh(), huma.Operation{
		OperationID: "put-member", Method: http.MethodPut, Path: "/api/organisations/{id}/members/{user}", DefaultStatus: http.StatusNoContent,
		Summary: "Let somebody book on an organisation's account, or change their role", Tags: tags,
	}, s.putMember)
	route(s, finance, huma.Operation{
		OperationID: "delete-member", Method: http.MethodDelete, Path: "/api/organisations/{id}/members/{user}", DefaultStatus: http.StatusNoContent,
		Summary: "Let somebody book on an organisation's account no more", Tags: tags,
	}, s.deleteMember)
	route(s, finance, huma.Operation{
		OperationID: "list-statements", Method: http.MethodGet, Path: "/api/organisations/{id}/statements", Summary: "What an organisation owes, the newest month first", Tags: tags,
	}, s.listStatements)
	route(s, finance.afresh(), huma.Operation{
		OperationID: "pay-statement", Method: http.MethodPut, Path: "/api/statements/{id}/paid", Summary: "Say that a statement was paid", Tags: tags,
	}, s.payStatement)
}

func showOrganisation(o fleet.Organisation) Organisation {
	return Organisation{
		ID: o.ID, Version: o.Version, CreatedAt: o.Created, BlockedAt: o.Blocked,
		OrganisationTerms: OrganisationTerms{
			Name: o.Name, VATNumber: o.VATNumber, Address: o.Address, Credit: o.Credit.Amount, TermsDays: o.TermsDays, Approval: o.Approval, OrderNeeded: o.OrderNeeded,
		},
	}
}

func (t *OrganisationTerms) organisation(id fleet.OrganisationID) fleet.Organisation {
	return fleet.Organisation{
		ID: id, Name: t.Name, VATNumber: t.VATNumber, Address: t.Address, Credit: fleet.Pence(t.Credit), TermsDays: t.TermsDays, Approval: t.Approval, OrderNeeded: t.OrderNeeded,
	}
}

func (s *Server) getOwnOrganisation(ctx context.Context, _ *struct{}) (*struct{ Body OwnOrganisation }, error) {
	o, role, err := s.tables.organisations.Of(ctx, callerOf(ctx).User)
	if err != nil {
		return nil, err
	}
	return &struct{ Body OwnOrganisation }{OwnOrganisation{
		Name: o.Name, Role: role, Approval: o.Approval, OrderNeeded: o.OrderNeeded, Blocked: !o.Blocked.IsZero(),
	}}, nil
}

func (s *Server) listWaiting(ctx context.Context, _ *struct{}) (*struct{ Body []WaitingBooking }, error) {
	rows, err := s.tables.organisations.Waiting(ctx, callerOf(ctx).User)
	if err != nil {
		return nil, err
	}
	return &struct{ Body []WaitingBooking }{showAll(rows, showWaiting)}, nil
}

type decideBookingInput struct {
	BookingPath
	IfMatch
	Body struct {
		Approve bool   `json:"approve"`
		Reason  string `json:"reason,omitempty" maxLength:"500" doc:"Why it is refused; its principal sees it"`
	}
}

func (s *Server) decideBooking(ctx context.Context, in *decideBookingInput) (*struct{ Body WaitingBooking }, error) {
	version, err := in.wanted()
	if err != nil {
		return nil, err
	}
	b, err := s.cfg.Terms.Decide(ctx, callerOf(ctx).User, in.ID, version, in.Body.Approve, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return &struct{ Body WaitingBooking }{showWaiting(b)}, nil
}

func (s *Server) createOrganisation(ctx context.Context, in *struct{ Body OrganisationTerms }) (*organisationOutput, error) {
	o, err := s.cfg.Terms.Add(ctx, in.Body.organisation(fleet.OrganisationID{}))
	return &organisationOutput{ETag: etag(1), Body: showOrganisation(o)}, err
}

func (s *Server) listOrganisations(ctx context.Context, in *PageQuery) (*pageOutput[Organisation], error) {
	var before fleet.OrganisationID
	if err := readCursor(in.Cursor, &before); err != nil {
		return nil, err
	}
	rows, err := s.tables.organisations.List(ctx, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return newPage(rows, in.Limit, showOrganisation, func(o fleet.Organisation) any { return o.ID })
}

func (s *Server) getOrganisation(ctx context.Context, in *OrganisationPath) (*organisationOutput, error) {
	o, err := s.tables.organisations.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	open, err := s.tables.organisations.Exposure(ctx, in.ID)
	shown := showOrganisation(o)
	shown.Open = &open
	return &organisationOutput{ETag: etag(o.Version), Body: shown}, err
}

type putOrganisationInput struct {
	OrganisationPath
	IfMatch
	Body OrganisationTerms
}

func (s *Server) putOrganisation(ctx context.Context, in *putOrganisationInput) (*organisationOutput, error) {
	version, err := in.wanted()
	if err != nil {
		return nil, err
	}
	o, err := s.cfg.Terms.Set(ctx, in.Body.organisation(in.ID), version)
	return &organisationOutput{ETag: etag(o.Version), Body: showOrganisation(o)}, err
}

func (s *Server) listMembers(ctx context.Context, in *OrganisationPath) (*struct{ Body []OrganisationMember }, error) {
	if _, err := s.tables.organisations.Get(ctx, in.ID); err != nil {
		return nil, err
	}
	rows, err := s.tables.organisations.Members(ctx, callerOf(ctx).User, in.ID)
	if err != nil {
		return nil, err
	}
	return &struct{ Body []OrganisationMember }{showAll(rows, func(m fleet.Member) OrganisationMember {
		return OrganisationMember{UserID: m.User, Role: m.Role, AddedAt: m.Added}
	})}, nil
}

type putMemberInput struct {
	MemberPath
	Body struct {
		Role fleet.AccountRole `json:"role" enum:"member,approver"`
	}
}

func (s *Server) putMember(ctx context.Context, in *putMemberInput) (*struct{}, error) {
	if _, err := s.cfg.Directory.Get(ctx, callerOf(ctx), in.User); err != nil {
		return nil, err
	}
	return nil, s.cfg.Terms.SetMember(ctx, fleet.Member{User: in.User, Organisation: in.ID, Role: in.Body.Role})
}

func (s *Server) deleteMember(ctx context.Context, in *MemberPath) (*struct{}, error) {
	return nil, s.tables.organisations.RemoveMember(ctx, callerOf(ctx).User, in.ID, in.User)
}

func showStatement(st fleet.StatementOf) AccountStatement {
	return AccountStatement{
		ID: st.ID, Number: st.Number, Month: st.Month.Format("2006-01"), Due: st.Due.Format(time.DateOnly), Total: st.Total,
		Reminders: st.Reminded, PaidAt: st.Paid, Reference: st.Reference,
	}
}

func (s *Server) listStatements(ctx context.Context, in *OrganisationPath) (*struct{ Body []AccountStatement }, error) {
	if _, err := s.tables.organisations.Get(ctx, in.ID); err != nil {
		return nil, err
	}
	rows, err := s.tables.statements.List(ctx, in.ID)
	return &struct{ Body []AccountStatement }{showAll(rows, showStatement)}, err
}

type payStatementInput struct {
	ID   fleet.InvoiceID `path:"id" format:"uuid"`
	Body struct {
		Reference string `json:"reference" minLength:"1" maxLength:"200" doc:"Of the payment, as the bank shows it"`
	}
}

func (s *Server) payStatement(ctx context.Context, in *payStatementInput) (*struct{ Body AccountStatement }, error) {
	st, err := s.cfg.Terms.Paid(ctx, in.ID, callerOf(ctx).User, in.Body.Reference)
	return &struct{ Body AccountStatement }{showStatement(st)}, err
}
