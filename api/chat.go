package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/chat"
	"armora/fleet"
	"armora/schema"
)

// ChatPath names a conversation by its trip.
type ChatPath struct {
	Trip fleet.BookingID `path:"tripId" format:"uuid"`
}

// ChatDraft is a message that somebody wants to write.
type ChatDraft struct {
	ID         fleet.ChatMessageID `json:"client_id" format:"uuid" doc:"Made up by whoever writes it: sent again it is answered as it was first"`
	Text       string              `json:"text,omitempty" maxLength:"2000"`
	QuickReply string              `json:"quick_reply,omitempty" maxLength:"40" doc:"The id of a quick reply, in place of a text"`
}

// ChatMarks are how far a conversation has come to the caller.
type ChatMarks struct {
	Delivered int64 `json:"delivered,omitempty" minimum:"0" doc:"The seq up to which it has come to this app"`
	Read      int64 `json:"read,omitempty" minimum:"0" doc:"The seq up to which it was read; what was read was delivered"`
}

// Conversation is one of the caller's conversations.
type Conversation struct {
	TripID   fleet.BookingID     `json:"trip_id" format:"uuid"`
	As       fleet.ActorKind     `json:"as" enum:"principal,officer"`
	Status   fleet.BookingStatus `json:"status" doc:"Of the trip"`
	StartsAt time.Time           `json:"starts_at"`
	EndedAt  time.Time           `json:"ended_at,omitzero"`
	Open     bool                `json:"open" doc:"False: the trip is over, and nothing more is written"`
	Last     chat.Message        `json:"last_message"`
	Unread   int                 `json:"unread" doc:"Messages of others beyond the caller's read mark"`
}

// ChatQuickReply is something that can be said with one touch.
type ChatQuickReply struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

type chatMessageOutput struct{ Body chat.Message }

type listMessagesInput struct {
	ChatPath
	PageQuery
	Since int64 `query:"since" default:"-1" minimum:"-1" doc:"Those with a seq beyond, in order, as one fetches what one has missed; absent: all, the newest first"`
}

type messagesOutput struct {
	Body struct {
		Items        []chat.Message `json:"items"`
		Next         string         `json:"next_cursor,omitempty" doc:"Gives the next page; absent on the last"`
		Conversation chat.View      `json:"conversation"`
	}
}

type chatSocketInput struct {
	TicketQuery
	ChatPath
	Since int64 `query:"since" default:"-1" minimum:"-1" doc:"The seq of the last message that is known; absent: none is"`
}

const chatDescription = "Of the principal, the officers who are assigned (to a day after the end, for those who were then) and ops. Read only once the trip is over. "

func (s *Server) addChat() {
	tags := []string{"chat"}
	route(s, only(fleet.RoleRider, fleet.RoleDriver), huma.Operation{
		OperationID: "list-conversations", Method: http.MethodGet, Path: "/api/conversations",
		Summary: "List one's own conversations, that in which was written last first", Tags: tags,
	}, s.listConversations)
	route(s, aboutBookings(), huma.Operation{
		OperationID: "list-chat-messages", Method: http.MethodGet, Path: "/api/chat/{tripId}/messages",
		Summary: "Read the conversation of a trip", Tags: tags,
		Description: chatDescription + "That ops have read is entered in the audit log.",
	}, s.listMessages)
	route(s, aboutBookings(), huma.Operation{
		OperationID: "send-chat-message", Method: http.MethodPost, Path: "/api/chat/{tripId}/messages", DefaultStatus: http.StatusCreated,
		Summary: "Write in the conversation of a trip", Tags: tags,
		Description: chatDescription + "Twenty messages a minute at most. To who has not marked it delivered within five seconds it is pushed that there is a message.",
	}, s.sendMessage)
	route(s, only(fleet.RoleRider, fleet.RoleDriver), huma.Operation{
		OperationID: "mark-chat", Method: http.MethodPut, Path: "/api/chat/{tripId}/marks", DefaultStatus: http.StatusNoContent,
		Summary: "Say how far a conversation has come to one, and was read; a mark does not go back", Tags: tags,
	}, s.markChat)
	route(s, aboutBookings(), huma.Operation{
		OperationID: "list-quick-replies", Method: http.MethodGet, Path: "/api/chat/{tripId}/quick-replies",
		Summary: "List what can be said with one touch, as the caller's part in the trip has it", Tags: tags,
	}, s.listQuickReplies)
	socketRoute(s, aboutBookings().ticketed(fleet.OpensChat), huma.Operation{
		OperationID: "chat", Path: "/api/chat/{tripId}",
		Summary: "Take part in the conversation of a trip over a WebSocket", Tags: tags,
		Description: chatDescription + "First comes how it stands (conversation), then the newest messages beyond since, 50 at most; then whatever is new (message, conversation). " +
			"One writes {\"type\":\"send\",\"client_id\",\"text\" or \"quick_reply\"}, answered by sent or refused with the same client_id, and {\"type\":\"mark\",\"delivered\",\"read\"}. See docs/chat.md.",
	}, s.openChat)
}

// chatReader says as whom the caller looks for conversations.
func chatReader(ctx context.Context) chat.Reader {
	caller := callerOf(ctx)
	return chat.Reader{User: caller.User, Ops: caller.Has(fleet.RoleDispatcher, fleet.RoleAdmin)}
}

