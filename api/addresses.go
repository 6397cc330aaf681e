package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// Address is a saved place, as the API shows it.
type Address struct {
	ID        fleet.AddressID `json:"id" format:"uuid"`
	Label     string          `json:"label,omitempty"`
	Text      string          `json:"text"`
	Lat       float64         `json:"lat"`
	Lon       float64         `json:"lon"`
	CreatedAt time.Time       `json:"created_at"`
}

func showAddress(a fleet.Address) Address {
	return Address{ID: a.ID, Label: a.Label, Text: a.Text, Lat: a.Lat, Lon: a.Lon, CreatedAt: a.Created}
}

// AddressBody is what is said of a place to save it.
type AddressBody struct {
	Label string  `json:"label,omitempty" maxLength:"100" doc:"Home, office…"`
	Text  string  `json:"text" minLength:"1" maxLength:"500" doc:"As one writes it on a letter"`
	Lat   float64 `json:"lat" minimum:"-90" maximum:"90"`
	Lon   float64 `json:"lon" minimum:"-180" maximum:"180"`
}

func (b *AddressBody) address(id fleet.AddressID) fleet.Address {
	return fleet.Address{ID: id, Label: b.Label, Text: b.Text, Lat: b.Lat, Lon: b.Lon}
}

// AddressPath names a saved place in a path.
type AddressPath struct {
	ID fleet.AddressID `path:"id" format:"uuid"`
}

type createAddressInput struct{ Body AddressBody }

type putAddressInput struct {
	AddressPath
	Body AddressBody
}

type addressOutput struct{ Body Address }

func (s *Server) addAddresses() {
	route(s, signedIn(), huma.Operation{
		OperationID: "list-addresses", Method: http.MethodGet, Path: "/api/users/addresses",
		Summary: "List one's own saved addresses, the oldest first; there are 50 at most", Tags: []string{"profile"},
	}, s.listAddresses)
	route(s, signedIn(), huma.Operation{
		OperationID: "create-address", Method: http.MethodPost, Path: "/api/users/addresses", DefaultStatus: http.StatusCreated,
		Summary: "Save an address", Tags: []string{"profile"},
	}, s.createAddress)
	route(s, signedIn(), huma.Operation{
		OperationID: "put-address", Method: http.MethodPut, Path: "/api/users/addresses/{id}",
		Summary: "Change a saved address", Tags: []string{"profile"},
	}, s.putAddress)
	route(s, signedIn(), huma.Operation{
		OperationID: "delete-address", Method: http.MethodDelete, Path: "/api/users/addresses/{id}", DefaultStatus: http.StatusNoContent,
		Summary: "Delete a saved address", Tags: []string{"profile"},
	}, s.deleteAddress)
}

func (s *Server) listAddresses(ctx context.Context, _ *struct{}) (*pageOutput[Address], error) {
	list, err := s.cfg.Addresses.List(ctx, callerOf(ctx).User)
	if err != nil {
		return nil, err
	}
	return newPage(list, len(list), showAddress, nil)
}

func (s *Server) createAddress(ctx context.Context, in *createAddressInput) (*addressOutput, error) {
	a, err := s.cfg.Addresses.Add(ctx, callerOf(ctx).User, in.Body.address(fleet.AddressID{}))
	if err != nil {
		return nil, err
	}
	return &addressOutput{Body: showAddress(a)}, nil
}

func (s *Server) putAddress(ctx context.Context, in *putAddressInput) (*addressOutput, error) {
	a, err := s.cfg.Addresses.Change(ctx, callerOf(ctx).User, in.Body.address(in.ID))
	if err != nil {
		return nil, err
	}
	return &addressOutput{Body: showAddress(a)}, nil
}

func (s *Server) deleteAddress(ctx context.Context, in *AddressPath) (*struct{}, error) {
	return nil, s.cfg.Addresses.Delete(ctx, callerOf(ctx).User, in.ID)
}
