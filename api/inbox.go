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
	// BookingID and Deliveries are of what is told of bookings.
	BookingID  fleet.BookingID `json:"booking_id,omitzero" format:"uuid" doc:"What it is about; absent: no assignment"`
	Reference  string          `json:"reference,omitempty" example:"K7Q-2MX" doc:"Of what concerns safety: the same in each message that tells it again"`
	Deliveries []Delivery      `json:"deliveries,omitempty" doc:"How else you were told it, as far as it was not in the app alone"`
}

// Delivery is what became of a notice by one channel, as its reader sees it.
type Delivery struct {
	Channel   fleet.Channel     `json:"channel" enum:"mail,sms,push"`
	State     fleet.NoticeState `json:"state" enum:"queued,sending,sent,failed,unknown,expired,shown,unwanted" doc:"Queued: it is sent soon, or again, or when quiet hours end. Unknown: it may have been sent, and is sent again only where it concerns safety. Unwanted: by your preferences"`
	ChangedAt time.Time         `json:"changed_at"`
}

func showItem(i notify.Item) InboxItem {
	n := &i.Notice
	item := InboxItem{ID: n.ID, Kind: n.Kind, Title: i.Subject, Text: i.Body, CreatedAt: n.Created, BookingID: n.Booking}
	if n.Safety() {
		item.Reference = n.Reference()
	}
	for _, s := range i.Deliveries {
		item.Deliveries = append(item.Deliveries, Delivery{Channel: s.Notice.Channel, State: s.State, ChangedAt: s.Changed})
	}
	return item
}

func (s *Server) addInbox() {
	route(s, signedIn(), huma.Operation{
		OperationID: "read-inbox", Method: http.MethodGet, Path: "/api/users/inbox",
		Summary:     "What you were told of your account and your assignments, the latest first",
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
