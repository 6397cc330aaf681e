package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// Device is a device as the API shows it.
type Device struct {
	ID        fleet.DeviceID   `json:"id" format:"uuid"`
	Kind      fleet.DeviceKind `json:"kind" enum:"phone,tracker"`
	Name      string           `json:"name"`
	Format    fleet.Format     `json:"format" enum:"json,protobuf,owntracks,teltonika,flespi,thingsboard,geojson,osmand"`
	External  string           `json:"external,omitempty" doc:"Its name in its own protocol: an IMEI, a gateway's child name"`
	GatewayID fleet.DeviceID   `json:"gateway_id,omitzero" format:"uuid"`
	DriverID  fleet.DriverID   `json:"driver_id,omitzero" format:"uuid"`
	VehicleID fleet.VehicleID  `json:"vehicle_id,omitzero" format:"uuid"`
	UserID    fleet.UserID     `json:"user_id,omitzero" format:"uuid" doc:"Who enrolled it by signing in"`
	CreatedAt time.Time        `json:"created_at"`
}

func showDevice(d fleet.Device) Device {
	return Device{
		ID: d.ID, Kind: d.Kind, Name: d.Name, Format: d.Format, External: d.External,
		GatewayID: d.Gateway, DriverID: d.Driver, VehicleID: d.Vehicle, UserID: d.User, CreatedAt: d.Created.UTC(),
	}
}

// DevicePath names a device in a path.
type DevicePath struct {
	ID fleet.DeviceID `path:"id" format:"uuid"`
}

type createDeviceInput struct {
	Body struct {
		Kind      fleet.DeviceKind `json:"kind" enum:"phone,tracker"`
		Name      string           `json:"name" minLength:"1" maxLength:"200"`
		Format    fleet.Format     `json:"format,omitempty" enum:"json,protobuf,owntracks,teltonika,flespi,thingsboard,geojson,osmand" doc:"What it speaks; json if absent"`
		External  string           `json:"external,omitempty" maxLength:"128" doc:"Its name in its own protocol: an IMEI, a gateway's child name"`
		GatewayID fleet.DeviceID   `json:"gateway_id,omitzero" format:"uuid" doc:"The gateway that may speak for it"`
		DriverID  fleet.DriverID   `json:"driver_id,omitzero" format:"uuid" doc:"Whose phone it is"`
		VehicleID fleet.VehicleID  `json:"vehicle_id,omitzero" format:"uuid" doc:"The car it is fixed to"`
	}
}

type createdDeviceOutput struct {
	Location string `header:"Location"`
	Body     struct {
		Device
		Secret string `json:"secret" doc:"Its password, told this once"`
	}
}

type deviceOutput struct{ Body Device }

func (s *Server) addDevices() {
	route(s, admins(), huma.Operation{
		OperationID: "create-device", Method: http.MethodPost, Path: "/api/devices", DefaultStatus: http.StatusCreated,
		Summary: "Provision a device and get its secret", Tags: []string{"devices"},
	}, s.createDevice)
	route(s, ops(), huma.Operation{
		OperationID: "list-devices", Method: http.MethodGet, Path: "/api/devices",
		Summary: "List devices, the oldest first", Tags: []string{"devices"},
	}, s.listDevices)
	route(s, ops(), huma.Operation{
		OperationID: "get-device", Method: http.MethodGet, Path: "/api/devices/{id}",
		Summary: "Get a device", Tags: []string{"devices"},
	}, s.getDevice)
	route(s, admins(), huma.Operation{
		OperationID: "set-device-payload-key", Method: http.MethodPut, Path: "/api/devices/{id}/payload-key",
		DefaultStatus: http.StatusNoContent,
		Summary:       "Set the key with which an OwnTracks device encrypts its payloads; an empty one forgets it", Tags: []string{"devices"},
	}, s.setPayloadKey)
}

func (s *Server) createDevice(ctx context.Context, in *createDeviceInput) (*createdDeviceOutput, error) {
	created, secret, err := s.cfg.Devices.Provision(ctx, fleet.Device{
		Kind: in.Body.Kind, Name: in.Body.Name, Format: in.Body.Format, External: in.Body.External,
		Gateway: in.Body.GatewayID, Driver: in.Body.DriverID, Vehicle: in.Body.VehicleID,
	})
	if err != nil {
		return nil, err
	}
	out := &createdDeviceOutput{Location: "/api/devices/" + created.ID.String()}
	out.Body.Device, out.Body.Secret = showDevice(created), secret
	return out, nil
}

func (s *Server) listDevices(ctx context.Context, in *PageQuery) (*pageOutput[Device], error) {
	var after fleet.DeviceID
	if err := readCursor(in.Cursor, &after); err != nil {
		return nil, err
	}
	rows, err := s.tables.devices.List(ctx, callerOf(ctx).User, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return newPage(rows, in.Limit, showDevice, func(d fleet.Device) any { return d.ID })
}

// device returns a device that the caller, one of the staff, sees.
func (s *Server) device(ctx context.Context, id fleet.DeviceID) (fleet.Device, error) {
	return s.tables.devices.VisibleTo(ctx, callerOf(ctx).User, id)
}

func (s *Server) getDevice(ctx context.Context, in *DevicePath) (*deviceOutput, error) {
	d, err := s.device(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &deviceOutput{Body: showDevice(d)}, nil
}

type payloadKeyInput struct {
	DevicePath
	Body struct {
		Key string `json:"key" maxLength:"32" doc:"As typed into the app: up to 32 bytes"`
	}
}

func (s *Server) setPayloadKey(ctx context.Context, in *payloadKeyInput) (*struct{}, error) {
	if _, err := s.device(ctx, in.ID); err != nil {
		return nil, err
	}
	return nil, s.cfg.Devices.SetPayloadKey(ctx, in.ID, in.Body.Key)
}