func (s *Server) listConversations(ctx context.Context, in *PageQuery) (*pageOutput[Conversation], error) {
	var after schema.ConversationPlace
	if err := readCursor(in.Cursor, &after); err != nil {
		return nil, err
	}
	rows, err := s.cfg.Chat.Conversations(ctx, chatReader(ctx), after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return newPage(rows, in.Limit, func(c chat.Conversation) Conversation {
		return Conversation{TripID: c.Booking, As: c.As, Status: c.Status, StartsAt: c.Start, EndedAt: c.Ended, Open: c.Ended.IsZero(), Last: c.Last, Unread: c.Unread}
	}, func(c chat.Conversation) any { return schema.ConversationPlace{Sent: c.Last.Sent, Booking: c.Booking} })
}

// seeChat returns a conversation as it stands, and enters it in the audit log of ops.
func (s *Server) seeChat(ctx context.Context, trip fleet.BookingID) (chat.View, error) {
	v, err := s.cfg.Chat.View(ctx, chatReader(ctx), trip)
	if err == nil && v.As == fleet.ByOps {
		err = s.audited(ctx, "read_chat", "booking/"+trip.String(), []fleet.UserID{v.Principal}, nil)
	}
	return v, err
}

func (s *Server) listMessages(ctx context.Context, in *listMessagesInput) (*messagesOutput, error) {
	place, read := in.Since, s.cfg.Chat.Since
	if in.Since < 0 {
		place, read = 1<<62, s.cfg.Chat.Before
	}
	if err := readCursor(in.Cursor, &place); err != nil {
		return nil, err
	}
	v, err := s.seeChat(ctx, in.Trip)
	if err != nil {
		return nil, err
	}
	rows, err := read(ctx, chatReader(ctx), in.Trip, place, in.Limit+1)
	if err != nil {
		return nil, err
	}
	found, err := newPage(rows, in.Limit, func(m chat.Message) chat.Message { return m }, func(m chat.Message) any { return m.Seq })
	if err != nil {
		return nil, err
	}
	out := &messagesOutput{}
	out.Body.Items, out.Body.Next, out.Body.Conversation = found.Body.Items, found.Body.Next, v
	return out, nil
}

func (d *ChatDraft) draft(trip fleet.BookingID) chat.Draft {
	return chat.Draft{Booking: trip, ID: d.ID, Text: d.Text, QuickReply: d.QuickReply}
}

func (s *Server) sendMessage(ctx context.Context, in *struct {
	ChatPath
	Body ChatDraft
}) (*chatMessageOutput, error) {
	m, err := s.cfg.Chat.Send(ctx, chatReader(ctx), in.Body.draft(in.Trip))
	return &chatMessageOutput{Body: m}, err
}

func (s *Server) markChat(ctx context.Context, in *struct {
	ChatPath
	Body ChatMarks
}) (*struct{}, error) {
	return nil, s.cfg.Chat.Mark(ctx, chatReader(ctx), in.Trip, in.Body.Delivered, in.Body.Read)
}

func (s *Server) listQuickReplies(ctx context.Context, in *ChatPath) (*pageOutput[ChatQuickReply], error) {
	v, err := s.cfg.Chat.View(ctx, chatReader(ctx), in.Trip)
	if err != nil {
		return nil, err
	}
	replies := chat.QuickReplies(v.As)
	return newPage(replies, len(replies), func(q chat.QuickReply) ChatQuickReply { return ChatQuickReply(q) }, func(chat.QuickReply) any { return nil })
}

// openChat lets in who takes part.
func (s *Server) openChat(ctx context.Context, in *chatSocketInput) (talk, error) {
	if _, err := s.seeChat(ctx, in.Trip); err != nil {
		return talk{}, err
	}
	return talk{
		begin: func(ctx context.Context, l *line) error {
			s.lines.serving.Go(func() { s.tellChat(ctx, l, in) })
			return nil
		},
		hear: func(ctx context.Context, l *line, message []byte) error { return s.hearChat(ctx, l, in.Trip, message) },
	}, nil
}

// tellChat tells a line what is new until it ends.
func (s *Server) tellChat(ctx context.Context, l *line, in *chatSocketInput) {
	defer s.recoverLine(l)
	err := s.cfg.Chat.Watch(ctx, chatReader(ctx), in.Trip, in.Since, func(u chat.Update) error {
		frame, err := u.Frame()
		if err == nil {
			l.Send(frame)
		}
		return err
	})
	l.Finish(closingFor(err))
}

// hearChat takes what a client says. A message that is refused does not end the
// socket, unless it is because its author takes no part any more.
func (s *Server) hearChat(ctx context.Context, l *line, trip fleet.BookingID, message []byte) error {
	var said struct {
		Type string `json:"type"`
		ChatDraft
		ChatMarks
	}
	if json.Unmarshal(message, &said) != nil {
		return &ending{closedMessage}
	}
	switch said.Type {
	case "mark":
		err := s.cfg.Chat.Mark(ctx, chatReader(ctx), trip, said.Delivered, said.Read)
		if fleet.CodeOf(err) == fleet.CodeForbidden {
			return nil // ops leave none
		}
		return err
	case "send":
		m, err := s.cfg.Chat.Send(ctx, chatReader(ctx), said.draft(trip))
		if fleet.CodeOf(err) == fleet.CodeNotFound {
			return err
		}
		answer := chat.Sent(&m)
		if err != nil {
			if answer = chat.Refused(said.ID, err); answer.Code == fleet.CodeInternal {
				s.log.Error("a message could not be sent", "error", err)
			}
		}
		text, err := json.Marshal(answer)
		if err == nil {
			l.Send(text)
		}
		return err
	}
	return &ending{closedMessage}
}
