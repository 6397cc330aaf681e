package main

import (
	"context"

	"armora/dispatch"
)

// openDesk makes what takes quotes and bookings. Its jobs are run by openJobs.
func (h *hub) openDesk(context.Context, context.Context) error {
	cfg := dispatch.DeskConfig{
		DB: h.db, Bus: &h.bus, Map: h.index, Hash: h.keyring.Hash, Way: h.eta.Way, Terms: h.terms(), Lacking: h.consents.Lacking,
		Clock: h.clock, Log: h.log,
	}
	if h.members != nil {
		cfg.Member = h.members.Member
	}
	h.desk = dispatch.NewDesk(cfg)
	return nil
}
