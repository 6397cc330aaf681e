package place

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// dialect is how a geocoder is spoken to.
type dialect interface {
	ask(query url.Values, s search)
	read(body []byte) ([]Place, error)
}

// photon is https://github.com/komoot/photon: GeoJSON.
type photon struct{}

func (photon) ask(query url.Values, s search) {
	query.Set("q", s.text)
	query.Set("limit", strconv.Itoa(found))
	if s.here {
		query.Set("lat", strconv.FormatFloat(s.near.Lat, 'f', -1, 64))
		query.Set("lon", strconv.FormatFloat(s.near.Lon, 'f', -1, 64))
	}
}

type photonAnswer struct {
	Features *[]struct {
		Geometry struct {
			Coordinates []float64 // longitude first
		}
		Properties struct {
			Name, Street, HouseNumber, District, City, PostCode, Country string

			Kind string `json:"osm_value"`
		}
	}
}

func (photon) read(body []byte) ([]Place, error) {
	var answer photonAnswer
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	if answer.Features == nil {
		return nil, fmt.Errorf("no features")
	}
	var places []Place
	for _, f := range *answer.Features {
		if len(f.Geometry.Coordinates) < 2 {
			continue
		}
		p := f.Properties
		town := p.City
		if town == "" {
			town = p.District
		}
		places = append(places, Place{
			Label: label(p.Name, join(" ", p.HouseNumber, p.Street), join(" ", town, p.PostCode), p.Country),
			Lat:   f.Geometry.Coordinates[1], Lon: f.Geometry.Coordinates[0], Kind: p.Kind,
		})
	}
	return places, nil
}

// label joins what is known of a place, once each: a city is in the city of its name.
func label(parts ...string) string { return strings.Join(slices.Compact(known(parts)), ", ") }

func join(separator string, parts ...string) string { return strings.Join(known(parts), separator) }

// known leaves out what is empty.
func known(parts []string) []string {
	return slices.DeleteFunc(parts, func(part string) bool { return strings.TrimSpace(part) == "" })
}

// nominatim is https://nominatim.org, and those that speak as it does.
type nominatim struct{}

// aside is how far around the searcher places come first, in degrees.
const aside = 0.5

func (nominatim) ask(query url.Values, s search) {
	query.Set("q", s.text)
	query.Set("format", "jsonv2")
	query.Set("limit", strconv.Itoa(found))
	if s.here {
		query.Set("viewbox", fmt.Sprintf("%.2f,%.2f,%.2f,%.2f", s.near.Lon-aside, s.near.Lat-aside, s.near.Lon+aside, s.near.Lat+aside))
	}
}

func (nominatim) read(body []byte) ([]Place, error) {
	var answer []struct {
		Lat, Lon float64 `json:",string"`
		Label    string  `json:"display_name"`
		Kind     string  `json:"type"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	if answer == nil {
		return nil, fmt.Errorf("no list")
	}
	var places []Place
	for _, p := range answer {
		places = append(places, Place{Label: p.Label, Lat: p.Lat, Lon: p.Lon, Kind: p.Kind})
	}
	return places, nil
}
