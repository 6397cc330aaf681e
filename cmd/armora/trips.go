package main

import (
	"cmp"
	"context"
	"errors"
	"time"

	"armora/dispatch"
	"armora/fleet"
)

// tripSettings are how long officers may work, and how long nothing may be heard
// of them.
type tripSettings struct {
	ShiftLimit  time.Duration `name:"shift-limit" env:"ARMORA_SHIFT_LIMIT" default:"12h" group:"dispatch" help:"How long an officer may be on duty within 24 hours."`
	RestAfter   time.Duration `name:"rest-after" env:"ARMORA_REST_AFTER" default:"6h" group:"dispatch" help:"How long an officer may be on duty without a rest."`
	Rest        time.Duration `name:"rest" env:"ARMORA_REST" default:"30m" group:"dispatch" help:"How long a break, or time off duty, is a rest."`
	SilentAfter time.Duration `name:"silent-after" env:"ARMORA_SILENT_AFTER" default:"2m" group:"dispatch" help:"After how long without a position ops are told that the officer of a trip is silent."`
}

// checkTrips takes what is not set for the default.
func (s *tripSettings) checkTrips() error {
	if min(s.ShiftLimit, s.RestAfter, s.Rest, s.SilentAfter) < 0 {
		return errors.New("--shift-limit, --rest-after, --rest and --silent-after are not negative")
	}
	return nil
}

func (s *tripSettings) rules() dispatch.TripRules {
	work := fleet.DefaultWorkLimits()
	work.Shift, work.Stretch, work.Rest = cmp.Or(s.ShiftLimit, work.Shift), cmp.Or(s.RestAfter, work.Stretch), cmp.Or(s.Rest, work.Rest)
	return dispatch.TripRules{Work: work, SilentAfter: s.SilentAfter}
}

// openTrips watches the trips that are under way. The map is loaded already: who
// was heard before the hub was down is where they were.
func (h *hub) openTrips(ctx, _ context.Context) (err error) {
	h.trips, err = dispatch.NewTrips(dispatch.TripsConfig{
		DB: h.db, Bus: &h.bus, Map: h.index, Between: h.eta.Between, Rules: h.settings.rules(), Clock: h.clock, Log: h.log, Metrics: h.registry,
		StartCode: func(id fleet.BookingID) string { return dispatch.StartCode(h.keyring.Hash, id) },
	})
	if err != nil {
		return err
	}
	h.onClose("trips", func(context.Context) error {
		h.trips.Close()
		return nil
	})
	return h.trips.Open(ctx)
}
