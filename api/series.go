package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// Recurrence is when a series repeats, by the clocks of its zone.
type Recurrence struct {
	Every    int      `json:"every_weeks,omitempty" minimum:"1" maximum:"4" default:"1" doc:"Each week, or each second, third or fourth"`
	Weekdays []string `json:"weekdays,omitempty" maxItems:"7" enum:"monday,tuesday,wednesday,thursday,friday,saturday,sunday" doc:"That of the first is one of them; absent: it alone"`
	Count    int      `json:"count" minimum:"2" maximum:"260" doc:"How many assignments in all"`
}

// Series is an assignment that repeats.
type Series struct {
	ID         fleet.SeriesID `json:"id" format:"uuid"`
	LocalStart string         `json:"local_start" doc:"Of the first"`
	Zone       string         `json:"zone"`
	Minutes    int            `json:"minutes"`
	Tier       fleet.Tier     `json:"tier"`
	Recurrence Recurrence     `json:"recurrence"`
	Made       int            `json:"made" doc:"How many have been booked, or passed over"`
	CreatedAt  time.Time      `json:"created_at"`
	EndedAt    time.Time      `json:"ended_at,omitzero" doc:"Absent: it goes on"`
}

var weekdays = []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}

func (r *Recurrence) rule() fleet.Recurrence {
	rule := fleet.Recurrence{Every: r.Every, Count: r.Count}
	for _, name := range r.Weekdays {
		for day, known := range weekdays {
			if name == known {
				rule.Weekdays = append(rule.Weekdays, time.Weekday(day))
			}
		}
	}
	return rule
}

func showSeries(s fleet.Series) Series {
	shown := Series{
		ID: s.ID, LocalStart: s.Order.LocalStart, Zone: s.Order.Zone, Minutes: s.Order.Minutes, Tier: s.Order.Tier,
		Recurrence: Recurrence{Every: s.Rule.Every, Count: s.Rule.Count}, Made: s.Made, CreatedAt: s.Created, EndedAt: s.Ended,
	}
	for _, day := range s.Rule.Weekdays {
		shown.Recurrence.Weekdays = append(shown.Recurrence.Weekdays, weekdays[day])
	}
	return shown
}

// SeriesPath names a series in a path.
type SeriesPath struct {
	ID fleet.SeriesID `path:"id" format:"uuid"`
}

type createSeriesInput struct {
	Body struct {
		Order
		Recurrence Recurrence `json:"recurrence"`
	}
}

type seriesOutput struct{ Body Series }

func (s *Server) addSeries() {
	tags := []string{"assignments"}
	route(s, principals(), huma.Operation{
		OperationID: "create-series", Method: http.MethodPost, Path: "/api/series", DefaultStatus: http.StatusCreated,
		Summary: "Book an assignment that repeats, at the same time by the clocks of its zone",
		Description: "Its assignments are booked eight weeks ahead, each at the price of the day on which it is booked, and cancelled and changed each by itself. " +
			"Where the clocks leave its time out, it begins when they go on.",
		Tags: tags,
	}, s.createSeries)
	route(s, principals(), huma.Operation{
		OperationID: "list-series", Method: http.MethodGet, Path: "/api/series",
		Summary: "List one's own series, the newest first", Tags: tags,
	}, s.listSeries)
	route(s, principals(), huma.Operation{
		OperationID: "get-series", Method: http.MethodGet, Path: "/api/series/{id}",
		Summary: "Get a series of one's own", Tags: tags,
	}, s.getSeries)
	route(s, principals(), huma.Operation{
		OperationID: "end-series", Method: http.MethodPut, Path: "/api/series/{id}/end",
		Summary: "End a series, and cancel what of it has not begun, at the fee of each", Tags: tags,
	}, s.endSeries)
}

func (s *Server) createSeries(ctx context.Context, in *createSeriesInput) (*seriesOutput, error) {
	made, err := s.cfg.Desk.Repeat(ctx, callerOf(ctx).User, in.Body.request(), in.Body.Recurrence.rule())
	if err != nil {
		return nil, err
	}
	return &seriesOutput{Body: showSeries(made)}, nil
}

func (s *Server) listSeries(ctx context.Context, in *PageQuery) (*pageOutput[Series], error) {
	var before fleet.SeriesID
	if err := readCursor(in.Cursor, &before); err != nil {
		return nil, err
	}
	list, err := s.cfg.Desk.SeriesOf(ctx, callerOf(ctx).User, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return newPage(list, in.Limit, showSeries, func(s fleet.Series) any { return s.ID })
}

func (s *Server) getSeries(ctx context.Context, in *SeriesPath) (*seriesOutput, error) {
	got, err := s.cfg.Desk.Series(ctx, callerOf(ctx).User, in.ID)
	if err != nil {
		return nil, err
	}
	return &seriesOutput{Body: showSeries(got)}, nil
}

func (s *Server) endSeries(ctx context.Context, in *SeriesPath) (*seriesOutput, error) {
	ended, err := s.cfg.Desk.EndSeries(ctx, callerOf(ctx).User, in.ID)
	if err != nil {
		return nil, err
	}
	return &seriesOutput{Body: showSeries(ended)}, nil
}
