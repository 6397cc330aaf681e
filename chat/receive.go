package chat

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"armora/fleet"
)

// Receive reads what a phone publishes on v1/trips/{trip}/chat/send, and returns what
// stores it: a message, {"client_id", "text" or "quick_reply"}, or marks, {"delivered",
// "read"}, by seq. A message that was stored comes back on …/chat, to its author as
// well. Of one that store refuses, refusal makes the frame by which its author is told
// there; nil: it is none of a message, or of a trip in which they take no part.
func (r *Rooms) Receive(from *fleet.Identity, topic string, payload []byte) (store func(context.Context) error, refusal func(error) []byte) {
	var m struct {
		ID         fleet.ChatMessageID `json:"client_id"`
		Text       string              `json:"text"`
		QuickReply string              `json:"quick_reply"`
		Delivered  int64               `json:"delivered"`
		Read       int64               `json:"read"`
	}
	booking, unread := TripOf(topic)
	if unread == nil {
		unread = json.Unmarshal(payload, &m)
	}
	who := Reader{User: from.User}
	store = func(ctx context.Context) error {
		switch {
		case unread != nil:
			return &fleet.Error{Code: fleet.CodeInvalid, Message: "this is neither a message nor marks", Err: unread}
		case m.Delivered > 0 || m.Read > 0:
			return r.Mark(ctx, who, booking, m.Delivered, m.Read)
		}
		_, err := r.Send(ctx, who, Draft{Booking: booking, ID: m.ID, Text: m.Text, QuickReply: m.QuickReply})
		return err
	}
	return store, func(why error) []byte {
		if m.ID.IsZero() || fleet.CodeOf(why) == fleet.CodeNotFound {
			return nil
		}
		frame, err := json.Marshal(Refused(m.ID, why))
		if err != nil {
			r.cfg.Log.Error("a refusal cannot be written", "error", err)
		}
		return frame
	}
}

// TripOf is the trip that a topic, v1/trips/{trip}/…, names.
func TripOf(topic string) (fleet.BookingID, error) {
	levels := strings.Split(topic, "/")
	if len(levels) < 3 {
		return fleet.BookingID{}, fmt.Errorf("topic %q names no trip", topic)
	}
	return fleet.ParseID[fleet.Booking](levels[2])
}
