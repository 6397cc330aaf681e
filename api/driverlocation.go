package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// DriverLocation is where an officer is.
type DriverLocation struct {
	DriverID   fleet.DriverID `json:"driver_id" format:"uuid"`
	Lat        float64        `json:"lat" doc:"Degrees, WGS 84"`
	Lon        float64        `json:"lon" doc:"Degrees, WGS 84"`
	Accuracy   *float32       `json:"accuracy_m,omitempty" doc:"Radius of the horizontal error, metres"`
	Speed      *float32       `json:"speed_mps,omitempty" doc:"Metres a second"`
	Heading    *float32       `json:"heading_deg,omitempty" doc:"Degrees clockwise from true north"`
	Time       time.Time      `json:"time" doc:"When it was measured, corrected for the device's clock"`
	ReceivedAt time.Time      `json:"received_at" doc:"When the hub read it"`
}

type driverLocationOutput struct{ Body DriverLocation }

func (s *Server) addDriverLocation() {
	route(s, only(fleet.RoleRider, fleet.RoleDriver, fleet.RoleDispatcher, fleet.RoleAdmin), huma.Operation{
		OperationID: "get-driver-location", Method: http.MethodGet, Path: "/api/drivers/{id}/location",
		Summary: "Where a protection officer is now",
		Description: "For ops, for the officer, and for the principal of a trip that is under way and has the officer. " +
			"To everybody else there is no such officer. Whoever sees somebody else is recorded.",
		Tags: []string{"drivers"},
	}, s.getDriverLocation)
}

func (s *Server) getDriverLocation(ctx context.Context, in *DriverPath) (*driverLocationOutput, error) {
	if err := s.maySeeDriver(ctx, in.ID); err != nil {
		return nil, err
	}
	fix, ok := s.cfg.Map.Get(fleet.Unit(in.ID))
	if !ok {
		return nil, &fleet.Error{Code: fleet.CodeNotFound, Message: "nothing is heard of this driver"}
	}
	if err := s.auditedUnits(ctx, readLocation, "driver/"+in.ID.String(), []fleet.Unit{fix.Unit}); err != nil {
		return nil, err
	}
	return &driverLocationOutput{Body: DriverLocation{
		DriverID: in.ID, Lat: fix.Lat, Lon: fix.Lon, Accuracy: known(fix.Accuracy), Speed: known(fix.Speed), Heading: known(fix.Heading),
		Time: fix.At.Time(), ReceivedAt: fix.Received.Time(),
	}}, nil
}

// maySeeDriver fails with CodeNotFound unless the caller has a right to know where
// a driver is.
func (s *Server) maySeeDriver(ctx context.Context, driver fleet.DriverID) error {
	caller := callerOf(ctx)
	if caller.Has(fleet.RoleDispatcher, fleet.RoleAdmin) {
		return nil
	}
	if own, err := s.tables.drivers.Own(ctx, caller.User); err == nil && own.ID == driver {
		return nil
	}
	protected, err := s.tables.trips.Protects(ctx, driver, caller.User)
	if err == nil && !protected {
		err = &fleet.Error{Code: fleet.CodeNotFound, Message: "no such driver"}
	}
	return err
}
