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
// "read"}, by seq. What cannot be, because of what it says or who says it, is
// CodeInvalid: sent again it could not be either. A message that was stored comes back
// on …/chat, to its author as well.
func (r *Rooms) Receive(from *fleet.Identity, topic string, payload []byte) func(context.Context) error {
	var m struct {
		ID         fleet.ChatMessageID `json:"client_id"`
		Text       string              `json:"text"`
		QuickReply string              `json:"quick_reply"`
		Delivered  int64               `json:"delivered"`
		Read       int64               `json:"read"`
	}
	booking, err := tripOf(topic)
	if err == nil {
		err = json.Unmarshal(payload, &m)
	}
	if err != nil {
		return func(context.Context) error { return cannotBe(err) }
	}
	who := Reader{User: from.User}
	return func(ctx context.Context) (err error) {
		if m.Delivered > 0 || m.Read > 0 {
			err = r.Mark(ctx, who, booking, m.Delivered, m.Read)
		} else {
			_, err = r.Send(ctx, who, Draft{Booking: booking, ID: m.ID, Text: m.Text, QuickReply: m.QuickReply})
		}
		switch fleet.CodeOf(err) {
		case fleet.CodeNotFound, fleet.CodeForbidden, fleet.CodeConflict, fleet.CodeTooMany:
			return cannotBe(err)
		}
		return err
	}
}

func cannotBe(err error) error {
	return &fleet.Error{Code: fleet.CodeInvalid, Message: "chat: " + err.Error(), Err: err}
}

// tripOf is the trip that a topic, v1/trips/{trip}/…, names.
func tripOf(topic string) (fleet.BookingID, error) {
	levels := strings.Split(topic, "/")
	if len(levels) < 3 {
		return fleet.BookingID{}, fmt.Errorf("topic %q names no trip", topic)
	}
	return fleet.ParseID[fleet.Booking](levels[2])
}
