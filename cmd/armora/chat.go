package main

import (
	"context"

	"armora/broker"
	"armora/chat"
	"armora/fleet"
	"armora/ingest"
)

// openChat makes the conversations of trips. Its jobs are run by openJobs.
func (h *hub) openChat(context.Context, context.Context) error {
	h.chat = chat.New(chat.Config{DB: h.db, Seal: h.keyring.Seal, Unseal: h.keyring.Unseal, Bus: &h.bus, Clock: h.clock, Log: h.log})
	return nil
}

// say hands what a phone writes in a conversation to it. What is refused, its phone is
// told on the topic of the conversation, and by the reason code of its PUBACK.
func (h *hub) say(m ingest.Message) {
	store, refusal := h.chat.Receive(m.From, m.Topic, m.Payload)
	h.notices.Answer(m, "chat", store, func(why error) {
		trip, err := chat.TripOf(m.Topic)
		if frame := refusal(why); frame != nil && err == nil {
			h.broker.PublishTrip(trip, broker.TripChat, frame, func(id *fleet.Identity) bool { return id.Device == m.From.Device })
		}
	})
}

// followChat tells a phone that follows the conversation of a trip what is new there,
// until ctx ends or its person takes no part any more: how it stands and the newest
// messages first, since a phone that comes back does not say what it knows.
func (h *hub) followChat(ctx context.Context, f *broker.Follower) {
	who := chat.Reader{User: f.Identity().User}
	err := h.chat.Watch(ctx, who, f.Trip, -1, func(u chat.Update) error {
		frame, err := u.Frame()
		if err == nil {
			f.Send(frame)
		}
		return err
	})
	if ctx.Err() == nil && fleet.CodeOf(err) != fleet.CodeNotFound {
		h.log.Error("a conversation could not be told to a phone", "device", f.Identity().Device, "error", err)
	}
}
