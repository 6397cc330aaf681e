package api

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
	"armora/live"
)

// Map is the live map; live.Index is it.
type Map interface {
	Nearest(dst []live.Neighbour, lat, lon float64, k int, f live.Filter) []live.Neighbour
	Get(unit fleet.Unit) (live.Fix, bool)
}

// NearbyDriver is a protection officer and where they are now.
type NearbyDriver struct {
	Driver
	Distance   float64        `json:"distance_m" doc:"As the crow flies, metres"`
	Lat        float64        `json:"lat" doc:"Degrees, WGS 84"`
	Lon        float64        `json:"lon" doc:"Degrees, WGS 84"`
	Accuracy   *float32       `json:"accuracy_m,omitempty" doc:"Radius of the horizontal error, metres"`
	Speed      *float32       `json:"speed_mps,omitempty" doc:"Metres a second"`
	Heading    *float32       `json:"heading_deg,omitempty" doc:"Degrees clockwise from true north"`
	DeviceID   fleet.DeviceID `json:"device_id" format:"uuid" doc:"Whose fix it is"`
	Time       time.Time      `json:"time" doc:"When the position was measured, corrected for the device's clock"`
	ReceivedAt time.Time      `json:"received_at" doc:"When the hub read it"`
}

type nearbyInput struct {
	Lat    float64    `query:"lat" required:"true" minimum:"-90" maximum:"90" doc:"Degrees, WGS 84"`
	Lon    float64    `query:"lon" required:"true" minimum:"-180" maximum:"180" doc:"Degrees, WGS 84"`
	Radius float64    `query:"radius_m" exclusiveMinimum:"0" maximum:"100000" default:"10000" doc:"Metres"`
	Limit  int        `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Tier   fleet.Tier `query:"tier" enum:"essential,executive,shadow,client_vehicle" doc:"Those who may be offered for it now, being fit to work; absent: everybody"`
	MaxAge int        `query:"max_age" minimum:"1" maximum:"86400" default:"120" doc:"Seconds since the hub last heard of them"`
}

type nearbyOutput struct {
	Body struct {
		Items []NearbyDriver `json:"items" doc:"To ops and partners"`
		Cells []NearbyCell   `json:"cells,omitempty" doc:"To principals"`
	}
}

// NearbyCell is how many protection officers there are in a field of half a
// kilometre.
type NearbyCell struct {
	Area
	Officers int `json:"officers"`
}

func (s *Server) addNearby() {
	route(s, only(fleet.RoleRider, fleet.RoleDispatcher, fleet.RoleAdmin).scoped(fleet.ScopeFleetRead), huma.Operation{
		OperationID: "list-drivers-nearby", Method: http.MethodGet, Path: "/api/drivers/nearby",
		Summary: "The protection officers nearest to a place, the nearest first",
		Description: "Ops and partners see who is where. A principal with a quote that is still good sees how many officers on duty are in each field of half a kilometre whose middle is in the circle, " +
			"whatever limit and max_age say, and not who they are.",
		Tags: []string{"drivers"},
	}, s.listNearby)
}

func (s *Server) listNearby(ctx context.Context, in *nearbyInput) (*nearbyOutput, error) {
	if !(in.Lat >= -90 && in.Lat <= 90 && in.Lon >= -180 && in.Lon <= 180 && in.Radius > 0) {
		return nil, outOfRange("lat, lon and radius_m are numbers") // NaN passes every limit
	}
	if !callerOf(ctx).Has(fleet.RoleDispatcher, fleet.RoleAdmin, fleet.RolePartner) {
		return s.listCells(ctx, in)
	}
	filter := live.Filter{
		Class: live.Officer, Within: in.Radius,
		ReceivedSince: fleet.MillisOf(s.clock.Now().Add(-time.Duration(in.MaxAge) * time.Second)),
	}
	if in.Tier != "" {
		filter.Class = live.ClassOf(in.Tier)
	}
	found := s.cfg.Map.Nearest(nil, in.Lat, in.Lon, in.Limit, filter)
	ids := make([]fleet.DriverID, len(found))
	for i := range found {
		ids[i] = fleet.DriverID(found[i].Unit)
	}
	drivers, err := s.tables.drivers.ByIDs(ctx, ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[fleet.DriverID]fleet.Driver, len(drivers))
	for _, d := range drivers {
		byID[d.ID] = d
	}
	units := make([]fleet.Unit, len(found))
	for i := range found {
		units[i] = found[i].Unit
	}
	if err := s.auditedUnits(ctx, readLocation, "drivers/nearby", units); err != nil {
		return nil, err
	}
	out := &nearbyOutput{}
	out.Body.Items = make([]NearbyDriver, 0, len(found))
	for i := range found {
		driver, known := byID[ids[i]]
		fix, shown := s.cfg.Map.Get(found[i].Unit)
		if known && shown {
			out.Body.Items = append(out.Body.Items, showNearby(driver, &found[i], &fix))
		}
	}
	return out, nil
}

// listCells is what a principal is shown.
func (s *Server) listCells(ctx context.Context, in *nearbyInput) (*nearbyOutput, error) {
	crowds, err := s.cfg.Desk.Nearby(ctx, callerOf(ctx).User, in.Lat, in.Lon, in.Radius, in.Tier)
	if err != nil {
		return nil, err
	}
	out := &nearbyOutput{}
	out.Body.Items = []NearbyDriver{}
	for _, c := range crowds {
		out.Body.Cells = append(out.Body.Cells, NearbyCell{Area: Area(c.Cell), Officers: c.Officers})
	}
	return out, nil
}

// showNearby takes what a search found for the place, and the rest from the fix,
// which may be a newer one.
func showNearby(d fleet.Driver, n *live.Neighbour, f *live.Fix) NearbyDriver {
	return NearbyDriver{
		Driver: showDriver(d), Distance: math.Round(n.Distance*10) / 10, Lat: n.Lat, Lon: n.Lon,
		Accuracy: known(f.Accuracy), Speed: known(f.Speed), Heading: known(f.Heading),
		DeviceID: f.Source, Time: f.At.Time(), ReceivedAt: f.Received.Time(),
	}
}
