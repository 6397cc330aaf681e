package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"armora/dispatch/place"
	"armora/fleet"
)

// Place is one that a geocoder has found.
type Place struct {
	Label string  `json:"label" doc:"As a person would write it"`
	Lat   float64 `json:"lat" doc:"Degrees, WGS 84"`
	Lon   float64 `json:"lon" doc:"Degrees, WGS 84"`
	Kind  string  `json:"kind,omitempty" doc:"As OpenStreetMap has it: hotel, station, house"`
}

type placesInput struct {
	Query string `query:"q" required:"true" minLength:"2" maxLength:"200" doc:"What people call it"`
	Near  string `query:"near" maxLength:"50" doc:"Latitude and longitude, 51.5,-0.12: what is there comes first. The geocoder is told no more than a hundredth of a degree of it"`
}

type placesOutput struct {
	Body struct {
		Items []Place `json:"items"`
	}
}

// codeNoGeocoder tells an app to do without a search for places.
const codeNoGeocoder fleet.Code = "geocoder_off"

func (s *Server) addPlaces() {
	route(s, signedIn().rated(costly), huma.Operation{
		OperationID: "list-places", Method: http.MethodGet, Path: "/api/places",
		Summary:     "Places by what people call them, the likeliest first, ten at most",
		Description: "Answers 404 with the code geocoder_off where the hub has no geocoder.",
		Tags:        []string{"bookings"},
	}, s.listPlaces)
}

func (s *Server) listPlaces(ctx context.Context, in *placesInput) (*placesOutput, error) {
	if s.cfg.Places == nil {
		return nil, refusal(http.StatusNotFound, codeNoGeocoder, "this hub has no geocoder: places are given by latitude and longitude")
	}
	near, err := readNear(in.Near)
	if err != nil {
		return nil, err
	}
	places, err := s.cfg.Places.Search(ctx, in.Query, near)
	if err != nil {
		return nil, err
	}
	out := &placesOutput{}
	out.Body.Items = make([]Place, len(places))
	for i, p := range places {
		out.Body.Items[i] = Place{Label: p.Label, Lat: p.Lat, Lon: p.Lon, Kind: p.Kind}
	}
	return out, nil
}

// readNear reads 51.5,-0.12; nil if nothing is said.
func readNear(text string) (*place.Near, error) {
	if text == "" {
		return nil, nil
	}
	lat, lon, _ := strings.Cut(text, ",")
	near := new(place.Near)
	var noLat, noLon error
	near.Lat, noLat = strconv.ParseFloat(lat, 64)
	near.Lon, noLon = strconv.ParseFloat(lon, 64)
	if noLat != nil || noLon != nil || !(near.Lat >= -90 && near.Lat <= 90 && near.Lon >= -180 && near.Lon <= 180) {
		return nil, outOfRange("near is a latitude and a longitude: 51.5,-0.12") // NaN is a number
	}
	return near, nil
}
