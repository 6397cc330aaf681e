package main

import (
	"context"

	"armora/chat"
	"armora/ingest"
)

// openChat makes the conversations of trips. Its jobs are run by openJobs.
func (h *hub) openChat(context.Context, context.Context) error {
	h.chat = chat.New(chat.Config{DB: h.db, Seal: h.keyring.Seal, Unseal: h.keyring.Unseal, Bus: &h.bus, Clock: h.clock, Log: h.log})
	return nil
}

// say hands what a phone writes in a conversation to it.
func (h *hub) say(m ingest.Message) {
	h.notices.Hand(m, "chat", h.chat.Receive(m.From, m.Topic, m.Payload))
}
