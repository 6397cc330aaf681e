package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"armora/fleet"
	"armora/schema"
)

// Message is a message as its readers see it, by REST, WebSocket and MQTT alike. Who
// wrote it is known by their part in the trip, and of officers, of whom there may be
// several, by which of them it was.
type Message struct {
	Booking fleet.BookingID     `json:"trip_id" format:"uuid"`
	Seq     int64               `json:"seq" doc:"Its place among the events of the trip: messages come in this order, and there are gaps"`
	ID      fleet.ChatMessageID `json:"client_id" format:"uuid" doc:"Made up by whoever wrote it"`
	As      fleet.ActorKind     `json:"from" enum:"principal,officer,ops"`
	Officer fleet.DriverID      `json:"officer_id,omitzero" format:"uuid" doc:"Of an officer"`
	Text    string              `json:"text"`
	Sent    time.Time           `json:"sent_at" doc:"When the hub took it"`
}

// Mark is how far a conversation has come to the principal or an officer.
type Mark struct {
	As          fleet.ActorKind `json:"of" enum:"principal,officer"`
	Officer     fleet.DriverID  `json:"officer_id,omitzero" format:"uuid" doc:"Of an officer"`
	Delivered   int64           `json:"delivered" doc:"The seq up to which it has come to one of their apps"`
	DeliveredAt time.Time       `json:"delivered_at,omitzero"`
	Read        int64           `json:"read" doc:"The seq up to which they have read it"`
	ReadAt      time.Time       `json:"read_at,omitzero"`
}

// View is how a conversation stands, without its messages.
type View struct {
	Booking   fleet.BookingID `json:"trip_id" format:"uuid"`
	As        fleet.ActorKind `json:"as" enum:"principal,officer,ops" doc:"As whom the caller takes part"`
	Open      bool            `json:"open" doc:"False: the trip is over, and nothing more is written"`
	Ended     time.Time       `json:"ended_at,omitzero"`
	Marks     []Mark          `json:"marks"`
	Earlier   bool            `json:"earlier,omitempty" doc:"There are messages before the first that follows, which were not known to the watcher: they are read as history"`
	Principal fleet.UserID    `json:"-"`
	seq       int64           // of the trip's last event
}

func viewOf(booking fleet.BookingID, v schema.ChatView) View {
	shown := View{Booking: booking, As: v.As, Open: v.Ended.IsZero(), Ended: v.Ended, Principal: v.Principal, seq: v.Seq, Marks: make([]Mark, len(v.Marks))}
	for i, m := range v.Marks {
		shown.Marks[i] = Mark{m.As, m.Driver, m.Delivered, m.DeliveredAt, m.Read, m.ReadAt}
	}
	return shown
}

// Update is something new in a conversation: a message, or else how it stands.
type Update struct {
	Message *Message
	View    *View
}

// Frame is an update as it is sent: the JSON of the message, of type message, or of
// how the conversation stands, of type conversation.
func (u Update) Frame() ([]byte, error) {
	frame, err := json.Marshal(struct {
		Type string `json:"type"`
		*Message
	}{"message", u.Message})
	if u.Message == nil {
		frame, err = json.Marshal(struct {
			Type string `json:"type"`
			*View
		}{"conversation", u.View})
	}
	if err != nil {
		return nil, fmt.Errorf("write an update: %w", err)
	}
	return frame, nil
}

// Answer is what its author is told of a message: sent, or refused, by a code as of a
// problem.
type Answer struct {
	Type    string              `json:"type"`
	ID      fleet.ChatMessageID `json:"client_id"`
	Seq     int64               `json:"seq,omitempty"`
	Sent    time.Time           `json:"sent_at,omitzero"`
	Code    fleet.Code          `json:"code,omitempty"`
	Message string              `json:"message,omitempty"`
	Retry   int                 `json:"retry_after,omitempty"` // seconds
}

// Sent is the answer of a message that was stored.
func Sent(m *Message) Answer { return Answer{Type: "sent", ID: m.ID, Seq: m.Seq, Sent: m.Sent} }

// Refused says why a message was not sent; of what is the hub's own fault no more than
// that.
func Refused(id fleet.ChatMessageID, why error) Answer {
	answer := Answer{Type: "refused", ID: id, Code: fleet.CodeInternal, Message: "something went wrong here: try again"}
	if e, ok := errors.AsType[*fleet.Error](why); ok && e.Code != fleet.CodeInternal {
		answer.Code, answer.Message, answer.Retry = e.Code, e.Message, int((e.Retry+time.Second-1)/time.Second)
	}
	return answer
}
