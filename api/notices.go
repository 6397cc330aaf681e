package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
	"armora/schema"
)

// Notice is what became of a mail or text message, as the API shows it: never
// what it says, and of its reader no more than tells two apart.
type Notice struct {
	ID        fleet.NoticeID    `json:"id" format:"uuid"`
	UserID    fleet.UserID      `json:"user_id,omitzero" format:"uuid" doc:"Absent: somebody without an account"`
	Channel   fleet.Channel     `json:"channel" enum:"mail,sms,push,inbox"`
	Kind      string            `json:"kind" example:"verify_email"`
	BookingID fleet.BookingID   `json:"booking_id,omitzero" format:"uuid"`
	To        string            `json:"to" example:"a…@example.com" doc:"Abridged; empty in the app"`
	State     fleet.NoticeState `json:"state" enum:"queued,sending,sent,failed,unknown,expired,shown,unwanted" doc:"Queued: it is sent soon, or again, or when quiet hours end. Unknown: it may have been sent, and is sent again only where it concerns safety. Shown: this hub has no way to send it. Unwanted: its reader has said so"`
	ChangedAt time.Time         `json:"changed_at" doc:"When it came into this state"`
	Attempts  int               `json:"attempts"`
	Problem   string            `json:"problem,omitempty" doc:"Why it could not be sent"`
	CreatedAt time.Time         `json:"created_at"`
	ExpiresAt time.Time         `json:"expires_at" doc:"It is not sent later"`
}

func showNotice(s schema.NoticeStatus) Notice {
	n := s.Notice
	return Notice{
		ID: n.ID, UserID: n.User, Channel: n.Channel, Kind: n.Kind, BookingID: n.Booking, To: abridge(n.To), State: s.State,
		ChangedAt: s.Changed, Attempts: s.Attempts, Problem: s.Problem, CreatedAt: n.Created, ExpiresAt: n.Expires,
	}
}

// abridge keeps the domain of an e-mail address and the first letter before it,
// or the last two digits of a telephone number.
func abridge(to string) string {
	const digits = 2
	if to == "" {
		return ""
	}
	if at := strings.LastIndexByte(to, '@'); at >= 0 {
		for _, first := range to[:at] {
			return string(first) + "…" + to[at:]
		}
		return "…" + to[at:]
	}
	return "…" + to[max(len(to)-digits, 0):]
}

func (s *Server) addNotices() {
	route(s, only(fleet.RoleCompliance, fleet.RoleAdmin), huma.Operation{
		OperationID: "list-notices", Method: http.MethodGet, Path: "/api/notices",
		Summary: "List mails, text messages and what people are told in the app, and what became of them, the latest first", Tags: []string{"ops"},
	}, s.listNotices)
}

func (s *Server) listNotices(ctx context.Context, in *PageQuery) (*pageOutput[Notice], error) {
	var before fleet.NoticeID
	if err := readCursor(in.Cursor, &before); err != nil {
		return nil, err
	}
	rows, err := s.tables.notices.List(ctx, callerOf(ctx).User, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return newPage(rows, in.Limit, showNotice, func(s schema.NoticeStatus) any { return s.Notice.ID })
}
