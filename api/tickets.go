package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/account"
	"armora/fleet"
)

// opensKey is where an operation says that a ticket for this opens it.
const opensKey = "x-armora-ticket"

// TicketQuery is the ticket in the URL of what a browser opens without headers.
type TicketQuery struct {
	Ticket string `query:"ticket" maxLength:"100" doc:"A ticket from POST /api/tickets, in place of the Authorization header. It is never logged."`
}

type newTicket struct {
	Opens  fleet.Opens     `json:"opens" enum:"tracking,chat,events" doc:"What it opens: the WebSocket of a trip, that of its conversation, or the trip's event stream"`
	TripID fleet.BookingID `json:"trip_id" format:"uuid"`
}

// Ticket opens what a browser cannot send its token to.
type Ticket struct {
	Ticket    string    `json:"ticket" doc:"Goes into the URL, as the query parameter ticket"`
	ExpiresAt time.Time `json:"expires_at"`
}

type ticketOutput struct{ Body Ticket }

func (s *Server) addTickets() {
	route(s, signedIn().orGuests(), huma.Operation{
		OperationID: "issue-ticket", Method: http.MethodPost, Path: "/api/tickets", DefaultStatus: http.StatusCreated,
		Summary: "Get a ticket for a WebSocket or an event stream",
		Description: "Browsers cannot send a token to these. A ticket for a WebSocket is good once, within half a minute; one for an event stream, " +
			"again and again until the access token expires, since browsers reconnect to the same URL. Both end with the session. Guests, who hold a link, get them as well, but for conversations. " +
			"Whether the caller may see the trip is found out when the ticket is shown.",
		Tags: []string{"tracking"},
	}, s.issueTicket)
}

func (s *Server) issueTicket(ctx context.Context, in *struct{ Body newTicket }) (*ticketOutput, error) {
	ticket, expires, err := s.cfg.Tickets.Issue(ctx, callerOf(ctx), in.Body.Opens, in.Body.TripID)
	if err != nil {
		return nil, err
	}
	return &ticketOutput{Body: Ticket{Ticket: ticket, ExpiresAt: expires.UTC()}}, nil
}

// identify says who asks for an operation: by the ticket in the URL, if the
// operation takes one and it is there, else by the Authorization header.
func (s *Server) identify(ctx huma.Context) (*account.Caller, error) {
	opens, takes := ctx.Operation().Extensions[opensKey].(fleet.Opens)
	if !takes {
		return s.authenticateBy(ctx.Context(), ctx.Header("Authorization"), s.verifierOf(ctx.Operation()))
	}
	if err := s.sameOrigin(ctx); err != nil {
		return nil, err
	}
	ticket := ctx.Query("ticket")
	if ticket == "" {
		return s.authenticate(ctx.Context(), ctx.Header("Authorization"))
	}
	trip, err := fleet.ParseID[fleet.Booking](ctx.Param("tripId"))
	if err != nil {
		return nil, &fleet.Error{Code: fleet.CodeNotFound, Message: "no such trip"}
	}
	return s.cfg.Tickets.Redeem(ctx.Context(), ticket, opens, trip)
}
