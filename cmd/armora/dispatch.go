package main

import (
	"context"
	"os"

	"armora/dispatch"
	"armora/ingest"
)

// area is what this hub's engine dispatches: everything.
const area = "all"

// openDispatch makes the parts of dispatch. The engine leads, or waits to.
func (h *hub) openDispatch(context.Context, context.Context) error {
	holder, err := os.Hostname()
	if err != nil {
		holder = "unknown"
	}
	h.engine, err = dispatch.NewEngine(dispatch.EngineConfig{
		DB: h.db, Bus: &h.bus, Map: h.index, Travel: h.eta, Clock: h.clock, Log: h.log, Metrics: h.registry,
		Area: area, Holder: holder, Work: h.settings.rules().Work,
		OffDuty: h.officers.OffDuty,
	})
	if err != nil {
		return err
	}
	h.engine.Open()
	h.onClose("dispatch", func(context.Context) error {
		h.engine.Close()
		return nil
	})
	return nil
}

// reply hands what an officer answers to an offer to the engine.
func (h *hub) reply(m ingest.Message) {
	h.notices.Hand(m, "reply", h.engine.Reply(m.From, m.Payload))
}
