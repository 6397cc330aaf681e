package account

import (
	"context"
	"time"

	"armora/fleet"
	"armora/schema"
)

// TicketLife is for how long a ticket that is good once may be used.
const TicketLife = 30 * time.Second

// Tickets let browsers into sockets and event streams, where they cannot send
// their token: the URL holds the ticket instead. It is safe for concurrent use.
type Tickets struct {
	store    schema.Tickets
	keyring  *Keyring
	sessions *Sessions
	shares   *Shares
	clock    fleet.Clock
}

// NewTickets returns the tickets of a hub.
func NewTickets(db *schema.DB, keyring *Keyring, sessions *Sessions, shares *Shares, clock fleet.Clock) *Tickets {
	return &Tickets{store: schema.Tickets{DB: db}, keyring: keyring, sessions: sessions, shares: shares, clock: clock}
}

// Issue gives the caller a ticket for something of a trip, and the moment until
// which it is good. Whether they may see the trip is found out when it is shown.
// It dies with the caller's session, or the link of a guest, and no later than the token
// that was shown for it.
func (t *Tickets) Issue(ctx context.Context, caller *Caller, opens fleet.Opens, trip fleet.BookingID) (ticket string, expires time.Time, err error) {
	given := fleet.Ticket{Session: caller.Session, Opens: opens, Trip: trip, Until: caller.Expires}
	switch {
	case caller.Share != nil && opens == fleet.OpensChat:
		return "", time.Time{}, &fleet.Error{Code: fleet.CodeForbidden, Message: "a link shows where the trip is, and nothing of what is written on it"}
	case caller.Share != nil:
		given.Share = caller.Share.ID
	case caller.Session.IsZero():
		return "", time.Time{}, &fleet.Error{Code: fleet.CodeForbidden, Message: "tickets are for those who have signed in"}
	}
	expires = caller.Expires
	if opens.Once() {
		expires = earlier(expires, t.clock.Now().Add(TicketLife))
	}
	given.Expires, ticket = expires, newSecret(ticketSecret)
	return ticket, expires, t.store.Add(ctx, t.keyring.Hash(ticket), given)
}

// Redeem says who shows a ticket for something of a trip, and fails as
// Sessions.Verify does.
func (t *Tickets) Redeem(ctx context.Context, ticket string, opens fleet.Opens, trip fleet.BookingID) (*Caller, error) {
	found, err := t.store.Redeem(ctx, t.keyring.Hash(ticket), opens, trip, t.clock.Now())
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return nil, &fleet.Error{Code: fleet.CodeUnauthenticated, Message: "this ticket is not good, or not any more: ask for another, or show a valid bearer token"}
	}
	if err != nil {
		return nil, err
	}
	if !found.Share.IsZero() {
		return t.shares.caller(ctx, found.Share, found.Until)
	}
	caller, err := t.sessions.caller(ctx, found.Session)
	if err == nil {
		caller.Expires = found.Until
	}
	return caller, err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
