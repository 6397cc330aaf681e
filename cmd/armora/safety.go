package main

import (
	"context"

	"armora/fleet"
	"armora/ingest"
	"armora/safety"
	"armora/schema"
)

// newWatch makes what sees to emergencies, whether the database is there or not.
func (h *hub) newWatch() (err error) {
	h.watch, err = safety.New(safety.Config{
		DB: h.db, Sealer: h.keyring, Dir: h.settings.dataDir(),
		Send: h.notify.Direct, Contact: h.contacts.Open, Command: h.commands.Send, Code: h.keyring.HashCode, Known: h.letIn,
		Bus: &h.bus, Clock: h.clock, Log: h.log, Metrics: h.registry,
	})
	return err
}

// openSafety comes before the doors are opened, and so closes after them.
func (h *hub) openSafety(ctx, _ context.Context) error {
	if err := h.newWatch(); err != nil {
		return err
	}
	h.onClose("emergencies", func(context.Context) error {
		h.watch.Close()
		return nil
	})
	return h.watch.Open(ctx)
}

// letIn says who is let in while the database is away.
func (h *hub) letIn(b *schema.SOSBook) {
	h.sessions.Hold(b.Sessions)
	h.devices.Hold(b.Devices)
}

// keep says whether a person's phone may be followed at a time: at work, on a trip, or
// in an emergency.
func (h *hub) keep(user fleet.UserID, at fleet.Millis) bool {
	return h.spells.Keep(user, at) || h.watch.Follows(user, at)
}

// event takes what happened at a device. An emergency does not wait for the database.
func (h *hub) event(m ingest.Message) {
	if !safety.IsEmergency(m.Payload) {
		// The topic is urgent: what waits for the database is counted all the same.
		if err := m.Ack.Weigh(len(m.Topic) + len(m.Payload)); err != nil {
			m.Ack.Resolve(err)
			return
		}
		h.notices.Event(m)
		return
	}
	h.emergency(m)
}

func (h *hub) emergency(m ingest.Message) {
	h.watch.Receive(safety.Message{From: m.From, Payload: m.Payload, Received: m.Received, Ack: func(err error) {
		m.Ack.Resolve(err)
		m.Ack.Flush()
	}})
}
