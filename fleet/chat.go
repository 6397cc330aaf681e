package fleet

import "time"

// ChatMessageID identifies a message of a conversation. Whoever writes it makes it
// up, so that a message that is sent twice is one.
type ChatMessageID = ID[ChatMessage]

// ChatMessage is something that was written in the conversation of a trip. Its Seq
// is that of the booking's event that tells of it: the messages of a trip have the
// order in which they were committed, and gaps where something else has happened.
type ChatMessage struct {
	Booking BookingID
	Seq     int64
	ID      ChatMessageID
	Author  UserID
	As      ActorKind // as whom they wrote: principal, officer or ops
	Driver  DriverID  // of an officer
	Sealed  []byte    // the text, sealed for Purpose, as a JSON string
	Sent    time.Time // when the hub took it
}

// Purpose is what the text is sealed for. It names the place of the message: one
// that was moved to another conversation, or given to another author, does not open.
func (m *ChatMessage) Purpose() string {
	return "chat/" + m.Booking.String() + "/" + m.Author.String() + "/" + m.ID.String()
}

// ChatMark is how far a conversation has reached one of its participants.
type ChatMark struct {
	As          ActorKind
	Driver      DriverID // of an officer
	Delivered   int64    // up to which seq it has come to one of their apps
	DeliveredAt time.Time
	Read        int64 // up to which seq they have seen it; at most Delivered
	ReadAt      time.Time
}

// Conversation is the chat of a trip as one of its participants finds it.
type Conversation struct {
	Booking BookingID
	Status  BookingStatus
	Start   time.Time
	Ended   time.Time // zero: it has not; from then on the chat is read only
	As      ActorKind // as whom they take part
	Last    ChatMessage
	Unread  int // messages of others, beyond their read mark
}

// ChatPushJob looks whether a message has come to somebody, and pushes to their
// apps that there is one if not.
type ChatPushJob struct {
	Booking BookingID `json:"booking"`
	Seq     int64     `json:"seq"`
	User    UserID    `json:"user"`
}

// Kind names the job.
func (ChatPushJob) Kind() string { return "chat_push" }
