package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
	"armora/schema"
)

// Point is a position report as the API shows it. A measurement that the device
// did not make is absent.
type Point struct {
	Time       time.Time `json:"time" doc:"When the position was measured, by the device's clock"`
	SentAt     time.Time `json:"sent_at,omitzero" doc:"When the device sent it, by its clock"`
	ReceivedAt time.Time `json:"received_at" doc:"When the hub read it"`
	Lat        float64   `json:"lat" doc:"Degrees, WGS 84"`
	Lon        float64   `json:"lon" doc:"Degrees, WGS 84"`
	Accuracy   *float32  `json:"accuracy_m,omitempty" doc:"Radius of the horizontal error, metres"`
	Speed      *float32  `json:"speed_mps,omitempty" doc:"Metres a second"`
	Heading    *float32  `json:"heading_deg,omitempty" doc:"Degrees clockwise from true north"`
	Altitude   *float32  `json:"altitude_m,omitempty" doc:"Metres"`
	Battery    *float32  `json:"battery,omitempty" doc:"State of charge, 0 to 1"`
	Format     string    `json:"format" doc:"The wire format that it came in"`
	Verdict    string    `json:"verdict" enum:"ok,inaccurate,impossible_jump,future,stale,null_island,mock" doc:"What the hub thinks of it"`
	Flags      []string  `json:"flags,omitempty" enum:"mock,late,skewed,quarantined" doc:"Further facts: the phone made it up, it came after a newer fix, the device's clock was off, its date is outside what is kept"`
}

func showPoint(p fleet.Point) Point {
	shown := Point{
		Time: p.Fix.Time(), ReceivedAt: p.Received.Time(), Lat: p.Lat, Lon: p.Lon,
		Accuracy: known(p.Accuracy), Speed: known(p.Speed), Heading: known(p.Heading),
		Altitude: known(p.Altitude), Battery: known(p.Battery),
		Format: p.Format.String(), Verdict: p.Verdict.String(), Flags: p.Flags.Names(),
	}
	if p.Sent != 0 {
		shown.SentAt = p.Sent.Time()
	}
	return shown
}

// Limits of a range of points.
const (
	defaultRange = 24 * time.Hour
	maxRange     = 366 * 24 * time.Hour
)

type pointsInput struct {
	DevicePath
	From    time.Time `query:"from" doc:"The first fix time, RFC 3339; absent: a day before to"`
	To      time.Time `query:"to" doc:"The fix time before which to stop; absent: now"`
	Format  string    `query:"format" enum:"json,geojson,csv,gpx" default:"json"`
	Verdict string    `query:"verdict" enum:"all,ok" default:"all" doc:"ok leaves out the points that the hub doubts"`
	Store   string    `query:"store" enum:"points,quarantine" default:"points" doc:"quarantine: the points dated outside what is kept; without from and to, all of them"`
	Limit   int       `query:"limit" minimum:"1" maximum:"10000" default:"1000" doc:"Points a page; json only"`
	Cursor  string    `query:"cursor" maxLength:"512" doc:"next_cursor of the page before; json only"`
}

const quarantine = "quarantine"

// lastYear is the end of the times that a point may bear.
var lastYear = time.Date(2261, 12, 31, 0, 0, 0, 0, time.UTC)

// pointPosition is a point's place among those of its device.
type pointPosition struct {
	Fix fleet.Millis `json:"t"`
	Lat int32        `json:"a"`
	Lon int32        `json:"o"`
}

func (s *Server) addPoints() {
	route(s, ops(), huma.Operation{
		OperationID: "list-device-points", Method: http.MethodGet, Path: "/api/devices/{id}/points",
		Summary: "A device's points over a range of fix times",
		Description: "As JSON in pages, or as GeoJSON, CSV or GPX in one stream. A stream that fails midway " +
			"ends without its last chunk, so that a client sees it as cut off.",
		Tags: []string{"devices"},
		Responses: map[string]*huma.Response{"200": {
			Description: "The points",
			Content: map[string]*huma.MediaType{
				"application/json":     {Schema: s.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[page[Point]](), true, "")},
				"application/geo+json": {}, "text/csv": {}, "application/gpx+xml": {},
			},
		}},
	}, s.listPoints)
}

func (s *Server) listPoints(ctx context.Context, in *pointsInput) (*huma.StreamResponse, error) {
	query, err := s.pointQuery(in)
	if err != nil {
		return nil, err
	}
	read := s.tables.points.Range
	if in.Store == quarantine {
		read = s.tables.points.Quarantined
	}
	device, err := s.device(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := s.auditedDevice(ctx, readTrack, in.ID, query.From.Time(), query.To.Time()); err != nil {
		return nil, err
	}
	if in.Format == "json" {
		return s.pagePoints(ctx, read, query, in)
	}
	chosen := exportOf(in.Format)
	return s.stream(chosen.mediaType, fmt.Sprintf("%s.%s", device.ID, chosen.extension),
		func(ctx context.Context, w io.Writer) error {
			e := chosen.open(w, &device)
			if err := read(ctx, query, e.point); err != nil {
				return err
			}
			return e.end()
		})
}

func (s *Server) pointQuery(in *pointsInput) (schema.PointQuery, error) {
	from, to, longest := in.From, in.To, maxRange
	if to.IsZero() {
		to = s.clock.Now()
	}
	if from.IsZero() {
		from = to.Add(-defaultRange)
	}
	if in.Store == quarantine { // the dates are odd, and the points few
		longest = lastYear.Sub(time.Unix(0, 0))
		if in.From.IsZero() && in.To.IsZero() {
			from, to = time.Unix(0, 0), lastYear
		}
	}
	switch {
	case !from.Before(to):
		return schema.PointQuery{}, outOfRange("from is not before to")
	case to.Sub(from) > longest:
		return schema.PointQuery{}, outOfRange("the range is longer than 366 days")
	case from.Year() < 1970 || to.Year() > 2261:
		return schema.PointQuery{}, outOfRange("the range is not within the years 1970 to 2261")
	}
	query := schema.PointQuery{Device: in.ID, From: fleet.MillisOf(from), To: fleet.MillisOf(to)}
	if in.Verdict == "ok" {
		query.Verdicts = []fleet.Verdict{fleet.OK}
	}
	if in.Cursor == "" {
		return query, nil
	}
	var after pointPosition
	if err := readCursor(in.Cursor, &after); err != nil {
		return schema.PointQuery{}, err
	}
	query.After = &fleet.PointKey{Device: in.ID, Fix: after.Fix, Lat: after.Lat, Lon: after.Lon}
	return query, nil
}

func outOfRange(message string) error {
	return &fleet.Error{Code: fleet.CodeInvalid, Message: message}
}

// readPoints reads points in order; schema.Points has one for each store.
type readPoints func(ctx context.Context, q schema.PointQuery, yield func(fleet.Point) error) error

// pagePoints answers with one page. It goes past huma's own writing of the
// body because the same operation streams the other formats.
func (s *Server) pagePoints(ctx context.Context, read readPoints, query schema.PointQuery, in *pointsInput) (*huma.StreamResponse, error) {
	query.Limit = in.Limit + 1
	var rows []fleet.Point
	err := read(ctx, query, func(p fleet.Point) error {
		rows = append(rows, p)
		return nil
	})
	if err != nil {
		return nil, err
	}
	out, err := newPage(rows, in.Limit, showPoint, func(p fleet.Point) any {
		key := p.Key()
		return pointPosition{Fix: key.Fix, Lat: key.Lat, Lon: key.Lon}
	})
	if err != nil {
		return nil, err
	}
	return s.answer(out.Body), nil
}
