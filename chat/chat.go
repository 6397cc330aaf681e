// Package chat is a trip's conversation: of its principal, the officers who are
// assigned to it, and ops.
//
// What is written is stored before it is answered, in the order of the trip's
// events, and is then in the database alone: who listens (Watch, Relay) is woken
// and reads what is new for them. So the right to read is checked at each delivery,
// by the statement that reads, and nothing that a listener was too slow for is lost.
package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
)

// Limits of what may be written.
const (
	MaxText = 2000 // characters of a message
	// maxMessages is how many one person may write in one conversation within a minute.
	maxMessages = 20
)

// PushAfter is how long a message may take to come to somebody's app before they are
// pushed to.
const PushAfter = 5 * time.Second

// readableFor is for how long officers may read what was written on a trip that has
// ended, which is for how long dispatch shows them its principal.
const readableFor = 24 * time.Hour

// Config is what Rooms needs. All is required.
type Config struct {
	DB     *schema.DB
	Seal   func(plain []byte, purpose string) []byte
	Unseal func(sealed []byte, purpose string) ([]byte, error)
	Bus    *bus.Bus
	Clock  fleet.Clock
	Log    *slog.Logger
}

// Rooms are the conversations of a hub. They are safe for concurrent use.
type Rooms struct {
	cfg   Config
	chats schema.Chats
}

// New returns the conversations of a hub.
func New(cfg Config) *Rooms { return &Rooms{cfg: cfg, chats: schema.Chats{DB: cfg.DB}} }

// Reader is who wants something of a conversation.
type Reader struct {
	User fleet.UserID // zero: the bootstrap admin, who may but look
	Ops  bool
}

func (r *Rooms) participant(who Reader) schema.Participant {
	return schema.Participant{User: who.User, Ops: who.Ops, Since: r.cfg.Clock.Now().Add(-readableFor)}
}

// Draft is what somebody wants to write: a text, or one of the quick replies of
// their part by its id.
type Draft struct {
	Booking    fleet.BookingID
	ID         fleet.ChatMessageID
	Text       string
	QuickReply string
}

// Send writes in a conversation. The same id again, by the same author, is answered
// as it was first, also when the trip is over by now; with another text it is
// CodeInvalid. A trip that is over is CodeConflict, more than twenty messages a
// minute CodeTooMany, a conversation in which one takes no part CodeNotFound.
func (r *Rooms) Send(ctx context.Context, who Reader, d Draft) (Message, error) {
	if who.User.IsZero() {
		return Message{}, &fleet.Error{Code: fleet.CodeForbidden, Message: "a conversation is for people: sign in"}
	}
	text, err := r.text(ctx, who, &d)
	if fleet.CodeOf(err) == fleet.CodeInvalid { // whose conversation it is not, finds none whatever they say
		if _, none := r.View(ctx, who, d.Booking); none != nil {
			err = none
		}
	}
	if err != nil {
		return Message{}, err
	}
	m := fleet.ChatMessage{Booking: d.Booking, ID: d.ID, Author: who.User}
	plain, err := json.Marshal(text)
	if err != nil {
		return Message{}, fmt.Errorf("write a message: %w", err)
	}
	m.Sealed = r.cfg.Seal(plain, m.Purpose())
	limit := schema.ChatLimit{Most: maxMessages, Within: time.Minute}
	said, err := r.chats.Say(ctx, r.participant(who), m, limit, PushAfter, r.cfg.Clock.Now())
	if err != nil {
		return Message{}, err
	}
	shown, err := r.open(&said.Message)
	switch {
	case err != nil:
		return Message{}, err
	case said.Again && shown.Text != text:
		return Message{}, &fleet.Error{Code: fleet.CodeInvalid, Message: "another message of yours has this client_id"}
	case !said.Again:
		r.cfg.Bus.Chats.Publish(bus.ChatChange{Booking: d.Booking, Seq: shown.Seq})
	}
	return shown, nil
}

