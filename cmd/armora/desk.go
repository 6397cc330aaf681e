package main

import (
	"context"

	"armora/dispatch"
)

// openDesk makes what takes quotes and bookings. Its jobs are run by openJobs.
func (h *hub) openDesk(context.Context, context.Context) error {
	h.desk = dispatch.NewDesk(dispatch.DeskConfig{
		DB: h.db, Bus: &h.bus, Map: h.index, Hash: h.keyring.Hash, Way: h.eta.Way, Terms: h.terms(), Lacking: h.consents.Lacking,
		Clock: h.clock, Log: h.log,
	})
	return nil
}
