package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
	"armora/notify"
)

// InboxItem is what a person was told, as each of their sessions shows it.
type InboxItem struct {
	ID        fleet.NoticeID `json:"id" format:"uuid"`
	Kind      string         `json:"kind" example:"new_sign_in"`
	Title     string         `json:"title"`
	Text      string         `json:"text"`
	CreatedAt time.Time      `json:"created_at"`
}

func showItem(i notify.Item) InboxItem {
	return InboxItem{ID: i.Notice.ID, Kind: i.Notice.Kind, Title: i.Subject, Text: i.Body, CreatedAt: i.Notice.Created}
}

func (s *Server) addInbox() {
	route(s, signedIn(), huma.Operation{
		OperationID: "read-inbox", Method: http.MethodGet, Path: "/api/users/inbox",
		Summary:     "What you were told of your account, the latest first",
		Description: "The same in each of your sessions. Nobody can take anything out of it; it is kept for 30 days.",
		Tags:        []string{"users"},
	}, s.readInbox)
}

func (s *Server) readInbox(ctx context.Context, in *PageQuery) (*pageOutput[InboxItem], error) {
	var before fleet.NoticeID
	if err := readCursor(in.Cursor, &before); err != nil {
		return nil, err
	}
	items, err := s.cfg.Notify.Inbox(ctx, callerOf(ctx).User, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return newPage(items, in.Limit, showItem, func(i notify.Item) any { return i.Notice.ID })
}
