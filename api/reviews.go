package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// Review is what a principal has said of an officer, who said it being left out.
type Review struct {
	Stars int    `json:"stars"`
	Text  string `json:"text"`
	Month string `json:"month" example:"2026-11" doc:"When it was said"`
}

// OfficerProfile is a protection officer, and what principals have said of them.
type OfficerProfile struct {
	Officer
	Reviews []Review `json:"reviews" doc:"The newest 20"`
}

// WaitingReview is a review that staff have to decide on.
type WaitingReview struct {
	ID      fleet.BookingID `json:"id" format:"uuid" doc:"That of the assignment"`
	Stars   int             `json:"stars"`
	Text    string          `json:"text"`
	RatedAt time.Time       `json:"rated_at"`
}

type officerProfileOutput struct{ Body OfficerProfile }

type decideReviewInput struct {
	BookingPath
	Body struct {
		Shown bool `json:"shown" doc:"To every principal who may ask for the officer; false: refused"`
	}
}

func (s *Server) addReviews() {
	tags := []string{"officers"}
	route(s, principals(), huma.Operation{
		OperationID: "get-officer", Method: http.MethodGet, Path: "/api/officers/{id}",
		Summary: "Get a protection officer whom one may ask for, with reviews; who they are is not said", Tags: tags,
	}, s.getOfficer)
	route(s, vetsDrivers(), huma.Operation{
		OperationID: "list-reviews", Method: http.MethodGet, Path: "/api/reviews",
		Summary: "List reviews that wait to be read by staff before principals see them", Tags: tags,
	}, s.listReviews)
	route(s, vetsDrivers(), huma.Operation{
		OperationID: "decide-review", Method: http.MethodPut, Path: "/api/reviews/{id}", DefaultStatus: http.StatusNoContent,
		Summary:     "Show a review to principals, or refuse it",
		Description: "Nothing that tells who wrote it, or who the officer is, is to be shown. One whose author has taken it back is not found.",
		Tags:        tags,
	}, s.decideReview)
}

func (s *Server) getOfficer(ctx context.Context, in *DriverPath) (*officerProfileOutput, error) {
	o, reviews, err := s.cfg.Desk.Officer(ctx, callerOf(ctx).User, in.ID)
	if err != nil {
		return nil, err
	}
	return &officerProfileOutput{Body: OfficerProfile{Officer: showOfficer(o), Reviews: showAll(reviews, func(r fleet.Review) Review {
		return Review{Stars: r.Stars, Text: r.Text, Month: r.Rated.UTC().Format("2006-01")}
	})}}, nil
}

func (s *Server) listReviews(ctx context.Context, in *PageQuery) (*pageOutput[WaitingReview], error) {
	var after fleet.BookingID
	if err := readCursor(in.Cursor, &after); err != nil {
		return nil, err
	}
	list, err := s.cfg.Desk.Reviews(ctx, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return newPage(list, in.Limit, func(r fleet.Review) WaitingReview {
		return WaitingReview{ID: r.Booking, Stars: r.Stars, Text: r.Text, RatedAt: r.Rated.UTC()}
	}, func(r fleet.Review) any { return r.Booking })
}

func (s *Server) decideReview(ctx context.Context, in *decideReviewInput) (*struct{}, error) {
	return nil, s.cfg.Desk.DecideReview(ctx, in.ID, in.Body.Shown)
}
