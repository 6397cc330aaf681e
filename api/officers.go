package api

import (
	"context"
	"math"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
	"armora/schema"
)

// Officer is a protection officer as a principal may choose one: who they are is
// not said.
type Officer struct {
	ID        fleet.DriverID `json:"id" format:"uuid"`
	Alias     string         `json:"alias"`
	Tiers     []fleet.Tier   `json:"tiers" doc:"The main one first"`
	Languages []string       `json:"languages,omitempty" doc:"BCP 47"`
	Rating    float64        `json:"rating,omitempty" doc:"The mean of 1 to 5 stars; absent without any"`
	Ratings   int            `json:"ratings" doc:"Of how many"`
	Wish      fleet.Wish     `json:"wish,omitempty" enum:"favourite,blocked" doc:"One's own"`
}

func showOfficer(o fleet.Officer) Officer {
	return Officer{
		ID: o.ID, Alias: o.Alias, Tiers: o.Tiers, Languages: o.Languages, Rating: math.Round(o.Stars*10) / 10, Ratings: o.Ratings, Wish: o.Wish,
	}
}

type listOfficersInput struct {
	PageQuery
	Choice string `query:"choice" enum:"approved,past,favourite,blocked" default:"approved" doc:"Whom anybody may ask for, who have protected one before, or of whom one has said so"`
}

type wishInput struct {
	DriverPath
	Body struct {
		Wish fleet.Wish `json:"wish" enum:"favourite,blocked"`
	}
}

type approveOfficerInput struct {
	DriverPath
	Body struct {
		Approved bool   `json:"approved"`
		Alias    string `json:"alias,omitempty" maxLength:"60" doc:"What principals call them; needed with the approval"`
	}
}

func (s *Server) addOfficers() {
	tags := []string{"officers"}
	route(s, principals(), huma.Operation{
		OperationID: "list-officers", Method: http.MethodGet, Path: "/api/officers",
		Summary: "List protection officers whom one may ask for; who they are is not said", Tags: tags,
	}, s.listOfficers)
	route(s, principals(), huma.Operation{
		OperationID: "wish-officer", Method: http.MethodPut, Path: "/api/officers/{id}/wish", DefaultStatus: http.StatusNoContent,
		Summary:     "Keep an officer as a favourite, or block one: who is blocked is never offered one's assignments",
		Description: "Of an officer who is listed, or has protected one before. A block leaves an assignment alone that the officer has accepted.",
		Tags:        tags,
	}, s.wishOfficer)
	route(s, principals(), huma.Operation{
		OperationID: "unwish-officer", Method: http.MethodDelete, Path: "/api/officers/{id}/wish", DefaultStatus: http.StatusNoContent,
		Summary: "Take that back", Tags: tags,
	}, s.unwishOfficer)
	route(s, vetsDrivers(), huma.Operation{
		OperationID: "approve-officer", Method: http.MethodPut, Path: "/api/drivers/{id}/approval", DefaultStatus: http.StatusNoContent,
		Summary: "List a protection officer for all principals under an alias, or no longer", Tags: tags,
	}, s.approveOfficer)
}

func (s *Server) listOfficers(ctx context.Context, in *listOfficersInput) (*pageOutput[Officer], error) {
	var after fleet.DriverID
	if err := readCursor(in.Cursor, &after); err != nil {
		return nil, err
	}
	list, err := s.cfg.Desk.Officers(ctx, callerOf(ctx).User, schema.Choice(in.Choice), after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return newPage(list, in.Limit, showOfficer, func(o fleet.Officer) any { return o.ID })
}

func (s *Server) wishOfficer(ctx context.Context, in *wishInput) (*struct{}, error) {
	return nil, s.cfg.Desk.Wish(ctx, callerOf(ctx).User, in.ID, in.Body.Wish)
}

func (s *Server) unwishOfficer(ctx context.Context, in *DriverPath) (*struct{}, error) {
	return nil, s.cfg.Desk.Wish(ctx, callerOf(ctx).User, in.ID, fleet.NoWish)
}

func (s *Server) approveOfficer(ctx context.Context, in *approveOfficerInput) (*struct{}, error) {
	return nil, s.cfg.Desk.Approve(ctx, in.ID, in.Body.Alias, in.Body.Approved)
}