// text is what a draft says, if it may be written.
func (r *Rooms) text(ctx context.Context, who Reader, d *Draft) (string, error) {
	text := strings.TrimSpace(d.Text)
	switch {
	case d.ID.IsZero():
		return "", flaw("client_id", "is missing: make one up for each message")
	case d.QuickReply != "" && text != "":
		return "", flaw("quick_reply", "stands in the place of a text")
	case d.QuickReply != "":
		v, err := r.chats.View(ctx, r.participant(who), d.Booking)
		if err != nil {
			return "", err
		}
		for _, q := range quickReplies[v.As] {
			if q.ID == d.QuickReply {
				return q.Text, nil
			}
		}
		return "", flaw("quick_reply", "is none of yours")
	case text == "":
		return "", flaw("text", "is empty")
	case utf8.RuneCountInString(text) > MaxText:
		return "", flaw("text", fmt.Sprintf("has more than %d characters", MaxText))
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(c rune) bool { return unicode.IsControl(c) && c != '\n' && c != '\t' }):
		return "", flaw("text", "has characters that are no text")
	}
	return text, nil
}

func flaw(location, message string) error {
	return &fleet.Error{Code: fleet.CodeInvalid, Message: "this cannot be sent: " + location + " " + message,
		Flaws: []fleet.Flaw{{Location: location, Message: message}}}
}

// open reads a message. The error holds nothing of what it says.
func (r *Rooms) open(m *fleet.ChatMessage) (Message, error) {
	shown := Message{Booking: m.Booking, Seq: m.Seq, ID: m.ID, As: m.As, Officer: m.Driver, Sent: m.Sent}
	plain, err := r.cfg.Unseal(m.Sealed, m.Purpose())
	if err != nil {
		return shown, fmt.Errorf("read message %d of %s: %w", m.Seq, m.Booking, err)
	}
	if json.Unmarshal(plain, &shown.Text) != nil { // whose error would quote it
		return shown, errors.New("a message is not of the form that messages have")
	}
	return shown, nil
}

func (r *Rooms) openAll(messages []fleet.ChatMessage, err error) ([]Message, error) {
	if err != nil {
		return nil, err
	}
	shown := make([]Message, len(messages))
	for i := range messages {
		if shown[i], err = r.open(&messages[i]); err != nil {
			return nil, err
		}
	}
	return shown, nil
}

// View returns a conversation without its messages, to who takes part in it; to
// anybody else there is none: CodeNotFound.
func (r *Rooms) View(ctx context.Context, who Reader, booking fleet.BookingID) (View, error) {
	v, err := r.chats.View(ctx, r.participant(who), booking)
	return viewOf(booking, v), err
}

// Since returns up to limit messages with a seq beyond after, in order.
func (r *Rooms) Since(ctx context.Context, who Reader, booking fleet.BookingID, after int64, limit int) ([]Message, error) {
	return r.openAll(r.chats.After(ctx, r.participant(who), booking, after, limit))
}

// Before returns up to limit messages with a seq below before, the newest first.
func (r *Rooms) Before(ctx context.Context, who Reader, booking fleet.BookingID, before int64, limit int) ([]Message, error) {
	return r.openAll(r.chats.Before(ctx, r.participant(who), booking, before, limit))
}

// Mark says how far a conversation has come to the reader, by seq: delivered to one
// of their apps, and read. Zero says nothing; a mark does not go back.
func (r *Rooms) Mark(ctx context.Context, who Reader, booking fleet.BookingID, delivered, read int64) error {
	news, err := r.chats.Mark(ctx, r.participant(who), booking, delivered, read, r.cfg.Clock.Now())
	if news {
		r.cfg.Bus.Chats.Publish(bus.ChatChange{Booking: booking})
	}
	return err
}

// Conversation is one of somebody's conversations.
type Conversation struct {
	fleet.Conversation
	Last Message
}

// Conversations returns up to limit conversations of the reader's, that in which was
// written last first, beyond a place.
func (r *Rooms) Conversations(ctx context.Context, who Reader, after schema.ConversationPlace, limit int) ([]Conversation, error) {
	found, err := r.chats.Conversations(ctx, r.participant(who), after, limit)
	if err != nil {
		return nil, err
	}
	shown := make([]Conversation, len(found))
	for i := range found {
		shown[i].Conversation = found[i]
		if shown[i].Last, err = r.open(&found[i].Last); err != nil {
			return nil, err
		}
	}
	return shown, nil
}
