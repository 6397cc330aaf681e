package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"armora/dispatch/eta"
	"armora/dispatch/place"
	"armora/fleet"
)

// travelSettings say by whom the hub learns how far it is, and where.
type travelSettings struct {
	Zone string `name:"zone" env:"ARMORA_ZONE" default:"Europe/London" group:"dispatch" help:"IANA time zone of the service area, whose clock says how busy the roads are."`

	OSRMURL            string `name:"osrm-url" env:"OSRM_URL" group:"dispatch" help:"OSRM server that travel times are asked of, http://host:5000; without it, and whenever it fails, a built-in model gives them."`
	OSRMMaxCoordinates int    `name:"osrm-max-coordinates" env:"ARMORA_OSRM_MAX_COORDINATES" default:"100" group:"dispatch" help:"Coordinates of one request to it, no more than its --max-table-size."`

	GeocoderURL  string  `name:"geocoder-url" env:"ARMORA_GEOCODER_URL" group:"dispatch" help:"Geocoder by which people look for places: https://host/api of a Photon, https://host/search of a Nominatim; without it there is none. It may hold a key: set it in the environment."`
	GeocoderRate float64 `name:"geocoder-rate" env:"ARMORA_GEOCODER_RATE" default:"10" group:"dispatch" help:"Searches a second that it gets at most; a public Nominatim allows 1."`
}

// estimator makes what tells travel times. It asks nothing yet.
func (s *settings) estimator(log *slog.Logger, metrics prometheus.Registerer) (*eta.Estimator, error) {
	zone, err := time.LoadLocation(s.Zone)
	if err != nil {
		return nil, fmt.Errorf("--zone: %w", err)
	}
	return eta.New(eta.Config{OSRM: s.OSRMURL, MaxCoordinates: s.OSRMMaxCoordinates, Zone: zone, Log: log, Metrics: metrics})
}

// geocoder makes what finds places; nil if the hub has none. It asks nothing yet.
func (s *settings) geocoder(clock fleet.Clock, metrics prometheus.Registerer) (*place.Geocoder, error) {
	if s.GeocoderURL == "" {
		return nil, nil
	}
	if s.GeocoderRate <= 0 {
		return nil, errors.New("--geocoder-rate is greater than 0")
	}
	return place.New(place.Config{URL: s.GeocoderURL, PerSecond: s.GeocoderRate, Clock: clock, Metrics: metrics})
}

// checkTravel says what is wrong with the settings before anything starts.
func (s *settings) checkTravel() error {
	if _, err := s.estimator(slog.New(slog.DiscardHandler), nil); err != nil {
		return err
	}
	_, err := s.geocoder(fleet.SystemClock{}, nil)
	return err
}

// openTravel makes what knows ways and places.
func (h *hub) openTravel(context.Context, context.Context) (err error) {
	if h.eta, err = h.settings.estimator(h.log, h.registry); err != nil {
		return err
	}
	if h.places, err = h.settings.geocoder(h.clock, h.registry); err != nil {
		return err
	}
	h.onClose("travel", func(context.Context) error {
		h.eta.Close()
		if h.places != nil {
			h.places.Close()
		}
		return nil
	})
	return nil
}
